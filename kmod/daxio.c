// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reading, writing and mapping files through the DAX window.
 *
 * The window serves the whole pages of a file. What it does not serve, read(2) and write(2) ask the
 * server for (READ and WRITE): a partial last page, what makes a file longer, and what there is no
 * free range for, or the server does not map. A fault has no such choice: where a program's memory
 * needs one of these, the file leaves DAX: nothing of it is in the window any more, and its pages
 * are in the page cache, until the inode is evicted (CW_I_NO_DAX, set under invalidate_lock). S_DAX
 * stays, for it may not change under others; so does i_mapping->a_ops, which does for both. A file
 * does not leave DAX where the page cache could not do for it: in the mode shared, without a cache,
 * and as long as its pages are pinned. Then its last page is mapped through the window, too.
 */
#include <linux/iomap.h>
#include <linux/memremap.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat/dax.h"
#include "data.h"
#include "window.h"

/* ---- iomap ------------------------------------------------------------------------------------
 * */

/* What is asked for is not, or no more, in whole pages of the file. */
#define NOT_WHOLE (-ERANGE)

static int begin(struct inode *inode, loff_t pos, loff_t length, unsigned int flags,
		 struct iomap *iomap, struct iomap *srcmap)
{
	const loff_t size = i_size_read(inode), whole = round_down(size, PAGE_SIZE);
	struct cw_range *r;

	/* Cut since in_window() looked: read(2) and write(2) ask the server then. */
	if (!(flags & IOMAP_FAULT) && pos >= whole)
		return NOT_WHOLE;

	iomap->offset = pos;
	iomap->bdev = NULL;
	iomap->dax_dev = cw_window_of(inode)->dev;
	iomap->flags = 0;
	iomap->private = NULL;
	if (pos >= size) {
		iomap->type = IOMAP_HOLE;
		iomap->addr = IOMAP_NULL_ADDR;
		iomap->length = length;
		return 0;
	}
	r = cw_range_get(inode, pos, flags & IOMAP_WRITE);
	if (IS_ERR(r))
		return PTR_ERR(r);
	iomap->type = IOMAP_MAPPED;
	iomap->addr = r->at + (pos & (CW_RANGE - 1));
	/* A partial last page is never part of a huge one: its fault is to come by itself. */
	iomap->length = min_t(loff_t, CW_RANGE - (pos & (CW_RANGE - 1)),
			      (pos < whole ? whole : whole + PAGE_SIZE) - pos);
	iomap->private = r;
	return 0;
}

static int end(struct inode *inode, loff_t pos, loff_t length, ssize_t done, unsigned int flags,
	       struct iomap *iomap)
{
	if (iomap->private)
		cw_range_put(iomap->private);
	return 0;
}

static const struct iomap_ops iomap_ops = { .iomap_begin = begin, .iomap_end = end };

/* ---- read and write ---------------------------------------------------------------------------
 * */

/* One step of n bytes at most, by the window, or by a request; the iterator goes on with both. */
static ssize_t step(struct kiocb *kiocb, struct iov_iter *iter, size_t n, bool by_window)
{
	const size_t rest = iov_iter_count(iter) - n;
	struct kiocb now = *kiocb;
	ssize_t r;

	iov_iter_truncate(iter, n);
	if (by_window) {
		r = dax_iomap_rw(kiocb, iter, &iomap_ops);
	} else {
		/* One part of several: it has to have ended. */
		now.ki_complete = NULL;
		r = iov_iter_rw(iter) == WRITE ? cw_direct_write_locked(&now, iter)
					       : cw_direct_read(&now, iter);
		kiocb->ki_pos = now.ki_pos;
	}
	iov_iter_reexpand(iter, iov_iter_count(iter) + rest);
	return r;
}

/* Whether what the window could not do is worth a request. */
static bool is_worth_asking(ssize_t r)
{
	return r < 0 && r != -EFAULT && r != -EINTR && r != -ERESTARTSYS && r != -ENOTCONN;
}

/* Bytes of count that the window has at pos; 0: the server is asked, for *n. */
static bool in_window(struct inode *inode, loff_t pos, size_t count, size_t *n)
{
	const loff_t whole = round_down(i_size_read(inode), PAGE_SIZE);

	*n = count;
	if (!cw_is_dax(inode) || pos >= whole)
		return false;
	*n = min_t(loff_t, count, whole - pos);
	return true;
}

