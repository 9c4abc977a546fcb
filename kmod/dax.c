// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The DAX window (virtio shared memory region 0) as a device of the kernel: its memory has pages,
 * so that direct I/O may be done to and from what is mapped of it.
 *
 * It begins after INIT, and ends when no inode of the connection is left. Which inodes are in it is
 * decided when they are made (S_DAX), for good; what such an inode does in fact: daxio.c.
 *
 * A file that is cut, by us (SETATTR, OPEN with O_TRUNC, fallocate) or by somebody else, as an
 * answer says (GETATTR, LOOKUP, a listing):
 *
 *  1. Who makes i_size of an inode with S_DAX less holds invalidate_lock for writing from before
 *     that to after cw_dax_cut(), which takes what is no longer of the file out of programs'
 *     memory, and a last page that is not whole any more. Under cw_inode.lock he says so with a new
 *     cw_inode.attr_version, so that no older answer makes it more again. Our own changes hold
 *     i_rwsem, too, and invalidate_lock over the request, for the server cuts before it answers; an
 *     answer about others' is taken without i_rwsem (cw_take_attr()).
 *  2. A fault holds invalidate_lock for reading from before its look at i_size to after the page is
 *     mapped. So it maps by the size that it saw, and whoever makes that less comes after it and
 *     unmaps; or it sees the new size: SIGBUS behind the end, the page cache for a partial last
 *     page. What it waits for longer, a free range or that the file leaves DAX, it waits for
 *     without the lock, and looks again.
 *  3. i_size may become more at any time: a fault that has not seen it finds less than there is.
 *  4. read(2) and write(2) hold i_rwsem only, and ask the server where they find what they began
 *     with cut (NOT_WHOLE).
 *  5. A file that has left DAX is the page cache's. There a READ may make i_size less (data.c), and
 *     the next answer that is taken cuts what that left behind (CW_I_ENDED).
 *
 * Who sees the new size, by stat(2) while the cut is under way, may still load what was behind it;
 * when the call that learnt of it has returned, nobody does. A fault is repeated (VM_FAULT_NOPAGE)
 * only when the page is mapped or the file has left DAX, which it does once: so no disagreement of
 * size and mapping makes a task fault for ever.
 *
 * Locks: i_rwsem, invalidate_lock, page lock, cw_inode.lock (window.h has those of ranges). What
 * asks the server for attributes must not hold invalidate_lock of that inode.
 */
#include <linux/fs_context.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "compat/dax.h"
#include "window.h"

#define WINDOW_REGION 0

static long direct_access(struct dax_device *dev, pgoff_t at, long npages,
			  enum dax_access_mode mode, void **address, cw_pfn *pfn)
{
	struct cw_dax_window *w = dax_get_private(dev);
	const pgoff_t all = w->size >> PAGE_SHIFT;

	if (at >= all)
		return -ENXIO;
	if (address)
		*address = w->memory + PFN_PHYS(at);
	if (pfn)
		*pfn = cw_device_pfn(w->start + PFN_PHYS(at));
	return min_t(pgoff_t, npages, all - at);
}

static int zero_page_range(struct dax_device *dev, pgoff_t at, size_t npages)
{
	void *address;
	long n = direct_access(dev, at, npages, DAX_ACCESS, &address, NULL);

	if (n < 0)
		return n;
	if ((size_t)n < npages)
		return -ENXIO;
	memset(address, 0, npages << PAGE_SHIFT);
	return 0;
}

static const struct dax_operations device_ops = {
	.direct_access = direct_access,
	.zero_page_range = zero_page_range,
};

static void window_free(struct cw_dax_window *w)
{
	if (!IS_ERR_OR_NULL(w->dev)) {
		kill_dax(w->dev);
		put_dax(w->dev);
	}
	if (!IS_ERR_OR_NULL(w->memory))
		memunmap_pages(&w->pgmap);
	kvfree(w);
}

static struct cw_dax_window *window_new(struct cw_conn *c, phys_addr_t start, u64 size)
{
	const unsigned int n = size >> CW_RANGE_SHIFT;
	struct cw_dax_window *w = kvzalloc(struct_size(w, ranges, n), GFP_KERNEL);
	long err;

	if (!w)
		return ERR_PTR(-ENOMEM);
	w->conn = c;
	w->start = start;
	w->size = (u64)n << CW_RANGE_SHIFT;
	w->nfree = w->nranges = n;
	spin_lock_init(&w->lock);
	INIT_LIST_HEAD(&w->free);
	INIT_LIST_HEAD(&w->used);
	init_waitqueue_head(&w->freed);
	INIT_DELAYED_WORK(&w->reclaim, cw_reclaim_work);
	for (unsigned int i = 0; i < n; i++) {
		w->ranges[i].at = (u64)i << CW_RANGE_SHIFT;
		list_add_tail(&w->ranges[i].entry, &w->free);
	}
	w->pgmap.type = MEMORY_DEVICE_FS_DAX;
	w->pgmap.nr_range = 1;
	w->pgmap.range.start = start;
	w->pgmap.range.end = start + w->size - 1;
	w->memory = memremap_pages(&w->pgmap, NUMA_NO_NODE);
	w->dev = IS_ERR(w->memory) ? NULL : alloc_dax(w, &device_ops);
	if (!IS_ERR_OR_NULL(w->memory) && !IS_ERR_OR_NULL(w->dev))
		return w;
	err = IS_ERR(w->memory) ? PTR_ERR(w->memory) : w->dev ? PTR_ERR(w->dev) : -EOPNOTSUPP;
	window_free(w);
	return ERR_PTR(err);
}

