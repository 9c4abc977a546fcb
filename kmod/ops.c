// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tables of operations of regular files, and which way data goes: through the DAX window,
 * beside the page cache, or through it.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat/acl.h"
#include "compat/file.h"
#include "data.h"
#include "dax.h"

static bool beside_cache(const struct kiocb *kiocb)
{
	return cw_is_direct(kiocb->ki_filp) || (kiocb->ki_flags & IOCB_DIRECT);
}

static ssize_t read_iter(struct kiocb *kiocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(kiocb->ki_filp);

	if (cw_is_bad(inode))
		return -EIO;
	if (cw_is_dax(inode))
		return cw_dax_read(kiocb, to);
	return beside_cache(kiocb) ? cw_direct_read(kiocb, to) : cw_cached_read(kiocb, to);
}

static ssize_t write_iter(struct kiocb *kiocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(kiocb->ki_filp);

	if (cw_is_bad(inode))
		return -EIO;
	if (cw_is_dax(inode))
		return cw_dax_write(kiocb, from);
	return beside_cache(kiocb) ? cw_direct_write(kiocb, from) : cw_cached_write(kiocb, from);
}

static int map(struct file *file, struct vm_area_struct *vma)
{
	return IS_DAX(file_inode(file)) ? cw_dax_mmap(file, vma) : cw_mmap_cached(file, vma);
}

/* Pages of the cache may go into a pipe themselves where a look before is enough. */
static ssize_t splice_read(struct file *file, loff_t *pos, struct pipe_inode_info *pipe, size_t len,
			   unsigned int flags)
{
	struct inode *inode = file_inode(file);
	int err;

	if (cw_is_bad(inode))
		return -EIO;
	if (IS_DAX(inode) || cw_is_direct(file) || cw_is_shared(cw_conn_of(inode)) ||
	    (file->f_flags & O_DIRECT))
		return cw_splice_copied(file, pos, pipe, len, flags);
	err = cw_refresh(inode, file, false);
	return err ? err : cw_splice_cached(file, pos, pipe, len, flags);
}

/* ---- close(2) and fsync(2)
 * ------------------------------------------------------------------------ */

/* What writeback could not write is told to each who closes or syncs, once. */
static int write_all(struct file *file)
{
	struct inode *inode = file_inode(file);
	int err;

	if (!(file->f_mode & FMODE_WRITE) || cw_is_dax(inode))
		return 0;
	err = file_write_and_wait_range(file, 0, LLONG_MAX);
	if (!err && test_bit(CW_I_FILE_TIMES, &CW_I(inode)->state))
		err = cw_flush_times(inode, file);
	return err;
}

static int flush(struct file *file, fl_owner_t id)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_file *f = CW_F(file);
	struct fuse_flush_in in = {};
	int err;

	if (cw_is_bad(inode))
		return -EIO;
	err = write_all(file);
	if (err || cw_is_absent(c, FUSE_FLUSH))
		return err;
	if ((f->open_flags & FOPEN_NOFLUSH) && !cw_writes_back(c))
		return 0;
	if (READ_ONCE(f->fh) == CW_FH_NODE) {
		/* By the node there is nothing to be flushed, but close(2) of any file drops locks.
		 */
		if (!test_bit(CW_I_POSIX_LOCKS, &CW_I(inode)->state))
			return 0;
		err = cw_file_handle(f);
		if (err)
			return err;
	}
	in.fh = READ_ONCE(f->fh);
	in.lock_owner = cw_lock_owner(c, id);
	err = cw_simple(c, FUSE_FLUSH, CW_I(inode)->nodeid, &in, sizeof(in), NULL, NULL, 0, NULL);
	if (err == -ENOSYS) {
		cw_set_absent(c, FUSE_FLUSH);
		return 0;
	}
	return min(err, 0);
}

int cw_fsync_common(struct file *file, loff_t start, loff_t end, int datasync, u32 opcode)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_fsync_in in = { .fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0 };
	int err = 0;

	if (cw_is_bad(inode))
		return -EIO;
	inode_lock(inode);
	if (S_ISREG(inode->i_mode))
		err = file_write_and_wait_range(file, start, end);
	if (!err)
		err = sync_inode_metadata(inode, 1);
	if (err || cw_is_absent(c, opcode))
		goto out;
	in.fh = READ_ONCE(CW_F(file)->fh);
	err = cw_simple(c, opcode, CW_I(inode)->nodeid, &in, sizeof(in), NULL, NULL, 0, NULL);
	if (err == -ENOSYS) {
		cw_set_absent(c, opcode);
		err = 0;
	}
	/* What the server keeps open is one file on the host, which tells it once: all here who
	 * have it open are to hear of it, and this one hears it now. */
	if ((err == -EIO || err == -ENOSPC || err == -EDQUOT) && S_ISREG(inode->i_mode) &&
	    (c->extensions & CW_EXT_PINS)) {
		mapping_set_error(inode->i_mapping, err);
		err = file_check_and_advance_wb_err(file);
	}
out:
	inode_unlock(inode);
	return min(err, 0);
}

static int sync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return cw_fsync_common(file, start, end, datasync, FUSE_FSYNC);
}

/* ---- tables -------------------------------------------------------------------------------- */

const struct file_operations cw_file_fops = {
	.owner = THIS_MODULE,
	.open = cw_open,
	.release = cw_release,
	.flush = flush,
	.fsync = sync,
	.llseek = cw_llseek,
	.read_iter = read_iter,
	.write_iter = write_iter,
	.mmap = map,
	.get_unmapped_area = thp_get_unmapped_area,
	.splice_read = splice_read,
	.splice_write = iter_file_splice_write,
	.lock = cw_lock,
	.flock = cw_flock,
	.unlocked_ioctl = cw_ioctl,
	.compat_ioctl = cw_compat_ioctl,
	.fallocate = cw_fallocate,
	.copy_file_range = cw_copy_file_range,
};

static const struct inode_operations file_inode_ops = {
	.permission = cw_permission,
	.getattr = cw_getattr,
	.setattr = cw_setattr,
	.listxattr = cw_listxattr,
	.fileattr_get = cw_fileattr_get,
	.fileattr_set = cw_fileattr_set,
	CW_ACL_OPS
};

void cw_init_file(struct inode *inode, u32 attr_flags)
{
	inode->i_op = &file_inode_ops;
	inode->i_fop = &cw_file_fops;
	inode->i_mapping->a_ops = IS_DAX(inode) ? &cw_dax_aops : &cw_aops;
	/* Times are the server's, but for what is written back; atime always is. */
	inode->i_flags |= S_NOATIME;
	if (!cw_writes_back(cw_conn_of(inode)))
		inode->i_flags |= S_NOCMTIME;
}
