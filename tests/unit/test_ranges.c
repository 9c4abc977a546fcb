// SPDX-License-Identifier: BSD-2-Clause
/*
 * Locked ranges, held against a model that notes each byte.
 */
#include "unit.h"

#include <fcntl.h>
#include <string.h>

#include "fs/passthrough/ranges.h"

#define BYTES 24
#define END   ((uint64_t)INT64_MAX)

static struct ranges r;

static void set(uint64_t start, uint64_t end, int type)
{
	struct range change = {.start = start, .end = end, .type = type, .pid = 1};
	int growth;
	size_t before = r.n;

	assert_int_equal(ranges_reserve(&r), 0);
	growth = ranges_growth(&r, &change);
	assert_true(growth <= 2);
	ranges_set(&r, &change);
	assert_int_equal((int)r.n - (int)before, growth);
	assert_true(r.n <= r.room);
}

/* The ranges as text: R or W, first and last byte. */
static const char *text(void)
{
	static char s[500];
	size_t used = 0;

	s[0] = '\0';
	for (size_t i = 0; i < r.n; i++)
		used += (size_t)snprintf(s + used, sizeof(s) - used, "%s%c%llu-%lld",
			i ? " " : "", r.at[i].type == F_RDLCK ? 'R' : 'W',
			(unsigned long long)r.at[i].start, (long long)r.at[i].end);
	return s;
}

static int teardown(void **state)
{
	ranges_free(&r);
	return 0;
}

static void test_split_and_merge(void **state)
{
	set(10, 19, F_WRLCK);
	set(20, 29, F_WRLCK);
	assert_string_equal(text(), "W10-29");
	set(40, 49, F_WRLCK);
	set(30, 39, F_RDLCK);
	assert_string_equal(text(), "W10-29 R30-39 W40-49");
	set(15, 15, F_RDLCK);
	assert_string_equal(text(), "W10-14 R15-15 W16-29 R30-39 W40-49");
	set(16, 29, F_RDLCK);
	assert_string_equal(text(), "W10-14 R15-39 W40-49");
	set(20, 44, F_UNLCK);
	assert_string_equal(text(), "W10-14 R15-19 W45-49");
	set(0, END, F_RDLCK);
	assert_string_equal(text(), "R0-9223372036854775807");
	set(END, END, F_WRLCK);
	assert_string_equal(text(),
		"R0-9223372036854775806 W9223372036854775807-9223372036854775807");
	set(0, 0, F_UNLCK);
	set(1, END - 1, F_UNLCK);
	set(END, END, F_UNLCK);
	assert_string_equal(text(), "");
}

/* What a lock replaces is the caller's latest: its process, too. */
static void test_pid(void **state)
{
	struct range change = {.start = 5, .end = 6, .type = F_WRLCK, .pid = 9};

	set(0, 9, F_WRLCK);
	assert_int_equal(ranges_find(&r, 0, 0)->pid, 1);
	ranges_reserve(&r);
	ranges_set(&r, &change);
	assert_int_equal(ranges_find(&r, 0, 0)->pid, 9);
	assert_string_equal(text(), "W0-9");
}

static void check_against(const int model[BYTES])
{
	for (uint64_t a = 0; a < BYTES; a++) {
		const struct range *one = ranges_find(&r, a, a);

		assert_int_equal(one ? one->type : F_UNLCK, model[a]);
		assert_true(!one || (one->start <= a && a <= one->end));
	}
	for (size_t i = 0; i < r.n; i++) {
		assert_true(r.at[i].start <= r.at[i].end);
		if (i == 0)
			continue;
		assert_true(r.at[i].start > r.at[i - 1].end);
		/* Neighbours of one kind are one. */
		assert_true(r.at[i].start > r.at[i - 1].end + 1 ||
			r.at[i].type != r.at[i - 1].type);
	}
}

/* The first byte from a to b that is in the way, or BYTES. */
static uint64_t model_conflict(const int model[BYTES], uint64_t a, uint64_t b, int type)
{
	for (; a <= b; a++) {
		if (model[a] == F_WRLCK || (model[a] == F_RDLCK && type == F_WRLCK))
			return a;
	}
	return BYTES;
}

static void test_random(void **state)
{
	static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK, F_UNLCK};
	uint32_t seed = 12345;
	int model[BYTES];

	for (uint64_t i = 0; i < BYTES; i++)
		model[i] = F_UNLCK;
	for (int round = 0; round < 20000; round++) {
		uint64_t a = unit_random(&seed) % BYTES, b = unit_random(&seed) % BYTES;
		int type = types[unit_random(&seed) % ARRAY_SIZE(types)];
		struct range wanted = {.type = type};
		const struct range *found;

		wanted.start = min_t(uint64_t, a, b);
		wanted.end = max_t(uint64_t, a, b);
		set(wanted.start, wanted.end, type);
		for (uint64_t i = wanted.start; i <= wanted.end; i++)
			model[i] = type;
		check_against(model);
		wanted.start = unit_random(&seed) % BYTES;
		wanted.end = BYTES - 1;
		wanted.type = unit_random(&seed) % 2 ? F_RDLCK : F_WRLCK;
		found = ranges_conflict(&r, &wanted);
		a = model_conflict(model, wanted.start, wanted.end, wanted.type);
		assert_int_equal(found ? max_t(uint64_t, found->start, wanted.start) : BYTES, a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_split_and_merge, teardown),
		cmocka_unit_test_teardown(test_pid, teardown),
		cmocka_unit_test_teardown(test_random, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
