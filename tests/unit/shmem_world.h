// SPDX-License-Identifier: BSD-2-Clause
/*
 * A back-end with a window, and a front-end with its channel that a test plays by hand: it reads
 * each request and says what the answer is, or none. One ring is set up; nothing travels in it.
 */
#ifndef TESTS_UNIT_SHMEM_WORLD_H
#define TESTS_UNIT_SHMEM_WORLD_H

#include <pthread.h>
#include <stdatomic.h>

#include "vhost/backend.h"

#define SW_WINDOW (1ull << 30)
#define SW_ASKERS 4

/* What an asker asks for, on a thread of its own. */
struct sw_asker {
	struct vhost_backend *dev;
	struct vhost_shmem_change *changes;
	unsigned int n;
	pthread_t thread;
};

struct sw {
	struct vhost_backend dev;
	struct vhost_device device;
	int ours, theirs; /* the back-end's end of the socket, and the front-end's */
	int channel;      /* the front-end's end of the channel, or -1 */
	int stop, kick;
	int file;
	int before;
	pthread_t server;
	int result, expected; /* of vhost_backend_serve() */
	/* What the ring's end waits for, as it does for requests in flight; NULL: nothing. */
	struct sw_asker *_Atomic in_flight;
};

/* A request as the front-end has it. */
struct sw_request {
	uint32_t number, flags, size;
	union {
		struct vu_shmem_map map;
		struct vu_shared_object object;
	};
	int fd; /* beside it, or -1 */
};

/* Connected, and features acknowledged: those of protocol that are offered. */
struct sw *sw_start(uint64_t shmem_size, uint64_t protocol);

/* The same with all features, a channel and a ring that runs. */
struct sw *sw_run(void);

/* The front-end goes, and everything must be gone with it. */
void sw_finish(struct sw *w);

/* Sends a message that wants an acknowledgement, and returns what it says. */
uint64_t sw_tell(struct sw *w, uint32_t number, const void *body, uint32_t size, int fd);
void sw_enable(struct sw *w, bool enable);
void sw_set_ring(struct sw *w);
void sw_stop_ring(struct sw *w);

/* Gives the back-end a channel; room: bytes that may wait in it unread, 0: as many as ever. */
void sw_open_channel(struct sw *w, int room);

/* The next request; true when it came, false at the end of the stream. */
bool sw_receive(struct sw *w, struct sw_request *request);

/* The next request must be this one. */
void sw_expect_map(struct sw *w, uint64_t at, uint64_t len, uint64_t offset, bool writable);
void sw_expect_unmap(struct sw *w, uint64_t at, uint64_t len);
void sw_expect_barrier(struct sw *w);

/* Answers; how it came to an end is none of its business. */
void sw_answer(struct sw *w, uint32_t number, uint64_t value);

/* Asks on a thread of its own; waits for its end. */
void sw_ask(struct sw *w, struct sw_asker *asker, struct vhost_shmem_change *changes,
	unsigned int n);
void sw_end(struct sw_asker *asker);

#endif
