// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ioctl(2), restricted: what is copied is what the command's number says, and the server never asks
 * for more of the caller's memory. chattr(1) and lsattr(1) come as flags of inodes (fileattr).
 */
#include <linux/compat.h>
#include <linux/fileattr.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "data.h"

struct transfer {
	unsigned int cmd, flags;
	unsigned long arg;
	void *in, *out; /* kernel memory, of these sizes */
	unsigned int in_size, out_size;
};

/* IOCTL of an open file (or of one that is opened for it): the ioctl's own result, or -errno. */
static int send_ioctl(struct inode *inode, u64 fh, struct transfer *t)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_ioctl_in arg = {
		.fh = fh,
		.cmd = t->cmd,
		.arg = t->arg,
		.flags = t->flags,
		.in_size = t->in_size,
		.out_size = t->out_size,
	};
	const unsigned int room = sizeof(struct fuse_ioctl_out) + t->out_size;
	struct fuse_ioctl_out *out;
	struct cw_call call;
	int got;

	if (cw_is_absent(c, FUSE_IOCTL))
		return -ENOTTY;
	out = kzalloc(room, GFP_KERNEL);
	if (!out)
		return -ENOMEM;
	call = (struct cw_call){
		.opcode = FUSE_IOCTL,
		.nodeid = CW_I(inode)->nodeid,
		.nin = t->in_size ? 2 : 1,
		.in = { { &arg, sizeof(arg) }, { t->in, t->in_size } },
		.out = out,
		.out_size = room,
		.out_short = true,
	};
	got = cw_call(c, &call);
	if (got >= 0 && got < (int)sizeof(*out))
		got = -EIO;
	/* What the answer would have us do is for servers that may read the caller's memory. */
	if (got >= 0 && (out->flags & FUSE_IOCTL_RETRY))
		got = -EIO;
	if (got >= 0) {
		got -= sizeof(*out);
		if (t->out_size)
			memcpy(t->out, out + 1, min_t(unsigned int, got, t->out_size));
		got = out->result;
	} else if (got == -ENOSYS) {
		cw_set_absent(c, FUSE_IOCTL);
		got = -ENOTTY;
	}
	kfree(out);
	return got;
}

/* Bytes that a command has, in either direction. Flags of inodes are ints, whatever they say. */
static unsigned int size_of(unsigned int cmd)
{
	switch (cmd) {
	case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS:
		return sizeof(int);
	default:
		return _IOC_SIZE(cmd);
	}
}

static long ioctl(struct file *file, unsigned int cmd, unsigned long arg, unsigned int flags)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	const unsigned int size = size_of(cmd);
	void __user *user = (void __user *)arg;
	struct transfer t = { .cmd = cmd, .arg = arg, .flags = flags };
	void *memory = NULL;
	long ret;

	if (cw_is_bad(inode))
		return -EIO;
	if (S_ISDIR(inode->i_mode)) {
		if (!(c->flags & FUSE_HAS_IOCTL_DIR))
			return -ENOTTY;
		t.flags |= FUSE_IOCTL_DIR;
	}
	ret = cw_file_handle(CW_F(file));
	if (ret)
		return ret;
	if (size && _IOC_DIR(cmd)) {
		memory = kzalloc(size, GFP_KERNEL);
		if (!memory)
			return -ENOMEM;
	}
	t.in = t.out = memory;
	t.in_size = _IOC_DIR(cmd) & _IOC_WRITE ? size : 0;
	t.out_size = _IOC_DIR(cmd) & _IOC_READ ? size : 0;
	ret = -EFAULT;
	if (!t.in_size || !copy_from_user(memory, user, size))
		ret = send_ioctl(inode, READ_ONCE(CW_F(file)->fh), &t);
	if (ret >= 0 && t.out_size && copy_to_user(user, memory, size))
		ret = -EFAULT;
	kfree(memory);
	return ret;
}

long cw_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ioctl(file, cmd, arg, 0);
}

long cw_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	unsigned int flags = FUSE_IOCTL_COMPAT;

	if (!IS_ENABLED(CONFIG_COMPAT))
		return -ENOIOCTLCMD;
	if (IS_ENABLED(CONFIG_X86_X32_ABI) || IS_ENABLED(CONFIG_64BIT))
		flags |= FUSE_IOCTL_32BIT;
	return ioctl(file, cmd, (unsigned long)compat_ptr(arg), flags);
}

/* ---- flags of inodes
 * ------------------------------------------------------------------------------ */

/* By a file of their own: the caller has none. */
static int send_attr(struct inode *inode, unsigned int cmd, void *data, unsigned int size)
{
	struct cw_conn *c = cw_conn_of(inode);
	const bool dir = S_ISDIR(inode->i_mode);
	struct transfer t = {
		.cmd = cmd,
		.in = data,
		.out = data,
		.in_size = _IOC_DIR(cmd) & _IOC_WRITE ? size : 0,
		.out_size = _IOC_DIR(cmd) & _IOC_READ ? size : 0,
	};
	struct cw_file *f;
	int err;

	if (cw_is_bad(inode))
		return -EIO;
	if (!S_ISREG(inode->i_mode) && !(dir && (c->flags & FUSE_HAS_IOCTL_DIR)))
		return -ENOTTY;
	if (dir)
		t.flags |= FUSE_IOCTL_DIR;
	f = cw_file_alloc(inode);
	if (!f)
		return -ENOMEM;
	err = cw_send_open(inode, f, dir ? FUSE_OPENDIR : FUSE_OPEN, O_RDONLY | O_LARGEFILE);
	if (!err)
		err = send_ioctl(inode, f->fh, &t);
	cw_file_put(f, false);
	return err;
}

int cw_fileattr_get(struct dentry *dentry, cw_fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct fsxattr x = {};
	unsigned int flags = 0;
	int err;

	if (fa->flags_valid) {
		err = send_attr(inode, FS_IOC_GETFLAGS, &flags, sizeof(flags));
		if (!err)
			fileattr_fill_flags(fa, flags);
		return err;
	}
	err = send_attr(inode, FS_IOC_FSGETXATTR, &x, sizeof(x));
	if (err)
		return err;
	fileattr_fill_xflags(fa, x.fsx_xflags);
	fa->fsx_extsize = x.fsx_extsize;
	fa->fsx_nextents = x.fsx_nextents;
	fa->fsx_projid = x.fsx_projid;
	fa->fsx_cowextsize = x.fsx_cowextsize;
	return 0;
}

int cw_fileattr_set(cw_idmap *idmap, struct dentry *dentry, cw_fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	unsigned int flags = fa->flags;
	struct fsxattr x = {
		.fsx_xflags = fa->fsx_xflags,
		.fsx_extsize = fa->fsx_extsize,
		.fsx_projid = fa->fsx_projid,
		.fsx_cowextsize = fa->fsx_cowextsize,
	};
	int err;

	if (fa->flags_valid)
		err = send_attr(inode, FS_IOC_SETFLAGS, &flags, sizeof(flags));
	else
		err = send_attr(inode, FS_IOC_FSSETXATTR, &x, sizeof(x));
	cw_drop_attr(inode);
	return err;
}
