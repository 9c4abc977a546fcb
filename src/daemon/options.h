// SPDX-License-Identifier: BSD-2-Clause
/*
 * The command line of causewayd, from one table that also makes --help.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "daemon/isolation.h"
#include "fs/passthrough/passthrough.h"
#include "fuse/cache.h"

#define OPTIONS_LEGACY_MAX 64 /* times that -o may be given */

#define TAG_MAX 36 /* bytes; virtio 1.2, section 5.11.4 */

struct options {
	const char *shared_dir;
	const char *socket_path;  /* or NULL: fd */
	const char *socket_group; /* or NULL: only this user connects */
	int fd;                   /* or -1 */
	const char *tag;          /* or NULL */
	struct fuse_config fuse;
	struct passthrough_config passthrough;
	struct isolation isolation;
	struct xattrmap *xattrmap; /* passthrough has it too; freed by the caller */
	struct idmap *uids, *gids; /* fuse has them too; freed by options_free() */
	bool has_attr_timeout, has_entry_timeout, has_dax;
	uint64_t dax_window; /* bytes; 0: none */
	const char *version_table; /* a path, "memfd", or NULL */
	uint64_t version_slots;    /* 0: as many as there are */
	enum log_level log_level;
	bool syslog; /* instead of standard error */
	const char *record; /* the file of a recording, or NULL */
	bool record_data;
	bool keep_listening;
	const char *control_path; /* of the control socket, or NULL */
	unsigned int without; /* a bit for each line of without.c that is left out */
	/* As without has it (vhost/backend.h). */
	bool no_borrowing, no_answering, no_batching, no_event_idx;
	int poll_us; /* for how long a queue is looked at when it is empty (vhost/poll.h) */
	int thread_pool_size; /* threads beside those of the queues */
	int rlimit_nofile; /* 0: as it is, -1: the hard limit */
	bool help, version, print_capabilities;
	char *legacy[OPTIONS_LEGACY_MAX]; /* copies of -o lists; strings above point into them */
	size_t legacy_used;
};

/*
 * Reads a command line; strings stay argv's or are kept until options_free(). Returns 0, or -1 with
 * one line in error that says what is wrong and what to do. With help, version or
 * print_capabilities set, nothing else was checked.
 */
int options_parse(struct options *o, int argc, char **argv, char *error, size_t size);

void options_free(struct options *o);

void options_help(FILE *to);

/* Prints what was asked for instead of serving; false: nothing was. */
bool options_print(const struct options *o, const char *version);

#endif
