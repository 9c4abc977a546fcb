// SPDX-License-Identifier: BSD-2-Clause
/*
 * Threads for requests that may sleep.
 *
 * A ring's thread answers its requests one after the other: one that waits for a disk would hold
 * up all behind it, and a change of guest memory with them. Operations that do so by nature are
 * marked FUSE_OP_SLEEPS in proto/fuse_ops.h: they are checked on the ring's thread, their chain is
 * deferred (struct fuse_deferral), and a thread of the pool runs them. They have short arguments,
 * which are copied, and short replies; no guest memory is used while they run.
 *
 * A job is waiting (in the list), then running, then answered and free again. The pool's lock
 * covers the list and the states; nothing sleeps inside it. Jobs are bounded: with none free, the
 * ring's thread runs the request itself, which slows down who sends too many.
 *
 * A queue that stops waits for its jobs, so that nobody is told that an fsync failed which did
 * not, or that one succeeded which still runs.
 */
#ifndef FUSE_POOL_H
#define FUSE_POOL_H

#include <stdbool.h>

#include "fuse/request.h"

#define FUSE_POOL_JOBS        64 /* waiting and running, of all queues */
#define FUSE_POOL_THREADS_MAX FUSE_POOL_JOBS

/*
 * Starts n threads (1 to FUSE_POOL_THREADS_MAX) that serve se, whose requests may wait
 * (fuse_session_defer()), and gives it the pool. They begin
 * with the credentials of the calling thread, which must be the process's own: call it on the main
 * thread, before the first request. 0 or -errno.
 */
int fuse_pool_start(struct fuse_session *se, unsigned int n);

/* Ends the threads; no request is being served. Without a pool it does nothing. */
void fuse_pool_stop(struct fuse_session *se);

/* Takes a checked request: true when a thread of the pool will answer it. False where there is no
 * pool, the operation does not sleep, or no job is free. */
bool fuse_pool_take(struct fuse_req *req);

/* Returns when no request of a worker's queue is left, none being taken meanwhile. */
void fuse_pool_drain(struct fuse_worker *w);

#endif
