// SPDX-License-Identifier: BSD-2-Clause
/*
 * What tests of the library's functions share: each case has a server of its own, with each kind
 * in turn, and runs in the directory that is shared.
 */
#ifndef TESTS_CLIENT_WORLD_H
#define TESTS_CLIENT_WORLD_H

#include "unit.h"

#include <fcntl.h>
#include <string.h>

#include "peer.h"

static struct peer *peer;

static inline int world_enter(void **state, const char *const *options)
{
	peer = peer_start((enum peer_kind)(intptr_t)*state, options);
	umask(0);
	return chdir(peer->dir);
}

/* Nothing is kept: these tests change things on the host and look at once. */
static inline int set_up(void **state)
{
	static const char *const options[] = {"cache", "none", NULL};

	return world_enter(state, options);
}

static inline int tear_down(void **state)
{
	assert_int_equal(chdir("/"), 0);
	peer_finish(peer);
	return 0;
}

static inline struct causeway_file *must_open(const char *path, int flags)
{
	struct causeway_file *f;
	int r = causeway_open(peer->c, NULL, path, flags, 0644, &f);

	if (r < 0)
		fail_msg("%s: %s", path, causeway_error(peer->c));
	return f;
}

static inline int open_result(const char *path, int flags)
{
	struct causeway_file *f;
	int r = causeway_open(peer->c, NULL, path, flags, 0644, &f);

	if (r == 0)
		causeway_close(f);
	return r;
}

static inline void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static inline void assert_content(const char *path, const char *text)
{
	char buf[64] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	buf[fread(buf, 1, sizeof(buf) - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(buf, text);
}

/* Says what the library has to say where r is no success. */
#define assert_good(r)                                                                             \
	do {                                                                                       \
		long good_r_ = (long)(r);                                                          \
		if (good_r_ < 0)                                                                   \
			fail_msg("%s: %ld, %s", #r, good_r_, causeway_error(peer->c));             \
	} while (0)

#define WORLD_CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Runs the cases with each kind of server that is installed. */
static inline int world_run(struct CMUnitTest *tests, size_t n)
{
	int failed = 0;

	for (intptr_t kind = 0; kind < PEER_KINDS; kind++) {
		for (size_t i = 0; i < n; i++)
			tests[i].initial_state = (void *)kind;
		if (peer_exists((enum peer_kind)kind))
			failed += _cmocka_run_group_tests(
				kind == PEER_CAUSEWAYD ? "causewayd" : "virtiofsd", tests, n, NULL,
				NULL);
	}
	return failed;
}

#endif
