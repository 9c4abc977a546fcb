// SPDX-License-Identifier: BSD-2-Clause
#include "watch/message.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/util.h"

/* #syscalls(versions): sendmsg recvmsg poll ppoll close clock_gettime
 * #syscalls(watcher): sendmsg recvmsg poll ppoll close clock_gettime */

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

int message_send(int sock, const struct watch_message *m, int fd, int flags)
{
	struct watch_message copy = *m;
	struct iovec iov = {.iov_base = &copy, .iov_len = sizeof(copy)};
	union control control = {0};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	ssize_t n;

	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(sock, &mh, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The last one is it; more than one only somebody sends who wants to fill our table. */
static void take_descriptors(const struct cmsghdr *c, struct watch_extra *extra)
{
	for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
		close_fd(&extra->fd);
		memcpy(&extra->fd, (const char *)c + at, sizeof(int));
	}
}

static void take_extra(struct msghdr *mh, struct watch_extra *extra)
{
	struct ucred cred;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS)
			take_descriptors(c, extra);
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(cred))) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			extra->pid = cred.pid;
		}
	}
}

int message_receive(int sock, struct watch_message *m, struct watch_extra *extra, int flags)
{
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	union control control;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	*extra = (struct watch_extra){.fd = -1};
	do {
		n = recvmsg(sock, &mh, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	take_extra(&mh, extra);
	if (n == sizeof(*m) && !(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 0;
	close_fd(&extra->fd);
	return -EPROTO;
}

/* Until something can be read, or it is too late. */
static int wait_for(int sock, uint64_t end)
{
	uint64_t now = clock_ms();
	struct pollfd p = {.fd = sock, .events = POLLIN};

	if (now >= end)
		return -ETIMEDOUT;
	return poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR ? -errno : 0;
}

int message_call(const struct watch_call *call, struct watch_message *m)
{
	uint64_t end = clock_ms() + (uint64_t)call->patience;
	struct watch_message got;
	struct watch_extra extra;
	int r = message_send(call->sock, m, call->fd, MSG_DONTWAIT);

	while (r == 0) {
		r = wait_for(call->sock, end);
		if (r < 0)
			break;
		r = message_receive(call->sock, &got, &extra, MSG_DONTWAIT);
		if (r == -EAGAIN) {
			r = 0;
			continue;
		}
		if (r == 0 && got.op == m->op && got.id == m->id) {
			close_fd(&extra.fd);
			*m = got;
			return got.result;
		}
		if (r == 0 && call->other)
			call->other(call->opaque, &got, extra.fd);
		else
			close_fd(&extra.fd);
	}
	return r;
}
