// SPDX-License-Identifier: BSD-2-Clause
#include "forged_window.h"

#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "vhost/frontend.h"

#define ADDED (VHOST_FRONTEND_WINDOW | VU_PROTOCOL_F_SHARED_OBJECT)

static struct {
	int outside, inside; /* the front-end, the device */
	uint64_t size;
	pthread_mutex_t lock;
	_Atomic int channel;
} window = {.lock = PTHREAD_MUTEX_INITIALIZER, .channel = -1};

/* Whether a message was answered here. */
static bool answered(struct vu_msg *msg)
{
	switch (msg->head.request) {
	case VU_GET_SHMEM_CONFIG:
		msg->body.shmem_config =
			(struct vu_shmem_config){.nregions = 1, .sizes = {window.size}};
		must(vu_msg_reply(window.outside, msg, sizeof(msg->body.shmem_config)) == 0);
		return true;
	case VU_SET_BACKEND_REQ_FD:
		must(msg->nfds == 1);
		window.channel = vu_msg_take_fd(msg, 0);
		msg->body.u64 = 0;
		must(vu_msg_reply(window.outside, msg, sizeof(msg->body.u64)) == 0);
		return true;
	case VU_SET_PROTOCOL_FEATURES:
		/* The device has no window of its own. */
		msg->body.u64 &= ~(uint64_t)(ADDED & ~VU_PROTOCOL_F_REPLY_ACK);
		return false;
	default:
		return false;
	}
}

static bool pass_in(void)
{
	struct vu_msg msg;
	int r = vu_msg_recv(window.outside, -1, &msg);

	if (r != 1)
		return false;
	if (!answered(&msg))
		r = vu_msg_send(window.inside, &msg) == 0;
	vu_msg_close(&msg);
	return r;
}

static bool pass_out(void)
{
	struct vu_msg msg;

	if (vu_msg_recv_reply(window.inside, -1, &msg) != 1)
		return false;
	if (msg.head.request == VU_GET_PROTOCOL_FEATURES)
		msg.body.u64 |= ADDED;
	return vu_msg_send(window.outside, &msg) == 0;
}

static void *pass(void *arg)
{
	struct pollfd fds[2] = {
		{.fd = window.outside, .events = POLLIN},
		{.fd = window.inside, .events = POLLIN},
	};
	bool go_on = true;

	while (go_on && poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			go_on = pass_in();
		if (go_on && fds[1].revents)
			go_on = pass_out();
	}
	shutdown(window.outside, SHUT_RDWR);
	shutdown(window.inside, SHUT_RDWR);
	return NULL;
}

int forged_window_start(int sock, uint64_t size)
{
	pthread_t thread;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	window.outside = sock;
	window.inside = pair[0];
	window.size = size;
	must(pthread_create(&thread, NULL, pass, NULL) == 0 && pthread_detach(thread) == 0);
	return pair[1];
}

void forged_window_send(const struct vu_msg *msg)
{
	/* The front-end may have ended it. */
	if (vu_msg_send(window.channel, msg) < 0)
		return;
}

int64_t forged_window_change(uint64_t at, uint64_t len, int fd, uint64_t offset, bool writable)
{
	struct vu_msg reply, msg = {
		.head = {.request = fd < 0 ? VU_BACKEND_SHMEM_UNMAP : VU_BACKEND_SHMEM_MAP,
			.flags = VU_VERSION | VU_FLAG_NEED_REPLY,
			.size = sizeof(struct vu_shmem_map)},
		.fds = {fd},
		.nfds = fd >= 0,
	};
	int64_t result = -1;

	msg.body.shmem_map = (struct vu_shmem_map){.shm_offset = at, .len = len,
		.fd_offset = offset, .flags = writable ? VU_SHMEM_MAP_WRITABLE : 0};
	pthread_mutex_lock(&window.lock);
	if (vu_msg_send(window.channel, &msg) == 0 &&
		vu_msg_recv_reply(window.channel, -1, &reply) == 1)
		result = (int64_t)reply.body.u64;
	pthread_mutex_unlock(&window.lock);
	return result;
}
