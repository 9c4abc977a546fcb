// SPDX-License-Identifier: BSD-2-Clause
//
// The options of `causeway bench`: one table that parses and prints them.

#include "bench.h"

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

struct option_row {
	const char *name, *arg; // without arg: a switch
	int (*set)(struct bench_options *o, const struct option_row *row, char *value);
	unsigned int only; // bits of modes that it has a meaning in; 0: in all
	size_t offset;	   // of the field that a generic setter fills
	long max;	   // of numbers; 1 is the least
	const char *help;
};

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

#define FIELD(o, row, type) ((type *)((char *)(o) + (row)->offset))

static int parse_number(const struct option_row *row, const char *text, long *n)
{
	char *end;

	*n = strtol(text, &end, 10);
	if (end == text || *end || *n < 1 || *n > row->max) {
		say("bench: --%s: '%s' is no number from 1 to %ld", row->name, text, row->max);
		return -EINVAL;
	}
	return 0;
}

static int set_number(struct bench_options *o, const struct option_row *row, char *value)
{
	return parse_number(row, value, FIELD(o, row, long));
}

// Numbers with commas between.
static int set_numbers(struct bench_options *o, const struct option_row *row, char *value)
{
	struct bench_numbers *list = FIELD(o, row, struct bench_numbers);
	char *word;

	list->n = 0;
	while ((word = strsep(&value, ","))) {
		long n;

		if (parse_number(row, word, &n))
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

static int set_seconds(struct bench_options *o, const struct option_row *row, char *value)
{
	char *end;

	o->seconds = strtod(value, &end);
	if (end == value || *end || !(o->seconds > 0 && o->seconds <= row->max)) {
		say("bench: --%s: '%s' is no time above 0 and up to %ld seconds", row->name, value,
			row->max);
		return -EINVAL;
	}
	return 0;
}

static int set_ways(struct bench_options *o, const struct option_row *row, char *value)
{
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

static int set_dax(struct bench_options *o, const struct option_row *row, char *value)
{
	o->dax = parse_size(value);
	if (o->dax >= WINDOW_MIN && o->dax <= WINDOW_MAX && !(o->dax & (o->dax - 1)))
		return 0;
	say("bench: --%s: '%s' is no power of two from %lluM to %lluG (SIZE is a number with M or "
	    "G)",
		row->name, value, WINDOW_MIN >> 20, WINDOW_MAX >> 30);
	return -EINVAL;
}

static int set_against(struct bench_options *o, const struct option_row *row, char *value)
{
	if (o->against.n == BENCH_AGAINST_MAX) {
		say("bench: --%s: more than %d servers", row->name, BENCH_AGAINST_MAX);
		return -EINVAL;
	}
	words_add(&o->against, value);
	return 0;
}

static int set_words(struct bench_options *o, const struct option_row *row, char *value)
{
	words_add(FIELD(o, row, struct words), value);
	return 0;
}

static int set_string(struct bench_options *o, const struct option_row *row, char *value)
{
	*FIELD(o, row, const char *) = value;
	return 0;
}

static int set_flag(struct bench_options *o, const struct option_row *row, char *value)
{
	*FIELD(o, row, bool) = true;
	return 0;
}

#define AT(field) .offset = offsetof(struct bench_options, field)

static const struct option_row rows[] = {
	{"against", "NAME=COMMAND", set_against, SERVERS | NO_ABLATION,
		.help = "measure another server as well; in COMMAND %d is the directory to share, "
			"%s the path of the socket to make"},
	{"peers", NULL, set_flag, SERVERS | NO_ABLATION, AT(peers),
		.help = "measure each virtiofsd that is installed as well"},
	{"daemon-option", "ARG", set_words, AT(daemon_options), .help = "pass ARG to causewayd"},
	{"ops", "GLOB,...", set_string, AT(ops), .help = "only operations of such names"},
	{"list", NULL, set_flag, AT(list), .help = "list the operations, and measure nothing"},
	{"guest", NULL, set_flag, AT(guest),
		.help = "measure in a guest, by system calls on what it has mounted, and 9p as "
			"well"},
	{"caches", "WHICH", set_ways, GUEST,
		.help = "with --guest: its caches are cold, warm, or both in turn (default: both)"},
	{"kernel", "FILE", set_string, GUEST, AT(kernel), .help = "with --guest: its Linux kernel"},
	{"module", "FILE", set_string, GUEST | NO_DAX, AT(module),
		.help = "with --guest: causeway.ko for its kernel, measured beside Linux's "
			"driver"},
	{"inside", NULL, set_flag, AT(inside), .help = "what --guest runs in the guest"},
	{"dax", "SIZE", set_dax, NO_SHARED, AT(dax),
		.help = "measure data by libcauseway with a DAX window of that size, and without, "
			"beside mmap; with --guest by a guest with one, and without"},
	{"file", "WHICH", set_ways, ALONE | DAX,
		.help = "with --dax: of a file that fits into the window, that exceeds it, or both "
			"in turn (default: both)"},
	{"shared", NULL, set_flag, ALONE | NO_DAX, AT(shared),
		.help = "measure what libcauseway's caches are worth, cache=shared beside the "
			"others, and what a version table costs the server"},
	{"files", "N", set_number, SHARED, AT(files), .max = FILES_MAX,
		.help = "with --shared: how many files the tree has (default: 50000)"},
	{"tree", "WHICH", set_ways, SHARED,
		.help = "with --shared: a tree that is still, that another client changes, or both "
			"in turn (default: both)"},
	{"ablation", NULL, set_flag, ALONE | SERVERS, AT(ablation),
		.help = "measure causewayd without each of the mechanisms that make it fast, in "
			"parts of what it takes with all of them"},
	{"client", "WHICH", set_ways, ALONE | SERVERS,
		.help = "a client that sleeps, polls, or both in turn (default: both)"},
	{"rounds", "N", set_number, AT(rounds), .max = ROUNDS_MAX,
		.help = "how often each operation is measured on each server (default: 5)"},
	{"time", "SECONDS", set_seconds, .max = SECONDS_MAX,
		.help = "for how long each time (default: 0.2)"},
	{"depth", "N,...", set_numbers, ALONE | SERVERS, AT(depths), .max = BENCH_DEPTH_MAX,
		.help = "requests in flight on each queue when reading and writing (default: "
			"1,8,32)"},
	{"queues", "N,...", set_numbers, ALONE | SERVERS, AT(queues), .max = BENCH_QUEUES_MAX,
		.help = "request queues that are used then (default: 1)"},
	{"json", "FILE", set_string, AT(json), .help = "write all numbers to FILE"},
	{"plot", "FILE", set_string, AT(plot), .help = "draw the ratios into FILE, an SVG picture"},
	{"markdown", NULL, set_flag, AT(markdown), .help = "print tables for a document"},
	{"help", NULL, NULL, .help = "show this"},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
	printf("Usage: causeway bench [OPTION...] [DIR]\n\n"
	       "Measures causewayd on a tree that it makes in DIR (default: TMPDIR, or /tmp) and "
	       "removes again,\n"
	       "beside plain system calls on the same tree and other servers.\n\n");
	for (size_t i = 0; i < NROWS; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg ? " " : "",
			rows[i].arg ? rows[i].arg : "");
		printf("  %-24s %s%s\n", left,
			strlen(left) > 24 ? "\n                           " : "", rows[i].help);
	}
}

static const struct option_row *find_row(const char *name, size_t len)
{
	for (size_t i = 0; i < NROWS; i++)
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len))
			return &rows[i];
	return NULL;
}

