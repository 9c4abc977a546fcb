// SPDX-License-Identifier: BSD-2-Clause
#include "ring_driver.h"

#include "unit.h"

#include <string.h>
#include <sys/mman.h>

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

void rd_open_memory(struct ring_driver *d, unsigned int size, bool packed)
{
	size_t avail_at = size * sizeof(struct ring_desc);
	size_t split_len = align_up(sizeof(struct ring_avail) + 2 * (size + 1), 4);
	size_t used_at = avail_at + (packed ? sizeof(struct ring_event) : split_len);

	memset(d, 0, sizeof(*d));
	d->mem = &d->own_mem;
	d->vq = &d->own_vq;
	d->size = size;
	d->packed = packed;
	d->lengths = calloc(size, sizeof(*d->lengths));
	assert_non_null(d->lengths);
	d->ring_size = align_up(used_at + sizeof(struct ring_used) +
		size * sizeof(struct ring_used_elem) + 2, 4096);
	d->file_size = d->ring_size + 2 * RD_DATA_HALF;
	d->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(d->fd >= 0);
	assert_int_equal(ftruncate(d->fd, (off_t)d->file_size), 0);
	d->file = mmap(NULL, d->file_size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	assert_ptr_not_equal(d->file, MAP_FAILED);
	d->desc = (struct ring_desc *)d->file;
	d->avail = (struct ring_avail *)(d->file + avail_at);
	d->used = (struct ring_used *)(d->file + used_at);
	d->slots = (struct ring_packed_desc *)d->file;
	d->driver_event = (struct ring_event *)d->avail;
	d->device_event = (struct ring_event *)d->used;
	if (packed)
		d->avail_idx = d->seen_used = RD_WRAP;
	d->desc_gpa = RD_RING_GPA;
	d->avail_gpa = RD_RING_GPA + avail_at;
	d->used_gpa = RD_RING_GPA + used_at;
}

void rd_regions(const struct ring_driver *d, struct mem_region_desc regions[3])
{
	uint64_t data = RD_DATA_GPA;

	regions[0] = (struct mem_region_desc){.gpa = RD_RING_GPA, .size = d->ring_size};
	regions[1] = (struct mem_region_desc){
		.gpa = data, .size = RD_DATA_HALF, .offset = d->ring_size + RD_DATA_HALF};
	regions[2] = (struct mem_region_desc){
		.gpa = data + RD_DATA_HALF, .size = RD_DATA_HALF, .offset = d->ring_size};
	for (int i = 0; i < 3; i++)
		regions[i].uva = regions[i].gpa + RD_UVA_BIAS;
}

/* As if all slots had been used: those before start in this round, the others in the last one. */
static void fill_slots(struct ring_driver *d, uint16_t start)
{
	const uint16_t both = RING_PACKED_F_AVAIL | RING_PACKED_F_USED;

	for (unsigned int i = 0; i < d->size; i++)
		d->slots[i].flags = (bool)(start & RD_WRAP) == (i < (start & ~RD_WRAP)) ? both : 0;
}

static void open_ring(struct ring_driver *d, unsigned int size, uint16_t start, bool packed)
{
	struct mem_region_desc regions[3];

	rd_open_memory(d, size, packed);
	mem_init(d->mem);
	rd_regions(d, regions);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mem_add(d->mem, &regions[i], d->fd), 0);
	d->avail_idx = d->seen_used = start;
	if (packed)
		fill_slots(d, start);
	else
		d->avail->idx = d->used->idx = start;
	d->vq->mem = d->mem;
	virtq_set_packed(d->vq, packed);
	assert_int_equal(virtq_set_size(d->vq, size), 0);
	d->vq->desc_uva = d->desc_gpa + RD_UVA_BIAS;
	d->vq->avail_uva = d->avail_gpa + RD_UVA_BIAS;
	d->vq->used_uva = d->used_gpa + RD_UVA_BIAS;
	virtq_rewind(d->vq, rd_base(d));
	assert_int_equal(virtq_resolve(d->vq), 0);
}

void rd_open(struct ring_driver *d, unsigned int size, uint16_t start)
{
	open_ring(d, size, start, false);
}

void rd_open_packed(struct ring_driver *d, unsigned int size, uint16_t start)
{
	open_ring(d, size, start, true);
}

uint32_t rd_base(const struct ring_driver *d)
{
	return d->packed ? d->avail_idx | (uint32_t)d->seen_used << 16 : d->avail_idx;
}

