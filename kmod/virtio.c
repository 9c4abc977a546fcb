// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The device's rings, and the only file that touches virtqueues (virtio 1.2, section 5.11).
 *
 * Queue 0 is the high-priority one (FORGET, INTERRUPT), the others are for requests, each with the
 * processors that its interrupt goes to. A queue's lock covers its ring: adding, taking back, and
 * whether it is there at all. The interrupt takes back all that the device is done with, and gives
 * it to reply.c without the lock.
 *
 * The rings may go at any time (removal, a server that is given up). Then, in this order: the
 * queues are closed under their locks, the device is reset, and what was in the rings is given to
 * reply.c with an error.
 */
#include <linux/cpumask.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "compat/virtio.h"
#include "conn.h"
#include "virtio.h"

/* Descriptors of a request besides those of its data. */
#define OVERHEAD 4

static void came_back(struct cw_dev *dev, unsigned int n)
{
	if (n && atomic_sub_and_test(n, &dev->in_flight))
		wake_up_all(&dev->drained);
}

static void queue_done(struct virtqueue *vq)
{
	struct cw_dev *dev = vq->vdev->priv;
	struct cw_queue *q = &dev->queues[vq->index];
	struct cw_req *done = NULL, *req;
	unsigned long flags;
	unsigned int len, n = 0;

	spin_lock_irqsave(&q->lock, flags);
	if (!q->open) {
		spin_unlock_irqrestore(&q->lock, flags);
		return;
	}
	do {
		virtqueue_disable_cb(vq);
		while ((req = virtqueue_get_buf(vq, &len))) {
			done = cw_req_chain(done, req, len);
			n++;
		}
	} while (!virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&q->lock, flags);
	if (n == 0)
		return;
	wake_up_all(&q->room);
	cw_reqs_done(done);
	came_back(dev, n);
}

/* One try: 0, -ENOSPC, or another error. */
static int add(struct cw_dev *dev, struct cw_queue *q, struct cw_sgs *sgs, struct cw_req *req,
	       bool through)
{
	unsigned long flags;
	bool kick = false;
	int r = -ENOTCONN;

	/* Who closes the queue waits for us. */
	rcu_read_lock();
	spin_lock_irqsave(&q->lock, flags);
	if (q->open && q->paused && !through)
		r = -ENOSPC;
	else if (q->open)
		r = virtqueue_add_sgs(q->vq, sgs->sgs, sgs->out, sgs->in, req, GFP_ATOMIC);
	if (r == 0) {
		atomic_inc(&dev->in_flight);
		kick = virtqueue_kick_prepare(q->vq);
	}
	spin_unlock_irqrestore(&q->lock, flags);
	/* Outside the lock: it leaves the virtual machine. */
	if (kick)
		virtqueue_notify(q->vq);
	rcu_read_unlock();
	return r == -EIO ? -ENOTCONN : r; /* a broken ring */
}

static bool has_room(struct cw_queue *q)
{
	unsigned long flags;
	bool room;

	spin_lock_irqsave(&q->lock, flags);
	room = !q->open || (!q->paused && q->vq->num_free > 0);
	spin_unlock_irqrestore(&q->lock, flags);
	return room;
}

static struct cw_queue *queue_of(struct cw_dev *dev, enum cw_way way)
{
	if (way == CW_AS_EVER)
		return &dev->queues[READ_ONCE(dev->of_cpu[raw_smp_processor_id()])];
	return &dev->queues[way == CW_HIGH_PRIORITY ? 0 : 1];
}

/* Nobody is frozen here, who may have locks that others want before they can be: a suspend waits
 * for who waits, and holds requests up only when there are none but the kernel's. */
int cw_dev_submit(struct cw_dev *dev, enum cw_way way, struct cw_sgs *sgs, struct cw_req *req,
		  enum cw_wait wait)
{
	struct cw_queue *q = queue_of(dev, way);
	int r;

