// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/poll.h"

#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "base/util.h"
#include "vhost/backend.h"

/* #syscalls: sched_getaffinity sched_setaffinity getcpu */

/* Looks between two looks at the clock, which takes as long as several of them. */
#define LOOKS 16
/* A chain that comes so soon after the thread slept was kept waiting by it. */
#define SOON_NS 10000

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

unsigned int vhost_pollers_max(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 1;
	return max_t(unsigned int, (unsigned int)CPU_COUNT(&cpus) / 2, 1);
}

static bool is_wanted(const struct vhost_queue *q)
{
	return vhost_queue_leaves(q) || virtq_pending(&q->vq) || vhost_deferred_pending(q);
}

/* The ring that has no looks of its own, if nobody works at it. */
static struct vhost_queue *borrow(struct vhost_queue *q)
{
	struct vhost_queue *other = &q->dev->queues[0];

	if (other == q || q->dev->device->no_borrowing ||
		pthread_mutex_trylock(&other->lending.lock) != 0)
		return NULL;
	if (other->lending.is && mem_try_enter(&q->dev->mem, &other->gate)) {
		if (!other->vq.broken) {
			virtq_refuse_kicks(&other->vq);
			return other;
		}
		mem_leave(&other->gate);
	}
	pthread_mutex_unlock(&other->lending.lock);
	return NULL;
}

static void give_back(struct vhost_queue *other)
{
	if (!other->vq.broken)
		virtq_want_kicks(&other->vq);
	if (other->vq.broken || is_wanted(other))
		vhost_queue_wake(other);
	mem_leave(&other->gate);
	pthread_mutex_unlock(&other->lending.lock);
}

/* Not for longer than it is there: whoever stops it, or changes memory, waits for us. And one chain
 * only: a driver that never lets the ring become empty would keep us from our own. */
static int serve_other(struct vhost_queue *other)
{
	int r = vhost_queue_leaves(other) ? -EINTR : vhost_queue_drain(other, 1);

	if (r > 0)
		count_add(&other->stats.borrowed, (uint64_t)r);
	return r;
}

/* Until something is there in q, or the window has passed. */
static bool look(struct vhost_queue *q, struct vhost_queue *other)
{
	struct vhost_poll *p = &q->poll;
	uint64_t end = p->idle_ns + p->window_ns;

	do {
		for (int i = 0; i < LOOKS; i++) {
			if (is_wanted(q))
				return true;
			if (other && is_wanted(other) && serve_other(other) < 0)
				return false;
			pause_cpu();
		}
		p->slept_ns = clock_ns(CLOCK_MONOTONIC);
	} while (p->slept_ns < end);
	return false;
}

/* Of a look that found something the end is known only to the last look at the clock. */
static void count_look(struct vhost_queue *q, bool found)
{
	struct vhost_queue_stats *s = &q->stats;
	const struct vhost_poll *p = &q->poll;

	count_add(found ? &s->caught : &s->missed, 1);
	if (p->slept_ns)
		count_add(found ? &s->caught_ns : &s->missed_ns, p->slept_ns - p->idle_ns);
}

bool vhost_poll(struct vhost_queue *q)
{
	struct vhost_backend *dev = q->dev;
	struct vhost_poll *p = &q->poll;
	struct vhost_queue *other;
	bool found = false;

	if (dev->device->poll_limit_ns == 0 || q->index == 0)
		return false;
	p->idle_ns = clock_ns(CLOCK_MONOTONIC);
	p->slept_ns = 0;
	if (p->window_ns == 0)
		return false;
	if (atomic_fetch_add(&dev->pollers, 1) < dev->pollers_max) {
		other = borrow(q);
		found = look(q, other);
		if (other)
			give_back(other);
		count_look(q, found);
	}
	atomic_fetch_sub(&dev->pollers, 1);
	if (found) {
		p->late = p->skips = 0;
		p->moved = false;
	}
	return found;
}

/* Goes to another processor, if it may run on one. Where the waking side's processor is the one
 * that a sleeping thread is left on (in a host that is a virtual machine itself, Linux takes
 * processors that idle for preempted ones), it stays there for ever otherwise. */
static void leave_cpu(void)
{
	cpu_set_t all, others;
	int cpu = sched_getcpu();

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	others = all;
	CPU_CLR(cpu, &others);
	if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0)
		sched_setaffinity(0, sizeof(all), &all);
}

/* Nothing is looked at for some time. */
static void skip(struct vhost_poll *p)
{
	p->skips = p->skips ? min_t(unsigned int, p->skips * 2, VHOST_POLL_SKIPS_MAX)
			    : VHOST_POLL_SKIPS_FIRST;
	p->skip = p->skips;
	p->window_ns = 0;
	p->late = 0;
	p->moved = false;
}

void vhost_poll_slept(struct vhost_queue *q)
{
	struct vhost_poll *p = &q->poll;
	uint64_t limit = q->dev->device->poll_limit_ns;
	uint64_t now;

	if (limit == 0 || q->index == 0)
		return;
	if (p->skip > 0) {
		p->skip--;
		count_add(&q->stats.skipped, 1);
		return;
	}
	now = clock_ns(CLOCK_MONOTONIC);
	if (p->slept_ns && p->window_ns == limit && now < p->slept_ns + SOON_NS) {
		if (++p->late < VHOST_POLL_LATE)
			return;
		if (p->moved) {
			skip(p);
		} else {
			leave_cpu();
			p->moved = true;
			p->late = 0;
		}
	} else if (now - p->idle_ns <= limit) {
		p->window_ns = p->window_ns ? min_t(uint64_t, limit, p->window_ns * 2)
					    : min_t(uint64_t, limit, VHOST_POLL_FIRST_NS);
	} else {
		p->window_ns /= 2;
		if (p->window_ns < VHOST_POLL_FIRST_NS)
			p->window_ns = 0;
	}
	count_set(&q->stats.window_ns, p->window_ns);
}

void vhost_poll_lend(struct vhost_queue *q, bool is)
{
	if (q->index != 0)
		return;
	pthread_mutex_lock(&q->lending.lock);
	q->lending.is = is;
	pthread_mutex_unlock(&q->lending.lock);
}
