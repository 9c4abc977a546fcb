// SPDX-License-Identifier: BSD-2-Clause
#include "mem/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

/* #syscalls: mmap:2&PROT_EXEC=0 munmap madvise fstat newfstatat */

void mem_init(struct mem *mem)
{
	pthread_rwlockattr_t attr;

	memset(mem, 0, sizeof(*mem));
	pthread_mutex_init(&mem->change, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&mem->beside, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void mem_set_owner(struct mem *mem, bool (*owns)(void *opaque, const struct stat *st),
	void *opaque)
{
	mem->owns = owns;
	mem->opaque = opaque;
}

void mem_destroy(struct mem *mem)
{
	mem_clear(mem);
	pthread_rwlock_destroy(&mem->beside);
	pthread_mutex_destroy(&mem->change);
}

void mem_gate_add(struct mem *mem, struct mem_gate *gate)
{
	pthread_mutex_init(&gate->lock, NULL);
	pthread_mutex_lock(&mem->change);
	gate->next = mem->gates;
	mem->gates = gate;
	pthread_mutex_unlock(&mem->change);
}

void mem_gate_remove(struct mem *mem, struct mem_gate *gate)
{
	pthread_mutex_lock(&mem->change);
	for (struct mem_gate **p = &mem->gates; *p; p = &(*p)->next) {
		if (*p == gate) {
			*p = gate->next;
			break;
		}
	}
	pthread_mutex_unlock(&mem->change);
	pthread_mutex_destroy(&gate->lock);
}

void mem_enter(struct mem *mem, struct mem_gate *gate)
{
	if (__builtin_expect(atomic_load_explicit(&mem->closing, memory_order_relaxed), 0)) {
		pthread_mutex_lock(&mem->change);
		pthread_mutex_unlock(&mem->change);
	}
	pthread_mutex_lock(&gate->lock);
}

bool mem_try_enter(struct mem *mem, struct mem_gate *gate)
{
	return !mem_is_closing(mem) && pthread_mutex_trylock(&gate->lock) == 0;
}

void mem_leave(struct mem_gate *gate)
{
	pthread_mutex_unlock(&gate->lock);
}

void mem_enter_beside(struct mem *mem)
{
	pthread_rwlock_rdlock(&mem->beside);
}

void mem_leave_beside(struct mem *mem)
{
	pthread_rwlock_unlock(&mem->beside);
}

void mem_close_gates(struct mem *mem)
{
	pthread_mutex_lock(&mem->change);
	atomic_store_explicit(&mem->closing, true, memory_order_relaxed);
	for (struct mem_gate *gate = mem->gates; gate; gate = gate->next)
		pthread_mutex_lock(&gate->lock);
	pthread_rwlock_wrlock(&mem->beside);
}

void mem_open_gates(struct mem *mem)
{
	pthread_rwlock_unlock(&mem->beside);
	for (struct mem_gate *gate = mem->gates; gate; gate = gate->next)
		pthread_mutex_unlock(&gate->lock);
	atomic_store_explicit(&mem->closing, false, memory_order_relaxed);
	pthread_mutex_unlock(&mem->change);
}

void mem_close_gate(struct mem *mem, struct mem_gate *gate)
{
	pthread_mutex_lock(&mem->change);
	atomic_store_explicit(&mem->closing, true, memory_order_relaxed);
	pthread_mutex_lock(&gate->lock);
}

void mem_open_gate(struct mem *mem, struct mem_gate *gate)
{
	pthread_mutex_unlock(&gate->lock);
	atomic_store_explicit(&mem->closing, false, memory_order_relaxed);
	pthread_mutex_unlock(&mem->change);
}

static bool overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static int check_desc(const struct mem *mem, const struct mem_region_desc *desc, int fd,
	bool *own)
{
	struct stat st;
	uint64_t end;

	if (desc->size == 0 || __builtin_add_overflow(desc->gpa, desc->size, &end) ||
		__builtin_add_overflow(desc->uva, desc->size, &end) ||
		__builtin_add_overflow(desc->offset, desc->size, &end))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Past the end of the file a load would be a SIGBUS. Devices have no size to check. */
	if (S_ISREG(st.st_mode) && end > (uint64_t)st.st_size)
		return -EINVAL;
	for (size_t i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];

		if (overlaps(desc->gpa, desc->size, r->gpa, r->size) ||
			overlaps(desc->uva, desc->size, r->uva, r->size))
			return -EINVAL;
	}
	*own = mem->owns && mem->owns(mem->opaque, &st);
	return 0;
}

#ifdef __SANITIZE_THREAD__
/* Of ThreadSanitizer's runtime. */
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *p, unsigned long size,
	const char *what);
#endif

/* A guest may name the same bytes in two chains, and change them at any time: races there are its
 * own affair, since nothing of ours is decided by what was not copied first. */
static void expect_races(const char *map, size_t size)
{
#ifdef __SANITIZE_THREAD__
	AnnotateBenignRaceSized(__FILE__, __LINE__, map, size, "memory of the guest");
#else
	(void)map;
	(void)size;
#endif
}

