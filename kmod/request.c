// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Requests on their way to the device: from a struct cw_call to a message in a queue; and tasks
 * that wait for replies (reply.c).
 *
 * A signal makes a task ask the server to end the request (INTERRUPT), and go on waiting: what the
 * server has done has to be known. Only Causeway's server is asked: others do nothing about it, and
 * QEMU's old one takes it ill. A fatal signal ends the wait.
 *
 * Nor is a task frozen while it waits: it may have locks that others need to come to where they can
 * be. The freezer's call is one more signal: who waits for a lock is sent away by the server, and
 * asks anew when the machine is awake.
 */
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "coherence.h"
#include "conn.h"
#include "main.h"
#include "request.h"
#include "trace.h"

static struct kmem_cache *cache;

/* ---- memory -------------------------------------------------------------------------------- */

void cw_req_free(struct cw_req *req)
{
	unsigned int i;

	if (req->held)
		for (i = 0; i < req->npages; i++)
			put_page(req->pages[i].bv_page);
	kfree(req->pages);
	kfree(req->space);
	kmem_cache_free(cache, req);
}

static unsigned int padded(unsigned int size)
{
	return ALIGN(size, max_t(unsigned int, ARCH_DMA_MINALIGN, sizeof(u64)));
}

/* More than two pages are not to be asked for with __GFP_NOFAIL, which the kernel warns of: so few
 * as these come sooner or later. */
static void *allocate(size_t size, gfp_t gfp)
{
	void *at;

	if (size <= 2 * PAGE_SIZE || !(gfp & __GFP_NOFAIL))
		return kmalloc(size, gfp);
	while (!(at = kmalloc(size, gfp & ~__GFP_NOFAIL)))
		msleep(20);
	return at;
}

/* Room for lists, what is read, and what is written, one behind another. */
static bool place(struct cw_req *req, gfp_t gfp)
{
	const unsigned int sg = padded((2 + req->npages) * sizeof(*req->sg));
	const unsigned int in = padded(req->in_len);
	const size_t all = (size_t)sg + in + req->out_len;
	char *at = req->memory;

	if (all > sizeof(req->memory)) {
		at = allocate(all, gfp);
		if (!at)
			return false;
		req->space = at;
	}
	req->sg = (void *)at;
	req->in = (void *)(at + sg);
	req->out = at + sg + in;
	memset(req->out, 0, req->out_len);
	return true;
}

struct cw_req *cw_req_new(struct cw_conn *c, const struct cw_call *call)
{
	const gfp_t gfp = GFP_NOFS | __GFP_ACCOUNT | __GFP_NOWARN |
		(call->nofail ? __GFP_NOFAIL : 0);
	struct cw_req *req = kmem_cache_alloc(cache, gfp);
	unsigned int i;
	char *at;

	if (!req)
		return NULL;
	memset(req, 0, offsetof(struct cw_req, memory));
	req->conn = c;
	init_waitqueue_head(&req->wait);
	req->in_len = sizeof(*req->in);
	for (i = 0; i < call->nin; i++)
		req->in_len += call->in[i].len;
	req->words = cw_words_size(c, call->opcode);
	req->out_len = sizeof(struct fuse_out_header) + req->words + call->out_size;
	req->has_data = call->npages && !call->to_server;
	req->room = req->out_len + (req->has_data ? call->data_len : 0);
	req->npages = call->npages;
	if (!place(req, gfp)) {
		cw_req_free(req);
		return NULL;
	}
	at = (char *)(req->in + 1);
	for (i = 0; i < call->nin; at += call->in[i++].len)
		memcpy(at, call->in[i].data, call->in[i].len);
	return req;
}

/* References of our own to the pages of data, which the device may write to after the task has
 * left. */
