// SPDX-License-Identifier: BSD-2-Clause

#include "top.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1000000000L
#define INTERVAL_MAX 3600.0

static const struct row {
	const char *name, *arg;
	char letter; // or 0
	const char *help;
} rows[] = {
	{"count", "N", 'n', "end after N views"},
	{"batch", NULL, 'b', "print views one below the other, for files and scripts"},
	{"interval", "SECONDS", 'd', "time between two views (default: 1)"},
	{"sum", NULL, 's', "show several daemons as one"},
	{"metrics", NULL, 'm', "print what they say, for monitoring, and end"},
	{"help", NULL, 'h', "show this"},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
	printf("Usage: causeway top [OPTION...] SOCKET...\n\n"
	       "Shows what causewayd does, which was started with --control-path SOCKET.\n"
	       "`q` ends it.\n\n");
	for (size_t i = 0; i < NROWS; i++) {
		char left[40];

		snprintf(left, sizeof(left), "-%c, --%s%s%s", rows[i].letter, rows[i].name,
			rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		printf("  %-26s %s\n", left, rows[i].help);
	}
}

static int set_count(struct top_options *o, const char *text)
{
	char *end;

	o->count = strtol(text, &end, 10);
	if (end != text && !*end && o->count >= 1 && o->count <= COUNT_MAX)
		return 0;
	say("top: --count: '%s' is no number from 1 to %ld", text, COUNT_MAX);
	return -EINVAL;
}

static int set_interval(struct top_options *o, const char *text)
{
	char *end;

	o->interval = strtod(text, &end);
	if (end != text && !*end && o->interval > 0 && o->interval <= INTERVAL_MAX)
		return 0;
	say("top: --interval: '%s' is no time above 0 and up to %.0f seconds", text, INTERVAL_MAX);
	return -EINVAL;
}

// 1 for --help, 0 or -EINVAL.
static int set(struct top_options *o, int letter)
{
	switch (letter) {
	case 'n':
		return set_count(o, optarg);
	case 'd':
		return set_interval(o, optarg);
	case 'b':
		o->batch = true;
		return 0;
	case 's':
		o->sum = true;
		return 0;
	case 'm':
		o->metrics = true;
		return 0;
	case 'h':
		return 1;
	}
	return -EINVAL;
}

// What getopt() found wrong, in our words.
static void say_wrong(char **argv, int found)
{
	const char *word = argv[optind - 1];

	if (found == ':')
		say("top: %s needs an argument; see causeway top --help", word);
	else if (optopt && word[1] != '-')
		say("top: no option '-%c'; see causeway top --help", optopt);
	else
		say("top: no option '%s'; see causeway top --help", word);
}

static int take_sockets(struct top_options *o, int argc, char **argv)
{
	if (argc == 0) {
		say("top: which daemon? Name the socket that was given with causewayd "
		    "--control-path");
		return -EINVAL;
	}
	if (argc > TOP_SOCKETS_MAX) {
		say("top: more than %d sockets", TOP_SOCKETS_MAX);
		return -EINVAL;
	}
	for (o->n = 0; o->n < (unsigned int)argc; o->n++)
		o->sockets[o->n] = argv[o->n];
	return 0;
}

int top_options_parse(struct top_options *o, int argc, char **argv, int *status)
{
	struct option longs[NROWS + 1] = {{0}};
	char shorts[2 * NROWS + 3] = "+:";
	int ret = 0, found;

	*o = (struct top_options){.interval = 1};
	for (size_t i = 0; i < NROWS; i++) {
		char letter[3] = {rows[i].letter, rows[i].arg ? ':' : 0, 0};

		longs[i] = (struct option){rows[i].name, rows[i].arg ? 1 : 0, NULL, rows[i].letter};
		strcat(shorts, letter);
	}
	*status = EXIT_USAGE;
	while (!ret && (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (found == '?' || found == ':') {
			say_wrong(argv, found);
			return -EINVAL;
		}
		ret = set(o, found);
	}
	if (!ret)
		return take_sockets(o, argc - optind, argv + optind);
	if (ret > 0) {
		print_help();
		*status = 0;
	}
	return ret;
}
