// SPDX-License-Identifier: BSD-2-Clause
/*
 * Taking and dropping locks; see lock.h.
 */
#include "fs/passthrough/lock.h"

#include <errno.h>
#include <sys/file.h>

#include "fs/passthrough/pt.h"

int pt_flock_op(int type)
{
	return type == F_UNLCK ? LOCK_UN : type == F_RDLCK ? LOCK_SH : LOCK_EX;
}

static int set_range(struct passthrough *pt, struct pt_handle *handle, const struct fs_lock *lock,
	struct fs_wait *wait)
{
	struct range change = {
		.start = lock->start, .end = lock->end, .type = lock->type, .pid = lock->pid};
	bool unlock = lock->type == F_UNLCK;
	struct pt_lock_owner *o = pt_lock_owner_get(&pt->locks, handle->node, lock->owner, !unlock);
	int r;

	if (!o)
		return unlock ? 0 : -ENOLCK;
	r = pt_lock_change(pt, o, handle, &change, false);
	if (r == -EAGAIN && wait)
		r = pt_lock_wait(pt, o, handle, &change, wait);
	pt_lock_owner_put(&pt->locks, o);
	return r;
}

static int set_flock(struct passthrough *pt, struct pt_handle *handle, const struct fs_lock *lock,
	struct fs_wait *wait)
{
	struct range change = {.type = lock->type};
	int r = neg_errno(flock(handle->fd, pt_flock_op(lock->type) | LOCK_NB));

	if (r == -EAGAIN && wait)
		return pt_lock_wait(pt, NULL, handle, &change, wait);
	if (r == 0 && !atomic_load(&handle->open)) {
		flock(handle->fd, LOCK_UN);
		return -EBADF;
	}
	return r;
}

int pt_setlk(struct fs *fs, const struct fs_target *t, const struct fs_lock *lock,
	struct fs_wait *wait)
{
	struct passthrough *pt = pt_of(fs);
	PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt, t);

	if (!open.handle)
		return open.error;
	if (open.handle->dir)
		return -EBADF;
	atomic_store(&open.handle->locked, true);
	return lock->flock ? set_flock(pt, open.handle, lock, wait)
			   : set_range(pt, open.handle, lock, wait);
}

static void report(struct fs_lock *lock, const struct range *found)
{
	lock->type = found->type;
	lock->start = found->start;
	lock->end = found->end;
	lock->pid = found->pid;
}

/* Looks among the guest's own locks for the first in the way. True when one was found, or none has
 * to be looked for. */
static bool find_noted(struct pt_locks *locks, const struct pt_node *node, struct fs_lock *lock)
{
	struct range wanted = {.start = lock->start, .end = lock->end, .type = lock->type};
	bool own = lock->type == F_UNLCK;
	const struct range *found = NULL, *r;
	struct pt_lock_owner *o;

	pthread_mutex_lock(&locks->lock);
	for (o = *pt_lock_bucket(locks, node->key.dev, node->key.ino); o; o = o->next) {
		if (o->ino != node->key.ino || o->dev != node->key.dev ||
			(o->owner == lock->owner) != own)
			continue;
		r = own ? ranges_find(&o->ranges, lock->start, lock->end)
			: ranges_conflict(&o->ranges, &wanted);
		if (r && (!found || r->start < found->start))
			found = r;
	}
	if (found)
		report(lock, found);
	pthread_mutex_unlock(&locks->lock);
	return found || own;
}

/* Asks the kernel, through a description that has no locks but the owner's.
 * #syscalls: fcntl:1=F_OFD_GETLK */
static int find_foreign(int fd, struct fs_lock *lock)
{
	struct range wanted = {.start = lock->start, .end = lock->end, .type = lock->type};
	struct flock l = pt_to_flock(&wanted);

	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return -errno;
	lock->type = l.l_type;
	lock->pid = 0;
	if (l.l_type == F_UNLCK)
		return 0;
	lock->start = (uint64_t)l.l_start;
	lock->end = l.l_len == 0 ? INT64_MAX : (uint64_t)(l.l_start + l.l_len - 1);
	return 0;
}

int pt_getlk(struct fs *fs, const struct fs_target *t, struct fs_lock *lock)
{
	struct passthrough *pt = pt_of(fs);
	PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt, t);
	struct pt_lock_owner *o;
	int r;

	if (!open.handle)
		return open.error;
	if (open.handle->dir)
		return -EBADF;
	if (find_noted(&pt->locks, open.handle->node, lock))
		return 0;
	o = pt_lock_owner_get(&pt->locks, open.handle->node, lock->owner, false);
	if (!o)
		return find_foreign(open.handle->fd, lock);
	pthread_mutex_lock(&o->busy);
	r = find_foreign(o->fd >= 0 ? o->fd : open.handle->fd, lock);
	pthread_mutex_unlock(&o->busy);
	pt_lock_owner_put(&pt->locks, o);
	return r;
}

void pt_locks_flush(struct passthrough *pt, const struct pt_node *node, uint64_t owner)
{
	struct pt_lock_owner *o;

	if (atomic_load(&pt->locks.owners) == 0)
		return;
	o = pt_lock_owner_get(&pt->locks, node, owner, false);
	if (!o)
		return;
	pt_lock_drop(&pt->locks, o);
	pt_lock_owner_put(&pt->locks, o);
}

/* An owner in a bucket that has locks, through this handle where it is not 0. */
static struct pt_lock_owner *next_holder(struct pt_locks *locks, unsigned int bucket,
	uint64_t handle)
{
	struct pt_lock_owner *o;

	pthread_mutex_lock(&locks->lock);
	for (o = locks->buckets[bucket]; o; o = o->next) {
		if (o->ranges.n > 0 && (handle == 0 || o->handle == handle))
			break;
	}
	if (o)
		o->users++;
	pthread_mutex_unlock(&locks->lock);
	return o;
}

static void drop_all(struct pt_locks *locks, uint64_t handle)
{
	struct pt_lock_owner *o;

	for (unsigned int i = 0; i < PT_LOCK_BUCKETS && locks->owners > 0; i++) {
		while ((o = next_holder(locks, i, handle))) {
			pt_lock_drop(locks, o);
			pt_lock_owner_put(locks, o);
		}
	}
}

void pt_locks_release(struct passthrough *pt, struct pt_handle *handle)
{
	if (!atomic_load(&handle->locked))
		return;
	pt_lock_end_waits(pt, handle);
	drop_all(&pt->locks, idtab_id(&handle->slot));
	/* Others may still have the handle: its descriptor stays open for as long. */
	flock(handle->fd, LOCK_UN);
}

void pt_locks_reset(struct passthrough *pt)
{
	pt_lock_end_waits(pt, NULL);
	drop_all(&pt->locks, 0);
}

void pt_locks_count(struct passthrough *pt, struct fs_count *count)
{
	struct pt_locks *locks = &pt->locks;

	pthread_mutex_lock(&locks->lock);
	count->lock_owners = atomic_load(&locks->owners);
	count->lock_ranges = locks->ranges;
	count->lock_waits = locks->waits;
	pthread_mutex_unlock(&locks->lock);
}
