// SPDX-License-Identifier: BSD-2-Clause
/*
 * Requests over the queues of a front-end: submitted from any thread, and come back once.
 *
 * A request is a chain of buffers in guest memory. Its owner either waits for it
 * (transport_wait()) or is told by its finished() function.
 *
 * Who looks at a queue. There is no thread of our own: of those that wait on a queue one leads. It
 * takes back what the back-end returned, wakes the others as theirs come, and sleeps on the
 * queue's call descriptor and on the connection; when its own is there it hands the lead on. With
 * spin_us it looks at the ring for so long before it sleeps, which saves both sides a wake-up.
 * transport_reap() does the same for programs that wait in a loop of their own.
 *
 * A back-end that has gone, or that broke a ring, fails every request in flight and every one
 * after it with -ENOTCONN; transport_why() says what happened.
 *
 * Locks: one for each queue. finished() runs under none of ours, and not on a thread that may hold
 * any of the caller's: only in submit, wait, reap and close.
 */
#ifndef CLIENT_TRANSPORT_H
#define CLIENT_TRANSPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/arena.h"
#include "trace/record.h"
#include "vhost/frontend.h"

#define TRANSPORT_SPIN_EVER UINT32_MAX
#define REQUEST_BUFFERS     (VIRTQ_DRIVER_TABLE - 1)

struct waiter;

struct request {
	struct virtq_buffer buffers[REQUEST_BUFFERS];
	unsigned int nin, nout;
	void (*finished)(struct request *r); /* or NULL: somebody waits */

	/* Set when it comes back, before finished() or the end of the wait. */
	int status;       /* 0, or -ENOTCONN */
	uint32_t written; /* as the back-end says; not more than there was room for */

	_Atomic bool done;
	struct recorded recorded;
	struct waiter *waiter;
	struct request *next; /* of those that have come back */
};

struct transport_queue {
	struct transport *t;
	pthread_mutex_t lock;
	struct vhost_frontend_queue *q;
	bool led;
	unsigned int unwaited; /* requests in flight that nobody waits for */
	struct waiter *first, *last; /* those that do not lead, in the order of their coming */
};

struct transport {
	struct vhost_frontend fe;
	struct arena arena;
	struct transport_queue *queues;
	struct recorder *recorder; /* or NULL; the transport's from now on */
	uint32_t spin_us;
	int epoll_fd; /* readable when reap has something to do */

	_Atomic bool lost;
	pthread_mutex_t why_lock;
	char why[160];
};

/* Opens the front-end over sock, which is the transport's from now on. On failure why says it. */
int transport_open(struct transport *t, int sock, const struct vhost_frontend_config *config,
	uint32_t spin_us);

/* Fails what is in flight, stops the queues and frees everything. No other call runs any more. */
void transport_close(struct transport *t);

/* Adds a buffer of guest memory to a request: one that the back-end reads, before all that it
 * writes. */
void request_add_in(struct transport *t, struct request *r, const void *p, size_t len);
void request_add_out(struct transport *t, struct request *r, void *p, size_t len);

/* Records what is sent, or what has come back, where there is a recorder. (open.c) */
void request_record(struct transport *t, unsigned int queue, struct request *r);
void request_record_reply(struct transport *t, unsigned int queue, const struct request *r);

/* Sends r on a queue (0 is the high-priority one), waiting while that is full. -ENOTCONN, -E2BIG;
 * then nothing else comes of r. */
int transport_submit(struct transport *t, unsigned int queue, struct request *r);

/* Waits until r has come back; queue is where it was submitted. */
void transport_wait(struct transport *t, unsigned int queue, struct request *r);

/* Waits until all requests of a queue that nobody waits for have come back. */
void transport_drain(struct transport *t, unsigned int queue);

/* Takes back what there is on all queues, and looks whether the back-end is still there, without
 * waiting. The other two do one half each, for loops that wait for one queue's call descriptor. */
void transport_reap(struct transport *t);
void transport_reap_one(struct transport *t, unsigned int queue);
void transport_look(struct transport *t);

/* The request queue that the calling thread uses: threads are spread over all. */
unsigned int transport_my_queue(struct transport *t);

/* Fails everything, now and later; the first reason counts. From any thread. */
void transport_lose(struct transport *t, const char *why);

/* Fails what is in flight on a queue. (For open.c.) */
void transport_abandon(struct transport_queue *q);

/* Copies why the back-end is lost. */
void transport_why(struct transport *t, char *text, size_t size);

#endif
