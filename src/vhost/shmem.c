// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/shmem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/handlers.h"

/* #syscalls: poll ppoll read write recvmsg close
 * #syscalls(dax): sendmsg shutdown
 * #syscalls(versions): sendmsg shutdown */

/* What asking takes. Without SHARED_OBJECT there is no barrier: answers are taken at their word. */
#define NEEDED                                                                                     \
	(VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ | VU_PROTOCOL_F_BACKEND_SEND_FD |     \
		VU_PROTOCOL_F_SHMEM)

/* An object that nobody has: a front-end that is asked to forget it does nothing, but not before
 * what it was asked earlier. */
static const struct vu_shared_object nothing = {"causeway barrier"};

/* What one call of vhost_shmem_apply() is about. */
struct errand {
	struct vhost_backend *dev;
	struct vhost_shmem_change *changes;
	unsigned int n;
	unsigned int total; /* n, and one for the barrier */
	unsigned int sent;
};

int vhost_shmem_init(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;

	pthread_mutex_init(&s->asking, NULL);
	pthread_mutex_init(&s->state, NULL);
	s->fd = -1;
	s->held = true;
	s->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->wake_fd < 0 ? -errno : 0;
}

void vhost_shmem_destroy(struct vhost_backend *dev)
{
	close_fd(&dev->shmem.wake_fd);
	pthread_mutex_destroy(&dev->shmem.asking);
	pthread_mutex_destroy(&dev->shmem.state);
}

/* `state` is held. */
static void set_held(struct vhost_shmem *s, bool held)
{
	uint64_t count = 1;

	if (s->held == held)
		return;
	s->held = held;
	/* An eventfd of ours that is 0 or 1 takes and gives what it is asked for. */
	if (held ? write(s->wake_fd, &count, sizeof(count)) < 0
		 : read(s->wake_fd, &count, sizeof(count)) < 0)
		log_error("the channel to the front-end cannot be held: %s", strerror(errno));
}

void vhost_shmem_hold(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;

	pthread_mutex_lock(&s->state);
	set_held(s, true);
	pthread_mutex_unlock(&s->state);
}

/* A ring that is set up and does not run is one that stops, or is about to start. */
static bool device_runs(const struct vhost_backend *dev)
{
	unsigned int ready = 0;

	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		if (vhost_queue_is_ready(&dev->queues[i]))
			ready++;
		else if (dev->queues[i].has_addr)
			return false;
	}
	return ready > 0;
}

void vhost_shmem_settle(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;
	bool runs = device_runs(dev), was_held, ready;

	pthread_mutex_lock(&s->state);
	was_held = s->held;
	/* The main thread alone changes the descriptor. */
	s->there = s->fd >= 0 && !s->lost && (dev->protocol_features & NEEDED) == NEEDED;
	s->has_barrier = dev->protocol_features & VU_PROTOCOL_F_SHARED_OBJECT;
	set_held(s, !s->there || !runs);
	ready = was_held && !s->held;
	pthread_mutex_unlock(&s->state);
	if (ready && dev->device->shmem_ready)
		dev->device->shmem_ready(dev->device->opaque);
}

/* Puts fd in the place of the channel; askers are held off, and leave. */
static void replace_channel(struct vhost_shmem *s, int fd)
{
	pthread_mutex_lock(&s->asking);
	close_fd(&s->fd);
	s->fd = fd;
	s->nowed = s->answered = 0;
	pthread_mutex_unlock(&s->asking);
}

int vhost_shmem_channel(struct vhost_backend *dev, int fd)
{
	vhost_shmem_hold(dev);
	replace_channel(&dev->shmem, fd);
	pthread_mutex_lock(&dev->shmem.state);
	dev->shmem.lost = false;
	pthread_mutex_unlock(&dev->shmem.state);
	return 0;
}

void vhost_shmem_drop(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;

	pthread_mutex_lock(&s->state);
	s->there = false;
	set_held(s, true);
	pthread_mutex_unlock(&s->state);
	replace_channel(s, -1);
}

