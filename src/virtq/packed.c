// SPDX-License-Identifier: BSD-2-Clause
/*
 * The packed format: one ring of descriptors that both sides write, and an area for each side that
 * says when it wants to be notified.
 *
 * Positions are a slot and a wrap counter. The device's used position follows its available one;
 * the slots in between belong to chains in flight, and there are never more of them than the ring
 * has.
 */
#include <errno.h>
#include <string.h>

#include "virtq/formats.h"

#define BASE_WRAP 0x8000u

/* Moves a position on by at most the ring's size. */
static void advance(const struct virtq *vq, uint16_t *slot, bool *wrap, unsigned int by)
{
	unsigned int to = *slot + by;

	if (to >= vq->size) {
		to -= vq->size;
		*wrap = !*wrap;
	}
	*slot = (uint16_t)to;
}

static uint16_t half_base(uint16_t slot, bool wrap)
{
	return (uint16_t)(slot | (wrap ? BASE_WRAP : 0));
}

uint32_t packed_base(const struct virtq *vq)
{
	return half_base(vq->next_avail, vq->avail_wrap) |
		(uint32_t)half_base(vq->next_used, vq->used_wrap) << 16;
}

/* How many slots the available position is ahead of the used one, or -1 when it is behind. */
static int slots_between(unsigned int size, uint32_t base)
{
	int avail = (int)(base & (BASE_WRAP - 1));
	int used = (int)(base >> 16 & (BASE_WRAP - 1));
	int ahead = avail - used;

	if ((base ^ base >> 16) & BASE_WRAP)
		ahead += (int)size;
	return ahead > (int)size ? -1 : ahead;
}

bool packed_is_base(const struct virtq *vq, uint32_t base)
{
	if (vq->size == 0)
		return true;
	return (base & (BASE_WRAP - 1)) < vq->size && (base >> 16 & (BASE_WRAP - 1)) < vq->size &&
		slots_between(vq->size, base) >= 0;
}

void packed_rewind(struct virtq *vq, uint32_t base)
{
	vq->next_avail = base & (BASE_WRAP - 1);
	vq->avail_wrap = base & BASE_WRAP;
	vq->next_used = base >> 16 & (BASE_WRAP - 1);
	vq->used_wrap = base >> 16 & BASE_WRAP;
	vq->batch = false;
	vq->uncalled = 0;
	if (vq->lengths)
		memset(vq->lengths, 0, vq->size * sizeof(*vq->lengths));
}

int packed_resolve(struct virtq *vq)
{
	vq->slots = mem_at_uva(vq->mem, vq->desc_uva, vq->size * sizeof(*vq->slots),
		RING_DESC_ALIGN);
	vq->driver_event = mem_at_uva(vq->mem, vq->avail_uva, sizeof(*vq->driver_event),
		RING_EVENT_ALIGN);
	vq->device_event = mem_at_uva(vq->mem, vq->used_uva, sizeof(*vq->device_event),
		RING_EVENT_ALIGN);
	if (!vq->slots || !vq->driver_event || !vq->device_event)
		return -EFAULT;
	vq->in_flight = (unsigned int)slots_between(vq->size, packed_base(vq));
	return 0;
}

static bool is_available(uint16_t flags, bool wrap)
{
	return (flags & (RING_PACKED_F_AVAIL | RING_PACKED_F_USED)) ==
		(wrap ? RING_PACKED_F_AVAIL : RING_PACKED_F_USED);
}

bool packed_pending(const struct virtq *vq)
{
	return is_available(shared_load(&vq->slots[vq->next_avail].flags), vq->avail_wrap);
}

unsigned int packed_waiting(const struct virtq *vq)
{
	uint16_t slot = vq->next_avail;
	bool wrap = vq->avail_wrap;
	unsigned int chains = 0;

	/* A chain ends with the slot that names no successor. */
	for (unsigned int i = 0; i < vq->size; i++) {
		uint16_t flags = shared_load(&vq->slots[slot].flags);

		if (!is_available(flags, wrap))
			break;
		chains += !(flags & RING_DESC_F_NEXT);
		advance(vq, &slot, &wrap, 1);
	}
	return chains;
}

/* A table's entries count from its begin to its end; of their flags only WRITE has a meaning. */
static int gather_indirect(struct virtq *vq, struct gather *g, const struct ring_packed_desc *head)
{
	const struct ring_packed_desc *table = vq->table;
	int n = gather_table(vq, g, head->addr, head->len);
	int r = n < 0 ? n : 0;

	for (int i = 0; i < n && r == 0; i++) {
		if (table[i].flags & RING_DESC_F_INDIRECT)
			return virtq_break(vq, "an indirect table holds another one");
		r = gather_buffer(vq, g, table[i].addr, table[i].len,
			table[i].flags & RING_DESC_F_WRITE);
	}
	return r;
}

