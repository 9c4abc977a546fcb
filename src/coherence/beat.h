/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a watcher lives (docs/coherence.md, How a guest trusts): its word moves. Guests ask, and
 * servers that believe what they remember.
 */
#ifndef COHERENCE_BEAT_H
#define COHERENCE_BEAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/version_table.h"

/* The word when it was last seen to have moved, and when that was (of a clock that only goes
 * forward, in milliseconds). Any thread may find out. */
struct vtable_beat {
	_Atomic uint64_t word, ms;
};

/* word: what it is now. A watcher that dies is believed for VT_LEASE_MS, by who looks that often;
 * by others once more when they look again. */
static inline bool vtable_beat_holds(struct vtable_beat *b, uint64_t word, uint64_t now_ms)
{
	if (!word)
		return false;
	if (atomic_load_explicit(&b->word, memory_order_acquire) == word)
		/* Another thread's moment may be after ours. */
		return (int64_t)(now_ms - atomic_load_explicit(&b->ms, memory_order_relaxed)) <
			VT_LEASE_MS;
	/* In this order: another thread that has the beat has its time too. */
	atomic_store_explicit(&b->ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&b->word, word, memory_order_release);
	return true;
}

#endif
