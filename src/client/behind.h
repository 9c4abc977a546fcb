// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writing behind (option writeback): what is written stays here for a while, so that many small
 * writes become a few large requests.
 *
 * A node has one run of bytes that wait, of one handle; a write that does not go on where the run
 * ends, or through another handle, sends the run first. So does everything that could show that the
 * bytes have not arrived: reading, attributes, locks, changes of length, closing and syncing. What
 * goes wrong with bytes that a write took is the result of the next fsync or close of a handle of
 * that file.
 *
 * Not behind: handles with O_APPEND, whose offset the back-end knows, O_SYNC, O_DSYNC and O_DIRECT;
 * and writes for which the option cache-memory leaves no room.
 *
 * One lock for each node, held while the run is sent, so that bytes keep their order.
 */
#ifndef CLIENT_BEHIND_H
#define CLIENT_BEHIND_H

#include <stdbool.h>
#include <sys/types.h>

#include "mem/cursor.h"

struct causeway;
struct causeway_file;
struct node;
struct behind;

/* Takes what is to be written, all of it: true, or false where it must be written at once. What
 * waited before has been sent by then. */
bool behind_take(struct causeway_file *f, struct cursor *from, off_t offset);

/* Sends what waits of a node: 0, or -errno, which behind_error() tells again. */
int behind_send(struct causeway *c, struct node *node);

/* Sends everything of every node. 0 or the first error. */
int behind_send_all(struct causeway *c);

/* What went wrong with bytes that waited, once. */
int behind_error(struct causeway *c, struct node *node);

/* With a node that goes. */
void behind_free(struct causeway *c, struct node *node);

#endif
