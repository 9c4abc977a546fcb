/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * A guest's own changes: its cache survives them when nothing came between, and otherwise goes. The
 * object is a file of two bytes; the guest writes the first, another guest the second. What is
 * written is in the guest's cache as soon as it sends the request, as pages are in a kernel's, so a
 * cache that is moved to another version has to hold what that version is, both bytes of it. Another
 * thread of the guest reads at any time. A reply carries the words before and after the change only
 * if it had the slot to itself.
 *
 * with SLOTS=1
 * without MOVE_ALWAYS: the cache moves to the word after, whatever word it had
 * without TELL_CROWDED: the words are told though another change was there too
 * without KEEP_FILLS: what was asked for before the change's reply came is kept
 * without KEEP_LATER_FILLS: only what was asked for before the request was sent is not kept
 * without USE_EARLY: a thread sees what is sent and not yet done, as if caches were written back later
 * without NEVER_MOVE: the cache goes with each own change
 * without MARK_TWICE SLOTS=1: two operands in one slot mark it twice
 * reaches SURVIVED: the cache holds after an own change
 * reaches DROPPED: the cache goes, since somebody else was there
 * reaches CROWDED: changes of both guests overlap
 * reaches LATE: an answer is not kept, since an own change came between
 * reaches HIT: the cache is used
 */
#include "model.h"

#ifndef SLOTS
#define SLOTS 2
#endif
#define WRITES 2 /* of each guest */

#define DATA 0
#define ATTR (1 % SLOTS)

byte word[SLOTS];
byte file[2];
byte others;  /* how often the other guest began */

/* The guest's cache, and what its threads tell each other: one lock, so atomic. */
bool kept, changing;
byte cached[2], cached_word;
byte sent; /* own changes that began or ended */

#ifdef MARK_TWICE
#define two_marks true
#else
#define two_marks (DATA != ATTR)
#endif

#ifdef USE_EARLY
#define usable true
#else
#define usable (!changing)
#endif

#define mark(slot)   word[slot] = word[slot] + BEGIN
#define unmark(slot) word[slot] = word[slot] + END

proctype writer()
{
	byte i, before, after, seen;
	bool told, good;

	do
	:: i < WRITES ->
		atomic {
			changing = true;
			sent++;
			good = kept && cached_word == word[DATA];
			seen = others;
			if
			:: kept -> cached[0] = i + 1
			:: else
			fi
		}
		/* The server. */
		d_step { before = word[DATA]; mark(DATA) }
		if
		:: two_marks -> mark(ATTR)
		:: else
		fi;
		file[0] = i + 1;
		d_step { unmark(DATA); after = word[DATA] }
		if
		:: two_marks -> d_step { unmark(ATTR); after = (DATA == ATTR -> word[DATA] : after) }
		:: else
		fi;
#ifdef TELL_CROWDED
		told = true;
#else
		told = alone(before, after);
#endif
		/* The reply arrives. */
		atomic {
			if
#ifdef MOVE_ALWAYS
			:: told && kept -> cached_word = after
#else
#ifdef NEVER_MOVE
			:: false
#else
			:: told && kept && cached_word == before -> cached_word = after
#endif
#endif
			:: else ->
				if
				:: kept -> reached(DROPPED)
				:: else
				fi;
				kept = false;
				cached[0] = 0;
				cached[1] = 0;
				cached_word = 0
			fi;
			if
			:: !told -> reached(CROWDED)
			:: else
			fi;
			changing = false;
			sent++;
			if
			:: good && seen == others ->
				assert(kept && cached_word == word[DATA]);
				reached(SURVIVED)
			:: else
			fi;
			good = false;
			told = false;
			before = 0;
			after = 0;
			seen = 0;
			i++
		}
	:: else -> break
	od
}

proctype reader()
{
	byte w, value[2], floor[2], asked;
	bool trusted;

end:
	do
	:: atomic {
		floor[0] = file[0];
		floor[1] = file[1];
		trusted = kept
	   }
		if
		:: trusted -> w = word[DATA]
		:: else
		fi;
		if
		:: atomic {
			trusted && kept && cached_word == w && usable ->
			assert(cached[0] >= floor[0] && cached[1] >= floor[1]);
			assert(cached[0] <= file[0] && cached[1] <= file[1]);
			reached(HIT)
		   }
		:: else ->
			atomic { asked = sent; trusted = changing }
			w = word[DATA];
			value[0] = file[0];
			value[1] = file[1];
			/* The answer arrives. */
			atomic {
				assert(value[0] >= floor[0] && value[1] >= floor[1]);
				if
#ifdef KEEP_FILLS
				:: quiet(w) ->
#else
#ifdef KEEP_LATER_FILLS
				:: quiet(w) && (asked == sent) ->
#else
				:: quiet(w) && asked == sent && !trusted ->
#endif
#endif
					kept = true;
					cached[0] = value[0];
					cached[1] = value[1];
					cached_word = w
				:: else ->
					if
					:: asked != sent -> reached(LATE)
					:: else
					fi
				fi
			}
		fi;
		atomic {
			w = 0;
			value[0] = 0;
			value[1] = 0;
			floor[0] = 0;
			floor[1] = 0;
			asked = 0;
			trusted = false
		}
	od
}

/* The other guest, and its server. */
proctype other()
{
	byte i;

	do
	:: i < WRITES ->
		atomic { others++; mark(DATA) }
		file[1] = i + 1;
		atomic { unmark(DATA); i++ }
	:: else -> break
	od
}

init {
	atomic {
		run writer();
		run reader();
		run other()
	}
}
