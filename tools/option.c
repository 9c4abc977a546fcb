// SPDX-License-Identifier: BSD-2-Clause

#include "option.h"

#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where the help of an option begins.
#define HELP_COLUMN 24

static void print_help(const struct option_table *t)
{
	printf("%s\n", t->usage);
	for (size_t i = 0; i < t->n; i++) {
		const struct option_row *row = &t->rows[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", row->name, row->arg ? " " : "",
			row->arg ? row->arg : "");
		printf("  %-*s %s%s\n", HELP_COLUMN, left,
			strlen(left) > HELP_COLUMN ? "\n                           " : "",
			row->help);
	}
}

static bool is_choice(const char *choices, const char *value)
{
	size_t n = strlen(value);

	for (const char *p = choices; n && (p = strstr(p, value)); p += n)
		if ((p == choices || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static const struct option_row *find_row(const struct option_table *t, const char *name, size_t len)
{
	for (size_t i = 0; i < t->n; i++)
		if (strlen(t->rows[i].name) == len && !strncmp(t->rows[i].name, name, len))
			return &t->rows[i];
	return NULL;
}

// The one at argv[*i]; moves *i on when its value is the next word. As option_parse().
static int take_one(const struct option_table *t, void *options, char **argv, int *i)
{
	const char *name = argv[*i] + 2;
	char *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct option_row *row = find_row(t, name, len);

	if (!row) {
		say("%s: no option '--%.*s'; see causeway %s --help", t->program, (int)len, name,
			t->program);
		return -EINVAL;
	}
	if (!row->arg && value) {
		say("%s: --%s takes no argument", t->program, row->name);
		return -EINVAL;
	}
	if (!row->set)
		return 1;
	if (row->arg && value)
		value++;
	else if (row->arg && !(value = argv[++*i])) {
		say("%s: --%s needs an argument (%s)", t->program, row->name, row->arg);
		return -EINVAL;
	}
	if (row->choices && !is_choice(row->choices, value)) {
		say("%s: --%s: '%s' is none of: %s", t->program, row->name, value, row->choices);
		return -EINVAL;
	}
	if (t->seen)
		t->seen(options, row);
	return row->set(options, row, value);
}

int option_parse(const struct option_table *t, void *options, int argc, char **argv, int *end)
{
	int i, ret = 0;

	for (i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") && !ret; i++) {
		if (!strcmp(argv[i], "-h")) {
			ret = 1;
		} else if (argv[i][1] != '-') {
			say("%s: no option '%s'; see causeway %s --help", t->program, argv[i],
				t->program);
			ret = -EINVAL;
		} else {
			ret = take_one(t, options, argv, &i);
		}
	}
	*end = i;
	if (ret > 0)
		print_help(t);
	return ret;
}

int option_number(const struct option_row *row, const char *text, long *n)
{
	char *end;

	errno = 0;
	*n = strtol(text, &end, 10);
	if (end == text || *end || errno || *n < row->min || *n > row->max) {
		say("--%s: '%s' is no number from %ld to %ld", row->name, text, row->min, row->max);
		return -EINVAL;
	}
	return 0;
}

int option_set_number(void *options, const struct option_row *row, char *value)
{
	return option_number(row, value, OPTION_FIELD(options, row, long));
}

int option_set_string(void *options, const struct option_row *row, char *value)
{
	*OPTION_FIELD(options, row, const char *) = value;
	return 0;
}

int option_set_flag(void *options, const struct option_row *row, char *value)
{
	*OPTION_FIELD(options, row, bool) = true;
	return 0;
}

int option_add_word(void *options, const struct option_row *row, char *value)
{
	words_add(OPTION_FIELD(options, row, struct words), value);
	return 0;
}
