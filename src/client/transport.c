// SPDX-License-Identifier: BSD-2-Clause
#include "client/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

/* How often one looks at the ring between two looks at the clock and the connection. */
#define SPIN_ROUND 512

/* One that waits for a request, or for room in the ring, and does not lead. */
struct waiter {
	pthread_cond_t woken;
	struct waiter *next, *prev;
	bool for_room;
};

static void enqueue(struct transport_queue *q, struct waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	if (q->last)
		q->last->next = w;
	else
		q->first = w;
	q->last = w;
}

static void dequeue(struct transport_queue *q, struct waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		q->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
}

static void wake_for_room(struct transport_queue *q)
{
	for (struct waiter *w = q->first; w; w = w->next) {
		if (w->for_room)
			pthread_cond_signal(&w->woken);
	}
}

/* One request has come back, under the queue's lock: who waits is woken, who has a function is put
 * into the list of those to call. */
static void come_back(struct transport_queue *q, struct request *r, int status, uint32_t written,
	struct request **called)
{
	r->status = status;
	r->written = written;
	request_record_reply(q->t, (unsigned int)(q - q->t->queues), r);
	if (r->finished) {
		q->unwaited--;
		r->next = *called;
		*called = r;
		return;
	}
	/* Behind this, and but for the lock, the request is its owner's again. */
	if (r->waiter)
		pthread_cond_signal(&r->waiter->woken);
	atomic_store_explicit(&r->done, true, memory_order_release);
}

static void call_finished(struct request *called)
{
	struct request *in_order = NULL, *next;

	for (; called; called = next) {
		next = called->next;
		called->next = in_order;
		in_order = called;
	}
	for (; in_order; in_order = next) {
		next = in_order->next;
		in_order->finished(in_order);
	}
}

/* Takes back what the back-end has returned, under the lock. Returns how many, or -EIO. */
static int collect(struct transport_queue *q, struct request **called)
{
	uint32_t written;
	void *cookie;
	int n = 0, r;

	while ((r = virtq_driver_collect(&q->q->vq, &cookie, &written)) > 0) {
		come_back(q, cookie, 0, written, called);
		n++;
	}
	if (n > 0)
		wake_for_room(q);
	return r < 0 ? r : n;
}

static void ring_broke(struct transport *t, struct transport_queue *q)
{
	char text[128];

	snprintf(text, sizeof(text), "the back-end broke queue %u: %s",
		(unsigned int)(q - t->queues), q->q->vq.broken_by);
	transport_lose(t, text);
}

