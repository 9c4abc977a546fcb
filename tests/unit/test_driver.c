// SPDX-License-Identifier: BSD-2-Clause
/*
 * The driver side of a ring against the device side, in one process; and against devices that
 * return what they were not given.
 */
#include "unit.h"

#include <string.h>
#include <sys/mman.h>

#include "virtq/driver.h"
#include "virtq/virtq.h"

#define GPA  0x500000000ull
#define DATA 0x10000u

struct world {
	struct virtq_driver d;
	struct mem mem;
	struct virtq vq;
	int fd;
	char *map;
	size_t ring, bytes;
};

static void start(struct world *w, unsigned int size, bool event_idx, bool indirect)
{
	struct mem_region_desc region = {.gpa = GPA};

	memset(w, 0, sizeof(*w));
	w->ring = virtq_driver_bytes(size);
	w->bytes = w->ring + DATA;
	w->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->fd, (off_t)w->bytes), 0);
	w->map = mmap(NULL, w->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_ptr_not_equal(w->map, MAP_FAILED);
	assert_int_equal(virtq_driver_init(&w->d, size, w->map, GPA, event_idx, indirect), 0);
	mem_init(&w->mem);
	region.size = w->bytes;
	region.uva = (uintptr_t)w->map;
	assert_int_equal(mem_add(&w->mem, &region, w->fd), 0);
	w->vq.mem = &w->mem;
	w->vq.event_idx = event_idx;
	assert_int_equal(virtq_set_size(&w->vq, size), 0);
	w->vq.desc_uva = (uintptr_t)w->d.desc;
	w->vq.avail_uva = (uintptr_t)w->d.avail;
	w->vq.used_uva = (uintptr_t)w->d.used;
	virtq_rewind(&w->vq, 0);
	assert_int_equal(virtq_resolve(&w->vq), 0);
}

static void finish(struct world *w)
{
	virtq_driver_destroy(&w->d);
	virtq_reset(&w->vq);
	mem_destroy(&w->mem);
	munmap(w->map, w->bytes);
	close(w->fd);
}

/* Adds a chain of nin and nout buffers of 16 bytes, the readable ones filled with fill. */
static int add(struct world *w, unsigned int nin, unsigned int nout, char fill, void *cookie)
{
	struct virtq_buffer b[64];

	for (unsigned int i = 0; i < nin + nout; i++)
		b[i] = (struct virtq_buffer){GPA + w->ring + i * 16, 16};
	memset(w->map + w->ring, fill, nin * 16);
	return virtq_driver_add(&w->d, b, nin, nout, cookie);
}

/* The device takes one chain and checks its shape. */
static uint16_t pop(struct world *w, unsigned int nin, unsigned int nout, char fill)
{
	struct virtq_chain chain;

	assert_int_equal(virtq_pop(&w->vq, &chain), 1);
	assert_int_equal(chain.in_len, nin * 16);
	assert_int_equal(chain.out_len, nout * 16);
	if (nin > 0) {
		assert_int_equal(*(char *)chain.in[0].iov_base, fill);
	}
	return chain.head;
}

static void collect(struct world *w, void *cookie, uint32_t written)
{
	uint32_t len;
	void *got;

	assert_true(virtq_driver_pending(&w->d));
	assert_int_equal(virtq_driver_collect(&w->d, &got, &len), 1);
	assert_ptr_equal(got, cookie);
	assert_int_equal(len, written);
}

static void round_trips(unsigned int size, bool event_idx, bool indirect)
{
	struct world w;
	char cookies[4];

	start(&w, size, event_idx, indirect);
	/* Often enough that the indices, 16 bits wide, start over. */
	for (unsigned int i = 0; i < 70000; i++) {
		unsigned int nin = 1 + i % 3, nout = i % 2;
		uint16_t head;

		assert_int_equal(add(&w, nin, nout, (char)i, &cookies[i % 4]), 0);
		assert_int_equal(virtq_pending(&w.vq), 0);
		virtq_driver_publish(&w.d);
		head = pop(&w, nin, nout, (char)i);
		assert_false(virtq_driver_pending(&w.d));
		virtq_push(&w.vq, head, nout * 16);
		virtq_publish(&w.vq);
		collect(&w, &cookies[i % 4], nout * 16);
	}
	assert_int_equal(w.d.nfree, size);
	finish(&w);
}

