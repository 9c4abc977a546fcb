// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table as a guest has it that is a process: mapped read-only, from a descriptor that
 * somebody else made. Nothing that is in it is believed but that it is the table of an id, and what
 * a word is compared with; what a reply says of it is checked against what is mapped.
 */
#ifndef COHERENCE_VIEW_H
#define COHERENCE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coherence/beat.h"
#include "coherence/words.h"

struct vtable_view {
	const char *map;
	size_t bytes;
	uint64_t slots;
	struct vtable_beat beat;
};

/*
 * Maps the table of a descriptor, which stays the caller's. id: the one that the server named.
 * may_shrink: the caller knows that nobody hostile can truncate the file; without it, it has to be
 * sealed memory. -EPERM: it is not; -EINVAL: it is no table; -ESTALE: it is another one; or what
 * mmap() says.
 */
int vtable_view_map(struct vtable_view *v, int fd, const uint8_t id[VT_ID_SIZE], bool may_shrink);
void vtable_view_unmap(struct vtable_view *v);

/* Whether an object with this stamp can be kept at all: asked once, of what a reply says. */
static inline bool vtable_view_may_keep(const struct vtable_view *v, const struct vt_stamp *s)
{
	return v->map && vt_may_keep(s, v->slots);
}

/*
 * Whether an object that was kept is still to be believed. Loads only: this is all that an access
 * to what is cached costs. The loads come after whatever told the caller of a change, and before
 * it looks at the object.
 */
static inline bool vtable_view_trusts(const struct vtable_view *v, const struct vt_stamp *s)
{
	uint64_t word = atomic_load_explicit(words_slot(v, s->slot), memory_order_acquire);
	uint64_t epoch = atomic_load_explicit(words_head(v, epoch), memory_order_acquire);
	uint64_t poison = atomic_load_explicit(words_head(v, poison), memory_order_acquire);

	return vt_is_trusted(s, epoch, poison, word);
}

/*
 * Whether objects that are trusted are so for as long as their words stay, at this time (of a clock
 * that only goes forward, in milliseconds). Otherwise they are good by time only: nobody watches
 * the host's processes (beat.h), or epochs are held back.
 */
bool vtable_view_is_watched(struct vtable_view *v, uint64_t now_ms);

#endif
