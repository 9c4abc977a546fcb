// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory: which guest physical ranges exist, and where they are mapped here.
 *
 * The front-end names regions (vhost-user SET_MEM_TABLE, ADD_MEM_REG, REM_MEM_REG), each with a
 * descriptor that is mapped shared. This is the only folder that turns a guest's address into a
 * pointer; everything else sees iovecs that were checked here.
 *
 * Concurrency. One thread (the one that reads vhost-user messages) changes the table; many read
 * it. Each reader owns a gate and translates, and uses what it translated, between mem_enter()
 * and mem_leave(). A change waits until every gate is empty and keeps them closed while it
 * lasts, so a pointer obtained inside a gate stays valid until mem_leave(). A reader must not
 * wait for the changing thread while inside. A closed gate turns newcomers away before they
 * take their own lock, and readers with more to do leave when they see a change waiting
 * (mem_is_closing()), so busy readers cannot starve a change. Threads that use memory now and then
 * share one gate, mem_enter_beside(): a change that waits for it turns newcomers away, too. What
 * is done inside must not wait for the changing thread either.
 *
 * Files of ours. What a device maps into its shared memory (a DAX window) comes back as a region.
 * Whoever shortens such a file takes pages away below us, and that is not only the front-end: a
 * load or store of ours is a SIGBUS then, a system call's only -EFAULT. So payload may be there, to
 * be lent to system calls (cursor.h); rings, and what we read and write ourselves, may not.
 */
#ifndef MEM_MEM_H
#define MEM_MEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* What GET_MAX_MEM_SLOTS answers: what QEMU's memory hot-plug and a DAX window can use. */
#define MEM_REGIONS_MAX 509

struct mem_region {
	uint64_t gpa;  /* guest physical address */
	uint64_t size; /* bytes, not 0 */
	uint64_t uva;  /* address in the front-end, which ring addresses use */
	char *host;    /* where gpa is here */
	void *map;     /* what was mapped (page-aligned) */
	size_t map_size;
	bool own; /* its file is one of ours */
};

/* What a front-end says of a region. */
struct mem_region_desc {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t offset; /* of the region in its descriptor, bytes */
};

struct mem_gate {
	pthread_mutex_t lock;
	struct mem_gate *next;
};

struct mem {
	struct mem_region regions[MEM_REGIONS_MAX]; /* by gpa */
	_Atomic size_t nregions; /* may be read at any time */
	pthread_mutex_t change; /* held while gates are closed, or their list changes */
	_Atomic bool closing;
	struct mem_gate *gates;
	pthread_rwlock_t beside; /* the gate of those that have none of their own */
	/* Whether a file is ours; NULL: none is. */
	bool (*owns)(void *opaque, const struct stat *st);
	void *opaque;
};

void mem_init(struct mem *mem);

/* Says which regions are of files of ours, for those that come from now on. */
void mem_set_owner(struct mem *mem, bool (*owns)(void *opaque, const struct stat *st),
	void *opaque);

/* Unmaps everything. No gate may be registered any more. */
void mem_destroy(struct mem *mem);

void mem_gate_add(struct mem *mem, struct mem_gate *gate);
void mem_gate_remove(struct mem *mem, struct mem_gate *gate);

void mem_enter(struct mem *mem, struct mem_gate *gate);
void mem_leave(struct mem_gate *gate);
/* The same without waiting: false where somebody is inside, or a change waits. */
bool mem_try_enter(struct mem *mem, struct mem_gate *gate);

/* The same for a thread that has no gate; many may be inside. */
void mem_enter_beside(struct mem *mem);
void mem_leave_beside(struct mem *mem);

/* Whether a change waits for readers to leave: who stays inside for long has to ask. */
static inline bool mem_is_closing(const struct mem *mem)
{
	return atomic_load_explicit(&mem->closing, memory_order_relaxed);
}

/* Closes all gates and waits until they are empty; opens them again. */
void mem_close_gates(struct mem *mem);
void mem_open_gates(struct mem *mem);

/* The same for one gate: to change what only its owner uses. */
void mem_close_gate(struct mem *mem, struct mem_gate *gate);
void mem_open_gate(struct mem *mem, struct mem_gate *gate);

/*
 * The changes: called with the gates closed. Descriptors stay the caller's.
 * Errors: -EINVAL (empty, wrapping, overlapping, or beyond the end of its file), -ENOSPC (too
 * many regions), -ENOENT (nothing to remove), or what mmap says. A failed change changes nothing.
 */
int mem_add(struct mem *mem, const struct mem_region_desc *desc, int fd);
int mem_remove(struct mem *mem, const struct mem_region_desc *desc);
int mem_replace(struct mem *mem, const struct mem_region_desc *descs, const int *fds, size_t n);
void mem_clear(struct mem *mem);

/*
 * Translates len bytes at gpa into iovecs, one for each region that the range crosses.
 * Returns how many of the room iovecs were used, -EFAULT when a byte of the range is outside
 * memory, -E2BIG when room is too small. A range of 0 bytes needs no iovec and is always valid.
 * For what is read and written here: files of ours are outside memory.
 */
int mem_translate(const struct mem *mem, uint64_t gpa, uint64_t len, struct iovec *iov, int room);

/* The same for any memory. Sets *own where a part of it is in a file of ours. */
int mem_translate_any(const struct mem *mem, uint64_t gpa, uint64_t len, struct iovec *iov,
	int room, bool *own);

/* The reverse for one byte that a translation found: where it is in the guest. False when no
 * region has it. */
bool mem_gpa_of(const struct mem *mem, const void *host, uint64_t *gpa);

/* Finds the contiguous len bytes at a front-end address, aligned to align (a power of two), or
 * NULL; never in a file of ours. */
void *mem_at_uva(const struct mem *mem, uint64_t uva, uint64_t len, uint64_t align);

#endif
