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
#include <stdlib.h>

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

#endif
