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

static bool is_good(const struct listing *l, const struct node *node)
{
	return l->generation == node->generation && l->changed_at == node->changed_at;
}

static bool append(struct listing *l, uint64_t offset, const char *bytes, size_t len)
{
	char *longer;

	if (l->n == PIECES || offset != l->next || len > LISTING_MAX - l->len)
		return false;
	longer = realloc(l->bytes, l->len + len + 1);
	if (!longer)
		return false;
	l->bytes = longer;
	memcpy(l->bytes + l->len, bytes, len);
	l->pieces[l->n++] = (struct piece){offset, l->len, len};
	l->len += len;
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

void listing_add(struct causeway *c, struct node *node, struct listing **listing, uint64_t offset,
	const char *bytes, size_t len, uint64_t next)
{
	struct listing *l = *listing;

	if (!l)
		return;
	if (!append(l, offset, bytes, len)) {
		listing_free(c, l);
		*listing = NULL;
	} else if (len == 0) {
		publish(c, node, l);
		*listing = NULL;
	} else {
		l->next = next;
	}
}

ssize_t listing_copy(struct causeway *c, struct node *node, uint64_t offset, char *to, size_t room)
{
	const struct listing *l;
	ssize_t len = -1;

	pthread_mutex_lock(&c->nodes.lock);
	l = node->listing;
	for (unsigned int i = 0; l && is_good(l, node) && i < l->n; i++) {
		if (l->pieces[i].offset == offset && l->pieces[i].len <= room) {
			len = (ssize_t)l->pieces[i].len;
			memcpy(to, l->bytes + l->pieces[i].at, l->pieces[i].len);
			break;
		}
	}
	pthread_mutex_unlock(&c->nodes.lock);
	return len;
}
