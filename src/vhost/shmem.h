// SPDX-License-Identifier: BSD-2-Clause
/*
 * Requests of ours to the front-end, over a channel of their own: what is mapped in a shared memory
 * region of the device (vhost-user SHMEM_MAP, SHMEM_UNMAP; virtio 1.2, section 5.11.6.5: the DAX
 * window of a file system device is region 0; the version table is to be found in region 1).
 *
 * Who may ask. Any thread that holds up neither messages nor a ring: the front-end handles ours on
 * the thread that sends us its own, and maps by sending us memory regions (ADD_MEM_REG), for which
 * the rings' gates must close. So a ring's thread never waits here; what needs the front-end runs
 * beside its ring (fuse/pool.h). One asks at a time; the others wait for their turn.
 *
 * When. Only while the device runs: every ring that is set up is enabled and has its kick. While
 * one stops, waits end with -EINTR: GET_VRING_BASE is answered when the ring's requests are, and
 * QEMU serves nothing else before it has that answer. And nothing is sent before all run again:
 * QEMU 11.1 crashes on a map that reaches it while its device is stopped. (One that is under way
 * when it stops the rings can still reach it then.)
 *
 * Answers come in the order of the requests. Those that nobody waits for any more are read by
 * whoever asks next, and dropped.
 *
 * Threads. `asking` is held by the one who asks, also while it waits; `state` for moments. The main
 * thread holds askers off (vhost_shmem_hold()) whenever it stops a ring, and lets them on after the
 * message (vhost_shmem_settle()): between the two nothing is sent. Where it changes the channel it
 * takes `asking`, after holding off, so that it need not wait for the front-end either.
 */
#ifndef VHOST_SHMEM_H
#define VHOST_SHMEM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/vhost_user.h"

/* The regions (virtio 1.2, section 5.11.6.5 has the first one), by their ids. */
#define VHOST_SHMEM_DAX      0
#define VHOST_SHMEM_VERSIONS 1 /* the version table, which guests only read */
#define VHOST_SHMEM_REGIONS  2

/* Offered by a device that has such a region. */
#define VHOST_SHMEM_FEATURES                                                                       \
	(VU_PROTOCOL_F_BACKEND_SEND_FD | VU_PROTOCOL_F_SHARED_OBJECT | VU_PROTOCOL_F_SHMEM)

#define VHOST_SHMEM_IN_FLIGHT 32 /* requests without an answer */

struct vhost_backend;

struct vhost_shmem_change {
	uint8_t region;
	uint64_t at, len; /* bytes in it */
	int fd;           /* to map there, or -1: unmap */
	uint64_t offset;  /* in fd */
	bool writable;
	int result; /* out: 0; -EINTR: not known; -ENOTCONN: no channel; -EIO: refused; or why it
		     * could not be sent */
};

/*
 * Asks for changes, one after the other in this order, and returns when they are live in the guest
 * (the answer of QEMU 11.1 to a map comes before that: a request that does nothing follows, as a
 * barrier). An answer that breaks the protocol ends the connection with one log line.
 */
void vhost_shmem_apply(struct vhost_backend *dev, struct vhost_shmem_change *changes,
	unsigned int n);

/* Whether there is a channel and the front-end knows SHMEM. */
bool vhost_shmem_is_there(struct vhost_backend *dev);

/* What follows is between the files of this folder, for the main thread. */

struct vhost_shmem {
	pthread_mutex_t asking; /* of what follows it */
	int fd;                 /* the channel, or -1 */
	struct vhost_shmem_owed {
		uint32_t request;
		struct vhost_shmem_change *change; /* NULL: its answer decides nothing */
	} owed[VHOST_SHMEM_IN_FLIGHT];     /* answers, a ring: */
	unsigned int first_owed, nowed;
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) answer; /* the one that comes */
	unsigned int answered;            /* bytes of it that came */

	pthread_mutex_t state; /* of what follows it */
	bool there;            /* there is a channel, and what it needs was negotiated */
	bool has_barrier;      /* the front-end knows of shared objects */
	bool lost;             /* the channel there was is of no use any more */
	bool held;             /* nobody may ask; wake_fd is readable as long */
	int wake_fd;
};

/* 0 or -errno. */
int vhost_shmem_init(struct vhost_backend *dev);
void vhost_shmem_destroy(struct vhost_backend *dev);

/* Ends waits, and keeps all from asking until vhost_shmem_settle(). */
void vhost_shmem_hold(struct vhost_backend *dev);

/* After a message: looks who may ask now. */
void vhost_shmem_settle(struct vhost_backend *dev);

/* The front-end has gone: ends waits and closes the channel. */
void vhost_shmem_drop(struct vhost_backend *dev);

#endif
