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
 * An FSYNC does not sleep where there is no disk (tmpfs), and stays on the ring's thread.
 *
 * A READ sleeps only where the host has not got the data in memory, which the file system is asked
 * first, on the ring's thread (fs.h, at_once). Then it comes here as well, and reads into the
 * guest's memory from here, inside the gate that threads without a ring share (vhost/deferred.h):
 * so a change of guest memory waits for it, as it would wait for the ring's thread.
 *
 * Where there is a DAX window, what may wait for the front-end (FUSE_OP_MAPS) runs here only: the
 * front-end maps by sending us memory, for which rings must pause, and stops rings before it
 * answers. And a reply that tells a size which the window does not follow yet (FUSE_OP_SIZES) is
 * kept until a thread of the pool has had it follow.
 *
 * A job is waiting (in the list), then running, then answered and free again. The pool's lock
 * covers the list and the states; nothing sleeps inside it. Jobs are bounded: with none free, the
 * ring's thread runs the request itself, which slows down who sends too many; what may wait for
 * the front-end fails with EAGAIN.
 *
 * A queue that stops waits for its jobs, so that nobody is told that an fsync failed which did
 * not, or that one succeeded which still runs.
 */
#ifndef FUSE_POOL_H
#define FUSE_POOL_H

#include <stdbool.h>

#include "fuse/request.h"

#define FUSE_POOL_JOBS        1024 /* waiting and running, of all queues */
#define FUSE_POOL_READS       768  /* ... among which are no more READs */
#define FUSE_POOL_THREADS_MAX 64

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

/* The same for a READ whose data is not there yet, on its ring's thread, where there is a pool. */
bool fuse_pool_take_data(struct fuse_req *req);

/* Whether a request may wait for the front-end, so that a ring's thread must not run it. */
bool fuse_may_map(const struct fuse_req *req);

/* Takes the reply of a request that was run, to give it when the DAX window follows the size of
 * req->sized: false where it does already. */
bool fuse_pool_settle(struct fuse_req *req, const void *reply, uint32_t len);

/* Takes the reply of a request that ended the session of before, whose chain was deferred: gives
 * it, after all others, when nothing is mapped any more (QEMU 11.1 does not survive a reset with
 * maps). False where there is no window. */
bool fuse_pool_end(struct fuse_req *req, void *deferred, const void *reply, uint32_t len);

/* What was counted, from any thread; without a pool that there is none. */
void fuse_pool_metrics(struct fuse_session *se, struct metrics *m);

/* Returns when no request of a worker's queue is left, none being taken meanwhile. */
void fuse_pool_drain(struct fuse_worker *w);

#endif