static void test_round_trips(void **state)
{
	for (int i = 0; i < 4; i++) {
		round_trips(4, i & 1, i & 2);
		round_trips(64, i & 1, i & 2);
	}
}

/* The ring fills up to its last descriptor, comes back in another order, and fills again. */
static void fill_up(bool indirect)
{
	struct world w;
	char cookies[16];
	unsigned int fit = indirect ? 16 : 8;

	start(&w, 16, true, indirect);
	for (unsigned int round = 0; round < 100; round++) {
		uint16_t heads[16];

		for (unsigned int i = 0; i < fit; i++)
			assert_int_equal(add(&w, 1, 1, 'x', &cookies[i]), 0);
		assert_int_equal(add(&w, 1, 1, 'x', NULL), -ENOSPC);
		virtq_driver_publish(&w.d);
		for (unsigned int i = 0; i < fit; i++)
			heads[i] = pop(&w, 1, 1, 'x');
		for (unsigned int i = 0; i < fit; i++) {
			unsigned int k = (i * 5 + round) % fit;

			virtq_push(&w.vq, heads[k], k);
			virtq_publish(&w.vq);
			collect(&w, &cookies[k], k);
		}
	}
	finish(&w);
}

static void test_full(void **state)
{
	fill_up(false);
	fill_up(true);
}

/* A chain longer than an indirect table lies in the ring itself, if that is large enough. */
static void test_long_chains(void **state)
{
	struct world w;
	char cookie;

	start(&w, 32, false, true);
	assert_int_equal(add(&w, 20, 5, 'l', &cookie), 0);
	assert_int_equal(w.d.nfree, 7);
	assert_int_equal(add(&w, 30, 3, 'l', &cookie), -E2BIG);
	assert_int_equal(add(&w, 0, 0, 'l', &cookie), -E2BIG);
	virtq_driver_publish(&w.d);
	virtq_push(&w.vq, pop(&w, 20, 5, 'l'), 80);
	virtq_publish(&w.vq);
	collect(&w, &cookie, 80);
	assert_int_equal(w.d.nfree, 32);
	finish(&w);
}

/* Each side is only signalled when it asked for it. */
static void signals(bool event_idx)
{
	struct world w;
	char cookie;

	start(&w, 16, event_idx, true);
	virtq_want_kicks(&w.vq);
	assert_false(virtq_driver_publish(&w.d));
	add(&w, 1, 1, 'k', &cookie);
	assert_true(virtq_driver_publish(&w.d));
	virtq_refuse_kicks(&w.vq);
	add(&w, 1, 1, 'k', &cookie);
	assert_false(virtq_driver_publish(&w.d));
	virtq_driver_want_calls(&w.d);
	virtq_push(&w.vq, pop(&w, 1, 1, 'k'), 0);
	assert_true(virtq_publish(&w.vq));
	collect(&w, &cookie, 0);
	virtq_driver_refuse_calls(&w.d);
	virtq_push(&w.vq, pop(&w, 1, 1, 'k'), 0);
	assert_false(virtq_publish(&w.vq));
	collect(&w, &cookie, 0);
	finish(&w);
}

static void test_signals(void **state)
{
	signals(false);
	signals(true);
}

/* A call after so many chains, not before; how many are there is known at any time. */
static void test_calls_after(void **state)
{
	struct world w;
	char cookie;

	start(&w, 16, true, true);
	for (int i = 0; i < 6; i++)
		add(&w, 1, 1, 'k', &cookie);
	virtq_driver_publish(&w.d);
	/* The device always tells of the first one. */
	virtq_push(&w.vq, pop(&w, 1, 1, 'k'), 0);
	assert_true(virtq_publish(&w.vq));
	collect(&w, &cookie, 0);
	virtq_driver_want_calls_after(&w.d, 3);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(virtq_driver_ready(&w.d), i);
		virtq_push(&w.vq, pop(&w, 1, 1, 'k'), 0);
		assert_int_equal(virtq_publish(&w.vq), i == 2);
	}
	assert_int_equal(virtq_driver_ready(&w.d), 5);
	for (unsigned int i = 5; i > 0; i--) {
		collect(&w, &cookie, 0);
		assert_int_equal(virtq_driver_ready(&w.d), i - 1);
	}
	finish(&w);
}

