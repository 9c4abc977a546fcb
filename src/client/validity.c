// SPDX-License-Identifier: BSD-2-Clause
#include "client/validity.h"

#include "base/clock.h"
#include "client/client.h"

struct validity validity_for(uint64_t seconds, uint32_t nanoseconds)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), ns;

	/* A time that is no time counts as the longest. */
	if (__builtin_mul_overflow(seconds, 1000000000ull, &ns) ||
		__builtin_add_overflow(ns, nanoseconds, &ns) ||
		__builtin_add_overflow(ns, now, &ns))
		ns = UINT64_MAX;
	return (struct validity){.until_ns = seconds || nanoseconds ? ns : 0};
}

/* The loads are after the beginning of the access, and before what was kept is looked at. */
static bool word_holds(const struct vtable_view *view, const struct validity *v)
{
	return view && atomic_load_explicit(v->word, memory_order_acquire) == v->value &&
		atomic_load_explicit(words_head(view, epoch), memory_order_acquire) == v->epoch &&
		!atomic_load_explicit(words_head(view, poison), memory_order_acquire);
}

bool validity_holds(struct causeway *c, const struct validity *v)
{
	/* Once: another thread may find it poisoned meanwhile. */
	struct vtable_view *view = v->word ? table_view(&c->table) : NULL;

	bool watched = false;

	if (v->word) {
		/* Before the epoch, which moves before somebody watches again. A clock that is some
		 * milliseconds slow is fast to read. */
		watched = view && !v->timed && vtable_view_is_watched(view,
						       clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000);
		if (!word_holds(view, v))
			return false;
	}
	if (watched)
		return true;
	return v->until_ns == UINT64_MAX || clock_ns(CLOCK_MONOTONIC) < v->until_ns;
}
