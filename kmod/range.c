// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ranges of files: lseek(2) for data and holes, fallocate(2), copy_file_range(2). The server does
 * them; here the page cache is made to agree, under i_rwsem.
 *
 * CW_I_SIZE_UNSTABLE is set while a request may change the size: no reply about it counts.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/pagemap.h>

#include "compat/file.h"
#include "data.h"
#include "dax.h"

static loff_t seek_in_server(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_lseek_in in = { .offset = offset, .whence = whence };
	struct fuse_lseek_out out = {};
	int err;

	if (cw_is_absent(c, FUSE_LSEEK))
		goto absent;
	err = cw_writes_back(c) ? filemap_write_and_wait(inode->i_mapping) : 0;
	if (err)
		return err;
	in.fh = READ_ONCE(CW_F(file)->fh);
	err = cw_simple(c, FUSE_LSEEK, CW_I(inode)->nodeid, &in, sizeof(in), NULL, &out,
			sizeof(out), NULL);
	if (err >= 0)
		return vfs_setpos(file, out.offset, inode->i_sb->s_maxbytes);
	if (err != -ENOSYS)
		return err;
	cw_set_absent(c, FUSE_LSEEK);
absent:
	/* All is data, up to the end. */
	err = cw_refresh(inode, file, false);
	return err ? err : generic_file_llseek(file, offset, whence);
}

loff_t cw_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t at;

	switch (whence) {
	case SEEK_SET:
	case SEEK_CUR:
		return generic_file_llseek(file, offset, whence);
	case SEEK_END:
		inode_lock(inode);
		at = cw_refresh(inode, file, false);
		if (!at)
			at = generic_file_llseek(file, offset, whence);
		inode_unlock(inode);
		return at;
	case SEEK_HOLE:
	case SEEK_DATA:
		inode_lock(inode);
		at = seek_in_server(file, offset, whence);
		inode_unlock(inode);
		return at;
	default:
		return -EINVAL;
	}
}

/* ---- fallocate ----------------------------------------------------------------------------- */

#define MOVES (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)
#define DROPS (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | MOVES)

static int send_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_fallocate_in in = {
		.fh = READ_ONCE(CW_F(file)->fh),
		.offset = offset,
		.length = len,
		.mode = mode,
	};
	int err;

	err = cw_simple(
		c, FUSE_FALLOCATE, CW_I(inode)->nodeid, &in, sizeof(in), NULL, NULL, 0, NULL);
	if (err != -ENOSYS)
		return min(err, 0);
	cw_set_absent(c, FUSE_FALLOCATE);
	return -EOPNOTSUPP;
}

/* What the size is after it. The server knows better, and need not be right: there is something
 * behind what it takes out, and no file is longer than any may be. */
static loff_t size_after(loff_t size, int mode, loff_t offset, loff_t len)
{
	if (mode & FALLOC_FL_COLLAPSE_RANGE)
		return max(size - len, offset);
	if (mode & FALLOC_FL_INSERT_RANGE)
		return min(size, MAX_LFS_FILESIZE - len) + len;
	return mode & FALLOC_FL_KEEP_SIZE ? size : max(size, offset + len);
}

/* Under i_rwsem, and invalidate_lock where pages go. */
static int fallocate_locked(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct cw_inode *ci = CW_I(inode);
	const loff_t last = mode & MOVES ? LLONG_MAX : offset + len - 1;
	loff_t size;
	int err = 0;

	if (IS_DAX(inode) && (mode & DROPS))
		err = cw_dax_break(inode, offset);
	if (!err && (mode & DROPS))
		err = filemap_write_and_wait_range(inode->i_mapping, offset, last);
	if (err)
		return err;
	size = size_after(i_size_read(inode), mode, offset, len);
	cw_writes_stop(inode);
	set_bit(CW_I_SIZE_UNSTABLE, &ci->state);
	err = send_fallocate(file, mode, offset, len);
	if (!err) {
		if (size > i_size_read(inode) && !(mode & MOVES))
			cw_data_grows(inode);
		spin_lock(&ci->lock);
		ci->attr_version = atomic64_inc_return(&cw_conn_of(inode)->attr_version);
		i_size_write(inode, size);
		spin_unlock(&ci->lock);
	}
	cw_writes_go(inode);
	if (!err && (mode & DROPS))
		truncate_pagecache_range(
			inode, mode & MOVES ? round_down(offset, PAGE_SIZE) : offset, last);
	if (!err && (mode & FALLOC_FL_COLLAPSE_RANGE) && IS_DAX(inode))
		cw_dax_cut(inode, true);
	clear_bit(CW_I_SIZE_UNSTABLE, &ci->state);
	cw_drop_attr(inode);
	return err;
}

/* What may refuse it, or ask the server for attributes: so without invalidate_lock (dax.c). */
static int before_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	/* What is to grow, and from where. */
	int err = cw_refresh(inode, file, false);
	loff_t size = size_after(i_size_read(inode), mode, offset, len);

	if (!err && size > i_size_read(inode))
		err = inode_newsize_ok(inode, size);
	return err ? err : file_modified(file);
}

