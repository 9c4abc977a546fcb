// SPDX-License-Identifier: BSD-2-Clause
/* Packed rings: positions, chains in flight, calls and kicks, and drivers that break rules. What
 * holds for both formats is in test_virtq.c and test_backend.c. */
#include "unit.h"

#include <string.h>

#include "ring_driver.h"

#define MAX_LENGTH 7

static const unsigned int sizes[] = {2, 3, 5, 8, 64, 100, 1000, 32767, 32768};

static void send(struct ring_driver *d, enum rd_shape shape, uint16_t id, unsigned int n)
{
	struct rd_piece pieces[MAX_LENGTH];

	for (unsigned int i = 0; i < n; i++)
		pieces[i] = (struct rd_piece){RD_DATA_GPA + id % 1000 + i, 1 + i, i >= n / 2};
	rd_chain(d, shape, id, pieces, n);
	rd_offer(d, id);
}

/* The nth position, of two rounds. */
static uint16_t position(unsigned int size, unsigned int n)
{
	return (uint16_t)(n < size ? RD_WRAP | n : n - size);
}

static void must_pop(struct ring_driver *d, uint16_t id)
{
	struct virtq_chain chain;

	assert_true(virtq_pending(d->vq));
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	assert_int_equal(chain.head, id);
}

static void must_collect(struct ring_driver *d, uint16_t id, uint32_t len)
{
	struct ring_used_elem elem;

	assert_true(rd_collect(d, &elem));
	assert_int_equal(elem.id, id);
	assert_int_equal(elem.len, len);
}

static void must_be_empty(struct ring_driver *d)
{
	struct virtq_chain chain;
	struct ring_used_elem elem;

	assert_false(virtq_pending(d->vq));
	assert_int_equal(virtq_pop(d->vq, &chain), 0);
	assert_false(virtq_publish(d->vq));
	assert_false(rd_collect(d, &elem));
	assert_int_equal(virtq_base(d->vq), rd_base(d));
}

/* Chains in flight: ids, and how many slots they have. */
struct flight {
	uint16_t *ids;
	unsigned int n, slots;
};

/* Takes one out, any. */
static uint16_t land(struct flight *f, unsigned int which, unsigned int slots)
{
	uint16_t id = f->ids[which];

	f->ids[which] = f->ids[--f->n];
	f->slots -= slots;
	return id;
}

/*
 * Many rounds through a ring with chains of changing shape and length, as many in flight as fit,
 * given back in any order in batches: every chain comes back once, with its length.
 */
static void out_of_order(unsigned int size, uint16_t start)
{
	struct ring_driver d;
	struct flight f = {.ids = calloc(size, sizeof(uint16_t))};
	uint16_t *free_ids = calloc(size, sizeof(uint16_t));
	uint32_t random = size;
	unsigned int nfree = size, total = 0;

	for (unsigned int i = 0; i < size; i++)
		free_ids[i] = (uint16_t)i;
	rd_open_packed(&d, size, start);
	while (total < 3 * size + 70000) {
		unsigned int n = 1 + unit_random(&random) % min_t(unsigned int, MAX_LENGTH, size);
		enum rd_shape shape = unit_random(&random) % 3 ? RD_DIRECT : RD_INDIRECT;
		unsigned int slots = shape == RD_DIRECT ? n : 1;
		unsigned int batch = unit_random(&random) % 5, landed = 0;
		uint16_t done[5];

		if (nfree > 0 && f.slots + slots <= size) {
			uint16_t id = free_ids[--nfree];

			send(&d, shape, id, n);
			must_pop(&d, id);
			f.ids[f.n++] = id;
			f.slots += slots;
			total += slots;
			if (unit_random(&random) % 4)
				continue;
		}
		for (; landed < batch && f.n > 0; landed++) {
			unsigned int which = unit_random(&random) % f.n;

			done[landed] = land(&f, which, d.lengths[f.ids[which]]);
			virtq_push(d.vq, done[landed], done[landed] + landed);
			assert_false(rd_collect(&d, &(struct ring_used_elem){.id = 0}));
		}
		virtq_publish(d.vq);
		for (unsigned int i = 0; i < landed; i++) {
			must_collect(&d, done[i], done[i] + i);
			free_ids[nfree++] = done[i];
		}
		assert_false(virtq_pending(d.vq));
	}
	rd_close(&d);
	free(f.ids);
	free(free_ids);
}

