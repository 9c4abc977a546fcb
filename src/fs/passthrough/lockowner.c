// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owners of locks of fcntl(2): their descriptions on the host and what is noted of them; see
 * lock.h.
 */
#include <errno.h>
#include <sys/file.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/lock.h"
#include "fs/passthrough/pt.h"

/* All of a file. */
static const struct range everything = {.end = INT64_MAX, .type = F_UNLCK};

struct flock pt_to_flock(const struct range *change)
{
	return (struct flock){
		.l_type = (short)change->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)change->start,
		.l_len = change->end == INT64_MAX ? 0 : (off_t)(change->end - change->start + 1),
	};
}

/* #syscalls: fcntl:1=F_OFD_SETLK fcntl:1=F_GETFL */
int pt_ofd_lock(int fd, int cmd, const struct range *change)
{
	struct flock l = pt_to_flock(change);
	int r = (int)neg_errno(fcntl(fd, cmd, &l));

	return r == -EACCES ? -EAGAIN : r;
}

struct pt_lock_owner **pt_lock_bucket(struct pt_locks *locks, uint64_t dev, uint64_t ino)
{
	uint64_t hash = (dev ^ ino) * UINT64_C(0x9e3779b97f4a7c15);

	return &locks->buckets[(hash >> 32) % PT_LOCK_BUCKETS];
}

struct pt_lock_owner *pt_lock_owner_get(struct pt_locks *locks, const struct pt_node *node,
	uint64_t owner, bool make)
{
	struct pt_lock_owner **bucket = pt_lock_bucket(locks, node->key.dev, node->key.ino);
	struct pt_lock_owner *o;

	pthread_mutex_lock(&locks->lock);
	for (o = *bucket; o; o = o->next) {
		if (o->owner == owner && o->ino == node->key.ino && o->dev == node->key.dev)
			break;
	}
	if (!o && make && locks->owners < locks->owners_max) {
		o = calloc(1, sizeof(*o));
		if (o) {
			o->dev = node->key.dev;
			o->ino = node->key.ino;
			o->owner = owner;
			o->fd = -1;
			pthread_mutex_init(&o->busy, NULL);
			o->next = *bucket;
			*bucket = o;
			locks->owners++;
		}
	}
	if (o)
		o->users++;
	pthread_mutex_unlock(&locks->lock);
	return o;
}

/* Nobody has a pointer any more, and nothing is locked. */
static void owner_free(struct pt_lock_owner *o)
{
	close_fd(&o->fd);
	ranges_free(&o->ranges);
	pthread_mutex_destroy(&o->busy);
	free(o);
}

void pt_lock_owner_put(struct pt_locks *locks, struct pt_lock_owner *o)
{
	struct pt_lock_owner **at = pt_lock_bucket(locks, o->dev, o->ino);
	bool last;

	pthread_mutex_lock(&locks->lock);
	last = --o->users == 0 && o->ranges.n == 0;
	if (last) {
		while (*at != o)
			at = &(*at)->next;
		*at = o->next;
		locks->owners--;
	}
	pthread_mutex_unlock(&locks->lock);
	if (last)
		owner_free(o);
}

static bool allows(int access, int type)
{
	return type == F_UNLCK || access == O_RDWR ||
		access == (type == F_RDLCK ? O_RDONLY : O_WRONLY);
}

/*
 * Opens the file of a handle for locks, as the handle has it. Who may write may read too, except
 * where the host says otherwise: one description is for both then. #syscalls: openat
 */
