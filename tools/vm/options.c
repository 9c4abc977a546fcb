// SPDX-License-Identifier: BSD-2-Clause
//
// The options of `causeway vm`: one table that parses and prints them.

#include "vm.h"

#include "../option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_share(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;

	return vm_share_add_dir(o, row->name, value);
}

static int set_socket(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;

	return vm_share_add_socket(o, row->name, value);
}

static int set_memory(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;

	o->memory = parse_size(value);
	if (o->memory < 128u << 20) {
		say("--%s: '%s' is no size of at least 128M (SIZE is a number with M or G)",
			row->name, value);
		return -EINVAL;
	}
	o->memory &= ~((1ull << 21) - 1);
	return 0;
}

static int set_dax(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;

	o->dax = parse_size(value);
	if (o->dax < VM_DAX_MIN || (o->dax & (o->dax - 1))) {
		say("--%s: '%s' is no power of two of at least %lluM (SIZE is a number with M or "
		    "G)",
			row->name, value, VM_DAX_MIN >> 20);
		return -EINVAL;
	}
	return 0;
}

static int set_root(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;

	o->root_minimal = !strcmp(value, "minimal");
	return 0;
}

static int set_accel(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;

	o->accel = !strcmp(value, "kvm")   ? ACCEL_KVM
		   : !strcmp(value, "tcg") ? ACCEL_TCG
					   : ACCEL_AUTO;
	return 0;
}

static int set_env(void *options, const struct option_row *row, char *value)
{
	struct vm_options *o = options;
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
	{"cache", "MODE", option_set_string, AT(cache),
		.choices = "none never auto always metadata",
		.help = "caching mode of the shares: none, never, auto, always, metadata (default: "
			"auto)"},
	{"writeback", NULL, option_set_flag, AT(writeback), .help = "let the guest cache writes"},
	{"dax", "SIZE", set_dax,
		.help = "map files into the guest through windows of that size, as 1G (needs QEMU "
			"11.1)"},
	{"version-table", "FILE|auto", option_set_string, AT(version_table),
		.help = "attach the shares and the guest to the version table FILE, or to one of "
			"all your guests: auto"},
	{"cpus", "N", option_set_number, AT(cpus), .min = 1, .max = 255,
		.help = "processors of the guest"},
	{"memory", "SIZE", set_memory,
		.help = "memory of the guest, as 512M or 2G (default: 1G, less on a small host)"},
	{"kernel", "FILE", option_set_string, AT(kernel),
		.help = "the guest's Linux kernel, with its modules beside it"},
	{"module", "FILE", option_add_word, AT(modules),
		.help = "load the kernel module FILE, and what it needs, at the guest's start"},
	{"root", "WHICH", set_root, .choices = "host minimal",
		.help = "the guest's root: the host's own under an overlay, or minimal, just "
			"busybox (default: host)"},
	{"env", "NAME[=VALUE]", set_env, .help = "set a variable for the command, or pass it on"},
	{"queues", "N", option_set_number, AT(queues), .min = 1, .max = 64,
		.help = "request queues of each share (default: 1)"},
	{"accel", "HOW", set_accel, .choices = "auto kvm tcg",
		.help = "kvm, tcg (emulation), or auto: kvm where it works (default: auto)"},
	{"socket", "PATH:TAG[:OPTION,...]", set_socket,
		.help = "attach a vhost-user-fs back-end that listens at PATH"},
	{"daemon-option", "ARG", option_add_word, AT(daemon_options),
		.help = "pass ARG to the causewayd of each share"},
	{"qemu", "FILE", option_set_string, AT(qemu),
		.help = "the QEMU to run (default: qemu-system-x86_64)"},
	{"qemu-option", "ARG", option_add_word, AT(qemu_options),
		.help = "add ARG to QEMU's command line"},
	{"append", "ARG", option_add_word, AT(append),
		.help = "add ARG to the kernel's command line"},
	{"verbose", NULL, option_set_flag, AT(verbose),
		.help = "show QEMU's command line and the kernel's messages"},
	{"help", NULL, NULL, .help = "show this"},
};

static const struct option_table table = {
	.program = "vm",
	.usage = "Usage: causeway vm [OPTION...] [-- COMMAND...]\n\n"
		 "Boots a Linux virtual machine that shares directories of this host, runs COMMAND "
		 "in the first\n"
		 "of them (default: a shell) and passes on its input, output and exit status.\n",
	.rows = rows,
	.n = sizeof(rows) / sizeof(rows[0]),
};

int vm_options_parse(struct vm_options *o, int argc, char **argv, int *status)
{
	int i, ret = option_parse(&table, o, argc, argv, &i);

	if (ret) {
		*status = ret > 0 ? 0 : EXIT_USAGE;
		return ret;
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