static void test_out_of_order(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		out_of_order(sizes[i], RD_WRAP);
		out_of_order(sizes[i], (uint16_t)(sizes[i] - 1));
		out_of_order(sizes[i], (uint16_t)(RD_WRAP | sizes[i] / 2));
	}
}

/* A full ring has nothing more to pop, from every position. */
static void test_full_ring(void **state)
{
	for (unsigned int size = 2; size <= 9; size++) {
		for (unsigned int start = 0; start < 2 * size; start++) {
			struct ring_driver d;

			rd_open_packed(&d, size, position(size, start));
			for (unsigned int i = 0; i < size; i++)
				send(&d, RD_DIRECT, (uint16_t)i, 1);
			for (unsigned int i = 0; i < size; i++)
				must_pop(&d, (uint16_t)i);
			assert_false(virtq_pending(d.vq));
			assert_int_equal(virtq_pop(d.vq, &(struct virtq_chain){.head = 0}), 0);
			for (unsigned int i = size; i-- > 0;)
				virtq_push(d.vq, (uint16_t)i, i);
			virtq_publish(d.vq);
			for (unsigned int i = size; i-- > 0;)
				must_collect(&d, (uint16_t)i, i);
			must_be_empty(&d);
			rd_close(&d);
		}
	}
}

/* Used descriptors take the slots of a chain that is still in flight; it is given back all the
 * same, and passes as many slots as it had. */
static void test_overwritten(void **state)
{
	struct ring_driver d;

	rd_open_packed(&d, 8, RD_WRAP);
	send(&d, RD_DIRECT, 1, 3);
	send(&d, RD_DIRECT, 2, 2);
	send(&d, RD_DIRECT, 3, 1);
	for (uint16_t id = 1; id <= 3; id++)
		must_pop(&d, id);
	virtq_push(d.vq, 3, 30);
	virtq_push(d.vq, 2, 20);
	virtq_publish(d.vq);
	must_collect(&d, 3, 30);
	must_collect(&d, 2, 20);
	/* Two more, with the ids that are free again, over the ring's end. */
	send(&d, RD_DIRECT, 2, 3);
	send(&d, RD_INDIRECT, 3, 5);
	must_pop(&d, 2);
	must_pop(&d, 3);
	virtq_push(d.vq, 2, 22);
	virtq_push(d.vq, 1, 11);
	virtq_push(d.vq, 3, 33);
	virtq_publish(d.vq);
	must_collect(&d, 2, 22);
	must_collect(&d, 1, 11);
	must_collect(&d, 3, 33);
	must_be_empty(&d);
	assert_int_equal(d.avail_idx, 2);
	rd_close(&d);
}

/* Which positions can be: both slots in the ring, and no more between them than it has. */
static void test_bases(void **state)
{
	struct virtq vq = {.mem = NULL};
	const struct {
		uint32_t avail, used;
		bool good;
	} cases[] = {
		{RD_WRAP, RD_WRAP, true}, {0, 0, true}, {6, 6, true},
		{RD_WRAP | 6, RD_WRAP | 6, true},
		{7, 7, false}, {RD_WRAP | 7, RD_WRAP, false}, {RD_WRAP | 6, RD_WRAP | 7, false},
		{0x7fff, 0x7fff, false}, {RD_WRAP | 6, RD_WRAP, true}, {0, RD_WRAP, true},
		{3, RD_WRAP | 3, true}, {RD_WRAP | 3, 3, true}, {4, RD_WRAP | 3, false},
		{RD_WRAP, RD_WRAP | 1, false}, {2, 3, false}, {3, 2, true}, {6, RD_WRAP | 6, true},
	};

	virtq_set_packed(&vq, true);
	assert_int_equal(virtq_base(&vq), VIRTQ_BASE_PACKED);
	assert_true(virtq_is_base(&vq, 0x7fff7fff));
	assert_int_equal(virtq_set_size(&vq, 7), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t base = cases[i].avail | cases[i].used << 16;

		assert_int_equal(virtq_is_base(&vq, base), cases[i].good);
		virtq_rewind(&vq, base);
		assert_int_equal(virtq_base(&vq), base);
	}
	virtq_set_packed(&vq, false);
	assert_int_equal(virtq_base(&vq), 0);
	assert_true(virtq_is_base(&vq, UINT16_MAX));
	assert_false(virtq_is_base(&vq, UINT16_MAX + 1));
	/* A size of the other format. */
	assert_int_equal(virtq_resolve(&vq), -EINVAL);
	virtq_reset(&vq);
}

