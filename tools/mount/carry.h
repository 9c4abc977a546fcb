// SPDX-License-Identifier: BSD-2-Clause
//
// Lanes: each carries requests from a descriptor of /dev/fuse of its own to a request queue of its
// own, and the replies back, on one thread.
//
// Where the kernel can, most requests come by an io_uring of the lane's instead (uring.h).
//
// A lane waits for these things at once: the kernel's next request, of which it wakes one lane
// (EPOLLEXCLUSIVE), or on its io_uring; what comes back on its queue; and being told something. It
// never waits for anything else: it reads a request only when it has a slot free, and there are no
// more slots than the rings have room for. So a back-end that hangs stops neither a lane nor the
// end of one.
//
// SETLKW is what waits by nature. It is copied out of its slot, so that however many wait, the
// unlock that they wait for gets through; of those that the ring has no room for ENOLCK is the
// answer.
//
// FORGETs go over the high-priority queue. An INTERRUPT goes over the queue of the request that it
// is about, behind it, so that no server can meet it first. While that request is nowhere, between
// another lane's read and its submission, the kernel is asked to say it again (EAGAIN).
//
// Locks: a lane's is held while a request is submitted and listed, and is taken by whoever looks
// for one there; the queue's lock (transport.h) is inside it. No function holds two lanes' locks.

#ifndef CAUSEWAY_TOOLS_MOUNT_CARRY_H
#define CAUSEWAY_TOOLS_MOUNT_CARRY_H

#include "slot.h"
#include "uring.h"

#include <pthread.h>
#include <stdatomic.h>

struct lane {
	struct carrier *c;
	unsigned int queue;
	int fuse_fd, epoll_fd, tell_fd;
	bool listens; // for the kernel's requests; the lane's own
	bool gone;    // likewise: /dev/fuse has no more of them
	bool lost;    // likewise: it has told that the back-end is
	pthread_t thread, self; // the same; `self` is set by itself
	bool started;
	struct uring uring;

	pthread_mutex_t lock; // of what follows
	struct slot *slots, *free;
	struct slot *sent; // requests that are with the back-end
	unsigned int parked, interrupts;
	bool starves; // wants to be told of a free slot
};

struct carrier {
	struct transport *t;
	struct lane *lanes;
	unsigned int nlanes, nslots, parked_max;
	size_t room;
	int news_fd; // an eventfd, written when one of these changed that somebody waits for:
	_Atomic bool unmounted;
	_Atomic unsigned int in_flight; // falls to 0, while `ending`
	_Atomic unsigned int busy; // lanes that are awake, and may have what nobody counts yet
	_Atomic bool ending;
	_Atomic bool stop;
	_Atomic uint64_t by_device, by_uring; // requests that came
	_Atomic uint64_t written_back;        // of these, what the kernel had held back
	_Atomic bool told; // that the back-end makes no sense
};

// How large a queue is and how much guest memory it needs, before anything is known of the sizes of
// requests: memory that nobody has used yet costs nothing.
#define CARRY_QUEUE_SIZE   1024u
#define CARRY_QUEUE_MEMORY (72u << 20)
#define CARRY_PAYLOAD_MAX  (4u << 20)
#define CARRY_MEMORY       (CARRY_QUEUE_MEMORY + CARRY_QUEUE_SIZE / 2 * SLOT_PAGE) // of each

// carry.c. Makes lanes for payloads of this size on all request queues; fuse_fd stays the caller's.
// 0 or -errno.
int carry_open(struct carrier *c, struct transport *t, int fuse_fd, size_t payload);

// Lets them run. 0 or -errno.
int carry_start(struct carrier *c);

// Stops them. What is with the back-end then is answered when the transport takes it back or fails
// it, which has to be before their descriptors of /dev/fuse are closed.
void carry_stop(struct carrier *c);
void carry_hang_up(struct carrier *c);
void carry_close(struct carrier *c);

// pass.c. Slots of a lane. When it has none it is told of the next one that is put.
bool lane_has_slot(struct lane *l);
struct slot *lane_get_slot(struct lane *l);
void lane_put_slot(struct slot *s);

// Hands a request that was read into a slot to the back-end, or answers it.
void lane_pass(struct lane *l, struct slot *s);

// lane.c. The thread, and before it runs: what it will wait for.
int lane_watch(struct lane *l);
void *lane_run(void *lane);

// Wakes whoever reads this eventfd.
void carry_tell(int fd);

#endif
