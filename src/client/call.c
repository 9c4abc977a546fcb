// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/client.h"

/* Payload of a page or more begins on a page, as direct I/O of the back-end wants it. */
#define PAYLOAD_ALIGN(len) ((len) >= ARENA_PAGE ? ARENA_PAGE : 64u)

size_t client_iov_len(const struct iovec *iov, unsigned int n)
{
	size_t len = 0;

	for (unsigned int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* A call in guest memory: header, arguments, reply header, reply structure; then the payload. */
struct placed {
	struct request request; /* first: finished() gets this */
	struct causeway *c;
	char *memory;
	size_t bytes;
	bool awaited; /* somebody waits, and frees it */
	uint64_t unique;
	struct fuse_in_header *in;
	char *args;
	struct fuse_out_header *out;
	char *reply, *payload;
};

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static char *gather(char *to, const struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (iov[i].iov_len > 0)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	return to;
}

/* Copies len bytes of guest memory to where they were wanted. */
static void scatter(const char *from, size_t len, const struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n && len > 0; i++) {
		size_t part = min_t(size_t, len, iov[i].iov_len);

		if (part > 0)
			memcpy(iov[i].iov_base, from, part);
		from += part;
		len -= part;
	}
}

static void write_header(struct causeway *c, struct placed *p, const struct call *call, size_t len)
{
	p->unique = call->unique ? call->unique : client_unique(c);
	*p->in = (struct fuse_in_header){
		.len = (uint32_t)len,
		.opcode = call->opcode,
		.unique = p->unique,
		.nodeid = call->nodeid,
		.uid = (uint32_t)c->options.uid,
		.gid = (uint32_t)c->options.gid,
		.pid = (uint32_t)getpid(),
	};
}

static int place(struct causeway *c, struct placed *p, const struct call *call, bool answered)
{
	size_t args = client_iov_len(call->args, call->nargs);
	size_t send = client_iov_len(call->send, call->nsend);
	size_t take = client_iov_len(call->take, call->ntake);
	size_t out_at = align_up(sizeof(*p->in) + args, 8);
	size_t payload_at = align_up(out_at + sizeof(*p->out) + call->out_size,
		PAYLOAD_ALIGN(send + take));
	void *memory;
	int r;

	p->c = c;
	p->bytes = payload_at + send + take;
	p->awaited = answered;
	r = arena_alloc(&c->t.arena, p->bytes, answered, &memory);
	if (r == -ENOBUFS) {
		/* What nobody waits for may have come back meanwhile. */
		transport_reap(&c->t);
		r = arena_alloc(&c->t.arena, p->bytes, answered, &memory);
	}
	if (r == -EMSGSIZE)
		return client_fail(c, r, "a request of %zu bytes is larger than the memory for "
					 "requests", p->bytes);
	if (r < 0)
		return client_fail(c, r, "the memory for requests is all in use; release buffers "
					 "and replies, or set more");
	p->memory = memory;
	p->in = memory;
	p->args = p->memory + sizeof(*p->in);
	p->out = (struct fuse_out_header *)(p->memory + out_at);
	p->reply = (char *)(p->out + 1);
	p->payload = p->memory + payload_at;
	gather(p->args, call->args, call->nargs);
	gather(p->payload, call->send, call->nsend);
	write_header(c, p, call, sizeof(*p->in) + args + send);
	p->request.nin = p->request.nout = 0;
	request_add_in(&c->t, &p->request, p->in, sizeof(*p->in));
	if (args > 0)
		request_add_in(&c->t, &p->request, p->args, args);
	if (send > 0)
		request_add_in(&c->t, &p->request, p->payload, send);
	if (!answered)
		return 0;
	request_add_out(&c->t, &p->request, p->out, sizeof(*p->out));
	if (call->out_size > 0)
		request_add_out(&c->t, &p->request, p->reply, call->out_size);
	if (take > 0)
		request_add_out(&c->t, &p->request, p->payload + send, take);
	return 0;
}

static void unplace(struct placed *p)
{
	arena_free(&p->c->t.arena, p->memory, p->bytes, p->awaited);
}

static int malformed(struct causeway *c, const struct call *call, const char *how)
{
	return client_fail(c, -EPROTO, "the back-end's reply to %s is malformed: %s",
		trace_opcode_name(call->opcode), how);
}

/* Checks a copy of the reply's header; the length of what follows it, or -errno. */
static int check_reply(struct causeway *c, const struct call *call, const struct placed *p,
	const struct fuse_out_header *out)
{
	if (p->request.written < sizeof(*out))
		return malformed(c, call, "it is shorter than its header");
	if (out->unique != p->unique)
		return malformed(c, call, "it belongs to another request");
	if (out->len < sizeof(*out) || out->len > p->request.written)
		return malformed(c, call, "its length is not what was written");
	if (out->error > 0 || out->error <= -512)
		return malformed(c, call, "its error is none");
	if (out->error < 0 && out->len != sizeof(*out))
		return malformed(c, call, "something follows an error");
	if (out->error < 0)
		return client_fail(c, out->error, "%s: %s", trace_opcode_name(call->opcode),
			strerror(-out->error));
	if (out->len - sizeof(*out) < call->out_least)
		return malformed(c, call, "it is too short");
	return (int)(out->len - sizeof(*out));
}

static int take_reply(struct causeway *c, struct call *call, struct placed *p)
{
	struct fuse_out_header out;
	int len;

	if (p->request.status < 0)
		return client_lost(c);
	memcpy(&out, p->out, sizeof(out));
	len = check_reply(c, call, p, &out);
	if (len < 0)
		return len;
	call->out_len = min_t(uint32_t, len, call->out_size);
	call->taken = (size_t)len - call->out_len;
	if (call->out_len > 0)
		memcpy(call->out, p->reply, call->out_len);
	if (call->taken > 0)
		scatter(p->payload + client_iov_len(call->send, call->nsend), call->taken,
			call->take, call->ntake);
	return 0;
}

/* Waits for what was submitted, unless its token ends that. */
static void await(struct causeway *c, const struct call *call, struct placed *p, unsigned int queue)
{
	struct interruptible i = {.unique = p->unique};

	if (call->token)
		token_enter(call->token, &i);
	transport_wait(&c->t, queue, &p->request);
	if (call->token)
		token_leave(call->token, &i);
}

int client_call(struct causeway *c, struct call *call)
{
	unsigned int queue = transport_my_queue(&c->t);
	struct placed p = {.request = {.finished = NULL}};
	int r = call->token ? token_check(call->token, c) : 0;

	if (!c->connected)
		return client_fail(c, -ENOTCONN, "not connected");
	if (r == 0)
		r = place(c, &p, call, true);
	if (r < 0)
		return r;
	call->asof = atomic_load(&c->nodes.changes);
	atomic_fetch_add_explicit(&c->requests, 1, memory_order_relaxed);
	r = transport_submit(&c->t, queue, &p.request);
	if (r == 0) {
		await(c, call, &p, queue);
		r = take_reply(c, call, &p);
	} else {
		r = r == -ENOTCONN ? client_lost(c) :
			client_fail(c, r, "a request has more pieces than a queue holds");
	}
	unplace(&p);
	return r;
}

/* Nobody waits for it: its memory goes when it comes back. */
static void sent(struct request *request)
{
	struct placed *p = container_of(request, struct placed, request);

	unplace(p);
	free(p);
}

int client_send(struct causeway *c, struct call *call)
{
	struct placed *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return client_fail(c, -ENOMEM, "no memory for a request");
	/* Nobody else takes back those that were sent before. */
	transport_reap(&c->t);
	p->request.finished = sent;
	r = place(c, p, call, false);
	if (r == 0) {
		atomic_fetch_add_explicit(&c->requests, 1, memory_order_relaxed);
		r = transport_submit(&c->t, 0, &p->request);
		if (r == 0)
			return 0;
		r = r == -ENOTCONN ? client_lost(c) :
			client_fail(c, r, "a request has more pieces than a queue holds");
		unplace(p);
	}
	free(p);
	return r;
}
