/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Host processes: they change what is shared without a word in the table; a watcher hears of it and
 * moves the words. Its queue may overflow, something may be mounted over a directory, the watcher may
 * die and be followed by another. What a guest keeps is right as soon as no event is on its way; while
 * nobody watches it is right by time, which passes here by a clock that ticks. Between two ticks there
 * is time enough for a watcher to pass on what waits, and for guests to miss the beat of a dead one.
 *
 * What is shown is on a file system of a server that has another watcher than the one that leads; it
 * tells each of these of it, and waits for the answer before it shows it first. It tells again what
 * it told before as a guest would use it again, but not by time.
 *
 * without FORGET_OVERFLOW: the epoch stays when events are lost
 * without FORGET_MOUNT: the epoch stays when something is mounted
 * without EPOCH_LAST: a server reads the epoch after the state
 * without SILENT_TAKEOVER: the next watcher does not move the epoch
 * without EARLY_EPOCH: the next watcher moves the epoch before it listens
 * without NO_LEASE: a guest trusts words while nobody watches
 * without LEASE_FIRST: a guest loads the watcher's word after the epoch
 * without CATCH_UP: the next watcher's word moves while something older than that waits
 * without COUNT_EARLY: the next watcher's word moves though a server has not told what it shows
 * without ENTER_FIRST: a file system is shown first and watched then
 * without TELL_OLD_WORD: a server tells again what it told of another word
 * without TELL_OLD_EPOCH: or of another epoch
 * without TELL_UNWATCHED: or while nobody watches
 * without TELL_LEASE_LAST: it loads the watcher's word after the epoch
 * reaches HIT: what is kept is used, while somebody watches
 * reaches AGED: what is kept is used by time
 * reaches AGAIN: the server tells again what it told before
 * reaches OVERFLOWN: the queue is full
 * reaches TAKEN: another watcher takes over
 */
#include "model.h"

#define CHANGES 2
#define QUEUE   1

byte word, epoch;
byte truth, changes;
byte queue;            /* events that wait */
bool elsewhere, once;  /* one of them is of another object */
bool overflow, mounted;
bool handling;         /* an event is out of the queue, and its word has not moved */
bool listening;        /* the watcher's marks are set: what happens is queued */
bool entered;          /* the server shows the file system */
bool told;             /* to the watcher that leads, which has marked it */
bool lease;            /* as guests see it: the word in the header moves */
bool alive;
byte deaths, ticks;
byte aged;             /* the truth when the clock last ticked */
bool fresh;            /* the guest's copy is younger than that */

bool old;              /* what waits happened before that */

#define waits       (overflow || mounted || handling || queue > 0)
#define passed_on   (alive && !waits)
#define settled_now (passed_on && lease)

#ifdef NO_LEASE
#define no_lease true
#else
#define no_lease false
#endif

/* What a server that has told something compares when it is asked again. */
#ifdef TELL_OLD_WORD
#define same_word true
#else
#define same_word (told_word == w)
#endif
#ifdef TELL_OLD_EPOCH
#define same_epoch true
#else
#define same_epoch (told_epoch == e)
#endif
#ifdef TELL_UNWATCHED
#define is_watched true
#else
#define is_watched watched
#endif

active proctype host()
{
end:
	do
	:: atomic {
		changes < CHANGES ->
		changes++;
		truth++;
		if
		:: !listening || !told
		:: else ->
			if
			:: queue + elsewhere < QUEUE -> queue++
			:: else -> overflow = true; reached(OVERFLOWN)
			fi
		fi
	   }
	:: atomic { !once && listening && queue < QUEUE -> once = true; elsewhere = true }
	/* Something else is at the path from now on. */
	:: atomic {
		changes < CHANGES ->
		changes++;
		truth++;
		if
		:: listening -> mounted = true
		:: else
		fi
	   }
	od
}

active proctype watcher()
{
again:
	/* It takes over: the marks, then the epoch, then the lease, once nothing old waits. */
	atomic { !alive && !lease -> alive = true }
#ifdef EARLY_EPOCH
	epoch++;
	listening = true;
#else
	listening = true;
#ifndef COUNT_EARLY
end_wait:
	!entered || told;
#endif
#ifndef SILENT_TAKEOVER
	epoch++;
#endif
#endif
end:
	do
#ifdef CATCH_UP
	:: atomic { !lease -> lease = true }
#else
	:: atomic { !lease && !old -> lease = true }
#endif
	:: atomic { queue > 0 -> queue--; handling = true }
		atomic { word = word + VERSION; handling = false; old = old && waits }
	:: elsewhere -> elsewhere = false
	:: atomic { overflow -> overflow = false; handling = true }
#ifndef FORGET_OVERFLOW
		epoch++;
#endif
		atomic { handling = false; old = old && waits }
	:: atomic { mounted -> mounted = false; handling = true }
#ifndef FORGET_MOUNT
		epoch++;
#endif
		atomic { handling = false; old = old && waits }
	:: atomic {
		deaths < 1 ->
		deaths++;
		alive = false;
		listening = false;
		told = false;
		queue = 0;
		elsewhere = false;
		overflow = false;
		mounted = false;
		old = false
	   }
		/* Its beat is missed after a while. */
		lease = false;
		reached(TAKEN);
		goto again
	od
}

/* The server's own watcher, which follows. */
active proctype follower()
{
end:
	do
	:: atomic { listening && entered && !told -> told = true }
	od
}

active proctype clock()
{
end:
	do
	:: atomic {
		ticks < 1 && (passed_on || !lease) ->
		ticks++;
		old = waits;
		aged = truth;
		fresh = false
	   }
	od
}

active proctype guest()
{
	byte value, w, e, least, by_time, kept_word, kept_epoch, told_value, told_word, told_epoch;
	bool kept, watched, has_told;

end:
	do
	:: atomic { least = (settled_now -> truth : 0); by_time = aged }
		/* The epoch moves before the lease says again that somebody watches. */
#ifndef LEASE_FIRST
		watched = lease;
#endif
		w = word;
		e = epoch;
#ifdef LEASE_FIRST
		watched = lease;
#endif
		if
		:: atomic {
			kept && w == kept_word && e == kept_epoch && (no_lease || watched || fresh) ->
			assert(value >= by_time);
			if
			:: watched -> assert(value >= least); reached(HIT)
			:: else -> reached(AGED)
			fi
		   }
		:: else ->
#ifndef ENTER_FIRST
			entered = true;
			/* Should there be no watcher now, the next one is told. */
			told || !alive;
#endif
#ifndef TELL_LEASE_LAST
			watched = lease;
#endif
#ifndef EPOCH_LAST
			e = epoch;
#endif
#ifdef TELL_LEASE_LAST
			watched = lease;
#endif
			w = word;
			atomic {
				if
				:: has_told && same_word && same_epoch && is_watched ->
					value = told_value;
					assert(value >= by_time && value >= least);
					reached(AGAIN)
				:: else ->
					value = truth;
					has_told = quiet(w);
					told_value = (has_told -> value : 0);
					told_word = (has_told -> w : 0);
					told_epoch = (has_told -> e : 0)
				fi;
				fresh = true
			}
#ifdef EPOCH_LAST
			e = epoch;
#endif
#ifdef ENTER_FIRST
			atomic { kept = true; kept_word = w; kept_epoch = e }
			entered = true;
#else
			atomic { kept = quiet(w); kept_word = w; kept_epoch = e }
#endif
		fi;
		atomic { w = 0; e = 0; least = 0; by_time = 0; watched = false }
	od
}
