// SPDX-License-Identifier: BSD-2-Clause
/* Cursors: every way to cut bytes into pieces, and every way to take them. */
#include "unit.h"

#include <string.h>

#include "mem/cursor.h"

#define BYTES 10

static const char text[BYTES + 1] = "0123456789";

/*
 * Cuts a copy of the text behind each byte whose bit is set in cuts, with an empty piece at each
 * cut and at both ends when empties is set, and the pieces far apart in memory.
 */
struct cut {
	char store[BYTES][2 * BYTES];
	struct iovec iov[2 * BYTES + 2];
	int n;
};

static void cut_up(struct cut *c, unsigned int cuts, bool empties)
{
	size_t from = 0;
	int piece = 0;

	memset(c->store, '.', sizeof(c->store));
	c->n = 0;
	if (empties)
		c->iov[c->n++] = (struct iovec){.iov_base = NULL};
	for (size_t i = 0; i < BYTES; i++) {
		if (i + 1 < BYTES && !(cuts & (1u << i)))
			continue;
		memcpy(c->store[piece], text + from, i + 1 - from);
		c->iov[c->n++] = (struct iovec){c->store[piece], i + 1 - from};
		if (empties)
			c->iov[c->n++] = (struct iovec){c->store[piece], 0};
		from = i + 1;
		piece++;
	}
}

/* For every cut and every two lengths: take, take, and the rest. */
static void for_each_way(void (*way)(struct cut *c, size_t first, size_t second))
{
	for (unsigned int cuts = 0; cuts < 1u << (BYTES - 1); cuts++) {
		for (size_t first = 0; first <= BYTES + 1; first++) {
			for (size_t second = 0; second <= BYTES + 1; second += 3) {
				struct cut c;

				cut_up(&c, cuts, (cuts + first) % 2);
				way(&c, first, second);
			}
		}
	}
}

static void read_way(struct cut *c, size_t first, size_t second)
{
	struct cursor cur = cursor_over(c->iov, BYTES);
	char out[3 * BYTES];
	size_t n = cursor_read(&cur, out, first);

	assert_int_equal(n, min_t(size_t, first, BYTES));
	assert_int_equal(cur.left, BYTES - n);
	n += cursor_read(&cur, out + n, second);
	assert_int_equal(n, min_t(size_t, first + second, BYTES));
	n += cursor_read(&cur, out + n, BYTES);
	assert_int_equal(n, BYTES);
	assert_int_equal(cur.left, 0);
	assert_int_equal(cursor_read(&cur, out + n, 1), 0);
	assert_memory_equal(out, text, BYTES);
}

static void test_read(void **state)
{
	for_each_way(read_way);
}

static void write_way(struct cut *c, size_t first, size_t second)
{
	struct cursor cur = cursor_over(c->iov, BYTES);
	static const char fresh[2 * BYTES + 3] = "abcdefghijklmnopqrstuv";
	size_t n = cursor_write(&cur, fresh, first);
	size_t at = 0;

	n += cursor_write(&cur, fresh + n, second);
	assert_int_equal(n, min_t(size_t, first + second, BYTES));
	assert_int_equal(cur.left, BYTES - n);
	for (int i = 0; i < c->n; i++) {
		for (size_t b = 0; b < c->iov[i].iov_len; b++, at++)
			assert_int_equal(((char *)c->iov[i].iov_base)[b],
				at < n ? fresh[at] : text[at]);
		if (c->iov[i].iov_len > 0)
			assert_int_equal(((char *)c->iov[i].iov_base)[c->iov[i].iov_len], '.');
	}
	assert_int_equal(at, BYTES);
}

static void test_write(void **state)
{
	for_each_way(write_way);
}

static void skip_way(struct cut *c, size_t first, size_t second)
{
	struct cursor cur = cursor_over(c->iov, BYTES);
	char out[BYTES];
	size_t n = cursor_skip(&cur, first);

	assert_int_equal(n, min_t(size_t, first, BYTES));
	n += cursor_skip(&cur, second);
	assert_int_equal(n, min_t(size_t, first + second, BYTES));
	assert_int_equal(cursor_read(&cur, out, BYTES), BYTES - n);
	assert_memory_equal(out, text + n, BYTES - n);
}

static void test_skip(void **state)
{
	for_each_way(skip_way);
}

