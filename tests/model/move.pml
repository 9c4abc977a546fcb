/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=600
 *
 * What a rename has moved: a server remembers which file the old name stood for, and that the new
 * one was nobody's. It marks that file only, and renames, and demands that the new name is nobody's.
 * Another server may give either name to another file meanwhile, or the new one to the same file;
 * with HOST it is a process of the host, of which the watcher tells later. With REPLACE the new name
 * may be known to be the second file's, and nothing is demanded, be it that it cannot be: then a
 * rename of two names of one file does nothing, so the server has to see that the new name is the
 * only one of what has moved, or that the old one is nobody's. The guest that has asked keeps what its rename has made of both names. Somebody keeps the
 * attributes of one file or the other.
 *
 * The watcher tells of the names and files that the host's process has changed, and of a server's
 * rename where its old name is among those that were told since the queue was last empty. It decides
 * that when the queue is empty again, for the kernel may have put the server's rename to an equal one
 * that waited already, before what the host's process did. A server that removes the new name by what
 * it remembers of it relies on all that as well. With HOST what a server does by a name that was given
 * away counts from when the watcher has told all that it has.
 *
 * What a guest believes may be old though the server has looked (with HOST, at both names): then it
 * is the watcher too that tells of the new name. A guest knows what it has moved only where it has
 * held the old name by the word that the change has found.
 *
 * with HOST=1
 * with REPLACE=1
 * with REPLACE=1 HOST=1
 * without NO_OLD_WORD: others at the old name do not matter
 * without NO_EPOCH HOST=1: the epoch is not looked at after the change
 * without OLD_BEFORE HOST=1: what is remembered is believed whatever the old name's word was
 * without NO_DEMAND HOST=1: the new name may be somebody's, and nobody looks
 * without NO_ECHO HOST=1: the watcher leaves out what servers rename
 * without AT_ONCE HOST=1: it decides as soon as it has read it
 * without FORGET HOST=1: it forgets which names were told before the queue is empty
 * without INODE_FIRST HOST=1: it tells of what a server has moved first, then of the new name
 * without NO_LOOK REPLACE=1 HOST=1: whether anything has moved is not looked at
 * without NEW_CROWDED REPLACE=1: others at the new name do not matter
 * without ONE_WORD HOST=1: the guest knows what it has moved whatever the old name's word was
 * without NOTHING_ALONE HOST=1: a rename that does nothing leaves the words as if it had
 * reaches MOVED: the file that was marked moves
 * reaches REFUSED: the new name was somebody's
 * reaches ANOTHER: another file moves
 * reaches KEPT: the guest believes what it keeps of both names
 * reaches REMOVED: the new name is removed by what was remembered of it
 */
#include "model.h"

/* Slots: of the attributes of two files, and of the names. */
#define OLD 2
#define NEW 3
#define NOBODY 2
byte word[4], epoch;
byte attr[2];
byte floor[2]; /* what an access may rely on */
byte old;      /* which file the name stands for */
byte new = NOBODY, known_new = NOBODY;

/* What the watcher has not told. A rename of the second file by the server is OWN. */
#define NOTHING 0
#define OWN     1
#define DONE    2
#define LOST    3
byte queue[3], waiting;
bool held, telling;

#define told_all (waiting == 0 && !held && !telling)

/* What the guest keeps after its rename: that the new name is the first file's, the old one nobody's. */
bool kept_new, kept_old;
byte word_new, word_old;

#define mark(s)   word[s] = word[s] + BEGIN
#define unmark(s) word[s] = word[s] + END

#define relied_on(f) floor[f] = max(floor[f], attr[f])
#define push(what)   queue[waiting] = what; waiting++

/* A server's rename of the second file: an equal event that waits is this one, too. */
inline push_own()
{
	if
	:: waiting > 0 && queue[0] == OWN
	:: waiting > 1 && queue[1] == OWN
	:: else -> push(OWN)
	fi
}

/* An answer arrives that tells what was changed. */
inline acknowledge()
{
	if
	:: told_all -> floor[0] = max(floor[0], told[0]); floor[1] = max(floor[1], told[1])
	:: else
	fi
}

