// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extended attributes that are kept by words: values, that there is none of a name, and the list of
 * names. All of one node are of one state of its attributes. They count with the listings.
 *
 * That there is none is told by an error, which has no words. So it is known under the word that
 * was trusted before it was asked for, if that is the one still.
 */
#ifndef CLIENT_XATTRS_H
#define CLIENT_XATTRS_H

#include <sys/types.h>

#include "client/validity.h"

struct causeway;
struct node;
struct xattrs;

/* The name that the list of names is kept under. */
#define XATTRS_LIST ""

/* What is kept of a name: copies it and returns its length (with no room, only the length), or
 * -ENODATA or -ERANGE; false where nothing is known. */
bool xattrs_get(struct causeway *c, struct node *node, const char *name, void *value, size_t room,
	ssize_t *result);

/* Before a value is asked for: what an error will be good for. */
struct validity xattrs_begin(struct causeway *c, struct node *node);

/* Keeps the value of a name, or (NULL) that there is none, as asked for when the count of changes
 * was asof. */
void xattrs_put(struct causeway *c, struct node *node, const char *name, const void *value,
	size_t len, struct validity valid, uint64_t asof);

/* With a node that goes. */
void xattrs_free(struct causeway *c, struct xattrs *x);

#endif