static int map_region(const struct mem_region_desc *desc, int fd, struct mem_region *region)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t slack = desc->offset & (page - 1);
	size_t map_size;
	char *map;

	if (__builtin_add_overflow(desc->size, slack, &map_size))
		return -EINVAL;
	map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		(off_t)(desc->offset - slack));
	if (map == MAP_FAILED)
		return -errno;
	/* A core dump of ours must not carry a guest's data. */
	madvise(map, map_size, MADV_DONTDUMP);
	expect_races(map, map_size);
	*region = (struct mem_region){
		.gpa = desc->gpa,
		.size = desc->size,
		.uva = desc->uva,
		.host = map + slack,
		.map = map,
		.map_size = map_size,
	};
	return 0;
}

int mem_add(struct mem *mem, const struct mem_region_desc *desc, int fd)
{
	struct mem_region region;
	size_t at = 0;
	bool own = false;
	int r;

	if (mem->nregions == MEM_REGIONS_MAX)
		return -ENOSPC;
	r = check_desc(mem, desc, fd, &own);
	if (r < 0)
		return r;
	r = map_region(desc, fd, &region);
	if (r < 0)
		return r;
	region.own = own;
	while (at < mem->nregions && mem->regions[at].gpa < region.gpa)
		at++;
	memmove(&mem->regions[at + 1], &mem->regions[at],
		(mem->nregions - at) * sizeof(mem->regions[0]));
	mem->regions[at] = region;
	mem->nregions++;
	return 0;
}

int mem_remove(struct mem *mem, const struct mem_region_desc *desc)
{
	for (size_t i = 0; i < mem->nregions; i++) {
		struct mem_region *r = &mem->regions[i];

		if (r->gpa != desc->gpa || r->size != desc->size || r->uva != desc->uva)
			continue;
		munmap(r->map, r->map_size);
		mem->nregions--;
		memmove(r, r + 1, (mem->nregions - i) * sizeof(*r));
		return 0;
	}
	return -ENOENT;
}

void mem_clear(struct mem *mem)
{
	for (size_t i = 0; i < mem->nregions; i++)
		munmap(mem->regions[i].map, mem->regions[i].map_size);
	mem->nregions = 0;
}

int mem_replace(struct mem *mem, const struct mem_region_desc *descs, const int *fds, size_t n)
{
	CLEANUP_FREE struct mem *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	mem_set_owner(fresh, mem->owns, mem->opaque);
	for (size_t i = 0; i < n; i++) {
		int r = mem_add(fresh, &descs[i], fds[i]);

		if (r < 0) {
			mem_clear(fresh);
			return r;
		}
	}
	mem_clear(mem);
	memcpy(mem->regions, fresh->regions, n * sizeof(mem->regions[0]));
	mem->nregions = n;
	return 0;
}

/* The region that holds gpa, or NULL. */
static const struct mem_region *find_region(const struct mem *mem, uint64_t gpa)
{
	size_t low = 0, high = mem->nregions;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct mem_region *r = &mem->regions[mid];

		if (gpa < r->gpa)
			high = mid;
		else if (gpa - r->gpa >= r->size)
			low = mid + 1;
		else
			return r;
	}
	return NULL;
}

int mem_translate_any(const struct mem *mem, uint64_t gpa, uint64_t len, struct iovec *iov,
	int room, bool *own)
{
	int n = 0;

	while (len > 0) {
		const struct mem_region *r = find_region(mem, gpa);
		uint64_t piece;

		if (!r)
			return -EFAULT;
		if (n == room)
			return -E2BIG;
		piece = min_t(uint64_t, len, r->size - (gpa - r->gpa));
		iov[n].iov_base = r->host + (gpa - r->gpa);
		iov[n].iov_len = piece;
		*own |= r->own;
		n++;
		gpa += piece;
		len -= piece;
	}
	return n;
}

int mem_translate(const struct mem *mem, uint64_t gpa, uint64_t len, struct iovec *iov, int room)
{
	bool own = false;
	int n = mem_translate_any(mem, gpa, len, iov, room, &own);

	return own ? -EFAULT : n;
}

bool mem_gpa_of(const struct mem *mem, const void *host, uint64_t *gpa)
{
	uintptr_t p = (uintptr_t)host;

	for (size_t i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];

		if (p >= (uintptr_t)r->host && p - (uintptr_t)r->host < r->size) {
			*gpa = r->gpa + (p - (uintptr_t)r->host);
			return true;
		}
	}
	return false;
}

void *mem_at_uva(const struct mem *mem, uint64_t uva, uint64_t len, uint64_t align)
{
	for (size_t i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];
		char *p;

		if (r->own || uva < r->uva || uva - r->uva >= r->size ||
			len > r->size - (uva - r->uva))
			continue;
		p = r->host + (uva - r->uva);
		return ((uintptr_t)p & (align - 1)) == 0 ? p : NULL;
	}
	return NULL;
}
