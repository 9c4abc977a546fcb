// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attributes, asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "client/behind.h"
#include "client/file.h"
#include "client/notify.h"

static int ask(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_attr *attr)
{
	struct fuse_getattr_in in = {.getattr_flags = 0};
	struct fuse_attr_out out;
	struct call call = {
		.opcode = FUSE_GETATTR,
		.nodeid = node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r;

	if (f && f->open) {
		in.getattr_flags = FUSE_GETATTR_FH;
		in.fh = f->fh;
	}
	r = client_call(c, &call);
	if (r == 0)
		r = node_set_attr(c, node, &out.attr,
			cache_validity(c, &call, VT_NODE_ATTR, out.attr_valid,
				out.attr_valid_nsec), call.asof);
	if (r == 0)
		*attr = out.attr;
	return r;
}

int client_know_attr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_attr *attr)
{
	client_hear(c);
	behind_send(c, node);
	return node_get_attr(c, node, attr) ? 0 : ask(c, node, f, attr);
}

int client_getattr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_attr *attr)
{
	window_tell_times(c, node, f);
	return client_know_attr(c, node, f, attr);
}

int client_target(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	struct target *t)
{
	unsigned int how = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
		(flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
	struct walked w;
	int r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return client_fail(c, -EINVAL, "flags %#x are not known here", flags);
	r = walk(c, start_of(at), path, how, &w);
	*t = (struct target){.node = w.node, .file = *path == '\0' ? at : NULL};
	return r;
}

/* One by one: clearing all of it before would take as long as all else that a stat of what is kept
 * does. */
void client_to_stat(const struct fuse_attr *a, struct stat *st)
{
	st->st_dev = 0;
	st->st_ino = a->ino;
	st->st_mode = a->mode;
	st->st_nlink = a->nlink;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = makedev(a->rdev >> 8 & 0xfff, (a->rdev & 0xff) | (a->rdev >> 12 & 0xfff00));
	st->st_size = (off_t)a->size;
	st->st_blksize = a->blksize ? a->blksize : 4096;
	st->st_blocks = (blkcnt_t)a->blocks;
	st->st_atim = (struct timespec){(time_t)a->atime, a->atimensec};
	st->st_mtim = (struct timespec){(time_t)a->mtime, a->mtimensec};
	st->st_ctim = (struct timespec){(time_t)a->ctime, a->ctimensec};
}

static int stat_once(struct causeway *c, struct causeway_file *at, const char *path,
	struct stat *st, int flags)
{
	struct fuse_attr attr;
	struct target t;
	int r = client_target(c, at, path, flags, &t);

	if (r < 0)
		return r;
	r = client_getattr(c, t.node, t.file, &attr);
	node_put(c, t.node);
	if (r == 0)
		client_to_stat(&attr, st);
	return r;
}

EXPORT int causeway_stat(struct causeway *c, struct causeway_file *at, const char *path,
	struct stat *st, int flags)
{
	return CLIENT_AGAIN(c, stat_once(c, at, path, st, flags));
}

EXPORT int causeway_fstat(struct causeway_file *f, struct stat *st)
{
	struct glanced seen;
	int r = 0;

	window_tell_times(f->c, f->node, f);
	client_hear(f->c);
	behind_send(f->c, f->node);
	if (!node_glance(f->c, f->node, &seen))
		r = ask(f->c, f->node, f, &seen.attr);
	if (r == 0)
		client_to_stat(&seen.attr, st);
	return r;
}
