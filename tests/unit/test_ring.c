// SPDX-License-Identifier: BSD-2-Clause
/* Ring indices: set-up, wrap-around, jumps, calls and kicks. */
#include "unit.h"

#include <string.h>

#include "ring_driver.h"

static void test_sizes(void **state)
{
	for (unsigned int size = 0; size <= 2 * RING_SIZE_MAX; size++) {
		bool good = size >= 2 && size <= 32768;
		bool power = (size & (size - 1)) == 0;
		struct virtq vq = {.mem = NULL};

		assert_int_equal(virtq_set_size(&vq, size), good && power ? 0 : -EINVAL);
		virtq_reset(&vq);
		virtq_set_packed(&vq, true);
		assert_int_equal(virtq_set_size(&vq, size), good ? 0 : -EINVAL);
		virtq_reset(&vq);
	}
}

/* More than 65536 chains through rings of every size, in batches of changing length, both
 * indices starting shortly before they wrap. */
static void wrap_around(unsigned int size, bool event_idx)
{
	struct ring_driver d;
	uint32_t random = 1;
	unsigned int sent = 0;

	rd_open(&d, size, 65000);
	d.vq->event_idx = event_idx;
	while (sent < 66000) {
		unsigned int batch = 1 + unit_random(&random) % min_t(unsigned int, size, 300);
		struct virtq_chain chain;
		struct ring_used_elem elem;

		for (unsigned int i = 0; i < batch; i++) {
			uint16_t head = (uint16_t)((sent + i) * 3 % size);

			rd_desc(&d, head, RD_DATA_GPA + (sent + i) % 1000, 1 + i, 0, 0);
			rd_offer(&d, head);
		}
		for (unsigned int i = 0; i < batch; i++) {
			assert_true(virtq_pending(d.vq));
			assert_int_equal(virtq_pop(d.vq, &chain), 1);
			assert_int_equal(chain.head, (sent + i) * 3 % size);
			assert_int_equal(chain.in_len, 1 + i);
			virtq_push(d.vq, chain.head, sent + i);
		}
		assert_false(virtq_pending(d.vq));
		assert_int_equal(virtq_pop(d.vq, &chain), 0);
		assert_false(rd_collect(&d, &elem));
		virtq_publish(d.vq);
		for (unsigned int i = 0; i < batch; i++) {
			assert_true(rd_collect(&d, &elem));
			assert_int_equal(elem.id, (sent + i) * 3 % size);
			assert_int_equal(elem.len, sent + i);
		}
		assert_false(rd_collect(&d, &elem));
		sent += batch;
	}
	rd_close(&d);
}

static void test_wrap_around(void **state)
{
	for (unsigned int size = 2; size <= RING_SIZE_MAX; size *= 2)
		wrap_around(size, size % 3 == 0);
}

/* A full ring, with indices at either side of the wrap. */
static void test_full_ring(void **state)
{
	static const uint16_t starts[] = {0, 1, 32767, 32768, 65535};

	for (unsigned int size = 2; size <= RING_SIZE_MAX; size *= 4) {
		for (size_t s = 0; s < ARRAY_SIZE(starts); s++) {
			struct ring_driver d;
			struct virtq_chain chain;

			rd_open(&d, size, starts[s]);
			for (unsigned int i = 0; i < size; i++) {
				rd_desc(&d, i, RD_DATA_GPA, 1, 0, 0);
				rd_offer(&d, (uint16_t)i);
			}
			for (unsigned int i = 0; i < size; i++) {
				assert_int_equal(virtq_pop(d.vq, &chain), 1);
				assert_int_equal(chain.head, i);
			}
			assert_int_equal(virtq_pop(d.vq, &chain), 0);
			rd_close(&d);
		}
	}
}

/* The available index may be ahead by the ring's size, and not by one more. */
static void test_jumps(void **state)
{
	for (unsigned int size = 2; size <= RING_SIZE_MAX; size *= 2) {
		const struct {
			uint16_t ahead;
			int result;
		} cases[] = {
			{0, 0}, {1, 1}, {(uint16_t)size, 1}, {(uint16_t)(size + 1), -EINVAL},
			{UINT16_MAX, -EINVAL},
		};

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct ring_driver d;
			struct virtq_chain chain;

			rd_open(&d, size, 65535);
			d.avail->idx = (uint16_t)(65535 + cases[i].ahead);
			rd_desc(&d, 0, RD_DATA_GPA, 1, 0, 0);
			assert_int_equal(virtq_pop(d.vq, &chain), cases[i].result);
			rd_close(&d);
		}
	}
}

