// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings that are kept: what READDIR brought of a directory from its beginning to its end, in the
 * pieces in which it came. A piece is found by the offset that it was asked with.
 *
 * A listing is good for the node's generation and until we change the directory; by words
 * (cache=shared), while the word holds that all its pieces came with. One that is longer
 * than LISTING_MAX is not kept, nor are more than a quarter of the option cache-memory.
 */
#ifndef CLIENT_LISTING_H
#define CLIENT_LISTING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/validity.h"

#define LISTING_MAX (1u << 20)

struct causeway;
struct node;
struct listing;

/* Begins one, with the directory as it is now; NULL where none is kept. */
struct listing *listing_begin(struct causeway *c, struct node *node);

/* A piece as it came: asked for with an offset, and next what the one behind it is asked for with.
 * valid: by words, of the listing that it is of. */
struct listing_piece {
	uint64_t offset, next;
	const char *bytes;
	size_t len;
	struct validity valid;
};

/* Adds a piece; where it cannot be, or is not the next one, the listing is freed and *listing NULL.
 * A piece without a byte is the end, and makes it known. */
void listing_add(struct causeway *c, struct node *node, struct listing **listing,
	const struct listing_piece *piece);

/* Copies the piece of an offset: its length, or -1 where it is not known. */
ssize_t listing_copy(struct causeway *c, struct node *node, uint64_t offset, char *to,
	size_t room);

void listing_free(struct causeway *c, struct listing *listing);

#endif