/* Here second is the room for iovecs. */
static void lend_way(struct cut *c, size_t first, size_t room)
{
	struct cursor cur = cursor_over(c->iov, BYTES);
	struct iovec out[BYTES + 2];
	size_t want = min_t(size_t, first, BYTES), at = 0, taken;
	char rest[BYTES];
	int n = cursor_lend(&cur, first, out, (int)room, &taken);

	assert_true(n <= (int)room);
	for (int i = 0; i < n; i++) {
		assert_true(out[i].iov_len > 0);
		assert_memory_equal(out[i].iov_base, text + at, out[i].iov_len);
		at += out[i].iov_len;
	}
	assert_int_equal(at, taken);
	/* Fewer than wanted only where the room was used up. */
	if (taken < want)
		assert_int_equal(n, (int)room);
	else
		assert_int_equal(taken, want);
	assert_int_equal(cur.left, BYTES - taken);
	assert_int_equal(cursor_read(&cur, rest, BYTES), BYTES - taken);
	assert_memory_equal(rest, text + taken, BYTES - taken);
}

static void test_lend(void **state)
{
	for_each_way(lend_way);
}

static void test_nothing(void **state)
{
	struct cursor cur = cursor_over(NULL, 0);
	struct iovec out;
	size_t taken = 1;
	char byte;

	assert_int_equal(cursor_read(&cur, &byte, 1), 0);
	assert_int_equal(cursor_write(&cur, &byte, 1), 0);
	assert_int_equal(cursor_skip(&cur, 1), 0);
	assert_int_equal(cursor_lend(&cur, 1, &out, 1, &taken), 0);
	assert_int_equal(taken, 0);
}

/* A cursor may cover fewer bytes than the pieces hold. */
static void test_fewer(void **state)
{
	struct cut c;
	struct cursor cur;
	char out[BYTES];

	cut_up(&c, 0x2a, false);
	cur = cursor_over(c.iov, 5);
	assert_int_equal(cursor_read(&cur, out, BYTES), 5);
	assert_memory_equal(out, text, 5);
}

/* So many bytes at the end may not be copied: zeros are read there, and nothing is written. */
static void lent_way(struct cut *c, size_t first, size_t second)
{
	size_t plain = (first + second) % (BYTES + 1);
	bool strayed = false;
	struct cursor cur = cursor_over(c->iov, BYTES);
	char out[BYTES], wanted[BYTES] = "";
	size_t n;

	cur.lent_only = BYTES - plain;
	cur.strayed = &strayed;
	memset(out, 'x', sizeof(out));
	n = cursor_read(&cur, out, first);
	assert_int_equal(strayed, n > plain);
	n += cursor_read(&cur, out + n, BYTES);
	assert_int_equal(n, BYTES);
	assert_int_equal(strayed, plain < BYTES);
	memcpy(wanted, text, plain);
	assert_memory_equal(out, wanted, BYTES);

	strayed = false;
	cur.iov = c->iov;
	cur.skip = 0;
	cur.left = BYTES;
	memset(out, 'y', sizeof(out));
	n = cursor_write(&cur, out, first);
	assert_int_equal(strayed, n > plain);
	n += cursor_write(&cur, out, BYTES);
	assert_int_equal(n, BYTES);
	assert_int_equal(cur.left, 0);
	memset(wanted, 'y', plain);
	memcpy(wanted + plain, text + plain, BYTES - plain);
	cur = cursor_over(c->iov, BYTES);
	assert_int_equal(cursor_read(&cur, out, BYTES), BYTES);
	assert_memory_equal(out, wanted, BYTES);
}

static void test_lent_only(void **state)
{
	for_each_way(lent_way);
}

/* Lending and passing over are no copies. */
static void test_lending_is_allowed(void **state)
{
	struct cut c;
	struct cursor cur;
	struct iovec lent[BYTES];
	bool strayed = false;
	size_t taken;

	cut_up(&c, 0x2a, false);
	cur = cursor_over(c.iov, BYTES);
	cur.lent_only = BYTES;
	cur.strayed = &strayed;
	assert_int_equal(cursor_skip(&cur, 3), 3);
	cursor_lend(&cur, BYTES, lent, BYTES, &taken);
	assert_int_equal(taken, BYTES - 3);
	assert_false(strayed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_lend),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_fewer),
		cmocka_unit_test(test_lent_only),
		cmocka_unit_test(test_lending_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