static ssize_t transfer(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct inode *inode = file_inode(kiocb->ki_filp);
	ssize_t done = 0, r = 0;

	while (iov_iter_count(iter)) {
		const loff_t pos = kiocb->ki_pos;
		size_t n;
		bool by_window = in_window(inode, pos, iov_iter_count(iter), &n);

		if (iov_iter_rw(iter) == READ) {
			if (pos >= i_size_read(inode))
				break;
			n = min_t(loff_t, n, i_size_read(inode) - pos);
		}
		r = step(kiocb, iter, n, by_window);
		if (by_window && is_worth_asking(r))
			r = step(kiocb, iter, min_t(size_t, n, CW_RANGE - (pos & (CW_RANGE - 1))),
				 false);
		if (r <= 0)
			break;
		done += r;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return done ? done : r;
}

ssize_t cw_dax_read(struct kiocb *kiocb, struct iov_iter *to)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t r;

	if (kiocb->ki_pos + (loff_t)iov_iter_count(to) > i_size_read(inode)) {
		int err = cw_refresh(inode, file, false);

		if (err)
			return err;
	}
	inode_lock_shared(inode);
	r = transfer(kiocb, to);
	inode_unlock_shared(inode);
	file_accessed(file);
	return r;
}

static ssize_t write_locked(struct kiocb *kiocb, struct iov_iter *from)
{
	ssize_t r = generic_write_checks(kiocb, from);
	struct file *file = kiocb->ki_filp;
	int err;

	if (r <= 0)
		return r;
	/* The server sees no write of what goes through the window. */
	err = file_remove_privs(file);
	if (err)
		return err;
	r = transfer(kiocb, from);
	if (r > 0)
		cw_attr_stored(file_inode(file));
	return r;
}

ssize_t cw_dax_write(struct kiocb *kiocb, struct iov_iter *from)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t r;

	/* Where the file ends is the server's to say. */
	if (kiocb->ki_flags & IOCB_APPEND) {
		int err = cw_refresh(inode, file, false);

		if (err)
			return err;
	}
	inode_lock(inode);
	r = write_locked(kiocb, from);
	inode_unlock(inode);
	return r > 0 ? generic_write_sync(kiocb, r) : r;
}

/* ---- memory ------------------------------------------------------------------------------------
 * */

/* Whether the page cache could do for a file. */
static bool may_leave(struct inode *inode, struct file *file)
{
	return !cw_is_shared(cw_conn_of(inode)) && !cw_is_direct(file);
}

static bool leave(struct inode *inode, struct file *file)
{
	struct address_space *mapping = inode->i_mapping;
	bool left = true;

	if (!may_leave(inode, file))
		return false;
	filemap_invalidate_lock(mapping);
	if (cw_is_dax(inode)) {
		/* Ranges that somebody reads or writes stay until the inode goes. */
		left = cw_dax_take_away(inode, 0, LLONG_MAX) == 0;
		if (left)
			set_bit(CW_I_NO_DAX, &CW_I(inode)->state);
	}
	filemap_invalidate_unlock(mapping);
	return left;
}

static bool is_tail(struct inode *inode, pgoff_t index)
{
	const loff_t size = i_size_read(inode);

	return (size & ~PAGE_MASK) && index == size >> PAGE_SHIFT;
}

/* One attempt; *error: 0, or why the window could not do it. How the file ends is looked at under
 * the lock: no cut comes between that and the mapping (dax.c). */
static vm_fault_t try_fault(struct vm_fault *vmf, cw_fault_size order, bool tails, int *error)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	cw_pfn pfn;

	*error = 0;
	filemap_invalidate_lock_shared(mapping);
	if (cw_is_dax(inode) && !tails && is_tail(inode, vmf->pgoff)) {
		*error = NOT_WHOLE;
	} else if (cw_is_dax(inode)) {
		ret = dax_iomap_fault(vmf, order, &pfn, error, &iomap_ops);
		if (ret & VM_FAULT_NEEDDSYNC)
			ret = dax_finish_sync_fault(vmf, order, pfn);
	}
	filemap_invalidate_unlock_shared(mapping);
	return ret;
}

