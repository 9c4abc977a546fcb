// SPDX-License-Identifier: BSD-2-Clause
/*
 * The driver side of a split virtqueue (virtio 1.2, section 2.7).
 *
 * Input: chains of buffers, named by their guest addresses, each with a cookie. Output: the
 * cookies again, in whatever order the device finished them, with how much it wrote.
 *
 * The device is not trusted. It can write all of the ring memory at any time, so nothing of what
 * the driver needs lives there: the free list, the cookies and the lengths are in memory of its
 * own, and the ring is only written, but for the used ring, which is copied and then checked. A
 * device that returns what it was not given, or claims more than there was room for, breaks the
 * queue: every later collect fails.
 *
 * With VIRTIO_F_INDIRECT_DESC a chain takes one descriptor, and has its table in the ring memory;
 * a chain longer than a table is laid out plainly.
 *
 * Ownership: the ring memory is the caller's, who keeps it until the device has forgotten it.
 * Not thread-safe: the owner's lock is around it. Only virtq_driver_pending() and
 * virtq_driver_ready() need none.
 */
#ifndef VIRTQ_DRIVER_H
#define VIRTQ_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ring.h"

/* Descriptors of one indirect table. */
#define VIRTQ_DRIVER_TABLE 16

/* One buffer of a chain. */
struct virtq_buffer {
	uint64_t gpa;
	uint32_t len;
};

struct virtq_driver_slot {
	void *cookie;
	uint64_t room;  /* bytes that the device may write */
	uint16_t next;  /* the next descriptor of the chain, or of the free list */
	uint16_t count; /* descriptors of the chain that begins here; 0: none does */
};

struct virtq_driver {
	unsigned int size;
	bool event_idx, indirect;
	struct ring_desc *desc;
	struct ring_avail *avail;
	struct ring_used *used;
	struct ring_desc *tables; /* VIRTQ_DRIVER_TABLE for each descriptor of the ring */
	uint64_t desc_gpa, tables_gpa;

	struct virtq_driver_slot *slots;
	uint16_t free_head;
	unsigned int nfree;
	unsigned int in_flight; /* chains */
	uint16_t avail_idx;     /* the next entry of the available ring to fill */
	uint16_t shown;         /* the available index that the device has been shown */
	uint16_t seen;          /* the next entry of the used ring to take */
	const char *broken_by;  /* which rule the device broke, or NULL */
};

/* Bytes of ring memory that a queue of this size needs; a multiple of a page. */
size_t virtq_driver_bytes(unsigned int size);

/* Makes an empty queue in memory (page-aligned, zeroed, virtq_driver_bytes() long) that the device
 * sees at gpa. -EINVAL for a size that no queue has, -ENOMEM. */
int virtq_driver_init(struct virtq_driver *d, unsigned int size, void *memory, uint64_t gpa,
	bool event_idx, bool indirect);
void virtq_driver_destroy(struct virtq_driver *d);

/* Adds a chain: the first nin buffers are read by the device, the nout after them written.
 * -ENOSPC until others have come back, -E2BIG if the queue can never hold it. Not visible before
 * virtq_driver_publish(). */
int virtq_driver_add(struct virtq_driver *d, const struct virtq_buffer *buffers, unsigned int nin,
	unsigned int nout, void *cookie);

/* Shows what was added to the device; true when the device wants a kick. */
bool virtq_driver_publish(struct virtq_driver *d);

/* Takes back one chain: 1, 0 when none is there, -EIO when the device broke the queue. */
int virtq_driver_collect(struct virtq_driver *d, void **cookie, uint32_t *written);

/* How many chains the device has shown that were not collected, as it says; and whether any. */
unsigned int virtq_driver_ready(const struct virtq_driver *d);
bool virtq_driver_pending(const struct virtq_driver *d);

/* Asks for a call at the next chain that comes back, or not to be called. After asking, look at
 * virtq_driver_pending(): what came in between sends no call. For who has no use for fewer than n,
 * a call when so many have come back, with virtq_driver_ready() to look at; without
 * VIRTIO_F_EVENT_IDX each one causes a call. */
void virtq_driver_want_calls(struct virtq_driver *d);
void virtq_driver_want_calls_after(struct virtq_driver *d, unsigned int n);
void virtq_driver_refuse_calls(struct virtq_driver *d);

/* Takes back a chain that the device, which is gone, will not return: its cookie, or NULL. */
void *virtq_driver_abandon(struct virtq_driver *d);

#endif
