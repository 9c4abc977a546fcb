// SPDX-License-Identifier: BSD-2-Clause
#include "client/listing.h"

#include <stdlib.h>
#include <string.h>

#include "client/client.h"

#define PIECES 64

struct piece {
	uint64_t offset;
	size_t at, len;
};

struct listing {
	uint64_t generation, changed_at; /* of the node */
	struct validity valid; /* of each piece, by words */
	uint64_t next; /* what the next piece is asked for with */
	struct piece pieces[PIECES];
	unsigned int n;
	char *bytes;
	size_t len;
	size_t counted; /* in the connection's sum */
};

struct listing *listing_begin(struct causeway *c, struct node *node)
{
	struct listing *l = c->options.cache->keeps ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return NULL;
	pthread_mutex_lock(&c->nodes.lock);
	l->generation = node->generation;
	l->changed_at = node->changed_at;
	pthread_mutex_unlock(&c->nodes.lock);
	return l;
}

void listing_free(struct causeway *c, struct listing *listing)
{
	if (!listing)
		return;
	atomic_fetch_sub(&c->listing_bytes, listing->counted);
	free(listing->bytes);
	free(listing);
}

/* Whether a listing can become the node's. */
static bool is_good(const struct listing *l, const struct node *node)
{
	return l->generation == node->generation && l->changed_at == node->changed_at;
}

/* Whether the node's is to be shown still. By words, our own changes of the directory's attributes
 * leave it; those of its names have moved the word. */
static bool is_still_good(struct causeway *c, const struct listing *l, const struct node *node)
{
	if (c->options.cache->by_words)
		return l->generation == node->generation && validity_holds(c, &l->valid);
	return is_good(l, node);
}

static bool is_of_one_state(struct causeway *c, struct listing *l, const struct validity *valid)
{
	if (!c->options.cache->by_words)
		return true;
	if (l->n == 0)
		l->valid = *valid;
	return valid->word && validity_is_same(&l->valid, valid);
}

static bool append(struct listing *l, const struct listing_piece *piece)
{
	char *longer;

	if (l->n == PIECES || piece->offset != l->next || piece->len > LISTING_MAX - l->len)
		return false;
	longer = realloc(l->bytes, l->len + piece->len + 1);
	if (!longer)
		return false;
	l->bytes = longer;
	memcpy(l->bytes + l->len, piece->bytes, piece->len);
	l->pieces[l->n++] = (struct piece){piece->offset, l->len, piece->len};
	l->len += piece->len;
	return true;
}

/* The whole of it is there. */
static void publish(struct causeway *c, struct node *node, struct listing *l)
{
	struct listing *old = l;
	size_t size = sizeof(*l) + l->len;

	if (atomic_fetch_add(&c->listing_bytes, size) + size <= c->options.cache_memory / 4) {
		l->counted = size;
		pthread_mutex_lock(&c->nodes.lock);
		if (is_good(l, node)) {
			old = node->listing;
			node->listing = l;
		}
		pthread_mutex_unlock(&c->nodes.lock);
	} else {
		atomic_fetch_sub(&c->listing_bytes, size);
	}
	listing_free(c, old);
}

void listing_add(struct causeway *c, struct node *node, struct listing **listing,
	const struct listing_piece *piece)
{
	struct listing *l = *listing;

	if (!l)
		return;
	if (!is_of_one_state(c, l, &piece->valid) || !append(l, piece)) {
		listing_free(c, l);
		*listing = NULL;
	} else if (piece->len == 0) {
		publish(c, node, l);
		*listing = NULL;
	} else {
		l->next = piece->next;
	}
}

ssize_t listing_copy(struct causeway *c, struct node *node, uint64_t offset, char *to, size_t room)
{
	const struct listing *l;
	ssize_t len = -1;

	pthread_mutex_lock(&c->nodes.lock);
	l = node->listing;
	if (l && !is_still_good(c, l, node))
		l = NULL;
	for (unsigned int i = 0; l && i < l->n; i++) {
		if (l->pieces[i].offset == offset && l->pieces[i].len <= room) {
			len = (ssize_t)l->pieces[i].len;
			memcpy(to, l->bytes + l->pieces[i].at, l->pieces[i].len);
			break;
		}
	}
	pthread_mutex_unlock(&c->nodes.lock);
	return len;
}
