// SPDX-License-Identifier: BSD-2-Clause
/*
 * The command line of causewayd, from one table that also makes --help.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fuse/cache.h"

#define TAG_MAX 36 /* bytes; virtio 1.2, section 5.11.4 */

struct options {
	const char *shared_dir;
	const char *socket_path; /* or NULL: fd */
	int fd;                  /* or -1 */
	const char *tag;         /* or NULL */
	struct fuse_config fuse;
	struct passthrough_config passthrough;
	struct xattrmap *xattrmap; /* passthrough has it too; freed by the caller */
	bool has_attr_timeout, has_entry_timeout;
	enum log_level log_level;
	bool keep_listening;
	bool help, version;
};

/*
 * Reads a command line; strings stay argv's. Returns 0, or -1 with one line in error that says
 * what is wrong and what to do. With help or version set, nothing else was checked.
 */
int options_parse(struct options *o, int argc, char **argv, char *error, size_t size);

void options_help(FILE *to);

#endif
