// SPDX-License-Identifier: BSD-2-Clause
/*
 * For how long something that is kept is believed: until a time, or while a word of the version
 * table is what it was (table.h).
 */
#ifndef CLIENT_VALIDITY_H
#define CLIENT_VALIDITY_H

#include <stdbool.h>
#include <stdint.h>

#include "coherence/words.h"

struct causeway;

struct validity {
	const vtable_word *word; /* of a slot; or NULL */
	uint64_t value, epoch;   /* good while these are the table's */
	bool timed;              /* ... and no longer than until_ns in any case */
	uint64_t until_ns;       /* CLOCK_MONOTONIC, where there is no word; 0: not good at all */
};

/* How long a back-end says that something is valid, from now. */
struct validity validity_for(uint64_t seconds, uint32_t nanoseconds);

bool validity_holds(struct causeway *c, const struct validity *v);

/* Whether two are of the same state of the same thing. */
static inline bool validity_is_same(const struct validity *a, const struct validity *b)
{
	return a->word == b->word && a->value == b->value && a->epoch == b->epoch;
}

#endif
