/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=600
 *
 * Which inode lost its link: a server removes a name and can mark only the inode that it has found
 * under it before, or remembers. Another server may give the name to another file in between, or
 * remove another link of the first one; with HOST it is a process of the host that gives the name
 * away, of which the watcher tells later.
 *
 * What was found is held by a descriptor and looked at afterwards: had it not lost the link, all
 * servers and guests forget everything (the epoch). What is remembered, of a word of the name and an
 * epoch, is believed if these were the same before the change, and nobody but the change itself was
 * there until it was done. Somebody keeps the attributes of one file or the other.
 *
 * Here an access shows what was acknowledged, not what somebody may have seen already: between the
 * system call and the epoch the wrong inode's attributes are old. No order of marks can help that.
 *
 * With HOST what he changed counts from when the watcher has told it, and what is removed in between
 * with it.
 *
 * with HOST=1
 * without NO_LOOK: nobody looks at the inode afterwards
 * without COUNT_ONLY: it is thought to have lost the link since its count is smaller
 * without COUNT_EARLY: its links are counted before it is marked
 * without LATE_EPOCH: the change is acknowledged before the epoch moves
 * reaches WRONG: another inode loses the link
 * reaches RIGHT: the inode that was marked does
 * without OLD_WORD: what is remembered is believed whatever the name's word is
 * without OLD_EPOCH HOST=1: it is believed in another epoch
 * without NAME_ALONE: others at the name do not matter
 * without NAME_LAST HOST=1: the watcher tells of the inode first, then of the name
 * without EPOCH_BEFORE HOST=1: the epoch is not looked at after the change
 * reaches WRONG_FOUND: what was marked was the name's no more, or not yet
 * reaches SURE: what is remembered is believed to the end
 * reaches OLD: what was seen by nobody who was told is shown, for that moment
 */
#include "model.h"

/* Slots of the attributes of two files; both begin with two links, "name" is one of the first's. */
#define NAME 2
byte word[3], epoch;
byte attr[2], links[2] = 2;
byte name;     /* which file it is; of that it was the first, as words and epoch began, is remembered */
bool gone;
byte floor[2]; /* what an access may rely on */
bool untold;   /* what a process of the host has done to the second file is */

#define mark(s)   word[s] = word[s] + BEGIN
#define unmark(s) word[s] = word[s] + END

/* A change that its own server has marked can be relied on from then on. */
#define change(f) attr[f]++; floor[f] = max(floor[f], attr[f])

/* Somebody has told that an inode has changed. */
#define relied_on(f) floor[f] = max(floor[f], attr[f])

/* Removes the name. */
proctype remover()
{
	byte f, lost, before, count, told, e, was;
	bool mine, known;

	e = epoch;
	d_step { was = word[NAME]; mark(NAME) }
	known = true;
#ifndef OLD_WORD
	known = known && was == 0;
#endif
#ifndef OLD_EPOCH
	known = known && e == 0;
#endif
	if
	:: known
#ifndef HOST
	:: atomic {
		known = false;
		/* However it was found. */
		if
		:: f = 0
		:: f = 1
		fi;
		if
		:: f != name -> reached(WRONG_FOUND)
		:: else
		fi
	   }
#else
	:: !known -> unmark(NAME); goto end_remover
#endif
	fi;
#ifdef COUNT_EARLY
	count = links[f];
	d_step { before = word[f]; mark(f) }
#else
	d_step { before = word[f]; mark(f) }
	count = links[f];
#endif
	atomic {
		lost = name;
		gone = true;
		links[lost]--;
		attr[lost]++;
		told = attr[lost];
		if
		:: lost == f -> floor[f] = max(floor[f], attr[f]); reached(RIGHT)
		:: else -> reached(WRONG)
		fi
	}
	if
	:: known ->
		mine = true;
#ifndef NAME_ALONE
		mine = word[NAME] == was + BEGIN;
#endif
#ifndef EPOCH_BEFORE
		mine = mine && epoch == e
#endif
	:: else ->
		mine = links[f] < count;
#ifndef COUNT_ONLY
		/* Others at the slot may have taken a link: then nobody knows. */
		mine = mine && word[f] == before + BEGIN && quiet(before)
#endif
	fi;
	unmark(f);
	unmark(NAME);
#ifdef LATE_EPOCH
	floor[lost] = max(floor[lost], told);
#endif
#ifndef NO_LOOK
	if
	:: atomic { mine && known -> reached(SURE) }
	:: mine && !known
	:: !mine -> epoch++
	fi;
#endif
	atomic {
		if
		:: lost != 1 || !untold -> floor[lost] = max(floor[lost], told)
		:: else
		fi
	}
end_remover:
	skip
}

/* Renames the second file over the name. */
proctype renamer()
{
	if
#ifndef HOST
	:: atomic { !gone && name == 0 -> mark(NAME) }
		mark(0);
		mark(1);
		atomic {
			if
			:: !gone ->
				name = 1;
				links[0]--;
				change(0);
				change(1)
			:: else
			fi
		}
		unmark(1);
		unmark(0);
		unmark(NAME)
#else
	:: atomic {
		!gone ->
		name = 1;
		links[0]--;
		attr[0]++;
		attr[1]++;
		untold = true
	   }
		if
#ifdef NAME_LAST
		:: atomic { word[1] = word[1] + VERSION; relied_on(1); untold = false }
			word[NAME] = word[NAME] + VERSION;
#else
		:: word[NAME] = word[NAME] + VERSION;
			atomic { word[1] = word[1] + VERSION; relied_on(1); untold = false }
#endif
			atomic { word[0] = word[0] + VERSION; relied_on(0) }
		:: /* There were more events than could be told. */
			atomic { epoch++; relied_on(0); relied_on(1); untold = false }
		fi
#endif
	:: skip
	fi
}

/* Removes another name of the first file. */
proctype other()
{
	if
	:: mark(0);
		atomic { links[0]--; change(0) }
		unmark(0)
	:: skip
	fi
}

proctype keeper(byte f)
{
	byte value, w, e, least, kept_word, kept_epoch, now;
	bool kept;

end:
	do
	:: atomic { least = floor[f]; now = attr[f] }
		w = word[f];
		if
		:: atomic {
			kept && w == kept_word && epoch == kept_epoch ->
			assert(value >= least);
			if
			:: value < now -> reached(OLD)
			:: else
			fi
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
		atomic { w = 0; e = 0; least = 0; now = 0 }
	od
}

init {
	atomic {
		run remover();
		run renamer();
		run other();
		if
		:: run keeper(0)
		:: run keeper(1)
		fi
	}
}