static vm_fault_t fault_dax(struct vm_fault *vmf, cw_fault_size order)
{
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	/* A huge page never has a partial one. */
	bool tails = order != CW_FAULT_PAGE || !may_leave(inode, file);
	vm_fault_t ret = VM_FAULT_NOPAGE;
	int error = 0;

	do {
		if (error == NOT_WHOLE && !tails) {
			if (leave(inode, file))
				return VM_FAULT_NOPAGE;
			/* Pinned: for this once, and the loop ends. */
			tails = true;
			error = 0;
		}
		if (error == -EAGAIN) {
			error = cw_reclaim_wait(cw_window_of(inode));
			/* Killed: not to be tried again, where it is the kernel that faults. */
			if (error == -EINTR)
				return VM_FAULT_SIGBUS;
		}
		if (error) {
			/* The task faults again, and finds the page cache. */
			if (error != -ENOTCONN && leave(inode, file))
				ret = VM_FAULT_NOPAGE;
			break;
		}
		ret = try_fault(vmf, order, tails, &error);
	} while (error);
	return ret;
}

static vm_fault_t any_fault(struct vm_fault *vmf, cw_fault_size order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	const bool stores = (vmf->flags & FAULT_FLAG_WRITE) && (vmf->vma->vm_flags & VM_SHARED);
	vm_fault_t ret;

	if (cw_is_bad(inode))
		return VM_FAULT_SIGBUS;
	if (!cw_is_dax(inode))
		return order == CW_FAULT_PAGE ? filemap_fault(vmf) : VM_FAULT_FALLBACK;
	if (stores)
		sb_start_pagefault(inode->i_sb);
	ret = fault_dax(vmf, order);
	if (stores) {
		if (!(ret & VM_FAULT_ERROR))
			cw_attr_stored(inode);
		sb_end_pagefault(inode->i_sb);
	}
	return ret;
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	return any_fault(vmf, CW_FAULT_PAGE);
}

static vm_fault_t map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	return cw_is_dax(file_inode(vmf->vma->vm_file)) ? 0 : filemap_map_pages(vmf, first, last);
}

/* A page of the cache; those of the window are pfn_mkwrite's. */
static vm_fault_t page_mkwrite(struct vm_fault *vmf)
{
	return cw_is_dax(file_inode(vmf->vma->vm_file)) ? fault(vmf) : cw_page_mkwrite(vmf);
}

static const struct vm_operations_struct dax_vm_ops = {
	.close = cw_unmapped,
	.fault = fault,
	.huge_fault = any_fault,
	.map_pages = map_pages,
	.page_mkwrite = page_mkwrite,
	.pfn_mkwrite = fault,
};

int cw_dax_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (cw_is_bad(file_inode(file)))
		return -EIO;
	/* The file may leave DAX. */
	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE) &&
	    may_leave(file_inode(file), file))
		cw_writer_add(CW_F(file));
	file_accessed(file);
	vma->vm_ops = &dax_vm_ops;
	cw_vma_is_dax(vma);
	return 0;
}

/* ---- a_ops ----------------------------------------------------------------------------------- */

static int writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct inode *inode = mapping->host;

	if (!cw_is_dax(inode))
		return cw_writepages(mapping, wbc);
	return dax_writeback_mapping_range(mapping, cw_window_of(inode)->dev, wbc);
}

/* The window's pages are no memory of ours that would have to be written anywhere. */
static bool dirty_folio(struct address_space *mapping, struct folio *folio)
{
	return !is_zone_device_page(&folio->page) && filemap_dirty_folio(mapping, folio);
}

static int read_folio(struct file *file, struct folio *folio)
{
	return cw_aops.read_folio(file, folio);
}

static void readahead(struct readahead_control *rac)
{
	if (!cw_is_dax(rac->mapping->host))
		cw_aops.readahead(rac);
}

const struct address_space_operations cw_dax_aops = {
	.read_folio = read_folio,
	.readahead = readahead,
	.writepages = writepages,
	.dirty_folio = dirty_folio,
};
