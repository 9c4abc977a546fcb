// SPDX-License-Identifier: BSD-2-Clause
//
// The options of `causeway bench`: one table that parses and prints them.

#include "bench.h"

#include "../option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROUNDS_MAX 1000
#define SECONDS_MAX 600
#define FILES_MAX 10000000
// What `causeway vm` takes at the least, and files of four times that are made.
#define WINDOW_MIN (4ull << 20)
#define WINDOW_MAX (64ull << 30)

#define ALONE (1u << BENCH_ALONE)
#define GUEST (1u << BENCH_GUEST)
#define NO_DAX (1u << BENCH_NO_DAX)
#define DAX (1u << BENCH_DAX)
#define NO_SHARED (1u << BENCH_NO_SHARED)
#define SHARED (1u << BENCH_SHARED)
#define NO_ABLATION (1u << BENCH_NO_ABLATION)
#define SERVERS (NO_DAX | NO_SHARED)

static const struct bench_ways all_ways[] = {
	{"client", {"sleeps", "polls"}, {"The client sleeps", "The client polls"}},
	{"caches", {"cold", "warm"},
		{"The guest's caches are cold", "The guest's caches are warm"}},
	{"file", {"fits", "exceeds"},
		{"The file is smaller than the window", "The file is larger than the window"}},
	{"tree", {"still", "changes"},
		{"Nothing changes", "Another client changes what is looked at"}},
};

const struct bench_ways *bench_ways(const struct bench_options *o)
{
	return &all_ways[o->guest ? 1 : o->dax ? 2 : o->shared ? 3 : 0];
}

// Numbers with commas between.
static int set_numbers(void *options, const struct option_row *row, char *value)
{
	struct bench_numbers *list = OPTION_FIELD(options, row, struct bench_numbers);
	char *word;

	list->n = 0;
	while ((word = strsep(&value, ","))) {
		long n;

		if (option_number(row, word, &n))
			return -EINVAL;
		for (unsigned int i = 0; i < list->n; i++)
			if (list->v[i] == n) {
				say("bench: --%s: %ld is there twice", row->name, n);
				return -EINVAL;
			}
		if (list->n == BENCH_CHOICES_MAX) {
			say("bench: --%s: more than %d numbers", row->name, BENCH_CHOICES_MAX);
			return -EINVAL;
		}
		list->v[list->n++] = n;
	}
	return 0;
}

static int set_seconds(void *options, const struct option_row *row, char *value)
{
	struct bench_options *o = options;
	char *end;

	o->seconds = strtod(value, &end);
	if (end == value || *end || !(o->seconds > 0 && o->seconds <= row->max)) {
		say("bench: --%s: '%s' is no time above 0 and up to %ld seconds", row->name, value,
			row->max);
		return -EINVAL;
	}
	return 0;
}

static int set_ways(void *options, const struct option_row *row, char *value)
{
	struct bench_options *o = options;
	bool both = !strcmp(value, "both");
	const struct bench_ways *ways = all_ways;

	// They are called as their options are.
	while (strcmp(ways->what, row->name) != 0)
		ways++;
	for (int i = 0; i < 2; i++)
		o->ways[i] = both || !strcmp(value, ways->names[i]);
	if (o->ways[0] || o->ways[1])
		return 0;
	say("bench: --%s: '%s' is none of: %s, %s, both", row->name, value, ways->names[0],
		ways->names[1]);
	return -EINVAL;
}

static int set_dax(void *options, const struct option_row *row, char *value)
{
	struct bench_options *o = options;

	o->dax = parse_size(value);
	if (o->dax >= WINDOW_MIN && o->dax <= WINDOW_MAX && !(o->dax & (o->dax - 1)))
		return 0;
	say("bench: --%s: '%s' is no power of two from %lluM to %lluG (SIZE is a number with M or "
	    "G)",
		row->name, value, WINDOW_MIN >> 20, WINDOW_MAX >> 30);
	return -EINVAL;
}

