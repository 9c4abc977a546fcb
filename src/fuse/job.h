// SPDX-License-Identifier: BSD-2-Clause
/*
 * A request that the pool serves (pool.h).
 */
#ifndef FUSE_JOB_H
#define FUSE_JOB_H

#include "fuse/request.h"

/* Bytes of arguments of an operation that sleeps, beside an array. */
#define FUSE_JOB_ARGS 96

struct fuse_job {
	struct fuse_job *next; /* in the list of those that wait, or that are free */
	void *deferred;
	const struct fuse_op *op; /* NULL: the reply is there */
	bool ends;                /* it is to be the last, when nothing is mapped */
	bool data;                /* its reply is followed by data */
	struct fuse_worker *from; /* of the queue that it came by */
	struct fuse_in_header in;
	bool unprivileged;
	uint16_t words;
	void *longer; /* arguments that the job has no room for, or NULL */
	size_t array_len;
	union {
		char bytes[FUSE_JOB_ARGS];
		uint64_t align;
	} args;
	uint64_t sized; /* to be settled */
	uint64_t begun; /* when it was taken (fuse/count.h) */
	uint32_t reply_len;
	char reply[FUSE_DEFERRED_REPLY];
};

/* Runs it, if it has not been run, and answers it; on a thread of the pool, whose worker w is. */
void fuse_job_serve(struct fuse_worker *w, struct fuse_job *job);

#endif
