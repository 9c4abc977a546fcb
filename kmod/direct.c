// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Data beside the page cache: O_DIRECT, and all data with cache=none or where the server wants it.
 *
 * What the cache has of the range is sent before, and goes after a write. An ordinary kiocb makes
 * request after request; an asynchronous one sends them all, and ends with what the replies say up
 * to the first that falls short. The end of each may come in any order and is worked on in cw_work,
 * one lock for all pieces of a kiocb.
 *
 * A write holds i_rwsem while it is sent: for reading, if the server allows parallel ones
 * (FOPEN_PARALLEL_DIRECT_WRITES) and the file stays as long as it is, else for writing. i_dio_count
 * is up until its last reply: who truncates waits for that.
 */
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/task_io_accounting_ops.h>

#include "compat/data.h"
#include "data.h"

/* ---- one request after another ------------------------------------------------------------- */

/* After the reply: what it means, and how far iter has gone. */
static ssize_t finish(struct cw_piece *p, struct kiocb *kiocb, struct iov_iter *iter, int result)
{
	ssize_t n = cw_piece_result(p, result);

	if (!p->to_server && p->own) {
		if (n > 0) {
			size_t took = cw_piece_copy_out(p, n, iter);

			n = took ? took : -EFAULT;
		}
	} else if (n < (ssize_t)p->len) {
		iov_iter_revert(iter, p->len - max_t(ssize_t, n, 0));
	}
	if (n > 0 && p->to_server)
		cw_data_wrote(p->inode, &(struct cw_wrote){
			.pos = p->pos,
			.n = n,
			.words = &p->words,
			.append = p->write.in.flags & O_APPEND,
		});
	if (n > 0)
		kiocb->ki_pos += n;
	return n;
}

