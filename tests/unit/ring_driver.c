// SPDX-License-Identifier: BSD-2-Clause
#include "ring_driver.h"

#include "unit.h"

#include <string.h>
#include <sys/mman.h>

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

void rd_open_memory(struct ring_driver *d, unsigned int size)
{
	size_t avail_at = size * sizeof(struct ring_desc);
	size_t used_at = align_up(avail_at + sizeof(struct ring_avail) + 2 * (size + 1), 4);

	memset(d, 0, sizeof(*d));
	d->mem = &d->own_mem;
	d->vq = &d->own_vq;
	d->size = size;
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

void rd_open(struct ring_driver *d, unsigned int size, uint16_t start)
{
	struct mem_region_desc regions[3];

	rd_open_memory(d, size);
	mem_init(d->mem);
	rd_regions(d, regions);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mem_add(d->mem, &regions[i], d->fd), 0);
	d->avail_idx = d->seen_used = start;
	d->avail->idx = d->used->idx = start;
	d->vq->mem = d->mem;
	assert_int_equal(virtq_set_size(d->vq, size), 0);
	d->vq->desc_uva = d->desc_gpa + RD_UVA_BIAS;
	d->vq->avail_uva = d->avail_gpa + RD_UVA_BIAS;
	d->vq->used_uva = d->used_gpa + RD_UVA_BIAS;
	virtq_rewind(d->vq, start);
	assert_int_equal(virtq_resolve(d->vq), 0);
}

void rd_close(struct ring_driver *d)
{
	if (d->own_vq.mem) {
		virtq_reset(&d->own_vq);
		mem_destroy(&d->own_mem);
	}
	munmap(d->file, d->file_size);
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

/* Bytes of the data area one by one: a table may lie over its middle. */
static void put_bytes(struct ring_driver *d, uint64_t gpa, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*rd_at(d, gpa + i) = ((const char *)bytes)[i];
}

static void put_table(struct ring_driver *d, const struct rd_piece *pieces, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct ring_desc desc = {
			.addr = pieces[i].gpa,
			.len = pieces[i].len,
			.flags = (uint16_t)((pieces[i].writable ? RING_DESC_F_WRITE : 0) |
				(i + 1 < n ? RING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(i + 1),
		};

		put_bytes(d, RD_TABLE + i * sizeof(desc), &desc, sizeof(desc));
	}
}

void rd_chain(struct ring_driver *d, enum rd_shape shape, uint16_t head,
	const struct rd_piece *pieces, unsigned int n)
{
	unsigned int direct = shape == RD_DIRECT ? n : shape == RD_MIXED ? n / 2 : 0;

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

void rd_offer(struct ring_driver *d, uint16_t head)
{
	__atomic_store_n(&d->avail->ring[d->avail_idx & (d->size - 1)], head, __ATOMIC_RELAXED);
	d->avail_idx++;
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_RELEASE);
}

bool rd_collect(struct ring_driver *d, struct ring_used_elem *elem)
{
	if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->seen_used)
		return false;
	*elem = d->used->ring[d->seen_used & (d->size - 1)];
	d->seen_used++;
	return true;
}

void rd_set_used_event(struct ring_driver *d, uint16_t value)
{
	__atomic_store_n(&d->avail->ring[d->size], value, __ATOMIC_SEQ_CST);
}

uint16_t rd_avail_event(const struct ring_driver *d)
{
	const uint16_t *event = (const uint16_t *)&d->used->ring[d->size];

	return __atomic_load_n(event, __ATOMIC_SEQ_CST);
}
