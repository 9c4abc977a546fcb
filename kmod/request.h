/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A request, as request.c (to the device) and reply.c (from it) share it.
 *
 * It has memory of its own for what the device reads and writes, as the device may not be given
 * stacks, and lives until the device has given it back. It waits (CW_WAITED), is answered
 * (CW_ANSWERED), or is left by its task (CW_LEFT): whoever comes second, of task and device, frees
 * it. A task leaves only when it is being killed; the pages of its data are held by references
 * then, as the device may still write to them.
 */
#ifndef KMOD_REQUEST_H
#define KMOD_REQUEST_H

#include "conn.h"

enum { CW_WAITED, CW_ANSWERED, CW_LEFT };

#define CW_REQ_INLINE 448 /* enough for most of what has no data */

struct cw_req {
	struct cw_conn *conn;
	struct cw_call *call; /* an asynchronous one's: end() is due */
	struct cw_req *next;  /* of a chain that is done */
	struct llist_node answered;
	wait_queue_head_t wait;
	atomic_t state;
	bool awaited;         /* the server owes a reply */
	bool has_data;        /* the reply may bring data, into pages */
	bool held;            /* references to pages are ours */
	unsigned int len;     /* bytes that the device has written, at most room */
	unsigned int room;
	int err;              /* in place of a reply */

	/* All three in `memory`, or in space of their own. */
	struct scatterlist *sg;
	struct fuse_in_header *in; /* arguments follow */
	void *out;                 /* header, words, the fixed part */
	unsigned int in_len, out_len, words;
	struct bio_vec *pages;     /* a copy, once held */
	unsigned int npages;
	void *space;
	char memory[CW_REQ_INLINE] __aligned(ARCH_DMA_MINALIGN);
};

/* Memory for a call; NULL. */
struct cw_req *cw_req_new(struct cw_conn *c, const struct cw_call *call);
void cw_req_free(struct cw_req *req);

/* What the reply says, copied to where the call wants it: bytes of payload, or -errno. The request
 * is answered, and nobody else has it any more. */
int cw_req_finish(struct cw_req *req, struct cw_call *call);

/* What the interrupt still does with a request that is seen to be answered is over after this. */
void cw_req_sync(struct cw_req *req);

/* The work of answered_work: replies that are handled outside the interrupt. */
void cw_answered(struct work_struct *work);

int cw_replies_create(void);
void cw_replies_destroy(void);

#endif
