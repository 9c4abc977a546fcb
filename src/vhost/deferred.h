// SPDX-License-Identifier: BSD-2-Clause
/*
 * Chains that are answered later, from another thread, while their ring goes on.
 *
 * Protocol. request() calls vhost_defer() on the ring's thread and returns VHOST_DEFERRED; the
 * chain stays taken. Then one of two comes first, decided under the list's lock:
 *   - some thread calls vhost_finish() with the reply: it is stored, the ring's thread is woken;
 *   - the ring stops (GET_VRING_BASE, reset, disconnect, any message that sets the ring up): the
 *     reply given to vhost_defer() is used, and vhost_finish() finds that it came too late.
 * Either way the ring's thread alone writes the reply and the used ring, inside its gate, and a
 * stopped ring has answered everything before the message that stopped it is answered. A ring
 * that is broken by then answers nothing.
 *
 * No guest pointer outlives request(): memory may change meanwhile. Nor are the descriptors read
 * again: in a packed ring those of other chains, used meanwhile, may have taken their place. What
 * is kept is where in the guest the reply goes, to be translated when it is written; memory that
 * has gone by then breaks the queue.
 *
 * A ring's thread that has nothing deferred takes no lock: it looks at one counter.
 */
#ifndef VHOST_DEFERRED_H
#define VHOST_DEFERRED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtq/virtq.h"

#define VHOST_DEFERRED_MAX   256 /* chains of one ring */
#define VHOST_DEFERRED_REPLY 64  /* bytes of a reply */

/* What request() returns for a chain that vhost_defer() took. */
#define VHOST_DEFERRED UINT32_MAX

struct vhost_backend;
struct vhost_queue;
struct vhost_deferred;

/* A ring's deferred chains. */
struct vhost_deferred_list {
	pthread_mutex_t lock; /* of what follows and of the chains in it */
	struct vhost_deferred *first;
	unsigned int count;
	_Atomic unsigned int ready; /* how many have their reply */
};

/*
 * For request(): defers its chain. reply (len bytes, at most VHOST_DEFERRED_REPLY) is what the
 * driver gets if the ring stops first. The result must be given to vhost_finish() exactly once,
 * before vhost_backend_destroy(). NULL when too many wait already, or there is no memory.
 */
struct vhost_deferred *vhost_defer(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len);

/* Answers a deferred chain, from any thread, and frees it. False when the ring stopped first. */
bool vhost_finish(struct vhost_deferred *d, const void *reply, uint32_t len);

/* Between the files of this folder, on the ring's thread, inside its gate. */

/* Pushes the chains that have their reply. Returns how many, or -errno when the ring broke. */
int vhost_deferred_push(struct vhost_queue *q);

/* Pushes all chains, those that still wait with the reply they were deferred with. */
int vhost_deferred_end(struct vhost_queue *q);

#endif
