/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that the last RELEASE of a file leaves for the next OPEN.
 *
 * Opening a node anew goes by way of /proc, and with its close(2) takes longer than all else that
 * an OPEN and a RELEASE do. So a descriptor that is open for reading and nothing else stays with
 * its node when the guest is done with it, one for each node, and whoever opens the file next in
 * the same way takes it. All that is done with handles says where in the file, so that it does not
 * matter where another one has left off.
 *
 * None is left where that would show or mean something (keep.h has most of it): where locks were
 * asked for by it; of a daemon that the host may refuse what it opens: in a user namespace, without
 * the right to read everything, or under Landlock (--inode-file-handles never), which closes what
 * has been moved out of the export, each open asks anew. To the guest's user nothing is given
 * that the next open would not: the guest's kernel judges, and the daemon opens with rights of its
 * own. What a process of the host may notice is an open file that lasts longer, until the guest
 * forgets the inode (a lease for writing, IN_CLOSE_NOWRITE), and fewer opens (FAN_OPEN_PERM).
 *
 * How many there may be is given. Nodes that have one, or had it when they were last opened, stand
 * in a ring by their ids; a hand goes round for the place of a node that has not been opened again
 * since it last passed, or is gone. Nodes and handles go before: when they need descriptors, spares
 * are closed first (hot.c).
 *
 * Thread safety. node->spare is a descriptor plus 1, or 0 for none: who exchanges it for 0 owns
 * the descriptor, and who puts one where 0 was has given it away. So opens and releases of any
 * number of queues at once share nothing but that word, and the ring's lock is only for a node that
 * has no place. A node that loses its place, or its last lookup, has that said (spare_listed,
 * lookups) before its spare is taken away; who leaves one looks at both afterwards, and takes it
 * back where it must not be: one of the two sees the other. What is left all the same, on a node
 * that was forgotten meanwhile, goes with the node.
 */
#ifndef PASSTHROUGH_SPARE_H
#define PASSTHROUGH_SPARE_H

#include "fs/passthrough/pt.h"

/* NULL where there is no memory, or max is 0: everything works without. */
struct pt_spares *pt_spares_new(uint32_t max);
void pt_spares_free(struct pt_spares *s);

/* The spare of a node, which is the caller's then; or -1. */
int pt_spare_take(struct pt_node *node);

/* Takes a descriptor that was opened for reading and nothing else, for a node that the caller has a
 * reference to: leaves it with the node, or closes it. */
void pt_spare_leave(struct passthrough *pt, struct pt_node *node, int fd);

/* Closes what a node has. */
void pt_spare_drop(struct pt_node *node);

/* Closes what n nodes have, whichever comes first, so that their places are free. */
void pt_spares_shrink(struct passthrough *pt, uint32_t n);

/* How many there are, and how many nodes have a place: no fewer. */
uint32_t pt_spares_count(struct passthrough *pt);
uint32_t pt_spares_places(const struct passthrough *pt);

#endif
