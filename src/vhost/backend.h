// SPDX-License-Identifier: BSD-2-Clause
/*
 * The back-end of a vhost-user connection: a virtio device whose rings live in a front-end's
 * guest. It knows nothing of what travels in the rings.
 *
 * Threads. The main thread reads messages (serve.c, messages.c) and changes state. Each ring
 * that was ever kicked has a thread of its own (queue.c) that pops chains, has them answered by
 * the device's request() and pushes them back. Whoever is inside the ring's gate touches the ring:
 * its thread, unless another ring's has borrowed it (poll.h), or a thread that has finished a chain
 * gives that back while the ring's sleeps (deferred.h).
 * The main thread changes a ring only while its thread is stopped, guest memory only with the
 * gates closed (mem/mem.h), and the call and error descriptors inside the ring's gate. Any other
 * thread may ask the front-end for something (shmem.h).
 *
 * Failure classes. A message that breaks the protocol ends the connection with one log line. A
 * ring that breaks a rule stops and signals VRING_ERR; the device goes on. What a request says
 * is request()'s business.
 */
#ifndef VHOST_BACKEND_H
#define VHOST_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "mem/mem.h"
#include "metrics/histogram.h"
#include "metrics/text.h"
#include "vhost/deferred.h"
#include "vhost/msg.h"
#include "vhost/poll.h"
#include "vhost/shmem.h"
#include "virtq/virtq.h"

#define VHOST_QUEUES_MAX 65 /* one high-priority queue, 64 request queues */

struct vhost_backend;

/* What a device does with what the rings bring. */
struct vhost_device {
	/* Called on a queue's thread before its first chain and after its last one. The worker
	 * is the device's state for that thread. NULL from start_worker breaks the queue. */
	void *(*start_worker)(void *opaque, unsigned int queue);
	void (*stop_worker)(void *worker);

	/* Answers one chain, on the worker's thread, or another one that has taken its place for
	 * the time; returns how many bytes it wrote to chain->out, or VHOST_DEFERRED
	 * (deferred.h). */
	uint32_t (*request)(void *worker, const struct virtq_chain *chain);

	/* The guest has reset the device, and all workers have ended; may be NULL. */
	void (*reset)(void *opaque);
	/* Its queue stops, and no more chains come from it: each that it deferred and that still
	 * waits is to be finished, with an error, before this returns. NULL where none waits. */
	void (*finish_deferred)(void *worker);

	/* The front-end has gone, and all workers have ended. */
	void (*disconnected)(void *opaque);

	void *opaque;

	/* The device's configuration space (virtio 1.2, section 5.11.4); NULL: do not offer it. */
	const void *config;
	uint32_t config_size; /* at most VU_CONFIG_MAX */

	/* For how long a ring is looked at before its thread sleeps, at most; and whether the
	 * high-priority ring is left to its own thread meanwhile (poll.h). */
	uint64_t poll_limit_ns;
	bool no_borrowing;
	/* What is finished while a ring's thread sleeps is left to it (deferred.h). */
	bool no_answering;
	/* Nor are answers that are ready together shown together (deferred.h). */
	bool no_batching;
	/* Kicks and calls that are not needed are not spared. */
	bool no_event_idx;

	/* Features of the device's type (virtio 1.2, section 5), offered besides. */
	uint64_t features;

	/* Bytes of its regions of shared memory (shmem.h), powers of two; 0: there is none. */
	uint64_t shmem_sizes[VHOST_SHMEM_REGIONS];
	/* From now on the front-end can be asked to map there, unless it stops us; also where that
	 * was so before. On the main thread, which it does not hold up. May be NULL. */
	void (*shmem_ready)(void *opaque);
	/* Whether a file is one that it has mapped there, or is about to: front-ends bring these
	 * back as guest memory (mem/mem.h). May be NULL. */
	bool (*owns_memory)(void *opaque, const struct stat *st);
};

/*
 * Counted by the queue's thread, or by whoever is inside the gate in its place, and read by anyone
 * (metrics/count.h); all of it counters (stats.c).
 */
struct vhost_queue_stats {
	counter requests;
	counter kicks;  /* times that a kick woke the thread */
	counter calls;  /* times that the driver was called */
	counter errors; /* times that the driver broke the ring */
	counter caught; /* times that a look at the empty ring found something */
	counter missed; /* ... and that it did not */
	counter caught_ns, missed_ns; /* how long these took */
	counter skipped;   /* sleeps without a look, after looks that did not pay */
	counter window_ns; /* for how long it looks now */
	counter borrowed;  /* requests that another ring's thread answered */
	counter beside;    /* chains that were given back while it slept */
	counter depth, depth_max; /* chains found behind another: lately, and the most ever */
	struct sizes batches;     /* chains that were shown to the driver at once */
};

