// SPDX-License-Identifier: BSD-2-Clause
/*
 * The messages that set up one ring.
 *
 * What its thread reads without a lock is changed only while the thread is stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "vhost/handlers.h"

/* #syscalls: fcntl:1=F_GETFL fcntl:1=F_SETFL */

/* Finds the ring that a message names, or NULL after vhost_bad(). */
static struct vhost_queue *named_queue(struct vhost_backend *dev, uint64_t index)
{
	if (index < VHOST_QUEUES_MAX)
		return &dev->queues[index];
	vhost_bad(dev, "ring %llu does not exist", (unsigned long long)index);
	return NULL;
}

int vhost_set_vring_num(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct vhost_queue *q = named_queue(dev, msg->body.state.index);
	int r;

	if (!q)
		return -EPROTO;
	vhost_queue_stop(q);
	r = virtq_set_size(&q->vq, msg->body.state.num);
	if (r == -EINVAL)
		return vhost_bad(dev, "%u is no size for a %s (%s from %d to %d)",
			msg->body.state.num, q->vq.packed ? "packed ring" : "ring",
			q->vq.packed ? "a number" : "a power of two", RING_SIZE_MIN, RING_SIZE_MAX);
	/* No kick will start a ring that is polled, whatever of it was set up last. */
	if (r == 0 && q->kick_fd < 0)
		vhost_queue_update(q);
	return r;
}

int vhost_set_vring_addr(struct vhost_backend *dev, struct vu_msg *msg)
{
	const struct vu_vring_addr *addr = &msg->body.addr;
	struct vhost_queue *q = named_queue(dev, addr->index);
	bool was_running;

	if (!q)
		return -EPROTO;
	if (addr->flags)
		return vhost_bad(dev, "logging was not negotiated");
	was_running = q->running;
	vhost_queue_stop(q);
	q->vq.desc_uva = addr->desc;
	q->vq.avail_uva = addr->avail;
	q->vq.used_uva = addr->used;
	q->has_addr = true;
	if (was_running)
		vhost_queue_start(q);
	else
		vhost_queue_update(q);
	return 0;
}

int vhost_set_vring_base(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct vhost_queue *q = named_queue(dev, msg->body.state.index);

	if (!q)
		return -EPROTO;
	if (!virtq_is_base(&q->vq, msg->body.state.num))
		return vhost_bad(dev, "%#x is no position in a %s ring of %u", msg->body.state.num,
			q->vq.packed ? "packed" : "split", q->vq.size);
	vhost_queue_stop(q);
	virtq_rewind(&q->vq, msg->body.state.num);
	return 0;
}

int vhost_get_vring_base(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct vhost_queue *q = named_queue(dev, msg->body.state.index);

	if (!q)
		return -EPROTO;
	vhost_queue_stop(q);
	/* The ring stays set up but needs a new kick descriptor to start again. */
	close_fd(&q->kick_fd);
	q->has_kick = false;
	msg->body.state.num = virtq_base(&q->vq);
	virtq_rewind(&q->vq, msg->body.state.num);
	return sizeof(msg->body.state);
}

/* The shape that KICK, CALL and ERR share: a ring and its descriptor, or none. */
static struct vhost_queue *vring_fd(struct vhost_backend *dev, struct vu_msg *msg, int *fd)
{
	bool none = msg->body.u64 & VU_VRING_FD_NONE;

	if (msg->body.u64 & ~(VU_VRING_FD_INDEX_MASK | VU_VRING_FD_NONE)) {
		vhost_bad(dev, "unknown bits are set");
		return NULL;
	}
	if (msg->nfds != (none ? 0 : 1)) {
		vhost_bad(dev, "%u descriptors where %d belong", msg->nfds, none ? 0 : 1);
		return NULL;
	}
	*fd = -1;
	if (!none) {
		int flags = fcntl(msg->fds[0], F_GETFL);

		/* Whatever it is that we were given, it must not block our threads. */
		if (flags < 0 || fcntl(msg->fds[0], F_SETFL, flags | O_NONBLOCK) < 0) {
			vhost_bad(dev, "the descriptor cannot be used: %s", strerror(errno));
			return NULL;
		}
		*fd = vu_msg_take_fd(msg, 0);
	}
	return named_queue(dev, msg->body.u64 & VU_VRING_FD_INDEX_MASK);
}

int vhost_set_vring_kick(struct vhost_backend *dev, struct vu_msg *msg)
{
	CLEANUP_FD int fd = -1;
	struct vhost_queue *q = vring_fd(dev, msg, &fd);

	if (!q)
		return -EPROTO;
	vhost_queue_stop(q);
	close_fd(&q->kick_fd);
	q->kick_fd = steal_fd(&fd);
	q->has_kick = true;
	vhost_queue_update(q);
	return 0;
}

/* Replaces a descriptor that the ring's thread may be using. */
static int replace_signal(struct vhost_backend *dev, struct vhost_queue *q, int *old, int fd)
{
	if (q->running)
		mem_close_gate(&dev->mem, &q->gate);
	close_fd(old);
	*old = fd;
	if (q->running)
		mem_open_gate(&dev->mem, &q->gate);
	return 0;
}

int vhost_set_vring_call(struct vhost_backend *dev, struct vu_msg *msg)
{
	CLEANUP_FD int fd = -1;
	struct vhost_queue *q = vring_fd(dev, msg, &fd);

	return q ? replace_signal(dev, q, &q->call_fd, steal_fd(&fd)) : -EPROTO;
}

int vhost_set_vring_err(struct vhost_backend *dev, struct vu_msg *msg)
{
	CLEANUP_FD int fd = -1;
	struct vhost_queue *q = vring_fd(dev, msg, &fd);

	return q ? replace_signal(dev, q, &q->err_fd, steal_fd(&fd)) : -EPROTO;
}

int vhost_set_vring_enable(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct vhost_queue *q = named_queue(dev, msg->body.state.index);

	if (!q)
		return -EPROTO;
	if (!(dev->features & (1ull << VU_F_PROTOCOL_FEATURES_BIT)))
		return vhost_bad(dev, "protocol features were not negotiated");
	if (msg->body.state.num > 1)
		return vhost_bad(dev, "%u is neither 0 nor 1", msg->body.state.num);
	q->enabled = msg->body.state.num;
	if (!q->enabled)
		vhost_queue_stop(q);
	vhost_queue_update(q);
	return 0;
}