static void test_areas(void **state)
{
	struct ring_driver d;
	struct virtq vq;
	const struct {
		uint64_t *area;
		uint64_t wrong;
	} cases[] = {
		{&vq.desc_uva, 8}, {&vq.avail_uva, 1}, {&vq.used_uva, 2}, {&vq.used_uva, 1},
		{&vq.desc_uva, 0x800000}, {&vq.avail_uva, 0x100000}, {&vq.used_uva, 0x100000},
		{&vq.desc_uva, -RD_UVA_BIAS}, {&vq.avail_uva, -RD_UVA_BIAS},
		{&vq.used_uva, -RD_UVA_BIAS},
	};

	rd_open(&d, 16, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vq = *d.vq;
		vq.resolved = false;
		*cases[i].area += cases[i].wrong;
		assert_int_equal(virtq_resolve(&vq), -EFAULT);
		assert_int_not_equal(vq.broken, 0);
		assert_int_equal(virtq_pop(&vq, &(struct virtq_chain){.head = 0}), vq.broken);
	}
	/* The used ring ends with the event index at the region's last byte, or beyond it. */
	vq = *d.vq;
	vq.used_uva = RD_RING_GPA + RD_UVA_BIAS + d.ring_size - (4 + 16 * 8 + 4);
	assert_int_equal(virtq_resolve(&vq), 0);
	vq.used_uva += 4;
	assert_int_equal(virtq_resolve(&vq), -EFAULT);
	vq = *d.vq;
	vq.avail_uva = RD_RING_GPA + RD_UVA_BIAS + d.ring_size - (4 + 17 * 2);
	assert_int_equal(virtq_resolve(&vq), 0);
	vq.avail_uva += 2;
	assert_int_equal(virtq_resolve(&vq), -EFAULT);
	rd_close(&d);
}

/* After memory moved, a queue goes on where it was; after a rewind it takes the used index. */
static void test_position(void **state)
{
	struct ring_driver d;
	struct virtq_chain chain;
	struct ring_used_elem elem;

	rd_open(&d, 4, 10);
	rd_desc(&d, 0, RD_DATA_GPA, 1, 0, 0);
	rd_offer(&d, 0);
	assert_int_equal(virtq_pop(d.vq, &chain), 1);
	virtq_push(d.vq, 0, 77);
	assert_int_equal(virtq_resolve(d.vq), 0);
	virtq_publish(d.vq);
	assert_true(rd_collect(&d, &elem));
	assert_int_equal(elem.len, 77);
	assert_int_equal(d.used->idx, 11);
	d.used->idx = 500;
	d.avail->idx = d.avail_idx = 600;
	virtq_rewind(d.vq, 600);
	assert_int_equal(virtq_resolve(d.vq), 0);
	rd_offer(&d, 0);
	assert_int_equal(virtq_pop(d.vq, &chain), 1);
	virtq_push(d.vq, 0, 1);
	virtq_publish(d.vq);
	assert_int_equal(d.used->idx, 501);
	virtq_reset(d.vq);
	assert_int_equal(virtq_resolve(d.vq), -EINVAL);
	rd_close(&d);
}

/* Whether a walk from old_idx to new_idx steps from event to event + 1. */
static bool passes(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
	return (uint16_t)(event - old_idx) < (uint16_t)(new_idx - old_idx);
}

static void test_need_event(void **state)
{
	static const int near[] = {0, 1, 2, 3, 254, 255, 256, 257, 1023, 1024, 1025, 32766, 32767,
		32768, 32769, 65279, 65280, 65533, 65534, 65535};

	for (size_t e = 0; e < ARRAY_SIZE(near); e++)
		for (size_t n = 0; n < ARRAY_SIZE(near); n++)
			for (size_t o = 0; o < ARRAY_SIZE(near); o++)
				assert_int_equal(!!ring_need_event((uint16_t)near[e],
							 (uint16_t)near[n], (uint16_t)near[o]),
					passes((uint16_t)near[e], (uint16_t)near[n],
						(uint16_t)near[o]));
	/* The same by really walking, over short ways around the wrap. */
	for (int old = -20; old < 20; old++) {
		for (int len = 0; len < 20; len++) {
			for (int event = -45; event < 45; event++) {
				bool passed = false;

				for (int at = old; at < old + len; at++)
					passed = passed || at == event;
				assert_int_equal(!!ring_need_event((uint16_t)event,
							 (uint16_t)(old + len), (uint16_t)old),
					passed);
			}
		}
	}
}

static void push_some(struct ring_driver *d, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		virtq_push(d->vq, 0, 0);
}

