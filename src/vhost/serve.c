// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection's life on the main thread: messages, first kicks, and the end.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"
#include "mem/guard.h"
#include "vhost/backend.h"

/* #syscalls: poll ppoll */

int vhost_backend_init(struct vhost_backend *dev, const struct vhost_device *device)
{
	int r = 0;

	memset(dev, 0, sizeof(*dev));
	dev->device = device;
	dev->sock = -1;
	dev->pollers_max = vhost_pollers_max();
	mem_init(&dev->mem);
	mem_set_owner(&dev->mem, device->owns_memory, device->opaque);
	r = vhost_shmem_init(dev);
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		struct vhost_queue *q = &dev->queues[i];

		q->dev = dev;
		q->index = i;
		q->vq.mem = &dev->mem;
		q->kick_fd = q->call_fd = q->err_fd = -1;
		pthread_mutex_init(&q->deferred.lock, NULL);
		pthread_mutex_init(&q->lending.lock, NULL);
		q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->wake_fd < 0)
			r = -errno;
	}
	return r;
}

void vhost_backend_destroy(struct vhost_backend *dev)
{
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		close_fd(&dev->queues[i].wake_fd);
		pthread_mutex_destroy(&dev->queues[i].deferred.lock);
		pthread_mutex_destroy(&dev->queues[i].lending.lock);
	}
	vhost_shmem_destroy(dev);
	mem_destroy(&dev->mem);
}

/* Forgets everything of a front-end that has gone. */
static void drop_front_end(struct vhost_backend *dev)
{
	vhost_shmem_drop(dev);
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++)
		vhost_queue_reset(&dev->queues[i]);
	dev->device->disconnected(dev->device->opaque);
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++)
		vhost_queue_clear_stats(&dev->queues[i]);
	mem_clear(&dev->mem);
	dev->features = 0;
	dev->protocol_features = 0;
	dev->status = 0;
}

/* Fills fds with the kicks of rings that are set up but have no thread yet. */
static nfds_t watch_dormant(struct vhost_backend *dev, struct pollfd *fds,
	struct vhost_queue **queues)
{
	nfds_t n = 0;

	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		struct vhost_queue *q = &dev->queues[i];

		if (q->running || !vhost_queue_is_ready(q))
			continue;
		queues[n] = q;
		fds[n++] = (struct pollfd){.fd = q->kick_fd, .events = POLLIN};
	}
	return n;
}

/* Waits until the front-end has sent something: 0, or -errno. Serves the other events. */
static int wait_for_message(struct vhost_backend *dev, const struct vhost_events *events)
{
	struct pollfd fds[3 + VHOST_QUEUES_MAX];
	struct vhost_queue *queues[VHOST_QUEUES_MAX];

	for (;;) {
		nfds_t dormant = watch_dormant(dev, fds + 3, queues);

		fds[0] = (struct pollfd){.fd = dev->sock, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = events->stop_fd, .events = POLLIN};
		fds[2] = (struct pollfd){.fd = events->other_fd, .events = POLLIN};
		if (poll(fds, 3 + dormant, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -EINTR;
		if (fds[2].revents)
			events->other(events->opaque);
		for (nfds_t i = 0; i < dormant; i++) {
			if (fds[3 + i].revents)
				vhost_queue_start(queues[i]);
		}
		if (fds[0].revents)
			return 0;
	}
}

static int serve_messages(struct vhost_backend *dev, const struct vhost_events *events)
{
	for (;;) {
		struct vu_msg msg;
		int r = wait_for_message(dev, events);

		if (r < 0)
			return r;
		r = vu_msg_recv(dev->sock, events->stop_fd, &msg);
		if (r == -EBADMSG)
			log_error("the front-end sent something that is no vhost-user message");
		if (r != 0)
			dev->heard = true;
		if (r <= 0)
			return r;
		r = vhost_handle(dev, &msg);
		vu_msg_close(&msg);
		if (r < 0)
			return r;
	}
}

int vhost_backend_serve(struct vhost_backend *dev, int sock, const struct vhost_events *events)
{
	int r;

	dev->sock = sock;
	dev->heard = false;
	mem_guard(&dev->mem);
	r = serve_messages(dev, events);
	/* A front-end that dies with messages of ours unread, or before one, breaks the
	 * connection. */
	if (r == -ECONNRESET || r == -EPIPE)
		r = 0;
	vhost_backend_log_stats(dev);
	drop_front_end(dev);
	mem_guard(NULL);
	dev->sock = -1;
	return r;
}
