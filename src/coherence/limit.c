// SPDX-License-Identifier: BSD-2-Clause
/*
 * How often epochs move (docs/coherence.md, Limits). tests/model/rate.pml has the rules.
 */
#include "base/clock.h"
#include "coherence/table.h"
#include "coherence/words.h"
#include "metrics/tally.h"

#define PERIOD_MS 1000

/* #syscalls: clock_gettime */

/* Each need gives the word a number that it never had: so whoever is about to say that words are
 * good again sees those that came after the epoch which it moved for the others, even if another
 * server has said so meanwhile. What it compares with is older than a period. */
static void be_timed(struct vtable *t)
{
	atomic_store(words_head(t, timed), clock_ns(CLOCK_MONOTONIC) | 1);
}

void vtable_distrust(struct vtable *t)
{
	uint64_t now = clock_ms(), last = atomic_load(&t->moved_ms);

	tally_add(TALLY_TABLE_DISTRUSTS, 1);
	if (atomic_load(words_head(t, timed)) == 0 && (!last || now >= last + PERIOD_MS) &&
		atomic_compare_exchange_strong(&t->moved_ms, &last, now))
		vtable_bump_epoch(t);
	else
		be_timed(t);
}

bool vtable_is_watched(struct vtable *t)
{
	return vtable_beat_holds(&t->beat,
		atomic_load_explicit(words_head(t, watcher), memory_order_acquire),
		clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000);
}

void vtable_tick(struct vtable *t)
{
	uint64_t now = clock_ms(), timed = atomic_load(words_head(t, timed));

	vtable_is_watched(t);
	if (timed == 0 || timed != t->timed) {
		t->timed = timed;
		t->timed_since_ms = now;
		return;
	}
	if (now < t->timed_since_ms + PERIOD_MS)
		return;
	atomic_store(&t->moved_ms, now);
	vtable_bump_epoch(t);
	atomic_compare_exchange_strong(words_head(t, timed), &timed, 0);
}
