// SPDX-License-Identifier: BSD-2-Clause
#include "virtq/driver.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define PAGE 4096u

/* The ring areas are shared with the device: every access is one load or one store. */
#define shared_load(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define shared_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* Where the areas begin in the ring memory. */
struct layout {
	size_t avail, used, tables, end;
};

static struct layout lay_out(unsigned int size)
{
	struct layout l;

	l.avail = size * sizeof(struct ring_desc);
	l.used = align_up(l.avail + sizeof(struct ring_avail) + (size + 1) * sizeof(uint16_t),
		RING_USED_ALIGN);
	l.tables = align_up(l.used + sizeof(struct ring_used) +
		size * sizeof(struct ring_used_elem) + sizeof(uint16_t), RING_DESC_ALIGN);
	l.end = l.tables + size * VIRTQ_DRIVER_TABLE * sizeof(struct ring_desc);
	return l;
}

size_t virtq_driver_bytes(unsigned int size)
{
	return align_up(lay_out(size).end, PAGE);
}

int virtq_driver_init(struct virtq_driver *d, unsigned int size, void *memory, uint64_t gpa,
	bool event_idx, bool indirect)
{
	struct layout l = lay_out(size);
	char *base = memory;

	if (size < RING_SIZE_MIN || size > RING_SIZE_MAX || (size & (size - 1)) != 0)
		return -EINVAL;
	*d = (struct virtq_driver){
		.size = size,
		.event_idx = event_idx,
		.indirect = indirect,
		.desc = memory,
		.avail = (struct ring_avail *)(base + l.avail),
		.used = (struct ring_used *)(base + l.used),
		.tables = (struct ring_desc *)(base + l.tables),
		.desc_gpa = gpa,
		.tables_gpa = gpa + l.tables,
		.slots = calloc(size, sizeof(*d->slots)),
		.nfree = size,
	};
	if (!d->slots)
		return -ENOMEM;
	for (unsigned int i = 0; i < size; i++)
		d->slots[i].next = (uint16_t)(i + 1);
	return 0;
}

void virtq_driver_destroy(struct virtq_driver *d)
{
	free(d->slots);
	*d = (struct virtq_driver){.size = 0};
}

static void write_desc(struct ring_desc *desc, const struct virtq_buffer *b, bool writable,
	bool last, uint16_t next)
{
	*desc = (struct ring_desc){
		.addr = b->gpa,
		.len = b->len,
		.flags = (uint16_t)((writable ? RING_DESC_F_WRITE : 0) |
			(last ? 0 : RING_DESC_F_NEXT)),
		.next = last ? 0 : next,
	};
}

static void add_indirect(struct virtq_driver *d, uint16_t head, const struct virtq_buffer *buffers,
	unsigned int nin, unsigned int n)
{
	struct ring_desc *table = d->tables + (size_t)head * VIRTQ_DRIVER_TABLE;

	for (unsigned int i = 0; i < n; i++)
		write_desc(&table[i], &buffers[i], i >= nin, i + 1 == n, (uint16_t)(i + 1));
	d->desc[head] = (struct ring_desc){
		.addr = d->tables_gpa + head * VIRTQ_DRIVER_TABLE * sizeof(*table),
		.len = n * (uint32_t)sizeof(*table),
		.flags = RING_DESC_F_INDIRECT,
	};
}

/* Takes count descriptors off the free list; they stay linked through their next. */
static uint16_t take_free(struct virtq_driver *d, unsigned int count)
{
	uint16_t head = d->free_head;

	for (unsigned int i = 0; i < count; i++)
		d->free_head = d->slots[d->free_head].next;
	d->nfree -= count;
	d->slots[head].count = (uint16_t)count;
	return head;
}

