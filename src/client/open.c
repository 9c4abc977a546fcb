// SPDX-License-Identifier: BSD-2-Clause
/*
 * The transport's beginning and end, and how requests name their buffers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/util.h"
#include "client/transport.h"

static int watch(struct transport *t, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};

	return neg_errno(epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &event));
}

static int open_queues(struct transport *t)
{
	int r = 0;

	t->queues = calloc(t->fe.nqueues, sizeof(*t->queues));
	if (!t->queues)
		return -ENOMEM;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return -errno;
	for (unsigned int i = 0; i < t->fe.nqueues; i++) {
		t->queues[i].t = t;
		t->queues[i].q = &t->fe.queues[i];
		pthread_mutex_init(&t->queues[i].lock, NULL);
		if (r == 0)
			r = watch(t, t->fe.queues[i].call_fd);
	}
	return r < 0 ? r : watch(t, t->fe.sock);
}

int transport_open(struct transport *t, int sock, const struct vhost_frontend_config *config,
	uint32_t spin_us)
{
	int r;

	memset(t, 0, sizeof(*t));
	t->epoll_fd = -1;
	t->spin_us = spin_us;
	pthread_mutex_init(&t->why_lock, NULL);
	r = vhost_frontend_open(&t->fe, sock, config);
	if (r < 0) {
		snprintf(t->why, sizeof(t->why), "%s", t->fe.error);
		pthread_mutex_destroy(&t->why_lock);
		return r;
	}
	r = arena_init(&t->arena, t->fe.memory, t->fe.memory_size);
	if (r == 0)
		r = open_queues(t);
	if (r < 0) {
		snprintf(t->why, sizeof(t->why), "cannot set up the queues: %s", strerror(-r));
		transport_close(t);
	}
	return r;
}

void transport_close(struct transport *t)
{
	for (unsigned int i = 0; t->queues && i < t->fe.nqueues; i++) {
		if (t->queues[i].q)
			transport_abandon(&t->queues[i]);
	}
	vhost_frontend_close(&t->fe);
	close_fd(&t->epoll_fd);
	recorder_close(t->recorder);
	t->recorder = NULL;
	arena_destroy(&t->arena);
	for (unsigned int i = 0; t->queues && i < t->fe.nqueues; i++) {
		if (t->queues[i].q)
			pthread_mutex_destroy(&t->queues[i].lock);
	}
	free(t->queues);
	t->queues = NULL;
	pthread_mutex_destroy(&t->why_lock);
}

static void add_buffer(struct transport *t, struct request *r, const void *p, size_t len)
{
	r->buffers[r->nin + r->nout] = (struct virtq_buffer){
		.gpa = vhost_frontend_gpa(&t->fe, p), .len = (uint32_t)len};
}

void request_add_in(struct transport *t, struct request *r, const void *p, size_t len)
{
	add_buffer(t, r, p, len);
	r->nin++;
}

void request_add_out(struct transport *t, struct request *r, void *p, size_t len)
{
	add_buffer(t, r, p, len);
	r->nout++;
}

/* Where n of a request's buffers lie. */
static void locate(const struct transport *t, const struct virtq_buffer *b, unsigned int n,
	struct iovec *iov)
{
	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){vhost_frontend_pointer(&t->fe, b[i].gpa), b[i].len};
}

void request_record(struct transport *t, unsigned int queue, struct request *r)
{
	struct iovec iov[REQUEST_BUFFERS];
	size_t len = 0;

	/* A buffer for a notification is no request. */
	if (!t->recorder || r->nin == 0)
		return;
	locate(t, r->buffers, r->nin, iov);
	for (unsigned int i = 0; i < r->nin; i++)
		len += r->buffers[i].len;
	r->recorded = recorder_request(t->recorder, queue, iov, len);
}

void request_record_reply(struct transport *t, unsigned int queue, const struct request *r)
{
	struct iovec iov[REQUEST_BUFFERS];

	if (!t->recorder || r->nin == 0 || r->status < 0)
		return;
	locate(t, r->buffers + r->nin, r->nout, iov);
	recorder_reply(t->recorder, queue, &r->recorded, iov, r->written);
}
