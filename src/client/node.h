// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nodes: the inodes that the back-end told us of and has not been told to forget.
 *
 * Each reply with an entry raises the count of lookups that the back-end holds for its node. Here
 * a node has one object however often it was looked up, found by its number; it lives while
 * something of ours refers to it (a handle, a walk). With the last reference it is forgotten with
 * all its lookups: forgets gather, and go out together on the high-priority queue.
 *
 * Validity. What is known of a node (its attributes) is valid until a time or while a word of
 * memory is unchanged. Modes of caching (cache.h) differ in what they put there, not in who asks.
 *
 * What is kept by words (cache=shared) is moved on by our own changes, as their replies say, and by
 * nobody else's.
 *
 * Data, a listing and a symlink's target are good for a generation. It ends with a change of ours
 * that is about all of them, when the file is opened and the back-end does not say that it is
 * unchanged, and, in modes that look, with attributes that show another time or size.
 *
 * A change of ours makes what is known invalid, also what a request brings that began before the
 * change: `asof` is the count of changes when it began.
 *
 * An entry that makes no sense (no number, no type, another type than before) is -EPROTO.
 */
#ifndef CLIENT_NODE_H
#define CLIENT_NODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/glance.h"
#include "client/validity.h"
#include "proto/fuse_ops.h"

struct causeway;
struct words;
struct xattrs;

struct node {
	uint64_t id;
	uint64_t lookups; /* the back-end's count */
	unsigned int refs;
	uint32_t type;    /* S_IFMT */
	struct node *next;

	struct fuse_attr attr;
	struct validity attr_valid;
	struct validity size_valid; /* of the length and mode: what we write in it leaves them */
	struct validity search_valid; /* of a directory: we may search it (search.c) */
	bool attr_known;     /* something was, once */
	struct glance glance; /* attr and attr_valid again */
	uint64_t changed_at; /* the count of changes after the last one of ours */

	uint64_t serial;     /* no other node's */
	uint64_t generation; /* of its data and listing: what is of another one is not its */
	/* By words: the state that the generation is of, and the page with the file's end (number
	 * + 1; 0: none is kept), which goes when the file grows. */
	struct validity data_valid;
	uint64_t tail;
	char *target;        /* of a symlink, once it was read */
	struct validity target_valid;
	struct xattrs *xattrs; /* xattrs.h; or NULL */
	struct listing *listing; /* of a directory (listing.h) */
	struct behind *_Atomic behind; /* of a file (behind.h) */

	/* Of a file in the window (window.h). */
	_Atomic unsigned int ranges; /* that it has there */
	_Atomic bool stored;         /* it was written to there: its times are not what they were */
	uint32_t refusal, skip;      /* under the window's lock: misses to let pass */
};

#define NODE_BUCKETS 4096
#define FORGETS      64

struct nodes {
	pthread_mutex_t lock; /* of all that follows, and of what is in the nodes */
	struct node *buckets[NODE_BUCKETS];
	struct node root;
	struct fuse_forget_one forgets[FORGETS];
	unsigned int nforgets;
	uint64_t oldest_ns; /* when the first of them came */
	uint64_t serials;
	_Atomic uint64_t changes;
};

void nodes_init(struct nodes *nodes);

/* Frees what is left, without telling the back-end: DESTROY says it all. */
void nodes_destroy(struct causeway *c);

/* The node of an entry that a reply brought, with a reference; what names the operation, and valid
 * is of the attributes in it. */
int node_take(struct causeway *c, const char *what, const struct fuse_entry_out *entry,
	struct validity valid, uint64_t asof, struct node **node);

/* Gives one lookup of a node back that a reply brought and nobody took. */
void node_forget(struct causeway *c, uint64_t id);

/* Whether we changed something of the node since the count of changes was asof. */
bool node_has_changed(struct causeway *c, struct node *node, uint64_t asof);

struct node *node_ref(struct causeway *c, struct node *node);

/* The node of a number, with a reference, or NULL where it is not known. */
struct node *node_find(struct causeway *c, uint64_t id);
void node_put(struct causeway *c, struct node *node);

/* New attributes of a node that a reply brought: -EPROTO where they are another type's. */
int node_set_attr(struct causeway *c, struct node *node, const struct fuse_attr *attr,
	struct validity valid, uint64_t asof);

/* What a change of ours says of the node that it changed: known from now on, unless something else
 * changed since the change began. */
int node_changed(struct causeway *c, struct node *node, const struct fuse_attr *attr,
	struct validity valid, uint64_t asof);

/* The attributes, if they are still valid; and without another copy of them. */
bool node_get_attr(struct causeway *c, struct node *node, struct fuse_attr *attr);
bool node_glance(struct causeway *c, struct node *node, struct glanced *seen);

/* Attributes of which the length and mode are still valid. Otherwise *once: whether they have been,
 * for some time, and nothing of ours has changed them since. */
bool node_get_size(struct causeway *c, struct node *node, struct fuse_attr *attr, bool *once);

/* Under the lock of the nodes: its attributes are not known. */
void node_unknow_attr(struct node *node);

/* Under the lock of the nodes: whoever asked before this does not know it. (For content.c.) */
void node_note_change(struct causeway *c, struct node *node);

/* What was changed is not known any more. */
void node_drop_attr(struct causeway *c, struct node *node);

/* content.c: its data and listing, without anything of ours having changed; and where it has. */
void node_forget_data(struct causeway *c, struct node *node);
void node_drop_data(struct causeway *c, struct node *node);

/* ... and what is known of all nodes. */
void nodes_forget_data(struct causeway *c);

/* We wrote these bytes, as the words of a reply say (NULL: there is none): its attributes are not
 * known any more, and of its data the rest, where nothing but these changed. */
void node_wrote(struct causeway *c, struct node *node, off_t from, off_t to,
	const struct words *words);

/* We wrote where only the back-end knows: at the end. */
void node_appended(struct causeway *c, struct node *node, const struct words *words);

/* These bytes are in the window from now on, or are not any more: what is kept of them, or was
 * asked for before, is not to be shown. */
void node_left_window(struct causeway *c, struct node *node, off_t from, off_t to);

uint64_t node_generation(struct causeway *c, struct node *node);

/* Whether data of a generation is still to be shown. */
bool node_has_data(struct causeway *c, struct node *node, uint64_t generation);

/* What a read has brought, begun when the count of changes was asof. */
struct fill {
	uint64_t generation; /* of the node, before it was asked for */
	uint64_t asof;
	struct validity valid;
};

/* Whether what was read may be kept, as of fill->generation, which may be a new one then. tail: it
 * is a page with the file's end, its number + 1; or 0. */
bool node_keeps_data(struct causeway *c, struct node *node, struct fill *fill, uint64_t tail);

/* The target of a symlink, where it is known: copied (PATH_MAX bytes), and its length, or 0. */
size_t node_get_target(struct causeway *c, struct node *node, char *target);
void node_set_target(struct causeway *c, struct node *node, const char *target,
	struct validity valid);

#endif
