// SPDX-License-Identifier: BSD-2-Clause
/*
 * The device side of a split virtqueue (virtio 1.2, section 2.7).
 *
 * Input: the three ring areas that a driver fills, at addresses that vhost-user names. Output:
 * descriptor chains, popped one at a time as checked iovecs. The owner handles each, pushes its
 * head back, and publishes: one store of the used index for a batch, and at most one call.
 *
 * States: unresolved (no pointers yet, or memory changed) -> running -> broken. A driver that
 * breaks a rule of the specification breaks the queue: every later pop fails with the same error
 * until the queue is reset. Nothing read from a ring is trusted twice.
 *
 * Not thread-safe: one owner at a time, inside its memory gate.
 */
#ifndef VIRTQ_VIRTQ_H
#define VIRTQ_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mem/mem.h"
#include "proto/ring.h"

/* Descriptors in one chain: the ring's size, or this where the ring is smaller (Linux puts more
 * into an indirect table than the ring has room for). */
#define VIRTQ_CHAIN_MIN 1024

struct virtq {
	struct mem *mem;
	unsigned int size; /* a power of two; 0 before SET_VRING_NUM */
	bool event_idx;

	/* The front-end's addresses of the areas, and what they resolve to in the table. */
	uint64_t desc_uva, avail_uva, used_uva;
	const struct ring_desc *desc;
	struct ring_avail *avail;
	struct ring_used *used;

	uint16_t next_avail;   /* the entry of the available ring to pop next */
	uint16_t next_used;    /* the entry of the used ring to fill next */
	uint16_t published;    /* the used index that the driver has been shown */
	uint16_t called_at;    /* the used index when a call was last considered */
	bool called_at_valid;
	int broken;            /* 0, or -errno */
	const char *broken_by; /* which rule was broken */

	/* Scratch for one chain. */
	struct ring_desc *table; /* a copied indirect table */
	struct iovec *iov;
	unsigned int room; /* of table, and with some slack of iov, in elements */
};

/* A popped chain. The iovecs live in the virtq until its next pop. */
struct virtq_chain {
	uint16_t head;
	const struct iovec *in; /* what the device reads: in_len bytes */
	const struct iovec *out; /* what the device writes: out_len bytes */
	size_t in_len, out_len;
};

/* Sets the size and allocates for it. -EINVAL for a size that is no power of two from 2 to 32768,
 * -ENOMEM. */
int virtq_set_size(struct virtq *vq, unsigned int size);

/* Frees what the queue allocated and forgets its state: unresolved, nothing popped. */
void virtq_reset(struct virtq *vq);

/* Makes next_avail the next entry to pop and forgets the rest of the position: the next
 * virtq_resolve() reads the used index from the ring. Mends a broken queue. */
void virtq_rewind(struct virtq *vq, uint16_t next_avail);

/* Breaks the queue for a rule that its owner found broken. Returns -EINVAL. */
int virtq_break(struct virtq *vq, const char *rule);

/* Turns addresses into pointers; call with the ring areas set, and again after memory changed.
 * -EFAULT when an area is misaligned or not wholly in one region. */
int virtq_resolve(struct virtq *vq);

/* Pops a chain: 1, or 0 when there is none, or -errno when the driver broke the queue. */
int virtq_pop(struct virtq *vq, struct virtq_chain *chain);

/* Whether something is there to pop (or to find broken). */
bool virtq_pending(const struct virtq *vq);

/* Returns a chain of which len bytes were written. Not visible before virtq_publish(). */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t len);

/* Shows what was pushed to the driver; true when the driver wants to be called. */
bool virtq_publish(struct virtq *vq);

/* Asks the driver to kick for the next chain, or not to. After asking, look at virtq_pending():
 * what came in between sends no kick. */
void virtq_want_kicks(struct virtq *vq);
void virtq_refuse_kicks(struct virtq *vq);

#endif
