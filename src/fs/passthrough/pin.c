// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hot and cold nodes: a guest may know millions of inodes, this process may not hold as many
 * descriptors.
 *
 * A node is hot while it has one. When more are hot than may be (hot.c), some are cooled: the
 * descriptor is closed, and what identifies the inode kept instead. That is its file handle; or,
 * where the mount has none, the name that it was found by (way.c) with the time of its birth, and
 * where the file system keeps none, of its last change. Whoever needs a cold node's descriptor
 * opens it again and checks that it is the same inode, else -ESTALE.
 *
 * Most inodes that a guest finds in a listing, and many that it looks up, it never uses. So on
 * local mounts with times of birth a node starts without a descriptor, as one that is found by its
 * name, unless it is a directory; the first who needs one opens it. By name also where there are
 * file handles: to ask for one takes nearly as long as to open the file. When the host renames it
 * before that, it is -ESTALE until the guest looks the new name up, which guests do by themselves;
 * when the host removes it, for good.
 *
 * A time tells an inode from the next one with the same number only when it lay in the past as the
 * node was cooled: who has no room for more hot nodes waits for that. An inode without links has
 * no name to be found by, and the host would destroy it with the last descriptor: it stays hot
 * while it can.
 *
 * Who writes what: pins counts the users of fd. A user adds one and looks: without PT_COLD, fd is
 * open and stays so until the pin is given back. Cooling sets PT_COLD only where pins is 0, under
 * the lock of the node's shard; warming opens, stores fd and clears PT_COLD under the same lock.
 * Open handles are users.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/pt.h"
#include "metrics/tally.h"

/* Ways that are gone to one node: each is as long as a path may be (way.c). */
#define WAYS_MAX 64

/* How often a file handle is tried while the host says that it has no memory. */
#define HANDLE_TRIES 64

/* Longer than a step of file systems' times: 10 ms for the births on FAT, a tick elsewhere. */
#define STEP_NS 20000000

static int reopen(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone);

int pt_pin_at(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone)
{
	struct pt_shard *shard;
	int fd = -1;

	if (!(atomic_fetch_add(&node->pins, 1) & PT_COLD)) {
		tally_add(TALLY_NODE_WARM, 1);
		return 0;
	}
	tally_add(TALLY_NODE_OPENED, 1);
	/* Opening may sleep, and parents come first: without the lock, then looked at again. */
	cred_be_daemon();
	fd = reopen(pt, node, ways, alone);
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
	return pt_pin_at(pt, node, WAYS_MAX, false);
}

void pt_unpin(struct pt_node *node)
{
	atomic_fetch_sub(&node->pins, 1);
}

static int64_t ns_of(const struct statx_timestamp *t)
{
	return t->tv_sec * 1000000000 + t->tv_nsec;
}

static bool is_proven(const struct pt_node *cold, const struct statx *attr)
{
	switch (cold->proof_kind) {
	case PT_PROOF_BIRTH:
		return attr->stx_mask & STATX_BTIME && ns_of(&attr->stx_btime) == cold->proof;
	case PT_PROOF_CHANGE:
		return ns_of(&attr->stx_ctime) == cold->proof;
	}
	return false;
}

static bool same_handle(const struct file_handle *a, const struct file_handle *b)
{
	return a && b && a->handle_type == b->handle_type && a->handle_bytes == b->handle_bytes &&
		memcmp(a->f_handle, b->f_handle, a->handle_bytes) == 0;
}

bool pt_is_same_inode(const struct pt_node *cold, int fd, const struct statx *attr)
{
	CLEANUP_FREE struct file_handle *now = NULL;

	if (!cold->file_handle)
		return is_proven(cold, attr);
	now = pt_file_handle(fd);
	return same_handle(now, cold->file_handle);
}

bool pt_is_removed(const struct pt_node *hot, int fd, const struct statx *attr)
{
	CLEANUP_FREE struct file_handle *its = NULL, *now = NULL;
	struct statx still;

	if (hot->type != (attr->stx_mode & S_IFMT))
		return true;
	its = pt_file_handle(hot->fd);
	now = pt_file_handle(fd);
	if (same_handle(its, now))
		return false;
	return statx(hot->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &still) ||
		still.stx_nlink == 0 || still.stx_ino != attr->stx_ino;
}

static size_t size_of(const struct file_handle *handle)
{
	return sizeof(*handle) + handle->handle_bytes;
}

void pt_warm(struct passthrough *pt, struct pt_node *node, int fd)
{
	node->fd = fd;
	atomic_store_explicit(&node->readable, false, memory_order_relaxed);
	if (node->file_handle)
		atomic_fetch_sub(&pt->node_extra, pt_piece(size_of(node->file_handle)));
	free(node->file_handle);
	node->file_handle = NULL;
	atomic_fetch_sub(atomic_exchange(&node->unopened, false) ? &pt->unopened : &pt->cooled, 1);
	atomic_fetch_and(&node->pins, ~PT_COLD);
}

