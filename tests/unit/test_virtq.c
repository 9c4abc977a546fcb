// SPDX-License-Identifier: BSD-2-Clause
/* Descriptor chains: every way to lay out a request, and every way to lay one out wrongly. */
#include "unit.h"

#include <string.h>

#include "mem/cursor.h"
#include "ring_driver.h"

#define SIZE      64
#define BYTES_MAX 13

static int setup(void **state)
{
	struct ring_driver *d = malloc(sizeof(*d));

	rd_open(d, SIZE, 0);
	*state = d;
	return 0;
}

static int setup_packed(void **state)
{
	struct ring_driver *d = malloc(sizeof(*d));

	rd_open_packed(d, SIZE, RD_WRAP);
	*state = d;
	return 0;
}

/* Shapes of chains: a packed ring has no mixed one. */
static int shapes(const struct ring_driver *d)
{
	return d->packed ? RD_MIXED : RD_SHAPES;
}

static int teardown(void **state)
{
	rd_close(*state);
	free(*state);
	return 0;
}

static void must_push(struct ring_driver *d, const struct virtq_chain *chain, uint32_t len)
{
	struct ring_used_elem elem;

	assert_false(rd_collect(d, &elem));
	virtq_push(d->vq, chain->head, len);
	assert_false(rd_collect(d, &elem));
	virtq_publish(d->vq);
	assert_true(rd_collect(d, &elem));
	assert_int_equal(elem.id, chain->head);
	assert_int_equal(elem.len, len);
}

/*
 * Cuts total bytes behind each byte whose bit is set in cuts; the pieces lie apart, around the
 * place where the data area's two regions meet. Returns how many pieces.
 */
static unsigned int cut_up(struct rd_piece *pieces, unsigned int total, unsigned int cuts,
	bool writable, uint64_t gpa)
{
	unsigned int n = 0, from = 0;

	for (unsigned int i = 0; i < total; i++) {
		if (i + 1 < total && !(cuts & (1u << i)))
			continue;
		pieces[n].gpa = gpa;
		pieces[n].len = i + 1 - from;
		pieces[n++].writable = writable;
		gpa += i + 1 - from + 1;
		from = i + 1;
	}
	return n;
}

/* Sends a request of these pieces; the device must read in and the driver must get out. */
static void exchange(struct ring_driver *d, enum rd_shape shape, uint16_t head,
	const struct rd_piece *pieces, unsigned int n)
{
	static const char in[] = "abcdefghijklmnop", out[] = "ABCDEFGHIJKLMNOP";
	size_t in_len = 0, out_len = 0;
	struct virtq_chain chain;
	struct cursor c;
	char got[32];

	for (unsigned int i = 0; i < n; i++)
		for (unsigned int b = 0; b < pieces[i].len; b++)
			*rd_at(d, pieces[i].gpa + b) = pieces[i].writable ? '.' : in[in_len++];
	rd_chain(d, shape, head, pieces, n);
	rd_offer(d, head);
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.in_len, in_len);
	c = cursor_over(chain.in, chain.in_len);
	assert_int_equal(cursor_read(&c, got, sizeof(got)), in_len);
	assert_memory_equal(got, in, in_len);
	c = cursor_over(chain.out, chain.out_len);
	out_len = cursor_write(&c, out, sizeof(out) - 1);
	assert_int_equal(out_len, chain.out_len);
	must_push(d, &chain, (uint32_t)out_len);
	for (unsigned int i = 0, at = 0; i < n; i++)
		for (unsigned int b = 0; pieces[i].writable && b < pieces[i].len; b++)
			assert_int_equal(*rd_at(d, pieces[i].gpa + b), out[at++]);
	assert_int_equal(virtq_pop(d->vq, &chain), 0);
}

/* All ways to cut small requests of any readable and writable length, in each shape. */
static void test_every_segmentation(void **state)
{
	struct ring_driver *d = *state;
	const uint64_t middle = RD_DATA_GPA + RD_DATA_HALF;
	struct rd_piece pieces[2 * BYTES_MAX];
	uint16_t head = 0;

	for (unsigned int total = 1; total <= BYTES_MAX; total++) {
		for (unsigned int in = 0; in <= total; in++) {
			unsigned int out = total - in;
			unsigned int in_cuts = in > 0 ? 1u << (in - 1) : 1;
			unsigned int out_cuts = out > 0 ? 1u << (out - 1) : 1;

			for (unsigned int i = 0; i < in_cuts * out_cuts; i++) {
				unsigned int n = cut_up(pieces, in, i % in_cuts, false,
					middle - in_cuts % 7);

				n += cut_up(pieces + n, out, i / in_cuts, true, middle + 40);
				for (int shape = 0; shape < shapes(d); shape++)
					exchange(d, (enum rd_shape)shape, head++ & (SIZE - 1),
						pieces, n);
			}
		}
	}
}

