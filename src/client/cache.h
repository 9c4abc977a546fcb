// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the client keeps, and for how long: modes of caching.
 *
 *   none    nothing is kept
 *   auto    attributes and names for as long as the back-end says; data and listings until the
 *           attributes say that they changed, and data from one open to the next only where the
 *           back-end says that it did not change (close-to-open)
 *   always  everything until we change it ourselves
 *   shared  everything until the version table says that somebody changed it
 *
 * All of it is one idea: an object is believed while its validity holds (struct validity in
 * node.h). The modes differ in the validity that they give to what a reply brings, and in whether
 * attributes are asked before data is shown.
 *
 * Order of locks: a handle's, behind.c's, entries, pages, nodes. No lock is held while a request
 * waits, but for a handle's and behind.c's.
 */
#ifndef CLIENT_CACHE_H
#define CLIENT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct causeway;
struct node;
struct validity;

struct cache_mode {
	const char *name;
	bool keeps;      /* anything at all */
	bool for_ever;   /* times of the back-end do not count */
	bool looks;      /* attributes tell whether data and listings are still good */
	bool by_words;   /* the version table tells what is still good (table.h) */
};

/* The mode of a name, or NULL. */
const struct cache_mode *cache_mode_find(const char *name);
const struct cache_mode *cache_mode_at(size_t i);

/* For how long something is believed that the back-end says is good for this time, from now, or
 * that the reply to a call shows by the look of a bit. */
struct validity cache_validity(const struct causeway *c, const struct call *call, unsigned int bit,
	uint64_t seconds, uint32_t nanoseconds);

#endif
