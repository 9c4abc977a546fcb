// SPDX-License-Identifier: BSD-2-Clause
/*
 * The split format: a table of descriptors, a ring of heads from the driver, a ring of heads and
 * lengths to it. All indices are free-running modulo 2^16.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "virtq/formats.h"

int split_resolve(struct virtq *vq)
{
	/* The event index behind each ring counts as part of it whether or not it is used. */
	size_t avail_len = sizeof(struct ring_avail) + (vq->size + 1) * sizeof(uint16_t);
	size_t used_len = sizeof(struct ring_used) + vq->size * sizeof(struct ring_used_elem) +
		sizeof(uint16_t);

	vq->desc = mem_at_uva(vq->mem, vq->desc_uva, vq->size * sizeof(*vq->desc), RING_DESC_ALIGN);
	vq->avail = mem_at_uva(vq->mem, vq->avail_uva, avail_len, RING_AVAIL_ALIGN);
	vq->used = mem_at_uva(vq->mem, vq->used_uva, used_len, RING_USED_ALIGN);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EFAULT;
	if (!vq->resolved) {
		vq->next_used = shared_load(&vq->used->idx);
		vq->published = vq->next_used;
	}
	return 0;
}

bool split_pending(const struct virtq *vq)
{
	return shared_load(&vq->avail->idx) != vq->next_avail;
}

unsigned int split_waiting(const struct virtq *vq)
{
	uint16_t ready = (uint16_t)(shared_load(&vq->avail->idx) - vq->next_avail);

	return min_t(unsigned int, ready, vq->size);
}

/* Walks one table of count descriptors (already copied, when indirect) from index first. One that
 * refers to an indirect table ends the walk and is left in indirect. */
static int walk(struct virtq *vq, struct gather *g, const struct ring_desc *table,
	unsigned int count, unsigned int first, struct ring_desc *indirect)
{
	unsigned int i = first, passed = 0;

	for (;;) {
		struct ring_desc desc;
		int r;

		if (i >= count)
			return virtq_break(vq, "a descriptor index is out of range");
		memcpy(&desc, &table[i], sizeof(desc));
		if (desc.flags & RING_DESC_F_INDIRECT) {
			if (!indirect)
				return virtq_break(vq, "an indirect table holds another one");
			if (desc.flags & RING_DESC_F_NEXT)
				return virtq_break(vq, "an indirect descriptor has a successor");
			*indirect = desc;
			return 0;
		}
		if (passed++ >= count)
			return virtq_break(vq, "a chain is a loop");
		r = gather_buffer(vq, g, desc.addr, desc.len, desc.flags & RING_DESC_F_WRITE);
		if (r < 0 || !(desc.flags & RING_DESC_F_NEXT))
			return r;
		i = desc.next;
	}
}

static int gather_chain(struct virtq *vq, struct virtq_chain *chain)
{
	struct gather g = {.chain = chain};
	struct ring_desc indirect = {.len = 0};
	int r;

	r = walk(vq, &g, vq->desc, vq->size, chain->head, &indirect);
	if (r == 0 && (indirect.flags & RING_DESC_F_INDIRECT)) {
		r = gather_table(vq, &g, indirect.addr, indirect.len);
		if (r > 0)
			r = walk(vq, &g, vq->table, (unsigned int)r, 0, NULL);
	}
	gather_end(vq, &g);
	return r;
}

/* The first descriptor of the chain that is popped n chains later. What is wrong is found then:
 * here every head is one. */
static const struct ring_desc *first_ahead(const struct virtq *vq, unsigned int n)
{
	uint16_t mask = (uint16_t)(vq->size - 1);
	uint16_t slot = (uint16_t)(vq->next_avail + n) & mask;

	return &vq->desc[shared_load(&vq->avail->ring[slot]) & mask];
}

/* Whether len bytes at an address are in one piece; has what is there brought here. */
static const char *bring(const struct virtq *vq, uint64_t gpa, size_t len)
{
	struct iovec iov;
	const char *there;

	if (mem_translate(vq->mem, gpa, len, &iov, 1) != 1)
		return NULL;
	there = iov.iov_base;
	__builtin_prefetch(there);
	__builtin_prefetch(there + len - 1);
	return there;
}

