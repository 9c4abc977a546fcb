/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * The watcher leaves out what servers did, for they have marked it; it knows them by the numbers of
 * their processes, which are used again. Here one number is a stranger's, then a server's, then a
 * stranger's: each changes something and ends. The server is known from a moment on when nothing
 * older was in the queue, and for what was read while it was still there; a pidfd says whether it is,
 * and is that of whoever asked only if he can still hear the answer once it is open.
 *
 * without FILTER_EARLY: the number is believed as soon as the server has told it
 * without FILTER_DEAD: it is believed whoever has it now
 * without BURY_FIRST: whether the server is still there is asked before events are read, not after
 * without OPEN_BLINDLY: nobody asks whether what was opened is who told the number
 * reaches HIT: what is kept is used
 * reaches OWN: what the server did is left out
 * reaches TOLD: what it did is passed on all the same, which costs a fetch
 * reaches OTHERS: it is known, and what somebody else did with its number is passed on
 * reaches GONE: the server has ended before the watcher has opened its pidfd
 */
#include "model.h"

/* Who has the number, one after the other. */
#define BEFORE 0
#define SERVER 1
#define AFTER  2
#define LIVES  3
byte life;

byte word, truth;
byte queue[LIVES]; /* events that wait, by who made them: only this model knows */
bool asking, joined;
bool handling;     /* events are out of the queue */

#define waits (queue[BEFORE] + queue[SERVER] + queue[AFTER] > 0)

active proctype number()
{
	do
	:: life < LIVES ->
		if
		:: life == SERVER ->
			asking = true;
			joined;
			word = word + BEGIN;
			atomic { truth++; queue[SERVER]++ }
			word = word + END
		:: life == SERVER -> asking = true /* and is gone */
		:: life != SERVER -> atomic { truth++; queue[life]++ }
		:: life != SERVER
		fi;
		life++
	:: else -> break
	od
}

active proctype watcher()
{
	byte got[LIVES], fd = LIVES, i;
	bool known;

#ifdef FILTER_DEAD
#define bury() skip
#else
#define bury() \
	atomic { \
		if \
		:: fd != life -> fd = LIVES; known = false \
		:: else \
		fi \
	}
#endif

end:
	do
	:: asking && !joined ->
		fd = life;
		atomic {
			if
#ifndef OPEN_BLINDLY
			:: life != SERVER -> fd = LIVES; reached(GONE)
#endif
			:: else
			fi;
#ifdef FILTER_EARLY
			known = fd != LIVES;
#endif
			joined = true
		}
	:: true ->
#ifdef BURY_FIRST
		bury();
#endif
		/* Some of what waits, the oldest first. */
		atomic {
			handling = waits;
			if
			:: got[BEFORE] = queue[BEFORE]; queue[BEFORE] = 0;
				got[SERVER] = queue[SERVER]; queue[SERVER] = 0;
				got[AFTER] = queue[AFTER]; queue[AFTER] = 0
			:: waits ->
				for (i : 0 .. LIVES - 1) {
					if
					:: queue[i] > 0 -> got[i] = 1; queue[i] = queue[i] - 1; break
					:: else
					fi
				}
			fi;
			i = 0
		}
#ifndef BURY_FIRST
		bury();
#endif
		if
		:: atomic {
			handling && known ->
			if
			:: got[SERVER] -> reached(OWN)
			:: else
			fi
		   }
		:: atomic {
			handling && !known ->
			if
			:: got[SERVER] -> reached(TOLD)
			:: else
			fi;
			if
			:: got[AFTER] && joined -> reached(OTHERS)
			:: else
			fi
		   }
			word = word + VERSION
		:: atomic { !handling -> known = fd != LIVES }
		fi;
		atomic { got[BEFORE] = 0; got[SERVER] = 0; got[AFTER] = 0; handling = false }
	od
}

active proctype guest()
{
	byte value, w, least, kept_word;
	bool kept;

end:
	do
	:: atomic { least = (handling || waits -> 0 : truth) }
		w = word;
		if
		:: atomic { kept && w == kept_word -> assert(value >= least); reached(HIT) }
		:: else ->
			w = word;
			atomic {
				kept = quiet(w);
				value = (kept -> truth : 0);
				kept_word = (kept -> w : 0)
			}
		fi;
		atomic { w = 0; least = 0 }
	od
}