/* A copy of a cold node's file handle: another thread may warm it meanwhile. */
static struct file_handle *copy_handle(struct passthrough *pt, struct pt_node *node)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	struct file_handle *copy = NULL;
	size_t size;

	pthread_mutex_lock(&shard->lock);
	if (node->file_handle) {
		size = size_of(node->file_handle);
		copy = malloc(size);
		if (copy)
			memcpy(copy, node->file_handle, size);
	}
	pthread_mutex_unlock(&shard->lock);
	return copy;
}

/*
 * Opens a file handle. That there is no memory is also what ext4 and its like say while an inode is
 * being made that has the number of the one that is gone; a moment later it is ESTALE.
 * #syscalls(file-handles): open_by_handle_at sched_yield
 */
static int open_handle(int mount_fd, struct file_handle *handle)
{
	int fd = -ENOMEM;

	for (int i = 0; i < HANDLE_TRIES && fd == -ENOMEM; i++) {
		if (i > 0)
			sched_yield();
		fd = (int)neg_errno(open_by_handle_at(mount_fd, handle,
			O_PATH | O_NOFOLLOW | O_CLOEXEC));
	}
	return fd;
}

static int reopen(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone)
{
	CLEANUP_FREE struct file_handle *handle = NULL;

	if (node->mount->fd < 0 || atomic_load(&node->unopened)) {
		tally_add(TALLY_NODE_BY_NAME, 1);
		return pt_open_by_name(pt, node, ways, alone);
	}
	handle = copy_handle(pt, node);
	/* Warm by now, lost, or there was no memory: what is pinned is looked at again. */
	if (!handle)
		return -ESTALE;
	tally_add(TALLY_NODE_BY_HANDLE, 1);
	return open_handle(node->mount->fd, handle);
}

/* How long ago it was by the clock that inodes are stamped from, which may stand still for longer
 * than its tick while the host does not run us all. */
static int64_t age_of(int64_t ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec - ns;
}

bool pt_has_birth(const struct statx *attr, int64_t *ns)
{
	*ns = ns_of(&attr->stx_btime);
	return attr->stx_mask & STATX_BTIME && age_of(*ns) > STEP_NS;
}

bool pt_is_quiet(const struct statx *attr)
{
	return age_of(ns_of(&attr->stx_ctime)) > STEP_NS;
}

/* Notes a time that will tell the inode from others; -EAGAIN where it soon would, -ESTALE where it
 * won't. */
static int note_time(struct pt_node *node, const struct statx *attr)
{
	bool born = attr->stx_mask & STATX_BTIME;
	int64_t ns = ns_of(born ? &attr->stx_btime : &attr->stx_ctime), age = age_of(ns);

	/* Of another clock, or ours was set back: waiting would have no end. */
	if (!node->parent || age < -STEP_NS)
		return -ESTALE;
	if (age <= STEP_NS)
		return -EAGAIN;
	node->proof = ns;
	node->proof_kind = born ? PT_PROOF_BIRTH : PT_PROOF_CHANGE;
	return 0;
}

/* Notes what will identify the node; -EAGAIN where it is too young, -ESTALE where nothing would.
 * #syscalls: statx */
static int remember(struct passthrough *pt, struct pt_node *node)
{
	struct statx attr;

	node->proof_kind = PT_PROOF_NONE;
	/* What the host knows already will do: no server is asked while the lock is held. */
	if (statx(node->fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		    STATX_NLINK | STATX_CTIME | STATX_BTIME, &attr) < 0 || attr.stx_nlink == 0)
		return -ESTALE;
	if (node->mount->fd < 0)
		return note_time(node, &attr);
	node->file_handle = pt_file_handle(node->fd);
	if (!node->file_handle)
		return -ESTALE;
	atomic_fetch_add(&pt->node_extra, pt_piece(size_of(node->file_handle)));
	return 0;
}

int pt_cool(struct passthrough *pt, struct pt_node *node, bool force)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	uint32_t none = 0;
	int fd = -1, r = -EBUSY;

	if (node == pt->root || (atomic_exchange(&node->used, false) && !force) ||
		atomic_load(&node->pins) != 0)
		return -EBUSY;
	pthread_mutex_lock(&shard->lock);
	if (atomic_compare_exchange_strong(&node->pins, &none, PT_COLD)) {
		r = remember(pt, node);
		if (r == -ESTALE && force)
			r = 0;
		if (r == 0) {
			fd = steal_fd(&node->fd);
			atomic_fetch_add(&pt->cooled, 1);
			tally_add(TALLY_NODE_COOLED, 1);
		} else {
			atomic_fetch_and(&node->pins, ~PT_COLD);
		}
	}
	pthread_mutex_unlock(&shard->lock);
	close_fd(&fd);
	return r;
}
