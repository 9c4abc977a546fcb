// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table of the daemon (coherence/table.h): opened as its options say, looked after, and
 * shown to front-ends as shared memory region 1 of the device.
 *
 * A thread of its own looks for poison, and has another table take the place of a poisoned one. All
 * servers of a table have to leave it at once for that, so each tries at whole seconds of the clock
 * that they all have; each second at first, then more rarely, since what guests ask for waits
 * meanwhile. The same thread asks front-ends to map the table, as soon as they can be asked, and
 * again when it is another one. It is the only one that changes what the table is attached to. And
 * it notices the end of the watcher of host processes.
 */
#ifndef DAEMON_VERSIONS_H
#define DAEMON_VERSIONS_H

#include <stdint.h>

#include "coherence/table.h"
#include "daemon/isolation.h"
#include "fs/fs.h"
#include "metrics/text.h"
#include "vhost/backend.h"
#include "watch/watch.h"

struct versions;

/* "memfd", or the path of FILE; slots: of a new table, or 0. Ends the program where it cannot be
 * had. Starts the process that watches what others change (watch/watch.h), while the privileges for
 * it are there. */
struct versions *versions_open(const char *where, uint64_t slots,
	const struct isolation *isolation);

/* Leaves the table, after versions_stop() or in a process that never started. NULL is none. */
void versions_close(struct versions *v);

struct vtable *versions_table(struct versions *v);
struct watch *versions_watch(struct versions *v);

/*
 * Bytes of the region, a power of two; without a table 0. Beside a window it is no smaller than
 * that: QEMU 11.1 has both in one BAR, and aborts where their sum is no power of two. For the same
 * reason the program ends if the table is larger than the window.
 */
uint64_t versions_region(struct versions *v, uint64_t window);

/* Starts the thread, with the credentials of this one; backend and fs, a passthrough's, outlive it.
 * proc_fd: where files that have no name can be opened again. 0 or -errno. */
struct versions_world {
	struct vhost_backend *backend;
	struct fs *fs;
	int proc_fd;
};
int versions_start(struct versions *v, const struct versions_world *world);
void versions_stop(struct versions *v);

/* From now on the front-end can be asked. */
void versions_ready(struct versions *v);

/* What was mapped is mapped no more. */
void versions_dropped(struct versions *v);

/* A line for the log; and for monitoring, from any thread. */
void versions_log(struct versions *v);
void versions_metrics(struct versions *v, struct metrics *m);

#endif
