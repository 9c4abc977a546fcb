// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files that are kept open for the guest, for whom nodes and handles are made and forgotten
 * (keep.c).
 */
#ifndef PASSTHROUGH_KEEP_H
#define PASSTHROUGH_KEEP_H

#include "fs/passthrough/pt.h"

/* Whether an open file of a node may outlast the guest's last close(2): on the machine's own file
 * systems, which neither revalidate what is opened nor report when it is closed; and out of the DAX
 * window, where a second description ends a lease. */
bool pt_is_kept_unheard(struct passthrough *pt, const struct pt_node *node);

/* The handle that is kept of the target's node, for what its `kept` says, with a reference; or
 * -EBADF or what opening it anew says. */
int pt_kept_get(struct passthrough *pt, const struct fs_target *t, struct pt_handle **handle);

/* Takes what a node has, whose shard's lock is held; what comes back is put without it. */
struct pt_kept_ids {
	uint64_t id[PT_KEPT];
};
struct pt_kept_ids pt_kept_take(struct pt_node *node);
void pt_kept_put(struct passthrough *pt, const struct pt_kept_ids *ids);

/* A file may be executed on the host from now on, or not be written to any more: it is not held
 * open for writing for longer than it is written to. The caller has the node pinned. */
void pt_kept_rest(struct passthrough *pt, struct pt_node *node);

/* The same, where that is for the file's attributes to say. */
void pt_kept_look(struct passthrough *pt, struct pt_node *node);

#endif
