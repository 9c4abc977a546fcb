/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What differs between kernels for DAX. */
#ifndef KMOD_COMPAT_DAX_H
#define KMOD_COMPAT_DAX_H

#include <linux/dax.h>
#include <linux/mm.h>

#include "compat.h"

#if !CW_KERNEL(6, 17)
#include <linux/pfn_t.h>
#endif

/* 6.17: page frames are plain numbers. */
#if CW_KERNEL(6, 17)
typedef unsigned long cw_pfn;
#define cw_device_pfn(phys) PHYS_PFN(phys)
#else
typedef pfn_t cw_pfn;
#define cw_device_pfn(phys) phys_to_pfn_t(phys, PFN_DEV | PFN_MAP)
#endif

/* 6.6: huge faults come with an order. */
#if CW_KERNEL(6, 6)
typedef unsigned int cw_fault_size;
#define CW_FAULT_PAGE 0
#else
typedef enum page_entry_size cw_fault_size;
#define CW_FAULT_PAGE PE_SIZE_PTE
#endif

static inline void cw_vma_is_dax(struct vm_area_struct *vma)
{
#if CW_KERNEL(6, 15)
	vm_flags_set(vma, VM_HUGEPAGE);
#elif CW_KERNEL(6, 3)
	vm_flags_set(vma, VM_MIXEDMAP | VM_HUGEPAGE);
#else
	vma->vm_flags |= VM_MIXEDMAP | VM_HUGEPAGE;
#endif
}

/* 6.15: a page that nobody has pinned has no reference; before, one. */
static inline bool cw_page_is_idle(struct page *page)
{
	return page_ref_count(page) <= (CW_KERNEL(6, 15) ? 0 : 1);
}

#endif
