// SPDX-License-Identifier: BSD-2-Clause
#ifndef CAUSEWAY_TESTS_MAPPER_H
#define CAUSEWAY_TESTS_MAPPER_H
/*
 * A program that reads, writes and maps files as it is told, the same in guests and on the host:
 * lines of commands on standard input, one line of answer for each. tests/lib/mapper.py speaks to
 * it.
 *
 * A file is known by a number, its slot. Answers are a number, a checksum, a text, the name of an
 * errno, or SIGBUS where a load or a store had no memory.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct slot {
	int fd; /* -1: free */
	char *map;
	uint64_t offset, len; /* of the mapping, in the file */
};

/* argv[0] is the command. Prints the answer without its newline. */
typedef void command_fn(struct slot *s, char **argv);

/* The number in a word of a command; what is none ends the program. */
uint64_t number(const char *word);

/* Prints 0 or the name of errno, for what returns negative on error. */
void answer(long result);

/* Where the slot's mapping has that range of the file; what is outside ends the program. */
char *mapped(struct slot *s, uint64_t offset, uint64_t len);

/* Another slot, by a word of a command. */
struct slot *slot_of(const char *word);

/* What a function that may meet memory that is not there says; false where it did. */
bool may_fault(bool (*touch)(volatile char *p, void *arg), volatile char *p, void *arg);

/* The bytes that a seed gives a range of a file; tests/lib/mapper.py makes the same. */
void pattern(char *to, uint64_t offset, size_t len, uint64_t seed);

/* mapper_words.c: words of shared memory, with other programs, maybe of other guests. */
void do_turns(struct slot *s, char **argv);
void do_hammer(struct slot *s, char **argv);

/* mapper_cut.c: a file that is cut while its last pages are faulted. */
void do_learn(struct slot *s, char **argv);
void do_chase(struct slot *s, char **argv);

/* mapper_model.c: a file against a model of it in memory. */
void do_model(struct slot *s, char **argv);

#endif