static int set_against(void *options, const struct option_row *row, char *value)
{
	struct bench_options *o = options;

	if (o->against.n == BENCH_AGAINST_MAX) {
		say("bench: --%s: more than %d servers", row->name, BENCH_AGAINST_MAX);
		return -EINVAL;
	}
	words_add(&o->against, value);
	return 0;
}

#define AT(field) .offset = offsetof(struct bench_options, field)

static const struct option_row rows[] = {
	{"against", "NAME=COMMAND", set_against, SERVERS | NO_ABLATION,
		.help = "measure another server as well; in COMMAND %d is the directory to share, "
			"%s the path of the socket to make"},
	{"peers", NULL, option_set_flag, SERVERS | NO_ABLATION, AT(peers),
		.help = "measure each virtiofsd that is installed as well"},
	{"daemon-option", "ARG", option_add_word, AT(daemon_options),
		.help = "pass ARG to causewayd"},
	{"ops", "GLOB,...", option_set_string, AT(ops), .help = "only operations of such names"},
	{"list", NULL, option_set_flag, AT(list),
		.help = "list the operations, and measure nothing"},
	{"guest", NULL, option_set_flag, AT(guest),
		.help = "measure in a guest, by system calls on what it has mounted, and 9p as "
			"well"},
	{"caches", "WHICH", set_ways, GUEST,
		.help = "with --guest: its caches are cold, warm, or both in turn (default: both)"},
	{"kernel", "FILE", option_set_string, GUEST, AT(kernel),
		.help = "with --guest: its Linux kernel"},
	{"module", "FILE", option_set_string, GUEST | NO_DAX, AT(module),
		.help = "with --guest: causeway.ko for its kernel, measured beside Linux's "
			"driver"},
	{"inside", NULL, option_set_flag, AT(inside), .help = "what --guest runs in the guest"},
	{"dax", "SIZE", set_dax, NO_SHARED, AT(dax),
		.help = "measure data by libcauseway with a DAX window of that size, and without, "
			"beside mmap; with --guest by a guest with one, and without"},
	{"file", "WHICH", set_ways, ALONE | DAX,
		.help = "with --dax: of a file that fits into the window, that exceeds it, or both "
			"in turn (default: both)"},
	{"shared", NULL, option_set_flag, ALONE | NO_DAX, AT(shared),
		.help = "measure what libcauseway's caches are worth, cache=shared beside the "
			"others, and what a version table costs the server"},
	{"files", "N", option_set_number, SHARED, AT(files), .min = 1, .max = FILES_MAX,
		.help = "with --shared: how many files the tree has (default: 50000)"},
	{"tree", "WHICH", set_ways, SHARED,
		.help = "with --shared: a tree that is still, that another client changes, or both "
			"in turn (default: both)"},
	{"ablation", NULL, option_set_flag, ALONE | SERVERS, AT(ablation),
		.help = "measure causewayd without each of the mechanisms that make it fast, in "
			"parts of what it takes with all of them"},
	{"client", "WHICH", set_ways, ALONE | SERVERS,
		.help = "a client that sleeps, polls, or both in turn (default: both)"},
	{"rounds", "N", option_set_number, AT(rounds), .min = 1, .max = ROUNDS_MAX,
		.help = "how often each operation is measured on each server (default: 5)"},
	{"time", "SECONDS", set_seconds, .max = SECONDS_MAX,
		.help = "for how long each time (default: 0.2)"},
	{"depth", "N,...", set_numbers, ALONE | SERVERS, AT(depths), .min = 1,
		.max = BENCH_DEPTH_MAX,
		.help = "requests in flight on each queue when reading and writing (default: "
			"1,8,32)"},
	{"queues", "N,...", set_numbers, ALONE | SERVERS, AT(queues), .min = 1,
		.max = BENCH_QUEUES_MAX, .help = "request queues that are used then (default: 1)"},
	{"awake", NULL, option_set_flag, AT(awake),
		.help = "keep the processors from idling, so that a client that sleeps is woken in "
			"the same time each time"},
	{"json", "FILE", option_set_string, AT(json), .help = "write all numbers to FILE"},
	{"plot", "FILE", option_set_string, AT(plot),
		.help = "draw the ratios into FILE, an SVG picture"},
	{"markdown", NULL, option_set_flag, AT(markdown), .help = "print tables for a document"},
	{"help", NULL, NULL, .help = "show this"},
};

