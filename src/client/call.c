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

/* A call in guest memory: header, arguments, reply header, words, reply structure; then the
 * payload. */
struct placed {
	struct request request; /* first: finished() gets this */
	struct causeway *c;
	char *memory;
	size_t bytes;
	bool passing; /* of the arena: it goes without anything that the program has to do */
	uint64_t unique;
	struct call *call; /* whom to tell where nobody waits */
	struct fuse_in_header *in;
	char *args;
	struct fuse_out_header *out;
	unsigned int words; /* bytes of them, behind the header */
	char *reply;
	char *taken; /* the reply's payload, to be copied; NULL: it is where it was wanted */
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

/* Whether payload lies in guest memory already, and stays where it is. */
static bool in_place(struct causeway *c, const struct call *call, const struct iovec *iov,
	unsigned int n)
{
	return call->in_place && n == 1 && iov->iov_len > 0 &&
		arena_holds(&c->t.arena, iov->iov_base, iov->iov_len);
}

static int take_memory(struct causeway *c, struct placed *p)
{
	void *memory;
	int r = arena_alloc(&c->t.arena, p->bytes, p->passing, &memory);

	if (r == -ENOBUFS) {
		/* What nobody waits for may have come back meanwhile. */
		transport_reap(&c->t);
		r = arena_alloc(&c->t.arena, p->bytes, p->passing, &memory);
	}
	if (r == -EMSGSIZE)
		return client_fail(c, r, "a request of %zu bytes is larger than the memory for "
					 "requests", p->bytes);
	if (r < 0)
		return client_fail(c, r, "the memory for requests is all in use; release buffers "
					 "and replies, or set more");
	p->memory = memory;
	return 0;
}

static int place(struct causeway *c, struct placed *p, const struct call *call, bool answered,
	bool passing)
{
	size_t args = client_iov_len(call->args, call->nargs);
	size_t send = client_iov_len(call->send, call->nsend);
	size_t take = client_iov_len(call->take, call->ntake);
	bool send_here = in_place(c, call, call->send, call->nsend);
	bool take_here = in_place(c, call, call->take, call->ntake);
	size_t payload = (send_here ? 0 : send) + (take_here ? 0 : take);
	size_t out_at = align_up(sizeof(*p->in) + args, 8);
	unsigned int words = c->table.words ? words_size(call->opcode) : 0;
	size_t payload_at = align_up(out_at + sizeof(*p->out) + words + call->out_size,
		PAYLOAD_ALIGN(payload));
	char *sent;
	int r;

	p->c = c;
	p->bytes = payload_at + payload;
	p->passing = passing;
	r = take_memory(c, p);
	if (r < 0)
		return r;
	p->in = (struct fuse_in_header *)p->memory;
	p->args = p->memory + sizeof(*p->in);
	p->out = (struct fuse_out_header *)(p->memory + out_at);
	p->words = words;
	p->reply = (char *)(p->out + 1) + words;
	sent = send_here ? call->send->iov_base : p->memory + payload_at;
	p->taken = take_here ? NULL : p->memory + payload_at + (send_here ? 0 : send);
	gather(p->args, call->args, call->nargs);
	if (!send_here)
		gather(sent, call->send, call->nsend);
	write_header(c, p, call, sizeof(*p->in) + args + send);
	p->request.nin = p->request.nout = 0;
	request_add_in(&c->t, &p->request, p->in, sizeof(*p->in));
	if (args > 0)
		request_add_in(&c->t, &p->request, p->args, args);
	if (send > 0)
		request_add_in(&c->t, &p->request, sent, send);
	if (!answered)
		return 0;
	request_add_out(&c->t, &p->request, p->out, sizeof(*p->out) + words);
	if (call->out_size > 0)
		request_add_out(&c->t, &p->request, p->reply, call->out_size);
	if (take > 0)
		request_add_out(&c->t, &p->request,
			take_here ? call->take->iov_base : p->taken, take);
	return 0;
}

static void unplace(struct placed *p)
{
	arena_free(&p->c->t.arena, p->memory, p->bytes, p->passing);
}

static const char *name_of(const struct call *call)
{
	return call->opcode == VT_HELLO ? "VT_HELLO" : trace_opcode_name(call->opcode);
}

static int malformed(struct causeway *c, const struct call *call, const char *how)
{
	return client_fail(c, -EPROTO, "the back-end's reply to %s is malformed: %s",
		name_of(call), how);
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
		return client_fail(c, out->error, "%s: %s", name_of(call),
			strerror(-out->error));
	if (out->len - sizeof(*out) < p->words + call->out_least)
		return malformed(c, call, "it is too short");
	return (int)(out->len - sizeof(*out) - p->words);
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
	call->words.opcode = call->opcode;
	call->words.came = p->words > 0;
	memcpy(call->words.bytes, p->out + 1, p->words);
	if (call->out_len > 0)
		memcpy(call->out, p->reply, call->out_len);
	if (call->taken > 0 && p->taken)
		scatter(p->taken, call->taken, call->take, call->ntake);
	return 0;
}

static int submit(struct causeway *c, unsigned int queue, struct placed *p)
{
	int r;

	atomic_fetch_add_explicit(&c->requests, 1, memory_order_relaxed);
	r = transport_submit(&c->t, queue, &p->request);
	if (r == -ENOTCONN)
		return client_lost(c);
	return r < 0 ? client_fail(c, r, "a request has more pieces than a queue holds") : 0;
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
	table_tend(c);
	call->words.came = false;
	if (r == 0)
		r = place(c, &p, call, true, true);
	if (r < 0)
		return r;
	call->asof = atomic_load(&c->nodes.changes);
	r = submit(c, queue, &p);
	if (r == 0) {
		await(c, call, &p, queue);
		r = take_reply(c, call, &p);
	}
	unplace(&p);
	return r;
}

/* What was started has come back. */
static void started(struct request *request)
{
	struct placed *p = container_of(request, struct placed, request);
	struct call *call = p->call;
	int r = take_reply(p->c, call, p);

	unplace(p);
	free(p);
	call->done(call, r);
}

int client_start(struct causeway *c, struct call *call)
{
	struct placed *p;
	int r;

	if (!c->connected)
		return client_fail(c, -ENOTCONN, "not connected");
	table_tend(c);
	call->words.came = false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return client_fail(c, -ENOMEM, "no memory for a request");
	p->request.finished = started;
	p->call = call;
	r = place(c, p, call, true, false);
	if (r == 0) {
		call->asof = atomic_load(&c->nodes.changes);
		r = submit(c, transport_my_queue(&c->t), p);
		if (r == 0)
			return 0;
		unplace(p);
	}
	free(p);
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
	r = place(c, p, call, false, false);
	if (r == 0) {
		r = submit(c, 0, p);
		if (r == 0)
			return 0;
		unplace(p);
	}
	free(p);
	return r;
}