/* Looks whether the back-end is still there: nothing is ever to be read from it. */
static void look_at_connection(struct transport *t)
{
	char byte, why[sizeof(t->why)];
	ssize_t n = recv(t->fe.sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	if (n > 0)
		transport_lose(t, "the back-end sent a message that was not asked for");
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		transport_lose(t, vhost_window_why(&t->fe.window, why, sizeof(why)) ?
				why : "the back-end has ended the connection");
}

static uint64_t now_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

/* Tells the processor that this is a loop that waits. */
static inline void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Looks at the ring for a while; true when something came. */
static bool spin(struct transport *t, struct transport_queue *q)
{
	uint64_t end = t->spin_us == TRANSPORT_SPIN_EVER ? UINT64_MAX : now_us() + t->spin_us;

	while (!atomic_load_explicit(&t->lost, memory_order_relaxed)) {
		for (int i = 0; i < SPIN_ROUND; i++) {
			if (virtq_driver_pending(&q->q->vq))
				return true;
			relax();
		}
		if (end == UINT64_MAX)
			look_at_connection(t);
		else if (now_us() >= end)
			return false;
	}
	return true;
}

/* The leader sleeps, without the lock, until the queue is called or the back-end goes. */
static void sleep_until_called(struct transport *t, struct transport_queue *q)
{
	struct pollfd fds[2] = {
		{.fd = q->q->call_fd, .events = POLLIN},
		{.fd = t->fe.sock, .events = POLLIN | POLLRDHUP},
	};
	uint64_t calls;

	if (poll(fds, 2, -1) < 0)
		return;
	if (fds[0].revents && read(q->q->call_fd, &calls, sizeof(calls)) < 0 && errno != EAGAIN)
		transport_lose(t, "a queue's call descriptor fails");
	if (fds[1].revents)
		look_at_connection(t);
}

/* One step of the leader, entered and left with the lock held: something comes back, or a sleep
 * ends. */
static void lead(struct transport *t, struct transport_queue *q)
{
	struct virtq_driver *vq = &q->q->vq;
	struct request *called = NULL;
	int n;

	q->led = true;
	n = collect(q, &called);
	if (n == 0 && !atomic_load(&t->lost)) {
		if (t->spin_us)
			virtq_driver_refuse_calls(vq);
		pthread_mutex_unlock(&q->lock);
		if (t->spin_us == 0 || !spin(t, q)) {
			pthread_mutex_lock(&q->lock);
			virtq_driver_want_calls(vq);
			pthread_mutex_unlock(&q->lock);
			if (!virtq_driver_pending(vq))
				sleep_until_called(t, q);
		}
		pthread_mutex_lock(&q->lock);
		n = collect(q, &called);
	}
	if (n < 0 || called) {
		pthread_mutex_unlock(&q->lock);
		if (n < 0)
			ring_broke(t, q);
		call_finished(called);
		pthread_mutex_lock(&q->lock);
	}
	q->led = false;
}

/* Waits for one thing to happen, with the lock held: leads, or waits for who does. */
static void wait_a_step(struct transport *t, struct transport_queue *q, struct request *r)
{
	struct waiter w;

	if (!q->led) {
		lead(t, q);
		return;
	}
	w.for_room = !r;
	pthread_cond_init(&w.woken, NULL);
	enqueue(q, &w);
	if (r)
		r->waiter = &w;
	pthread_cond_wait(&w.woken, &q->lock);
	if (r)
		r->waiter = NULL;
	dequeue(q, &w);
	pthread_cond_destroy(&w.woken);
}

/* Who stops waiting lets another lead; where nobody waits but something is to come, the call
 * descriptor tells transport_reap(). */
static void hand_on(struct transport_queue *q)
{
	const uint64_t one = 1;

	if (q->led)
		return;
	if (q->first) {
		pthread_cond_signal(&q->first->woken);
	} else if (q->unwaited > 0) {
		virtq_driver_want_calls(&q->q->vq);
		if (virtq_driver_pending(&q->q->vq) &&
			write(q->q->call_fd, &one, sizeof(one)) < 0)
			return;
	}
}

static void kick(struct transport_queue *q)
{
	const uint64_t one = 1;

	/* A full counter has its reader awake already. */
	if (virtq_driver_publish(&q->q->vq) && write(q->q->kick_fd, &one, sizeof(one)) < 0)
		return;
}

int transport_submit(struct transport *t, unsigned int queue, struct request *r)
{
	struct transport_queue *q = &t->queues[queue];
	int result;

	atomic_store_explicit(&r->done, false, memory_order_relaxed);
	r->waiter = NULL;
	r->status = 0;
	request_record(t, queue, r);
	pthread_mutex_lock(&q->lock);
	for (;;) {
		result = atomic_load(&t->lost) ? -ENOTCONN :
			virtq_driver_add(&q->q->vq, r->buffers, r->nin, r->nout, r);
		if (result != -ENOSPC)
			break;
		wait_a_step(t, q, NULL);
	}
	if (result == 0) {
		q->unwaited += r->finished != NULL;
		kick(q);
	}
	hand_on(q);
	pthread_mutex_unlock(&q->lock);
	return result;
}

void transport_wait(struct transport *t, unsigned int queue, struct request *r)
{
	struct transport_queue *q = &t->queues[queue];

	pthread_mutex_lock(&q->lock);
	while (!atomic_load_explicit(&r->done, memory_order_relaxed))
		wait_a_step(t, q, r);
	hand_on(q);
	pthread_mutex_unlock(&q->lock);
}

void transport_drain(struct transport *t, unsigned int queue)
{
	struct transport_queue *q = &t->queues[queue];

	pthread_mutex_lock(&q->lock);
	while (q->unwaited > 0)
		wait_a_step(t, q, NULL);
	hand_on(q);
	pthread_mutex_unlock(&q->lock);
}

void transport_reap_one(struct transport *t, unsigned int queue)
{
	struct transport_queue *q = &t->queues[queue];
	struct request *called = NULL;
	uint64_t calls;
	int n = 0;

	pthread_mutex_lock(&q->lock);
	/* Who leads does this already. */
	if (!q->led) {
		if (read(q->q->call_fd, &calls, sizeof(calls)) < 0)
			calls = 0;
		do {
			virtq_driver_want_calls(&q->q->vq);
			n = collect(q, &called);
		} while (n > 0);
	}
	pthread_mutex_unlock(&q->lock);
	if (n < 0)
		ring_broke(t, q);
	call_finished(called);
}

void transport_look(struct transport *t)
{
	if (!atomic_load(&t->lost))
		look_at_connection(t);
}

void transport_reap(struct transport *t)
{
	for (unsigned int i = 0; i < t->fe.nqueues; i++)
		transport_reap_one(t, i);
	transport_look(t);
}

unsigned int transport_my_queue(struct transport *t)
{
	static _Atomic unsigned int threads;
	static _Thread_local unsigned int mine;

	if (mine == 0)
		mine = 1 + (atomic_fetch_add(&threads, 1) & INT32_MAX);
	return t->fe.first_request + mine % (t->fe.nqueues - t->fe.first_request);
}

void transport_abandon(struct transport_queue *q)
{
	struct request *called = NULL, *r;

	pthread_mutex_lock(&q->lock);
	while ((r = virtq_driver_abandon(&q->q->vq)))
		come_back(q, r, -ENOTCONN, 0, &called);
	wake_for_room(q);
	pthread_mutex_unlock(&q->lock);
	call_finished(called);
}

void transport_lose(struct transport *t, const char *why)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&t->why_lock);
	if (!t->why[0])
		snprintf(t->why, sizeof(t->why), "%s", why);
	pthread_mutex_unlock(&t->why_lock);
	atomic_store(&t->lost, true);
	for (unsigned int i = 0; i < t->fe.nqueues; i++) {
		transport_abandon(&t->queues[i]);
		/* A leader that sleeps may have seen nothing of it. */
		if (write(t->queues[i].q->call_fd, &one, sizeof(one)) < 0)
			continue;
	}
}

void transport_why(struct transport *t, char *text, size_t size)
{
	pthread_mutex_lock(&t->why_lock);
	snprintf(text, size, "%s", t->why);
	pthread_mutex_unlock(&t->why_lock);
}
