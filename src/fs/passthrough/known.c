// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/known.h"

#include <stdatomic.h>

#include "fs/passthrough/sparse.h"
#include "fs/passthrough/version.h"

/* Two that write at once may leave one's hash with the other's node. What is not there has a table
 * of its own: who looks for one name in many directories does not push out what was found. */
struct pt_known {
	struct {
		_Atomic uint64_t hash, node;
	} at[PT_KNOWN];
	_Atomic uint64_t absent[PT_KNOWN]; /* hashes; 0: of none */
};

#define load(field)         atomic_load_explicit(field, memory_order_relaxed)
#define store(field, value) atomic_store_explicit(field, value, memory_order_relaxed)

struct pt_known *pt_known_new(void)
{
	return pt_sparse_new(sizeof(struct pt_known));
}

void pt_known_free(struct pt_known *all)
{
	pt_sparse_free(all, sizeof(*all));
}

uint64_t pt_known_hash(const struct passthrough *pt, const struct pt_node *dir, const char *name)
{
	struct pt_inode inode;
	uint64_t h;

	if (pt->config.table) {
		inode = pt_inode_of(dir);
		return vtable_hash_of_name(pt->config.table, inode.dev, inode.ino, name);
	}
	h = pt_node_id(pt, dir) * 0x9e3779b97f4a7c15ull;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
	return (h ^ h >> 32) * 0x9e3779b97f4a7c15ull;
}

static size_t place_of(uint64_t hash)
{
	return hash >> 32 & (PT_KNOWN - 1);
}

struct pt_node_ref pt_known_find(struct passthrough *pt, uint64_t hash)
{
	size_t place = place_of(hash);
	struct pt_node_ref ref = {.pt = pt};
	struct pt_node *node;

	if (!pt->known || load(&pt->known->at[place].hash) != hash)
		return ref;
	node = pt_node_get(pt, load(&pt->known->at[place].node));
	if (!node)
		return ref;
	if (node->mount->keeps_numbers && !(atomic_fetch_add(&node->pins, 1) & PT_COLD)) {
		ref.node = node;
		return ref;
	}
	if (node->mount->keeps_numbers)
		pt_unpin(node);
	pt_node_put(pt, node);
	return ref;
}

bool pt_known_count(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	struct pt_node *before = NULL;
	bool found;

	pthread_mutex_lock(&shard->lock);
	found = atomic_load_explicit(&node->lookups, memory_order_relaxed) > 0 && !node->lost;
	if (found) {
		pt_count_lookup(node);
		before = pt_set_name(pt, node, parent, name);
	}
	pthread_mutex_unlock(&shard->lock);
	if (before)
		pt_node_put(pt, before);
	return found;
}

void pt_known_note(struct passthrough *pt, uint64_t hash, uint64_t node)
{
	size_t place = place_of(hash);

	if (!pt->known)
		return;
	if (load(&pt->known->absent[place]) == hash)
		store(&pt->known->absent[place], 0);
	if (load(&pt->known->at[place].hash) == hash && load(&pt->known->at[place].node) == node)
		return;
	store(&pt->known->at[place].hash, hash);
	store(&pt->known->at[place].node, node);
}

bool pt_known_is_absent(const struct passthrough *pt, uint64_t hash)
{
	return pt->known && load(&pt->known->absent[place_of(hash)]) == hash;
}

void pt_known_note_absent(struct passthrough *pt, uint64_t hash)
{
	if (pt->known && !pt_known_is_absent(pt, hash))
		store(&pt->known->absent[place_of(hash)], hash);
}
