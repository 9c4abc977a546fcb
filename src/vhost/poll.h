// SPDX-License-Identifier: BSD-2-Clause
/*
 * For how long a ring's thread looks at an empty ring before it sleeps.
 *
 * To sleep and to be woken costs some 10 µs on each side: the guest's kick, the thread's way
 * through the scheduler. A thread that looks for the next chain instead has it at once, and the
 * guest makes no system call (or leaves its virtual machine) to kick. That pays where the next
 * chain comes soon, and is a processor wasted where it does not. So the window learns:
 *
 *   - after a sleep that the limit would have caught it is doubled, from VHOST_POLL_FIRST_NS on;
 *   - after a longer one it is halved, at last to 0: a share that nobody uses is looked at once
 *     more, and then sleeps until it is kicked;
 *   - where a chain came as soon as the thread slept, VHOST_POLL_LATE times one after the other,
 *     whoever sends them seems to wait for this thread's processor: the thread goes to another one,
 *     and where that does not help does not look at all for some sleeps, twice as many each time.
 *
 * At most half of the processors are used for looking, by all rings of a device together.
 *
 * The high-priority ring (queue 0; FORGET and INTERRUPT) is not looked at by its own thread.
 * Whoever looks at another ring borrows it meanwhile and answers what comes there, so that forgets
 * cost no wake-up. It is borrowed by whoever holds its gate, which its own thread takes for all
 * that it does with the ring, and `lending` says that it can be: set by its thread between its
 * first and its last round, so that the gate is there. The borrower keeps the ring's kicks away,
 * asks for them again before it goes, and wakes the owner where something came by then.
 */
#ifndef VHOST_POLL_H
#define VHOST_POLL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vhost_queue;

#define VHOST_POLL_LIMIT_NS 50000 /* by default */
#define VHOST_POLL_LIMIT_MAX_NS 10000000000
#define VHOST_POLL_FIRST_NS 8000
#define VHOST_POLL_LATE 4
#define VHOST_POLL_SKIPS_FIRST 64
#define VHOST_POLL_SKIPS_MAX 4096

/* Of one ring, its thread's. */
struct vhost_poll {
	uint64_t window_ns; /* for how long it looks now */
	uint64_t idle_ns;   /* CLOCK_MONOTONIC when the ring was found empty */
	uint64_t slept_ns;  /* ... and when the thread gave up looking; 0: it did not look */
	unsigned int late;  /* chains that came right after that, one after the other */
	bool moved; /* since something was found */
	unsigned int skip, skips; /* sleeps that are still to come without a look; of how many */
};

/* Of the ring that others borrow. */
struct vhost_lending {
	pthread_mutex_t lock; /* of `is`; held while it is borrowed */
	bool is;
};

/* The ring is empty, and the thread inside its gate: looks for the window's time. True: something
 * is there, or the thread is wanted elsewhere. */
bool vhost_poll(struct vhost_queue *q);

/* The thread has slept until it was woken. */
void vhost_poll_slept(struct vhost_queue *q);

/* How many threads of a device may look at the same time. */
unsigned int vhost_pollers_max(void);

/* On its thread, outside the gate: the ring can be borrowed from now on, or not any more. */
void vhost_poll_lend(struct vhost_queue *q, bool is);

#endif
