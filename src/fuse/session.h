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
 * DESTROY too. Whatever is wrong with a request, its answer is an error; where even that has no
 * room, the chain goes back empty. Requests run on many threads at once, one worker each.
 */
#ifndef FUSE_SESSION_H
#define FUSE_SESSION_H

#include <stdatomic.h>
#include <stdint.h>

#include "fs/fs.h"
#include "fuse/cache.h"
#include "virtq/virtq.h"

struct fuse_session {
	struct fs *fs;
	struct fuse_config config;
	uint32_t open_flags_file, open_flags_dir; /* FOPEN_* */

	_Atomic bool ready;     /* INIT was answered */
	_Atomic bool told_old;  /* the log has said why the guest is not served */
	_Atomic uint64_t flags; /* INIT flags that both sides want */
};

/* Scratch space of one thread. */
struct fuse_worker;

/* fs must outlive the session; config is copied. */
void fuse_session_init(struct fuse_session *se, struct fs *fs, const struct fuse_config *config);

/* The guest is gone: what it held is dropped, and the next one starts with INIT. */
void fuse_session_reset(struct fuse_session *se);

/* queue is named in traces. NULL when there is no memory. */
struct fuse_worker *fuse_worker_new(struct fuse_session *se, unsigned int queue);
void fuse_worker_free(struct fuse_worker *w);

/* Answers one request. Returns how many bytes of chain->out were written. */
uint32_t fuse_serve(struct fuse_worker *w, const struct virtq_chain *chain);

#endif