// One option at argv[*i]; moves *i on when its argument is the next word. 0, 1 for --help, or
// -EINVAL.
static int one_option(struct bench_options *o, char **argv, int *i)
{
	const char *name = argv[*i] + 2;
	char *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct option_row *row = find_row(name, len);

	if (!row) {
		say("bench: no option '--%.*s'; see causeway bench --help", (int)len, name);
		return -EINVAL;
	}
	if (!row->arg && value) {
		say("bench: --%s takes no argument", row->name);
		return -EINVAL;
	}
	if (!row->set)
		return 1;
	if (row->arg && value)
		value++;
	else if (row->arg && !(value = argv[++*i])) {
		say("bench: --%s needs an argument (%s)", row->name, row->arg);
		return -EINVAL;
	}
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		if (row->only & 1u << mode)
			o->only[mode] = row->name;
	return row->set(o, row, value);
}

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
	int i, ret = 0;

	*o = (struct bench_options){.rounds = 5,
		.seconds = 0.2,
		.files = 50000,
		.depths = {{1, 8, 32}, 3},
		.queues = {{1}, 1},
		.ways = {true, true}};
	for (i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") && !ret; i++) {
		if (!strcmp(argv[i], "-h")) {
			ret = 1;
		} else if (argv[i][1] != '-') {
			say("bench: no option '%s'; see causeway bench --help", argv[i]);
			ret = -EINVAL;
		} else {
			ret = one_option(o, argv, &i);
		}
	}
	o->guest = o->guest || o->inside;
	if (!ret)
		ret = check_only(o);
	if (!ret)
		ret = set_dir(o, argv + i + (i < argc && !strcmp(argv[i], "--")));
	if (ret > 0)
		print_help();
	*status = ret > 0 ? 0 : EXIT_USAGE;
	return ret;
}

void bench_options_free(struct bench_options *o)
{
	words_free(&o->against);
	words_free(&o->daemon_options);
	free(o->dir);
}
