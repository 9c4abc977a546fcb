/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * What a rename has moved: a server remembers which file the old name stood for, and that the new
 * one was nobody's. It marks that file only, and renames. Another server may give either name to
 * another file meanwhile, or the new one to the same file, and then a rename does nothing; with HOST
 * it is a process of the host, of which the watcher tells later. The guest that has asked keeps what
 * its rename has made of both names. Somebody keeps the attributes of one file or the other.
 *
 * The watcher tells of the names and files that the host's process has changed, and never of what a
 * server's rename has made of them. So the server looks at what it has moved.
 *
 * with HOST=1
 * without NO_LOOK HOST=1: what is remembered is taken for what has moved
 * without NEW_ONLY HOST=1: the old name is not looked at
 * without NEW_CROWDED: others at the new name do not matter
 * reaches MOVED: the file that was marked moves
 * reaches ANOTHER: another one does
 * reaches NOTHING: both names are of one file
 * reaches REPLACED: the new name was somebody's
 * reaches KEPT: the guest believes what it keeps of both names
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
byte new = NOBODY;
bool untold;   /* what a process of the host has done is */

/* What the guest keeps after its rename: that the new name is the first file's, the old one nobody's. */
bool kept_new, kept_old;
byte word_new, word_old;

#define mark(s)   word[s] = word[s] + BEGIN
#define unmark(s) word[s] = word[s] + END

#define relied_on(f) floor[f] = max(floor[f], attr[f])

proctype mover()
{
	byte was_old, was_new, moved = NOBODY, lost = NOBODY, told[3], e;
	bool sure;

	e = epoch;
	d_step { was_old = word[OLD]; mark(OLD) }
	d_step { was_new = word[NEW]; mark(NEW) }
	if
	:: was_old == 0 && was_new == 0 && e == 0
	:: else -> unmark(NEW); unmark(OLD); goto end_mover
	fi;
	mark(0);
	atomic {
		if
		:: old == new -> reached(NOTHING)
		:: else ->
			lost = new;
			moved = old;
			new = old;
			old = NOBODY;
			attr[moved]++;
			told[moved] = attr[moved];
			if
			:: moved == 0 -> relied_on(0); reached(MOVED)
			:: else -> reached(ANOTHER)
			fi;
			if
			:: lost != NOBODY ->
				attr[lost]++;
				told[lost] = attr[lost];
				reached(REPLACED)
			:: else
			fi
		fi
	}
	sure = true;
#ifndef NO_LOOK
	sure = new == 0;
#ifndef NEW_ONLY
	sure = sure && old != 0;
#endif
#endif
#ifndef NEW_CROWDED
	sure = sure && word[NEW] == was_new + BEGIN;
#endif
	sure = sure && epoch == e;
	unmark(0);
	d_step { unmark(NEW); word_new = word[NEW]; kept_new = alone(was_new, word_new) }
	d_step { unmark(OLD); word_old = word[OLD]; kept_old = alone(was_old, word_old) }
	if
	:: sure
	:: else -> epoch++
	fi;
	/* The answer arrives: of the epoch that the request began in, 0. */
	atomic {
		if
		:: !untold -> floor[0] = max(floor[0], told[0]); floor[1] = max(floor[1], told[1])
		:: else
		fi;
		run guest()
	}
end_mover:
	skip
}

proctype guest()
{
end:
	do
	:: atomic {
		epoch == 0 && !untold && kept_new && word_new == word[NEW] ->
		assert(new == 0);
		if
		:: kept_old && word_old == word[OLD] -> reached(KEPT)
		:: else
		fi
	   }
	:: atomic {
		epoch == 0 && !untold && kept_old && word_old == word[OLD] ->
		assert(old == NOBODY)
	   }
	od
}

/* Gives the old name to the second file, or the new one to the first or to the second. */
proctype other()
{
	byte name, f;
	bool done;

	atomic {
		if
		:: name = OLD; f = 1
		:: name = NEW; f = 0
		:: name = NEW; f = 1
		fi
	}
#ifndef HOST
	mark(name);
	mark(1);
	mark(0);
#endif
	atomic {
		if
		:: name == OLD && old == 0 -> old = 1; attr[0]++; attr[1]++; done = true
		:: name == NEW && new == NOBODY && (f == 1 || old == 0) ->
			new = f;
			attr[f]++;
			done = true
		:: else
		fi;
#ifdef HOST
		untold = done
#else
		relied_on(0);
		relied_on(1)
#endif
	}
#ifndef HOST
	unmark(0);
	unmark(1);
	unmark(name)
#else
	if
	:: !done
	:: done ->
		word[name] = word[name] + VERSION;
		atomic { word[1] = word[1] + VERSION; relied_on(1); untold = false }
		atomic { word[0] = word[0] + VERSION; relied_on(0) }
	:: done -> /* There were more events than could be told. */
		atomic { epoch++; relied_on(0); relied_on(1); untold = false }
	fi
#endif
}

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
		run mover();
		run other();
		if
		:: run keeper(0)
		:: run keeper(1)
		fi
	}
}