static int open_for_locks(struct passthrough *pt, struct pt_handle *handle, int *access)
{
	int fd, flags = fcntl(handle->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	fd = pt_pin(pt, handle->node);
	if (fd < 0)
		return fd;
	cred_be_daemon();
	*access = (flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR;
	fd = pt_open_node(pt, handle->node, *access);
	if (fd == -EACCES && *access == O_RDWR) {
		*access = O_WRONLY;
		fd = pt_open_node(pt, handle->node, *access);
	}
	pt_unpin(handle->node);
	return fd;
}

/*
 * Gives an owner a description that allows a lock for writing where it has one for reading. The
 * locks that it has are for reading then, and others do not keep the new description from taking
 * the same; only then the old one goes. Whoever waits does so on the old one.
 */
static int reopen(struct passthrough *pt, struct pt_lock_owner *o, int taken_fd, int access)
{
	CLEANUP_FD int fd = taken_fd;
	bool waited_for;
	int r;

	pthread_mutex_lock(&pt->locks.lock);
	waited_for = o->waiters > 0;
	pthread_mutex_unlock(&pt->locks.lock);
	if (waited_for)
		return -ENOLCK;
	for (size_t i = 0; i < o->ranges.n; i++) {
		r = pt_ofd_lock(fd, F_OFD_SETLK, &o->ranges.at[i]);
		if (r < 0)
			return r;
	}
	close_fd(&o->fd);
	o->fd = steal_fd(&fd);
	o->access = access;
	return 0;
}

/* Makes fd one that allows the change; busy is held. */
static int ready_fd(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	int type)
{
	int access = O_RDONLY, fd;

	if (o->fd >= 0 && allows(o->access, type))
		return 0;
	fd = open_for_locks(pt, handle, &access);
	if (fd < 0)
		return -ENOLCK;
	if (!allows(access, type)) {
		close(fd);
		return -EBADF;
	}
	return reopen(pt, o, fd, access);
}

/* Counts what a change may add, and takes memory for it; busy is held. */
static int reserve(struct pt_locks *locks, struct pt_lock_owner *o, int growth)
{
	int r = 0;

	pthread_mutex_lock(&locks->lock);
	if (growth > 0 && locks->ranges + (size_t)growth > PT_LOCK_RANGES_MAX)
		r = -ENOLCK;
	else if (ranges_reserve(&o->ranges) < 0)
		r = -ENOLCK;
	else if (growth > 0)
		locks->ranges += (size_t)growth;
	pthread_mutex_unlock(&locks->lock);
	return r;
}

/* Makes the kernel have again what is noted for the range of a change; busy is held. */
static void put_back(struct pt_lock_owner *o, const struct range *change)
{
	uint64_t at = change->start;

	while (at <= change->end) {
		const struct range *noted = ranges_find(&o->ranges, at, change->end);
		struct range part = {.start = at, .end = change->end, .type = F_UNLCK};

		if (noted && noted->start <= at) {
			part.type = noted->type;
			part.end = min_t(uint64_t, noted->end, change->end);
		} else if (noted) {
			part.end = noted->start - 1;
		}
		pt_ofd_lock(o->fd, F_OFD_SETLK, &part);
		at = part.end + 1;
	}
}

/* Notes what the system call did, if it may stand; busy is held. */
static int settle(struct pt_locks *locks, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change, int r)
{
	int growth = ranges_growth(&o->ranges, change);

	pthread_mutex_lock(&locks->lock);
	if (r == 0 && !atomic_load(&handle->open))
		r = -EBADF;
	if (r == 0) {
		ranges_set(&o->ranges, change);
		o->handle = idtab_id(&handle->slot);
	}
	if ((r < 0) == (growth > 0))
		locks->ranges -= (size_t)(growth > 0 ? growth : -growth);
	pthread_mutex_unlock(&locks->lock);
	return r;
}

int pt_lock_change(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change, bool granted)
{
	int r;

	pthread_mutex_lock(&o->busy);
	r = ready_fd(pt, o, handle, change->type);
	if (r == 0)
		r = reserve(&pt->locks, o, ranges_growth(&o->ranges, change));
	if (r == 0) {
		r = pt_ofd_lock(o->fd, F_OFD_SETLK, change);
		granted = r == 0;
		r = settle(&pt->locks, o, handle, change, r);
	}
	if (r < 0 && granted)
		put_back(o, change);
	pthread_mutex_unlock(&o->busy);
	return r;
}

void pt_lock_drop(struct pt_locks *locks, struct pt_lock_owner *o)
{
	pthread_mutex_lock(&o->busy);
	if (o->fd >= 0)
		pt_ofd_lock(o->fd, F_OFD_SETLK, &everything);
	pthread_mutex_lock(&locks->lock);
	locks->ranges -= o->ranges.n;
	o->ranges.n = 0;
	pthread_mutex_unlock(&locks->lock);
	pthread_mutex_unlock(&o->busy);
}

/* #syscalls: flock */
void pt_lock_give_back(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change)
{
	struct range unlock = *change;

	unlock.type = F_UNLCK;
	if (o)
		pt_lock_change(pt, o, handle, &unlock, false);
	else
		flock(handle->fd, LOCK_UN);
}
