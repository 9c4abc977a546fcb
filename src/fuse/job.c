// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/job.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* Has the DAX window follow a size before it is told. */
static void settle(const struct fuse_session *se, uint64_t node)
{
	if (node != 0 && se->config.dax && se->fs->ops->is_unsettled(se->fs, node))
		se->fs->ops->settle(se->fs, node);
}

/* Runs the request as its ring's thread would have, with out in place of the chain's room for the
 * whole reply. Of the reply the job has what comes before data. */
static void run(struct fuse_worker *w, struct fuse_job *job, struct cursor out)
{
	struct fuse_req req = {
		.se = w->se,
		.w = w,
		.op = job->op,
		.in = job->in,
		.unprivileged = job->unprivileged,
		.beside = true,
		.words = job->words,
		.args = job->longer ? job->longer : job->args.bytes,
		.array_len = job->array_len,
		.out = out,
	};
	struct fuse_out_header head;
	int r;

	w->queue = job->from->queue;
	cursor_skip(&req.out, sizeof(head) + job->words);
	r = out.left > 0 ? fuse_handle(&req) : -EIO;
	fuse_count_end(fuse_count_of(&w->count, job->in.opcode), job->begun, r);
	if (log_threshold >= LOG_TRACE)
		fuse_print(&req, r);
	head = fuse_out_head(&req, r);
	memcpy(job->reply, &head, sizeof(head));
	if (r >= 0)
		memcpy(job->reply + sizeof(head), w->words, job->words);
	job->reply_len = head.len;
	job->sized = req.sized;
}

/* The whole reply: what the job has of it, head bytes, and behind that the guest's room for data,
 * which is among len bytes. NULL without memory, or room. */
static struct iovec *whole_reply(struct fuse_job *job, const struct iovec *room, size_t len,
	size_t head)
{
	struct cursor data = cursor_over(room, len);
	struct iovec *whole;
	size_t n = 0, taken;

	if (!room || len < head)
		return NULL;
	for (size_t sum = 0; sum < len; n++)
		sum += room[n].iov_len;
	whole = calloc(n + 1, sizeof(*whole));
	if (!whole)
		return NULL;
	whole[0] = (struct iovec){.iov_base = job->reply, .iov_len = head};
	cursor_skip(&data, head);
	cursor_lend(&data, data.left, whole + 1, (int)n, &taken);
	return whole;
}

/* Has data go to where the guest wants it. That this is gone by now is answered all the same, which
 * breaks the ring. */
static void serve_data(struct fuse_worker *w, struct fuse_job *job)
{
	const struct fuse_deferral *deferral = w->se->deferral;
	size_t len = 0, head = sizeof(struct fuse_out_header) + job->words;
	CLEANUP_FREE struct iovec *iov = deferral->reach(job->deferred, &len);
	CLEANUP_FREE struct iovec *whole = whole_reply(job, iov, len, head);

	run(w, job, cursor_over(iov, whole ? len : 0));
	if (!whole || job->reply_len < head)
		deferral->finish(job->deferred, job->reply, job->reply_len);
	else
		deferral->finish_data(job->deferred, whole, job->reply_len);
	deferral->leave(deferral->opaque);
}

void fuse_job_serve(struct fuse_worker *w, struct fuse_job *job)
{
	struct iovec own = {.iov_base = job->reply, .iov_len = sizeof(job->reply)};

	if (job->data) {
		serve_data(w, job);
		return;
	}
	if (job->ends) {
		w->se->fs->ops->unmap_all(w->se->fs);
		w->se->deferral->finish_last(job->deferred, job->reply, job->reply_len);
		return;
	}
	if (job->op)
		run(w, job, cursor_over(&own, sizeof(job->reply)));
	settle(w->se, job->sized);
	w->se->deferral->finish(job->deferred, job->reply, job->reply_len);
}