/* Calls with EVENT_IDX: for batches of every length and event indices everywhere near. */
static void test_calls_event_idx(void **state)
{
	static const uint16_t starts[] = {0, 5, 32760, 65530};

	for (size_t s = 0; s < ARRAY_SIZE(starts); s++) {
		for (unsigned int batch = 1; batch <= 16; batch++) {
			for (int event = -20; event < 40; event++) {
				struct ring_driver d;
				uint16_t old = (uint16_t)(starts[s] + 1);
				bool want = event >= 0 && event < (int)batch;

				rd_open(&d, 16, starts[s]);
				d.vq->event_idx = true;
				assert_false(virtq_publish(d.vq));
				/* The driver's first event index may be older than we are. */
				rd_set_used_event(&d, (uint16_t)(starts[s] + 9999));
				push_some(&d, 1);
				assert_true(virtq_publish(d.vq));
				rd_set_used_event(&d, (uint16_t)(old + event));
				/* Without EVENT_IDX this flag would suppress it. */
				d.avail->flags = RING_AVAIL_F_NO_INTERRUPT;
				push_some(&d, batch);
				assert_int_equal(virtq_publish(d.vq), want);
				assert_false(virtq_publish(d.vq));
				assert_int_equal(d.used->idx, (uint16_t)(old + batch));
				rd_close(&d);
			}
		}
	}
}

/* A driver that asks to be called for each next element never waits for one in vain. */
static void test_calls_never_lost(void **state)
{
	struct ring_driver d;
	uint32_t random = 7;

	rd_open(&d, 16, 65000);
	d.vq->event_idx = true;
	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int batch = 1 + unit_random(&random) % 16;
		struct ring_used_elem elem;

		/* Asleep: everything is collected, the event index says "the next one". */
		rd_set_used_event(&d, d.seen_used);
		push_some(&d, batch);
		assert_true(virtq_publish(d.vq));
		while (batch-- > 0)
			assert_true(rd_collect(&d, &elem));
		/* Awake: it polls and leaves its event index behind. */
		push_some(&d, 1 + unit_random(&random) % 8);
		assert_false(virtq_publish(d.vq));
		while (rd_collect(&d, &elem))
			;
	}
	rd_close(&d);
}

static void test_calls_by_flag(void **state)
{
	struct ring_driver d;

	rd_open(&d, 16, 65530);
	for (int i = 0; i < 40; i++) {
		bool quiet = i % 3 == 0;

		d.avail->flags = quiet ? RING_AVAIL_F_NO_INTERRUPT : 0;
		/* Without EVENT_IDX its place means nothing. */
		rd_set_used_event(&d, (uint16_t)(d.used->idx + 1000));
		push_some(&d, 2);
		assert_int_equal(virtq_publish(d.vq), !quiet);
		assert_false(virtq_publish(d.vq));
	}
	rd_close(&d);
}

static void test_kicks(void **state)
{
	struct ring_driver d;
	struct virtq_chain chain;

	rd_open(&d, 8, 65530);
	rd_desc(&d, 0, RD_DATA_GPA, 1, 0, 0);
	virtq_refuse_kicks(d.vq);
	assert_int_equal(d.used->flags, RING_USED_F_NO_NOTIFY);
	virtq_want_kicks(d.vq);
	assert_int_equal(d.used->flags, 0);
	d.vq->event_idx = true;
	for (unsigned int i = 0; i < 12; i++) {
		virtq_want_kicks(d.vq);
		assert_int_equal(rd_avail_event(&d), (uint16_t)(65530 + 2 * i));
		rd_offer(&d, 0);
		/* The driver kicks: it passed what we asked for. */
		assert_true(passes(rd_avail_event(&d), d.avail_idx, (uint16_t)(d.avail_idx - 1)));
		assert_int_equal(virtq_pop(d.vq, &chain), 1);
		/* And not for one more while we are busy. */
		virtq_refuse_kicks(d.vq);
		rd_offer(&d, 0);
		assert_false(passes(rd_avail_event(&d), d.avail_idx, (uint16_t)(d.avail_idx - 1)));
		assert_int_equal(virtq_pop(d.vq, &chain), 1);
		assert_int_equal(d.used->flags, 0);
	}
	rd_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_full_ring),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_areas),
		cmocka_unit_test(test_position),
		cmocka_unit_test(test_need_event),
		cmocka_unit_test(test_calls_event_idx),
		cmocka_unit_test(test_calls_never_lost),
		cmocka_unit_test(test_calls_by_flag),
		cmocka_unit_test(test_kicks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
