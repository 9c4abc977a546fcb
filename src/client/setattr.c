// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attributes, changed: mode, owner, length and times, of what a path names and of what a handle is.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "client/behind.h"
#include "client/file.h"

#define NSEC_MAX 999999999

int client_setattr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_setattr_in *in)
{
	struct fuse_attr_out out;
	struct call call = {
		.opcode = FUSE_SETATTR,
		.nodeid = node->id,
		.args = {CALL_STRUCT(*in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r;

	/* A handle of a directory is none of the files' that FATTR_FH means. */
	if (f && f->open && node->type == S_IFREG) {
		in->valid |= FATTR_FH;
		in->fh = f->fh;
	}
	behind_send(c, node);
	if (in->valid & FATTR_MTIME)
		atomic_store(&node->stored, false);
	else
		window_tell_times(c, node, f);
	if (in->valid & FATTR_SIZE)
		window_drop(c, node, window_whole(in->size));
	r = client_call(c, &call);
	if (in->valid & FATTR_SIZE)
		node_forget_data(c, node);
	if (r == 0)
		return node_changed(c, node, &out.attr,
			cache_validity(c, &call, VT_NODE_ATTR, out.attr_valid,
				out.attr_valid_nsec), call.asof);
	/* What failed may have been done in part. */
	node_drop_attr(c, node);
	return r;
}

/* The mode without set-id bits, into a SETATTR, where there are some: for a back-end that leaves it
 * to its guests to take them off when the content changes. */
static int strip_mode(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_setattr_in *in)
{
	struct fuse_attr attr;
	uint32_t bits = S_ISUID;
	int r = client_getattr(c, node, f, &attr);

	if (r < 0)
		return r;
	/* Without S_IXGRP the other one is a mark of mandatory locks. */
	if (attr.mode & S_IXGRP)
		bits |= S_ISGID;
	if (attr.mode & bits) {
		in->valid |= FATTR_MODE;
		in->mode = attr.mode & ~bits;
	}
	return 0;
}

int client_set_size(struct causeway *c, struct node *node, struct causeway_file *f, uint64_t size)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = size};
	int r = 0;

	if (client_kills_priv(c) && (c->session.flags & FUSE_HANDLE_KILLPRIV_V2))
		in.valid |= FATTR_KILL_SUIDGID;
	else if (client_kills_priv(c))
		r = strip_mode(c, node, f, &in);
	return r < 0 ? r : client_setattr(c, node, f, &in);
}

int client_strip_priv(struct causeway_file *f)
{
	struct fuse_setattr_in in = {.valid = 0};
	int r = 0;

	if (client_kills_priv(f->c) && !(f->c->session.flags & FUSE_HANDLE_KILLPRIV_V2))
		r = strip_mode(f->c, f->node, f, &in);
	return r < 0 || in.valid == 0 ? r : client_setattr(f->c, f->node, f, &in);
}

static int chmod_once(struct causeway *c, struct causeway_file *at, const char *path,
	mode_t mode, int flags)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE};
	struct target t;
	int r = client_target(c, at, path, flags, &t);

	if (r < 0)
		return r;
	in.mode = t.node->type | (mode & 07777);
	r = t.node->type == S_IFLNK ?
		client_fail(c, -EOPNOTSUPP, "a symbolic link has no mode to change") :
		client_setattr(c, t.node, t.file, &in);
	node_put(c, t.node);
	return r;
}

EXPORT int causeway_chmod(struct causeway *c, struct causeway_file *at, const char *path,
	mode_t mode, int flags)
{
	return CLIENT_AGAIN(c, chmod_once(c, at, path, mode, flags));
}

EXPORT int causeway_fchmod(struct causeway_file *f, mode_t mode)
{
	return causeway_chmod(f->c, f, "", mode, AT_EMPTY_PATH);
}

static int chown_once(struct causeway *c, struct causeway_file *at, const char *path,
	uid_t owner, gid_t group, int flags)
{
	struct fuse_setattr_in in = {
		.valid = (owner == (uid_t)-1 ? 0 : FATTR_UID) |
			(group == (gid_t)-1 ? 0 : FATTR_GID),
		.uid = owner,
		.gid = group,
	};
	struct target t;
	int r = client_target(c, at, path, flags, &t);

	if (r < 0)
		return r;
	r = client_setattr(c, t.node, t.file, &in);
	node_put(c, t.node);
	return r;
}

