// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hot and cold nodes: a guest may know millions of inodes, this process may not hold as many
 * descriptors.
 *
 * A node is hot while it has one. When more are hot than may be, those that nobody used for a
 * while are cooled: the descriptor is closed, and what identifies the inode (its file handle, or
 * its birth time and the name it was found by) kept instead. Whoever needs a cold node's
 * descriptor opens it again and checks that it is the same inode, else -ESTALE.
 *
 * Who writes what: pins counts the users of fd. A user adds one and looks: without PT_COLD, fd is
 * open and stays so until the pin is given back. Cooling sets PT_COLD only where pins is 0, under
 * the lock of the node's shard; warming opens, stores fd and clears PT_COLD under the same lock.
 * Nodes with handles are not cooled: the handle's reference is taken under a pin, so cooling,
 * which looks at the references after it has set PT_COLD, sees it.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/pt.h"

/* Hot nodes that are looked at for one that can be cooled, before one more may be hot. */
#define COOL_STEPS 256

/* References of a node that is known and looked at, and no more. */
#define REFS_IDLE 2

/* How far names are followed upwards to a node that is hot. */
#define DEPTH_MAX 128

static int reopen(struct passthrough *pt, struct pt_node *node, unsigned int depth);

/* Pins with at most depth more parents to be opened on the way. */
static int pin_at(struct passthrough *pt, struct pt_node *node, unsigned int depth)
{
	struct pt_shard *shard;
	int fd = -1;

	if (!(atomic_fetch_add(&node->pins, 1) & PT_COLD))
		return 0;
	/* Opening may sleep, and parents come first: without the lock, then looked at again. */
	cred_be_daemon();
	fd = reopen(pt, node, depth);
	shard = pt_node_shard(pt, node);
	pthread_mutex_lock(&shard->lock);
	if (fd >= 0 && atomic_load(&node->pins) & PT_COLD) {
		pt_warm(pt, node, fd);
		pthread_mutex_unlock(&shard->lock);
		pt_node_is_hot(pt, idtab_id(&node->slot));
		return 0;
	}
	/* Somebody else warmed it, or it cannot be. */
	if (!(atomic_load(&node->pins) & PT_COLD)) {
		pthread_mutex_unlock(&shard->lock);
		close_fd(&fd);
		return 0;
	}
	pthread_mutex_unlock(&shard->lock);
	atomic_fetch_sub(&node->pins, 1);
	return fd;
}

int pt_pin(struct passthrough *pt, struct pt_node *node)
{
	atomic_store_explicit(&node->used, true, memory_order_relaxed);
	return pin_at(pt, node, DEPTH_MAX);
}

void pt_unpin(struct pt_node *node)
{
	atomic_fetch_sub(&node->pins, 1);
}

bool pt_is_same_inode(const struct pt_node *cold, int fd, const struct statx *attr)
{
	CLEANUP_FREE struct file_handle *now = NULL;
	const struct file_handle *then = cold->file_handle;

	if (!then)
		return attr->stx_btime.tv_sec == cold->born.tv_sec &&
			attr->stx_btime.tv_nsec == cold->born.tv_nsec;
	now = pt_file_handle(fd);
	return now && now->handle_type == then->handle_type &&
		now->handle_bytes == then->handle_bytes &&
		memcmp(now->f_handle, then->f_handle, then->handle_bytes) == 0;
}

void pt_warm(struct passthrough *pt, struct pt_node *node, int fd)
{
	node->fd = fd;
	atomic_store_explicit(&node->readable, false, memory_order_relaxed);
	free(node->file_handle);
	node->file_handle = NULL;
	atomic_fetch_and(&node->pins, ~PT_COLD);
}

/* Copies a cold node's name and references its parent; false where it has none. */
static bool copy_name(struct passthrough *pt, struct pt_node *node, char *name,
	struct pt_node **parent)
{
	struct pt_shard *shard = pt_node_shard(pt, node);

	*parent = NULL;
	pthread_mutex_lock(&shard->lock);
	if (node->parent) {
		*parent = container_of(idtab_get(pt->nodes, idtab_id(&node->parent->slot)),
			struct pt_node, slot);
		strcpy(name, node->name);
	}
	pthread_mutex_unlock(&shard->lock);
	return *parent != NULL;
}

static int reopen_by_name(struct passthrough *pt, struct pt_node *node, unsigned int depth)
{
	struct pt_node *parent;
	char name[NAME_MAX + 1];
	int fd, r;

	if (depth == 0 || !copy_name(pt, node, name, &parent))
		return -ESTALE;
	r = pin_at(pt, parent, depth - 1);
	fd = r < 0 ? r : pt_open_child(parent->fd, name);
	if (r == 0)
		pt_unpin(parent);
	pt_node_put(pt, parent);
	return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
}