int virtq_driver_add(struct virtq_driver *d, const struct virtq_buffer *buffers, unsigned int nin,
	unsigned int nout, void *cookie)
{
	unsigned int n = nin + nout;
	bool indirect = d->indirect && n > 1 && n <= VIRTQ_DRIVER_TABLE;
	unsigned int count = indirect ? 1 : n;
	uint64_t room = 0;
	uint16_t head, i;

	if (n == 0 || count > d->size)
		return -E2BIG;
	if (count > d->nfree)
		return -ENOSPC;
	head = take_free(d, count);
	if (indirect) {
		add_indirect(d, head, buffers, nin, n);
	} else {
		i = head;
		for (unsigned int k = 0; k < n; k++, i = d->slots[i].next)
			write_desc(&d->desc[i], &buffers[k], k >= nin, k + 1 == n,
				d->slots[i].next);
	}
	for (unsigned int k = nin; k < n; k++)
		room += buffers[k].len;
	d->slots[head].cookie = cookie;
	d->slots[head].room = room;
	shared_store(&d->avail->ring[d->avail_idx & (d->size - 1)], head);
	d->avail_idx++;
	d->in_flight++;
	return 0;
}

bool virtq_driver_publish(struct virtq_driver *d)
{
	uint16_t old = d->shown;

	if (old == d->avail_idx)
		return false;
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_RELEASE);
	d->shown = d->avail_idx;
	/* The device asks for kicks, then looks at the index; we show it, then look at what it
	 * asked. One of us sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (d->event_idx) {
		const uint16_t *event = (const uint16_t *)&d->used->ring[d->size];

		return ring_need_event(shared_load(event), d->shown, old);
	}
	return !(shared_load(&d->used->flags) & RING_USED_F_NO_NOTIFY);
}

unsigned int virtq_driver_ready(const struct virtq_driver *d)
{
	return (uint16_t)(__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) -
		shared_load(&d->seen));
}

bool virtq_driver_pending(const struct virtq_driver *d)
{
	return virtq_driver_ready(d) > 0;
}

static void *give_back(struct virtq_driver *d, uint16_t head)
{
	struct virtq_driver_slot *slot = &d->slots[head];
	uint16_t last = head;

	for (unsigned int i = 1; i < slot->count; i++)
		last = d->slots[last].next;
	d->slots[last].next = d->free_head;
	d->free_head = head;
	d->nfree += slot->count;
	d->in_flight--;
	slot->count = 0;
	return slot->cookie;
}

static int broken(struct virtq_driver *d, const char *rule)
{
	d->broken_by = rule;
	return -EIO;
}

int virtq_driver_collect(struct virtq_driver *d, void **cookie, uint32_t *written)
{
	const struct ring_used_elem *elem = &d->used->ring[d->seen & (d->size - 1)];
	unsigned int ready;
	uint32_t id, len;

	if (d->broken_by)
		return -EIO;
	ready = virtq_driver_ready(d);
	if (ready == 0)
		return 0;
	if (ready > d->in_flight)
		return broken(d, "the used index jumped");
	id = shared_load(&elem->id);
	len = shared_load(&elem->len);
	if (id >= d->size || d->slots[id].count == 0)
		return broken(d, "a chain came back that was not there");
	if (len > d->slots[id].room)
		return broken(d, "more was written than there was room for");
	shared_store(&d->seen, (uint16_t)(d->seen + 1));
	*cookie = give_back(d, (uint16_t)id);
	*written = len;
	return 1;
}

void virtq_driver_want_calls(struct virtq_driver *d)
{
	virtq_driver_want_calls_after(d, 1);
}

void virtq_driver_want_calls_after(struct virtq_driver *d, unsigned int n)
{
	if (d->event_idx)
		shared_store(&d->avail->ring[d->size], (uint16_t)(d->seen + n - 1));
	else
		shared_store(&d->avail->flags, 0);
	atomic_thread_fence(memory_order_seq_cst);
}

void virtq_driver_refuse_calls(struct virtq_driver *d)
{
	/* An event index that was passed asks for nothing until 2^16 chains later. */
	if (d->event_idx)
		shared_store(&d->avail->ring[d->size], (uint16_t)(d->seen - 1));
	else
		shared_store(&d->avail->flags, RING_AVAIL_F_NO_INTERRUPT);
}

void *virtq_driver_abandon(struct virtq_driver *d)
{
	for (unsigned int i = 0; i < d->size && d->in_flight > 0; i++) {
		if (d->slots[i].count > 0)
			return give_back(d, (uint16_t)i);
	}
	return NULL;
}
