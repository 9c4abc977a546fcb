// SPDX-License-Identifier: BSD-2-Clause
/*
 * IOCTL: inode flags, as chattr(1) and xfs_io(8) read and set them, and nothing else.
 *
 * An ioctl is whatever a file system or driver makes of it, so there is a list of those that are
 * passed on. Linux sends these from 5.13 on by itself, with a handle that it opened to that end,
 * and the flags as 32 bits whatever size their number tells; older guests copy that size from the
 * program and back, though programs have 32 bits there too.
 */
#include <errno.h>
#include <linux/fs.h>

#include "base/util.h"
#include "fuse/request.h"

#define FLAGS_SIZE sizeof(uint32_t)

static const struct ioctl_desc {
	unsigned int cmd;
	bool sets;
	bool extended; /* struct fsxattr, not flags alone */
	uint32_t size; /* of what is read or set */
} ioctls[] = {
	{FS_IOC_GETFLAGS, false, false, FLAGS_SIZE},
	{FS_IOC_SETFLAGS, true, false, FLAGS_SIZE},
	{FS_IOC32_GETFLAGS, false, false, FLAGS_SIZE}, /* of 32-bit programs */
	{FS_IOC32_SETFLAGS, true, false, FLAGS_SIZE},
	{FS_IOC_FSGETXATTR, false, true, sizeof(struct fsxattr)},
	{FS_IOC_FSSETXATTR, true, true, sizeof(struct fsxattr)},
};

static const struct ioctl_desc *find(uint32_t cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		if (ioctls[i].cmd == cmd)
			return &ioctls[i];
	}
	return NULL;
}

static int set(struct fuse_req *req, const struct fs_target *t, const struct ioctl_desc *desc)
{
	struct fuse_ioctl_out out = {0};
	struct fs_fileattr fa = {.extended = desc->extended};
	struct fsxattr x;
	int r;

	if (req->se->config.readonly)
		return -EROFS;
	if (cursor_read(&req->data, desc->extended ? (void *)&x : &fa.flags, desc->size) <
		desc->size)
		return -EINVAL;
	if (desc->extended) {
		fa.flags = x.fsx_xflags;
		fa.extsize = x.fsx_extsize;
		fa.nextents = x.fsx_nextents;
		fa.projid = x.fsx_projid;
		fa.cowextsize = x.fsx_cowextsize;
	}
	r = req->se->fs->ops->set_fileattr(req->se->fs, t, &fa);
	return r < 0 ? r : fuse_reply(req, &out, sizeof(out));
}

static int get(struct fuse_req *req, const struct fs_target *t, const struct ioctl_desc *desc)
{
	struct {
		struct fuse_ioctl_out out;
		union {
			uint32_t flags;
			struct fsxattr x;
		};
	} reply = {.out = {0}};
	struct fs_fileattr fa = {.extended = desc->extended};
	int r = req->se->fs->ops->get_fileattr(req->se->fs, t, &fa);

	if (r < 0)
		return r;
	/* The flags come first in either form. */
	reply.flags = fa.flags;
	reply.x.fsx_extsize = fa.extsize;
	reply.x.fsx_nextents = fa.nextents;
	reply.x.fsx_projid = fa.projid;
	reply.x.fsx_cowextsize = fa.cowextsize;
	return fuse_reply(req, &reply, sizeof(reply.out) + desc->size);
}

int fuse_do_IOCTL(struct fuse_req *req)
{
	const struct fuse_ioctl_in *in = req->args;
	struct fs_target t = in->flags & FUSE_IOCTL_DIR ? fuse_dir_target(req, in->fh)
							: fuse_target(req, in->fh);
	const struct ioctl_desc *desc = find(in->cmd);

	/* There are no ioctls whose argument would have to be asked for (FUSE_IOCTL_RETRY). */
	if (!desc || in->flags & FUSE_IOCTL_UNRESTRICTED)
		return -ENOTTY;
	if ((desc->sets ? in->in_size : in->out_size) < desc->size)
		return -EINVAL;
	return desc->sets ? set(req, &t, desc) : get(req, &t, desc);
}
