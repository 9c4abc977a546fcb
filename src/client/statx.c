// SPDX-License-Identifier: BSD-2-Clause
/*
 * statx(2): with the time of birth where the back-end has STATX, else from what GETATTR says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "client/behind.h"
#include "client/file.h"
#include "client/notify.h"

/* The minor version that brought STATX. */
#define MINOR_STATX 39

static struct statx_timestamp stamp(uint64_t sec, uint32_t nsec)
{
	return (struct statx_timestamp){.tv_sec = (int64_t)sec, .tv_nsec = nsec};
}

static struct statx_timestamp sx_stamp(const struct fuse_sx_time *t)
{
	return stamp((uint64_t)t->tv_sec, t->tv_nsec);
}

static void from_attr(const struct fuse_attr *a, struct statx *st)
{
	*st = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = a->blksize ? a->blksize : 4096,
		.stx_nlink = a->nlink,
		.stx_uid = a->uid,
		.stx_gid = a->gid,
		.stx_mode = (uint16_t)a->mode,
		.stx_ino = a->ino,
		.stx_size = a->size,
		.stx_blocks = a->blocks,
		.stx_atime = stamp(a->atime, a->atimensec),
		.stx_ctime = stamp(a->ctime, a->ctimensec),
		.stx_mtime = stamp(a->mtime, a->mtimensec),
		.stx_rdev_major = a->rdev >> 8 & 0xfff,
		.stx_rdev_minor = (a->rdev & 0xff) | (a->rdev >> 12 & 0xfff00),
	};
}

static void from_statx(const struct fuse_statx *s, struct statx *st)
{
	*st = (struct statx){
		.stx_mask = s->mask,
		.stx_blksize = s->blksize,
		.stx_attributes = s->attributes,
		.stx_attributes_mask = s->attributes_mask,
		.stx_nlink = s->nlink,
		.stx_uid = s->uid,
		.stx_gid = s->gid,
		.stx_mode = s->mode,
		.stx_ino = s->ino,
		.stx_size = s->size,
		.stx_blocks = s->blocks,
		.stx_atime = sx_stamp(&s->atime),
		.stx_btime = sx_stamp(&s->btime),
		.stx_ctime = sx_stamp(&s->ctime),
		.stx_mtime = sx_stamp(&s->mtime),
		.stx_rdev_major = s->rdev_major,
		.stx_rdev_minor = s->rdev_minor,
		.stx_dev_major = s->dev_major,
		.stx_dev_minor = s->dev_minor,
	};
}

static int send_statx(struct causeway *c, const struct target *t, int flags, unsigned int mask,
	struct statx *st)
{
	struct fuse_statx_in in = {
		.sx_flags = (uint32_t)flags & AT_STATX_SYNC_TYPE, .sx_mask = mask};
	struct fuse_statx_out out;
	struct call call = {
		.opcode = FUSE_STATX,
		.nodeid = t->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r;

	if (t->file && t->file->open) {
		in.getattr_flags = FUSE_GETATTR_FH;
		in.fh = t->file->fh;
	}
	r = client_call(c, &call);
	if (r == 0 && (out.stat.mode & S_IFMT) != t->node->type)
		return client_fail(c, -EPROTO, "the back-end says that a node has another type "
					       "than before");
	if (r == 0)
		from_statx(&out.stat, st);
	return r;
}

/* What is known without asking will do, unless the program wants more or wants to know for sure. */
static bool known(struct causeway *c, const struct target *t, int flags, unsigned int mask,
	struct statx *st)
{
	struct fuse_attr attr;

	if ((flags & AT_STATX_FORCE_SYNC) || (mask & ~(unsigned int)STATX_BASIC_STATS) ||
		!node_get_attr(c, t->node, &attr))
		return false;
	from_attr(&attr, st);
	return true;
}

static int ask(struct causeway *c, const struct target *t, int flags, unsigned int mask,
	struct statx *st)
{
	struct fuse_attr attr;
	int r = -ENOSYS;

	client_hear(c);
	behind_send(c, t->node);
	window_tell_times(c, t->node, t->file);
	if (known(c, t, flags, mask, st))
		return 0;
	if (c->session.minor >= MINOR_STATX && !atomic_load(&c->no_statx))
		r = send_statx(c, t, flags, mask, st);
	if (r != -ENOSYS)
		return r;
	atomic_store(&c->no_statx, true);
	if (flags & AT_STATX_FORCE_SYNC)
		node_drop_attr(c, t->node);
	r = client_getattr(c, t->node, t->file, &attr);
	if (r == 0)
		from_attr(&attr, st);
	return r;
}

static int statx_once(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	unsigned int mask, struct statx *st)
{
	struct target t;
	int r;

	if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (mask & STATX__RESERVED))
		return client_fail(c, -EINVAL, "flags %#x and mask %#x do not go together", flags,
			mask);
	r = client_target(c, at, path, flags & ~AT_STATX_SYNC_TYPE, &t);
	if (r < 0)
		return r;
	r = ask(c, &t, flags, mask, st);
	node_put(c, t.node);
	return r;
}

EXPORT int causeway_statx(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	unsigned int mask, struct statx *st)
{
	return CLIENT_AGAIN(c, statx_once(c, at, path, flags, mask, st));
}
