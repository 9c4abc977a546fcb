// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nodes: which inodes the guest knows.
 *
 * A LOOKUP on one queue may meet the last FORGET on another. Both decide under the lock of the
 * shard: either the count is raised first and FORGET leaves the node, or the node has left the
 * shard and LOOKUP makes another, with another number.
 */
#include <errno.h>
#include <string.h>

#include "fs/passthrough/pt.h"
#include "fs/passthrough/spare.h"

struct pt_node_ref pt_ref(struct passthrough *pt, uint64_t id)
{
	struct pt_node_ref ref = {.pt = pt, .node = pt_node_get(pt, id), .error = -ESTALE};

	if (!ref.node)
		return ref;
	ref.error = pt_pin(pt, ref.node);
	if (ref.error < 0) {
		pt_node_put(pt, ref.node);
		ref.node = NULL;
	}
	return ref;
}

struct pt_node *pt_node_get(struct passthrough *pt, uint64_t id)
{
	struct idslot *slot;
	struct pt_node *node;

	slot = idtab_get(pt->nodes, id == FS_ROOT ? idtab_id(&pt->root->slot) : id);
	if (!slot)
		return NULL;
	node = container_of(slot, struct pt_node, slot);
	/* Forgotten but still held by an open handle, or the root by a number it does not have. */
	if (atomic_load_explicit(&node->lookups, memory_order_relaxed) == 0 ||
		(node == pt->root && id != FS_ROOT)) {
		idtab_put(pt->nodes, slot);
		return NULL;
	}
	return node;
}

void pt_node_put(struct passthrough *pt, struct pt_node *node)
{
	idtab_put(pt->nodes, &node->slot);
}

void pt_cleanup_node(struct pt_node_ref *ref)
{
	if (ref->node) {
		pt_unpin(ref->node);
		if (ref->pt->config.keeps_no_descriptors) {
			atomic_store(&ref->node->used, false);
			pt_cool(ref->pt, ref->node, false);
		}
		pt_node_put(ref->pt, ref->node);
	}
}

uint64_t pt_node_id(const struct passthrough *pt, const struct pt_node *node)
{
	return node == pt->root ? FS_ROOT : idtab_id(&node->slot);
}

/* Where a node was found: what find_or_make() needs to know beside the inode itself. */
struct found {
	int *fd; /* -1 once a node has it */
	const struct statx *attr;
	struct pt_mount *mount;
	struct pt_node *parent; /* or NULL */
	const char *name;
	bool barred;
	bool unopened; /* there is no descriptor, and the inode was born then: */
	int64_t birth;
};

size_t pt_node_bytes(const struct passthrough *pt)
{
	return pt->nodes->used * (sizeof(struct pt_node) + PT_NODE_MORE) + pt->node_extra;
}

static struct pt_node *new_node(struct passthrough *pt, const struct pt_key *key,
	const struct found *f)
{
	struct idslot *slot = NULL;
	struct pt_node *node;

	if (pt_node_bytes(pt) < pt->config.node_bytes)
		slot = idtab_take(pt->nodes);
	if (!slot)
		return NULL;
	node = container_of(slot, struct pt_node, slot);
	node->key = *key;
	node->fd = steal_fd(f->fd);
	node->type = f->attr->stx_mode & S_IFMT;
	node->barred = f->barred;
	node->mount = f->mount;
	if (f->unopened) {
		node->proof = f->birth;
		node->proof_kind = PT_PROOF_BIRTH;
		atomic_store(&node->unopened, true);
		atomic_store(&node->pins, PT_COLD);
		atomic_fetch_add(&pt->unopened, 1);
	}
	atomic_fetch_add(&f->mount->users, 1);
	atomic_store(&node->lookups, 1);
	idtab_publish(slot);
	return node;
}

/* The number was given to another file: the node's own is gone. */
static void lose(struct pt_shard *shard, struct pt_node *node)
{
	node->lost = true;
	pt_shard_remove(shard, node);
}

/* Whether a node without descriptor is the inode that was found; else its own is gone. */
static bool is_same_unopened(struct pt_shard *shard, struct pt_node *node, const struct found *f)
{
	if (node->proof == f->birth)
		return true;
	lose(shard, node);
	return false;
}

