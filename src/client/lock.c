// SPDX-License-Identifier: BSD-2-Clause
/*
 * Locks: of ranges, by owners that the program names (fcntl(2)), and of handles (flock(2)). They
 * are taken in the back-end or not at all.
 *
 * A handle remembers the owners that have taken locks through it: closing it drops theirs, by a
 * FLUSH for each, as close(2) drops those of its process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/file.h"

static int check_offered(struct causeway *c, uint64_t flag, const char *call, const char *option)
{
	return c->session.flags & flag ? 0 :
		client_fail(c, -EOPNOTSUPP, "the back-end takes no locks of %s(2); causewayd does "
					    "with %s", call, option);
}

/* Where an offset of struct flock counts from. */
static off_t base_of(struct causeway_file *f, int whence)
{
	struct fuse_attr attr;
	off_t base = 0;
	int r;

	switch (whence) {
	case SEEK_SET:
		return 0;
	case SEEK_CUR:
		pthread_mutex_lock(&f->lock);
		base = f->position;
		pthread_mutex_unlock(&f->lock);
		return base;
	case SEEK_END:
		r = client_getattr(f->c, f->node, f, &attr);
		return r < 0 ? r : (off_t)min_t(uint64_t, attr.size, INT64_MAX);
	default:
		return client_fail(f->c, -EINVAL, "a lock's range begins nowhere");
	}
}

/* The range of a struct flock, whose end counts and may be given by going back. */
static int to_range(struct causeway_file *f, const struct flock *lock, struct fuse_file_lock *lk)
{
	off_t base = base_of(f, lock->l_whence), start, end = INT64_MAX;

	if (base < 0)
		return (int)base;
	if (__builtin_add_overflow(base, lock->l_start, &start) ||
		(lock->l_len > 0 && __builtin_add_overflow(start, lock->l_len - 1, &end)))
		return client_fail(f->c, -EOVERFLOW, "a lock's range is beyond all files");
	if (lock->l_len < 0) {
		end = start - 1;
		if (__builtin_add_overflow(start, lock->l_len, &start))
			start = -1;
	}
	if (start < 0 || end < start)
		return client_fail(f->c, -EINVAL, "a lock's range begins before the file");
	if (lock->l_type != F_RDLCK && lock->l_type != F_WRLCK && lock->l_type != F_UNLCK)
		return client_fail(f->c, -EINVAL, "there is no lock of type %d", lock->l_type);
	*lk = (struct fuse_file_lock){
		.start = (uint64_t)start,
		.end = (uint64_t)end,
		.type = (uint32_t)lock->l_type,
		.pid = (uint32_t)getpid(),
	};
	return 0;
}

/* What all requests of fcntl(2) begin with. not_mode: the way of opening that will not do. */
static int prepare(struct causeway_file *f, uint64_t owner, const struct flock *lock, int not_mode,
	struct fuse_lk_in *in)
{
	int r = check_offered(f->c, FUSE_POSIX_LOCKS, "fcntl", "--posix-lock");

	if (r == 0)
		r = client_check_open(f, not_mode);
	if (r < 0)
		return r;
	/* 0 is what a FLUSH of nobody's locks has. */
	if (owner == 0)
		return client_fail(f->c, -EINVAL, "a lock's owner is a number other than 0");
	*in = (struct fuse_lk_in){.fh = f->fh, .owner = owner};
	return to_range(f, lock, &in->lk);
}

static struct lock_owner *find_owner(const struct causeway_file *f, uint64_t number)
{
	for (size_t i = 0; i < f->nowners; i++) {
		if (f->owners[i].number == number)
			return &f->owners[i];
	}
	return NULL;
}

