// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory in pages: where requests and replies lie while they are in flight.
 *
 * Whoever asks for more than is free waits, as long as calls are in flight that give pages back by
 * themselves. What applications hold (buffers, replies not yet released) does not count: waiting
 * for that could be waiting for oneself, so it is -ENOBUFS.
 *
 * Thread-safe.
 */
#ifndef CLIENT_ARENA_H
#define CLIENT_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_PAGE 4096u

struct arena {
	char *base;
	size_t pages;
	uint64_t *bits; /* a set bit is a page in use */
	size_t hint;    /* where to look first */
	size_t passing; /* allocations that end by themselves */
	unsigned int waiting;
	pthread_mutex_t lock;
	pthread_cond_t freed;
};

int arena_init(struct arena *a, void *base, size_t bytes);
void arena_destroy(struct arena *a);

/* Takes bytes, rounded up to pages. passing says that the caller frees them without anything that
 * the application has to do first. -ENOBUFS, -EMSGSIZE for more than there is at all. */
int arena_alloc(struct arena *a, size_t bytes, bool passing, void **p);
void arena_free(struct arena *a, void *p, size_t bytes, bool passing);

/* Whether these bytes lie wholly inside. */
bool arena_holds(const struct arena *a, const void *p, size_t bytes);

#endif
