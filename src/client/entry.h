// SPDX-License-Identifier: BSD-2-Clause
/*
 * Entries: which node a name in a directory is, or that there is none.
 *
 * An entry holds its directory and its node, so that these and what is known of them outlive the
 * last handle. There are at most so many (option cache-entries): those used longest ago go first.
 *
 * A change of ours drops the entries of the names that it is about. What a request brings that
 * began before the change is not taken: its `asof` is older than the directory's last change.
 */
#ifndef CLIENT_ENTRY_H
#define CLIENT_ENTRY_H

#include <pthread.h>
#include <stdint.h>

#include "client/node.h"
#include "client/uses.h"

#define ENTRY_BUCKETS 4096

struct entry;

struct entries {
	pthread_mutex_t lock;
	struct entry *buckets[ENTRY_BUCKETS];
	struct uses uses;
	size_t n;
};

enum entry_state { ENTRY_UNKNOWN, ENTRY_THERE, ENTRY_MISSING };

void entries_init(struct entries *entries);

/* Frees them all, and leaves the nodes to nodes_destroy(). */
void entries_destroy(struct entries *entries);

/* Forgets all names. */
void entries_clear(struct causeway *c);

/* What is known of a name; the node is referenced. */
enum entry_state entry_find(struct causeway *c, struct node *parent, const char *name,
	struct node **node);

/* Keeps what a reply said of a name: its node, or (NULL) that there is none. */
void entry_learn(struct causeway *c, struct node *parent, const char *name, struct node *node,
	struct validity valid, uint64_t asof);

/*
 * A change of ours was made or tried to a name: what was known of it and of its directory goes.
 * Where the change brought a node, that is known from now on, unless something else changed in
 * the directory since the change began (asof).
 */
void entry_changed(struct causeway *c, struct node *parent, const char *name, struct node *node,
	struct validity valid, uint64_t asof);

/* A name that was found not to be what was known of it. */
void entry_drop(struct causeway *c, struct node *parent, const char *name);

#endif
