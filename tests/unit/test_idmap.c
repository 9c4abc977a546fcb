// SPDX-License-Identifier: BSD-2-Clause
/* Rules of --translate-uid: each kind, both directions, edges, and what is refused. */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "fuse/idmap.h"

static struct idmap *map;
static char error[300];

static int teardown(void **state)
{
	idmap_free(map);
	map = NULL;
	return 0;
}

static void add(const char *rule)
{
	assert_int_equal(idmap_add(&map, rule, error, sizeof(error)), 0);
}

static void refused(const char *rule, const char *words)
{
	error[0] = '\0';
	assert_int_equal(idmap_add(&map, rule, error, sizeof(error)), -1);
	if (!strstr(error, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", rule, error, words);
	assert_non_null(strstr(error, rule));
}

static uint32_t to_host(uint32_t id)
{
	assert_int_equal(idmap_to_host(map, &id), 0);
	return id;
}

static void test_none(void **state)
{
	uint32_t id = 7;

	assert_int_equal(idmap_to_host(NULL, &id), 0);
	assert_int_equal(id, 7);
	assert_int_equal(idmap_to_guest(NULL, 7), 7);
	idmap_free(NULL);
}

static void test_guest(void **state)
{
	add("guest:10:1000:5");
	assert_int_equal(to_host(9), 9);
	assert_int_equal(to_host(10), 1000);
	assert_int_equal(to_host(14), 1004);
	assert_int_equal(to_host(15), 15);
	assert_int_equal(idmap_to_guest(map, 1000), 1000);
}

static void test_host(void **state)
{
	add("host:1000:10:5");
	assert_int_equal(to_host(10), 10);
	assert_int_equal(idmap_to_guest(map, 999), 999);
	assert_int_equal(idmap_to_guest(map, 1000), 10);
	assert_int_equal(idmap_to_guest(map, 1004), 14);
	assert_int_equal(idmap_to_guest(map, 1005), 1005);
}

static void test_map(void **state)
{
	add("map:0:100000:65536");
	assert_int_equal(to_host(0), 100000);
	assert_int_equal(to_host(65535), 165535);
	assert_int_equal(idmap_to_guest(map, 165535), 65535);
	assert_int_equal(idmap_to_guest(map, 0), 0);
}

static void test_squash(void **state)
{
	add("squash-guest:0:107:4294967295");
	add("squash-host:5:0:10");
	assert_int_equal(to_host(0), 107);
	assert_int_equal(to_host(4294967294u), 107);
	/* There is no such id, and it becomes none. */
	assert_int_equal(to_host(UINT32_MAX), UINT32_MAX);
	assert_int_equal(idmap_to_guest(map, 4), 4);
	assert_int_equal(idmap_to_guest(map, 5), 0);
	assert_int_equal(idmap_to_guest(map, 14), 0);
	assert_int_equal(idmap_to_guest(map, 15), 15);
}

static void test_forbid(void **state)
{
	uint32_t id;

	/* As a user of virtiofsd has it: only 1000 and 2000 are let through. */
	add("forbid-guest:0:1000");
	add("map:1000:1000:1");
	add("forbid-guest:1001:999");
	add("map:2000:2000:1");
	add("forbid-guest:2001:4294965294");
	for (id = 0; id < 3000; id++) {
		uint32_t host = id;
		bool allowed = id == 1000 || id == 2000;

		assert_int_equal(idmap_to_host(map, &host), allowed ? 0 : -EPERM);
		assert_int_equal(host, id);
	}
	id = 4294967294u;
	assert_int_equal(idmap_to_host(map, &id), -EPERM);
	/* A count that goes further than ids do means all that there are. */
	idmap_free(map);
	map = NULL;
	add("forbid-guest:7:4294967295");
	id = 4294967294u;
	assert_int_equal(idmap_to_host(map, &id), -EPERM);
	id = 6;
	assert_int_equal(idmap_to_host(map, &id), 0);
	assert_int_equal(idmap_to_guest(map, 0), 0);
}

/* Many rules, given in any order, are found each. */
static void test_order(void **state)
{
	static char rules[100][40];

	for (unsigned int i = 0; i < 100; i++) {
		unsigned int at = i * 37 % 100;

		snprintf(rules[at], sizeof(rules[at]), "map:%u:%u:10", at * 10,
			5000 + (99 - at) * 10);
		add(rules[at]);
	}
	for (uint32_t id = 0; id < 1000; id++) {
		uint32_t want = 5000 + (99 - id / 10) * 10 + id % 10;

		assert_int_equal(to_host(id), want);
		assert_int_equal(idmap_to_guest(map, want), id);
	}
}

static void test_overlap(void **state)
{
	add("guest:100:1000:10");
	refused("map:109:5000:1", "'guest:100:1000:10' and 'map:109:5000:1' translate the same");
	refused("squash-guest:0:1:101", "'guest:100:1000:10'");
	refused("forbid-guest:0:4294967295", "'guest:100:1000:10'");
	refused("guest:105:1:1", "'guest:100:1000:10'");
	/* The other direction is free, and so is what is beside. */
	add("host:1000:100:10");
	add("guest:110:1:1");
	add("guest:99:1:1");
	refused("squash-host:1009:1:1", "'host:1000:100:10'");
}

static void test_wrong(void **state)
{
	static const char *const kinds[] = {"", ":1:2:3", "user:1:2:3", "Guest:1:2:3",
		"guests:1:2:3", "map"};
	static const char *const forms[] = {"map:", "map:1", "map:1:2", "map:1:2:", "map:1:2:3:4",
		"map:1:2:3:", "map:a:2:3", "map:1:-2:3", "map: 1:2:3", "map:1:2:3x", "map:0x1:2:3",
		"map:4294967296:1:1", "map:1:2:99999999999999999999999", "forbid-guest:1",
		"forbid-guest:1:2:3"};
	static const char *const ends[] = {"map:1:2:0", "map:1:4294967295:1", "map:4294967295:1:1",
		"guest:4294967294:1:2", "guest:1:4294967294:2", "forbid-guest:1:0",
		"squash-guest:0:4294967295:1"};

	for (size_t i = 0; i < 5; i++)
		refused(kinds[i], "begins with none of");
	refused(kinds[5], "is not of the form");
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		refused(forms[i], "is not of the form");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		refused(ends[i], "goes beyond the ids that there are");
	/* The last that there are. */
	add("guest:4294967294:0:1");
	add("squash-guest:5:4294967294:7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_none, teardown),
		cmocka_unit_test_teardown(test_guest, teardown),
		cmocka_unit_test_teardown(test_host, teardown),
		cmocka_unit_test_teardown(test_map, teardown),
		cmocka_unit_test_teardown(test_squash, teardown),
		cmocka_unit_test_teardown(test_forbid, teardown),
		cmocka_unit_test_teardown(test_order, teardown),
		cmocka_unit_test_teardown(test_overlap, teardown),
		cmocka_unit_test_teardown(test_wrong, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
