// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway`: one program, one table of subcommands.

#include "tool.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct subcommand subcommands[] = {
	{"bench", cmd_bench, "measure how fast causewayd and other servers are"},
	{"decode", cmd_decode, "print what was recorded of requests and replies"},
	{"mount", cmd_mount, "mount an export on this machine, without a virtual machine"},
	{"top", cmd_top, "show what running daemons do"},
	{"vm", cmd_vm, "boot a virtual machine that shares directories of this host"},
};

#define NSUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static void usage(FILE *to)
{
	fprintf(to, "Usage: causeway SUBCOMMAND [OPTION...] [ARGUMENT...]\n\nSubcommands:\n");
	for (size_t i = 0; i < NSUBCOMMANDS; i++)
		fprintf(to, "  %-8s %s\n", subcommands[i].name, subcommands[i].help);
	fprintf(to, "\ncauseway SUBCOMMAND --help tells more of one, causeway --version the "
		    "version.\n");
}

// What mount(8) calls for `mount -t fuse.causeway`.
static bool is_mount_helper(const char *program)
{
	const char *slash = strrchr(program, '/');

	return !strcmp(slash ? slash + 1 : program, "mount.fuse.causeway");
}

int main(int argc, char **argv)
{
	// Descriptors 0 to 2 must not be taken by something else when they come closed.
	for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd <= 2;)
		fd = dup(fd);
	if (argc > 0 && is_mount_helper(argv[0]))
		return cmd_mount(argc, argv);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("causeway %s\n", CAUSEWAY_VERSION);
		return 0;
	}
	for (size_t i = 0; i < NSUBCOMMANDS; i++)
		if (!strcmp(argv[1], subcommands[i].name))
			return subcommands[i].run(argc - 1, argv + 1);
	say("no subcommand '%s'; see causeway --help", argv[1]);
	return EXIT_USAGE;
}
