// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/msg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* #syscalls: recvmsg sendto poll ppoll close */

static int wait_readable(int sock, int stop_fd)
{
	struct pollfd fds[2] = {
		{.fd = sock, .events = POLLIN},
		{.fd = stop_fd, .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -EINTR;
		if (fds[0].revents)
			return 0;
	}
}

/* Collects the descriptors of one control message; false when there is no room for all. */
static bool keep_fds(struct vu_msg *msg, struct msghdr *mh)
{
	bool fits = !(mh->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (msg->nfds < VU_FDS_MAX) {
				msg->fds[msg->nfds++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

/* Receives exactly len bytes; 1, or 0 when the stream ends before the first. */
static int recv_exact(int sock, int stop_fd, struct vu_msg *msg, void *buf, size_t len)
{
	/* Room for one descriptor too many, so that too many is seen and not cut off. */
	char control[CMSG_SPACE((VU_FDS_MAX + 1) * sizeof(int))];
	size_t done = 0;

	while (done < len) {
		struct iovec iov = {.iov_base = (char *)buf + done, .iov_len = len - done};
		struct msghdr mh = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int r;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n == 0)
			return done == 0 ? 0 : -EBADMSG;
		if (n < 0) {
			r = wait_readable(sock, stop_fd);
			if (r < 0)
				return r;
			continue;
		}
		if (!keep_fds(msg, &mh))
			return -EBADMSG;
		done += (size_t)n;
	}
	return 1;
}

/* Receives a message that is a reply, or one that is not. */
static int recv_message(int sock, int stop_fd, uint32_t reply, struct vu_msg *msg)
{
	int r;

	memset(msg, 0, sizeof(*msg));
	r = recv_exact(sock, stop_fd, msg, &msg->head, sizeof(msg->head));
	if (r == 1 && ((msg->head.flags & VU_VERSION_MASK) != VU_VERSION ||
			(msg->head.flags & VU_FLAG_REPLY) != reply ||
			msg->head.size > sizeof(msg->body)))
		r = -EBADMSG;
	if (r == 1 && msg->head.size > 0) {
		r = recv_exact(sock, stop_fd, msg, &msg->body, msg->head.size);
		if (r == 0)
			r = -EBADMSG;
	}
	if (r != 1)
		vu_msg_close(msg);
	return r;
}

int vu_msg_recv(int sock, int stop_fd, struct vu_msg *msg)
{
	return recv_message(sock, stop_fd, 0, msg);
}

int vu_msg_recv_reply(int sock, int stop_fd, struct vu_msg *msg)
{
	return recv_message(sock, stop_fd, VU_FLAG_REPLY, msg);
}

int vu_msg_send(int sock, const struct vu_msg *msg)
{
	char control[CMSG_SPACE(VU_FDS_MAX * sizeof(int))] = "";
	struct iovec iov[2] = {
		{.iov_base = (void *)&msg->head, .iov_len = sizeof(msg->head)},
		{.iov_base = (void *)&msg->body, .iov_len = msg->head.size},
	};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (msg->nfds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(msg->nfds * sizeof(int));
		memcpy(CMSG_DATA(c), msg->fds, msg->nfds * sizeof(int));
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(msg->nfds * sizeof(int));
	}
	/* A back-end that does not read its messages cannot hold us up. */
	n = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(msg->head) + msg->head.size ? 0 : -EPIPE;
}

int vu_msg_reply(int sock, struct vu_msg *msg, uint32_t size)
{
	size_t len = sizeof(msg->head) + size;
	char buf[sizeof(msg->head) + sizeof(msg->body)];
	ssize_t n;

	msg->head.flags = VU_VERSION | VU_FLAG_REPLY;
	msg->head.size = size;
	memcpy(buf, &msg->head, sizeof(msg->head));
	memcpy(buf + sizeof(msg->head), &msg->body, size);
	/* A front-end that does not read its replies cannot hold up our main thread. */
	n = send(sock, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EPIPE;
}

int vu_msg_take_fd(struct vu_msg *msg, unsigned int i)
{
	return steal_fd(&msg->fds[i]);
}

void vu_msg_close(struct vu_msg *msg)
{
	for (unsigned int i = 0; i < msg->nfds; i++)
		close_fd(&msg->fds[i]);
	msg->nfds = 0;
}
