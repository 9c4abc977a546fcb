// SPDX-License-Identifier: BSD-2-Clause
/*
 * Histograms whose buckets double: bucket i counts what is at most 2^(first + i) and above the one
 * before it, the last what is above all of them. Finding a bucket is one instruction.
 */
#ifndef METRICS_HISTOGRAM_H
#define METRICS_HISTOGRAM_H

#include "metrics/count.h"

/* Times in nanoseconds: up to 256 ns, 512 ns, ... 17 s, and longer ones. */
#define TIMES_FIRST   8
#define TIMES_BUCKETS 27
struct times {
	counter sum;
	counter n[TIMES_BUCKETS + 1];
};

/* Numbers of things: 1, 2, up to 4, ... up to 1024, and more. */
#define SIZES_FIRST   0
#define SIZES_BUCKETS 11
struct sizes {
	counter sum;
	counter n[SIZES_BUCKETS + 1];
};

/* The bucket of a value, of so many besides the last. */
static inline unsigned int histogram_bucket(uint64_t value, unsigned int first,
	unsigned int buckets)
{
	/* The power of two that is not below it. */
	unsigned int power = value <= 1 ? 0 : 64 - (unsigned int)__builtin_clzll(value - 1);
	unsigned int i = power <= first ? 0 : power - first;

	return i < buckets ? i : buckets;
}

static inline void times_add(struct times *t, uint64_t ns)
{
	count_add(&t->sum, ns);
	count_add(&t->n[histogram_bucket(ns, TIMES_FIRST, TIMES_BUCKETS)], 1);
}

static inline void sizes_add(struct sizes *s, uint64_t size)
{
	count_add(&s->sum, size);
	count_add(&s->n[histogram_bucket(size, SIZES_FIRST, SIZES_BUCKETS)], 1);
}

#endif