struct vhost_queue {
	struct vhost_backend *dev;
	unsigned int index;
	struct virtq vq;

	bool has_addr;
	bool has_kick; /* SET_VRING_KICK came; kick_fd is -1 where it said to poll */
	bool enabled;
	int kick_fd, call_fd, err_fd;

	bool running; /* has a thread */
	pthread_t thread;
	int wake_fd; /* eventfd that ends the thread's sleep */
	_Atomic bool stop;
	struct mem_gate gate;
	struct vhost_deferred_list deferred;
	void *worker; /* the device's, of the thread */
	struct vhost_poll poll;
	struct vhost_lending lending; /* of queue 0 */

	unsigned int pushed; /* chains that the driver was not shown yet */
	struct vhost_queue_stats stats;
};

struct vhost_backend {
	const struct vhost_device *device;
	int sock;
	unsigned int pollers_max; /* poll.h */
	_Atomic unsigned int pollers; /* threads that do */
	bool heard; /* the front-end has sent something */
	uint64_t features;  /* acknowledged */
	uint64_t protocol_features;
	uint8_t status; /* VIRTIO_STATUS_* that the driver set, as far as it was let */
	struct vhost_shmem shmem;
	struct mem mem;
	struct vhost_queue queues[VHOST_QUEUES_MAX];
	_Atomic unsigned int unshown; /* chains finished later and not back yet (deferred.h) */
	char why[128]; /* what was wrong with the message, for the log line */
};

/* device must outlive the back-end. 0, or -errno when descriptors run out. */
int vhost_backend_init(struct vhost_backend *dev, const struct vhost_device *device);
void vhost_backend_destroy(struct vhost_backend *dev);

/* What serve() also waits for on the main thread. */
struct vhost_events {
	int stop_fd;  /* readable: stop serving */
	int other_fd; /* readable: call other(opaque), which must empty it */
	void (*other)(void *opaque);
	void *opaque;
};

/*
 * Serves one front-end on a connected socket (which stays the caller's) until it goes, breaks the
 * protocol, or stop_fd says so. Logs why it ends where that is not the front-end's going.
 * Returns 0 when the front-end went, -EINTR for stop_fd, -errno otherwise. All state of the
 * connection is gone when it returns.
 */
int vhost_backend_serve(struct vhost_backend *dev, int sock, const struct vhost_events *events);

/* What was counted since the connection began, from any thread: a line in the log for each queue
 * that was used, and as metrics. (stats.c) */
void vhost_backend_log_stats(const struct vhost_backend *dev);
void vhost_backend_metrics(struct vhost_backend *dev, struct metrics *m);

/* Between the files of this folder. */

/* Nothing was counted. (stats.c) */
void vhost_queue_clear_stats(struct vhost_queue *q);

/* Handles one message: 0 or -errno, which ends the connection. (messages.c) */
int vhost_handle(struct vhost_backend *dev, struct vu_msg *msg);

/* Starts the thread if the ring is set up, enabled and either kicked before or has chains
 * waiting; a ring that is set up but idle is started by its first kick. (queue.c) */
void vhost_queue_update(struct vhost_queue *q);
bool vhost_queue_is_ready(const struct vhost_queue *q);
void vhost_queue_start(struct vhost_queue *q);
void vhost_queue_stop(struct vhost_queue *q);

/* Answers what is in the ring, `most` chains at most, or until its thread has to leave it. Inside
 * the gate, by whoever holds that. Returns how many chains, or -errno when the ring broke, of which
 * its own thread will tell. */
int vhost_queue_drain(struct vhost_queue *q, int most);

/* Whether whoever works at the ring has to leave it, whatever is there. */
bool vhost_queue_leaves(const struct vhost_queue *q);

/* Gives a chain back, of which len bytes were written; then shows the driver what was given back.
 * Inside the gate. */
static inline void vhost_queue_push(struct vhost_queue *q, uint16_t head, uint32_t len)
{
	virtq_push(&q->vq, head, len);
	q->pushed++;
}
void vhost_queue_publish(struct vhost_queue *q);

/* Ends the sleep of the ring's thread, from any thread. */
void vhost_queue_wake(struct vhost_queue *q);

/* Stops the ring and disables it; it keeps its set-up and position, but needs a new kick
 * descriptor. */
void vhost_queue_halt(struct vhost_queue *q);

/* Stops the ring and forgets how it was set up, but for the call and error descriptors, which a
 * front-end need not send again. */
void vhost_queue_forget(struct vhost_queue *q);

/* Forgets those too. */
void vhost_queue_reset(struct vhost_queue *q);

#endif
