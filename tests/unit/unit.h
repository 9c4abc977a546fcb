// SPDX-License-Identifier: BSD-2-Clause
/*
 * What every unit test includes: cmocka with the headers it wants before it, and a few helpers.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/util.h"

/* A stream of numbers that is the same in every run (Marsaglia's xorshift). */
static inline uint32_t unit_random(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* How many descriptors this process has open; equal before and after means that none leaked. */
static inline int unit_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* For threads beside the test's own, where cmocka's assertions cannot jump out. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline int unit_remove_one(const char *path, const struct stat *st, int type,
	struct FTW *ftw)
{
	return remove(path);
}

/* Mounts of other tests move the epoch of all version tables that are watched in their namespace.
 * Who may not have one of his own makes none either. */
static inline void unit_alone_with_mounts(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

/* Makes a private directory and enters it; the counterpart removes it with all that is in it. */
static inline void unit_enter_directory(char path[64])
{
	const char *base = getenv("TMPDIR");

	snprintf(path, 64, "%s/unit-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
}

static inline void unit_leave_directory(const char *path)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(nftw(path, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