/* Pieces without bytes are allowed anywhere among their kind. */
static void test_empty_pieces(void **state)
{
	struct ring_driver *d = *state;
	const uint64_t a = RD_DATA_GPA, b = RD_DATA_GPA + 100;
	const struct rd_piece pieces[] = {
		{a, 0, false}, {a, 3, false}, {0, 0, false}, {a + 3, 1, false},
		{b, 0, true}, {b, 2, true}, {UINT64_MAX, 0, true}, {b + 2, 9, true}, {b, 0, true}};

	for (int shape = 0; shape < shapes(d); shape++) {
		exchange(d, (enum rd_shape)shape, 7, pieces, ARRAY_SIZE(pieces));
		exchange(d, (enum rd_shape)shape, 7, pieces, 1);
		exchange(d, (enum rd_shape)shape, 7, pieces + 4, 1);
	}
}

/* A single buffer over both regions, and one as long as the data area. */
static void test_region_crossing(void **state)
{
	struct ring_driver *d = *state;
	const uint64_t middle = RD_DATA_GPA + RD_DATA_HALF;
	const struct rd_piece pieces[] = {{middle - 3, 7, false}, {middle + 50, 5, true}};
	const struct rd_piece all = {RD_DATA_GPA, 2 * RD_DATA_HALF, true};
	struct virtq_chain chain;

	exchange(d, RD_DIRECT, 0, pieces, 2);
	rd_chain(d, RD_DIRECT, 0, &all, 1);
	rd_offer(d, 0);
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	assert_int_equal(chain.out_len, 2 * RD_DATA_HALF);
	assert_int_equal(chain.out[0].iov_len, RD_DATA_HALF);
	assert_int_equal(chain.out[1].iov_len, RD_DATA_HALF);
	assert_int_equal(chain.in_len, 0);
}

/* As many pieces as allowed: the ring's size, or VIRTQ_CHAIN_MIN in a table; and one more. */
static void test_longest_chain(void **state)
{
	struct ring_driver *d = *state;
	static struct rd_piece pieces[VIRTQ_CHAIN_MIN + 1];
	struct virtq_chain chain;

	for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++)
		pieces[i] = (struct rd_piece){RD_DATA_GPA + i, 1, i >= 700};
	rd_chain(d, RD_DIRECT, 3, pieces, SIZE);
	rd_offer(d, 3);
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	assert_int_equal(chain.in_len, SIZE);
	must_push(d, &chain, 0);
	/* The descriptor of the table does not count: Linux fills tables to the last entry. */
	rd_chain(d, RD_INDIRECT, 0, pieces, VIRTQ_CHAIN_MIN);
	rd_offer(d, 0);
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	assert_int_equal(chain.in_len, 700);
	assert_int_equal(chain.out_len, VIRTQ_CHAIN_MIN - 700);
	must_push(d, &chain, 0);
	for (unsigned int i = 0; i < 700; i++)
		assert_ptr_equal(chain.in[i].iov_base, (char *)chain.in[0].iov_base + i);
	rd_chain(d, RD_INDIRECT, 0, pieces, VIRTQ_CHAIN_MIN + 1);
	rd_offer(d, 0);
	assert_int_equal(virtq_pop(d->vq, &chain), -EINVAL);
}

/* Expects the chain at head to break the queue for good, and a rewind to mend it. */
static void must_break(struct ring_driver *d, uint16_t head)
{
	const struct rd_piece good = {RD_DATA_GPA, 1, false};
	struct virtq_chain chain;

	rd_offer(d, head);
	assert_true(virtq_pending(d->vq));
	assert_int_equal(virtq_pop(d->vq, &chain), -EINVAL);
	assert_non_null(d->vq->broken_by);
	assert_int_equal(d->vq->broken, -EINVAL);
	rd_chain(d, RD_DIRECT, head % SIZE, &good, 1);
	assert_int_equal(virtq_pop(d->vq, &chain), -EINVAL);
	assert_false(virtq_pending(d->vq));
	virtq_rewind(d->vq, d->avail_idx);
	assert_int_equal(virtq_resolve(d->vq), 0);
	exchange(d, RD_DIRECT, 0, &good, 1);
}

