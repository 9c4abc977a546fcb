// SPDX-License-Identifier: BSD-2-Clause
/*
 * A FUSE session: requests in, file system operations called, replies out (protocol 7.27 to
 * 7.45, <linux/fuse.h>).
 *
 * Input: a descriptor chain, its readable part a request, its writable part room for the reply.
 * Output: the reply in that room. dispatch.c checks a request against the table of operations
 * (proto/fuse_ops.h) before a handler (op_*.c) sees it; handlers call the file system (fs/fs.h).
 *
 * States: before INIT only INIT is served; INIT (again, at any time) drops what the guest held,
 * DESTROY too, and a reset of the device, but of a guest that sleeps (sleep.h). Whatever is wrong
 * with a request, its answer is an error; where even that has no room, the chain goes back empty.
 * Requests run on many threads at once, one worker each.
 *
 * A request for a lock that another holds waits beside its queue, which goes on (op_lock.c). INIT
 * and DESTROY, an INTERRUPT that names it and the end of its queue end it with EINTR, and its
 * answer goes out before theirs. What sleeps by nature, such as FSYNC, is run beside its queue too,
 * by a pool of threads (pool.h).
 */
#ifndef FUSE_SESSION_H
#define FUSE_SESSION_H

#include <stdatomic.h>
#include <stdint.h>

#include "coherence/table.h"
#include "fs/fs.h"
#include "fuse/cache.h"
#include "fuse/count.h"
#include "virtq/virtq.h"

/* What fuse_serve() returns for a request that is answered later, and how it is. */
#define FUSE_DEFERRED UINT32_MAX

/* How requests are answered later (as vhost/deferred.h has it). A reply is at most
 * FUSE_DEFERRED_REPLY bytes long. */
#define FUSE_DEFERRED_REPLY 384
struct fuse_deferral {
	/* Takes the chain of the request that runs on a queue; reply is what the guest gets if the
	 * queue stops first. NULL when that cannot be. */
	void *(*defer)(void *opaque, unsigned int queue, const struct virtq_chain *chain,
		const void *reply, uint32_t len);
	/* Answers, from any thread; false when the queue stopped first. */
	bool (*finish)(void *deferred, const void *reply, uint32_t len);
	/* The same, after all that were finished before. */
	void (*finish_last)(void *deferred, const void *reply, uint32_t len);

	/* The same for a request whose reply is followed by data, which goes to where reach() says:
	 * *len bytes of the whole reply, to be freed, or NULL; until leave() in either case.
	 * finish_data() comes before that, iov being the whole reply: its first piece is still to
	 * go to the guest, the others are there. */
	void *(*defer_data)(void *opaque, unsigned int queue, const struct virtq_chain *chain,
		const void *reply, uint32_t len);
	struct iovec *(*reach)(void *deferred, size_t *len);
	void (*leave)(void *opaque);
	bool (*finish_data)(void *deferred, const struct iovec *iov, uint32_t len);
	void *opaque;
};

struct watch;

struct fuse_session {
	struct fs *fs;
	const struct fuse_deferral *deferral; /* NULL: nothing waits */
	struct fuse_pool *pool;               /* NULL: what sleeps holds up its queue (pool.h) */
	struct fuse_config config;
	uint32_t open_flags_file, open_flags_dir; /* FOPEN_* */

	_Atomic bool ready;     /* INIT was answered */
	_Atomic bool told_old;  /* the log has said why the guest is not served */
	_Atomic uint64_t flags; /* INIT flags that both sides want */
	_Atomic bool waited;    /* a request was deferred, once */

	struct fuse_counts counts; /* of all workers */

	const struct watch *watch; /* NULL: nobody knows what others change */
	struct vtable *table; /* NULL: changes are marked nowhere (version.h) */
	_Atomic bool agreed;  /* the guest reads words in replies, until it starts over */
	_Atomic bool pins;    /* it uses files by their nodes, until then (pins.h) */
	_Atomic bool sleeps;  /* it may say that it sleeps, until then (sleep.h) */
	_Atomic bool asleep;  /* it has */
};

/* Scratch space of one thread. */
struct fuse_worker;

/* fs must outlive the session; config is copied. */
void fuse_session_init(struct fuse_session *se, struct fs *fs, const struct fuse_config *config);

/* From now on requests may wait; before the first one. */
void fuse_session_defer(struct fuse_session *se, const struct fuse_deferral *deferral);

/* What guests see and change is told by a table, which outlives the session; before the first
 * request. */
void fuse_session_version(struct fuse_session *se, struct vtable *table);

/* Guests without a table are told less of what host processes are changing just now: of that a
 * watch knows, which outlives the session; before the first request. */
void fuse_session_watch(struct fuse_session *se, const struct watch *watch);

/* Whether a good reply to a request of this opcode has words, if it comes now. */
bool fuse_reply_has_words(const struct fuse_session *se, uint32_t opcode);

/* The guest is gone: what it held is dropped, and the next one starts with INIT. */
void fuse_session_reset(struct fuse_session *se);

/* The same for a guest whose device was reset; unless it sleeps, and is to find all as it was. */
void fuse_session_device_reset(struct fuse_session *se);

/* queue is named in traces. NULL when there is no memory. */
struct fuse_worker *fuse_worker_new(struct fuse_session *se, unsigned int queue);
void fuse_worker_free(struct fuse_worker *w);

/* Ends the requests of a worker that wait, with EINTR, and sees those to their end that the pool
 * runs; none is served meanwhile. */
void fuse_worker_end_waits(struct fuse_worker *w);

/* What was counted since the start, from any thread. */
void fuse_session_metrics(struct fuse_session *se, struct metrics *m);

/* Answers one request. Returns how many bytes of chain->out were written, or FUSE_DEFERRED. */
uint32_t fuse_serve(struct fuse_worker *w, const struct virtq_chain *chain);

#endif