/* Why a window cannot be used, or NULL. */
static const char *unfit(const struct cw_conn *c, phys_addr_t start, size_t size)
{
	if (!(c->flags & FUSE_MAP_ALIGNMENT) || c->map_alignment > CW_RANGE_SHIFT)
		return "the server does not map ranges of 2 MiB";
	if (!IS_ALIGNED(start, CW_RANGE) || size < CW_RANGE)
		return "it is not of whole 2 MiB";
	return NULL;
}

int cw_dax_start(struct cw_conn *c, struct fs_context *fc)
{
	struct cw_dax_window *w = ERR_PTR(-ENODEV);
	const char *why = "the device has none";
	phys_addr_t start;
	size_t size;

	if (c->opt.dax == CW_DAX_NEVER)
		return 0;
	if (cw_dev_region(c->dev, WINDOW_REGION, &start, &size)) {
		why = unfit(c, start, size);
		if (!why) {
			w = window_new(c, start, size);
			why = "it cannot be had";
		}
	}
	if (!IS_ERR(w)) {
		c->window = w;
		return 0;
	}
	if (c->opt.dax == CW_DAX_ALWAYS) {
		errorf(fc, "causeway: dax=always wants a window: %s (error %ld)", why, -PTR_ERR(w));
		return PTR_ERR(w);
	}
	/* Not to be said of devices that never had one. */
	if (PTR_ERR(w) != -ENODEV)
		warnf(fc, "causeway: no DAX window: %s (error %ld)", why, -PTR_ERR(w));
	return 0;
}

void cw_dax_stop(struct cw_conn *c)
{
	struct cw_dax_window *w = c->window;

	if (!w)
		return;
	c->window = NULL;
	cancel_delayed_work_sync(&w->reclaim);
	WARN_ON_ONCE(w->nfree != w->nranges);
	window_free(w);
}

bool cw_dax_wants(const struct cw_conn *c, umode_t mode, u32 attr_flags)
{
	if (!c->window || !S_ISREG(mode))
		return false;
	return c->opt.dax == CW_DAX_ALWAYS || (attr_flags & FUSE_ATTR_DAX);
}

int cw_dax_inode_init(struct inode *inode)
{
	struct cw_inode_dax *dax = kzalloc(sizeof(*dax), GFP_KERNEL_ACCOUNT);

	if (!dax)
		return -ENOMEM;
	init_rwsem(&dax->lock);
	xa_init(&dax->ranges);
	CW_I(inode)->dax = dax;
	inode->i_flags |= S_DAX;
	return 0;
}

/* No program has it mapped any more, and nobody uses it. */
void cw_dax_inode_end(struct inode *inode)
{
	struct cw_inode_dax *dax = CW_I(inode)->dax;

	down_write(&dax->lock);
	cw_ranges_drop(inode, 0, ULONG_MAX);
	up_write(&dax->lock);
	WARN_ON_ONCE(!xa_empty(&dax->ranges));
	CW_I(inode)->dax = NULL;
	kfree(dax);
}

/* ---- files that are cut --------------------------------------------------------------------- */

int cw_dax_break(struct inode *inode, loff_t from)
{
	struct address_space *mapping = inode->i_mapping;
	struct page *page;
	int err = 0;

	while (!err && cw_is_dax(inode) &&
	       (page = dax_layout_busy_page_range(mapping, from, LLONG_MAX))) {
		filemap_invalidate_unlock(mapping);
		err = wait_var_event_killable(&page->_refcount, cw_page_is_idle(page));
		filemap_invalidate_lock(mapping);
	}
	return err;
}

void cw_dax_cut(struct inode *inode, bool idle)
{
	struct cw_inode_dax *dax = CW_I(inode)->dax;
	const loff_t size = i_size_read(inode);

	WARN_ON_ONCE(!rwsem_is_locked(&inode->i_mapping->invalidate_lock));
	/* Private copies of a partial page stay; those behind the end go. */
	if (offset_in_page(size))
		unmap_mapping_pages(inode->i_mapping, size >> PAGE_SHIFT, 1, false);
	if (!idle && cw_is_dax(inode)) {
		/* Somebody may have pages pinned, and the kernel must not forget these. */
		unmap_mapping_range(inode->i_mapping, round_up(size, PAGE_SIZE), 0, 1);
		return;
	}
	truncate_pagecache(inode, size);
	down_write(&dax->lock);
	cw_ranges_drop(inode, DIV_ROUND_UP_ULL(size, CW_RANGE), ULONG_MAX);
	up_write(&dax->lock);
}

/* ---- suspend --------------------------------------------------------------------------------- */

static void set_away(struct cw_dax_window *w, bool away)
{
	spin_lock(&w->lock);
	w->away = away;
	spin_unlock(&w->lock);
	wake_up_all(&w->freed);
}

int cw_dax_away(struct cw_conn *c)
{
	struct cw_dax_window *w = c->window;

	if (!w)
		return 0;
	set_away(w, true);
	return cw_reclaim_all(w);
}

void cw_dax_back(struct cw_conn *c)
{
	if (c->window)
		set_away(c->window, false);
}
