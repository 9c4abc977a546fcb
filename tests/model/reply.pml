/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Attributes in the answer to a change: read between the system call and the end, and kept with the
 * word after, if the change had the slot to itself. Otherwise they are read anew, after the end and
 * after a word, as in an answer to a question. Another server changes the same inode meanwhile.
 *
 * Or the change makes the inode: its slot is known and marked only when its attributes have been
 * read, and nobody keeps what they were before. They are read again after the mark unless that has
 * found that nothing was ever changed in the slot, or the word that was there before, of which the
 * server may have guessed where it would be.
 *
 * without ATTR_BETWEEN: those from between are kept with a word that is read after the end
 * without ATTR_CROWDED: they are kept with the word after, whoever else was there
 * without ATTR_FIRST: they are read anew, and then the word
 * without ANY_WORD: they are not read again, whatever word the mark has found
 * without GUESS_LATE: the word of a guess is loaded when they have been read
 * reaches ALONE: nobody else was there
 * reaches EXPECTED: the mark has found the word of a guess
 * reaches ANEW: somebody was, and what is read anew is kept
 * reaches MARKED: it is not, since something is in flight again
 * reaches HIT: what is kept is used
 */
#include "model.h"

#define CHANGES 2 /* of each */

#define NEVER_CHANGED 0 /* what words begin with */

byte word, attr;

active proctype other()
{
	byte i;

	do
	:: i < CHANGES ->
		word = word + BEGIN;
		attr++;
		word = word + END;
		i++
	:: else -> break
	od
}

/* A guess may be wrong; then there is none. */
inline make()
{
#ifndef GUESS_LATE
	if
	:: atomic { guessed = true; early = word }
	:: guessed = false
	fi;
#endif
	attr++;
	value = attr;
#ifdef GUESS_LATE
	atomic { guessed = true; early = word };
#endif
	atomic { before = word; word = word + BEGIN }
	if
	:: before == NEVER_CHANGED
	:: before != NEVER_CHANGED && guessed && before == early ->
		reached(EXPECTED)
#ifdef ANY_WORD
	:: else
#else
	:: else -> value = attr
#endif
	fi
}

/* A server and its guest. */
active proctype changer()
{
	byte i, before, after, w, value, floor, early;
	bool guessed;

	do
	:: i < CHANGES ->
		i++;
		if
		:: make()
		:: atomic { before = word; word = word + BEGIN }
			attr++;
			value = attr
		fi;
		atomic { word = word + END; after = word }
		if
		:: atomic { alone(before, after) -> w = after; reached(ALONE) }
		:: else ->
#ifdef ATTR_CROWDED
			w = after;
#else
#ifdef ATTR_BETWEEN
			w = word;
#else
#ifdef ATTR_FIRST
			value = attr;
			w = word;
#else
			w = word;
			value = attr;
#endif
#endif
#endif
			atomic {
				if
				:: quiet(w) -> reached(ANEW)
				:: else -> reached(MARKED)
				fi
			}
		fi;
		/* Some time later it is used; or not, for there are other changes. */
		if
		:: quiet(w) ->
			floor = attr;
			if
			:: atomic { word == w -> assert(value >= floor); reached(HIT) }
			:: else
			fi
		:: true
		fi;
		atomic { before = 0; after = 0; w = 0; value = 0; floor = 0; early = 0; guessed = false }
	:: else -> break
	od
}
