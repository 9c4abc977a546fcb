// SPDX-License-Identifier: BSD-2-Clause
#include "coherence/view.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"

int vtable_view_map(struct vtable_view *v, int fd, const uint8_t id[VT_ID_SIZE], bool may_shrink)
{
	struct vt_header head;
	struct stat st;
	void *map;
	int seals, r = 0;

	*v = (struct vtable_view){0};
	if (fstat(fd, &st) < 0)
		return -errno;
	seals = fcntl(fd, F_GET_SEALS);
	if (!S_ISREG(st.st_mode) || (!may_shrink && (seals < 0 || !(seals & F_SEAL_SHRINK))))
		return -EPERM;
	if (st.st_size < VT_HEADER_SIZE || (uint64_t)st.st_size > vt_size(VT_SLOTS_MAX))
		return -EINVAL;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	/* A copy: the number of slots that is checked is the one that is used. */
	memcpy(&head, map, sizeof(head));
	if (vt_examine(&head, (uint64_t)st.st_size) != VT_GOOD)
		r = -EINVAL;
	else if (memcmp(head.id, id, VT_ID_SIZE) != 0)
		r = -ESTALE;
	if (r < 0) {
		munmap(map, (size_t)st.st_size);
		return r;
	}
	v->map = map;
	v->bytes = (size_t)st.st_size;
	v->slots = head.slots;
	return 0;
}

bool vtable_view_is_watched(struct vtable_view *v, uint64_t now_ms)
{
	uint64_t beat = atomic_load_explicit(words_head(v, watcher), memory_order_acquire);
	uint64_t timed = atomic_load_explicit(words_head(v, timed), memory_order_acquire);

	return !timed && vtable_beat_holds(&v->beat, beat, now_ms);
}

void vtable_view_unmap(struct vtable_view *v)
{
	if (v->map)
		munmap((void *)v->map, v->bytes);
	*v = (struct vtable_view){0};
}
