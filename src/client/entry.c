// SPDX-License-Identifier: BSD-2-Clause
#include "client/entry.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/client.h"

struct entry {
	struct entry *next; /* in its bucket, or of those that are to be freed */
	struct use use;
	struct node *parent, *node; /* referenced; no node: the name is missing */
	struct validity valid;
	char name[];
};

static struct entry **bucket(struct entries *entries, const struct node *parent, const char *name)
{
	uint64_t hash = parent->id * 0x9e3779b97f4a7c15ull;

	/* FNV-1a. */
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	return &entries->buckets[(hash * 0x9e3779b97f4a7c15ull) >> 52];
}

static struct entry **find(struct entries *entries, const struct node *parent, const char *name)
{
	struct entry **at = bucket(entries, parent, name);

	while (*at && ((*at)->parent != parent || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

/* Moves an entry to those that are to be freed. */
static void take_out(struct entries *entries, struct entry **at, struct entry **gone)
{
	struct entry *e = *at;

	*at = e->next;
	uses_remove(&entries->uses, &e->use);
	entries->n--;
	e->next = *gone;
	*gone = e;
}

static void take_out_oldest(struct entries *entries, struct entry **gone)
{
	struct entry *e = container_of(entries->uses.oldest, struct entry, use);

	take_out(entries, find(entries, e->parent, e->name), gone);
}

/* Without the lock: the last reference to a node sends a request. */
static void free_entries(struct causeway *c, struct entry *gone)
{
	for (struct entry *next; gone; gone = next) {
		next = gone->next;
		if (gone->node)
			node_put(c, gone->node);
		node_put(c, gone->parent);
		free(gone);
	}
}

void entries_init(struct entries *entries)
{
	memset(entries, 0, sizeof(*entries));
	pthread_mutex_init(&entries->lock, NULL);
}

void entries_destroy(struct entries *entries)
{
	for (struct use *u = entries->uses.newest, *older; u; u = older) {
		older = u->older;
		free(container_of(u, struct entry, use));
	}
	pthread_mutex_destroy(&entries->lock);
}

void entries_clear(struct causeway *c)
{
	struct entries *entries = &c->entries;
	struct entry *gone = NULL;

	pthread_mutex_lock(&entries->lock);
	while (entries->uses.oldest)
		take_out_oldest(entries, &gone);
	pthread_mutex_unlock(&entries->lock);
	free_entries(c, gone);
}

enum entry_state entry_find(struct causeway *c, struct node *parent, const char *name,
	struct node **node)
{
	struct entries *entries = &c->entries;
	enum entry_state state = ENTRY_UNKNOWN;
	struct entry *gone = NULL, **at;

	pthread_mutex_lock(&entries->lock);
	at = find(entries, parent, name);
	if (*at && !validity_holds(c, &(*at)->valid)) {
		take_out(entries, at, &gone);
	} else if (*at) {
		uses_remove(&entries->uses, &(*at)->use);
		uses_add(&entries->uses, &(*at)->use);
		state = (*at)->node ? ENTRY_THERE : ENTRY_MISSING;
		if ((*at)->node)
			*node = node_ref(c, (*at)->node);
	}
	pthread_mutex_unlock(&entries->lock);
	free_entries(c, gone);
	return state;
}

/* Adds an entry in place of the one that there may be; under the lock. */
static void put_in(struct causeway *c, struct node *parent, const char *name, struct node *node,
	struct validity valid, struct entry **gone)
{
	struct entries *entries = &c->entries;
	struct entry **at = find(entries, parent, name), *e;
	size_t size = strlen(name) + 1;

	if (*at)
		take_out(entries, at, gone);
	e = malloc(sizeof(*e) + size);
	if (!e)
		return;
	*e = (struct entry){
		.parent = node_ref(c, parent),
		.node = node ? node_ref(c, node) : NULL,
		.valid = valid,
	};
	memcpy(e->name, name, size);
	at = bucket(entries, parent, name);
	e->next = *at;
	*at = e;
	uses_add(&entries->uses, &e->use);
	entries->n++;
	while (entries->n > c->options.cache_entries)
		take_out_oldest(entries, gone);
}

void entry_learn(struct causeway *c, struct node *parent, const char *name, struct node *node,
	struct validity valid, uint64_t asof)
{
	struct entry *gone = NULL;

	if (!validity_holds(c, &valid))
		return;
	pthread_mutex_lock(&c->entries.lock);
	if (!node_has_changed(c, parent, asof))
		put_in(c, parent, name, node, valid, &gone);
	pthread_mutex_unlock(&c->entries.lock);
	free_entries(c, gone);
}

void entry_changed(struct causeway *c, struct node *parent, const char *name, struct node *node,
	struct validity valid, uint64_t asof)
{
	struct entry *gone = NULL, **at;
	bool alone;

	pthread_mutex_lock(&c->entries.lock);
	alone = !node_has_changed(c, parent, asof);
	node_drop_attr(c, parent);
	at = find(&c->entries, parent, name);
	if (*at)
		take_out(&c->entries, at, &gone);
	if (alone && node && validity_holds(c, &valid))
		put_in(c, parent, name, node, valid, &gone);
	pthread_mutex_unlock(&c->entries.lock);
	free_entries(c, gone);
}

void entry_drop(struct causeway *c, struct node *parent, const char *name)
{
	struct entry *gone = NULL, **at;

	pthread_mutex_lock(&c->entries.lock);
	at = find(&c->entries, parent, name);
	if (*at)
		take_out(&c->entries, at, &gone);
	pthread_mutex_unlock(&c->entries.lock);
	free_entries(c, gone);
}
