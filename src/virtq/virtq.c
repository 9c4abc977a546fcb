// SPDX-License-Identifier: BSD-2-Clause
#include "virtq/virtq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "mem/cursor.h"

/* iovecs beyond one for each descriptor, for buffers that cross from one region to the next. */
#define IOV_SLACK 64

/* The ring areas are shared with the driver: every access is one load or one store. */
#define shared_load(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define shared_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

int virtq_break(struct virtq *vq, const char *rule)
{
	vq->broken = -EINVAL;
	vq->broken_by = rule;
	return vq->broken;
}

int virtq_set_size(struct virtq *vq, unsigned int size)
{
	if (size < RING_SIZE_MIN || size > RING_SIZE_MAX || (size & (size - 1)) != 0)
		return -EINVAL;
	vq->size = size;
	vq->desc = NULL;
	vq->room = max_t(unsigned int, size, VIRTQ_CHAIN_MIN);
	free(vq->table);
	free(vq->iov);
	vq->table = calloc(vq->room, sizeof(*vq->table));
	vq->iov = calloc(vq->room + IOV_SLACK, sizeof(*vq->iov));
	return vq->table && vq->iov ? 0 : -ENOMEM;
}

void virtq_reset(struct virtq *vq)
{
	struct mem *mem = vq->mem;

	free(vq->table);
	free(vq->iov);
	*vq = (struct virtq){.mem = mem};
}

void virtq_rewind(struct virtq *vq, uint16_t next_avail)
{
	vq->next_avail = next_avail;
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
	vq->called_at_valid = false;
	vq->broken = 0;
}

int virtq_resolve(struct virtq *vq)
{
	/* The event index behind each ring counts as part of it whether or not it is used. */
	size_t avail_len = sizeof(struct ring_avail) + (vq->size + 1) * sizeof(uint16_t);
	size_t used_len = sizeof(struct ring_used) + vq->size * sizeof(struct ring_used_elem) +
		sizeof(uint16_t);
	bool first = !vq->used;

	if (vq->size == 0 || !vq->iov || !vq->table)
		return virtq_break(vq, "it has no size");
	vq->desc = mem_at_uva(vq->mem, vq->desc_uva, vq->size * sizeof(*vq->desc), RING_DESC_ALIGN);
	vq->avail = mem_at_uva(vq->mem, vq->avail_uva, avail_len, RING_AVAIL_ALIGN);
	vq->used = mem_at_uva(vq->mem, vq->used_uva, used_len, RING_USED_ALIGN);
	if (!vq->desc || !vq->avail || !vq->used) {
		virtq_break(vq, "its areas are not in memory, or misaligned");
		return -EFAULT;
	}
	if (first) {
		vq->next_used = shared_load(&vq->used->idx);
		vq->published = vq->next_used;
	}
	return 0;
}

bool virtq_pending(const struct virtq *vq)
{
	return !vq->broken && shared_load(&vq->avail->idx) != vq->next_avail;
}

/* What a chain has gathered so far. */
struct gather {
	struct virtq_chain *chain;
	unsigned int iovs;  /* used of vq->iov */
	unsigned int descs; /* passed, to end loops */
	unsigned int in_iovs;
};

static int gather_buffer(struct virtq *vq, struct gather *g, const struct ring_desc *desc)
{
	bool writable = desc->flags & RING_DESC_F_WRITE;
	int n;

	if (!writable && g->chain->out_len > 0)
		return virtq_break(vq, "a readable descriptor follows a writable one");
	n = mem_translate(vq->mem, desc->addr, desc->len, vq->iov + g->iovs,
		(int)(vq->room + IOV_SLACK - g->iovs));
	if (n == -EFAULT)
		return virtq_break(vq, "a descriptor points outside memory");
	if (n < 0)
		return virtq_break(vq, "a chain has too many pieces");
	g->iovs += (unsigned int)n;
	if (writable) {
		g->chain->out_len += desc->len;
	} else {
		g->chain->in_len += desc->len;
		g->in_iovs = g->iovs;
	}
	return 0;
}