/* What a device may not do, and what is said of it. */
static void hostile(uint32_t id, uint32_t len, uint16_t idx, const char *rule)
{
	struct world w;
	char cookie;
	void *got;
	uint32_t n;

	start(&w, 16, false, true);
	add(&w, 1, 1, 'h', &cookie);
	virtq_driver_publish(&w.d);
	w.d.used->ring[0] = (struct ring_used_elem){id, len};
	w.d.used->idx = idx;
	assert_int_equal(virtq_driver_collect(&w.d, &got, &n), -EIO);
	assert_string_equal(w.d.broken_by, rule);
	/* It stays broken, whatever the device does. */
	w.d.used->idx = 0;
	assert_int_equal(virtq_driver_collect(&w.d, &got, &n), -EIO);
	assert_ptr_equal(virtq_driver_abandon(&w.d), &cookie);
	assert_null(virtq_driver_abandon(&w.d));
	finish(&w);
}

static void test_hostile(void **state)
{
	hostile(1, 0, 1, "a chain came back that was not there");
	hostile(16, 0, 1, "a chain came back that was not there");
	hostile(UINT32_MAX, 0, 1, "a chain came back that was not there");
	hostile(0, 17, 1, "more was written than there was room for");
	hostile(0, UINT32_MAX, 1, "more was written than there was room for");
	hostile(0, 0, 2, "the used index jumped");
	hostile(0, 0, 0xffff, "the used index jumped");
}

/* One chain returned twice; descriptors overwritten by the device do no harm. */
static void test_twice(void **state)
{
	struct world w;
	char cookies[2];
	void *got;
	uint32_t n;

	start(&w, 16, false, false);
	add(&w, 2, 2, 'a', &cookies[0]);
	add(&w, 2, 2, 'b', &cookies[1]);
	virtq_driver_publish(&w.d);
	memset(w.d.desc, 0xff, 16 * sizeof(*w.d.desc));
	w.d.used->ring[0] = w.d.used->ring[1] = (struct ring_used_elem){0, 0};
	w.d.used->idx = 2;
	collect(&w, &cookies[0], 0);
	assert_int_equal(virtq_driver_collect(&w.d, &got, &n), -EIO);
	assert_int_equal(w.d.nfree, 12);
	assert_ptr_equal(virtq_driver_abandon(&w.d), &cookies[1]);
	assert_int_equal(w.d.nfree, 16);
	finish(&w);
}

/* Whatever stands in the shared memory, no chain is returned that is not in flight. */
static void test_random(void **state)
{
	uint32_t seed = 12345;
	char cookies[16];

	for (int round = 0; round < 20000; round++) {
		bool out[16] = {false};
		struct world w;
		void *got;
		uint32_t n;

		start(&w, 16, round & 1, round & 2);
		for (int i = 0; i < 5; i++) {
			assert_int_equal(add(&w, 1, 1, 'r', &cookies[i]), 0);
			out[i] = true;
		}
		virtq_driver_publish(&w.d);
		for (unsigned int i = 0; i < 16; i++)
			w.d.used->ring[i] = (struct ring_used_elem){
				unit_random(&seed) % 18, unit_random(&seed) % 20};
		w.d.used->idx = (uint16_t)(unit_random(&seed) % 8);
		while (virtq_driver_collect(&w.d, &got, &n) > 0) {
			size_t i = (size_t)((char *)got - cookies);

			assert_true(i < 5 && out[i] && n <= 16);
			out[i] = false;
		}
		while ((got = virtq_driver_abandon(&w.d))) {
			assert_true(out[(char *)got - cookies]);
			out[(char *)got - cookies] = false;
		}
		for (int i = 0; i < 5; i++)
			assert_false(out[i]);
		assert_int_equal(w.d.nfree, 16);
		finish(&w);
	}
}

static void test_sizes(void **state)
{
	static const unsigned int bad[] = {0, 1, 3, 100, 65536};
	struct virtq_driver d;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(virtq_driver_init(&d, bad[i], NULL, 0, true, true), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_calls_after),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
