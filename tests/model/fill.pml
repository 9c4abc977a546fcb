/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Fills and changes: two guests, each with a server of its own, change two objects, and one of them
 * reads and keeps one of these (what the other one keeps changes nothing for it); servers end or die
 * at any step, and come back. An access shows nothing older than what was so when it
 * began, whoever made it so, whether it was acknowledged or not. Words go round: they begin where the
 * first change brings them back to 0.
 *
 * Where marks of the dead are taken off, either will do here: that the epoch moves, or that words go
 * on. What only the epoch tells is in dead.pml.
 *
 * with SLOTS=1
 * with EPOCH_ONLY=1
 * with WORDS_ONLY=1
 * without NO_MARK: the word moves after the change only; between the two, others see it
 * without NO_END: the word moves before the change only; what is read between the two is kept
 * without KEEP_MARKED: a guest keeps what was read while a change is in flight
 * without STATE_FIRST: a server reads the state before the word
 * without VERSIONS_ONLY: a guest compares versions, not marks
 * without BY_ORDER: a guest believes a word that is not greater than the one that it has
 * without CLEAR_BESIDE: marks are taken off while others are attached, theirs as well
 * without CLEAR_SILENTLY: marks of the dead are taken off, and nothing else moves
 * reaches HIT: a cached object is used
 * reaches MISS: a cached object is not used
 * reaches REFUSED: something is read while it changes
 * reaches COLLIDED: it would have been good, but another object's change or a death came between
 * reaches DIED: a change is cut off after its system call
 * reaches CLEARED: marks of the dead are taken off
 * reaches BESIDE: a server comes back while another one is there
 */
#include "model.h"

#ifndef SLOTS
#define SLOTS 2
#endif
#define OBJECTS 2
#define CHANGES 3 /* all in all, as what follows */
#define ENDS 2
#define slot(o) ((o) % SLOTS)

byte word[SLOTS] = 256 - VERSION;
byte epoch;
byte truth[OBJECTS];
byte changes, ends;
bool attached[2] = true;
bool locked; /* the exclusive lock */

typedef object {
	bool kept;
	byte value, word, epoch;
};

#ifdef VERSIONS_ONLY
#define same(a, b) ((a) / VERSION == (b) / VERSION)
#else
#ifdef BY_ORDER
#define same(a, b) ((a) <= (b))
#else
#define same(a, b) ((a) == (b))
#endif
#endif
#ifdef KEEP_MARKED
#define may_keep(w) true
#else
#define may_keep(w) quiet(w)
#endif

/* A server ends, by itself or not: the kernel takes its lock when its last system call is done. */
#define may_die if :: skip :: ends < ENDS -> d_step { ends++; attached[me] = false; } goto again fi

/* Of a guest: an access to object 0. */
inline access()
{
	floor = truth[o];
	if
	:: cache.kept ->
		w = word[slot(o)];
		e = epoch;
		trusted = same(w, cache.word) && e == cache.epoch
	:: else
	fi;
	if
	:: atomic { trusted -> assert(cache.value >= floor); reached(HIT) }
	:: atomic {
		!trusted && attached[me] ->
		if
		:: cache.kept ->
			reached(MISS);
			if
			:: cache.value == truth[o] -> reached(COLLIDED)
			:: else
			fi
		:: else
		fi
	   }
		e = epoch;
#ifdef STATE_FIRST
		value = truth[o];
		w = word[slot(o)];
#else
		w = word[slot(o)];
		value = truth[o];
#endif
		d_step {
			assert(value >= floor);
			cache.kept = may_keep(w);
			if
			:: !quiet(w) -> reached(REFUSED)
			:: else
			fi;
			if
			:: cache.kept ->
				cache.value = value;
				cache.word = w;
				cache.epoch = e
			:: else ->
				cache.value = 0;
				cache.word = 0;
				cache.epoch = 0
			fi
		}
	:: !trusted && !attached[me]
	fi
}

/* Of a server: a change. */
inline change()
{
	atomic {
		changes++;
		if
		:: o = 0
		:: o = 1
		fi
	}
	s = slot(o);
#ifdef NO_END
	word[s] = word[s] + VERSION;
#else
#ifndef NO_MARK
	d_step { assert(in_flight(word[s]) < VERSION - 1); word[s] = word[s] + BEGIN }
#endif
#endif
	may_die;
	truth[o]++;
	if
	:: skip
	:: ends < ENDS -> d_step { ends++; attached[me] = false; reached(DIED) } goto again
	fi;
#ifdef NO_MARK
	word[s] = word[s] + VERSION
#else
#ifndef NO_END
	word[s] = word[s] + END
#endif
#endif
}

/* A server comes back: alone, it takes off the marks of the dead. */
inline attach()
{
	if
#ifndef CLEAR_BESIDE
	:: atomic { attached[1 - me] && !locked -> attached[me] = true; reached(BESIDE) }
	:: atomic { !attached[1 - me] && !locked -> locked = true }
#else
	:: atomic { !locked -> locked = true; if :: attached[1 - me] -> reached(BESIDE) :: else fi }
#endif
#ifdef CLEAR_SILENTLY
#define cleared(w) ((w) - in_flight(w))
#else
#ifdef EPOCH_ONLY
#define cleared(w) ((w) - in_flight(w))
#else
#define cleared(w) settled(w)
#endif
#ifndef WORDS_ONLY
		epoch++;
#endif
#endif
		s = 0;
		do
		:: s < SLOTS ->
			d_step {
				if
				:: !quiet(word[s]) -> reached(CLEARED)
				:: else
				fi;
				word[s] = cleared(word[s]);
				s++
			}
		:: else -> break
		od;
		atomic { locked = false; attached[me] = true }
	fi
}

active [2] proctype guest()
{
	byte me = _pid;
	object cache;
	byte o, s, w, e, value, floor;
	bool trusted;

again:
end:
	do
	:: atomic { o = 0; s = 0; w = 0; e = 0; value = 0; floor = 0; trusted = false }
		if
		:: me == 0 -> access()
		:: changes < CHANGES && attached[me] && !locked -> change()
		:: !attached[me] -> attach()
		:: atomic { attached[me] && ends < ENDS -> ends++; attached[me] = false }
		fi
	od
}
