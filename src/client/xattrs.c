// SPDX-License-Identifier: BSD-2-Clause
#include "client/xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

struct kept {
	struct kept *next;
	bool is_there;
	size_t len;
	char *name; /* behind the value */
	char value[];
};

struct xattrs {
	struct validity valid;
	size_t bytes; /* in the connection's sum */
	struct kept *first;
};

void xattrs_free(struct causeway *c, struct xattrs *x)
{
	if (!x)
		return;
	atomic_fetch_sub(&c->listing_bytes, x->bytes);
	for (struct kept *k = x->first, *next; k; k = next) {
		next = k->next;
		free(k);
	}
	free(x);
}

static struct kept **find(struct xattrs *x, const char *name)
{
	struct kept **at = &x->first;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static ssize_t copy(const struct kept *k, void *value, size_t room)
{
	if (!k->is_there)
		return -ENODATA;
	if (room == 0)
		return (ssize_t)k->len;
	if (k->len > room)
		return -ERANGE;
	memcpy(value, k->value, k->len);
	return (ssize_t)k->len;
}

bool xattrs_get(struct causeway *c, struct node *node, const char *name, void *value, size_t room,
	ssize_t *result)
{
	const struct kept *k = NULL;

	if (!c->options.cache->by_words)
		return false;
	pthread_mutex_lock(&c->nodes.lock);
	if (node->xattrs && validity_holds(c, &node->xattrs->valid))
		k = *find(node->xattrs, name);
	if (k)
		*result = copy(k, value, room);
	pthread_mutex_unlock(&c->nodes.lock);
	return k;
}

struct validity xattrs_begin(struct causeway *c, struct node *node)
{
	struct validity v;

	pthread_mutex_lock(&c->nodes.lock);
	v = node->attr_valid;
	pthread_mutex_unlock(&c->nodes.lock);
	return v.word && validity_holds(c, &v) ? v : (struct validity){.word = NULL};
}

/* Under the lock: the node's, of this state, with room for more bytes; those of another go to
 * *gone. */
static struct xattrs *of_state(struct causeway *c, struct node *node, const struct validity *valid,
	size_t more, struct xattrs **gone)
{
	struct xattrs *x = node->xattrs;

	if (x && !validity_is_same(&x->valid, valid)) {
		*gone = x;
		x = node->xattrs = NULL;
	}
	if (atomic_load(&c->listing_bytes) + sizeof(*x) + more > c->options.cache_memory / 4)
		return NULL;
	if (!x) {
		x = calloc(1, sizeof(*x));
		if (!x)
			return NULL;
		x->bytes = sizeof(*x);
		atomic_fetch_add(&c->listing_bytes, x->bytes);
		node->xattrs = x;
	}
	x->valid = *valid;
	x->bytes += more;
	atomic_fetch_add(&c->listing_bytes, more);
	return x;
}

void xattrs_put(struct causeway *c, struct node *node, const char *name, const void *value,
	size_t len, struct validity valid, uint64_t asof)
{
	size_t size = sizeof(struct kept) + len + strlen(name) + 1;
	struct xattrs *x = NULL, *gone = NULL;
	struct kept *k;

	if (!c->options.cache->by_words || !valid.word || !(k = malloc(size)))
		return;
	*k = (struct kept){.is_there = value, .len = len, .name = k->value + len};
	if (value)
		memcpy(k->value, value, len);
	strcpy(k->name, name);
	pthread_mutex_lock(&c->nodes.lock);
	if (node->changed_at <= asof && validity_holds(c, &valid))
		x = of_state(c, node, &valid, size, &gone);
	/* Of one state a name has one value. */
	if (x && !*find(x, name)) {
		k->next = x->first;
		x->first = k;
		k = NULL;
	} else if (x) {
		x->bytes -= size;
		atomic_fetch_sub(&c->listing_bytes, size);
	}
	pthread_mutex_unlock(&c->nodes.lock);
	xattrs_free(c, gone);
	free(k);
}
