// SPDX-License-Identifier: BSD-2-Clause
#include "client/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"
#include "client/behind.h"
#include "client/client.h"
#include "client/listing.h"
#include "client/xattrs.h"

/* Forgets wait for company, but not for ever: each keeps something alive in the back-end. */
#define FORGET_AFTER_NS 1000000000ull

static struct node **bucket(struct nodes *nodes, uint64_t id)
{
	return &nodes->buckets[(id * 0x9e3779b97f4a7c15ull) >> 52];
}

void nodes_init(struct nodes *nodes)
{
	memset(nodes, 0, sizeof(*nodes));
	pthread_mutex_init(&nodes->lock, NULL);
	nodes->root = (struct node){
		.id = FUSE_ROOT_ID, .refs = 1, .type = S_IFDIR, .serial = ++nodes->serials};
	*bucket(nodes, FUSE_ROOT_ID) = &nodes->root;
}

static void free_node(struct causeway *c, struct node *n)
{
	behind_free(c, n);
	listing_free(c, n->listing);
	free(n->target);
	xattrs_free(c, n->xattrs);
	if (n != &c->nodes.root)
		free(n);
}

void nodes_destroy(struct causeway *c)
{
	struct nodes *nodes = &c->nodes;

	for (size_t i = 0; i < NODE_BUCKETS; i++) {
		for (struct node *n = nodes->buckets[i], *next; n; n = next) {
			next = n->next;
			free_node(c, n);
		}
	}
	pthread_mutex_destroy(&nodes->lock);
}

static struct node *find(struct nodes *nodes, uint64_t id)
{
	struct node *n = *bucket(nodes, id);

	while (n && n->id != id)
		n = n->next;
	return n;
}

static bool sensible_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	default:
		return false;
	}
}

static int send_forgets(struct causeway *c, const struct fuse_forget_one *ones, unsigned int n)
{
	struct fuse_batch_forget_in in = {.count = n};
	struct call call = {
		.opcode = FUSE_BATCH_FORGET,
		.args = {CALL_STRUCT(in), {(void *)ones, n * sizeof(*ones)}},
		.nargs = 2,
	};

	return client_send(c, &call);
}

/* Notes lookups that are over, and sends what has gathered when it is enough or old. */
static void forget(struct causeway *c, uint64_t id, uint64_t lookups)
{
	struct fuse_forget_one ones[FORGETS];
	struct nodes *nodes = &c->nodes;
	unsigned int n = 0;

	pthread_mutex_lock(&nodes->lock);
	if (nodes->nforgets == 0)
		nodes->oldest_ns = clock_ns(CLOCK_MONOTONIC);
	nodes->forgets[nodes->nforgets++] =
		(struct fuse_forget_one){.nodeid = id, .nlookup = lookups};
	if (nodes->nforgets == FORGETS ||
		clock_ns(CLOCK_MONOTONIC) - nodes->oldest_ns > FORGET_AFTER_NS) {
		n = nodes->nforgets;
		memcpy(ones, nodes->forgets, n * sizeof(*ones));
		nodes->nforgets = 0;
	}
	pthread_mutex_unlock(&nodes->lock);
	/* Where this fails the back-end has gone, or keeps what it need not. */
	if (n > 0)
		send_forgets(c, ones, n);
}

void node_forget(struct causeway *c, uint64_t id)
{
	if (id != FUSE_ROOT_ID)
		forget(c, id, 1);
}

static struct node *add(struct nodes *nodes, const struct fuse_entry_out *entry)
{
	struct node *n = calloc(1, sizeof(*n)), **at = bucket(nodes, entry->nodeid);

	if (!n)
		return NULL;
	n->id = entry->nodeid;
	n->serial = ++nodes->serials;
	n->type = entry->attr.mode & S_IFMT;
	n->next = *at;
	return *at = n;
}

static bool same_content(const struct fuse_attr *a, const struct fuse_attr *b)
{
	return a->size == b->size && a->mtime == b->mtime && a->mtimensec == b->mtimensec &&
		a->ctime == b->ctime && a->ctimensec == b->ctimensec;
}

/* Under the lock. What was asked before a change of ours is no news. */
static void fill(struct causeway *c, struct node *n, const struct fuse_attr *attr,
	struct validity valid, uint64_t asof)
{
	if (n->changed_at > asof)
		return;
	if (n->attr_known && c->options.cache->looks && !same_content(&n->attr, attr))
		n->generation++;
	n->attr_known = true;
	n->attr = *attr;
	n->attr_valid = n->size_valid = valid;
	glance_put(&n->glance, attr, &valid);
}

int node_take(struct causeway *c, const char *what, const struct fuse_entry_out *entry,
	struct validity valid, uint64_t asof, struct node **node)
{
	struct nodes *nodes = &c->nodes;
	struct node *n;
	int r = 0;

