// SPDX-License-Identifier: BSD-2-Clause
//
// Options of a subcommand, as "--NAME VALUE" or "--NAME=VALUE": one table that parses and prints
// them.

#ifndef CAUSEWAY_OPTION_H
#define CAUSEWAY_OPTION_H

#include <stddef.h>

struct option_row {
	const char *name, *arg; // without arg: a switch
	// 0, or -EINVAL after saying what is wrong. NULL: it is --help.
	int (*set)(void *options, const struct option_row *row, char *value);
	unsigned int only;   // what its program makes of it
	size_t offset;	     // of the field that a generic setter fills
	const char *choices; // what its value is one of, with spaces between; or NULL
	long min, max;	     // of a number
	const char *help;
};

struct option_table {
	const char *program; // what messages begin with
	const char *usage;   // what --help begins with
	const struct option_row *rows;
	size_t n;
	// Told of each option that is there; or NULL.
	void (*seen)(void *options, const struct option_row *row);
};

#define OPTION_FIELD(options, row, type) ((type *)((char *)(options) + (row)->offset))

// Takes those that argv[1] begins, and moves *end to the first word that is none, which may be
// "--". 0, 1 after printing the help, or -EINVAL after saying what is wrong.
int option_parse(const struct option_table *t, void *options, int argc, char **argv, int *end);

// Generic setters: of a long, a const char *, a bool, and one that adds to a struct words.
int option_set_number(void *options, const struct option_row *row, char *value);
int option_set_string(void *options, const struct option_row *row, char *value);
int option_set_flag(void *options, const struct option_row *row, char *value);
int option_add_word(void *options, const struct option_row *row, char *value);

// A number that the row allows: 0, or -EINVAL after saying what is wrong.
int option_number(const struct option_row *row, const char *text, long *n);

#endif