bool vhost_shmem_is_there(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;
	bool there;

	pthread_mutex_lock(&s->state);
	there = s->there;
	pthread_mutex_unlock(&s->state);
	return there;
}

/* Nobody asks over this channel any more. Returns -ENOTCONN. */
static int lose(struct vhost_shmem *s)
{
	bool was_there;

	pthread_mutex_lock(&s->state);
	was_there = s->there;
	s->lost = true;
	s->there = false;
	pthread_mutex_unlock(&s->state);
	if (was_there)
		log_warn("the channel for requests to the front-end is closed or unusable");
	return -ENOTCONN;
}

/* Ends the connection: the main thread finds it shut down. */
static int bad_answer(struct vhost_backend *dev, const char *what)
{
	struct vhost_shmem *s = &dev->shmem;

	pthread_mutex_lock(&s->state);
	s->there = false;
	pthread_mutex_unlock(&s->state);
	log_error("the front-end answers our requests badly: %s", what);
	shutdown(dev->sock, SHUT_RDWR);
	return lose(s);
}

/* `state` is held: why nobody may ask now, or 0. */
static int refusal(const struct vhost_shmem *s)
{
	if (!s->there)
		return -ENOTCONN;
	return s->held ? -EINTR : 0;
}

static void make_request(struct vu_msg *msg, const struct vhost_shmem_change *change)
{
	*msg = (struct vu_msg){.head.flags = VU_VERSION | VU_FLAG_NEED_REPLY};
	if (!change) {
		msg->head.request = VU_BACKEND_SHARED_OBJECT_REMOVE;
		msg->head.size = sizeof(msg->body.shared_object);
		msg->body.shared_object = nothing;
		return;
	}
	msg->head.request = change->fd < 0 ? VU_BACKEND_SHMEM_UNMAP : VU_BACKEND_SHMEM_MAP;
	msg->head.size = sizeof(msg->body.shmem_map);
	msg->body.shmem_map = (struct vu_shmem_map){
		.shmid = change->region,
		.fd_offset = change->offset,
		.shm_offset = change->at,
		.len = change->len,
		.flags = change->writable ? VU_SHMEM_MAP_WRITABLE : 0,
	};
	if (change->fd >= 0)
		msg->fds[msg->nfds++] = change->fd;
}

/* Whether it is one request that cannot be sent, and not the channel that is of no use. */
static bool is_of_one(int error)
{
	return error == -EBADF || error == -ENOMEM || error == -ENOBUFS || error == -ETOOMANYREFS;
}

/* Sends the next request: 1, 0 where it has to wait for room, or -errno. Inside `state`, so that
 * nothing goes out once askers are held off. */
static int send_next(struct errand *e)
{
	struct vhost_shmem *s = &e->dev->shmem;
	struct vhost_shmem_change *change = e->sent < e->n ? &e->changes[e->sent] : NULL;
	struct vu_msg msg;
	int r;

	make_request(&msg, change);
	pthread_mutex_lock(&s->state);
	r = refusal(s);
	if (r == 0)
		r = vu_msg_send(s->fd, &msg);
	pthread_mutex_unlock(&s->state);
	if (r == -EAGAIN)
		return 0;
	if (r == -EINTR)
		return r;
	if (r == 0)
		s->owed[(s->first_owed + s->nowed++) % VHOST_SHMEM_IN_FLIGHT] =
			(struct vhost_shmem_owed){msg.head.request, change};
	else if (change && is_of_one(r))
		change->result = r;
	else
		return lose(s);
	e->sent++;
	return 1;
}

/* Looks at what came of an answer, and when it is whole takes it for the oldest request. 1, 0 where
 * more of it is to come, or -errno. */
