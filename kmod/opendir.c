// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Open directories. OPENDIR is sent when a handle is needed first: a listing that is kept needs
 * none, nor does a server that has said ENOSYS.
 */
#include <linux/fs.h>

#include "listing.h"
#include "node.h"

/* Under pos_lock, or while nobody else knows the file. */
static int open_now(struct file *file, struct cw_file *f)
{
	struct inode *dir = file_inode(file);
	struct cw_conn *c = cw_conn_of(dir);
	int r;

	if (f->opened)
		return 0;
	r = cw_send_open(dir, f, FUSE_OPENDIR, file->f_flags);
	/* In the other modes the server has no say in it. */
	if (r == 0 && c->opt.cache == CW_CACHE_AUTO && !(f->open_flags & FOPEN_KEEP_CACHE))
		cw_listing_drop(dir);
	return r;
}

int cw_dir_handle(struct file *file)
{
	struct cw_file *f = CW_F(file);

	lockdep_assert_held(&f->pos_lock);
	return open_now(file, f);
}

/* Whether what is kept will do to begin with. */
static bool has_listing(struct inode *dir)
{
	struct cw_listing *l = NULL;

	if (cw_conn_of(dir)->opt.cache != CW_CACHE_AUTO)
		l = cw_listing_get(dir, false);
	cw_listing_put(l);
	return l;
}

static int open_dir(struct inode *dir, struct file *file)
{
	struct cw_file *f;
	int r = 0;

	if (cw_is_bad(dir))
		return -EIO;
	f = cw_file_alloc(dir);
	if (!f)
		return -ENOMEM;
	f->flags = file->f_flags;
	if (!has_listing(dir))
		r = open_now(file, f);
	if (r < 0) {
		cw_file_put(f, false);
		return r;
	}
	file->private_data = f;
	return 0;
}

static int release_dir(struct inode *dir, struct file *file)
{
	struct cw_file *f = CW_F(file);

	cw_listing_put(f->draft);
	f->draft = NULL;
	cw_file_put(f, false);
	return 0;
}

static int fsync_dir(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *dir = file_inode(file);
	struct cw_conn *c = cw_conn_of(dir);
	struct cw_file *f = CW_F(file);
	struct fuse_fsync_in in = { .fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0 };
	int r;

	if (cw_is_bad(dir))
		return -EIO;
	if (cw_is_absent(c, FUSE_FSYNCDIR))
		return 0;
	mutex_lock(&f->pos_lock);
	r = open_now(file, f);
	in.fh = f->fh;
	mutex_unlock(&f->pos_lock);
	if (r < 0)
		return r;
	r = cw_simple(c, FUSE_FSYNCDIR, CW_I(dir)->nodeid, &in, sizeof(in), NULL, NULL, 0, NULL);
	if (r == -ENOSYS) {
		cw_set_absent(c, FUSE_FSYNCDIR);
		r = 0;
	}
	return min(r, 0);
}

const struct file_operations cw_dir_file_ops = {
	.llseek = generic_file_llseek,
	.read = generic_read_dir,
	.iterate_shared = cw_iterate,
	.open = open_dir,
	.release = release_dir,
	.fsync = fsync_dir,
	.unlocked_ioctl = cw_ioctl,
	.compat_ioctl = cw_compat_ioctl,
};
