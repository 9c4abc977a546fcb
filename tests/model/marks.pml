/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * What a change of names marks: a directory is moved over another one, out of one directory into
 * another. That changes all of what follows at once, and each has a slot of its own; somebody keeps
 * one of them.
 *
 * without NO_DIR_ATTR: the attributes of the directories, whose times and number of links move
 * without NO_LISTING: their listings
 * without NO_NAME: the names
 * without NO_MOVED: the attributes of what is moved, whose ctime moves
 * without NO_DOTDOT: its listing, for it has another ".."
 * without NO_LOST: the attributes of what has lost its name
 * without NO_EMPTY: its listing, for it has not even a ".." any more
 * reaches HIT: what is kept is used
 * reaches HIT_AGAIN: and what is fetched after a change
 */
#include "model.h"

#define DIR_ATTR 0 /* of two directories, as what follows */
#define LISTING  2
#define NAME     4
#define MOVED    6
#define DOTDOT   7
#define LOST     8
#define EMPTY    9
#define THINGS   10

#define CHANGES 2

byte word[THINGS];
byte moves; /* what each thing shows: how often something was moved */

#define is_marked true
#ifdef NO_DIR_ATTR
#undef is_marked
#define is_marked (i / 2 != DIR_ATTR / 2)
#endif
#ifdef NO_LISTING
#undef is_marked
#define is_marked (i / 2 != LISTING / 2)
#endif
#ifdef NO_NAME
#undef is_marked
#define is_marked (i / 2 != NAME / 2)
#endif
#ifdef NO_MOVED
#undef is_marked
#define is_marked (i != MOVED)
#endif
#ifdef NO_DOTDOT
#undef is_marked
#define is_marked (i != DOTDOT)
#endif
#ifdef NO_LOST
#undef is_marked
#define is_marked (i != LOST)
#endif
#ifdef NO_EMPTY
#undef is_marked
#define is_marked (i != EMPTY)
#endif

inline add(what)
{
	i = 0;
	do
	:: i < THINGS -> d_step { word[i] = (is_marked -> word[i] + what : word[i]); i++ }
	:: else -> break
	od
}

active proctype mover()
{
	byte i, n;

	do
	:: n < CHANGES ->
		add(BEGIN);
		moves++;
		add(END);
		n++
	:: else -> break
	od
}

active proctype keeper()
{
	byte at, w, floor, value, kept_word;
	bool kept;

	select (at : 0 .. THINGS - 1);
end:
	do
	:: floor = moves;
		w = word[at];
		if
		:: atomic {
			kept && w == kept_word ->
			assert(value >= floor);
			if
			:: value -> reached(HIT_AGAIN)
			:: else -> reached(HIT)
			fi
		   }
		:: else ->
			w = word[at];
			atomic {
				kept = quiet(w);
				value = (kept -> moves : 0);
				kept_word = (kept -> w : 0)
			}
		fi;
		atomic { w = 0; floor = 0 }
	od
}