/* A copy of a cold node's file handle: another thread may warm it meanwhile. */
static struct file_handle *copy_handle(struct passthrough *pt, struct pt_node *node)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	struct file_handle *copy = NULL;
	size_t size;

	pthread_mutex_lock(&shard->lock);
	if (node->file_handle) {
		size = sizeof(*copy) + node->file_handle->handle_bytes;
		copy = malloc(size);
		if (copy)
			memcpy(copy, node->file_handle, size);
	}
	pthread_mutex_unlock(&shard->lock);
	return copy;
}

static int reopen(struct passthrough *pt, struct pt_node *node, unsigned int depth)
{
	CLEANUP_FREE struct file_handle *handle = copy_handle(pt, node);
	CLEANUP_FD int fd = -1;
	struct statx attr;
	int r;

	if (handle)
		return (int)neg_errno(open_by_handle_at(node->mount->fd, handle,
			O_PATH | O_NOFOLLOW | O_CLOEXEC));
	fd = reopen_by_name(pt, node, depth);
	if (fd < 0)
		return fd;
	r = pt_stat(fd, &attr);
	if (r < 0)
		return r;
	if (attr.stx_ino != node->key.ino || attr.stx_mnt_id != node->key.mount ||
		attr.stx_btime.tv_sec != node->born.tv_sec ||
		attr.stx_btime.tv_nsec != node->born.tv_nsec)
		return -ESTALE;
	return steal_fd(&fd);
}

/* Notes what will identify the node; false where nothing would. */
static bool remember(struct pt_node *node)
{
	struct statx attr;

	if (node->mount->fd >= 0) {
		node->file_handle = pt_file_handle(node->fd);
		return node->file_handle != NULL;
	}
	if (!node->parent || pt_stat(node->fd, &attr) < 0 || !(attr.stx_mask & STATX_BTIME))
		return false;
	node->born = attr.stx_btime;
	return true;
}

/* Takes the descriptor of a node that nobody uses; the lock of its shard is held. */
static bool take_descriptor(struct pt_node *node, int *fd)
{
	uint32_t none = 0;

	if (!atomic_compare_exchange_strong(&node->pins, &none, PT_COLD))
		return false;
	if (idtab_refs(&node->slot) > REFS_IDLE || !remember(node)) {
		atomic_fetch_and(&node->pins, ~PT_COLD);
		return false;
	}
	*fd = steal_fd(&node->fd);
	return true;
}

static bool cool(struct passthrough *pt, struct pt_node *node)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	int fd = -1;
	bool done;

	if (node == pt->root || atomic_exchange(&node->used, false))
		return false;
	pthread_mutex_lock(&shard->lock);
	done = take_descriptor(node, &fd);
	pthread_mutex_unlock(&shard->lock);
	close_fd(&fd);
	return done;
}

/* Whether a place in the ring can be given to another node: its node is gone, cold, or is cooled
 * now. */
static bool vacate(struct passthrough *pt, uint64_t id)
{
	struct idslot *slot = idtab_get(pt->nodes, id);
	struct pt_node *node;
	bool done;

	if (!slot)
		return true;
	node = container_of(slot, struct pt_node, slot);
	done = atomic_load(&node->pins) & PT_COLD || cool(pt, node);
	idtab_put(pt->nodes, slot);
	return done;
}

/* Goes round the hot nodes like the hand of a clock; each has a second chance. NULL: all that
 * were met are in use. */
static uint64_t *vacant_place(struct passthrough *pt)
{
	for (unsigned int i = 0; i < COOL_STEPS && pt->hot_len > 0; i++) {
		uint64_t *place = &pt->hot[pt->hand++ % pt->hot_len];

		if (vacate(pt, *place))
			return place;
	}
	return NULL;
}

/* One more place; without memory it is one that is taken, whose node stays hot until it is
 * forgotten. */
static uint64_t *new_place(struct passthrough *pt)
{
	uint32_t room = pt->hot_room ? 2 * pt->hot_room : 256;
	uint64_t *bigger;

	if (pt->hot_len == pt->hot_room) {
		bigger = reallocarray(pt->hot, room, sizeof(*bigger));
		if (!bigger)
			return pt->hot_len ? &pt->hot[pt->hand % pt->hot_len] : NULL;
		pt->hot = bigger;
		pt->hot_room = room;
	}
	return &pt->hot[pt->hot_len++];
}

void pt_node_is_hot(struct passthrough *pt, uint64_t id)
{
	uint64_t *place = NULL;

	pthread_mutex_lock(&pt->hot_lock);
	if (pt->hot_len >= pt->hot_max)
		place = vacant_place(pt);
	if (!place)
		place = new_place(pt);
	if (place)
		*place = id;
	pthread_mutex_unlock(&pt->hot_lock);
}