static void test_bad_direct_chains(void **state)
{
	struct ring_driver *d = *state;
	const uint16_t next = RING_DESC_F_NEXT, write = RING_DESC_F_WRITE;
	const uint64_t data = RD_DATA_GPA, end = RD_DATA_GPA + 2 * RD_DATA_HALF;

	must_break(d, SIZE);
	must_break(d, UINT16_MAX);
	rd_desc(d, 0, data, 1, next, SIZE);
	must_break(d, 0);
	rd_desc(d, 0, data, 1, next, UINT16_MAX);
	must_break(d, 0);
	/* Loops: onto itself, over two, and without any bytes. */
	rd_desc(d, 0, data, 1, next, 0);
	must_break(d, 0);
	rd_desc(d, 0, data, 1, next, 1);
	rd_desc(d, 1, data, 1, next, 0);
	must_break(d, 0);
	rd_desc(d, 5, data, 0, next, 5);
	must_break(d, 5);
	rd_desc(d, 5, data, 1, next | write, 5);
	must_break(d, 5);
	/* Readable after writable. */
	rd_desc(d, 0, data, 1, next | write, 1);
	rd_desc(d, 1, data, 1, 0, 0);
	must_break(d, 0);
	rd_desc(d, 0, data, 1, next, 1);
	rd_desc(d, 1, data, 1, next | write, 2);
	rd_desc(d, 2, data, 1, next, 3);
	rd_desc(d, 3, data, 1, write, 0);
	must_break(d, 0);
	/* Outside memory: before, at and beyond the ends, in the hole, wrapping. */
	rd_desc(d, 0, data - 1, 2, 0, 0);
	must_break(d, 0);
	rd_desc(d, 0, end - 1, 2, 0, 0);
	must_break(d, 0);
	rd_desc(d, 0, end, 1, write, 0);
	must_break(d, 0);
	rd_desc(d, 0, data, UINT32_MAX, write, 0);
	must_break(d, 0);
	rd_desc(d, 0, UINT64_MAX, 2, 0, 0);
	must_break(d, 0);
	rd_desc(d, 0, RD_UVA_BIAS + data, 1, 0, 0);
	must_break(d, 0);
	rd_desc(d, 0, data, 1, next, 1);
	rd_desc(d, 1, 0, 1, write, 0);
	must_break(d, 0);
}

static void put_table(struct ring_driver *d, unsigned int i, uint64_t gpa, uint32_t len,
	uint16_t flags, uint16_t next)
{
	struct ring_desc desc = {.addr = gpa, .len = len, .flags = flags, .next = next};

	memcpy(rd_at(d, RD_DATA_GPA + 0x100 + i * sizeof(desc)), &desc, sizeof(desc));
}

static void indirect(struct ring_driver *d, uint64_t gpa, uint32_t len, uint16_t more_flags)
{
	rd_desc(d, 0, gpa, len, RING_DESC_F_INDIRECT | more_flags, 1);
	rd_desc(d, 1, RD_DATA_GPA, 1, RING_DESC_F_WRITE, 0);
}

static void test_bad_indirect_chains(void **state)
{
	struct ring_driver *d = *state;
	const uint64_t data = RD_DATA_GPA, table = RD_DATA_GPA + 0x100;
	const uint16_t next = RING_DESC_F_NEXT, write = RING_DESC_F_WRITE;
	const struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t more_flags;
	} tables[] = {
		{table, 0, 0},
		{table, 15, 0},
		{table, 17, 0},
		{table, 16, next},
		{table, UINT32_MAX, 0},
		{table, UINT32_MAX & ~15u, 0},
		{table, 16 * (VIRTQ_CHAIN_MIN + 1), 0},
		{0, 16, 0},
		{data - 8, 16, 0},
		{data + 2 * RD_DATA_HALF - 8, 16, 0},
		{UINT64_MAX - 7, 16, 0},
	};

	put_table(d, 0, data, 1, 0, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(tables); i++) {
		indirect(d, tables[i].gpa, tables[i].len, tables[i].more_flags);
		must_break(d, 0);
	}
	/* In the table: a table, a loop, a way out of it, readable after writable. */
	put_table(d, 0, table, 16, RING_DESC_F_INDIRECT, 0);
	indirect(d, table, 16, 0);
	must_break(d, 0);
	put_table(d, 0, data, 1, next, 0);
	indirect(d, table, 16, 0);
	must_break(d, 0);
	put_table(d, 0, data, 1, next, 1);
	put_table(d, 1, data, 1, 0, 0);
	indirect(d, table, 16, 0);
	must_break(d, 0);
	put_table(d, 0, data, 1, next | write, 1);
	indirect(d, table, 32, 0);
	must_break(d, 0);
	put_table(d, 0, 0, 1, write, 1);
	indirect(d, table, 32, 0);
	must_break(d, 0);
	/* A writable piece before the table, a readable one inside. */
	rd_desc(d, 0, data, 1, next | write, 1);
	rd_desc(d, 1, table, 16, RING_DESC_F_INDIRECT, 0);
	put_table(d, 0, data, 1, 0, 0);
	must_break(d, 0);
}

