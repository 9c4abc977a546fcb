// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which inodes strangers changed lately: a small table of times. The leader writes it, servers read
 * it, to tell stock guests less of what is being changed. Inodes that share a place in it are taken
 * for each other. Beside it stands how many changes it has passed on, for whoever wants to know.
 */
#ifndef WATCH_RECENT_H
#define WATCH_RECENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RECENT_BITS 13
#define RECENT_MS   3000

/* CLOCK_MONOTONIC in milliseconds, its low 32 bits; 0: never. */
struct recent {
	_Atomic uint32_t at[1u << RECENT_BITS];
	_Atomic uint64_t events;
};

/* Numbers of inodes follow each other: times 2^64 divided by the golden ratio, they spread. */
static inline unsigned int recent_place(dev_t dev, ino_t ino)
{
	return (unsigned int)((ino + (dev << 32)) * 0x9e3779b97f4a7c15ull >> (64 - RECENT_BITS));
}

static inline void recent_note(struct recent *r, dev_t dev, ino_t ino, uint64_t now)
{
	atomic_store_explicit(&r->at[recent_place(dev, ino)], (uint32_t)now | 1,
		memory_order_relaxed);
	atomic_fetch_add_explicit(&r->events, 1, memory_order_relaxed);
}

/* When an inode was changed; 0: as far as is known, never. */
static inline uint32_t recent_at(const struct recent *r, dev_t dev, ino_t ino)
{
	return atomic_load_explicit(&r->at[recent_place(dev, ino)], memory_order_relaxed);
}

static inline bool recent_is(uint32_t at, uint64_t now)
{
	/* What is noted may be of the next millisecond. */
	return (uint32_t)now + 1 - at < RECENT_MS;
}

#endif