long cw_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	int err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | DROPS))
		return -EOPNOTSUPP;
	if (cw_is_absent(c, FUSE_FALLOCATE))
		return -EOPNOTSUPP;
	inode_lock(inode);
	err = before_fallocate(file, mode, offset, len);
	if (mode & DROPS)
		filemap_invalidate_lock(inode->i_mapping);
	if (!err)
		err = fallocate_locked(file, mode, offset, len);
	if (mode & DROPS)
		filemap_invalidate_unlock(inode->i_mapping);
	inode_unlock(inode);
	return err;
}

/* ---- copy_file_range
 * ----------------------------------------------------------------------------- */

/* Bytes, or -errno; a server that has only the old request copies 4 GiB less a page at most. */
static ssize_t send_copy(struct cw_conn *c, struct inode *from, struct fuse_copy_file_range_in *in)
{
	struct fuse_copy_file_range_out out = {};
	struct fuse_write_out old = {};
	int err;

	if (!cw_is_absent(c, FUSE_COPY_FILE_RANGE_64)) {
		err = cw_simple(c, FUSE_COPY_FILE_RANGE_64, CW_I(from)->nodeid, in, sizeof(*in),
			NULL, &out, sizeof(out), NULL);
		if (err < 0 && err != -ENOSYS)
			return err;
		if (err >= 0)
			return out.bytes_copied <= in->len ? (ssize_t)out.bytes_copied : -EIO;
		cw_set_absent(c, FUSE_COPY_FILE_RANGE_64);
	}
	if (cw_is_absent(c, FUSE_COPY_FILE_RANGE))
		return -EOPNOTSUPP;
	in->len = min_t(u64, in->len, UINT_MAX & PAGE_MASK);
	err = cw_simple(c, FUSE_COPY_FILE_RANGE, CW_I(from)->nodeid, in, sizeof(*in), NULL, &old,
			sizeof(old), NULL);
	if (err == -ENOSYS) {
		cw_set_absent(c, FUSE_COPY_FILE_RANGE);
		return -EOPNOTSUPP;
	}
	return err < 0 ? err : old.size <= in->len ? (ssize_t)old.size : -EIO;
}

/* Under i_rwsem of the file that is written. */
static ssize_t copy_locked(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			   size_t len, unsigned int flags)
{
	struct inode *from = file_inode(in), *to = file_inode(out);
	struct cw_inode *ci = CW_I(to);
	struct fuse_copy_file_range_in arg = {
		.fh_in = READ_ONCE(CW_F(in)->fh),
		.off_in = pos_in,
		.nodeid_out = CW_I(to)->nodeid,
		.fh_out = READ_ONCE(CW_F(out)->fh),
		.off_out = pos_out,
		.len = len,
		.flags = flags,
	};
	ssize_t n = filemap_write_and_wait_range(to->i_mapping, pos_out, pos_out + len - 1);

	if (!n)
		n = file_modified(out);
	if (n)
		return n;
	if (pos_out > i_size_read(to))
		cw_data_grows(to);
	set_bit(CW_I_SIZE_UNSTABLE, &ci->state);
	n = send_copy(cw_conn_of(to), from, &arg);
	if (n > 0) {
		truncate_inode_pages_range(to->i_mapping, round_down(pos_out, PAGE_SIZE),
					   round_up(pos_out + n, PAGE_SIZE) - 1);
		spin_lock(&ci->lock);
		ci->attr_version = atomic64_inc_return(&cw_conn_of(to)->attr_version);
		if (pos_out + n > i_size_read(to))
			i_size_write(to, pos_out + n);
		spin_unlock(&ci->lock);
	}
	clear_bit(CW_I_SIZE_UNSTABLE, &ci->state);
	cw_drop_attr(to);
	return n;
}

ssize_t cw_copy_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			   size_t len, unsigned int flags)
{
	struct inode *from = file_inode(in), *to = file_inode(out);
	struct cw_conn *c = cw_conn_of(from);
	ssize_t n = -EOPNOTSUPP;

	if (out->f_op != &cw_file_fops || cw_conn_of(to) != c || from->i_sb != to->i_sb) {
		n = -EXDEV;
	} else if (!cw_is_absent(c, FUSE_COPY_FILE_RANGE) ||
		   !cw_is_absent(c, FUSE_COPY_FILE_RANGE_64)) {
		inode_lock(from);
		n = filemap_write_and_wait_range(from->i_mapping, pos_in, pos_in + len - 1);
		inode_unlock(from);
		if (!n) {
			inode_lock(to);
			n = copy_locked(in, pos_in, out, pos_out, len, flags);
			inode_unlock(to);
		}
	}
	if (n == -EOPNOTSUPP || n == -EXDEV)
		n = cw_copy_by_splice(in, pos_in, out, pos_out, len, flags);
	return n;
}