/* Slots that a base says are in flight are never available again before they are passed. */
static void test_base_in_flight(void **state)
{
	struct ring_driver d;

	rd_open_packed(&d, 4, RD_WRAP);
	virtq_rewind(d.vq, RD_WRAP | 2 | RD_WRAP << 16);
	d.avail_idx = RD_WRAP | 2;
	assert_int_equal(virtq_resolve(d.vq), 0);
	send(&d, RD_DIRECT, 0, 2);
	must_pop(&d, 0);
	send(&d, RD_DIRECT, 1, 1);
	assert_int_equal(virtq_pop(d.vq, &(struct virtq_chain){.head = 0}), -EINVAL);
	virtq_rewind(d.vq, RD_WRAP | 5 | RD_WRAP << 16);
	assert_int_equal(virtq_resolve(d.vq), -EINVAL);
	rd_close(&d);
}

/* After memory moved, a queue goes on where it was, chains in flight included. */
static void test_resolve_again(void **state)
{
	struct ring_driver d;

	rd_open_packed(&d, 4, RD_WRAP | 3);
	send(&d, RD_DIRECT, 2, 2);
	send(&d, RD_DIRECT, 3, 1);
	must_pop(&d, 2);
	must_pop(&d, 3);
	assert_int_equal(virtq_resolve(d.vq), 0);
	virtq_push(d.vq, 3, 3);
	virtq_push(d.vq, 2, 2);
	virtq_publish(d.vq);
	must_collect(&d, 3, 3);
	must_collect(&d, 2, 2);
	must_be_empty(&d);
	rd_close(&d);
}

/* What was pushed and not published is forgotten with the rest, when the position changes. */
static void test_rewind_pushed(void **state)
{
	struct ring_driver d;

	rd_open_packed(&d, 4, RD_WRAP);
	send(&d, RD_DIRECT, 1, 2);
	send(&d, RD_DIRECT, 2, 1);
	must_pop(&d, 1);
	must_pop(&d, 2);
	virtq_push(d.vq, 2, 7);
	rd_restart(&d);
	virtq_rewind(d.vq, rd_base(&d));
	assert_int_equal(virtq_resolve(d.vq), 0);
	must_be_empty(&d);
	assert_int_equal(d.slots[0].flags, 0);
	send(&d, RD_DIRECT, 1, 1);
	must_pop(&d, 1);
	virtq_push(d.vq, 1, 8);
	virtq_publish(d.vq);
	must_collect(&d, 1, 8);
	rd_close(&d);
}

static void test_areas(void **state)
{
	struct ring_driver d;
	struct virtq vq;
	const struct {
		uint64_t *area;
		uint64_t wrong;
	} cases[] = {
		{&vq.desc_uva, 8}, {&vq.avail_uva, 2}, {&vq.used_uva, 2}, {&vq.avail_uva, 1},
		{&vq.desc_uva, 0x800000}, {&vq.avail_uva, 0x100000}, {&vq.used_uva, 0x100000},
		{&vq.desc_uva, -RD_UVA_BIAS}, {&vq.used_uva, -RD_UVA_BIAS},
	};

	rd_open_packed(&d, 16, RD_WRAP);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vq = *d.vq;
		vq.resolved = false;
		*cases[i].area += cases[i].wrong;
		assert_int_equal(virtq_resolve(&vq), -EFAULT);
		assert_int_equal(virtq_pop(&vq, &(struct virtq_chain){.head = 0}), vq.broken);
	}
	/* Up to the region's last byte, and beyond it. */
	vq = *d.vq;
	vq.desc_uva = RD_RING_GPA + RD_UVA_BIAS + d.ring_size - 16 * 16;
	vq.avail_uva = vq.used_uva = RD_RING_GPA + RD_UVA_BIAS + d.ring_size - 4;
	assert_int_equal(virtq_resolve(&vq), 0);
	vq.desc_uva += 16;
	assert_int_equal(virtq_resolve(&vq), -EFAULT);
	rd_close(&d);
}

