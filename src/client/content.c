// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is known of a node's content: generations of data, targets of symlinks.
 */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

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
			n->attr_valid = n->size_valid = (struct validity){.word = NULL};
			n->generation++;
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

void node_wrote(struct causeway *c, struct node *node, off_t from, off_t to)
{
	struct validity size_valid;
	bool within;

	pthread_mutex_lock(&c->nodes.lock);
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

size_t node_get_target(struct causeway *c, struct node *node, char *target)
{
	size_t len = 0;

	pthread_mutex_lock(&c->nodes.lock);
	if (node->target) {
		len = strlen(node->target);
		memcpy(target, node->target, len + 1);
	}
	pthread_mutex_unlock(&c->nodes.lock);
	return len;
}

void node_set_target(struct causeway *c, struct node *node, const char *target)
{
	char *copy = c->options.cache->keeps ? strdup(target) : NULL;

	pthread_mutex_lock(&c->nodes.lock);
	/* It never becomes another: a new link is a new node. */
	if (!node->target) {
		node->target = copy;
		copy = NULL;
	}
	pthread_mutex_unlock(&c->nodes.lock);
	free(copy);
}