	if (entry->nodeid == 0 || !sensible_type(entry->attr.mode)) {
		if (entry->nodeid)
			node_forget(c, entry->nodeid);
		return client_fail(c, -EPROTO, "the back-end's reply to %s is malformed: "
					       "the entry has no %s",
			what, entry->nodeid ? "type" : "node");
	}
	pthread_mutex_lock(&nodes->lock);
	n = find(nodes, entry->nodeid);
	if (n && n->type != (entry->attr.mode & S_IFMT))
		r = -EPROTO;
	else if (!n && !(n = add(nodes, entry)))
		r = -ENOMEM;
	if (r == 0) {
		n->refs++;
		/* The root is never forgotten. */
		n->lookups += n != &nodes->root;
		fill(c, n, &entry->attr, valid, asof);
		*node = n;
	}
	pthread_mutex_unlock(&nodes->lock);
	if (r < 0)
		node_forget(c, entry->nodeid);
	if (r == -EPROTO)
		return client_fail(c, r, "the back-end's reply to %s is malformed: "
					 "the node is of another type than before", what);
	return r < 0 ? client_fail(c, r, "no memory for a node") : 0;
}

bool node_has_changed(struct causeway *c, struct node *node, uint64_t asof)
{
	bool changed;

	pthread_mutex_lock(&c->nodes.lock);
	changed = node->changed_at > asof;
	pthread_mutex_unlock(&c->nodes.lock);
	return changed;
}

struct node *node_find(struct causeway *c, uint64_t id)
{
	struct node *n;

	pthread_mutex_lock(&c->nodes.lock);
	n = find(&c->nodes, id);
	if (n)
		n->refs++;
	pthread_mutex_unlock(&c->nodes.lock);
	return n;
}

struct node *node_ref(struct causeway *c, struct node *node)
{
	pthread_mutex_lock(&c->nodes.lock);
	node->refs++;
	pthread_mutex_unlock(&c->nodes.lock);
	return node;
}

void node_put(struct causeway *c, struct node *node)
{
	struct nodes *nodes = &c->nodes;
	struct node **at;

	pthread_mutex_lock(&nodes->lock);
	if (--node->refs > 0) {
		pthread_mutex_unlock(&nodes->lock);
		return;
	}
	at = bucket(nodes, node->id);
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	pthread_mutex_unlock(&nodes->lock);
	window_forget(c, node);
	forget(c, node->id, node->lookups);
	free_node(c, node);
}

static int check_type(struct causeway *c, const struct node *node, const struct fuse_attr *attr)
{
	if ((attr->mode & S_IFMT) == node->type)
		return 0;
	return client_fail(c, -EPROTO, "the back-end says that a node has another type than "
				       "before");
}

int node_set_attr(struct causeway *c, struct node *node, const struct fuse_attr *attr,
	struct validity valid, uint64_t asof)
{
	int r = check_type(c, node, attr);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->nodes.lock);
	fill(c, node, attr, valid, asof);
	pthread_mutex_unlock(&c->nodes.lock);
	return 0;
}

void node_unknow_attr(struct node *node)
{
	node->attr_valid = node->size_valid = (struct validity){.word = NULL};
	glance_put(&node->glance, &node->attr, &node->attr_valid);
}

void node_note_change(struct causeway *c, struct node *node)
{
	node_unknow_attr(node);
	node->changed_at = ++c->nodes.changes;
}

int node_changed(struct causeway *c, struct node *node, const struct fuse_attr *attr,
	struct validity valid, uint64_t asof)
{
	int r = check_type(c, node, attr);
	bool alone;

	pthread_mutex_lock(&c->nodes.lock);
	alone = node->changed_at <= asof;
	node_note_change(c, node);
	if (r == 0 && alone)
		fill(c, node, attr, valid, c->nodes.changes);
	pthread_mutex_unlock(&c->nodes.lock);
	return r;
}

bool node_glance(struct causeway *c, struct node *node, struct glanced *seen)
{
	if (!glance_get(&node->glance, seen)) {
		pthread_mutex_lock(&c->nodes.lock);
		*seen = (struct glanced){node->attr, node->attr_valid};
		pthread_mutex_unlock(&c->nodes.lock);
	}
	return validity_holds(c, &seen->valid);
}

bool node_get_attr(struct causeway *c, struct node *node, struct fuse_attr *attr)
{
	struct glanced seen;

	if (!node_glance(c, node, &seen))
		return false;
	*attr = seen.attr;
	return true;
}

bool node_get_size(struct causeway *c, struct node *node, struct fuse_attr *attr, bool *once)
{
	bool valid;

	/* Where all attributes are good, the length is. */
	*once = true;
	if (node_get_attr(c, node, attr))
		return true;
	pthread_mutex_lock(&c->nodes.lock);
	valid = validity_holds(c, &node->size_valid);
	*once = node->size_valid.word || node->size_valid.until_ns != 0;
	*attr = node->attr;
	pthread_mutex_unlock(&c->nodes.lock);
	return valid;
}

void node_drop_attr(struct causeway *c, struct node *node)
{
	pthread_mutex_lock(&c->nodes.lock);
	node_note_change(c, node);
	pthread_mutex_unlock(&c->nodes.lock);
}
