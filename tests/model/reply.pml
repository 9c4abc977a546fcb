/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Attributes in the answer to a change: read between the system call and the end, and kept with the
 * word after, if the change had the slot to itself. Otherwise they are read anew, after the end and
 * after a word, as in an answer to a question. Another server changes the same inode meanwhile.
 *
 * without ATTR_BETWEEN: those from between are kept with a word that is read after the end
 * without ATTR_CROWDED: they are kept with the word after, whoever else was there
 * without ATTR_FIRST: they are read anew, and then the word
 * reaches ALONE: nobody else was there
 * reaches ANEW: somebody was, and what is read anew is kept
 * reaches MARKED: it is not, since something is in flight again
 * reaches HIT: what is kept is used
 */
#include "model.h"

#define CHANGES 2 /* of each */

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

/* A server and its guest. */
active proctype changer()
{
	byte i, before, after, w, value, floor;

	do
	:: i < CHANGES ->
		atomic { i++; before = word; word = word + BEGIN }
		attr++;
		value = attr;
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
		atomic { before = 0; after = 0; w = 0; value = 0; floor = 0 }
	:: else -> break
	od
}
