/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * A table is replaced: it is poisoned, each server leaves it when its changes have ended, and the next
 * one is made when all have left. Two servers, each with its guest; a guest may have been given
 * another table than its server's altogether.
 *
 * without NO_DRAIN: the next table is made while others are in the old one
 * without TRUST_POISON: a guest trusts a poisoned table
 * without LEAVE_EARLY: a server leaves while a change of its own is in flight
 * without NO_ID: a guest does not ask whether it has the table that its server names
 * without DEAF: a server that has nothing to do does not look for poison
 * reaches HIT: what is kept is used, under the first table
 * reaches HIT_AGAIN: and under the second one
 * reaches REPLACED: the second one is made
 * reaches STRANGER: a guest has another table, and no extension
 */
#include "model.h"

#define OLD      0
#define NEW      1
#define STRANGER_TABLE 2 /* nobody writes to it */
#define NONE     3

#define CHANGES 3
#define STEPS   4 /* of each guest */

byte word[3];
bool poison[3];
byte current = OLD;
byte in[2] = OLD; /* which table each server is attached to: its shared lock */
bool busy[2];     /* a change of it is in flight */
byte truth, changes;
byte done;        /* guests at their end */

active proctype admin()
{
	if
	:: poison[OLD] = true
	:: skip
	fi
}

/* Of a server without a request in it: it leaves a poisoned table for the next one. */
inline renew()
{
	in[me] = NONE;
#ifdef NO_DRAIN
	if
	:: atomic { current == OLD -> current = NEW; in[me] = NEW; reached(REPLACED) }
	:: atomic { current == NEW -> in[me] = NEW }
	fi
#else
	/* The exclusive lock, or the table of whoever had it first. */
	if
	:: atomic { current == OLD && in[1 - me] == NONE -> current = NEW; in[me] = NEW; reached(REPLACED) }
	:: atomic { current == NEW -> in[me] = NEW }
	fi
#endif
}

#define must_leave (in[me] != NONE && poison[in[me]])

proctype server_and_guest(byte me)
{
	byte map, kept_word, kept_table, value, floor, w, table, steps;
	bool kept;

	if
	:: map = OLD
	:: me == 0 -> map = STRANGER_TABLE
	fi;
	do
	:: must_leave -> renew()
	:: !must_leave && steps < STEPS ->
		atomic { steps++; floor = truth }
		if
		/* An access: the guest's table, then its server. */
		:: w = word[map];
			if
#ifdef TRUST_POISON
			:: atomic { kept && w == kept_word ->
#else
			:: atomic { kept && w == kept_word && !poison[map] ->
#endif
				assert(value >= floor);
				if
				:: map == NEW -> reached(HIT_AGAIN)
				:: map == OLD -> reached(HIT)
				:: else
				fi
			   }
			:: else ->
				table = in[me];
				w = word[table];
				value = truth;
				assert(value >= floor);
				/* It learns of a poisoned table, and gets the next one. */
				atomic {
					if
					:: map != STRANGER_TABLE && poison[map] -> map = table
					:: else
					fi;
#ifdef NO_ID
					kept = quiet(w);
#else
					kept = quiet(w) && map == table;
#endif
					if
					:: map == STRANGER_TABLE && !kept -> reached(STRANGER)
					:: else
					fi;
					kept_word = (kept -> w : 0);
					value = (kept -> value : 0)
				}
			fi
		/* A change. */
		:: atomic { changes < CHANGES -> changes++; table = in[me] }
			atomic { word[table] = word[table] + BEGIN; busy[me] = true }
#ifdef LEAVE_EARLY
			if
			:: must_leave -> renew()
			:: else
			fi;
#endif
			truth++;
			atomic { word[table] = word[table] + END; busy[me] = false }
		fi;
		atomic { w = 0; table = 0; floor = 0 }
	:: !must_leave && steps == STEPS -> break
	od;
	done++;
	/* Nothing to do, but not gone. */
#ifdef DEAF
	done == 2;
#else
	do
	:: must_leave -> renew()
	:: done == 2 -> break
	od;
#endif
	in[me] = NONE
}

init {
	atomic {
		run server_and_guest(0);
		run server_and_guest(1)
	}
}