/* Calls with EVENT_IDX: from every position, for batches of every length and every event. */
static void call_at(unsigned int size, uint16_t start, unsigned int batch, uint16_t event)
{
	struct ring_driver d;
	bool want = false;
	uint16_t at;

	rd_open_packed(&d, size, start);
	d.vq->event_idx = true;
	/* The first time, the driver's event may be older than we are. */
	rd_set_used_event(&d, event);
	send(&d, RD_DIRECT, 0, 1);
	must_pop(&d, 0);
	virtq_push(d.vq, 0, 1);
	assert_true(virtq_publish(d.vq));
	must_collect(&d, 0, 1);
	at = d.seen_used;
	for (unsigned int i = 0; i < batch; i++, at = rd_advance(&d, at, 1))
		want = want || at == event;
	/* As one chain with its slots, and as many chains. */
	if (batch <= MAX_LENGTH && event % 2) {
		send(&d, RD_DIRECT, 1, batch);
		must_pop(&d, 1);
		virtq_push(d.vq, 1, 1);
	} else {
		for (unsigned int i = 0; i < batch; i++)
			send(&d, RD_INDIRECT, (uint16_t)i, 1);
		for (unsigned int i = 0; i < batch; i++)
			must_pop(&d, (uint16_t)i);
		for (unsigned int i = 0; i < batch; i++)
			virtq_push(d.vq, (uint16_t)i, 0);
	}
	assert_int_equal(virtq_publish(d.vq), want);
	assert_false(virtq_publish(d.vq));
	rd_close(&d);
}

static void test_calls_event_idx(void **state)
{
	static const unsigned int small[] = {2, 5, 8};

	for (size_t s = 0; s < ARRAY_SIZE(small); s++) {
		unsigned int size = small[s];

		for (unsigned int start = 0; start < 2 * size; start++)
			for (unsigned int batch = 1; batch <= size; batch++)
				for (unsigned int event = 0; event < 2 * size; event++)
					call_at(size, position(size, start), batch,
						position(size, event));
		/* Slots that the ring does not have never come. */
		call_at(size, RD_WRAP, 1, (uint16_t)(RD_WRAP | 0x7fff));
		call_at(size, RD_WRAP, 1, 0x7fff);
	}
}

