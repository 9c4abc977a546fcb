/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Which inode lost its link: a server removes a name and can mark only the inode that it has found
 * under it before; another server, or a process of the host, may give the name to another file in
 * between, or remove another link of the first one. The server holds the inode by a descriptor and
 * looks at it afterwards: had it not lost the link, all servers and guests forget everything (the
 * epoch). Somebody keeps the attributes of one file or the other.
 *
 * Here an access shows what was acknowledged, not what somebody may have seen already: between the
 * system call and the epoch the wrong inode's attributes are old. No order of marks can help that.
 *
 * without NO_LOOK: nobody looks at the inode afterwards
 * without COUNT_ONLY: it is thought to have lost the link since its count is smaller
 * without COUNT_EARLY: its links are counted before it is marked
 * without LATE_EPOCH: the change is acknowledged before the epoch moves
 * reaches WRONG: another inode loses the link
 * reaches RIGHT: the inode that was marked does
 * reaches OLD: what was seen by nobody who was told is shown, for that moment
 */
#include "model.h"

/* Slots of the attributes of two files; both begin with two links, "name" is one of the first's. */
byte word[2], epoch;
byte attr[2], links[2] = 2;
byte name;     /* which file it is */
bool gone;
byte floor[2]; /* what an access may rely on */

#define mark(f)   word[f] = word[f] + BEGIN
#define unmark(f) word[f] = word[f] + END

/* A change that its own server has marked can be relied on from then on. */
#define change(f) attr[f]++; floor[f] = max(floor[f], attr[f])

/* Removes the name. */
proctype remover()
{
	byte f, lost, before, count, told;
	bool mine;

	atomic { !gone -> f = name }
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
	mine = links[f] < count;
	atomic {
		unmark(f);
#ifndef COUNT_ONLY
		/* Others at the slot may have taken a link: then nobody knows. */
		mine = mine && alone(before, word[f])
#endif
	}
#ifdef LATE_EPOCH
	floor[lost] = max(floor[lost], told);
#endif
#ifndef NO_LOOK
	if
	:: mine
	:: else -> epoch++
	fi;
#endif
	floor[lost] = max(floor[lost], told)
}

/* Renames the second file over the name. */
proctype renamer()
{
	if
	:: atomic { !gone && name == 0 -> mark(0) }
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
		unmark(0)
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
