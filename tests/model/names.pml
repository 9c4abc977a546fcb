/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=600
 *
 * Names: a guest walks to a file, by a name in a directory, and looks at its attributes, from its
 * cache as far as it can; two others give the name to another file and change modes, of the files and
 * of the directory. The server does not know the inode before it has looked the name up: it guesses,
 * and looks at the attributes a second time where the guess was wrong and something was ever changed
 * in the inode's slot. With FOLD names are not compared byte by byte: the guest has another spelling
 * than those who rename.
 *
 * with FOLD=1
 * without NAME_LAST: the server reads the name's word after it has opened what it names
 * without FIRST_STAT: the reply has the attributes from before the inode's word was read
 * without QUIET_WILL_DO: they are not read again where that word is quiet, though not 0
 * without BLIND_GUESS: the word that was read by a guess is that of whatever was found
 * without TRUST_PARENT: a walk in the cache does not look at the directory's attributes
 * without BY_BYTES FOLD=1: a name that has other spellings has a slot of its own
 * without NAMES_ONLY: a rename does not mark the inodes whose links it changes
 * reaches WALKED: a walk without a request
 * reaches RENAMED: a name is asked for again
 * reaches SECOND: the two looks at the attributes differ
 * reaches GUESSED: the guess is right, and something was changed in the slot
 * reaches MISGUESSED: it is wrong
 * reaches UNTOUCHED: it is wrong, but nothing was changed in the slot
 */
#include "model.h"

#define CHANGES 3 /* all in all */

/* Slots: the name, its other spelling, the directory's listing and attributes, those of two files. */
#define NAME  0
#define OTHER 1
#define LIST  2
#define DIR   3
#define FILES 4
byte word[6];

byte name;    /* how often it was given away: the file is name % 2 */
byte attr[2]; /* of the files */
byte mode;    /* of the directory */
byte changes;

#define file_of(n) ((n) % 2)

#define NEVER_CHANGED 0 /* what words begin with */
#ifdef QUIET_WILL_DO
#define untouched(w) quiet(w)
#else
#define untouched(w) ((w) == NEVER_CHANGED)
#endif

/* In which slot the guest's name is. */
#ifdef FOLD
#ifdef BY_BYTES
#define SLOT OTHER
#else
#define SLOT LIST
#endif
#else
#define SLOT NAME
#endif

#define mark(slot)   word[slot] = word[slot] + BEGIN
#define unmark(slot) word[slot] = word[slot] + END

proctype changer()
{
	byte f;

end:
	do
	:: atomic { changes < CHANGES -> changes++ }
		if
		:: /* Both files have a name afterwards, and before: it is an exchange. */
			mark(NAME);
			mark(LIST);
#ifndef NAMES_ONLY
			mark(FILES);
			mark(FILES + 1);
#endif
			atomic { name++; attr[0]++; attr[1]++ }
#ifndef NAMES_ONLY
			unmark(FILES + 1);
			unmark(FILES);
#endif
			unmark(LIST);
			unmark(NAME)
		:: if
			:: f = 0
			:: f = 1
			fi;
			mark(FILES + f);
			attr[f]++;
			unmark(FILES + f);
			f = 0
		:: mark(DIR);
			mode++;
			unmark(DIR)
		fi
	od
}

typedef object {
	bool kept;
	byte value, stamp;
};

#define keep(it, v, w) \
	it.kept = quiet(w); \
	it.value = (it.kept -> (v) : 0); \
	it.stamp = (it.kept -> (w) : 0)

/* A look at one word: each is a step of its own. */
inline look(it, slot)
{
	if
	:: it.kept && word[slot] == it.stamp -> skip
	:: else -> atomic { it.kept = false; it.value = 0; it.stamp = 0 }
	fi
}

proctype walker()
{
	object entry, dir, inode[2];
	byte f, w, v, floor_name, floor_mode, floor[2], guess, early;
	bool asked;

end:
	do
	:: atomic {
		floor_name = name;
		floor_mode = mode;
		floor[0] = attr[0];
		floor[1] = attr[1];
		asked = false
	   }
		/* What is open already needs no name. */
		if
		:: atomic {
			if
			:: f = 0
			:: f = 1
			fi
		   }
			look(inode[f], FILES + f);
			assert(!inode[f].kept || inode[f].value >= floor[f]);
			goto next
		:: skip
		fi;
		/* The directory: may we search it at all? */
#ifdef TRUST_PARENT
		if
		:: dir.kept -> skip
		:: else
		fi;
#else
		look(dir, DIR);
#endif
		if
		:: dir.kept
		:: else ->
			w = word[DIR];
			atomic { v = mode; keep(dir, v, w); asked = true; assert(v >= floor_mode) }
		fi;
		atomic {
			if
			:: dir.kept -> assert(dir.value >= floor_mode)
			:: else
			fi
		}
		look(entry, SLOT);
		if
		:: entry.kept ->
			atomic { assert(entry.value >= floor_name); f = file_of(entry.value) }
			look(inode[f], FILES + f);
			if
			:: atomic {
				inode[f].kept ->
				assert(inode[f].value >= floor[f]);
				if
				:: !asked -> reached(WALKED)
				:: else
				fi
			   }
			:: else ->
				w = word[FILES + f];
				atomic { v = attr[f]; keep(inode[f], v, w); assert(v >= floor[f]) }
			fi
		:: else ->
			/* LOOKUP: the name, what it names, its attributes; and before it is known what
			 * it names, the word of what it may be. */
			atomic {
				if
				:: guess = 0
				:: guess = 1
				fi;
				early = word[FILES + guess]
			}
#ifdef NAME_LAST
			v = name;
			w = word[SLOT];
#else
			w = word[SLOT];
			v = name;
#endif
			atomic {
				assert(v >= floor_name);
				keep(entry, v, w);
				f = file_of(v);
				reached(RENAMED)
			}
			v = attr[f];
			if
#ifndef BLIND_GUESS
			:: f == guess ->
#else
			:: true ->
#endif
				atomic {
					w = early;
					if
					:: w != NEVER_CHANGED -> reached(GUESSED)
					:: else
					fi
				}
			:: f != guess ->
				w = word[FILES + f];
				atomic {
					reached(MISGUESSED);
					if
					:: untouched(w) -> reached(UNTOUCHED)
					:: else ->
						if
						:: v != attr[f] -> reached(SECOND)
						:: else
						fi;
#ifndef FIRST_STAT
						v = attr[f]
#endif
					fi
				}
			fi;
			atomic { assert(v >= floor[f]); keep(inode[f], v, w) }
		fi;
next:		atomic { f = 0; w = 0; v = 0; guess = 0; early = 0 }
	od
}

init {
	atomic {
		run changer();
		run changer();
		run walker()
	}
}
