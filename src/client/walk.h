// SPDX-License-Identifier: BSD-2-Clause
/*
 * From a path to a node, one component at a time: "..", symlinks (40 at most) and absolute paths
 * stay inside the export, whose root is "/".
 */
#ifndef CLIENT_WALK_H
#define CLIENT_WALK_H

#include <stdbool.h>

#include "client/node.h"

#define WALK_FOLLOW 1 /* a symlink at the end is followed */
/* Stop before the last component, which need not exist; with WALK_FOLLOW it is the one that
 * symlinks at the end lead to. */
#define WALK_PARENT 2
#define WALK_EMPTY  4 /* an empty path is the start itself */

struct walked {
	struct node *node; /* a reference; with WALK_PARENT the directory */
	/* With WALK_PARENT the last component. It may be "." or "..", or empty where the path is
	 * the root: what is wrong with that is for who asks to say. */
	char name[256];
	bool slash;        /* the path ends in '/': it must be a directory */
};

/* Whether the last component is a name that can be made or removed. */
bool walked_to_name(const struct walked *w);

/* start: where relative paths begin, NULL for the root. 0 or -errno with a text that has the path;
 * the reference in w is the caller's. */
int walk(struct causeway *c, struct node *start, const char *path, unsigned int flags,
	struct walked *w);

/* LOOKUP of one name: a reference. */
int walk_lookup(struct causeway *c, struct node *parent, const char *name, struct node **node);

/*
 * search.c. Before a LOOKUP in a directory, and when it was not refused: whether that shows that it
 * may be searched. refused: ACCESS has just said that it may not.
 */
struct validity search_begin(struct causeway *c, struct node *dir, bool refused);
void search_passed(struct causeway *c, struct node *dir, const struct validity *v);

/* Whether the directory of a name that is kept may be searched: 0 or -errno. */
int search_check(struct causeway *c, struct node *dir);

/* We made or removed a name in it, as words with this bit say. */
void search_moved(struct causeway *c, struct node *dir, const struct words *words,
	unsigned int bit);

/* READLINK into a buffer of PATH_MAX bytes, NUL-terminated: its length. */
int walk_readlink(struct causeway *c, struct node *node, char *target);

#endif
