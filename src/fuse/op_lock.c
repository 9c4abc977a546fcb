// SPDX-License-Identifier: BSD-2-Clause
/*
 * Locks: GETLK, SETLK, SETLKW, for fcntl(2) with --posix-lock and for flock(2) with --flock.
 * Without them INIT does not offer the flag, a guest keeps its locks to itself and does not ask;
 * who asks all the same gets -ENOSYS.
 *
 * A SETLKW that finds another lock in its way gives up its queue: its chain is deferred
 * (session.h), the file system waits on a thread of its own and answers when it is done. What
 * the guest gets if its queue stops first is EINTR.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/util.h"
#include "fuse/request.h"

/* A SETLKW that waits, from begin() to done(). */
struct waiting {
	struct fs_wait wait;
	struct fuse_session *se;
	unsigned int queue;
	const struct virtq_chain *chain; /* until setlk() returns */
	void *deferred;
};

static struct fuse_out_header answer(const struct fs_wait *wait, int result)
{
	return (struct fuse_out_header){
		.len = sizeof(struct fuse_out_header), .error = result, .unique = wait->id};
}

static bool begin(struct fs_wait *wait)
{
	struct waiting *w = container_of(wait, struct waiting, wait);
	const struct fuse_deferral *deferral = w->se->deferral;
	struct fuse_out_header ended = answer(wait, -EINTR);

	if (!deferral)
		return false;
	w->deferred = deferral->defer(deferral->opaque, w->queue, w->chain, &ended, sizeof(ended));
	if (w->deferred)
		atomic_store(&w->se->waited, true);
	return w->deferred != NULL;
}

static bool done(struct fs_wait *wait, int result)
{
	struct waiting *w = container_of(wait, struct waiting, wait);
	struct fuse_out_header out = answer(wait, result);
	bool heard = w->se->deferral->finish(w->deferred, &out, sizeof(out));

	free(w);
	return heard;
}

/* The lock that a request is about: 0 or -errno. */
static int read_lock(const struct fuse_req *req, struct fs_lock *lock)
{
	const struct fuse_lk_in *in = req->args;

	*lock = (struct fs_lock){
		.flock = in->lk_flags & FUSE_LK_FLOCK,
		.type = (int)in->lk.type,
		.owner = in->owner,
		.start = in->lk.start,
		.end = in->lk.end,
		.pid = in->lk.pid,
	};
	if (!fuse_has(req->se, lock->flock ? FUSE_FLOCK_LOCKS : FUSE_POSIX_LOCKS))
		return -ENOSYS;
	if (in->lk_flags & ~FUSE_LK_FLOCK)
		return -EINVAL;
	if (in->lk.type != F_RDLCK && in->lk.type != F_WRLCK && in->lk.type != F_UNLCK)
		return -EINVAL;
	return lock->start <= lock->end && lock->end <= INT64_MAX ? 0 : -EINVAL;
}

int fuse_do_GETLK(struct fuse_req *req)
{
	const struct fuse_lk_in *in = req->args;
	struct fs_target t = fuse_target(req, in->fh);
	struct fuse_lk_out out = {0};
	struct fs_lock lock;
	int r = read_lock(req, &lock);

	/* flock(2) has no such question. */
	if (r == 0 && lock.flock)
		r = -EINVAL;
	if (r == 0)
		r = req->se->fs->ops->getlk(req->se->fs, &t, &lock);
	if (r < 0)
		return r;
	out.lk = (struct fuse_file_lock){
		.start = lock.start, .end = lock.end, .type = (uint32_t)lock.type, .pid = lock.pid};
	return fuse_reply(req, &out, sizeof(out));
}

static int set_lock(struct fuse_req *req, struct fs_wait *wait)
{
	const struct fuse_lk_in *in = req->args;
	struct fs_target t = fuse_target(req, in->fh);
	struct fs_lock lock;
	int r = read_lock(req, &lock);

	return r < 0 ? r : req->se->fs->ops->setlk(req->se->fs, &t, &lock, wait);
}

int fuse_do_SETLK(struct fuse_req *req)
{
	return set_lock(req, NULL);
}

int fuse_do_SETLKW(struct fuse_req *req)
{
	struct waiting *w = malloc(sizeof(*w));
	int r;

	if (!w)
		return -ENOLCK;
	*w = (struct waiting){
		.wait = {.begin = begin, .done = done, .id = req->in.unique, .origin = req->w},
		.se = req->se,
		.queue = req->w->queue,
		.chain = req->chain,
	};
	r = set_lock(req, &w->wait);
	if (r == FS_WAITS)
		return FUSE_LATER;
	free(w);
	return r;
}