static int take_answer(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;
	const struct vu_header head = s->answer.head;
	const struct vhost_shmem_owed *owed = &s->owed[s->first_owed];

	if (s->answered < sizeof(head))
		return 0;
	if (head.flags != (VU_VERSION | VU_FLAG_REPLY) || head.size != sizeof(s->answer.value))
		return bad_answer(dev, "it is no acknowledgement");
	if (head.request != owed->request)
		return bad_answer(dev, "it is to another request than the oldest");
	if (s->answered < sizeof(s->answer))
		return 0;
	if (owed->change)
		owed->change->result = s->answer.value ? -EIO : 0;
	s->first_owed = (s->first_owed + 1) % VHOST_SHMEM_IN_FLIGHT;
	s->nowed--;
	s->answered = 0;
	return 1;
}

/* Reads answers as far as they have come, and no further than the last that is owed. */
static int receive(struct vhost_backend *dev)
{
	struct vhost_shmem *s = &dev->shmem;
	int r = 1;

	while (r >= 0 && s->nowed > 0) {
		struct iovec iov = {(char *)&s->answer + s->answered,
			sizeof(s->answer) - s->answered};
		/* Without room for descriptors none arrives, and the kernel tells. */
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(s->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return lose(s);
		if (mh.msg_flags & MSG_CTRUNC)
			return bad_answer(dev, "descriptors come with it");
		s->answered += (unsigned int)n;
		r = take_answer(dev);
	}
	return r < 0 ? r : 0;
}

/* Waits until there is something to read, or room to send where that is wanted. */
static int wait_for_front_end(struct vhost_shmem *s, bool room)
{
	struct pollfd fds[2] = {
		{.fd = s->wake_fd, .events = POLLIN},
		{.fd = s->fd, .events = (short)(POLLIN | (room ? POLLOUT : 0))},
	};
	int r = 0;

	if (poll(fds, 2, -1) < 0)
		return errno == EINTR ? 0 : lose(s);
	if (fds[0].revents) {
		pthread_mutex_lock(&s->state);
		r = refusal(s);
		pthread_mutex_unlock(&s->state);
	}
	return r;
}

/* Sends all, and waits for all answers, those of earlier errands too. 0 or -errno. */
static int run_errand(struct errand *e)
{
	struct vhost_shmem *s = &e->dev->shmem;

	while (e->sent < e->total || s->nowed > 0) {
		int r = 1;

		while (r > 0 && e->sent < e->total && s->nowed < VHOST_SHMEM_IN_FLIGHT)
			r = send_next(e);
		if (r >= 0 && s->nowed + (e->sent < e->total) > 0)
			r = wait_for_front_end(s, r == 0);
		/* What came before the wait ended counts. */
		if (r == 0 || r == -EINTR) {
			int got = receive(e->dev);

			r = r ? r : got;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* What was not refused is as unknown as the barrier's coming: told as r. And nobody looks at the
 * changes when answers to them come later. */
static void give_up(struct errand *e, int r)
{
	struct vhost_shmem *s = &e->dev->shmem;

	for (unsigned int i = 0; i < e->n; i++) {
		if (e->changes[i].result == 0 || i >= e->sent)
			e->changes[i].result = r;
	}
	for (unsigned int i = 0; i < s->nowed; i++)
		s->owed[(s->first_owed + i) % VHOST_SHMEM_IN_FLIGHT].change = NULL;
}

void vhost_shmem_apply(struct vhost_backend *dev, struct vhost_shmem_change *changes,
	unsigned int n)
{
	struct vhost_shmem *s = &dev->shmem;
	struct errand e = {.dev = dev, .changes = changes, .n = n};
	int r;

	if (n == 0)
		return;
	for (unsigned int i = 0; i < n; i++)
		changes[i].result = 0;
	pthread_mutex_lock(&s->asking);
	pthread_mutex_lock(&s->state);
	e.total = n + s->has_barrier;
	r = refusal(s);
	pthread_mutex_unlock(&s->state);
	if (r == 0)
		r = run_errand(&e);
	if (r < 0)
		give_up(&e, r);
	pthread_mutex_unlock(&s->asking);
}