// What is meant for some modes alone.
static void note_modes(void *options, const struct option_row *row)
{
	struct bench_options *o = options;

	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		if (row->only & 1u << mode)
			o->only[mode] = row->name;
}

static const struct option_table table = {
	.program = "bench",
	.usage = "Usage: causeway bench [OPTION...] [DIR]\n\n"
		 "Measures causewayd on a tree that it makes in DIR (default: TMPDIR, or /tmp) and "
		 "removes again,\n"
		 "beside plain system calls on the same tree and other servers.\n",
	.rows = rows,
	.n = sizeof(rows) / sizeof(rows[0]),
	.seen = note_modes,
};

// Options may come in any order, so what goes together is known at the end.
static int check_only(struct bench_options *o)
{
	const struct {
		bool is;
		const char *other;
	} modes[BENCH_MODES] = {
		[BENCH_ALONE] = {!o->guest, "with --guest"},
		[BENCH_GUEST] = {o->guest, "without --guest"},
		[BENCH_NO_DAX] = {!o->dax, "with --dax"},
		[BENCH_DAX] = {o->dax, "without --dax"},
		[BENCH_NO_SHARED] = {!o->shared, "with --shared"},
		[BENCH_SHARED] = {o->shared, "without --shared"},
		[BENCH_NO_ABLATION] = {!o->ablation, "with --ablation"},
	};

	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		if (o->only[mode] && !modes[mode].is) {
			say("bench: --%s has no meaning %s", o->only[mode], modes[mode].other);
			return -EINVAL;
		}
	if (!o->guest && !o->dax && !o->shared)
		return 0;
	// System calls, and the library's, are done one after the other.
	o->depths = o->queues = (struct bench_numbers){{1}, 1};
	return 0;
}

static int set_dir(struct bench_options *o, char **words)
{
	const char *tmp = getenv("TMPDIR");
	const char *dir = *words ? *words : tmp && *tmp ? tmp : "/tmp";
	struct stat st;

	if (*words && words[1]) {
		say("bench: unexpected '%s': there is one directory", words[1]);
		return -EINVAL;
	}
	// Servers may have another working directory.
	o->dir = realpath(dir, NULL);
	if (!o->dir || stat(o->dir, &st)) {
		say("bench: %s: %s", dir, strerror(errno));
		return -EINVAL;
	}
	if (!S_ISDIR(st.st_mode)) {
		say("bench: %s: %s", dir, strerror(ENOTDIR));
		return -EINVAL;
	}
	return 0;
}

int bench_options_parse(struct bench_options *o, int argc, char **argv, int *status)
{
	int i, ret;

	*o = (struct bench_options){.rounds = 5,
		.seconds = 0.2,
		.files = 50000,
		.depths = {{1, 8, 32}, 3},
		.queues = {{1}, 1},
		.ways = {true, true}};
	ret = option_parse(&table, o, argc, argv, &i);
	o->guest = o->guest || o->inside;
	if (!ret)
		ret = check_only(o);
	if (!ret)
		ret = set_dir(o, argv + i + (i < argc && !strcmp(argv[i], "--")));
	*status = ret > 0 ? 0 : EXIT_USAGE;
	return ret;
}

void bench_options_free(struct bench_options *o)
{
	words_free(&o->against);
	words_free(&o->daemon_options);
	free(o->dir);
}
