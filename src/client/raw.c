// SPDX-License-Identifier: BSD-2-Clause
/*
 * Requests that the program writes itself. Without CAUSEWAY_RAW_AS_IS they get a right length and
 * a unique of their own, and the header of the reply is checked; with it nothing is touched, which
 * is how one sends what a good client never would.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "client/client.h"

struct raw {
	struct request request;
	char *memory;
	size_t in, out;
	uint64_t unique;
};

/* Lays the vectors out one buffer for each, as the program gave them. */
static void lay_out(struct causeway *c, struct raw *w, const struct causeway_raw *raw)
{
	char *at = w->memory;

	for (unsigned int i = 0; i < raw->nin; i++) {
		memcpy(at, raw->in[i].iov_base, raw->in[i].iov_len);
		request_add_in(&c->t, &w->request, at, raw->in[i].iov_len);
		at += raw->in[i].iov_len;
	}
	for (unsigned int i = 0; i < raw->nout; i++) {
		request_add_out(&c->t, &w->request, at, raw->out[i].iov_len);
		at += raw->out[i].iov_len;
	}
}

static int check(struct causeway *c, const struct causeway_raw *raw)
{
	if (!c->connected)
		return client_fail(c, -ENOTCONN, "not connected");
	if (raw->queue >= c->t.fe.nqueues)
		return client_fail(c, -EINVAL, "there is no queue %u; the last is %u", raw->queue,
			c->t.fe.nqueues - 1);
	if (raw->nin + raw->nout > REQUEST_BUFFERS || raw->nin > REQUEST_BUFFERS ||
		raw->nin + raw->nout == 0)
		return client_fail(c, -EINVAL, "a request has 1 to %d vectors", REQUEST_BUFFERS);
	if (raw->flags & CAUSEWAY_RAW_AS_IS)
		return 0;
	if (raw->nin == 0 || raw->in[0].iov_len < sizeof(struct fuse_in_header))
		return client_fail(c, -EINVAL, "the first vector has no struct fuse_in_header");
	if (!(raw->flags & CAUSEWAY_RAW_NO_REPLY) &&
		client_iov_len(raw->out, raw->nout) < sizeof(struct fuse_out_header))
		return client_fail(c, -EINVAL, "there is no room for struct fuse_out_header");
	return 0;
}

static void complete_header(struct causeway *c, struct raw *w)
{
	struct fuse_in_header head;

	memcpy(&head, w->memory, sizeof(head));
	head.len = (uint32_t)w->in;
	head.unique = client_unique(c);
	w->unique = head.unique;
	memcpy(w->memory, &head, sizeof(head));
}

static void copy_out(const struct raw *w, const struct causeway_raw *raw)
{
	const char *at = w->memory + w->in;

	for (unsigned int i = 0; i < raw->nout; i++) {
		memcpy(raw->out[i].iov_base, at, raw->out[i].iov_len);
		at += raw->out[i].iov_len;
	}
}

/* Checks the reply's header where it was copied to, which only we can change. */
static int check_reply(struct causeway *c, const struct raw *w, const struct causeway_raw *raw)
{
	struct fuse_out_header out;
	char *to = (char *)&out;
	size_t left = sizeof(out);

	for (unsigned int i = 0; i < raw->nout && left > 0; i++) {
		size_t part = min_t(size_t, left, raw->out[i].iov_len);

		memcpy(to, raw->out[i].iov_base, part);
		to += part;
		left -= part;
	}
	if (raw->written < sizeof(out) || out.len != raw->written || out.unique != w->unique ||
		out.error > 0 || out.error <= -512)
		return client_fail(c, -EPROTO, "the header of the reply is malformed");
	if (out.error < 0)
		return client_fail(c, out.error, "%s", strerror(-out.error));
	return 0;
}

static int perform(struct causeway *c, struct raw *w, struct causeway_raw *raw)
{
	bool strict = !(raw->flags & CAUSEWAY_RAW_AS_IS);
	int r;

	lay_out(c, w, raw);
	if (strict)
		complete_header(c, w);
	r = transport_submit(&c->t, raw->queue, &w->request);
	if (r == -E2BIG)
		return client_fail(c, r, "a request has more pieces than a queue holds");
	if (r == 0)
		transport_wait(&c->t, raw->queue, &w->request);
	if (r < 0 || w->request.status < 0)
		return client_lost(c);
	raw->written = w->request.written;
	copy_out(w, raw);
	return strict && !(raw->flags & CAUSEWAY_RAW_NO_REPLY) ? check_reply(c, w, raw) : 0;
}

EXPORT int causeway_raw(struct causeway *c, struct causeway_raw *raw)
{
	struct raw w = {.request = {.finished = NULL}};
	void *memory;
	int r = check(c, raw);

	raw->written = 0;
	if (r < 0)
		return r;
	w.in = client_iov_len(raw->in, raw->nin);
	w.out = client_iov_len(raw->out, raw->nout);
	r = arena_alloc(&c->t.arena, w.in + w.out, true, &memory);
	if (r < 0)
		return client_fail(c, r, "there is no memory for a request of %zu bytes",
			w.in + w.out);
	w.memory = memory;
	memset(w.memory + w.in, 0, w.out);
	r = perform(c, &w, raw);
	arena_free(&c->t.arena, w.memory, w.in + w.out, true);
	return r;
}
