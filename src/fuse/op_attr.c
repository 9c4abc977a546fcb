// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations on attributes: GETATTR, STATX, SETATTR, ACCESS, READLINK, STATFS, SYNCFS.
 */
#include <errno.h>
#include <unistd.h>

#include "fuse/request.h"

static struct fs_target maybe_open(const struct fuse_req *req, bool has_handle, uint64_t handle)
{
	struct fs_target t = fuse_target(req, handle);

	t.has_handle = t.has_handle && has_handle;
	return t;
}

int fuse_do_GETATTR(struct fuse_req *req)
{
	const struct fuse_getattr_in *in = req->args;
	struct fs_target t = maybe_open(req, in->getattr_flags & FUSE_GETATTR_FH, in->fh);
	struct statx st;
	int r = req->se->fs->ops->getattr(req->se->fs, &t, &st);

	return r < 0 ? r : fuse_reply_attr(req, &st);
}

static struct fuse_sx_time sx_time(const struct statx_timestamp *ts)
{
	return (struct fuse_sx_time){.tv_sec = ts->tv_sec, .tv_nsec = ts->tv_nsec};
}

int fuse_do_STATX(struct fuse_req *req)
{
	const struct fuse_statx_in *in = req->args;
	struct fs_target t = maybe_open(req, in->getattr_flags & FUSE_GETATTR_FH, in->fh);
	struct fuse_statx_out out = {0};
	uint64_t attr_ns;
	struct statx st;
	int r = req->se->fs->ops->getattr(req->se->fs, &t, &st);

	if (r < 0)
		return r;
	attr_ns = fuse_attr_ns(req->se, &st);
	out.attr_valid = attr_ns / 1000000000;
	out.attr_valid_nsec = (uint32_t)(attr_ns % 1000000000);
	out.stat = (struct fuse_statx){
		.mask = st.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
		.blksize = st.stx_blksize,
		.attributes = st.stx_attributes,
		.nlink = st.stx_nlink,
		.uid = idmap_to_guest(req->se->config.uids, st.stx_uid),
		.gid = idmap_to_guest(req->se->config.gids, st.stx_gid),
		.mode = st.stx_mode,
		.ino = st.stx_ino,
		.size = st.stx_size,
		.blocks = st.stx_blocks,
		.attributes_mask = st.stx_attributes_mask,
		.atime = sx_time(&st.stx_atime),
		.btime = sx_time(&st.stx_btime),
		.ctime = sx_time(&st.stx_ctime),
		.mtime = sx_time(&st.stx_mtime),
		.rdev_major = st.stx_rdev_major,
		.rdev_minor = st.stx_rdev_minor,
		.dev_major = st.stx_dev_major,
		.dev_minor = st.stx_dev_minor,
	};
	req->sized = req->in.nodeid;
	return fuse_reply(req, &out, sizeof(out));
}

/* One of the two times: given, now, or left alone. */
static struct timespec set_time(uint32_t valid, uint32_t given, uint32_t now, uint64_t sec,
	uint32_t nsec)
{
	if (valid & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	if (valid & given)
		return (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec};
	return (struct timespec){.tv_nsec = UTIME_OMIT};
}

/* The owner that a guest gives a file, as the host's. */
static int translate_owner(const struct fuse_session *se, struct fs_setattr *set)
{
	int r = set->set & FS_SET_UID ? idmap_to_host(se->config.uids, &set->uid) : 0;

	if (r == 0 && set->set & FS_SET_GID)
		r = idmap_to_host(se->config.gids, &set->gid);
	return r;
}

int fuse_do_SETATTR(struct fuse_req *req)
{
	const struct fuse_setattr_in *in = req->args;
	struct fs_target t = maybe_open(req, in->valid & FATTR_FH, in->fh);
	uint32_t v = in->valid;
	struct fs_setattr set = {
		.set = (v & FATTR_MODE ? FS_SET_MODE : 0) | (v & FATTR_UID ? FS_SET_UID : 0) |
			(v & FATTR_GID ? FS_SET_GID : 0) | (v & FATTR_SIZE ? FS_SET_SIZE : 0) |
			(v & (FATTR_ATIME | FATTR_MTIME) ? FS_SET_TIME : 0),
		.mode = in->mode & 07777,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.kill_priv = v & FATTR_KILL_SUIDGID,
		.atime = set_time(v, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		.mtime = set_time(v, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
	};
	struct statx st;
	int r;

	if ((v & FATTR_ATIME && in->atimensec > 999999999) ||
		(v & FATTR_MTIME && in->mtimensec > 999999999))
		return -EINVAL;
	r = translate_owner(req->se, &set);
	if (r < 0)
		return r;
	r = req->se->fs->ops->setattr(req->se->fs, &t, &set, &st);
	return r < 0 ? r : fuse_reply_attr(req, &st);
}

int fuse_do_ACCESS(struct fuse_req *req)
{
	const struct fuse_access_in *in = req->args;
	struct fs_caller who = fuse_caller(req, 0);

	if (in->mask & W_OK && req->se->config.readonly)
		return -EROFS;
	return req->se->fs->ops->access(req->se->fs, &who, req->in.nodeid, (int)in->mask);
}

int fuse_do_READLINK(struct fuse_req *req)
{
	size_t room = req->out.left < FUSE_BUFFER_MAX ? req->out.left : FUSE_BUFFER_MAX;
	ssize_t n = req->se->fs->ops->readlink(req->se->fs, req->in.nodeid, req->w->buffer, room);

	return n < 0 ? (int)n : fuse_reply(req, req->w->buffer, (size_t)n);
}

int fuse_do_STATFS(struct fuse_req *req)
{
	struct fuse_statfs_out out = {{0}};
	struct statvfs st;
	int r = req->se->fs->ops->statfs(req->se->fs, req->in.nodeid, &st);

	if (r < 0)
		return r;
	out.st = (struct fuse_kstatfs){
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.bsize = (uint32_t)st.f_bsize,
		.namelen = (uint32_t)st.f_namemax,
		.frsize = (uint32_t)st.f_frsize,
	};
	return fuse_reply(req, &out, sizeof(out));
}

int fuse_do_SYNCFS(struct fuse_req *req)
{
	/* A guest that has a superblock for each submount syncs each of them. */
	return req->se->fs->ops->syncfs(req->se->fs, req->in.nodeid,
		!fuse_has(req->se, FUSE_SUBMOUNTS));
}
