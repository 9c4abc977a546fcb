// SPDX-License-Identifier: BSD-2-Clause
/*
 * All that the daemon counts, put together for who wants to know: lines of the log (SIGUSR1), and
 * metrics (control.h). Both come from the same counters.
 */
#ifndef DAEMON_COUNTERS_H
#define DAEMON_COUNTERS_H

#include "daemon/versions.h"
#include "dax/dax.h"
#include "fs/fs.h"
#include "fuse/session.h"
#include "metrics/text.h"
#include "vhost/backend.h"

/* Whose they are; all of it outlives who asks. */
struct counters {
	struct vhost_backend *backend;
	struct fuse_session *session;
	struct fs *fs;
	struct dax_window *window; /* or NULL */
	struct versions *versions; /* or NULL */
	const char *version, *directory, *tag; /* of the daemon; of the share, or NULL */
	uint64_t start_ns; /* CLOCK_MONOTONIC */
};

/* On the main thread: all of them, or what a guest makes us keep. */
void counters_log(const struct counters *c);
void counters_log_nodes(const struct counters *c);

/* From any thread. */
void counters_metrics(const struct counters *c, struct metrics *m);

#endif
