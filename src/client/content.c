// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is known of a node's content: generations of data, targets of symlinks.
 */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/xattrs.h"

void node_forget_data(struct causeway *c, struct node *node)
{
	pthread_mutex_lock(&c->nodes.lock);
	node->generation++;
	pthread_mutex_unlock(&c->nodes.lock);
}

void nodes_forget_data(struct causeway *c)
{
	struct nodes *nodes = &c->nodes;

	pthread_mutex_lock(&nodes->lock);
	for (size_t i = 0; i < NODE_BUCKETS; i++) {
		for (struct node *n = nodes->buckets[i]; n; n = n->next) {
			node_unknow_attr(n);
			n->search_valid = (struct validity){.word = NULL};
			n->generation++;
			xattrs_free(c, n->xattrs);
			n->xattrs = NULL;
		}
	}
	pthread_mutex_unlock(&nodes->lock);
}

void node_drop_data(struct causeway *c, struct node *node)
{
	pthread_mutex_lock(&c->nodes.lock);
	node_note_change(c, node);
	node->generation++;
	pthread_mutex_unlock(&c->nodes.lock);
}

/* Drops the pages that a change of ours wrote to, and then says that the others are of the state
 * after it: one that a reader publishes meanwhile was asked for before. */
static void drop_and_move(struct causeway *c, struct node *node, off_t from, off_t to,
	const struct validity *before, const struct validity *after, uint64_t tail)
{
	pages_drop(c, node, from, to);
	if (tail > 0)
		pages_drop(c, node, (off_t)((tail - 1) * PAGE_BYTES), (off_t)(tail * PAGE_BYTES));
	pthread_mutex_lock(&c->nodes.lock);
	if (validity_is_same(&node->data_valid, before)) {
		node->data_valid = *after;
		if (node->tail == tail)
			node->tail = 0;
	}
	pthread_mutex_unlock(&c->nodes.lock);
}

/* The same where words say what is still known. Unlocks. */
static void wrote_by_words(struct causeway *c, struct node *node, off_t from, off_t to,
	const struct words *words)
{
	struct validity size = node->size_valid, data = node->data_valid, before = data;
	bool sized = words_move(c, words, VT_NODE_ATTR, &size);
	bool held = words_move(c, words, VT_NODE_DATA, &data);
	bool within = sized && from < to && (uint64_t)to <= node->attr.size;
	uint64_t tail = within ? 0 : node->tail;

	node_note_change(c, node);
	if (within)
		node->size_valid = size;
	if (!held)
		node->generation++;
	pthread_mutex_unlock(&c->nodes.lock);
	if (held)
		drop_and_move(c, node, from, to, &before, &data, tail);
}

void node_wrote(struct causeway *c, struct node *node, off_t from, off_t to,
	const struct words *words)
{
	struct validity size_valid;
	bool within;

	pthread_mutex_lock(&c->nodes.lock);
	if (words && words->came) {
		wrote_by_words(c, node, from, to, words);
		return;
	}
	size_valid = node->size_valid;
	/* Beyond its end the last page is another too. */
	within = node->attr_known && (uint64_t)to <= node->attr.size;
	node_note_change(c, node);
	if (within)
		node->size_valid = size_valid;
	else
		node->generation++;
	pthread_mutex_unlock(&c->nodes.lock);
	if (within)
		pages_drop(c, node, from, to);
}

void node_appended(struct causeway *c, struct node *node, const struct words *words)
{
	if (words->came)
		node_wrote(c, node, 0, 0, words);
	else
		node_drop_data(c, node);
}

void node_left_window(struct causeway *c, struct node *node, off_t from, off_t to)
{
	pthread_mutex_lock(&c->nodes.lock);
	/* As after a change, but its attributes are what they were. */
	node->changed_at = ++c->nodes.changes;
	pthread_mutex_unlock(&c->nodes.lock);
	pages_drop(c, node, from, to);
}

uint64_t node_generation(struct causeway *c, struct node *node)
{
	uint64_t generation;

	pthread_mutex_lock(&c->nodes.lock);
	generation = node->generation;
	pthread_mutex_unlock(&c->nodes.lock);
	return generation;
}

bool node_has_data(struct causeway *c, struct node *node, uint64_t generation)
{
	bool has;

	pthread_mutex_lock(&c->nodes.lock);
	has = node->generation == generation &&
		(!c->options.cache->by_words || validity_holds(c, &node->data_valid));
	pthread_mutex_unlock(&c->nodes.lock);
	return has;
}

/* Under the lock. */
static bool keeps_by_words(struct causeway *c, struct node *node, struct fill *fill, uint64_t tail)
{
	if (!validity_holds(c, &fill->valid))
		return false;
	if (!validity_is_same(&node->data_valid, &fill->valid) || (tail && tail < node->tail)) {
		node->generation++;
		node->tail = 0;
	}
	/* One page with the end is enough to look after; those behind it are empty. */
	if (tail > node->tail && node->tail)
		return false;
	node->data_valid = fill->valid;
	if (tail)
		node->tail = tail;
	fill->generation = node->generation;
	return true;
}

bool node_keeps_data(struct causeway *c, struct node *node, struct fill *fill, uint64_t tail)
{
	bool keeps;

	pthread_mutex_lock(&c->nodes.lock);
	keeps = node->changed_at <= fill->asof;
	if (keeps && c->options.cache->by_words)
		keeps = keeps_by_words(c, node, fill, tail);
	else if (keeps)
		keeps = node->generation == fill->generation;
	pthread_mutex_unlock(&c->nodes.lock);
	return keeps;
}

size_t node_get_target(struct causeway *c, struct node *node, char *target)
{
	size_t len = 0;

	pthread_mutex_lock(&c->nodes.lock);
	if (node->target &&
		(!c->options.cache->by_words || validity_holds(c, &node->target_valid))) {
		len = strlen(node->target);
		memcpy(target, node->target, len + 1);
	}
	pthread_mutex_unlock(&c->nodes.lock);
	return len;
}

void node_set_target(struct causeway *c, struct node *node, const char *target,
	struct validity valid)
{
	char *copy = c->options.cache->keeps ? strdup(target) : NULL;

	pthread_mutex_lock(&c->nodes.lock);
	/* It never becomes another: a new link is a new node. */
	if (!node->target) {
		node->target = copy;
		copy = NULL;
	}
	node->target_valid = valid;
	pthread_mutex_unlock(&c->nodes.lock);
	free(copy);
}
