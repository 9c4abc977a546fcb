/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Epochs are limited: somebody does again and again what moves the epoch; others must not have to
 * fetch everything anew each time. After so many in a period the table says that words are good by
 * time only, until a period has passed without need. Two servers may end that, at once, and one of
 * them be slow; meanwhile there may be a need again.
 *
 * Each need has a number of its own, as the time is in the table, and "timed" is that of the last.
 *
 * without NO_LIMIT CHANGES=6: the epoch moves each time
 * without SILENT_END: the table says that words are good again, and the epoch has not moved
 * without EPOCH_AFTER: it says so before the epoch moves
 * without END_BLINDLY: it says so though there was a need after the epoch
 * without COUNT_NEEDS: the numbers of needs begin anew at each end
 * without DEAF_GUEST: a guest does not look whether words are good by time only
 * without TIMED_LAST: it looks for that after it has loaded the epoch
 * reaches HIT: what is kept is used
 * reaches BY_TIME: also while epochs stand still
 * reaches BACK: words are good again
 * reaches NEEDED: there was a need after the epoch, so they are not
 */
#include "model.h"

#define LIMIT   1 /* epochs in a period, of whoever needs them */
#define ENDERS  2
#define PERIODS 2
#ifndef CHANGES
#define CHANGES 4
#endif

byte epoch, truth, changes, periods;
byte done;       /* the truth, of what is acknowledged */
byte moved;      /* epochs in this period, of the one who needs them */
byte timed;      /* 0: words are good */
byte aged;       /* what was done when this period began */
byte fetches;    /* of this period */
bool fresh;
bool tick[ENDERS];

#ifdef COUNT_NEEDS
#define need_number (timed + 1)
#else
#define need_number changes
#endif

/* Changes that no word tells. */
active proctype attacker()
{
	bool may;

end:
	do
	:: atomic { changes < CHANGES -> changes++; truth++ }
		atomic {
#ifdef NO_LIMIT
			may = true;
#else
			may = timed == 0 && moved < LIMIT;
#endif
			moved = (may -> moved + 1 : moved)
		}
		if
		:: may -> epoch++
		:: else -> timed = need_number
		fi;
		atomic { done = truth; may = false }
	od
}

/* A second passes; that no step of a server takes so long is not said. */
active proctype clock()
{
end:
	do
	:: atomic {
		periods < PERIODS ->
		periods++;
		aged = done;
		fresh = false;
		moved = 0;
		fetches = 0;
		tick[0] = true;
		tick[1] = true
	   }
	od
}

/* A server, which looks each second. */
active [ENDERS] proctype ender()
{
	byte me = _pid - 2, seen;

end:
	do
	:: atomic {
		tick[me] ->
		tick[me] = false;
		if
		:: timed != 0 && timed == seen ->
			/* Its own next epoch has to wait. */
			moved = (me == 0 -> LIMIT : moved)
		:: else -> seen = timed; goto end
		fi
	   }
#ifdef EPOCH_AFTER
		timed = (timed == seen -> 0 : timed);
		epoch++;
#else
#ifndef SILENT_END
		epoch++;
#endif
		atomic {
#ifdef END_BLINDLY
			timed = 0;
#else
			if
			:: timed == seen -> timed = 0; reached(BACK)
			:: timed != seen && timed != 0 -> reached(NEEDED)
			:: else
			fi;
#endif
			seen = 0
		}
#endif
	od
}

active proctype guest()
{
	byte value, e, kept_epoch, least, by_time;
	bool kept, limited;

end:
	do
	:: atomic { least = (timed -> 0 : done); by_time = aged }
#ifndef TIMED_LAST
		limited = timed != 0;
#endif
		e = epoch;
#ifdef TIMED_LAST
		limited = timed != 0;
#endif
		if
#ifdef DEAF_GUEST
		:: atomic { kept && e == kept_epoch ->
#else
		:: atomic { kept && e == kept_epoch && (!limited || fresh) ->
#endif
			assert(value >= by_time);
			if
			:: limited -> reached(BY_TIME)
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
				/* One by time, one that was under way, one for each epoch. */
				assert(fetches <= LIMIT + ENDERS + 2)
			}
		fi;
		atomic { e = 0; least = 0; by_time = 0; limited = false }
	od
}
