// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Taking ranges of the DAX window from files that have not used them for longest.
 *
 * One work item does it, and nobody waits for it with a lock held: who reads or writes asks the
 * server instead, who faults lets go of everything before it waits. So it may take invalidate_lock
 * of any inode. That a program reads what it has mapped is not seen here; it faults again.
 *
 * An inode is held meanwhile, and so must be its super block (s_umount), which otherwise could
 * be unmounted with an inode in use.
 */
#include <linux/pagemap.h>

#include "compat/dax.h"
#include "window.h"

/* Before a fault does without the window; and between attempts where all is in use. */
#define PATIENCE (10 * HZ)
#define PAUSE    (HZ / 50)

/* What the kernel knows of a file's pages in the window; not while they are pinned. */
static bool forget_pages(struct address_space *mapping, loff_t from, loff_t to)
{
	if (dax_layout_busy_page_range(mapping, from, to))
		return false;
	/* The processor's caches are the host's as well: only the marks have to go. */
	return filemap_write_and_wait_range(mapping, from, to) == 0 &&
	       invalidate_inode_pages2_range(mapping, from >> PAGE_SHIFT, to >> PAGE_SHIFT) == 0;
}

int cw_dax_take_away(struct inode *inode, loff_t from, loff_t to)
{
	struct cw_inode_dax *dax = CW_I(inode)->dax;

	/* Of a file that has left, only ranges are there that were in use then. */
	if (cw_is_dax(inode) && !forget_pages(inode->i_mapping, from, to))
		return -EBUSY;
	down_write(&dax->lock);
	cw_ranges_drop(inode, from >> CW_RANGE_SHIFT, to >> CW_RANGE_SHIFT);
	up_write(&dax->lock);
	return 0;
}

/* The next range to try, its inode and super block held; NULL where there is none. Those that were
 * touched since the last time have a second chance. */
static struct inode *choose(struct cw_dax_window *w, unsigned long *index, unsigned int *tries)
{
	struct inode *inode = NULL;
	struct cw_range *r;

	spin_lock(&w->lock);
	while (!inode && *tries && !list_empty(&w->used)) {
		r = list_first_entry(&w->used, struct cw_range, entry);
		list_move_tail(&r->entry, &w->used);
		--*tries;
		if (atomic_read(&r->users))
			continue;
		if (READ_ONCE(r->touched)) {
			WRITE_ONCE(r->touched, false);
			continue;
		}
		if (!down_read_trylock(&r->inode->i_sb->s_umount))
			continue;
		inode = igrab(r->inode);
		if (!inode)
			up_read(&r->inode->i_sb->s_umount);
		*index = r->index;
	}
	spin_unlock(&w->lock);
	return inode;
}

static void reclaim(struct inode *inode, unsigned long index)
{
	struct super_block *sb = inode->i_sb;
	const loff_t from = (loff_t)index << CW_RANGE_SHIFT;

	filemap_invalidate_lock(inode->i_mapping);
	cw_dax_take_away(inode, from, from + CW_RANGE - 1);
	filemap_invalidate_unlock(inode->i_mapping);
	iput(inode);
	up_read(&sb->s_umount);
}

static void reclaim_until(struct cw_dax_window *w, unsigned int enough)
{
	unsigned int tries = 2 * w->nranges;
	unsigned long index;
	struct inode *inode;

	while (READ_ONCE(w->nfree) < enough && (inode = choose(w, &index, &tries))) {
		reclaim(inode, index);
		cond_resched();
	}
}

void cw_reclaim_work(struct work_struct *work)
{
	struct cw_dax_window *w =
		container_of(to_delayed_work(work), struct cw_dax_window, reclaim);

	reclaim_until(w, min(w->nranges, w->nranges / 8 + 1));
	if (!READ_ONCE(w->nfree) && atomic_read(&w->waiting))
		queue_delayed_work(system_unbound_wq, &w->reclaim, PAUSE);
}

void cw_reclaim_soon(struct cw_dax_window *w)
{
	queue_delayed_work(system_unbound_wq, &w->reclaim, 0);
}

int cw_reclaim_wait(struct cw_dax_window *w)
{
	long left;

	atomic_inc(&w->waiting);
	cw_reclaim_soon(w);
	left = wait_event_killable_timeout(
		w->freed, READ_ONCE(w->nfree) && !READ_ONCE(w->away), PATIENCE);
	atomic_dec(&w->waiting);
	return left < 0 ? -EINTR : left ? 0 : -ETIMEDOUT;
}

/* What is in use, or going, as a file that is evicted, comes to an end without us. */
int cw_reclaim_all(struct cw_dax_window *w)
{
	const unsigned long end = jiffies + PATIENCE;

	for (;;) {
		reclaim_until(w, w->nranges);
		if (READ_ONCE(w->nfree) == w->nranges)
			return 0;
		if (time_after(jiffies, end))
			return -EBUSY;
		wait_event_timeout(w->freed, READ_ONCE(w->nfree) == w->nranges, PAUSE);
	}
}
