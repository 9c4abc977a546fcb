// SPDX-License-Identifier: BSD-2-Clause
//
// A table of texts, printed in columns as wide as they need to be, or as Markdown.

#ifndef CAUSEWAY_TABLE_H
#define CAUSEWAY_TABLE_H

#include "tool.h"

#include <stdio.h>

struct table {
	struct words cells; // row by row
	unsigned int columns;
	unsigned int
		left; // so many columns at the left are set to the left, the others to the right
};

#define table_cell(t, ...) words_addf(&(t)->cells, __VA_ARGS__)
void table_print(const struct table *t, FILE *f, bool markdown);
void table_free(struct table *t);

// Numbers for people, in units that fit, in a buffer of the caller's.
#define TABLE_NUMBER 16
char *table_time(char buffer[TABLE_NUMBER], double ns);
char *table_count(char buffer[TABLE_NUMBER], double n);
#define TABLE_TIME(ns) table_time((char[TABLE_NUMBER]){""}, (ns))
#define TABLE_COUNT(n) table_count((char[TABLE_NUMBER]){""}, (n))

#endif