static bool hold_pages(struct cw_req *req, const struct cw_call *call)
{
	unsigned int i;

	if (!call->npages)
		return true;
	req->pages = kmemdup(call->pages, call->npages * sizeof(*call->pages), GFP_NOFS);
	if (!req->pages)
		return false;
	for (i = 0; i < call->npages; i++)
		get_page(call->pages[i].bv_page);
	req->held = true;
	return true;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void fill_header(struct cw_req *req, const struct cw_call *call)
{
	*req->in = (struct fuse_in_header){
		.len = req->in_len + (call->to_server ? call->data_len : 0),
		.opcode = call->opcode,
		/* Odd ones are for what the server would begin. */
		.unique = atomic64_add_return(2, &req->conn->unique),
		.nodeid = call->nodeid,
		.uid = from_kuid(&init_user_ns, call->uid),
		.gid = from_kgid(&init_user_ns, call->gid),
		.pid = call->pid,
		.total_extlen = call->ext_len / 8,
	};
}

static unsigned int fill_pages(struct scatterlist *sg, const struct cw_call *call)
{
	unsigned int left = call->data_len, n = 0, i;

	for (i = 0; i < call->npages && left > 0; i++, n++) {
		unsigned int len = min(left, call->pages[i].bv_len);

		left -= len;
		sg_set_page(&sg[n], call->pages[i].bv_page, len, call->pages[i].bv_offset);
	}
	return n;
}

/* The lists of what the device reads, and of what it writes. */
static void fill_lists(struct cw_req *req, const struct cw_call *call, struct cw_sgs *sgs)
{
	struct scatterlist *in = &req->sg[0], *out = &req->sg[1], *data = &req->sg[2];
	unsigned int pages = 0;

	sg_init_one(in, req->in, req->in_len);
	sg_init_one(out, req->out, req->out_len);
	if (call->npages) {
		sg_init_table(data, call->npages);
		pages = fill_pages(data, call);
		if (pages)
			sg_mark_end(&data[pages - 1]);
	}
	*sgs = (struct cw_sgs){ .sgs = { in }, .out = 1 };
	if (pages && call->to_server)
		sgs->sgs[sgs->out++] = data;
	if (!req->awaited)
		return;
	sgs->sgs[sgs->out + sgs->in++] = out;
	if (pages && !call->to_server)
		sgs->sgs[sgs->out + sgs->in++] = data;
}

static void count(struct cw_conn *c, u32 opcode)
{
	atomic64_inc(&c->sent);
	atomic64_inc(&c->sent_by_op[opcode < FUSE_OPCODE_MAX ? opcode : 0]);
}

static int submit(struct cw_req *req, const struct cw_call *call, enum cw_way way,
		  enum cw_wait wait)
{
	struct cw_conn *c = req->conn;
	const bool awaited = req->awaited;
	struct cw_sgs sgs;
	int r;

	fill_header(req, call);
	fill_lists(req, call, &sgs);
	if (READ_ONCE(c->dead))
		return -ENOTCONN;
	if (awaited)
		cw_conn_waits(c);
	trace_causeway_send(cw_dev_tag(c->dev), req->in);
	/* Before: once it is sent, the reply, and with it the end, may be there. */
	count(c, call->opcode);
	r = cw_dev_submit(c->dev, way, &sgs, req, wait);
	if (r < 0 && awaited)
		atomic_dec(&c->waiting);
	return r;
}

int cw_send(struct cw_conn *c, u32 opcode, u64 nodeid, const struct cw_in *in, unsigned int nin,
	    enum cw_wait wait)
{
	struct cw_call call = { .opcode = opcode, .nodeid = nodeid, .nin = nin };
	struct cw_req *req;
	unsigned int i;
	int r;

	for (i = 0; i < nin; i++)
		call.in[i] = in[i];
	req = cw_req_new(c, &call);
	if (!req)
		return -ENOMEM;
	atomic_set(&req->state, CW_LEFT);
	r = submit(req, &call, CW_HIGH_PRIORITY, wait);
	if (r < 0)
		cw_req_free(req);
	return r;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static bool is_answered(struct cw_req *req)
{
	return atomic_read_acquire(&req->state) == CW_ANSWERED;
}

static void interrupt(struct cw_req *req)
{
	const struct fuse_interrupt_in arg = { .unique = req->in->unique };
	const struct cw_in in = { &arg, sizeof(arg) };

	trace_causeway_interrupt(cw_dev_tag(req->conn->dev), req->in);
	if (req->conn->ours)
		cw_send(req->conn, FUSE_INTERRUPT, 0, &in, 1, CW_WAIT_KILLABLE);
}

/* True where the reply came first. */
static bool leave(struct cw_req *req)
{
	return atomic_cmpxchg(&req->state, CW_WAITED, CW_LEFT) == CW_ANSWERED;
}

/* True when the reply is there; false when the task has left it. */
static bool wait_for_reply(struct cw_req *req, const struct cw_call *call)
{
	if (call->limit) {
		if (wait_event_timeout(req->wait, is_answered(req), call->limit))
			return true;
		return leave(req);
	}
	if (call->unkillable) {
		wait_event(req->wait, is_answered(req));
		return true;
	}
	if (wait_event_interruptible(req->wait, is_answered(req)) == 0)
		return true;
	interrupt(req);
	if (wait_event_killable(req->wait, is_answered(req)) == 0)
		return true;
	if (!hold_pages(req, call)) {
		wait_event(req->wait, is_answered(req));
		return true;
	}
	return leave(req);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void set_caller(struct cw_call *call)
{
	if (call->as_kernel) {
		call->uid = GLOBAL_ROOT_UID;
		call->gid = GLOBAL_ROOT_GID;
		call->pid = 0;
	} else {
		if (!call->ids) {
			call->uid = current_fsuid();
			call->gid = current_fsgid();
		}
		call->pid = pid_nr_ns(task_pid(current), &init_pid_ns);
	}
}

/* A request in a queue; NULL, and in *err why. */
static struct cw_req *begin(struct cw_conn *c, struct cw_call *call, bool async, enum cw_wait wait,
			    int *err)
{
	struct cw_req *req;

	set_caller(call);
	if (call->words)
		call->words->came = false;
	*err = -ENOMEM;
	req = cw_req_new(c, call);
	if (!req)
		return NULL;
	req->awaited = true;
	req->call = async ? call : NULL;
	*err = submit(req, call, call->through ? CW_THROUGH : CW_AS_EVER, wait);
	if (*err == 0)
		return req;
	cw_req_free(req);
	return NULL;
}

int cw_call(struct cw_conn *c, struct cw_call *call)
{
	struct cw_req *req;
	int r;

	cw_coherence_tend(c);
	req = begin(c, call, false, call->unkillable ? CW_WAIT : CW_WAIT_KILLABLE, &r);
	if (!req)
		return r;
	if (!wait_for_reply(req, call))
		return -EINTR;
	cw_req_sync(req);
	r = cw_req_finish(req, call);
	cw_req_free(req);
	return r;
}

int cw_call_start(struct cw_conn *c, struct cw_call *call)
{
	int r;

	begin(c, call, true, CW_WAIT, &r);
	return r;
}

int cw_simple(struct cw_conn *c, u32 opcode, u64 nodeid, const void *arg, unsigned int arg_len,
	      const struct qstr *name, void *out, unsigned int out_size, struct cw_words *words)
{
	struct cw_call call = {
		.opcode = opcode,
		.nodeid = nodeid,
		.out = out,
		.out_size = out_size,
		.words = words,
	};

	if (arg_len)
		call.in[call.nin++] = (struct cw_in){ arg, arg_len };
	if (name) {
		call.in[call.nin++] = (struct cw_in){ name->name, name->len };
		call.in[call.nin++] = (struct cw_in){ "", 1 };
	}
	return cw_call(c, &call);
}

/* ---- the module's ---------------------------------------------------------------------------- */

int cw_requests_create(void)
{
	int r = cw_replies_create();

	if (r < 0)
		return r;
	cache = kmem_cache_create("causeway_request", sizeof(struct cw_req),
				  __alignof__(struct cw_req), SLAB_ACCOUNT, NULL);
	if (!cache) {
		cw_replies_destroy();
		return -ENOMEM;
	}
	return 0;
}

void cw_requests_destroy(void)
{
	cw_replies_destroy();
	kmem_cache_destroy(cache);
}
