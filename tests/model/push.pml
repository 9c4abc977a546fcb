/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Chains that are answered later (src/vhost/deferred.h): they are pushed by the ring's thread, or,
 * while that sleeps, by who has finished one. None stays behind, and one thread touches the ring at
 * a time, also where the main thread changes memory, or stops the ring and then changes that.
 *
 * without LAST_LOOK: the ring's thread does not look again when it has said that it sleeps
 * without LOOK_AGAIN: who pushes does not look again as it leaves
 * without WAKE: the thread is not woken where the gate is taken
 * without LOCK: who finishes a chain tries the gate when it has left the list's lock
 * reaches AWAKE: the thread is awake
 * reaches BESIDE: who finished it pushes
 * reaches LEFT: ... what others have finished too
 * reaches WOKEN: the gate is taken
 * reaches LATE: the ring stopped first
 */
#include "model.h"

#define FINISHERS 3
#define KICKS     1
#define CHANGES   1

bool gate, lock, closing;
bool asleep, pushing, wake, stop, ended, joined;
byte ready, kicks, touching;

#define take(l) atomic { !l -> l = true }
#define touch() atomic { touching++; assert(touching == 1) }

inline push()
{
	touch();
	do
	:: atomic { !lock && ready > 0 -> ready-- }
	:: atomic { !lock && ready == 0 -> break }
	od;
	touching--
}

active proctype ring()
{
	do
	:: stop -> break
	:: else ->
		take(gate);
		push();
		asleep = true;
#ifndef LAST_LOOK
		if
		:: ready > 0 ->
			asleep = false;
			gate = false
		:: else ->
#endif
			gate = false;
end:
			atomic {
				if
				:: wake || stop -> wake = false
				:: kicks < KICKS -> kicks++
				fi
			}
			asleep = false
#ifndef LAST_LOOK
		fi
#endif
	od;
	asleep = false;
	take(gate);
	take(lock);
	ended = true;
	lock = false;
	push();
	gate = false;
	joined = true
}

active [FINISHERS] proctype finisher()
{
	bool entered;

	take(lock);
	if
	:: atomic { ended -> lock = false; reached(LATE) }
		goto done
	:: else -> ready++
	fi;
#ifdef LOCK
	lock = false;
#endif
	if
	:: pushing -> skip
	:: else ->
		if
		:: atomic { !asleep -> reached(AWAKE) }
		:: else ->
			if
			:: atomic { !closing && !gate -> gate = true; entered = true; reached(BESIDE) }
				pushing = true
			:: atomic { else -> reached(WOKEN) }
#ifndef WAKE
				wake = true
#endif
			fi
		fi
	fi;
#ifndef LOCK
	lock = false;
#endif
	do
	:: !entered -> break
	:: else ->
		push();
		take(lock);
		if
#ifndef LOOK_AGAIN
		:: atomic { ready > 0 && asleep -> reached(LEFT) }
#endif
		:: else ->
			pushing = false;
			gate = false;
			entered = false
		fi;
		lock = false
	od;
done:
	skip
}

/* Changes memory, and may stop the ring, which then is its own. */
active proctype main()
{
	byte changes;

	do
	:: changes < CHANGES ->
		changes++;
		closing = true;
		take(gate);
		touch();
		touching--;
		gate = false;
		closing = false
	:: break
	od;
	if
	:: true ->
		stop = true;
		wake = true;
		joined;
		touch();
		touching--
	:: true -> skip
	fi
}

active proctype monitor()
{
	timeout -> assert(ready == 0)
}
