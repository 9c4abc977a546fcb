/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Epochs are limited: somebody does again and again what moves the epoch; others must not have to
 * fetch everything anew each time. After so many in a period the table says that words are good by
 * time only, until a period has passed without need.
 *
 * without NO_LIMIT: the epoch moves each time
 * without SILENT_END: the table says that words are good again, and the epoch has not moved
 * without DEAF_GUEST: a guest does not look whether words are good by time only
 * reaches HIT: what is kept is used
 * reaches BY_TIME: also while epochs stand still
 * reaches BACK: words are good again
 */
#include "model.h"

#define LIMIT   1 /* epochs in a period */
#define CHANGES 4
#define PERIODS 3

byte epoch, truth, changes, periods;
byte moved;    /* epochs in this period */
bool timed, needed;
bool acting;   /* a change is done, and nothing says so yet */
byte aged;     /* the truth when this period began */
byte fetches;  /* of this period */
bool fresh;

/* Changes that no word tells. */
active proctype attacker()
{
end:
	do
	:: atomic { changes < CHANGES -> changes++; acting = true }
		truth++;
		atomic {
			if
#ifndef NO_LIMIT
			:: timed || moved == LIMIT -> timed = true; needed = true
#endif
			:: else -> epoch++; moved++
			fi;
			acting = false
		}
	od
}

active proctype clock()
{
end:
	do
	:: atomic {
		periods < PERIODS ->
		periods++;
		aged = truth;
		fresh = false;
		moved = 0;
		fetches = 0
	   }
		if
		:: atomic { timed && !needed ->
#ifndef SILENT_END
			epoch++;
			moved++;
#endif
			timed = false;
			reached(BACK)
		   }
		:: else -> needed = false
		fi
	od
}

active proctype guest()
{
	byte value, e, kept_epoch, least, by_time;
	bool kept, limited;

end:
	do
	:: atomic { least = (acting || timed -> 0 : truth); by_time = aged }
		limited = timed;
		e = epoch;
		if
#ifdef DEAF_GUEST
		:: atomic { kept && e == kept_epoch ->
#else
		:: atomic { kept && e == kept_epoch && (!limited || fresh) ->
#endif
			if
			:: limited -> assert(value >= by_time); reached(BY_TIME)
			:: else -> assert(value >= least); reached(HIT)
			fi
		   }
		:: else ->
			e = epoch;
			atomic {
				value = truth;
				fresh = true;
				kept = true;
				kept_epoch = e;
				fetches++;
				/* One by time, one for each epoch, one for that at the end. */
				assert(fetches <= LIMIT + 2)
			}
		fi;
		atomic { e = 0; least = 0; by_time = 0; limited = false }
	od
}
