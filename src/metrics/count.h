// SPDX-License-Identifier: BSD-2-Clause
/*
 * Counters that one thread at a time writes and any thread reads.
 *
 * So counting needs no locked instruction: a load, an addition and a store, in memory that no
 * other thread writes. Who reads sees each counter whole, but not several of one moment.
 */
#ifndef METRICS_COUNT_H
#define METRICS_COUNT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

static inline uint64_t count_read(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void count_set(counter *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline void count_add(counter *c, uint64_t n)
{
	count_set(c, count_read(c) + n);
}

/* Of structures that are counters and nothing else: all of one added to another's, or set to 0. */
static inline void count_add_all(counter *into, const counter *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*into); i++)
		count_add(&into[i], count_read(&from[i]));
}

static inline void count_clear_all(counter *c, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*c); i++)
		count_set(&c[i], 0);
}

#endif
