// SPDX-License-Identifier: BSD-2-Clause
#ifndef CAUSEWAY_TESTS_HAMMER_H
#define CAUSEWAY_TESTS_HAMMER_H
/*
 * Programs of several guests hammer one tree, and what they see is checked to be linearizable: as
 * tests/client/test_hammer.c, but by system calls on mounts. hammer.c has the rule, and the memory
 * that all of them share; hammer_subjects.c what is changed and looked at.
 */
#include <stddef.h>
#include <stdint.h>

#define HAMMER_OBJECTS 3 /* of each subject */

/* Something with a number that only grows, where `dir` is the tree. */
struct place {
	char path[48];
	unsigned int client;
	int file; /* of those that go by descriptor; else -1 */
};

/* Results are 0, or -1 with errno; those that change bring a register from `to` - 1 to `to`. */
struct subject {
	const char *name;
	uint64_t period; /* what is seen is the number modulo this; 0: the number itself */
	int by_file;
	int (*make)(const struct place *p);
	int (*change)(const struct place *p, uint64_t to);
	int (*look)(const struct place *p, uint64_t *seen);
};

extern const struct subject subjects[];
extern const size_t nsubjects;

#endif
