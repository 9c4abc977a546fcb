// SPDX-License-Identifier: BSD-2-Clause
/*
 * Chains, tables and rings in files of ours, which a front-end brings back as guest memory: payload
 * may be there, and nothing that is copied or looked at.
 */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring_driver.h"

#define SIZE     16
#define OWN_GPA  0x9000000ull
#define OWN_SIZE 0x10000u

static int own_file;

static bool owns(void *opaque, const struct stat *st)
{
	struct stat own;

	assert_int_equal(fstat(own_file, &own), 0);
	return st->st_dev == own.st_dev && st->st_ino == own.st_ino;
}

static void open_with_own(struct ring_driver *d, bool packed)
{
	const struct mem_region_desc region = {
		.gpa = OWN_GPA, .size = OWN_SIZE, .uva = OWN_GPA + RD_UVA_BIAS};

	own_file = memfd_create("own", MFD_CLOEXEC);
	assert_int_equal(ftruncate(own_file, OWN_SIZE), 0);
	if (packed)
		rd_open_packed(d, SIZE, RD_WRAP);
	else
		rd_open(d, SIZE, 0);
	mem_set_owner(d->mem, owns, NULL);
	assert_int_equal(mem_add(d->mem, &region, own_file), 0);
}

static int setup(void **state)
{
	struct ring_driver *d = malloc(sizeof(*d));

	open_with_own(d, false);
	*state = d;
	return 0;
}

static int setup_packed(void **state)
{
	struct ring_driver *d = malloc(sizeof(*d));

	open_with_own(d, true);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	rd_close(*state);
	close(own_file);
	free(*state);
	return 0;
}

/* What is before the first byte in such a file may be copied, and what is behind it not, wherever
 * that is. */
static void test_payload(void **state)
{
	struct ring_driver *d = *state;
	const struct rd_piece pieces[] = {
		{RD_DATA_GPA, 4, false},
		{OWN_GPA, 8, false},
		{RD_DATA_GPA + 16, 2, false},
		{RD_DATA_GPA + 32, 5, true},
		{OWN_GPA + 64, 7, true},
	};
	struct virtq_chain chain;
	struct iovec lent[3];
	struct cursor in, out;
	char bytes[16];
	size_t taken;

	for (int indirect = 0; indirect < 2; indirect++) {
		memcpy(rd_at(d, RD_DATA_GPA), "head", 4);
		rd_chain(d, indirect ? RD_INDIRECT : RD_DIRECT, 0, pieces, 5);
		rd_offer(d, 0);
		assert_int_equal(virtq_pop(d->vq, &chain), 1);
		assert_int_equal(chain.in_len, 14);
		assert_int_equal(chain.in_lent, 10);
		assert_int_equal(chain.out_len, 12);
		assert_int_equal(chain.out_lent, 7);
		in = virtq_chain_in(&chain);
		assert_int_equal(cursor_read(&in, bytes, 4), 4);
		assert_memory_equal(bytes, "head", 4);
		assert_int_equal(cursor_lend(&in, 10, lent, 3, &taken), 2);
		assert_int_equal(taken, 10);
		out = virtq_chain_out(&chain);
		assert_int_equal(cursor_write(&out, "reply", 5), 5);
		assert_memory_equal(rd_at(d, RD_DATA_GPA + 32), "reply", 5);
		assert_int_equal(cursor_lend(&out, 7, lent, 3, &taken), 1);
		assert_false(virtq_chain_strayed(&chain));
		assert_int_equal(virtq_check_strayed(d->vq), 0);
		virtq_push(d->vq, chain.head, 12);
		virtq_publish(d->vq);
		assert_true(rd_collect(d, &(struct ring_used_elem){0}));
	}
}

/* A copy from there, or to there, breaks the queue until it is begun anew. */
static void test_straying(void **state)
{
	struct ring_driver *d = *state;
	const struct rd_piece pieces[] = {{OWN_GPA, 8, false}, {OWN_GPA + 64, 8, true}};

	for (int writes = 0; writes < 2; writes++) {
		struct virtq_chain chain;
		struct cursor c;
		char bytes[8] = "xxxxxxx";

		assert_int_equal(pwrite(own_file, "zzzzzzzz", 8, 0), 8);
		assert_int_equal(pwrite(own_file, "zzzzzzzz", 8, 64), 8);
		rd_chain(d, RD_DIRECT, 0, pieces, 2);
		rd_offer(d, 0);
		assert_int_equal(virtq_pop(d->vq, &chain), 1);
		c = writes ? virtq_chain_out(&chain) : virtq_chain_in(&chain);
		if (writes)
			cursor_write(&c, bytes, 1);
		else
			cursor_read(&c, bytes, 1);
		assert_true(virtq_chain_strayed(&chain));
		if (!writes)
			assert_int_equal(bytes[0], 0);
		assert_int_equal(pread(own_file, bytes, 8, 64), 8);
		assert_memory_equal(bytes, "zzzzzzzz", 8);
		assert_int_equal(virtq_check_strayed(d->vq), -EINVAL);
		assert_int_equal(virtq_pop(d->vq, &chain), -EINVAL);
		rd_restart(d);
		virtq_rewind(d->vq, rd_base(d));
		assert_int_equal(virtq_resolve(d->vq), 0);
		assert_int_equal(virtq_check_strayed(d->vq), 0);
	}
}

static void test_table(void **state)
{
	struct ring_driver *d = *state;
	struct virtq_chain chain;

	rd_desc(d, 0, OWN_GPA, sizeof(struct ring_desc), RING_DESC_F_INDIRECT, 0);
	rd_offer(d, 0);
	assert_int_equal(virtq_pop(d->vq, &chain), -EINVAL);
}

static void test_ring(void **state)
{
	struct ring_driver *d = *state;
	uint64_t *areas[] = {&d->vq->desc_uva, &d->vq->avail_uva, &d->vq->used_uva};

	for (int i = 0; i < 3; i++) {
		uint64_t before = *areas[i];

		*areas[i] = OWN_GPA + RD_UVA_BIAS;
		assert_int_equal(virtq_resolve(d->vq), -EFAULT);
		*areas[i] = before;
		virtq_rewind(d->vq, rd_base(d));
		assert_int_equal(virtq_resolve(d->vq), 0);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define PACKED(f)                                                                                  \
	{                                                                                          \
		#f " (packed)", f, setup_packed, teardown, NULL                                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_payload),
		PACKED(test_payload),
		CASE(test_straying),
		PACKED(test_straying),
		CASE(test_table),
		CASE(test_ring),
		PACKED(test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
