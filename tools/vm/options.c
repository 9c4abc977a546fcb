// SPDX-License-Identifier: BSD-2-Clause
//
// The options of `causeway vm`: one table that parses and prints them.

#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct option_row {
	const char *name, *arg; // without arg: a switch
	int (*set)(struct vm_options *o, const struct option_row *row, char *value);
	size_t offset; // of the field that a generic setter fills
	const char *choices;
	long min, max;
	const char *help;
};

#define FIELD(o, row, type) ((type *)((char *)(o) + (row)->offset))

static int set_share(struct vm_options *o, const struct option_row *row, char *value)
{
	return vm_share_add_dir(o, row->name, value);
}

static int set_socket(struct vm_options *o, const struct option_row *row, char *value)
{
	return vm_share_add_socket(o, row->name, value);
}

static int set_memory(struct vm_options *o, const struct option_row *row, char *value)
{
	o->memory = parse_size(value);
	if (o->memory < 128u << 20) {
		say("--%s: '%s' is no size of at least 128M (SIZE is a number with M or G)",
			row->name, value);
		return -EINVAL;
	}
	o->memory &= ~((1ull << 21) - 1);
	return 0;
}

static int set_dax(struct vm_options *o, const struct option_row *row, char *value)
{
	o->dax = parse_size(value);
	if (o->dax < VM_DAX_MIN || (o->dax & (o->dax - 1))) {
		say("--%s: '%s' is no power of two of at least %lluM (SIZE is a number with M or "
		    "G)",
			row->name, value, VM_DAX_MIN >> 20);
		return -EINVAL;
	}
	return 0;
}

static int set_root(struct vm_options *o, const struct option_row *row, char *value)
{
	o->root_minimal = !strcmp(value, "minimal");
	return 0;
}

static int set_accel(struct vm_options *o, const struct option_row *row, char *value)
{
	o->accel = !strcmp(value, "kvm")   ? ACCEL_KVM
		   : !strcmp(value, "tcg") ? ACCEL_TCG
					   : ACCEL_AUTO;
	return 0;
}

static int set_number(struct vm_options *o, const struct option_row *row, char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end || n < row->min || n > row->max) {
		say("--%s: '%s' is no number from %ld to %ld", row->name, value, row->min,
			row->max);
		return -EINVAL;
	}
	*FIELD(o, row, long) = n;
	return 0;
}

static int set_string(struct vm_options *o, const struct option_row *row, char *value)
{
	*FIELD(o, row, const char *) = value;
	return 0;
}

static int set_flag(struct vm_options *o, const struct option_row *row, char *value)
{
	*FIELD(o, row, bool) = true;
	return 0;
}

static int set_words(struct vm_options *o, const struct option_row *row, char *value)
{
	words_add(FIELD(o, row, struct words), value);
	return 0;
}

static int set_env(struct vm_options *o, const struct option_row *row, char *value)
{
	const char *now = strchr(value, '=') ? NULL : getenv(value);

	if (strchr(value, '='))
		words_add(&o->env, value);
	else if (now)
		words_addf(&o->env, "%s=%s", value, now);
	return 0;
}

#define AT(field) .offset = offsetof(struct vm_options, field)

