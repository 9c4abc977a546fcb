// SPDX-License-Identifier: BSD-2-Clause
/*
 * A ring's thread: from a kick to an empty ring.
 *
 * Chains that another thread has finished (deferred.h) go back before the next one is popped, or
 * while it sleeps by that other thread.
 *
 * It pops a chain, hands it to the device, pushes it back and publishes it at once (a finished
 * request must not wait for the next one), until the ring is empty; then it looks at the ring for
 * as long as that pays (poll.h), asks for kicks, looks once more, and sleeps until a kick or the
 * main thread's stop. A broken ring sleeps until it is stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/backend.h"

/* #syscalls: poll ppoll read write */

/* How often a ring is looked at whose front-end gave no kick descriptor. */
#define POLL_INTERVAL_NS 50000

/* How many chains of a burst are answered between two looks at how many wait: in a packed ring that
 * takes a look at each of their descriptors. */
#define DEPTH_EVERY 64

static void signal_fd(int fd)
{
	uint64_t one = 1;

	/* A full counter has its reader awake already. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

static void break_queue(struct vhost_queue *q, const char *rule)
{
	count_add(&q->stats.errors, 1);
	log_warn("queue %u is broken until the guest resets it: %s", q->index, rule);
	signal_fd(q->err_fd);
}

void vhost_queue_publish(struct vhost_queue *q)
{
	sizes_add(&q->stats.batches, q->pushed);
	q->pushed = 0;
	if (virtq_publish(&q->vq)) {
		signal_fd(q->call_fd);
		count_add(&q->stats.calls, 1);
	}
}

/* A chain was popped; done: how many of its burst were answered before. With one at a time nothing
 * waits, and nobody has to look. */
static void note_depth(struct vhost_queue *q, int done)
{
	unsigned int depth;

	if (done % DEPTH_EVERY != 1)
		return;
	depth = virtq_waiting(&q->vq) + 1;

	count_set(&q->stats.depth, depth);
	if (depth > count_read(&q->stats.depth_max))
		count_set(&q->stats.depth_max, depth);
}

bool vhost_queue_leaves(const struct vhost_queue *q)
{
	return atomic_load_explicit(&q->stop, memory_order_relaxed) ||
		mem_is_closing(&q->dev->mem);
}

int vhost_queue_drain(struct vhost_queue *q, int most)
{
	const struct vhost_device *device = q->dev->device;
	struct virtq_chain chain;
	uint32_t written;
	int done = 0;
	int r;

	while (done < most && !vhost_queue_leaves(q)) {
		r = vhost_deferred_push(q);
		if (r >= 0)
			r = virtq_pop(&q->vq, &chain);
		if (r <= 0) {
			count_set(&q->stats.depth, 0);
			return r < 0 ? r : done;
		}
		note_depth(q, done);
		written = device->request(q->worker, &chain);
		count_add(&q->stats.requests, 1);
		done++;
		if (virtq_check_strayed(&q->vq) < 0)
			continue;
		if (written == VHOST_DEFERRED)
			continue;
		vhost_queue_push(q, chain.head, written);
		vhost_queue_publish(q);
	}
	return done;
}

static void take_wakes(struct vhost_queue *q)
{
	uint64_t wakes;

	while (read(q->wake_fd, &wakes, sizeof(wakes)) > 0)
		;
}

/* Sleeps until a kick, or a wake-up. */
static int sleep_until_kick(struct vhost_queue *q)
{
	static const struct timespec interval = {.tv_nsec = POLL_INTERVAL_NS};
	struct pollfd fds[2] = {
		{.fd = q->wake_fd, .events = POLLIN},
		{.fd = q->kick_fd, .events = POLLIN},
	};
	uint64_t kicks;
	ssize_t n;

	if (ppoll(fds, 2, q->kick_fd < 0 ? &interval : NULL, NULL) < 0 && errno != EINTR)
		return -errno;
	if (fds[0].revents)
		take_wakes(q);
	vhost_poll_slept(q);
	if (!fds[1].revents)
		return 0;
	n = read(q->kick_fd, &kicks, sizeof(kicks));
	if (n > 0)
		count_add(&q->stats.kicks, 1);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return -EPIPE;
	return 0;
}

static void wait_for_stop(struct vhost_queue *q)
{
	struct pollfd fd = {.fd = q->wake_fd, .events = POLLIN};

	while (!atomic_load(&q->stop)) {
		poll(&fd, 1, -1);
		take_wakes(q);
	}
}

/* One round: drain, and if nothing came, arm the kicks. True when the thread should sleep. */
static int run_once(struct vhost_queue *q, bool *idle)
{
	struct mem *mem = &q->dev->mem;
	int r;

	*idle = false;
	mem_enter(mem, &q->gate);
	/* Memory may have changed while the thread slept, and the ring be gone; or whoever borrowed
	 * it has found something there that broke it. */
	r = q->vq.broken;
	if (r == 0) {
		virtq_refuse_kicks(&q->vq);
		do {
			r = vhost_queue_drain(q, INT_MAX);
		} while (r >= 0 && !vhost_queue_leaves(q) && vhost_poll(q));
	}
	if (r < 0) {
		break_queue(q, q->vq.broken_by);
	} else {
		virtq_want_kicks(&q->vq);
		vhost_deferred_sleep(&q->deferred);
		/* What was finished while the gates were about to close is still there. */
		*idle = !virtq_pending(&q->vq) && !vhost_deferred_pending(q);
		if (!*idle)
			vhost_deferred_wake(&q->deferred);
	}
	mem_leave(&q->gate);
	return r;
}

static void run(struct vhost_queue *q)
{
	while (!atomic_load(&q->stop)) {
		bool idle;
		int r;

		if (run_once(q, &idle) < 0)
			return;
		r = idle && !atomic_load(&q->stop) ? sleep_until_kick(q) : 0;
		vhost_deferred_wake(&q->deferred);
		if (r < 0) {
			break_queue(q, "its kick descriptor is closed or unusable");
			return;
		}
	}
}

static void *queue_thread(void *arg)
{
	struct vhost_queue *q = arg;
	const struct vhost_device *device = q->dev->device;
	char name[16];
	int r = 0;

	snprintf(name, sizeof(name), "queue %u", q->index);
	pthread_setname_np(pthread_self(), name);
	q->worker = device->start_worker(device->opaque, q->index);
	mem_enter(&q->dev->mem, &q->gate);
	if (!q->worker)
		break_queue(q, "out of memory");
	else
		r = virtq_resolve(&q->vq);
	if (r < 0)
		break_queue(q, q->vq.broken_by);
	mem_leave(&q->gate);
	if (q->worker && r == 0) {
		vhost_poll_lend(q, true);
		run(q);
		vhost_poll_lend(q, false);
	}
	wait_for_stop(q);
	/* Outside the gate: it may wait for other threads. */
	if (q->worker && device->finish_deferred)
		device->finish_deferred(q->worker);
	mem_enter(&q->dev->mem, &q->gate);
	vhost_deferred_end(q);
	mem_leave(&q->gate);
	if (q->worker)
		device->stop_worker(q->worker);
	return NULL;
}

bool vhost_queue_is_ready(const struct vhost_queue *q)
{
	return q->has_kick && q->enabled && q->has_addr && q->vq.size > 0;
}

void vhost_queue_start(struct vhost_queue *q)
{
	int r;

	q->vq.event_idx = q->dev->features & (1ull << VIRTIO_F_EVENT_IDX_BIT);
	log_debug("queue %u starts: a %s ring of %u, position %#x", q->index,
		q->vq.packed ? "packed" : "split", q->vq.size, virtq_base(&q->vq));
	atomic_store(&q->stop, false);
	take_wakes(q);
	mem_gate_add(&q->dev->mem, &q->gate);
	r = pthread_create(&q->thread, NULL, queue_thread, q);
	if (r != 0) {
		mem_gate_remove(&q->dev->mem, &q->gate);
		log_error("queue %u: cannot start its thread: %s", q->index, strerror(r));
		signal_fd(q->err_fd);
		/* Its kick would say the same again and again: a new one is needed. */
		q->has_kick = false;
		return;
	}
	q->running = true;
}

void vhost_queue_wake(struct vhost_queue *q)
{
	signal_fd(q->wake_fd);
}

void vhost_queue_stop(struct vhost_queue *q)
{
	if (!q->running)
		return;
	/* Its requests are finished only when those of them end that wait for the front-end. */
	vhost_shmem_hold(q->dev);
	atomic_store(&q->stop, true);
	signal_fd(q->wake_fd);
	pthread_join(q->thread, NULL);
	mem_gate_remove(&q->dev->mem, &q->gate);
	q->running = false;
}

/* Chains may wait in a ring that nobody will kick again: a stop and start in between. */
static bool has_waiting(struct vhost_queue *q)
{
	struct virtq probe = q->vq;

	return virtq_resolve(&probe) < 0 || virtq_pending(&probe);
}

void vhost_queue_update(struct vhost_queue *q)
{
	if (!q->running && vhost_queue_is_ready(q) && (q->kick_fd < 0 || has_waiting(q)))
		vhost_queue_start(q);
}

void vhost_queue_halt(struct vhost_queue *q)
{
	vhost_queue_stop(q);
	close_fd(&q->kick_fd);
	q->has_kick = q->enabled = false;
	virtq_rewind(&q->vq, virtq_base(&q->vq));
}

void vhost_queue_forget(struct vhost_queue *q)
{
	vhost_queue_stop(q);
	close_fd(&q->kick_fd);
	q->has_addr = q->has_kick = q->enabled = false;
	virtq_reset(&q->vq);
}

void vhost_queue_reset(struct vhost_queue *q)
{
	vhost_queue_forget(q);
	close_fd(&q->call_fd);
	close_fd(&q->err_fd);
}
