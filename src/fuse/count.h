// SPDX-License-Identifier: BSD-2-Clause
/*
 * What requests cost: counted by each worker for itself (metrics/count.h), summed up by whoever
 * asks.
 *
 * Times. Looking at the clock twice takes 60 ns where a GETATTR takes 2 µs, so of each operation
 * one request in FUSE_TIMED has its time taken, the first one among them; of those that the pool
 * runs, every one. A time is that from the request's being taken out of the ring to its reply: what
 * the guest waits for besides (its own queueing, wake-ups) is no part of it. Waits for locks have
 * none.
 */
#ifndef FUSE_COUNT_H
#define FUSE_COUNT_H

#include <pthread.h>
#include <stdint.h>

#include "base/clock.h"
#include "metrics/histogram.h"
#include "metrics/text.h"
#include "proto/fuse_ops.h"

#define FUSE_TIMED 16

struct fuse_op_count {
	counter requests; /* that came */
	counter errors;   /* ... and were answered with one */
	struct times times;
};

struct fuse_numbers {
	struct fuse_op_count ops[FUSE_OPCODE_MAX]; /* 0: what is no operation of FUSE's table */
	counter read, written;                     /* bytes of files */
};

/* Those of one worker. */
struct fuse_count {
	struct fuse_numbers numbers;
	struct fuse_count *next;
};

/* All of a session. */
struct fuse_counts {
	pthread_mutex_t lock; /* of what follows */
	struct fuse_count *first;
	struct fuse_numbers ended; /* of workers that are no more */
};

struct fuse_session;

void fuse_counts_init(struct fuse_counts *all);
void fuse_count_join(struct fuse_counts *all, struct fuse_count *c);
void fuse_count_leave(struct fuse_counts *all, struct fuse_count *c);

static inline struct fuse_op_count *fuse_count_of(struct fuse_count *c, uint32_t opcode)
{
	return &c->numbers.ops[opcode < FUSE_OPCODE_MAX ? opcode : 0];
}

/* A request has come: when, or 0 where its time is not taken. */
static inline uint64_t fuse_count_begin(struct fuse_op_count *op)
{
	uint64_t n = count_read(&op->requests);

	count_set(&op->requests, n + 1);
	return n % FUSE_TIMED == 0 ? clock_ns(CLOCK_MONOTONIC) : 0;
}

/* It was answered with result. */
static inline void fuse_count_end(struct fuse_op_count *op, uint64_t begun, int result)
{
	if (result < 0)
		count_add(&op->errors, 1);
	if (begun)
		times_add(&op->times, clock_ns(CLOCK_MONOTONIC) - begun);
}

/* All of it, from any thread; names as of trace/ops.h. */
void fuse_counts_metrics(struct fuse_counts *all, struct metrics *m);

#endif
