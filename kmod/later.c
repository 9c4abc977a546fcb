// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * write(2) that makes dirty pages (option writeback).
 *
 * i_rwsem is held for writing: i_size and times are ours until the pages have been sent
 * (cw_size_is_ours; CW_I_FILE_TIMES). A page is made dirty before i_size grows, so that no reply
 * about the smaller file comes between.
 */
#include <linux/backing-dev.h>
#include <linux/pagemap.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "compat/data.h"
#include "data.h"

/* What of a page is not going to be written has to be there. */
static int prepare(struct file *file, struct folio *folio, size_t off, size_t n)
{
	const loff_t pos = folio_pos(folio), size = i_size_read(file_inode(file));

	if (folio_test_uptodate(folio) || n == PAGE_SIZE)
		return 0;
	if (pos >= size || (!off && pos + (loff_t)n >= size)) {
		folio_zero_segments(folio, 0, off, off + n, PAGE_SIZE);
		return 0;
	}
	return cw_fill_folio(file, folio);
}

/* Bytes that a page took: 0 when the user's memory has gone meanwhile; or -errno. */
static ssize_t write_page(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct address_space *mapping = inode->i_mapping;
	const loff_t pos = kiocb->ki_pos;
	const size_t off = offset_in_page(pos);
	size_t n = min_t(size_t, PAGE_SIZE - off, iov_iter_count(from));
	struct folio *folio;
	size_t got = 0;
	int err;

	folio = cw_get_folio(mapping, pos >> PAGE_SHIFT, FGP_LOCK | FGP_WRITE | FGP_CREAT,
			     mapping_gfp_mask(mapping) & ~__GFP_FS);
	if (!folio)
		return -ENOMEM;
	folio_wait_writeback(folio);
	err = prepare(file, folio, off, n);
	if (!err) {
		got = cw_copy_atomic(folio, off, n, from);
		flush_dcache_folio(folio);
		if (got < n && !folio_test_uptodate(folio)) {
			iov_iter_revert(from, got);
			got = 0;
		}
	}
	if (got) {
		folio_mark_uptodate(folio);
		folio_mark_dirty(folio);
		spin_lock(&CW_I(inode)->lock);
		if (pos + (loff_t)got > i_size_read(inode))
			i_size_write(inode, pos + got);
		spin_unlock(&CW_I(inode)->lock);
	}
	folio_unlock(folio);
	folio_put(folio);
	return err ? err : got;
}

static ssize_t write_pages(struct kiocb *kiocb, struct iov_iter *from)
{
	struct address_space *mapping = kiocb->ki_filp->f_mapping;
	ssize_t done = 0, n = 0;

	while (iov_iter_count(from)) {
		const size_t part = min_t(size_t, PAGE_SIZE - offset_in_page(kiocb->ki_pos),
					  iov_iter_count(from));

		if (fault_in_iov_iter_readable(from, part) == part) {
			n = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			n = -EINTR;
			break;
		}
		n = write_page(kiocb, from);
		if (n < 0)
			break;
		kiocb->ki_pos += n;
		done += n;
		balance_dirty_pages_ratelimited(mapping);
		cond_resched();
	}
	return done ? done : n;
}

ssize_t cw_write_later(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t n;
	int err;

	inode_lock(inode);
	n = generic_write_checks(kiocb, from);
	if (n <= 0)
		goto out;
	err = file_remove_privs(file);
	if (!err) {
		set_bit(CW_I_FILE_TIMES, &CW_I(inode)->state);
		err = file_update_time(file);
	}
	if (err) {
		n = err;
		goto out;
	}
	task_io_account_write(n);
	if (kiocb->ki_pos > i_size_read(inode))
		cw_data_grows(inode);
	n = write_pages(kiocb, from);
out:
	inode_unlock(inode);
	return n > 0 ? generic_write_sync(kiocb, n) : n;
}