/* Has a place for an owner before it may have a lock, so that there is one when it has. */
static int make_owner(struct causeway_file *f, uint64_t number)
{
	struct lock_owner *longer;
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (!find_owner(f, number)) {
		longer = realloc(f->owners, (f->nowners + 1) * sizeof(*longer));
		if (longer) {
			f->owners = longer;
			longer[f->nowners++] = (struct lock_owner){.number = number};
		} else {
			r = client_fail(f->c, -ENOLCK, "no memory for the owner of a lock");
		}
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void mark_owner(struct causeway_file *f, uint64_t number)
{
	pthread_mutex_lock(&f->lock);
	find_owner(f, number)->has_locked = true;
	pthread_mutex_unlock(&f->lock);
}

static int send_lock(struct causeway_file *f, struct fuse_lk_in *in, bool wait,
	struct causeway_token *token)
{
	struct call call = {
		.opcode = wait ? FUSE_SETLKW : FUSE_SETLK,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(*in)},
		.nargs = 1,
		.token = wait ? token : NULL,
	};
	int r;

	/* Who locks next sees what was written; who has the lock sees what others wrote. */
	behind_send(f->c, f->node);
	r = client_call(f->c, &call);
	if (r == 0 && in->lk.type != F_UNLCK)
		node_drop_attr(f->c, f->node);
	return r;
}

static int set(struct causeway_file *f, uint64_t owner, const struct flock *lock, bool wait,
	struct causeway_token *token)
{
	/* As fcntl(2) has it, one locks for reading or writing what is open for that. */
	int not_mode = lock->l_type == F_RDLCK ? O_WRONLY :
		lock->l_type == F_WRLCK        ? O_RDONLY :
						 -1;
	struct fuse_lk_in in;
	int r = prepare(f, owner, lock, not_mode, &in);

	if (r == 0 && lock->l_type == F_UNLCK)
		return send_lock(f, &in, wait, token);
	if (r == 0)
		r = make_owner(f, owner);
	if (r == 0)
		r = send_lock(f, &in, wait, token);
	if (r == 0)
		mark_owner(f, owner);
	return r;
}

EXPORT int causeway_setlk(struct causeway_file *f, uint64_t owner, const struct flock *lock)
{
	return set(f, owner, lock, false, NULL);
}

EXPORT int causeway_setlkw(struct causeway_file *f, uint64_t owner, const struct flock *lock,
	struct causeway_token *token)
{
	return set(f, owner, lock, true, token);
}

EXPORT int causeway_getlk(struct causeway_file *f, uint64_t owner, struct flock *lock)
{
	struct fuse_lk_in in;
	struct fuse_lk_out out;
	struct call call = {
		.opcode = FUSE_GETLK,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	const struct fuse_file_lock *lk = &out.lk;
	int r = prepare(f, owner, lock, -1, &in);

	/* Who asks has no part in it; QEMU's daemon even refuses to hear of it. */
	in.lk.pid = 0;
	if (r == 0)
		r = client_call(f->c, &call);
	if (r < 0)
		return r;
	if (lk->type == F_UNLCK) {
		lock->l_type = F_UNLCK;
		return 0;
	}
	if ((lk->type != F_RDLCK && lk->type != F_WRLCK) || lk->start > lk->end ||
		lk->end > INT64_MAX)
		return client_fail(f->c, -EPROTO, "the back-end's reply to GETLK is malformed: "
						  "that is no lock");
	*lock = (struct flock){
		.l_type = (short)lk->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lk->start,
		.l_len = lk->end == INT64_MAX ? 0 : (off_t)(lk->end - lk->start + 1),
		.l_pid = (pid_t)lk->pid,
	};
	return 0;
}

/* The owner of a handle's lock: a number for each handle that has one. */
static uint64_t flock_owner(struct causeway_file *f)
{
	uint64_t owner;

	pthread_mutex_lock(&f->lock);
	if (f->flock_owner == 0)
		f->flock_owner = client_unique(f->c);
	owner = f->flock_owner;
	pthread_mutex_unlock(&f->lock);
	return owner;
}

EXPORT int causeway_flock(struct causeway_file *f, int operation, struct causeway_token *token)
{
	struct fuse_lk_in in = {
		.fh = f->fh,
		.lk_flags = FUSE_LK_FLOCK,
		.lk = {.end = INT64_MAX, .pid = (uint32_t)getpid()},
	};
	int r = check_offered(f->c, FUSE_FLOCK_LOCKS, "flock", "--flock");

	if (r == 0)
		r = client_check_open(f, -1);
	if (r < 0)
		return r;
	switch (operation & ~LOCK_NB) {
	case LOCK_SH:
		in.lk.type = F_RDLCK;
		break;
	case LOCK_EX:
		in.lk.type = F_WRLCK;
		break;
	case LOCK_UN:
		in.lk.type = F_UNLCK;
		break;
	default:
		return client_fail(f->c, -EINVAL, "there is no operation %d of flock(2)",
			operation);
	}
	in.owner = flock_owner(f);
	return send_lock(f, &in, operation != LOCK_UN && !(operation & LOCK_NB), token);
}
