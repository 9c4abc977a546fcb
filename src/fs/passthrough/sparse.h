/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for tables of which little may ever be used: it is zeros, and takes no room where nobody
 * has written.
 */
#ifndef PASSTHROUGH_SPARSE_H
#define PASSTHROUGH_SPARSE_H

#include <stddef.h>
#include <sys/mman.h>

/* NULL where there is none. */
static inline void *pt_sparse_new(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

static inline void pt_sparse_free(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

/* Zeros again. */
static inline void pt_sparse_clear(void *memory, size_t size)
{
	if (memory)
		madvise(memory, size, MADV_DONTNEED);
}

#endif