proctype mover()
{
	byte was_old, was_new, f, g, moved = NOBODY, lost = NOBODY, told[2], e;
	bool sure, found, refused, demands;

	e = epoch;
	d_step { was_old = word[OLD]; mark(OLD) }
	d_step { was_new = word[NEW]; mark(NEW) }
	f = 0;
	g = known_new;
#ifndef REPLACE
#ifndef NO_DEMAND
	demands = true;
#endif
#endif
	if
#ifdef OLD_BEFORE
	:: quiet(was_old) && was_new == 0 && e == 0
#else
	:: was_old == 0 && was_new == 0 && e == 0
#endif
#ifdef HOST
	:: atomic { found = true; f = old; g = new; demands = false }
	:: else -> unmark(NEW); unmark(OLD); goto end_mover
#else
	:: else -> unmark(NEW); unmark(OLD); goto end_mover
#endif
	fi;
	mark(f);
	if
	:: g < NOBODY && g != f -> mark(g)
	:: else -> g = NOBODY
	fi;
	atomic {
		if
		:: old == NOBODY -> refused = true
		:: old != NOBODY && demands && new != NOBODY -> refused = true; reached(REFUSED)
		:: old != NOBODY && (!demands || new == NOBODY) ->
			if
			:: old == new
			:: else ->
				lost = new;
				moved = old;
				new = old;
				old = NOBODY;
				attr[moved]++;
				told[moved] = attr[moved];
#ifdef HOST
				if
				:: moved == 1 -> push_own()
				:: else
				fi;
#endif
				if
				:: moved == f -> relied_on(f); reached(MOVED)
				:: else -> reached(ANOTHER)
				fi;
				if
				:: lost != NOBODY -> attr[lost]++; told[lost] = attr[lost]
				:: else
				fi
			fi
		fi;
		/* Who has looked knows; how does not matter here (victim.pml). */
		sure = !found || refused || (moved == f && lost == g) || (moved == NOBODY && old == f)
	}
	if
	:: refused
	:: !refused && found ->
#ifndef NOTHING_ALONE
		if
		:: moved == NOBODY -> word[NEW] = word[NEW] + VERSION; word[OLD] = word[OLD] + VERSION
		:: else
		fi
#endif
	:: !refused && !found ->
#ifndef NO_OLD_WORD
		sure = word[OLD] == was_old + BEGIN;
#endif
#ifdef REPLACE
#ifndef NO_LOOK
		sure = sure && (old == NOBODY || (new == f && old != f));
#endif
#ifndef NEW_CROWDED
		sure = sure && word[NEW] == was_new + BEGIN;
#endif
#endif
#ifndef NO_EPOCH
		sure = sure && epoch == e
#endif
	fi;
	if
	:: g != NOBODY -> unmark(g)
	:: else
	fi;
	unmark(f);
	d_step { unmark(NEW); word_new = word[NEW] }
	d_step { unmark(OLD); word_old = word[OLD] }
	if
	:: sure
	:: else -> epoch++
	fi;
	/* The answer arrives: of the epoch that the request began in. */
	atomic {
		acknowledge();
		if
		:: e == 0 && !refused ->
			kept_old = was_old == 0 && alone(was_old, word_old);
			kept_new = was_new == 0 && alone(was_new, word_new);
#ifndef ONE_WORD
			kept_new = kept_new && kept_old;
#endif
			run guest()
		:: else -> goto end_mover
		fi;
		sure = sure && !found && alone(was_new, word_new);
		f = 0; g = 0; moved = NOBODY; lost = NOBODY; told[0] = 0; told[1] = 0; was_old = 0;
		found = false; demands = false
	}
	/* The new name is removed, by what is remembered of it. */
	if
	:: sure
	:: goto end_mover
	fi;
	e = epoch;
	d_step { was_new = word[NEW]; mark(NEW) }
	if
	:: e == 0 && was_new == word_new
	:: else -> unmark(NEW); goto end_mover
	fi;
	mark(0);
	atomic {
		kept_new = false;
		if
		:: new == NOBODY
		:: else ->
			lost = new;
			new = NOBODY;
			attr[lost]++;
			told[lost] = attr[lost];
			if
			:: lost == 0 -> relied_on(0)
			:: else
			fi;
			reached(REMOVED)
		fi
	}
	sure = word[NEW] == was_new + BEGIN;
	sure = sure && epoch == e;
	unmark(0);
	unmark(NEW);
	if
	:: sure
	:: else -> epoch++
	fi;
	atomic { acknowledge() }
end_mover:
	skip
}

proctype guest()
{
end:
	do
	:: atomic {
		epoch == 0 && told_all && kept_new && word_new == word[NEW] ->
		assert(new == 0);
		if
		:: kept_old && word_old == word[OLD] -> reached(KEPT)
		:: else
		fi
	   }
	:: atomic {
		epoch == 0 && told_all && kept_old && word_old == word[OLD] ->
		assert(old == NOBODY)
	   }
	od
}