/* Adds the descriptor that was copied from the nth slot of a chain. */
static int gather_desc(struct virtq *vq, struct gather *g, unsigned int n,
	const struct ring_packed_desc *desc)
{
	if (!(desc->flags & RING_DESC_F_INDIRECT))
		return gather_buffer(vq, g, desc->addr, desc->len, desc->flags & RING_DESC_F_WRITE);
	if (n > 0 || (desc->flags & RING_DESC_F_NEXT))
		return virtq_break(vq, "an indirect descriptor is not alone");
	return gather_indirect(vq, g, desc);
}

/* Takes the n slots of a chain that is named id. */
static int take(struct virtq *vq, uint16_t id, unsigned int n)
{
	if (id >= vq->size)
		return virtq_break(vq, "a buffer id is out of range");
	if (vq->lengths[id] != 0)
		return virtq_break(vq, "a buffer id is in flight already");
	vq->lengths[id] = (uint16_t)n;
	vq->in_flight += n;
	advance(vq, &vq->next_avail, &vq->avail_wrap, n);
	return 1;
}

int packed_pop(struct virtq *vq, struct virtq_chain *chain)
{
	struct gather g = {.chain = chain};
	struct ring_packed_desc desc;
	uint16_t slot = vq->next_avail;
	bool wrap = vq->avail_wrap;
	unsigned int n = 0;
	/* What the driver wrote before it made the first descriptor available is seen after. */
	uint16_t flags = __atomic_load_n(&vq->slots[slot].flags, __ATOMIC_ACQUIRE);

	if (!is_available(flags, wrap))
		return 0;
	*chain = (struct virtq_chain){.head = 0};
	do {
		int r;

		if (vq->in_flight + n >= vq->size)
			return virtq_break(vq, "a chain runs into those in flight");
		memcpy(&desc, &vq->slots[slot], sizeof(desc));
		if (n == 0)
			desc.flags = flags;
		else if (!is_available(desc.flags, wrap))
			return virtq_break(vq, "a chain goes on where nothing is available");
		r = gather_desc(vq, &g, n++, &desc);
		if (r < 0)
			return r;
		advance(vq, &slot, &wrap, 1);
	} while (desc.flags & RING_DESC_F_NEXT);
	gather_end(vq, &g);
	chain->head = desc.id;
	return take(vq, desc.id, n);
}

void packed_push(struct virtq *vq, uint16_t id, uint32_t len)
{
	struct ring_packed_desc *desc = &vq->slots[vq->next_used];
	unsigned int n = vq->lengths[id];
	uint16_t flags = (uint16_t)((vq->used_wrap ? RING_PACKED_F_AVAIL | RING_PACKED_F_USED : 0) |
		(len > 0 ? RING_DESC_F_WRITE : 0));

	shared_store(&desc->id, id);
	shared_store(&desc->len, len);
	/* The driver takes used descriptors in their order: it sees none before the first. */
	if (vq->batch) {
		shared_store(&desc->flags, flags);
	} else {
		vq->batch = true;
		vq->batch_slot = vq->next_used;
		vq->batch_flags = flags;
	}
	vq->lengths[id] = 0;
	vq->in_flight -= n;
	vq->uncalled += n;
	advance(vq, &vq->next_used, &vq->used_wrap, n);
}

/* Whether the slots passed last hold the one at which the driver wants to be called. */
static bool passed_event(const struct virtq *vq, unsigned int passed)
{
	uint16_t off_wrap = shared_load(&vq->driver_event->off_wrap);
	int event = off_wrap & (RING_EVENT_WRAP - 1);
	int now = vq->next_used;

	if ((bool)(off_wrap & RING_EVENT_WRAP) != vq->used_wrap)
		event -= (int)vq->size;
	return event < now && event >= now - (int)passed;
}

bool packed_publish(struct virtq *vq)
{
	unsigned int passed = vq->uncalled;
	bool known = vq->called;
	uint16_t flags;

	if (!vq->batch)
		return false;
	__atomic_store_n(&vq->slots[vq->batch_slot].flags, vq->batch_flags, __ATOMIC_RELEASE);
	vq->batch = false;
	vq->uncalled = 0;
	vq->called = true;
	/* The driver says when it wants a call, then looks at the ring; we do the reverse. It
	 * writes the slot before the flag that makes it count. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&vq->driver_event->flags, __ATOMIC_ACQUIRE) & RING_EVENT_MASK;
	if (flags == RING_EVENT_DESC && vq->event_idx)
		return !known || passed_event(vq, passed);
	return flags != RING_EVENT_DISABLE;
}

void packed_want_kicks(struct virtq *vq)
{
	uint16_t flags = vq->event_idx ? RING_EVENT_DESC : RING_EVENT_ENABLE;

	if (vq->event_idx)
		shared_store(&vq->device_event->off_wrap,
			half_base(vq->next_avail, vq->avail_wrap));
	__atomic_store_n(&vq->device_event->flags, flags, __ATOMIC_RELEASE);
}

void packed_refuse_kicks(struct virtq *vq)
{
	shared_store(&vq->device_event->flags, RING_EVENT_DISABLE);
}