static void test_calls_by_flag(void **state)
{
	const struct {
		uint16_t flags;
		bool event_idx, want;
	} cases[] = {
		{RING_EVENT_ENABLE, false, true}, {RING_EVENT_DISABLE, false, false},
		{RING_EVENT_ENABLE, true, true}, {RING_EVENT_DISABLE, true, false},
		/* What was not negotiated suppresses nothing, nor do bits without meaning. */
		{RING_EVENT_DESC, false, true}, {3, true, true},
		{RING_EVENT_DISABLE | 0xfffc, true, false}, {0xfffc, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ring_driver d;

		rd_open_packed(&d, 4, RD_WRAP);
		d.vq->event_idx = cases[i].event_idx;
		d.driver_event->off_wrap = 2;
		d.driver_event->flags = cases[i].flags;
		for (int round = 0; round < 10; round++) {
			send(&d, RD_DIRECT, 3, 2);
			must_pop(&d, 3);
			virtq_push(d.vq, 3, 1);
			assert_int_equal(virtq_publish(d.vq), cases[i].want);
			must_collect(&d, 3, 1);
		}
		rd_close(&d);
	}
}

static void test_kicks(void **state)
{
	struct ring_driver d;

	for (int event_idx = 0; event_idx < 2; event_idx++) {
		rd_open_packed(&d, 3, RD_WRAP | 1);
		d.vq->event_idx = event_idx;
		for (int round = 0; round < 10; round++) {
			uint16_t since = d.avail_idx;

			virtq_want_kicks(d.vq);
			if (event_idx)
				assert_int_equal(rd_avail_event(&d), d.avail_idx);
			else
				assert_int_equal(d.device_event->flags, RING_EVENT_ENABLE);
			send(&d, RD_DIRECT, 0, 2);
			assert_true(rd_needs_kick(&d, since));
			virtq_refuse_kicks(d.vq);
			assert_int_equal(d.device_event->flags, RING_EVENT_DISABLE);
			assert_false(rd_needs_kick(&d, since));
			must_pop(&d, 0);
			virtq_push(d.vq, 0, 0);
			virtq_publish(d.vq);
			must_collect(&d, 0, 0);
		}
		rd_close(&d);
	}
}

#define AVAIL RING_PACKED_F_AVAIL
#define USED  RING_PACKED_F_USED
#define NEXT  RING_DESC_F_NEXT
#define WRITE RING_DESC_F_WRITE
#define TABLE RING_DESC_F_INDIRECT

/* One slot of a driver that breaks a rule; of a table, where it is indirect. */
struct bad_slot {
	uint64_t gpa;
	uint32_t len;
	uint16_t id, flags;
};

/* The rings are of 4 slots, at the first one with wrap counter 1. */
static const struct {
	const char *rule;
	struct bad_slot slots[4];
	struct bad_slot table[2];
} bad[] = {
	{"id", {{RD_DATA_GPA, 1, 4, AVAIL}}, {}},
	{"id", {{RD_DATA_GPA, 1, 0xffff, AVAIL}}, {}},
	{"id", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT}, {RD_DATA_GPA, 1, 4, AVAIL}}, {}},
	/* Round and round. */
	{"runs into", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT}, {RD_DATA_GPA, 1, 0, AVAIL | NEXT},
		{RD_DATA_GPA, 1, 0, AVAIL | NEXT}, {RD_DATA_GPA, 1, 0, AVAIL | NEXT}}, {}},
	/* What follows is not available: never written, or used. */
	{"goes on", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT}}, {}},
	{"goes on", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT}, {RD_DATA_GPA, 1, 0, AVAIL | USED}}, {}},
	{"goes on", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT}, {RD_DATA_GPA, 1, 0, USED}}, {}},
	{"readable", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT | WRITE}, {RD_DATA_GPA, 1, 0, AVAIL}}, {}},
	{"outside", {{RD_DATA_GPA - 1, 2, 0, AVAIL}}, {}},
	{"outside", {{UINT64_MAX, 2, 0, AVAIL | WRITE}}, {}},
	{"outside", {{RD_DATA_GPA, UINT32_MAX, 0, AVAIL}}, {}},
	{"alone", {{RD_TABLE, 16, 0, AVAIL | NEXT | TABLE}, {RD_DATA_GPA, 1, 0, AVAIL}}, {}},
	{"alone", {{RD_DATA_GPA, 1, 0, AVAIL | NEXT}, {RD_TABLE, 16, 0, AVAIL | TABLE}}, {}},
	{"length", {{RD_TABLE, 0, 0, AVAIL | TABLE}}, {}},
	{"length", {{RD_TABLE, 15, 0, AVAIL | TABLE}}, {}},
	{"too long", {{RD_TABLE, 16 * (VIRTQ_CHAIN_MIN + 1), 0, AVAIL | TABLE}}, {}},
	{"too long", {{RD_TABLE, UINT32_MAX & ~15u, 0, AVAIL | TABLE}}, {}},
	{"outside", {{RD_DATA_GPA - 8, 16, 0, AVAIL | TABLE}}, {}},
	{"another", {{RD_TABLE, 16, 0, AVAIL | TABLE}}, {{RD_TABLE, 16, 0, TABLE}}},
	{"readable", {{RD_TABLE, 32, 0, AVAIL | TABLE}},
		{{RD_DATA_GPA, 1, 0, WRITE}, {RD_DATA_GPA, 1, 0, 0}}},
	{"outside", {{RD_TABLE, 32, 0, AVAIL | TABLE}}, {{RD_DATA_GPA, 1, 0, 0}, {0, 1, 0, 0}}},
	{"id", {{RD_TABLE, 16, 9, AVAIL | TABLE}}, {{RD_DATA_GPA, 1, 0, 0}}},
};