/* Walks one table of count descriptors (already copied, when indirect) from index first. */
static int gather_table(struct virtq *vq, struct gather *g, const struct ring_desc *table,
	unsigned int count, unsigned int first, struct ring_desc *indirect)
{
	unsigned int i = first;

	for (;;) {
		struct ring_desc desc;
		int r;

		if (i >= count)
			return virtq_break(vq, "a descriptor index is out of range");
		memcpy(&desc, &table[i], sizeof(desc));
		if (desc.flags & RING_DESC_F_INDIRECT) {
			if (!indirect)
			return virtq_break(vq, "a nested indirect table");
			if (desc.flags & RING_DESC_F_NEXT)
				return virtq_break(vq, "an indirect descriptor has a successor");
			*indirect = desc;
			return 0;
		}
		if (g->descs++ >= vq->room)
			return virtq_break(vq, "a chain is too long, or a loop");
		r = gather_buffer(vq, g, &desc);
		if (r < 0 || !(desc.flags & RING_DESC_F_NEXT))
			return r;
		i = desc.next;
	}
}

/* Copies an indirect table, so that the driver cannot change it between check and use. */
static int copy_indirect(struct virtq *vq, struct gather *g, const struct ring_desc *desc)
{
	struct iovec *iov = vq->iov + g->iovs;
	struct cursor c;
	int n;

	if (desc->len == 0 || desc->len % sizeof(*vq->table) != 0)
		return virtq_break(vq, "an indirect table has a bad length");
	if (desc->len / sizeof(*vq->table) > vq->room)
		return virtq_break(vq, "an indirect table is too long");
	n = mem_translate(vq->mem, desc->addr, desc->len, iov,
		(int)(vq->room + IOV_SLACK - g->iovs));
	if (n < 0)
		return virtq_break(vq, "an indirect table is outside memory");
	c = cursor_over(iov, desc->len);
	cursor_read(&c, vq->table, desc->len);
	return 0;
}

static int gather_chain(struct virtq *vq, struct virtq_chain *chain)
{
	struct gather g = {.chain = chain};
	struct ring_desc indirect = {.len = 0};
	int r;

	r = gather_table(vq, &g, vq->desc, vq->size, chain->head, &indirect);
	if (r == 0 && (indirect.flags & RING_DESC_F_INDIRECT)) {
		r = copy_indirect(vq, &g, &indirect);
		if (r == 0)
			r = gather_table(vq, &g, vq->table,
				indirect.len / (unsigned int)sizeof(*vq->table), 0, NULL);
	}
	chain->in = vq->iov;
	chain->out = vq->iov + g.in_iovs;
	return r;
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	uint16_t avail_idx, ready, slot;
	int r;

	if (vq->broken)
		return vq->broken;
	avail_idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
	ready = (uint16_t)(avail_idx - vq->next_avail);
	if (ready == 0)
		return 0;
	if (ready > vq->size)
		return virtq_break(vq, "the available index jumped");
	slot = vq->next_avail & (uint16_t)(vq->size - 1);
	*chain = (struct virtq_chain){.head = shared_load(&vq->avail->ring[slot])};
	r = gather_chain(vq, chain);
	if (r < 0)
		return r;
	vq->next_avail++;
	return 1;
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t len)
{
	struct ring_used_elem *elem = &vq->used->ring[vq->next_used & (vq->size - 1)];

	shared_store(&elem->id, head);
	shared_store(&elem->len, len);
	vq->next_used++;
}

/* The driver's event index stands behind the available ring. */
static uint16_t used_event(const struct virtq *vq)
{
	return shared_load(&vq->avail->ring[vq->size]);
}

bool virtq_publish(struct virtq *vq)
{
	uint16_t old = vq->called_at;
	bool known = vq->called_at_valid;

	if (vq->published == vq->next_used)
		return false;
	__atomic_store_n(&vq->used->idx, vq->next_used, __ATOMIC_RELEASE);
	vq->published = vq->next_used;
	vq->called_at = vq->next_used;
	vq->called_at_valid = true;
	/* The driver sets its event index, then looks at the used index; we do the reverse. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(shared_load(&vq->avail->flags) & RING_AVAIL_F_NO_INTERRUPT);
	return !known || ring_need_event(used_event(vq), vq->next_used, old);
}

void virtq_want_kicks(struct virtq *vq)
{
	if (vq->event_idx) {
		uint16_t *avail_event = (uint16_t *)&vq->used->ring[vq->size];

		shared_store(avail_event, vq->next_avail);
	} else {
		shared_store(&vq->used->flags, 0);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtq_refuse_kicks(struct virtq *vq)
{
	/* With an event index that stays behind, the driver does not kick again by itself. */
	if (!vq->event_idx)
		shared_store(&vq->used->flags, RING_USED_F_NO_NOTIFY);
}
