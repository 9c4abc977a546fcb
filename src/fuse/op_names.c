// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations on names: LOOKUP, and what makes, moves and removes entries.
 */
#include <errno.h>
#include <sys/sysmacros.h>

#include "fuse/request.h"

static dev_t decode_dev(uint32_t dev)
{
	return makedev((dev & 0xfff00) >> 8, (dev & 0xff) | ((dev >> 12) & 0xfff00));
}

int fuse_do_LOOKUP(struct fuse_req *req)
{
	struct fs *fs = req->se->fs;
	struct fs_entry entry = {0};
	int r = fs->ops->lookup(fs, req->in.nodeid, req->name[0], &entry);

	/* An entry of node 0 lets the guest remember that there is none, for a time or as long as a
	 * word says. */
	if (r == -ENOENT && (req->se->config.entry_ns > 0 || req->words > 0))
		return fuse_reply_entry(req, &entry);
	return r < 0 ? r : fuse_reply_entry(req, &entry);
}

int fuse_do_MKNOD(struct fuse_req *req)
{
	const struct fuse_mknod_in *in = req->args;
	struct fs_caller who = fuse_caller(req, in->umask);
	struct fs *fs = req->se->fs;
	struct fs_entry entry;
	int r = fs->ops->mknod(fs, &who, req->in.nodeid, req->name[0], in->mode,
		decode_dev(in->rdev), &entry);

	return r < 0 ? r : fuse_reply_entry(req, &entry);
}

int fuse_do_MKDIR(struct fuse_req *req)
{
	const struct fuse_mkdir_in *in = req->args;
	struct fs_caller who = fuse_caller(req, in->umask);
	struct fs *fs = req->se->fs;
	struct fs_entry entry;
	int r = fs->ops->mkdir(fs, &who, req->in.nodeid, req->name[0], in->mode, &entry);

	return r < 0 ? r : fuse_reply_entry(req, &entry);
}

int fuse_do_SYMLINK(struct fuse_req *req)
{
	struct fs_caller who = fuse_caller(req, 0);
	struct fs *fs = req->se->fs;
	struct fs_entry entry;
	int r = fs->ops->symlink(fs, &who, req->in.nodeid, req->name[0], req->name[1], &entry);

	return r < 0 ? r : fuse_reply_entry(req, &entry);
}

int fuse_do_LINK(struct fuse_req *req)
{
	const struct fuse_link_in *in = req->args;
	struct fs *fs = req->se->fs;
	struct fs_entry entry;
	int r = fs->ops->link(fs, in->oldnodeid, req->in.nodeid, req->name[0], &entry);

	return r < 0 ? r : fuse_reply_entry(req, &entry);
}

int fuse_do_UNLINK(struct fuse_req *req)
{
	return req->se->fs->ops->unlink(req->se->fs, req->in.nodeid, req->name[0]);
}

int fuse_do_RMDIR(struct fuse_req *req)
{
	return req->se->fs->ops->rmdir(req->se->fs, req->in.nodeid, req->name[0]);
}

int fuse_do_RENAME(struct fuse_req *req)
{
	const struct fuse_rename_in *in = req->args;

	return req->se->fs->ops->rename(req->se->fs, req->in.nodeid, req->name[0], in->newdir,
		req->name[1], 0);
}

int fuse_do_RENAME2(struct fuse_req *req)
{
	const struct fuse_rename2_in *in = req->args;

	return req->se->fs->ops->rename(req->se->fs, req->in.nodeid, req->name[0], in->newdir,
		req->name[1], in->flags);
}