bool changed_old, changed_new; /* by the host's process */

/* Gives the old name to the second file, or the new one to the first or to the second; or each gets
 * the other's. */
proctype other()
{
	byte name, f;
	bool done, both;

	atomic {
		if
		:: name = OLD; f = 1
		:: name = NEW; f = 0
		:: name = NEW; f = 1
		:: both = true
		fi
	}
#ifndef HOST
	if
	:: both || name == OLD -> mark(OLD)
	:: else
	fi;
	if
	:: both || name == NEW -> mark(NEW)
	:: else
	fi;
	mark(1);
	mark(0);
#endif
	atomic {
		if
		:: !both && name == OLD && old == 0 -> old = 1; attr[0]++; attr[1]++; done = true
		:: !both && name == NEW && new != f && (f == 1 || old == 0) ->
			if
			:: new != NOBODY -> attr[new]++
			:: else
			fi;
			new = f;
			attr[f]++;
			done = true
		:: both && old == 0 && new == 1 ->
			old = 1;
			new = 0;
			attr[0]++;
			attr[1]++;
			done = true
		:: else
		fi;
#ifdef HOST
		if
		:: done ->
			changed_old = both || name == OLD;
			changed_new = both || name == NEW;
			if
			:: push(DONE)
			:: push(LOST) /* there were more events than could be told */
			fi
		:: else
		fi
#else
		relied_on(0);
		relied_on(1)
#endif
	}
#ifndef HOST
	unmark(0);
	unmark(1);
	if
	:: both || name == NEW -> unmark(NEW)
	:: else
	fi;
	if
	:: both || name == OLD -> unmark(OLD)
	:: else
	fi
#endif
}

#ifdef HOST
proctype watcher()
{
	byte what;
	bool noted;

end:
	do
	:: atomic {
		waiting > 0 ->
		what = queue[0];
		queue[0] = queue[1];
		queue[1] = queue[2];
		queue[2] = NOTHING;
		waiting--;
		telling = true
	   }
		if
		:: what == DONE ->
			if
			:: changed_old -> word[OLD] = word[OLD] + VERSION; noted = true
			:: else
			fi;
			if
			:: changed_new -> word[NEW] = word[NEW] + VERSION
			:: else
			fi;
			atomic { word[1] = word[1] + VERSION; relied_on(1); }
			atomic { word[0] = word[0] + VERSION; relied_on(0) }
		:: what == LOST ->
			atomic { epoch++; relied_on(0); relied_on(1); }
		:: what == OWN ->
#ifndef NO_ECHO
#ifdef AT_ONCE
			held = noted
#else
			held = true
#endif
#endif
		fi;
#ifdef FORGET
		noted = false;
#endif
		atomic { telling = false; what = NOTHING }
	/* It has seen that the queue is empty. */
	:: atomic { waiting == 0 && !held -> noted = false }
	:: atomic { waiting == 0 && held && !noted -> held = false }
	:: atomic { waiting == 0 && held && noted -> telling = true }
#ifdef INODE_FIRST
		atomic { word[1] = word[1] + VERSION; relied_on(1) }
		word[OLD] = word[OLD] + VERSION;
		word[NEW] = word[NEW] + VERSION;
#else
		word[OLD] = word[OLD] + VERSION;
		word[NEW] = word[NEW] + VERSION;
		atomic { word[1] = word[1] + VERSION; relied_on(1) }
#endif
		atomic { telling = false; held = false }
	od
}
#endif

proctype keeper(byte f)
{
	byte value, w, e, least, kept_word, kept_epoch;
	bool kept;

end:
	do
	:: least = floor[f];
		w = word[f];
		if
		:: atomic {
			kept && w == kept_word && epoch == kept_epoch ->
			assert(value >= least)
		   }
		:: else ->
			e = epoch;
			w = word[f];
			atomic {
				kept = quiet(w);
				value = (kept -> attr[f] : 0);
				kept_word = (kept -> w : 0);
				kept_epoch = (kept -> e : 0)
			}
		fi;
		atomic { w = 0; e = 0; least = 0 }
	od
}

init {
	atomic {
#ifdef REPLACE
		if
		:: true
		:: new = 1; known_new = 1
		fi;
#endif
#ifdef HOST
		if
		:: true
		:: push(OWN)
		fi;
		run watcher();
#endif
		run mover();
		run other();
		if
		:: run keeper(0)
		:: run keeper(1)
		fi
	}
}
