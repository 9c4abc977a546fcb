/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The window's ranges, for dax.c, ranges.c, reclaim.c and daxio.c only.
 *
 * A range is one of the places of CW_RANGE bytes in the window: free, or an inode's, for an aligned
 * part of its file. Who uses one through iomap counts as a user: it stays what it is meanwhile.
 *
 * Locks, outermost first: i_rwsem, invalidate_lock, cw_inode_dax.lock, window->lock (spin). An
 * inode's ranges are found with its lock held for reading, and change with it held for writing,
 * also over the requests that map and unmap them. What programs have mapped of a range goes under
 * invalidate_lock, held for writing, before the range does.
 */
#ifndef KMOD_WINDOW_H
#define KMOD_WINDOW_H

#include <linux/dax.h>
#include <linux/memremap.h>
#include <linux/rwsem.h>
#include <linux/xarray.h>

#include "dax.h"
#include "node.h"

#define CW_RANGE_SHIFT 21 /* what a huge page of the processor maps */
#define CW_RANGE       (1ul << CW_RANGE_SHIFT)

struct cw_range {
	struct list_head entry; /* of window->free or used */
	struct inode *inode;    /* whose it is; goes under window->lock before the inode does */
	u64 at;                 /* in the window */
	unsigned long index;    /* in the file, in CW_RANGEs */
	bool writable;
	bool touched;           /* since reclaim looked last */
	atomic_t users;
};

struct cw_inode_dax {
	struct rw_semaphore lock;
	struct xarray ranges; /* by index */
};

struct cw_dax_window {
	struct cw_conn *conn;
	struct dax_device *dev;
	struct dev_pagemap pgmap;
	void *memory;
	phys_addr_t start;
	u64 size;

	spinlock_t lock;
	struct list_head free, used; /* used: those that were taken first, first */
	unsigned int nfree, nranges;
	bool away;                   /* a suspend: none is to be taken */
	wait_queue_head_t freed;     /* nfree became more, or a user less */
	atomic_t waiting;
	struct delayed_work reclaim;
	struct cw_range ranges[];
};

static inline struct cw_dax_window *cw_window_of(const struct inode *inode)
{
	return cw_conn_of(inode)->window;
}

/* ranges.c: the range that has a file's byte, mapped for what is asked, with a user more. -EAGAIN:
 * none is free, or the file does without; -EIO: the server does not map it; -ENOTCONN, -ENOMEM. */
struct cw_range *cw_range_get(struct inode *inode, loff_t pos, bool write);
void cw_range_put(struct cw_range *r);

/* Takes an inode's ranges of the file's part from `first` on that nobody uses from the window; its
 * lock is held for writing. */
void cw_ranges_drop(struct inode *inode, unsigned long first, unsigned long last);
void cw_window_give(struct cw_dax_window *w, struct cw_range *r);

/* reclaim.c */
void cw_reclaim_work(struct work_struct *work);
void cw_reclaim_soon(struct cw_dax_window *w);
/* Whether there is a free range within some seconds: 0, -ETIMEDOUT, or -EINTR. */
int cw_reclaim_wait(struct cw_dax_window *w);
/* Takes all: 0, or -EBUSY where some stay in use for seconds. */
int cw_reclaim_all(struct cw_dax_window *w);
/* Takes what can be taken away from `from` to `to` (inclusive), of programs' memory and the window.
 * -EBUSY: pages are pinned. invalidate_lock is held for writing. */
int cw_dax_take_away(struct inode *inode, loff_t from, loff_t to);

#endif