/* Known: counts a lookup, and takes the descriptor where the node has none. */
static struct pt_node *use_known(struct passthrough *pt, struct pt_shard *shard,
	struct pt_node *node, struct found *f)
{
	if (f->unopened) {
		if (!is_same_unopened(shard, node, f))
			return NULL;
	} else if (atomic_load(&node->pins) & PT_COLD) {
		if (!pt_is_same_inode(node, *f->fd, f->attr)) {
			lose(shard, node);
			return NULL;
		}
		pt_warm(pt, node, steal_fd(f->fd));
	}
	pt_count_lookup(node);
	return node;
}

/* Known, or made now; the lock is held. *before is to be put when it is not. */
static int find_or_make(struct passthrough *pt, struct pt_shard *shard, uint64_t hash,
	struct found *f, struct pt_node **before, uint64_t *id)
{
	struct pt_key key = pt_key_of(f->attr);
	struct pt_node *node = pt_shard_find(shard, hash, &key);
	int r = 0;

	if (node)
		node = use_known(pt, shard, node, f);
	if (!node) {
		node = new_node(pt, &key, f);
		if (!node)
			return -ENFILE;
		r = pt_shard_insert(shard, hash, node);
	}
	*id = pt_node_id(pt, node);
	*before = r < 0 ? node : pt_set_name(pt, node, f->parent, f->name);
	return r;
}

/* References and pins a node that was found in its shard, whose lock is held, where it has the
 * reference of its lookups. Its pins before: a cold one has no descriptor yet. */
static uint32_t hold(struct passthrough *pt, struct pt_node *node)
{
	idtab_get(pt->nodes, idtab_id(&node->slot));
	return atomic_fetch_add(&node->pins, 1);
}

/*
 * A descriptor of ours keeps the number of an inode of this machine, but not of a server's: that
 * may give the number of a file that was removed to the next one while the node is hot. Two
 * inodes here with one number there may be names of one file, too: then the node's still answers.
 */
static void lose_removed(struct passthrough *pt, struct pt_shard *shard, uint64_t hash, int fd,
	const struct statx *attr)
{
	struct pt_key key = pt_key_of(attr);
	struct pt_node *node;
	bool cold;

	pthread_mutex_lock(&shard->lock);
	node = pt_shard_find(shard, hash, &key);
	cold = node && hold(pt, node) & PT_COLD;
	pthread_mutex_unlock(&shard->lock);
	if (!node)
		return;
	if (!cold && pt_is_removed(node, fd, attr)) {
		pthread_mutex_lock(&shard->lock);
		if (pt_shard_find(shard, hash, &key) == node)
			lose(shard, node);
		pthread_mutex_unlock(&shard->lock);
	}
	pt_unpin(node);
	pt_node_put(pt, node);
}

int pt_node_found(struct passthrough *pt, int taken_fd, const struct statx *attr,
	struct pt_node *parent, const char *name, uint64_t *id)
{
	CLEANUP_FD int fd = taken_fd;
	struct found f = {.fd = &fd, .attr = attr, .parent = name ? parent : NULL, .name = name};
	struct pt_key key = pt_key_of(attr);
	uint64_t hash = pt_key_hash(&key);
	struct pt_shard *shard = pt_shard_of(pt, hash);
	struct pt_mount *found_mount = NULL;
	struct pt_node *before = NULL;
	int barred = 0, r;

	/* Only crossing a mount leads to another file system. */
	if (parent && pt_is_beside(attr, parent)) {
		barred = parent->barred;
		f.mount = parent->mount;
	} else {
		barred = pt_is_barred(fd);
		f.mount = found_mount = barred < 0 ? NULL : pt_mount_find(pt, key.mount, fd);
	}
	if (barred < 0 || !f.mount)
		return barred < 0 ? barred : -ENOMEM;
	f.barred = barred;
	if (!f.mount->keeps_numbers)
		lose_removed(pt, shard, hash, fd, attr);
	pthread_mutex_lock(&shard->lock);
	r = find_or_make(pt, shard, hash, &f, &before, id);
	pthread_mutex_unlock(&shard->lock);
	if (found_mount)
		pt_mount_put(pt, found_mount);
	if (before)
		pt_node_put(pt, before);
	if (r == 0 && fd < 0)
		pt_node_is_hot(pt, *id);
	return r;
}