static ssize_t transfer(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct cw_conn *c = cw_conn_of(file_inode(kiocb->ki_filp));
	ssize_t done = 0, n = 0;

	while (iov_iter_count(iter)) {
		struct cw_piece *p = cw_piece_new(kiocb, iter, false);
		size_t len;

		if (IS_ERR(p)) {
			n = PTR_ERR(p);
			break;
		}
		len = p->len;
		n = finish(p, kiocb, iter, cw_call(c, &p->call));
		cw_piece_free(p);
		if (n <= 0)
			break;
		done += n;
		if ((size_t)n < len || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return done ? done : n;
}

/* ---- all at once --------------------------------------------------------------------------- */

struct dio {
	struct kiocb *kiocb;
	struct inode *inode;
	loff_t pos;
	bool to_server;
	spinlock_t lock;
	unsigned int left; /* pieces, and who sends them */
	loff_t good;       /* up to here all is well */
	int err;           /* what is there */
};

static void dio_end(struct dio *d)
{
	struct kiocb *kiocb = d->kiocb;
	ssize_t n = d->good - d->pos;

	if (d->good > d->pos)
		kiocb->ki_pos = d->good;
	else
		n = d->err;
	inode_dio_end(d->inode);
	kfree(d);
	kiocb->ki_complete(kiocb, n);
}

static bool dio_put(struct dio *d)
{
	bool last;

	spin_lock(&d->lock);
	last = !--d->left;
	spin_unlock(&d->lock);
	return last;
}

/* Whoever falls short says how far all is well, unless one before has. */
static void dio_stops(struct dio *d, loff_t at, int err)
{
	spin_lock(&d->lock);
	if (at < d->good) {
		d->good = at;
		d->err = err;
	}
	spin_unlock(&d->lock);
}

static void piece_work(struct work_struct *work)
{
	struct cw_piece *p = container_of(work, struct cw_piece, work);
	struct dio *d = p->owner;
	ssize_t n = cw_piece_result(p, p->result);

	if (n > 0 && p->to_server)
		cw_data_wrote(p->inode, &(struct cw_wrote){
			.pos = p->pos,
			.n = n,
			.words = &p->words,
		});
	if (n < (ssize_t)p->len)
		dio_stops(d, p->pos + max_t(ssize_t, n, 0), min_t(ssize_t, n, 0));
	cw_piece_free(p);
	if (dio_put(d))
		dio_end(d);
}

static void piece_end(struct cw_call *call, int result)
{
	struct cw_piece *p = container_of(call, struct cw_piece, call);

	p->result = result;
	queue_work(cw_work, &p->work);
}

static int dio_send(struct dio *d, struct kiocb *at, struct iov_iter *iter)
{
	struct cw_piece *p = cw_piece_new(at, iter, false);
	size_t len;
	int err;

	if (IS_ERR(p))
		return PTR_ERR(p);
	len = p->len;
	p->owner = d;
	p->call.end = piece_end;
	INIT_WORK(&p->work, piece_work);
	spin_lock(&d->lock);
	d->left++;
	spin_unlock(&d->lock);
	err = cw_call_start(cw_conn_of(d->inode), &p->call);
	if (err) {
		cw_piece_free(p);
		dio_put(d);
		return err;
	}
	at->ki_pos += len;
	return 0;
}

static ssize_t start(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct kiocb at = *kiocb; /* where the next piece is */
	struct dio *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int err = 0;

	if (!d)
		return -ENOMEM;
	d->kiocb = kiocb;
	d->inode = file_inode(kiocb->ki_filp);
	d->pos = kiocb->ki_pos;
	d->good = kiocb->ki_pos + iov_iter_count(iter);
	d->to_server = iov_iter_rw(iter) == WRITE;
	d->left = 1;
	spin_lock_init(&d->lock);
	inode_dio_begin(d->inode);
	while (!err && iov_iter_count(iter))
		err = dio_send(d, &at, iter);
	if (err && at.ki_pos == kiocb->ki_pos) {
		inode_dio_end(d->inode);
		kfree(d);
		return err;
	}
	if (err)
		dio_stops(d, at.ki_pos, err);
	/* The caller learns of the end by ki_complete() only, even if it has come. */
	if (dio_put(d))
		dio_end(d);
	return -EIOCBQUEUED;
}

/* ---- read and write ------------------------------------------------------------------------ */

static bool is_async(struct kiocb *kiocb, const struct iov_iter *iter)
{
	struct cw_conn *c = cw_conn_of(file_inode(kiocb->ki_filp));

	return !is_sync_kiocb(kiocb) && (c->flags & FUSE_ASYNC_DIO) &&
	       (user_backed_iter(iter) || iov_iter_is_bvec(iter));
}

ssize_t cw_direct_read(struct kiocb *kiocb, struct iov_iter *to)
{
	struct file *file = kiocb->ki_filp;
	struct address_space *mapping = file->f_mapping;
	const loff_t pos = kiocb->ki_pos;
	ssize_t n;
	int err;

	if (!iov_iter_count(to))
		return 0;
	if (mapping->nrpages) {
		err = filemap_write_and_wait_range(mapping, pos, pos + iov_iter_count(to) - 1);
		if (err)
			return err;
	}
	if (is_async(kiocb, to))
		return start(kiocb, to);
	n = transfer(kiocb, to);
	if (n > 0)
		task_io_account_read(n);
	return n;
}

/* Whether a write may go on beside others: the size stays, and so does the mode. */
static bool may_share(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);

	return (CW_F(file)->open_flags & FOPEN_PARALLEL_DIRECT_WRITES) &&
	       !(kiocb->ki_flags & IOCB_APPEND) &&
	       kiocb->ki_pos + (loff_t)iov_iter_count(from) <= i_size_read(inode) &&
	       (inode->i_mode & (S_ISUID | S_ISGID)) == 0;
}

ssize_t cw_direct_write_locked(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t n = generic_write_checks(kiocb, from);
	loff_t pos = kiocb->ki_pos;

	if (n <= 0)
		return n;
	if (!(cw_conn_of(inode)->flags & FUSE_HANDLE_KILLPRIV_V2)) {
		int err = file_remove_privs(file);

		if (err)
			return err;
	}
	task_io_account_write(n);
	if (inode->i_mapping->nrpages) {
		/* The server appends behind what it has. */
		int err = cw_data_drop(inode, kiocb->ki_flags & IOCB_APPEND ? 0 : pos, pos + n - 1);

		/* What somebody holds is dropped again when it has been written. */
		if (err && err != -EBUSY)
			return err;
	}
	if (pos > i_size_read(inode))
		cw_data_grows(inode);
	if (is_async(kiocb, from) && !(kiocb->ki_flags & (IOCB_APPEND | IOCB_DSYNC)) &&
	    pos + n <= i_size_read(inode))
		return start(kiocb, from);
	return transfer(kiocb, from);
}

ssize_t cw_direct_write(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	bool shared = may_share(kiocb, from);
	ssize_t n;

	/* An appending write is at the end that the server has, or nearly so: it says where. */
	if (kiocb->ki_flags & IOCB_APPEND) {
		int err = cw_refresh(inode, file, false);

		if (err)
			return err;
	}
	if (shared) {
		inode_lock_shared(inode);
		if (!may_share(kiocb, from)) {
			inode_unlock_shared(inode);
			shared = false;
		}
	}
	if (!shared)
		inode_lock(inode);
	n = cw_direct_write_locked(kiocb, from);
	if (shared)
		inode_unlock_shared(inode);
	else
		inode_unlock(inode);
	/* By the node, the server has done it with the write. */
	if (n > 0 && READ_ONCE(CW_F(file)->fh) != CW_FH_NODE)
		n = generic_write_sync(kiocb, n);
	return n;
}
