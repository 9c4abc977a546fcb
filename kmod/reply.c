// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Replies: checked for their form, and brought to who waits for them, or to nobody.
 *
 * The interrupt wakes the task that waits. What is asynchronous, and what a killed task has left,
 * goes to a thread of the module: end() may take some time, and what a left reply has given us (a
 * lookup, a handle) has to be given back by another request.
 *
 * The server is not trusted: a reply has the unique number that was sent, lengths that agree with
 * what the device wrote and what was asked for, and an error that is one.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "coherence.h"
#include "conn.h"
#include "request.h"
#include "trace.h"

static struct workqueue_struct *answers;

/* ---- form ---------------------------------------------------------------------------------- */

/* The bytes behind header and words, or -errno. */
static int payload_of(const struct cw_req *req)
{
	const unsigned int head_len = sizeof(struct fuse_out_header) + req->words;
	struct fuse_out_header head;

	if (req->err)
		return req->err;
	if (req->len < sizeof(head))
		return -EIO;
	memcpy(&head, req->out, sizeof(head));
	if (head.unique != req->in->unique || head.len > req->len || head.len < sizeof(head))
		return -EIO;
	if (head.error) {
		/* Linux's own codes beyond these are nobody's outside it. */
		if (head.error > 0 || head.error <= -512 || head.len != sizeof(head))
			return -EIO;
		return head.error;
	}
	return head.len < head_len ? -EIO : head.len - head_len;
}

static int take_reply(const struct cw_req *req, struct cw_call *call)
{
	const void *words = req->out + sizeof(struct fuse_out_header);
	int payload = payload_of(req);

	if (payload < 0)
		return payload;
	if (req->has_data) {
		if (payload > call->data_len)
			return -EIO;
	} else if (payload != call->out_size && !(call->out_short && payload < call->out_size)) {
		return -EIO;
	} else if (call->out) {
		memcpy(call->out, words + req->words, payload);
	}
	if (call->words) {
		call->words->opcode = call->opcode;
		call->words->came = req->words > 0;
		memcpy(call->words->bytes, words, req->words);
	}
	return payload;
}

int cw_req_finish(struct cw_req *req, struct cw_call *call)
{
	int r = take_reply(req, call);

	trace_causeway_reply(cw_dev_tag(req->conn->dev), req->in, r);
	return r;
}

/* ---- the interrupt -------------------------------------------------------------------------- */

struct cw_req *cw_req_chain(struct cw_req *chain, struct cw_req *req, unsigned int len)
{
	req->len = min(len, req->room);
	req->next = chain;
	return req;
}

/* Wakes the task, or leaves it to the thread. The lock of the wait queue is held: a task that sees
 * the answer frees the request after it. */
static void over(struct cw_req *req)
{
	struct cw_conn *c = req->conn;

	cw_conn_heard(c, req->awaited);
	if (!req->call && atomic_cmpxchg(&req->state, CW_WAITED, CW_ANSWERED) == CW_WAITED)
		wake_up_locked(&req->wait);
	else if (llist_add(&req->answered, &c->answered))
		queue_work(answers, &c->answered_work);
}

void cw_reqs_done(struct cw_req *chain)
{
	unsigned long flags;

	while (chain) {
		struct cw_req *req = chain;

		chain = req->next;
		spin_lock_irqsave(&req->wait.lock, flags);
		over(req);
		spin_unlock_irqrestore(&req->wait.lock, flags);
	}
}

void cw_req_gone(struct cw_req *req, int err)
{
	req->err = err;
	cw_reqs_done(cw_req_chain(NULL, req, 0));
}

void cw_req_sync(struct cw_req *req)
{
	unsigned long flags;

	spin_lock_irqsave(&req->wait.lock, flags);
	spin_unlock_irqrestore(&req->wait.lock, flags);
}

/* ---- replies that nobody waits for any more -------------------------------------------------- */

struct release {
	struct cw_call call;
	struct fuse_release_in in;
};

static void release_end(struct cw_call *call, int result)
{
	kfree(container_of(call, struct release, call));
}

static void release(struct cw_conn *c, u32 opcode, u64 nodeid, const struct fuse_open_out *open)
{
	struct release *r = kzalloc(sizeof(*r), GFP_NOFS | __GFP_NOFAIL);

	r->in.fh = open->fh;
	r->call = (struct cw_call){
		.opcode = opcode,
		.nodeid = nodeid,
		.nin = 1,
		.in = { { &r->in, sizeof(r->in) } },
		.as_kernel = true,
		.nofail = true,
		.end = release_end,
	};
	if (cw_call_start(c, &r->call) < 0)
		kfree(r);
}

/* What replies give, by opcode: it is given back. */
static const struct {
	u32 opcode;
	bool entry;
	u32 release; /* 0: no handle */
} gives[] = {
	{ FUSE_LOOKUP, .entry = true },
	{ FUSE_MKNOD, .entry = true },
	{ FUSE_MKDIR, .entry = true },
	{ FUSE_SYMLINK, .entry = true },
	{ FUSE_LINK, .entry = true },
	{ FUSE_CREATE, .entry = true, .release = FUSE_RELEASE },
	{ FUSE_TMPFILE, .entry = true, .release = FUSE_RELEASE },
	{ FUSE_OPEN, .release = FUSE_RELEASE },
	{ FUSE_OPENDIR, .release = FUSE_RELEASEDIR },
};

static void undo(struct cw_req *req)
{
	struct cw_conn *c = req->conn;
	const void *at = req->out + sizeof(struct fuse_out_header) + req->words;
	struct fuse_entry_out entry = { .nodeid = req->in->nodeid };
	struct fuse_open_out open;
	size_t i;

	if (req->in->opcode == FUSE_READDIRPLUS) {
		/* It has data, and is held: who asked has left. */
		cw_forget_listed(c, req->pages[0].bv_page, max(payload_of(req), 0));
		return;
	}
	for (i = 0; i < ARRAY_SIZE(gives) && gives[i].opcode != req->in->opcode; i++)
		;
	if (i == ARRAY_SIZE(gives) ||
	    payload_of(req) != (gives[i].entry ? sizeof(entry) : 0) +
			       (gives[i].release ? sizeof(open) : 0))
		return;
	if (gives[i].entry) {
		memcpy(&entry, at, sizeof(entry));
		at += sizeof(entry);
	}
	if (gives[i].release) {
		memcpy(&open, at, sizeof(open));
		release(c, gives[i].release, entry.nodeid, &open);
	}
	if (gives[i].entry && entry.nodeid)
		cw_forget(c, NULL, entry.nodeid, 1);
}

/* ---- the thread ---------------------------------------------------------------------------- */

void cw_answered(struct work_struct *work)
{
	struct cw_conn *c = container_of(work, struct cw_conn, answered_work);
	struct llist_node *list = llist_reverse_order(llist_del_all(&c->answered));
	struct cw_req *req, *next;

	llist_for_each_entry_safe(req, next, list, answered) {
		struct cw_call *call = req->call;
		int r = 0;

		cw_req_sync(req);
		if (call)
			r = cw_req_finish(req, call);
		else if (req->awaited)
			undo(req);
		cw_req_free(req);
		if (call)
			call->end(call, r);
	}
}

int cw_replies_create(void)
{
	answers = alloc_workqueue("causeway", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return answers ? 0 : -ENOMEM;
}

void cw_replies_destroy(void)
{
	destroy_workqueue(answers);
}
