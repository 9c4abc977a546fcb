/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between kernels for the page cache and for pages of users.
 */
#ifndef KMOD_COMPAT_DATA_H
#define KMOD_COMPAT_DATA_H

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "compat.h"

/* 6.6: the flags have a type of their own, for sparse. */
#if CW_KERNEL(6, 6)
typedef fgf_t cw_fgf_t;
#else
typedef unsigned int cw_fgf_t;
#endif

/* 6.3: errors come as pointers, no more as NULL. */
static inline struct folio *cw_get_folio(struct address_space *mapping, pgoff_t index,
					 cw_fgf_t fgp, gfp_t gfp)
{
	struct folio *folio = __filemap_get_folio(mapping, index, fgp, gfp);

	return IS_ERR(folio) ? NULL : folio;
}

/* 6.13: with a folio only. */
static inline size_t cw_copy_atomic(struct folio *folio, size_t offset, size_t n,
				    struct iov_iter *from)
{
#if CW_KERNEL(6, 7)
	return copy_folio_from_iter_atomic(folio, offset, n, from);
#else
	return copy_page_from_iter_atomic(folio_page(folio, 0), offset, n, from);
#endif
}

/*
 * 6.5: pages that a device writes to are pinned, so that a fork(2) meanwhile copies them at once;
 * pages of a kernel's list are not touched. Before there are references only.
 */
static inline ssize_t cw_extract_pages(struct iov_iter *iter, struct page **pages, size_t bytes,
				       unsigned int most, size_t *offset)
{
#if CW_KERNEL(6, 5)
	return iov_iter_extract_pages(iter, &pages, bytes, most, 0, offset);
#else
	return iov_iter_get_pages2(iter, pages, bytes, most, offset);
#endif
}

static inline bool cw_extract_holds(const struct iov_iter *iter)
{
#if CW_KERNEL(6, 5)
	return iov_iter_extract_will_pin(iter);
#else
	return true;
#endif
}

static inline void cw_extract_release(struct page *page, bool dirty)
{
#if CW_KERNEL(6, 5)
	unpin_user_pages_dirty_lock(&page, 1, dirty);
#else
	if (dirty)
		set_page_dirty_lock(page);
	put_page(page);
#endif
}

/* 6.3: flags of a mapping have functions of their own. */
static inline void cw_vma_never_writes(struct vm_area_struct *vma)
{
#if CW_KERNEL(6, 3)
	vm_flags_clear(vma, VM_MAYWRITE);
#else
	vma->vm_flags &= ~VM_MAYWRITE;
#endif
}

#endif