/* WRITE on the descriptor of a table means nothing (virtio 1.2, section 2.7.5.3.2). */
static void test_indirect_write_flag(void **state)
{
	struct ring_driver *d = *state;
	const struct rd_piece piece = {RD_DATA_GPA, 4, false};
	struct virtq_chain chain;

	rd_chain(d, RD_INDIRECT, 0, &piece, 1);
	if (d->packed)
		d->head_flags |= RING_DESC_F_WRITE;
	else
		d->desc[0].flags |= RING_DESC_F_WRITE;
	rd_offer(d, 0);
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	assert_int_equal(chain.in_len, 4);
	assert_int_equal(chain.out_len, 0);
}

/* A table is copied before it is used: what the driver does to it later changes nothing. */
static void test_chain_is_copied(void **state)
{
	struct ring_driver *d = *state;
	const struct rd_piece piece = {RD_DATA_GPA, 4, false};
	struct virtq_chain chain;
	struct cursor c;
	char got[4];

	memcpy(rd_at(d, RD_DATA_GPA), "good", 4);
	rd_chain(d, RD_INDIRECT, 0, &piece, 1);
	rd_offer(d, 0);
	assert_int_equal(virtq_pop(d->vq, &chain), 1);
	memset(rd_at(d, RD_TABLE), 0xff, 16);
	rd_desc(d, 0, 0, 3, RING_DESC_F_INDIRECT | RING_DESC_F_NEXT, 0);
	c = cursor_over(chain.in, chain.in_len);
	assert_int_equal(cursor_read(&c, got, 4), 4);
	assert_memory_equal(got, "good", 4);
}

/* What is wrong with a chain that waits is found when it is popped, and touches none before it. */
static void test_bad_behind_good(void **state)
{
	struct ring_driver *d = *state;
	const uint64_t table = RD_DATA_GPA + 0x100, end = RD_DATA_GPA + 2 * RD_DATA_HALF;
	const struct rd_piece good = {RD_DATA_GPA, 1, false};
	const uint64_t addresses[] = {0, end, end - 8, UINT64_MAX, UINT64_MAX - 7, table + 1};
	struct virtq_chain chain;

	for (unsigned int i = 0; i < 3 * ARRAY_SIZE(addresses); i++) {
		uint64_t gpa = addresses[i / 3];

		for (uint16_t before = 0; before < 4; before++) {
			for (uint16_t head = 8; head < 8 + before; head++) {
				rd_chain(d, RD_DIRECT, head, &good, 1);
				rd_offer(d, head);
			}
			/* A table nowhere; one that is somewhere, of what is nowhere; a wild head.
			 */
			indirect(d, i % 3 == 0 ? gpa : table, 16, 0);
			put_table(d, 0, gpa, 16, RING_DESC_F_NEXT, 1);
			rd_offer(d, i % 3 == 2 ? (uint16_t)(UINT16_MAX - i) : 0);
			for (uint16_t head = 8; head < 8 + before; head++) {
				assert_int_equal(virtq_pop(d->vq, &chain), 1);
				assert_int_equal(chain.head, head);
				assert_int_equal(chain.in_len, 1);
				assert_ptr_equal(chain.in->iov_base, d->mem->regions[1].host);
			}
			assert_int_equal(virtq_pop(d->vq, &chain), -EINVAL);
			virtq_rewind(d->vq, d->avail_idx);
			assert_int_equal(virtq_resolve(d->vq), 0);
		}
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define PACKED(f)                                                                                  \
	{                                                                                          \
		#f " (packed)", f, setup_packed, teardown, NULL                                    \
	}
#define BOTH(f) CASE(f), PACKED(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_every_segmentation),
		BOTH(test_empty_pieces),
		BOTH(test_region_crossing),
		BOTH(test_longest_chain),
		CASE(test_bad_direct_chains),
		CASE(test_bad_indirect_chains),
		CASE(test_bad_behind_good),
		BOTH(test_indirect_write_flag),
		BOTH(test_chain_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
