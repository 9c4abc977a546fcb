// SPDX-License-Identifier: BSD-2-Clause
/*
 * A node's attributes and their validity once more, for who looks at them without a lock: a stat of
 * what is kept costs some loads, whatever other threads do.
 *
 * Written under the lock of the nodes; the count of turns is odd meanwhile. Whoever reads sees the
 * same even count before and after, or comes again by the way with the lock.
 */
#ifndef CLIENT_GLANCE_H
#define CLIENT_GLANCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "client/validity.h"
#include "proto/fuse_ops.h"

struct glanced {
	struct fuse_attr attr;
	struct validity valid;
};

#define GLANCE_WORDS (sizeof(struct glanced) / 8)
_Static_assert(sizeof(struct glanced) % 8 == 0, "it is copied in words");

typedef uint64_t __attribute__((may_alias)) glance_word;

struct glance {
	_Atomic uint64_t turn;
	_Atomic uint64_t words[GLANCE_WORDS];
};

static inline void glance_put(struct glance *g, const struct fuse_attr *attr,
	const struct validity *valid)
{
	uint64_t turn = atomic_load_explicit(&g->turn, memory_order_relaxed);
	const struct glanced all = {*attr, *valid};
	uint64_t words[GLANCE_WORDS];

	memcpy(words, &all, sizeof(words));
	atomic_store_explicit(&g->turn, turn + 1, memory_order_relaxed);
	/* None of them before the odd turn is there. */
	for (unsigned int i = 0; i < GLANCE_WORDS; i++)
		atomic_store_explicit(&g->words[i], words[i], memory_order_release);
	atomic_store_explicit(&g->turn, turn + 2, memory_order_release);
}

static inline bool glance_get(const struct glance *g, struct glanced *all)
{
	uint64_t turn = atomic_load_explicit(&g->turn, memory_order_acquire);
	glance_word *to = (glance_word *)all;

	/* All of them before the turn is looked at again. Word by word to where they are used:
	 * wider loads of what was just stored would wait for it. */
#pragma GCC unroll 16
	for (unsigned int i = 0; i < GLANCE_WORDS; i++)
		to[i] = atomic_load_explicit(&g->words[i], memory_order_acquire);
	return !(turn & 1) && atomic_load_explicit(&g->turn, memory_order_relaxed) == turn;
}

#endif
