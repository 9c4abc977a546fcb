// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * write(2) through the page cache: the server has it when the call returns.
 *
 * Data is copied into pages of its own, sent, and only then put into the cache, where whole new
 * pages simply become the cache's. So nobody reads what the server has not, and no page is locked
 * while the server works. Writers of a file exclude each other by i_rwsem.
 */
#include <linux/pagemap.h>
#include <linux/task_io_accounting_ops.h>

#include "data.h"

static ssize_t write_piece(struct kiocb *kiocb, struct iov_iter *from, size_t *len)
{
	struct inode *inode = file_inode(kiocb->ki_filp);
	struct cw_piece *p = cw_piece_new(kiocb, from, true);
	ssize_t n;

	if (IS_ERR(p))
		return PTR_ERR(p);
	*len = p->len;
	n = cw_piece_result(p, cw_call(cw_conn_of(inode), &p->call));
	if (n > 0) {
		cw_data_wrote(inode, &(struct cw_wrote){
			.pos = p->pos,
			.n = n,
			.pages = p->pages,
			.words = &p->words,
			.append = p->write.in.flags & O_APPEND,
		});
		kiocb->ki_pos += n;
	}
	if (n < (ssize_t)p->len)
		iov_iter_revert(from, p->len - max_t(ssize_t, n, 0));
	cw_piece_free(p);
	return n;
}

static ssize_t write_through(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t done = 0, n = generic_write_checks(kiocb, from);
	size_t len = 0;
	int err = 0;

	if (n <= 0)
		return n;
	if (!(cw_conn_of(inode)->flags & FUSE_HANDLE_KILLPRIV_V2))
		err = file_remove_privs(file);
	/* What mappings have stored goes first, for two WRITEs may overtake each other. */
	if (!err && inode->i_mapping->nrpages)
		err = filemap_write_and_wait_range(inode->i_mapping, kiocb->ki_pos,
						   kiocb->ki_pos + n - 1);
	if (err)
		return err;
	task_io_account_write(n);
	if (kiocb->ki_pos > i_size_read(inode))
		cw_data_grows(inode);
	while (iov_iter_count(from)) {
		n = write_piece(kiocb, from, &len);
		if (n <= 0)
			break;
		done += n;
		if ((size_t)n < len || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return done ? done : n;
}

ssize_t cw_cached_write(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	ssize_t n;

	/* Where it begins to append, whether its mode has bits that a write clears. */
	if ((kiocb->ki_flags & IOCB_APPEND) || cw_writes_back(c)) {
		int err = cw_refresh(inode, file, false);

		if (err)
			return err;
	}
	if (cw_writes_back(c) && !((c->flags & FUSE_HANDLE_KILLPRIV_V2) &&
				   (inode->i_mode & (S_ISUID | S_ISGID))))
		return cw_write_later(kiocb, from);

	inode_lock(inode);
	n = write_through(kiocb, from);
	inode_unlock(inode);
	/* By the node, the server has done it with the write. */
	if (n > 0 && READ_ONCE(CW_F(file)->fh) != CW_FH_NODE)
		n = generic_write_sync(kiocb, n);
	return n;
}
