/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: needs=spin,gcc timeout=400
 *
 * Listings: a server fills a buffer with getdents and answers from it, the next requests too; a
 * listing of two buffers is kept only where the words of both are the same.
 *
 * without WORD_AT_REPLY: the word is read when the answer is made, not before the buffer was filled
 * without MIXED: pieces with different words are kept together
 * without LAST_ONLY: only the last piece's word has to be quiet
 * reaches KEPT: a listing of one word is kept
 * reaches TORN: a listing is not kept for its pieces differ
 * reaches HIT: a listing is shown from the cache
 */
#include "model.h"

#define CHANGES 3

byte word, names, changes;

active [2] proctype changer()
{
end:
	do
	:: atomic { changes < CHANGES -> changes++; word = word + BEGIN }
		names++;
		word = word + END
	od
}

/* A guest, with its server's stream of the directory. */
active proctype reader()
{
	byte w[2], piece[2], buffer, floor, kept_word, kept_piece[2], i, now;
	bool kept;

end:
	do
	:: atomic { floor = names }
		now = word;
		if
		:: atomic {
			kept && now == kept_word ->
			assert(kept_piece[0] >= floor && kept_piece[1] >= floor);
			reached(HIT)
		   }
		:: else ->
			i = 0;
			do
			:: i < 2 ->
#ifdef WORD_AT_REPLY
				buffer = names;
				w[i] = word;
#else
				w[i] = word;
				buffer = names;
#endif
				atomic { piece[i] = buffer; i++ }
			:: else -> break
			od;
			atomic {
#ifdef MIXED
				kept = quiet(w[0]) && quiet(w[1]);
#else
#ifdef LAST_ONLY
				kept = quiet(w[1]);
#else
				kept = quiet(w[0]) && w[0] == w[1];
#endif
#endif
				if
				:: kept -> reached(KEPT)
				:: else -> reached(TORN)
				fi;
				kept_word = (kept -> w[1] : 0);
				kept_piece[0] = (kept -> piece[0] : 0);
				kept_piece[1] = (kept -> piece[1] : 0)
			}
		fi;
		atomic {
			w[0] = 0; w[1] = 0; piece[0] = 0; piece[1] = 0;
			buffer = 0; floor = 0; now = 0; i = 0
		}
	od
}
