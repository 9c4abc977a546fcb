// SPDX-License-Identifier: BSD-2-Clause
/*
 * The front-end of a vhost-user connection: what a VMM does for its guest, done for a driver in
 * this process. It negotiates, makes guest memory, sets up the queues, and ends them again.
 *
 * Guest memory is one sealed memfd: first the rings, then what the driver uses as it likes. The
 * back-end sees it as one region or several neighbours, at addresses that are no pointers of
 * ours. Sealed, because a back-end that could shrink it would kill us by SIGBUS.
 *
 * The back-end is not trusted: its replies are checked, and it gets a time to answer in. Errors
 * are -errno with a text in `error` that says what the back-end did. After vhost_frontend_open()
 * has succeeded the messages are done with until vhost_frontend_close(); a driver looks at `sock`
 * beside the queues' call descriptors to learn that the back-end has gone. What the back-end asks
 * for in the window comes on a channel of its own (window.h).
 */
#ifndef VHOST_FRONTEND_H
#define VHOST_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vhost_user.h"
#include "vhost/window.h"
#include "virtq/driver.h"

#define VHOST_FRONTEND_QUEUES_MAX 65 /* one high-priority queue, 64 request queues */
#define VHOST_FRONTEND_TAG_MAX    36

struct vhost_frontend_config {
	unsigned int queues;     /* request queues to have at most */
	unsigned int queue_size; /* a power of two */
	size_t memory;           /* bytes for the driver, rounded up to pages */
	unsigned int regions;    /* that the memory is told as: 1 to VU_MEM_TABLE_MAX */
	uint64_t features;       /* virtio features to take where they are offered */
	uint64_t protocol;       /* protocol features, likewise */
	int timeout_ms;          /* for each answer */
	bool window;             /* shared memory region 0, where it is offered */
	bool table;              /* ... and region 1 */
	bool notifications;      /* a queue for them, where it is offered (virtio 1.2, 5.11.2) */
};

struct vhost_frontend_queue {
	struct virtq_driver vq;
	int kick_fd, call_fd;
};

struct vhost_frontend {
	int sock;
	int timer; /* timerfd: ends the wait for an answer */
	int timeout_ms;
	uint64_t features, protocol;

	struct vhost_window window; /* its base is NULL where the back-end has none */

	int mem_fd;
	char *map; /* all of the guest memory */
	size_t map_size;
	char *memory; /* the driver's part */
	size_t memory_size;

	unsigned int nqueues; /* the high-priority queue counts, and that of notifications */
	unsigned int first_request; /* queue: 1, or 2 where queue 1 has notifications */
	uint32_t notify_size; /* bytes of a notification at most; the back-end's word */
	struct vhost_frontend_queue *queues;
	char tag[VHOST_FRONTEND_TAG_MAX + 1]; /* empty where the back-end does not tell */
	char error[160];
};

/* Features that the driver side has. */
#define VHOST_FRONTEND_FEATURES                                                                    \
	(1ull << VIRTIO_F_VERSION_1_BIT | 1ull << VIRTIO_F_EVENT_IDX_BIT |                         \
		1ull << VIRTIO_F_INDIRECT_DESC_BIT | 1ull << VU_F_PROTOCOL_FEATURES_BIT)
#define VHOST_FRONTEND_PROTOCOL                                                                    \
	(VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_CONFIG)
/* What a window needs: acknowledged messages besides, so that a map is there when it is used. */
#define VHOST_FRONTEND_WINDOW                                                                      \
	(VU_PROTOCOL_F_SHMEM | VU_PROTOCOL_F_BACKEND_REQ | VU_PROTOCOL_F_BACKEND_SEND_FD |         \
		VU_PROTOCOL_F_REPLY_ACK)

/* Connects to the socket of a listening back-end: a descriptor, or -errno with a text. */
int vhost_connect(const char *path, char *error, size_t size);

/* Sets up a device over a connected socket, which the front-end owns from now on, also where this
 * fails. Fewer queues than wanted where the back-end has fewer. */
int vhost_frontend_open(struct vhost_frontend *fe, int sock,
	const struct vhost_frontend_config *config);

/* Stops the queues where the back-end still answers, and frees everything. The driver has taken
 * back or abandoned what was in flight. */
void vhost_frontend_close(struct vhost_frontend *fe);

/* Where the back-end sees a byte of guest memory. */
uint64_t vhost_frontend_gpa(const struct vhost_frontend *fe, const void *p);
void *vhost_frontend_pointer(const struct vhost_frontend *fe, uint64_t gpa);

#endif
