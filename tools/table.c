// SPDX-License-Identifier: BSD-2-Clause

#include "table.h"

#include <stdlib.h>
#include <string.h>

// Characters of UTF-8: its bytes but for those that continue one.
static unsigned int width_of(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void print_cell(FILE *f, const char *text, unsigned int width, bool left)
{
	int blanks = (int)(width - width_of(text));

	fprintf(f, "%*s%s%*s", left ? 0 : blanks, "", text, left ? blanks : 0, "");
}

static void print_rule(const struct table *t, FILE *f)
{
	for (unsigned int i = 0; i < t->columns; i++)
		fprintf(f, i < t->left ? "|---" : "|---:");
	fprintf(f, "|\n");
}

void table_print(const struct table *t, FILE *f, bool markdown)
{
	AUTO_FREE unsigned int *widths = calloc(t->columns, sizeof(*widths));

	for (unsigned int i = 0; widths && i < t->cells.n; i++) {
		unsigned int width = width_of(t->cells.v[i]);

		if (width > widths[i % t->columns] && !markdown)
			widths[i % t->columns] = width;
	}
	for (unsigned int i = 0; widths && i < t->cells.n; i++) {
		unsigned int column = i % t->columns;
		const char *text = t->cells.v[i];

		fprintf(f, "%s", markdown ? "| " : column ? "  " : "");
		print_cell(f, text, markdown ? width_of(text) : widths[column], column < t->left);
		if (markdown)
			fprintf(f, column + 1 < t->columns ? " " : " |");
		if (column + 1 == t->columns)
			fprintf(f, "\n");
		if (markdown && i + 1 == t->columns)
			print_rule(t, f);
	}
}

void table_free(struct table *t)
{
	words_free(&t->cells);
}

// Three digits that count.
static char *with_unit(char *buffer, double n, const char *const *units, unsigned int last)
{
	unsigned int i = 0;

	while (n >= 999.5 && i < last) {
		n /= 1000;
		i++;
	}
	snprintf(buffer, TABLE_NUMBER, "%.*f%s", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, units[i]);
	return buffer;
}

char *table_time(char buffer[TABLE_NUMBER], double ns)
{
	static const char *const units[] = {" ns", " µs", " ms", " s"};

	return with_unit(buffer, ns, units, 3);
}

char *table_count(char buffer[TABLE_NUMBER], double n)
{
	static const char *const units[] = {"", "k", "M", "G"};

	return with_unit(buffer, n, units, 3);
}