static const struct option_row rows[] = {
	{"share", "DIR[:TAG[:OPTION,...]]", set_share,
		.help = "share DIR, at /mnt/TAG in the guest (default TAG: share, share2, ...); "
			"OPTIONs are ro, fstype=TYPE and those of TYPE"},
	{"cache", "MODE", set_string, AT(cache), .choices = "none never auto always metadata",
		.help = "caching mode of the shares: none, never, auto, always, metadata (default: "
			"auto)"},
	{"writeback", NULL, set_flag, AT(writeback), .help = "let the guest cache writes"},
	{"dax", "SIZE", set_dax,
		.help = "map files into the guest through windows of that size, as 1G (needs QEMU "
			"11.1)"},
	{"version-table", "FILE|auto", set_string, AT(version_table),
		.help = "attach the shares and the guest to the version table FILE, or to one of "
			"all your guests: auto"},
	{"cpus", "N", set_number, AT(cpus), .min = 1, .max = 255,
		.help = "processors of the guest"},
	{"memory", "SIZE", set_memory,
		.help = "memory of the guest, as 512M or 2G (default: 1G, less on a small host)"},
	{"kernel", "FILE", set_string, AT(kernel),
		.help = "the guest's Linux kernel, with its modules beside it"},
	{"module", "FILE", set_words, AT(modules),
		.help = "load the kernel module FILE, and what it needs, at the guest's start"},
	{"root", "WHICH", set_root, .choices = "host minimal",
		.help = "the guest's root: the host's own under an overlay, or minimal, just "
			"busybox (default: host)"},
	{"env", "NAME[=VALUE]", set_env, .help = "set a variable for the command, or pass it on"},
	{"queues", "N", set_number, AT(queues), .min = 1, .max = 64,
		.help = "request queues of each share (default: 1)"},
	{"accel", "HOW", set_accel, .choices = "auto kvm tcg",
		.help = "kvm, tcg (emulation), or auto: kvm where it works (default: auto)"},
	{"socket", "PATH:TAG[:OPTION,...]", set_socket,
		.help = "attach a vhost-user-fs back-end that listens at PATH"},
	{"daemon-option", "ARG", set_words, AT(daemon_options),
		.help = "pass ARG to the causewayd of each share"},
	{"qemu", "FILE", set_string, AT(qemu),
		.help = "the QEMU to run (default: qemu-system-x86_64)"},
	{"qemu-option", "ARG", set_words, AT(qemu_options),
		.help = "add ARG to QEMU's command line"},
	{"append", "ARG", set_words, AT(append), .help = "add ARG to the kernel's command line"},
	{"verbose", NULL, set_flag, AT(verbose),
		.help = "show QEMU's command line and the kernel's messages"},
	{"help", NULL, NULL, .help = "show this"},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
	printf("Usage: causeway vm [OPTION...] [-- COMMAND...]\n\n"
	       "Boots a Linux virtual machine that shares directories of this host, runs COMMAND "
	       "in the first\n"
	       "of them (default: a shell) and passes on its input, output and exit status.\n\n");
	for (size_t i = 0; i < NROWS; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg ? " " : "",
			rows[i].arg ? rows[i].arg : "");
		printf("  %-24s %s%s\n", left,
			strlen(left) > 24 ? "\n                           " : "", rows[i].help);
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

static const struct option_row *find_row(const char *name, size_t len)
{
	for (size_t i = 0; i < NROWS; i++)
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len))
			return &rows[i];
	return NULL;
}

// One option at argv[*i]; moves *i on when its argument is the next word. 0, 1 for --help, or
// -EINVAL.
static int one_option(struct vm_options *o, char **argv, int *i)
{
	const char *name = argv[*i] + 2;
	char *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct option_row *row = find_row(name, len);

	if (!row) {
		say("vm: no option '--%.*s'; see causeway vm --help", (int)len, name);
		return -EINVAL;
	}
	if (!row->arg && value) {
		say("vm: --%s takes no argument", row->name);
		return -EINVAL;
	}
	if (!row->set)
		return 1;
	if (row->arg && value)
		value++;
	else if (row->arg && !(value = argv[++*i])) {
		say("vm: --%s needs an argument (%s)", row->name, row->arg);
		return -EINVAL;
	}
	if (row->choices && !is_choice(row->choices, value)) {
		say("vm: --%s: '%s' is none of: %s", row->name, value, row->choices);
		return -EINVAL;
	}
	return row->set(o, row, value);
}

int vm_options_parse(struct vm_options *o, int argc, char **argv, int *status)
{
	int i, ret;

	for (i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "-h"))
			ret = 1;
		else if (argv[i][1] != '-') {
			say("vm: no option '%s'; see causeway vm --help", argv[i]);
			ret = -EINVAL;
		} else {
			ret = one_option(o, argv, &i);
		}
		if (ret > 0)
			print_help();
		if (ret) {
			*status = ret > 0 ? 0 : EXIT_USAGE;
			return ret;
		}
	}
	if (i < argc && strcmp(argv[i], "--")) {
		say("vm: unexpected '%s' (directories go with --share, a command after --)",
			argv[i]);
		*status = EXIT_USAGE;
		return -EINVAL;
	}
	if (o->version_table && o->writeback) {
		say("vm: --version-table and --writeback exclude each other: what a guest holds "
		    "back, the others cannot see");
		*status = EXIT_USAGE;
		return -EINVAL;
	}
	o->command = argv + (i < argc ? i + 1 : i);
	return 0;
}