static void put_table(struct ring_driver *d, const struct bad_slot *table)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct ring_packed_desc desc = {
			table[i].gpa, table[i].len, table[i].id, table[i].flags};

		memcpy(rd_at(d, RD_TABLE) + i * sizeof(desc), &desc, sizeof(desc));
	}
}

static void test_bad_chains(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct virtq_chain chain;
		struct ring_driver d;

		rd_open_packed(&d, 4, RD_WRAP);
		for (unsigned int s = 0; s < 4; s++)
			rd_slot(&d, s, bad[i].slots[s].gpa, bad[i].slots[s].len,
				bad[i].slots[s].id, bad[i].slots[s].flags);
		put_table(&d, bad[i].table);
		assert_true(virtq_pending(d.vq));
		assert_int_equal(virtq_pop(d.vq, &chain), -EINVAL);
		if (!strstr(d.vq->broken_by, bad[i].rule))
			fail_msg("case %zu: %s", i, d.vq->broken_by);
		/* For good, until it is rewound. */
		assert_false(virtq_pending(d.vq));
		assert_int_equal(virtq_pop(d.vq, &chain), -EINVAL);
		rd_restart(&d);
		virtq_rewind(d.vq, rd_base(&d));
		assert_int_equal(virtq_resolve(d.vq), 0);
		send(&d, RD_DIRECT, 3, 4);
		must_pop(&d, 3);
		virtq_push(d.vq, 3, 1);
		virtq_publish(d.vq);
		must_collect(&d, 3, 1);
		must_be_empty(&d);
		rd_close(&d);
	}
}

/* Slots and ids of chains in flight are the device's. */
static void test_in_flight_again(void **state)
{
	struct virtq_chain chain;
	struct ring_driver d;

	rd_open_packed(&d, 4, RD_WRAP);
	send(&d, RD_DIRECT, 2, 2);
	must_pop(&d, 2);
	send(&d, RD_DIRECT, 2, 1);
	assert_int_equal(virtq_pop(d.vq, &chain), -EINVAL);
	assert_non_null(strstr(d.vq->broken_by, "in flight already"));
	rd_close(&d);
	/* A full ring whose first slot is made available in the next round, untouched by us. */
	rd_open_packed(&d, 4, RD_WRAP);
	send(&d, RD_DIRECT, 0, 3);
	send(&d, RD_DIRECT, 1, 1);
	must_pop(&d, 0);
	must_pop(&d, 1);
	rd_slot(&d, 0, RD_DATA_GPA, 1, 2, USED);
	assert_int_equal(virtq_pop(d.vq, &chain), -EINVAL);
	assert_non_null(strstr(d.vq->broken_by, "runs into"));
	rd_close(&d);
}

/* In a table only WRITE counts, and every entry does: flags that link chains say nothing. */
static void test_table_flags(void **state)
{
	const struct bad_slot table[2] = {
		{RD_DATA_GPA, 3, 77, USED}, {RD_DATA_GPA + 9, 4, 0, WRITE | NEXT | AVAIL}};
	struct virtq_chain chain;
	struct ring_driver d;

	rd_open_packed(&d, 4, RD_WRAP);
	put_table(&d, table);
	rd_slot(&d, 0, RD_TABLE, 32, 1, AVAIL | TABLE | WRITE);
	assert_int_equal(virtq_pop(d.vq, &chain), 1);
	assert_int_equal(chain.in_len, 3);
	assert_int_equal(chain.out_len, 4);
	rd_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_full_ring),
		cmocka_unit_test(test_overwritten),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_base_in_flight),
		cmocka_unit_test(test_resolve_again),
		cmocka_unit_test(test_rewind_pushed),
		cmocka_unit_test(test_areas),
		cmocka_unit_test(test_calls_event_idx),
		cmocka_unit_test(test_calls_by_flag),
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_bad_chains),
		cmocka_unit_test(test_in_flight_again),
		cmocka_unit_test(test_table_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
