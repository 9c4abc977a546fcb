// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nodes that the guest forgets. What else refers to one, a handle or a request, keeps it for as
 * long, but nobody finds it any more.
 */
#include "fs/passthrough/keep.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/spare.h"

/* Takes count lookups back; the node leaves when none is left. */
static void forget(struct passthrough *pt, struct pt_node *node, uint64_t count)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	struct pt_kept_ids kept = {{0}};
	struct pt_node *parent = NULL;
	uint64_t lookups;
	bool last;

	pthread_mutex_lock(&shard->lock);
	lookups = atomic_load_explicit(&node->lookups, memory_order_relaxed);
	last = lookups > 0 && count >= lookups;
	/* A guest that forgets more than it was given forgets all of it. */
	atomic_store_explicit(&node->lookups, count >= lookups ? 0 : lookups - count,
		memory_order_relaxed);
	if (last && !node->lost)
		pt_shard_remove(shard, node);
	/* Names that lead in a circle, after changes on the host, must not keep each other. */
	if (last) {
		parent = node->parent;
		node->parent = NULL;
		kept = pt_kept_take(node);
	}
	pthread_mutex_unlock(&shard->lock);
	pt_kept_put(pt, &kept);
	if (last)
		pt_spare_drop(node);
	if (parent)
		pt_node_put(pt, parent);
	if (last)
		pt_node_put(pt, node);
}

void pt_node_forget(struct passthrough *pt, uint64_t id, uint64_t count)
{
	struct pt_node *node = pt_node_get(pt, id);

	if (!node)
		return;
	if (node != pt->root && count > 0)
		forget(pt, node, count);
	pt_node_put(pt, node);
}

static void forget_all(void *opaque, struct idslot *slot)
{
	struct passthrough *pt = opaque;
	struct pt_node *node = container_of(slot, struct pt_node, slot);

	if (node != pt->root)
		forget(pt, node, UINT64_MAX);
}

void pt_nodes_reset(struct passthrough *pt)
{
	idtab_each(pt->nodes, forget_all, pt);
}
