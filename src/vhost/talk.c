// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/talk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/util.h"

int frontend_fail(struct vhost_frontend *fe, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fe->error, sizeof(fe->error), fmt, ap);
	va_end(ap);
	return r;
}

/* What a failure to talk means. */
static int lost(struct vhost_frontend *fe, int r, const char *name)
{
	switch (r) {
	case 0:
	case -EPIPE:
	case -ECONNRESET:
		/* It was us, where the back-end has misbehaved on its channel. */
		if (vhost_window_why(&fe->window, fe->error, sizeof(fe->error)))
			return -EPROTO;
		return frontend_fail(fe, -ENOTCONN, "the back-end ended the connection at %s",
			name);
	case -EINTR:
		return frontend_fail(fe, -ETIMEDOUT, "the back-end did not answer %s in %d ms",
			name, fe->timeout_ms);
	case -EBADMSG:
		return frontend_fail(fe, -EPROTO, "the answer to %s is no vhost-user message",
			name);
	default:
		return frontend_fail(fe, r, "%s: %s", name, strerror(-r));
	}
}

/* Receives the answer to a message of this kind with at least size bytes. */
static int receive(struct vhost_frontend *fe, uint32_t request, const char *name,
	struct vu_msg *reply, uint32_t size)
{
	struct itimerspec limit = {.it_value = {.tv_sec = fe->timeout_ms / 1000,
					   .tv_nsec = fe->timeout_ms % 1000 * 1000000L}};
	int r;

	timerfd_settime(fe->timer, 0, &limit, NULL);
	r = vu_msg_recv_reply(fe->sock, fe->timer, reply);
	if (r <= 0)
		return lost(fe, r, name);
	vu_msg_close(reply);
	if (reply->head.request != request || reply->head.size < size)
		return frontend_fail(fe, -EPROTO, "the answer to %s is another one, or too short",
			name);
	return 0;
}

int frontend_tell(struct vhost_frontend *fe, const char *name, struct vu_msg *msg)
{
	bool ack = fe->protocol & VU_PROTOCOL_F_REPLY_ACK;
	struct vu_msg reply;
	int r;

	msg->head.flags = VU_VERSION | (ack ? VU_FLAG_NEED_REPLY : 0);
	r = vu_msg_send(fe->sock, msg);
	if (r < 0)
		return lost(fe, r, name);
	if (!ack)
		return 0;
	r = receive(fe, msg->head.request, name, &reply, sizeof(reply.body.u64));
	if (r == 0 && reply.body.u64 != 0)
		r = frontend_fail(fe, -EPROTO, "the back-end refused %s", name);
	return r;
}

int frontend_ask(struct vhost_frontend *fe, const char *name, struct vu_msg *msg, uint32_t size)
{
	uint32_t request = msg->head.request;
	int r;

	msg->head.flags = VU_VERSION;
	r = vu_msg_send(fe->sock, msg);
	return r < 0 ? lost(fe, r, name) : receive(fe, request, name, msg, size);
}

int frontend_ask_u64(struct vhost_frontend *fe, uint32_t request, const char *name,
	uint64_t *value)
{
	struct vu_msg msg = {.head = {.request = request}};
	int r = frontend_ask(fe, name, &msg, sizeof(*value));

	if (r == 0)
		*value = msg.body.u64;
	return r;
}