EXPORT int causeway_chown(struct causeway *c, struct causeway_file *at, const char *path,
	uid_t owner, gid_t group, int flags)
{
	return CLIENT_AGAIN(c, chown_once(c, at, path, owner, group, flags));
}

EXPORT int causeway_fchown(struct causeway_file *f, uid_t owner, gid_t group)
{
	return causeway_chown(f->c, f, "", owner, group, AT_EMPTY_PATH);
}

static int check_length(struct causeway *c, off_t length)
{
	return length >= 0 ? 0 :
		client_fail(c, -EINVAL, "a file has no length of %lld", (long long)length);
}

static int truncate_once(struct causeway *c, struct causeway_file *at, const char *path,
	off_t length)
{
	struct target t;
	int r = check_length(c, length);

	if (r == 0)
		r = client_target(c, at, path, 0, &t);
	if (r < 0)
		return r;
	if (t.node->type == S_IFREG)
		r = client_set_size(c, t.node, NULL, (uint64_t)length);
	else
		r = client_fail(c, t.node->type == S_IFDIR ? -EISDIR : -EINVAL,
			"'%.200s': only files have a length to set", path);
	node_put(c, t.node);
	return r;
}

EXPORT int causeway_truncate(struct causeway *c, struct causeway_file *at, const char *path,
	off_t length)
{
	return CLIENT_AGAIN(c, truncate_once(c, at, path, length));
}

EXPORT int causeway_ftruncate(struct causeway_file *f, off_t length)
{
	int r = check_length(f->c, length);

	if (r < 0)
		return r;
	if (f->flags & O_PATH)
		return client_fail(f->c, -EBADF, "the file is not open for that");
	if ((f->flags & O_ACCMODE) == O_RDONLY || f->node->type != S_IFREG)
		return client_fail(f->c, -EINVAL, "the file is not open for writing");
	return client_set_size(f->c, f->node, f, (uint64_t)length);
}

/* One time of utimensat(2), as bits of FATTR_* and numbers; -EINVAL for one that is none. */
static int put_time(const struct timespec *t, uint32_t given, uint32_t now, uint32_t *valid,
	uint64_t *sec, uint32_t *nsec)
{
	if (t && t->tv_nsec == UTIME_OMIT)
		return 0;
	if (!t || t->tv_nsec == UTIME_NOW) {
		*valid |= given | now;
		return 0;
	}
	if (t->tv_nsec < 0 || t->tv_nsec > NSEC_MAX)
		return -EINVAL;
	*valid |= given;
	*sec = (uint64_t)t->tv_sec;
	*nsec = (uint32_t)t->tv_nsec;
	return 0;
}

static int utimens_once(struct causeway *c, struct causeway_file *at, const char *path,
	const struct timespec times[2], int flags)
{
	struct fuse_setattr_in in = {.valid = 0};
	struct target t;
	int r = put_time(times, FATTR_ATIME, FATTR_ATIME_NOW, &in.valid, &in.atime, &in.atimensec);

	if (r == 0)
		r = put_time(times ? times + 1 : NULL, FATTR_MTIME, FATTR_MTIME_NOW, &in.valid,
			&in.mtime, &in.mtimensec);
	if (r < 0)
		return client_fail(c, r, "a time has from 0 to %d nanoseconds, UTIME_NOW or "
					 "UTIME_OMIT", NSEC_MAX);
	/* As Linux has it, who changes nothing may do that to any path. */
	if (in.valid == 0)
		return 0;
	r = client_target(c, at, path, flags, &t);
	if (r < 0)
		return r;
	r = client_setattr(c, t.node, t.file, &in);
	node_put(c, t.node);
	return r;
}

EXPORT int causeway_utimens(struct causeway *c, struct causeway_file *at, const char *path,
	const struct timespec times[2], int flags)
{
	return CLIENT_AGAIN(c, utimens_once(c, at, path, times, flags));
}

EXPORT int causeway_futimens(struct causeway_file *f, const struct timespec times[2])
{
	return causeway_utimens(f->c, f, "", times, AT_EMPTY_PATH);
}
