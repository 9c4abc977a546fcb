// SPDX-License-Identifier: BSD-2-Clause
/*
 * How often ranges of files were wanted of late that are not in the window, and whether one is
 * worth a place there.
 *
 * Counts of what is outside (here) and of what is inside (uses of a range) are of the same time:
 * both are halved after so many misses. A range gets the place of another one when it was wanted so
 * much more often that the exchange, which costs as much as several requests, is made good.
 *
 * A table of a fixed length: two ranges that meet in one place wear each other down.
 */
#ifndef CLIENT_HEAT_H
#define CLIENT_HEAT_H

#include <stdbool.h>
#include <stdint.h>

/* When a range is mapped: at its second use. When one that is mapped, but is too short or not to be
 * written to, is mapped anew. When another one has to go for it. */
#define HEAT_MAP   2u
#define HEAT_RENEW 8u
#define HEAT_SWAP  32u

struct heat_place {
	uint64_t serial, index;
	uint32_t count;
};

struct heat {
	struct heat_place *places;
	uint64_t mask;
	uint32_t misses, period;
};

/* For a window of n ranges: 0 or -ENOMEM. */
int heat_init(struct heat *h, unsigned int n);
void heat_free(struct heat *h);

/* One miss: how many there were of late. */
uint32_t heat_add(struct heat *h, uint64_t serial, uint64_t index);

/* Whether it is time to halve the counts of ranges; those here have been. */
bool heat_cools(struct heat *h);

static inline bool heat_worth(uint32_t count, uint32_t uses)
{
	return count >= HEAT_SWAP + 2 * (uint64_t)uses;
}

#endif
