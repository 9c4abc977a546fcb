// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ranges of files in the DAX window: found, mapped by SETUPMAPPING, and taken away by
 * REMOVEMAPPING.
 *
 * A signal does not end these requests: as long as the server may still do what it was asked, the
 * place in the window can be nobody else's.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "window.h"

/* Ranges that one REMOVEMAPPING names. */
#define AT_ONCE 32

/* 0, -ENOTCONN, or -EIO: what else a server says is not to be taken for the kernel's word, or ours.
 * After -ENOMEM a task would fault again, for ever; -EAGAIN is that no place is free. */
static int set_up(struct inode *inode, const struct cw_range *r, bool write)
{
	struct fuse_setupmapping_in in = {
		.fh = ~0ull, /* by the node: what one has mapped serves all */
		.foffset = (u64)r->index << CW_RANGE_SHIFT,
		.len = CW_RANGE,
		.flags = FUSE_SETUPMAPPING_FLAG_READ | (write ? FUSE_SETUPMAPPING_FLAG_WRITE : 0),
		.moffset = r->at,
	};
	struct cw_call call = {
		.opcode = FUSE_SETUPMAPPING,
		.nodeid = CW_I(inode)->nodeid,
		.nin = 1,
		.in[0] = { &in, sizeof(in) },
		.unkillable = true,
	};
	int err = cw_call(cw_conn_of(inode), &call);

	return err >= 0 ? 0 : err == -ENOTCONN ? err : -EIO;
}

/* Whatever the answer is, the place is free then: a server that still has something there refuses
 * what is to be mapped over it. */
static void remove(struct inode *inode, const struct fuse_removemapping_one *ones, unsigned int n)
{
	struct fuse_removemapping_in in = { .count = n };
	struct cw_call call = {
		.opcode = FUSE_REMOVEMAPPING,
		.nodeid = CW_I(inode)->nodeid,
		.nin = 2,
		.in = { { &in, sizeof(in) }, { ones, n * sizeof(*ones) } },
		.as_kernel = true,
		.unkillable = true,
		.nofail = true,
	};
	unsigned int nofs = memalloc_nofs_save();

	cw_call(cw_conn_of(inode), &call);
	memalloc_nofs_restore(nofs);
}

static struct cw_range *take(struct cw_dax_window *w, struct inode *inode, unsigned long index)
{
	struct cw_range *r;

	spin_lock(&w->lock);
	r = w->away ? NULL : list_first_entry_or_null(&w->free, struct cw_range, entry);
	if (r) {
		list_move_tail(&r->entry, &w->used);
		w->nfree--;
		r->inode = inode;
		r->index = index;
		r->writable = false;
		r->touched = true;
		/* Reclaim leaves it alone until it is mapped. */
		atomic_set(&r->users, 1);
	}
	spin_unlock(&w->lock);
	if (w->nfree < w->nranges / 8 + 1)
		cw_reclaim_soon(w);
	return r;
}

void cw_window_give(struct cw_dax_window *w, struct cw_range *r)
{
	spin_lock(&w->lock);
	r->inode = NULL;
	list_move(&r->entry, &w->free);
	w->nfree++;
	spin_unlock(&w->lock);
	wake_up_all(&w->freed);
}

/* With a user more, where it does for what is asked; the lock is held. */
static struct cw_range *find(struct cw_inode_dax *dax, unsigned long index, bool write)
{
	struct cw_range *r = xa_load(&dax->ranges, index);

	if (!r || (write && !r->writable))
		return NULL;
	atomic_inc(&r->users);
	if (!READ_ONCE(r->touched))
		WRITE_ONCE(r->touched, true);
	return r;
}

/* The lock is held for writing. */
static struct cw_range *make(struct inode *inode, unsigned long index, bool write)
{
	struct cw_dax_window *w = cw_window_of(inode);
	struct cw_inode_dax *dax = CW_I(inode)->dax;
	struct cw_range *r = take(w, inode, index);
	int err;

	if (!r)
		return ERR_PTR(-EAGAIN);
	err = xa_err(xa_store(&dax->ranges, index, r, GFP_NOFS));
	if (!err)
		err = set_up(inode, r, write);
	if (!err) {
		r->writable = write;
		return r;
	}
	xa_erase(&dax->ranges, index);
	atomic_set(&r->users, 0);
	cw_window_give(w, r);
	return ERR_PTR(err);
}

static struct cw_range *make_or_upgrade(struct inode *inode, unsigned long index, bool write)
{
	struct cw_range *r = xa_load(&CW_I(inode)->dax->ranges, index);
	int err;

	if (!r)
		return make(inode, index, write);
	if (write && !r->writable) {
		err = set_up(inode, r, true);
		if (err)
			return ERR_PTR(err);
		r->writable = true;
	}
	return find(CW_I(inode)->dax, index, write);
}

struct cw_range *cw_range_get(struct inode *inode, loff_t pos, bool write)
{
	const unsigned long index = pos >> CW_RANGE_SHIFT;
	struct cw_inode_dax *dax = CW_I(inode)->dax;
	struct cw_range *r;

	down_read(&dax->lock);
	r = cw_is_dax(inode) ? find(dax, index, write) : ERR_PTR(-EAGAIN);
	up_read(&dax->lock);
	if (r)
		return r;
	down_write(&dax->lock);
	r = cw_is_dax(inode) ? make_or_upgrade(inode, index, write) : ERR_PTR(-EAGAIN);
	up_write(&dax->lock);
	return r;
}

void cw_range_put(struct cw_range *r)
{
	/* It stays this inode's at least until there are no users. */
	struct cw_dax_window *w = cw_window_of(r->inode);

	if (atomic_dec_and_test(&r->users) && atomic_read(&w->waiting))
		cw_reclaim_soon(w);
}

void cw_ranges_drop(struct inode *inode, unsigned long first, unsigned long last)
{
	struct cw_dax_window *w = cw_window_of(inode);
	struct cw_inode_dax *dax = CW_I(inode)->dax;
	struct fuse_removemapping_one ones[AT_ONCE];
	struct cw_range *gone[AT_ONCE], *r;
	unsigned long index = first;
	unsigned int n;

	do {
		n = 0;
		xa_for_each_range(&dax->ranges, index, r, index, last) {
			if (atomic_read(&r->users))
				continue;
			ones[n] = (struct fuse_removemapping_one){ r->at, CW_RANGE };
			gone[n++] = r;
			xa_erase(&dax->ranges, index);
			if (n == AT_ONCE)
				break;
		}
		if (n)
			remove(inode, ones, n);
		for (unsigned int i = 0; i < n; i++)
			cw_window_give(w, gone[i]);
	} while (n == AT_ONCE);
}
