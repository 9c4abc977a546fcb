// SPDX-License-Identifier: BSD-2-Clause
/*
 * Handles: an open file or directory, or (O_PATH) only the place.
 */
#ifndef CLIENT_FILE_H
#define CLIENT_FILE_H

#include <pthread.h>

#include "client/client.h"
#include "client/walk.h"

struct causeway_file {
	struct causeway *c;
	struct node *node;
	int flags;    /* of open() */
	bool open;    /* fh is to be released */
	uint64_t fh;
	pthread_mutex_t lock; /* of a directory's listing */
	char *listing;        /* what READDIR brought last */
	size_t at, len;
	uint64_t next; /* where the next READDIR begins */
};

/* Where a relative path begins: the root for NULL. */
static inline struct node *start_of(struct causeway_file *at)
{
	return at ? at->node : NULL;
}

/* GETATTR, with the file's handle where there is one. */
int client_getattr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_attr *attr);

#endif
