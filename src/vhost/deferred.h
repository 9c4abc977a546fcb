// SPDX-License-Identifier: BSD-2-Clause
/*
 * Chains that are answered later, from another thread, while their ring goes on.
 *
 * Protocol. request() calls vhost_defer() on the ring's thread and returns VHOST_DEFERRED; the
 * chain stays taken. Then one of two comes first, decided under the list's lock:
 *   - some thread calls vhost_finish() with the reply: it is stored, and pushed as soon as can be;
 *   - the ring stops (GET_VRING_BASE, reset, disconnect, any message that sets the ring up): the
 *     reply given to vhost_defer() is used, and vhost_finish() finds that it came too late.
 * A stopped ring has answered everything before the message that stopped it is answered. A ring
 * that is broken by then answers nothing.
 *
 * Who pushes. The reply and the used ring are written by whoever is inside the ring's gate. As
 * long as the ring's thread is awake that is its own business: it looks at `ready` before each
 * chain that it pops, while it polls, and once more after it has said, still inside the gate,
 * that it sleeps (`asleep`). Whoever finishes a chain counts it in `ready` first and looks at
 * `asleep` then, so that one of the two has seen the other:
 *   - the thread is awake: nothing is left to do, and nobody is woken;
 *   - it sleeps: the finisher enters the gate, pushes all that is ready and calls the driver,
 *     and the thread sleeps on. One finisher does so at a time (`pushing`); what others finish
 *     meanwhile they leave to it, for it looks again, under the list's lock, as it leaves;
 *   - it sleeps, but the gate is taken (memory changes, the ring is lent): the thread is woken.
 * A finisher never waits for the gate, as it may be inside the one of mem_enter_beside(). It
 * looks at `asleep` and tries the gate under the list's lock, so that all of that comes before
 * or after the ring's end, at which the thread is awake. Where its push breaks the ring it wakes
 * the thread, which tells. tests/model/push.pml proves that no reply stays behind, and that one
 * pushes at a time.
 *
 * Data. Where a reply is followed by data that is not ready yet, vhost_defer_data() notes where all
 * of it goes, and vhost_reach() lends that room, inside the gate of memory for threads that have
 * none (mem.h), for a system call to fill. Then vhost_finish_data() says how much is there. The
 * ring must not stop meanwhile: who defers so sees to it that its ring's end waits
 * (vhost_device.finish_deferred), for to a driver that has stopped its ring the room is its own.
 *
 * Batches. Whoever pushes pushes all that is ready, and shows the driver all of it at once: one
 * store to the used ring's index, one call. A request that its ring's thread has answered by itself
 * is shown at once: it would have to wait for the next one, which may take any time.
 *
 * No guest pointer outlives request(): memory may change meanwhile. Nor are the descriptors read
 * again: in a packed ring those of other chains, used meanwhile, may have taken their place. What
 * is kept is where in the guest the reply goes, to be translated when it is written; memory that
 * has gone by then breaks the queue.
 *
 * Order. A request that ends what others wait for (in FUSE: INIT and DESTROY) has them finished
 * first, but their rings' threads push when they get to it. So its own reply is deferred too, and
 * given to vhost_finish_last(): it goes out when every chain that was finished before, on any ring
 * of the device, has been shown to the driver. dev->unshown counts those; whoever brings it to 0,
 * or finds it there, lets the last ones go.
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

#define VHOST_DEFERRED_MAX   1344 /* chains of one ring */
#define VHOST_DEFERRED_REPLY 384  /* bytes of a reply */

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
	_Atomic unsigned int lasts; /* how many have it, and wait for the others of the device */
	_Atomic bool asleep; /* the ring's thread; set inside the gate, cleared by itself */
	bool pushing;        /* somebody does that in its place */
};

/*
 * For request(): defers its chain. reply (len bytes, at most VHOST_DEFERRED_REPLY) is what the
 * driver gets if the ring stops first. The result must be given to vhost_finish() exactly once,
 * before vhost_backend_destroy(). NULL when too many wait already, or there is no memory.
 */
struct vhost_deferred *vhost_defer(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len);

/* The same for a chain whose reply has data behind its first bytes. */
struct vhost_deferred *vhost_defer_data(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len);

/*
 * The room for the whole reply, *len bytes in what comes back, which the caller frees; memory that
 * can vanish may be among it, so that it is to be lent only (cursor.h). To be used until
 * vhost_leave(), and nothing may wait for messages before that. NULL where the guest's memory or
 * ours is gone: vhost_leave() is due all the same.
 */
struct iovec *vhost_reach(struct vhost_deferred *d, size_t *len);
void vhost_leave(struct vhost_backend *dev);

/* vhost_finish() where written bytes are the whole reply, all but the first len of which are where
 * they belong. */
bool vhost_finish_data(struct vhost_deferred *d, const void *reply, uint32_t len,
	uint32_t written);

/* Answers a deferred chain, from any thread, and frees it. False when the ring stopped first. */
bool vhost_finish(struct vhost_deferred *d, const void *reply, uint32_t len);

/* The same, but the driver sees the reply only after those of all chains of the device that were
 * finished before. Where the ring stops first, it sees it then. */
void vhost_finish_last(struct vhost_deferred *d, const void *reply, uint32_t len);

/* Between the files of this folder, on the ring's thread (what pushes inside its gate). */

/* The thread is about to sleep, inside its gate, and has to look for what is to push after that; it
 * is awake. */
static inline void vhost_deferred_sleep(struct vhost_deferred_list *list)
{
	atomic_store(&list->asleep, true);
}

static inline void vhost_deferred_wake(struct vhost_deferred_list *list)
{
	atomic_store(&list->asleep, false);
}

/* Pushes the chains that have their reply, and shows them to the driver. Returns how many, or
 * -errno when the ring broke. */
int vhost_deferred_push(struct vhost_queue *q);

/* Whether there is one to push. */
bool vhost_deferred_pending(const struct vhost_queue *q);

/* The same for all chains, those that still wait with the reply they were deferred with. */
int vhost_deferred_end(struct vhost_queue *q);

#endif
