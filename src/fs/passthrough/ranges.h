// SPDX-License-Identifier: BSD-2-Clause
/*
 * The locked ranges of one owner of a file: what a system call has set, noted once more, for what
 * the host's kernel does not tell: how many there are, whose process they are, who is in whose
 * way.
 *
 * They are kept sorted, do not overlap, and neighbours of one kind are one range, as in the
 * kernel. A change never needs more than two more than there are; memory for them is taken
 * before the system call, so that noting it cannot fail. Nothing here is locked: callers do that.
 */
#ifndef PASSTHROUGH_RANGES_H
#define PASSTHROUGH_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end; /* the last byte included */
	int type;            /* F_RDLCK or F_WRLCK; F_UNLCK only in a change */
	uint32_t pid;
};

struct ranges {
	struct range *at;
	size_t n, room;
};

/* Makes room for one change: 0 or -ENOMEM. */
int ranges_reserve(struct ranges *r);

/* How many more ranges a change would make; below 0: fewer. */
int ranges_growth(const struct ranges *r, const struct range *change);

/* Makes a change, for which there is room. */
void ranges_set(struct ranges *r, const struct range *change);

/* The first range that overlaps, or NULL. */
const struct range *ranges_find(const struct ranges *r, uint64_t start, uint64_t end);

/* The first one that is in the way of somebody else's lock, or NULL. */
const struct range *ranges_conflict(const struct ranges *r, const struct range *wanted);

void ranges_free(struct ranges *r);

#endif