/* What a request begins with: a header, and the arguments behind it. */
#define HEAD_BYTES 80

/* To gcc a function that only prefetches does nothing, and it drops the calls. */
#define HINTS static inline __attribute__((always_inline))

/*
 * The driver's processor has just written what the next chains are made of, and each part says
 * where the next one is: the ring, a descriptor, an indirect table, the request. A chain that waits
 * has one of them brought here with each chain that is popped before it, to come while that is
 * served. A hint and nothing more: what is read here is not used for anything else.
 */
HINTS void look_ahead(const struct virtq *vq, unsigned int waiting)
{
	const char *table;
	uint64_t gpa;

	if (waiting > 2)
		__builtin_prefetch(first_ahead(vq, 2));
	if (waiting > 1)
		bring(vq, shared_load(&first_ahead(vq, 1)->addr), HEAD_BYTES);
	if (waiting == 0)
		return;
	gpa = shared_load(&first_ahead(vq, 0)->addr);
	if (shared_load(&first_ahead(vq, 0)->flags) & RING_DESC_F_INDIRECT) {
		table = bring(vq, gpa, sizeof(struct ring_desc));
		if (!table)
			return;
		memcpy(&gpa, table + offsetof(struct ring_desc, addr), sizeof(gpa));
	}
	bring(vq, gpa, HEAD_BYTES);
}

HINTS void expect(const char *there)
{
	if (!there)
		return;
	__builtin_prefetch(there);
	__builtin_prefetch(there + HEAD_BYTES - 1);
}

/* A driver with one request at a time mostly makes it where it made the last one, of memory that it
 * was given back just now. So all of that comes at once, and not one after the other. */
HINTS void expect_same(const struct virtq *vq)
{
	__builtin_prefetch(vq->last.desc);
	expect(vq->last.table);
	expect(vq->last.head);
}

int split_pop(struct virtq *vq, struct virtq_chain *chain)
{
	uint16_t avail_idx, ready, slot;
	int r;

	avail_idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
	ready = (uint16_t)(avail_idx - vq->next_avail);
	if (ready == 0)
		return 0;
	if (ready > vq->size)
		return virtq_break(vq, "the available index jumped");
	if (ready == 1)
		expect_same(vq);
	slot = vq->next_avail & (uint16_t)(vq->size - 1);
	*chain = (struct virtq_chain){.head = shared_load(&vq->avail->ring[slot])};
	r = gather_chain(vq, chain);
	if (r < 0)
		return r;
	vq->next_avail++;
	vq->last.desc = &vq->desc[chain->head];
	vq->last.head = chain->in->iov_base;
	look_ahead(vq, ready - 1u);
	return 1;
}

void split_push(struct virtq *vq, uint16_t head, uint32_t len)
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

bool split_publish(struct virtq *vq)
{
	uint16_t old = vq->called_at;
	bool known = vq->called;

	if (vq->published == vq->next_used)
		return false;
	__atomic_store_n(&vq->used->idx, vq->next_used, __ATOMIC_RELEASE);
	vq->published = vq->next_used;
	vq->called_at = vq->next_used;
	vq->called = true;
	/* The driver sets its event index, then looks at the used index; we do the reverse. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(shared_load(&vq->avail->flags) & RING_AVAIL_F_NO_INTERRUPT);
	return !known || ring_need_event(used_event(vq), vq->next_used, old);
}

static uint16_t *avail_event(struct virtq *vq)
{
	return (uint16_t *)&vq->used->ring[vq->size];
}

void split_want_kicks(struct virtq *vq)
{
	if (vq->event_idx)
		shared_store(avail_event(vq), vq->next_avail);
	else
		shared_store(&vq->used->flags, 0);
}

void split_refuse_kicks(struct virtq *vq)
{
	/* An event index that is behind is not passed again before the indices have gone round. */
	if (vq->event_idx)
		shared_store(avail_event(vq), (uint16_t)(vq->next_avail - 1));
	else
		shared_store(&vq->used->flags, RING_USED_F_NO_NOTIFY);
}