void rd_close(struct ring_driver *d)
{
	if (d->own_vq.mem) {
		virtq_reset(&d->own_vq);
		mem_destroy(&d->own_mem);
	}
	munmap(d->file, d->file_size);
	free(d->lengths);
	close(d->fd);
}

char *rd_at(struct ring_driver *d, uint64_t gpa)
{
	uint64_t off = gpa - RD_DATA_GPA;

	assert_true(off < 2 * RD_DATA_HALF);
	off = off < RD_DATA_HALF ? off + RD_DATA_HALF : off - RD_DATA_HALF;
	return d->file + d->ring_size + off;
}

void rd_desc(struct ring_driver *d, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	uint16_t next)
{
	d->desc[i & (d->size - 1)] =
		(struct ring_desc){.addr = gpa, .len = len, .flags = flags, .next = next};
}

void rd_slot(struct ring_driver *d, unsigned int slot, uint64_t gpa, uint32_t len, uint16_t id,
	uint16_t flags)
{
	d->slots[slot] =
		(struct ring_packed_desc){.addr = gpa, .len = len, .id = id, .flags = flags};
}

uint16_t rd_available(uint16_t position)
{
	return position & RD_WRAP ? RING_PACKED_F_AVAIL : RING_PACKED_F_USED;
}

uint16_t rd_advance(const struct ring_driver *d, uint16_t position, unsigned int n)
{
	unsigned int slot = (position & ~RD_WRAP) + n, wrap = position & RD_WRAP;

	for (; slot >= d->size; slot -= d->size)
		wrap ^= RD_WRAP;
	return (uint16_t)(slot | wrap);
}

/* Bytes of the data area one by one: a table may lie over its middle. */
static void put_bytes(struct ring_driver *d, uint64_t gpa, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*rd_at(d, gpa + i) = ((const char *)bytes)[i];
}

static void put_table(struct ring_driver *d, const struct rd_piece *pieces, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint16_t write = pieces[i].writable ? RING_DESC_F_WRITE : 0;
		struct ring_desc desc = {
			.addr = pieces[i].gpa,
			.len = pieces[i].len,
			.flags = (uint16_t)(write | (i + 1 < n ? RING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(i + 1),
		};
		struct ring_packed_desc packed = {
			.addr = pieces[i].gpa, .len = pieces[i].len, .id = 0xffff, .flags = write};

		put_bytes(d, RD_TABLE + i * sizeof(desc), d->packed ? (void *)&packed : &desc,
			sizeof(desc));
	}
}

/* All but the flags of the first slot, which make the chain available. */
static void packed_chain(struct ring_driver *d, enum rd_shape shape, uint16_t id,
	const struct rd_piece *pieces, unsigned int n)
{
	unsigned int slots = shape == RD_DIRECT ? n : 1;

	if (shape != RD_DIRECT)
		put_table(d, pieces, n);
	for (unsigned int i = 0; i < slots; i++) {
		uint16_t at = rd_advance(d, d->avail_idx, i);
		uint16_t flags = rd_available(at) | (i + 1 < slots ? RING_DESC_F_NEXT : 0);
		/* Only the last one's id counts. */
		uint16_t at_id = i + 1 < slots ? 0xffff : id;

		struct ring_packed_desc *slot = &d->slots[at & ~RD_WRAP];

		if (shape == RD_DIRECT)
			flags |= pieces[i].writable ? RING_DESC_F_WRITE : 0;
		else
			flags |= RING_DESC_F_INDIRECT;
		slot->addr = shape == RD_DIRECT ? pieces[i].gpa : RD_TABLE;
		slot->len = shape == RD_DIRECT ? pieces[i].len : n * (uint32_t)sizeof(*slot);
		slot->id = at_id;
		/* The device may look at the first slot at any time. */
		if (i == 0)
			d->head_flags = flags;
		else
			slot->flags = flags;
	}
	d->written = slots;
}

void rd_chain(struct ring_driver *d, enum rd_shape shape, uint16_t head,
	const struct rd_piece *pieces, unsigned int n)
{
	unsigned int direct = shape == RD_DIRECT ? n : shape == RD_MIXED ? n / 2 : 0;

	if (d->packed) {
		packed_chain(d, shape, head, pieces, n);
		return;
	}
	for (unsigned int i = 0; i < direct; i++) {
		bool last = i + 1 == n;

		rd_desc(d, head + i, pieces[i].gpa, pieces[i].len,
			(uint16_t)((pieces[i].writable ? RING_DESC_F_WRITE : 0) |
				(last ? 0 : RING_DESC_F_NEXT)),
			(uint16_t)((head + i + 1) & (d->size - 1)));
	}
	if (direct == n)
		return;
	put_table(d, pieces + direct, n - direct);
	rd_desc(d, head + direct, RD_TABLE, (n - direct) * (uint32_t)sizeof(struct ring_desc),
		RING_DESC_F_INDIRECT, 0);
}

static void packed_offer(struct ring_driver *d, uint16_t id)
{
	if (id < d->size)
		d->lengths[id] = (uint16_t)d->written;
	__atomic_store_n(&d->slots[d->avail_idx & ~RD_WRAP].flags, d->head_flags, __ATOMIC_RELEASE);
	d->avail_idx = rd_advance(d, d->avail_idx, d->written);
}

void rd_offer(struct ring_driver *d, uint16_t head)
{
	if (d->packed) {
		packed_offer(d, head);
		return;
	}
	__atomic_store_n(&d->avail->ring[d->avail_idx & (d->size - 1)], head, __ATOMIC_RELAXED);
	d->avail_idx++;
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_RELEASE);
}

