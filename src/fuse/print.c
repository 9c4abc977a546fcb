// SPDX-License-Identifier: BSD-2-Clause
/*
 * One line for a request and its outcome.
 */
#include "base/log.h"
#include "base/util.h"
#include "fuse/request.h"
#include "trace/print.h"

/* How much of the request was copied. */
static size_t args_len(const struct fuse_req *req)
{
	if (!req->args)
		return 0;
	return req->op->tail == FUSE_TAIL_DATA ? req->op->fixed : req->in.len - sizeof(req->in);
}

void fuse_print(const struct fuse_req *req, int result)
{
	char text[TRACE_TEXT_MAX], outcome[64] = "waits";

	trace_print_request(text, sizeof(text), &req->in, req->args, args_len(req));
	if (result != FUSE_LATER)
		trace_print_reply(outcome, sizeof(outcome), req->in.opcode, min_t(int, result, 0),
			(size_t)max_t(int, result, 0), NULL, 0);
	log_print(LOG_TRACE, "queue %u: %s: %s", req->w->queue, text, outcome);
}
