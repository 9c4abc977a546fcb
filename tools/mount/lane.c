// SPDX-License-Identifier: BSD-2-Clause
//
// A lane's thread.

#include "carry.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum event { EVENT_FUSE, EVENT_CALL, EVENT_FORGETS, EVENT_TOLD, EVENT_URING, EVENTS };

static int watch(struct lane *l, int fd, enum event what, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = what};

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int lane_watch(struct lane *l)
{
	const struct vhost_frontend *fe = &l->c->t->fe;
	int ret = watch(l, l->tell_fd, EVENT_TOLD, EPOLLIN);

	if (ret == 0)
		ret = watch(l, fe->queues[l->queue].call_fd, EVENT_CALL, EPOLLIN);
	// Somebody has to take FORGETs back.
	if (ret == 0 && l == l->c->lanes)
		ret = watch(l, fe->queues[0].call_fd, EVENT_FORGETS, EPOLLIN);
	if (ret == 0 && l->uring.fd >= 0)
		ret = watch(l, l->uring.fd, EVENT_URING, EPOLLIN);
	if (ret == 0)
		ret = watch(l, l->fuse_fd, EVENT_FUSE, EPOLLIN | EPOLLEXCLUSIVE);
	l->listens = ret == 0;
	return ret;
}

// Without a free slot only the end of /dev/fuse is of interest; after that nothing. (A descriptor
// that is waited for exclusively cannot be changed, only taken out and added again.)
static void listen_for(struct lane *l, bool requests)
{
	if (l->gone || l->listens == requests)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->fuse_fd, NULL);
	watch(l, l->fuse_fd, EVENT_FUSE, requests ? EPOLLIN | EPOLLEXCLUSIVE : 0);
	l->listens = requests;
}

// The file system was unmounted, or the connection to it aborted.
static void lane_gone(struct lane *l)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->fuse_fd, NULL);
	l->gone = true;
	atomic_store(&l->c->unmounted, true);
	carry_tell(l->c->news_fd);
}

// Reads and passes on all requests that there are slots for.
static void take_requests(struct lane *l)
{
	struct slot *s;
	ssize_t n = 1;

	while (n > 0 && (s = lane_get_slot(l))) {
		n = slot_read(s, l->fuse_fd);
		if (n > 0)
			lane_pass(l, s);
		else
			lane_put_slot(s);
	}
	if (n < 0)
		lane_gone(l);
}

static void told(struct lane *l)
{
	uint64_t n;

	if (read(l->tell_fd, &n, sizeof(n)) < 0)
		return;
}

static void handle(struct lane *l, const struct epoll_event *event)
{
	switch ((enum event)event->data.u32) {
	case EVENT_FUSE:
		if (event->events & EPOLLERR)
			lane_gone(l);
		else
			take_requests(l);
		break;
	case EVENT_CALL:
		transport_reap_one(l->c->t, l->queue);
		break;
	case EVENT_FORGETS:
		transport_reap_one(l->c->t, 0);
		break;
	case EVENT_TOLD:
		told(l);
		break;
	default: // EVENT_URING: looked at in any case
		break;
	}
}

void *lane_run(void *lane)
{
	struct lane *l = lane;
	struct epoll_event events[EVENTS];

	l->self = pthread_self();
	uring_register(l);
	while (!atomic_load(&l->c->stop)) {
		int n;

		listen_for(l, lane_has_slot(l));
		n = epoll_wait(l->epoll_fd, events, EVENTS, -1);
		atomic_fetch_add(&l->c->busy, 1);
		for (int i = 0; i < n; i++)
			handle(l, &events[i]);
		// (A request wakes by a signal of the kernel's own, which is no event.)
		uring_take(l);
		uring_send(l);
		atomic_fetch_sub(&l->c->busy, 1);
		// A broken ring is seen here only.
		if (!l->lost && atomic_load(&l->c->t->lost)) {
			l->lost = true;
			carry_tell(l->c->news_fd);
		}
	}
	uring_send(l);
	return NULL;
}