static bool packed_collect(struct ring_driver *d, struct ring_used_elem *elem)
{
	const uint16_t both = RING_PACKED_F_AVAIL | RING_PACKED_F_USED;
	struct ring_packed_desc *desc = &d->slots[d->seen_used & ~RD_WRAP];
	uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);

	if (d->seen_used == d->avail_idx || (flags & both) != (d->seen_used & RD_WRAP ? both : 0))
		return false;
	*elem = (struct ring_used_elem){.id = desc->id, .len = desc->len};
	assert_true(elem->id < d->size);
	assert_int_equal(!!(flags & RING_DESC_F_WRITE), elem->len > 0);
	assert_int_not_equal(d->lengths[elem->id], 0);
	d->seen_used = rd_advance(d, d->seen_used, d->lengths[elem->id]);
	d->lengths[elem->id] = 0;
	return true;
}

bool rd_collect(struct ring_driver *d, struct ring_used_elem *elem)
{
	if (d->packed)
		return packed_collect(d, elem);
	if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->seen_used)
		return false;
	*elem = d->used->ring[d->seen_used & (d->size - 1)];
	d->seen_used++;
	return true;
}

void rd_set_used_event(struct ring_driver *d, uint16_t value)
{
	if (!d->packed) {
		__atomic_store_n(&d->avail->ring[d->size], value, __ATOMIC_SEQ_CST);
		return;
	}
	__atomic_store_n(&d->driver_event->off_wrap, value, __ATOMIC_RELAXED);
	__atomic_store_n(&d->driver_event->flags, RING_EVENT_DESC, __ATOMIC_SEQ_CST);
}

void rd_want_call(struct ring_driver *d)
{
	rd_set_used_event(d, d->seen_used);
}

uint16_t rd_avail_event(const struct ring_driver *d)
{
	const uint16_t *event = (const uint16_t *)&d->used->ring[d->size];

	if (!d->packed)
		return __atomic_load_n(event, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&d->device_event->flags, __ATOMIC_SEQ_CST) != RING_EVENT_DESC)
		return RD_NO_EVENT;
	return __atomic_load_n(&d->device_event->off_wrap, __ATOMIC_SEQ_CST);
}

bool rd_needs_kick(const struct ring_driver *d, uint16_t since)
{
	uint16_t event = rd_avail_event(d);

	if (!d->packed)
		return (uint16_t)(d->avail_idx - event - 1) < (uint16_t)(d->avail_idx - since);
	if (__atomic_load_n(&d->device_event->flags, __ATOMIC_SEQ_CST) == RING_EVENT_ENABLE)
		return true;
	while (since != d->avail_idx && since != event)
		since = rd_advance(d, since, 1);
	return since != d->avail_idx;
}

void rd_restart(struct ring_driver *d)
{
	if (d->packed) {
		d->avail_idx = d->seen_used = RD_WRAP;
		fill_slots(d, RD_WRAP);
		memset(d->lengths, 0, d->size * sizeof(*d->lengths));
		return;
	}
	d->avail_idx = d->seen_used = d->used->idx;
	d->avail->idx = d->avail_idx;
}
