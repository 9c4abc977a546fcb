// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mmap(2) of pages of the cache.
 *
 * What stores may make of a page is sent by writeback, in every mode, by a file that is in
 * cw_inode.writers: munmap(2) sends what is dirty, and so does the last close.
 *
 * cache=shared: a page is good as of its fault; it is mapped after the word has been looked at, and
 * goes from all mappings when somebody drops the pages (data.c). Shared mappings for writing would
 * be seen by others when they are written back only, and are refused.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat/data.h"
#include "data.h"

vm_fault_t cw_page_mkwrite(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret = VM_FAULT_LOCKED;

	sb_start_pagefault(inode->i_sb);
	if (cw_writes_back(cw_conn_of(inode)))
		set_bit(CW_I_FILE_TIMES, &CW_I(inode)->state);
	file_update_time(file);
	folio_lock(folio);
	if (folio->mapping != inode->i_mapping || folio_pos(folio) >= i_size_read(inode)) {
		/* Of a page that nobody takes away the task would come again for ever. */
		ret = folio->mapping == inode->i_mapping ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
		folio_unlock(folio);
	} else {
		/* The device reads it while it is under writeback. */
		folio_wait_writeback(folio);
		folio_mark_dirty(folio);
	}
	sb_end_pagefault(inode->i_sb);
	return ret;
}

void cw_unmapped(struct vm_area_struct *vma)
{
	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE))
		filemap_write_and_wait(vma->vm_file->f_mapping);
}

static vm_fault_t fault_shared(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	unsigned int strays = READ_ONCE(CW_I(inode)->strays);
	vm_fault_t ret;

	if (cw_refresh(inode, vmf->vma->vm_file, false) || cw_data_revalidate(inode))
		return VM_FAULT_SIGBUS;
	ret = filemap_fault(vmf);
	/* Somebody changed the file while it was read: the task comes again, unless it is killed.
	 */
	if ((ret & VM_FAULT_SIGBUS) && READ_ONCE(CW_I(inode)->strays) != strays)
		return VM_FAULT_NOPAGE;
	return ret;
}

static vm_fault_t map_shared(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);

	if (!cw_kept_holds(cw_conn_of(inode), &CW_I(inode)->data))
		return 0;
	return filemap_map_pages(vmf, first, last);
}

static const struct vm_operations_struct cached_ops = {
	.close = cw_unmapped,
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
	.page_mkwrite = cw_page_mkwrite,
};

static const struct vm_operations_struct shared_ops = {
	.fault = fault_shared,
	.map_pages = map_shared,
};

int cw_mmap_cached(struct file *file, struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	const bool stores = (vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE);

	if (cw_is_bad(inode))
		return -EIO;
	if (cw_is_direct(file)) {
		if ((vma->vm_flags & VM_MAYSHARE) && !(c->flags & FUSE_DIRECT_IO_ALLOW_MMAP))
			return -ENODEV;
		/* Who reads beside the cache expects a mapping to begin with what is there. */
		cw_data_drop(inode, 0, LLONG_MAX);
	}
	if (cw_is_shared(c)) {
		if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_WRITE))
			return -ENODEV;
		if (stores)
			cw_vma_never_writes(vma);
		vma->vm_ops = &shared_ops;
	} else {
		if (stores)
			cw_writer_add(CW_F(file));
		vma->vm_ops = &cached_ops;
	}
	file_accessed(file);
	return 0;
}