/* What is known of an inode that was found without a descriptor: 0, or -EAGAIN where one is needed;
 * the lock is held. */
static int see_known(struct passthrough *pt, struct pt_node *node, struct pt_node **hot)
{
	bool cold = atomic_load(&node->pins) & PT_COLD;

	if (pt->config.opens_names || (cold && !atomic_load(&node->unopened)))
		return -EAGAIN;
	if (!cold) {
		hold(pt, node);
		*hot = node;
	}
	return 0;
}

int pt_node_seen(struct passthrough *pt, const struct statx *attr, struct pt_node *parent,
	const char *name, struct pt_node **hot, uint64_t *id)
{
	struct pt_key key = pt_key_of(attr);
	uint64_t hash = pt_key_hash(&key);
	struct pt_shard *shard = pt_shard_of(pt, hash);
	struct found f = {.fd = &(int){-1}, .attr = attr, .mount = parent->mount,
		.parent = parent, .name = name, .unopened = true};
	struct pt_node *before = NULL, *known;
	int r = 0;

	*hot = NULL;
	if (!pt_has_birth(attr, &f.birth) || !pt_is_quiet(attr))
		return -EAGAIN;
	pthread_mutex_lock(&shard->lock);
	known = pt_shard_find(shard, hash, &key);
	if (known)
		r = see_known(pt, known, hot);
	if (r == 0 && !*hot)
		r = find_or_make(pt, shard, hash, &f, &before, id);
	pthread_mutex_unlock(&shard->lock);
	if (before)
		pt_node_put(pt, before);
	return r;
}

int pt_node_hold(struct passthrough *pt, const struct statx *attr, struct pt_node **node)
{
	struct pt_key key = pt_key_of(attr);
	uint64_t hash = pt_key_hash(&key);
	struct pt_shard *shard = pt_shard_of(pt, hash);
	int r = -ESTALE;

	pthread_mutex_lock(&shard->lock);
	*node = pt_shard_find(shard, hash, &key);
	if (*node)
		r = !!(atomic_load(&(*node)->pins) & PT_COLD);
	if (r == 0)
		hold(pt, *node);
	else
		*node = NULL;
	pthread_mutex_unlock(&shard->lock);
	return r;
}

struct pt_node *pt_node_known(struct passthrough *pt, int *fd, const struct statx *attr)
{
	struct pt_key key = pt_key_of(attr);
	uint64_t hash = pt_key_hash(&key);
	struct pt_shard *shard = pt_shard_of(pt, hash);
	struct pt_node *node;
	bool cold = false;

	pthread_mutex_lock(&shard->lock);
	node = pt_shard_find(shard, hash, &key);
	if (node) {
		cold = atomic_load(&node->pins) & PT_COLD;
		if (cold && !pt_is_same_inode(node, *fd, attr))
			node = NULL;
	}
	if (node) {
		hold(pt, node);
		if (cold)
			pt_warm(pt, node, steal_fd(fd));
	}
	pthread_mutex_unlock(&shard->lock);
	if (node && cold)
		pt_node_is_hot(pt, idtab_id(&node->slot));
	return node;
}

void pt_node_destroy(void *opaque, struct idslot *slot)
{
	struct passthrough *pt = opaque;
	struct pt_node *node = container_of(slot, struct pt_node, slot);

	if (atomic_load(&node->pins) & PT_COLD)
		atomic_fetch_sub(node->unopened ? &pt->unopened : &pt->cooled, 1);
	if (node->file_handle)
		atomic_fetch_sub(&pt->node_extra,
			pt_piece(sizeof(*node->file_handle) + node->file_handle->handle_bytes));
	if (node->name)
		atomic_fetch_sub(&pt->node_extra, pt_piece(strlen(node->name) + 1));
	pt_spare_drop(node);
	close_fd(&node->fd);
	pt_mount_put(pt, node->mount);
	free(node->file_handle);
	free(node->name);
}
