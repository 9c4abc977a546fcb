/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * A server dies after its system call, and before it has found out that another inode has lost the
 * link than the one that it had marked (victim.pml). Nobody knows of that but the dead: so whoever
 * takes off the marks moves the epoch. From then on the attributes are right.
 *
 * without CLEAR_STILL: the words go on and the epoch stands still
 * reaches WRONG: another inode has lost the link
 * reaches DIED: and nobody says so
 * reaches HIT: what is kept is used
 * reaches OLD: also what is no longer so, for that moment
 */
#include "model.h"

byte word[2], epoch;
byte attr[2];
bool busy; /* nobody can rely on what the removal has done */

active proctype server()
{
	byte lost;

	atomic {
		word[0] = word[0] + BEGIN;
		if
		:: lost = 0
		:: lost = 1; reached(WRONG)
		fi
	}
	atomic { busy = true; attr[lost]++ }
	if
	:: true ->
		if
		:: lost != 0 -> epoch++
		:: else
		fi;
		word[0] = word[0] + END
	:: true ->
		/* It dies; the next one attaches alone. */
		atomic {
			if
			:: lost != 0 -> reached(DIED)
			:: else
			fi
		}
#ifndef CLEAR_STILL
		epoch++;
#endif
		word[0] = settled(word[0])
	fi;
	busy = false
}

active proctype keeper()
{
	byte at, w, e, floor, now, value, kept_word, kept_epoch;
	bool kept;

	select (at : 0 .. 1);
end:
	do
	:: atomic { now = attr[at]; floor = (busy && at != 0 -> 0 : now) }
		w = word[at];
		e = epoch;
		if
		:: atomic {
			kept && w == kept_word && e == kept_epoch ->
			assert(value >= floor);
			reached(HIT);
			if
			:: value < now -> reached(OLD)
			:: else
			fi
		   }
		:: else ->
			e = epoch;
			w = word[at];
			atomic {
				kept = quiet(w);
				value = (kept -> attr[at] : 0);
				kept_word = (kept -> w : 0);
				kept_epoch = (kept -> e : 0)
			}
		fi;
		atomic { w = 0; e = 0; floor = 0; now = 0 }
	od
}