	while ((r = add(dev, q, sgs, req, way == CW_THROUGH)) == -ENOSPC && wait != CW_NO_WAIT) {
		/* What has room for one descriptor may lack it for several: then it is tried again
		 * when a moment has passed. */
		if (wait == CW_WAIT_KILLABLE && fatal_signal_pending(current))
			return -EINTR;
		if (has_room(q))
			schedule_timeout_uninterruptible(1);
		else if (wait == CW_WAIT)
			wait_event(q->room, has_room(q));
		else if (wait_event_killable(q->room, has_room(q)))
			return -EINTR;
	}
	return r;
}

/* ---- start and stop ------------------------------------------------------------------------ */

/* By the processors that a queue's interrupt goes to, where the bus knows them. */
static void map_processors(struct cw_dev *dev)
{
	const unsigned int requests = dev->nqueues - 1;
	const struct virtio_config_ops *ops = dev->vdev->config;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu)
		WRITE_ONCE(dev->of_cpu[cpu], 1 + cpu % requests);
	for (i = 1; i < dev->nqueues && ops->get_vq_affinity; i++) {
		const struct cpumask *mask = ops->get_vq_affinity(dev->vdev, i);

		/* All of them: nobody has spread the interrupts. */
		if (!mask || cpumask_equal(mask, cpu_possible_mask))
			continue;
		for_each_cpu(cpu, mask)
			WRITE_ONCE(dev->of_cpu[cpu], i);
	}
}

int cw_rings_start(struct cw_dev *dev)
{
	struct virtqueue **vqs = kcalloc(dev->nqueues, sizeof(*vqs), GFP_KERNEL);
	unsigned int i;
	int r;

	if (!vqs)
		return -ENOMEM;
	r = cw_find_vqs(dev->vdev, dev->nqueues, vqs, queue_done);
	if (r == 0)
		map_processors(dev);
	for (i = 0; r == 0 && i < dev->nqueues; i++) {
		struct cw_queue *q = &dev->queues[i];

		spin_lock_irq(&q->lock);
		q->vq = vqs[i];
		q->open = true;
		spin_unlock_irq(&q->lock);
	}
	kfree(vqs);
	return r;
}

void cw_rings_stop(struct cw_dev *dev)
{
	struct cw_req *req;
	unsigned int i, n = 0;

	for (i = 0; i < dev->nqueues; i++) {
		struct cw_queue *q = &dev->queues[i];

		spin_lock_irq(&q->lock);
		q->open = false;
		spin_unlock_irq(&q->lock);
		wake_up_all(&q->room);
	}
	/* Nobody kicks any more. */
	synchronize_rcu();
	virtio_reset_device(dev->vdev);
	for (i = 0; i < dev->nqueues; i++) {
		struct virtqueue *vq = dev->queues[i].vq;

		while (vq && (req = virtqueue_detach_unused_buf(vq))) {
			cw_req_gone(req, -ENOTCONN);
			n++;
		}
		dev->queues[i].vq = NULL;
	}
	dev->vdev->config->del_vqs(dev->vdev);
	came_back(dev, n);
}

static void set_paused(struct cw_dev *dev, bool paused)
{
	unsigned int i;

	for (i = 0; i < dev->nqueues; i++) {
		struct cw_queue *q = &dev->queues[i];

		spin_lock_irq(&q->lock);
		q->paused = paused;
		spin_unlock_irq(&q->lock);
		wake_up_all(&q->room);
	}
}

bool cw_rings_pause(struct cw_dev *dev, unsigned long limit)
{
	set_paused(dev, true);
	return wait_event_timeout(dev->drained, atomic_read(&dev->in_flight) == 0, limit);
}

void cw_rings_resume(struct cw_dev *dev)
{
	set_paused(dev, false);
}

/* Without indirect descriptors a request has to fit into the ring. */
unsigned int cw_dev_max_pages(const struct cw_dev *dev)
{
	unsigned int size = UINT_MAX, i;

	for (i = 1; i < dev->nqueues; i++) {
		struct cw_queue *q = &dev->queues[i];

		spin_lock_irq(&q->lock);
		if (q->open)
			size = min(size, virtqueue_get_vring_size(q->vq));
		spin_unlock_irq(&q->lock);
	}
	return size > 2 * OVERHEAD ? size - OVERHEAD : OVERHEAD;
}
