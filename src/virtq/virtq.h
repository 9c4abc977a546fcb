// SPDX-License-Identifier: BSD-2-Clause
/*
 * The device side of a virtqueue, split or packed (virtio 1.2, sections 2.7 and 2.8).
 *
 * Input: the three ring areas that a driver fills, at addresses that vhost-user names. Output:
 * descriptor chains, popped one at a time as checked iovecs. The owner handles each, pushes what
 * names it back, in any order, and publishes: one store for a batch, and at most one call.
 *
 * The formats differ in where a chain is found and how it is given back (split.c, packed.c); what
 * a chain may hold is the same (gather.c). In a packed ring the device's used descriptors take the
 * slots of earlier chains, also of those still in flight: a popped chain is never looked at again,
 * and how many slots it had, which the device passes over when it gives the chain back, is kept
 * for each buffer id.
 *
 * States: unresolved (no pointers yet) -> running -> broken. A driver that breaks a rule of the
 * specification breaks the queue: every later pop fails with the same error until the queue is
 * rewound or reset. Nothing read from a ring is trusted twice.
 *
 * Not thread-safe: one owner at a time, inside its memory gate.
 */
#ifndef VIRTQ_VIRTQ_H
#define VIRTQ_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mem/cursor.h"
#include "mem/mem.h"
#include "proto/ring.h"

/* Descriptors in one chain: the ring's size, or this where the ring is smaller (Linux puts more
 * into an indirect table than the ring has room for). */
#define VIRTQ_CHAIN_MIN 1024

/* A position as vhost-user tells it: of a split ring the free-running available index; of a packed
 * one two slots with their wrap counters (bits 15 and 31), to pop from and to push to. */
#define VIRTQ_BASE_SPLIT  0u
#define VIRTQ_BASE_PACKED 0x80008000u /* of rings that are new */

struct virtq {
	struct mem *mem;
	unsigned int size; /* 0 before SET_VRING_NUM */
	bool packed;       /* changed by virtq_set_packed() */
	bool event_idx;

	/* The front-end's addresses of the areas, and what they resolve to in the table. Of a
	 * packed ring the second is the driver's event area, the third the device's. */
	uint64_t desc_uva, avail_uva, used_uva;
	bool resolved; /* at least once since it was rewound */
	union {
		struct {
			const struct ring_desc *desc;
			struct ring_avail *avail;
			struct ring_used *used;
		};
		struct {
			struct ring_packed_desc *slots;
			struct ring_event *driver_event;
			struct ring_event *device_event;
		};
	};

	uint16_t next_avail; /* split: the available entry to pop next; packed: the slot */
	uint16_t next_used;  /* the used entry or slot to fill next */

	/* Split. */
	uint16_t published; /* the used index that the driver has been shown */
	uint16_t called_at; /* the used index when a call was last considered */

	/* Packed. */
	bool avail_wrap, used_wrap;
	bool batch;             /* something is pushed, and its first slot not shown yet: */
	uint16_t batch_slot;
	uint16_t batch_flags;
	unsigned int uncalled;  /* slots passed since a call was last considered */
	unsigned int in_flight; /* slots popped and not passed yet */
	uint16_t *lengths;      /* of the chain with this buffer id; 0: not in flight */

	bool strayed; /* by a popped chain that has in a file of ours what is copied */
	bool called;  /* since it was rewound */
	int broken;  /* 0, or -errno */
	const char *broken_by; /* which rule was broken */

	/* Where the parts of the last chain were: hints, which may lead nowhere any more. */
	struct {
		const void *desc, *table, *head;
	} last;

	/* Scratch for one chain. */
	void *table; /* a copied indirect table, in the format's descriptors */
	struct iovec *iov;
	unsigned int room; /* of table, and with some slack of iov, in elements */
};

/* A popped chain. The iovecs live in the virtq until its next pop. */
struct virtq_chain {
	uint16_t head; /* what names it: its first descriptor's index, or its buffer id */
	const struct iovec *in; /* what the device reads: in_len bytes */
	const struct iovec *out; /* what the device writes: out_len bytes */
	size_t in_len, out_len;
	size_t in_lent, out_lent; /* of them, so many at the end may only be lent (mem/cursor.h) */
	bool *strayed;            /* where these are not 0: what the cursors set */
};

/* Cursors over both parts. */
static inline struct cursor virtq_chain_in(const struct virtq_chain *chain)
{
	return (struct cursor){.iov = chain->in, .left = chain->in_len,
		.lent_only = chain->in_lent, .strayed = chain->strayed};
}

static inline struct cursor virtq_chain_out(const struct virtq_chain *chain)
{
	return (struct cursor){.iov = chain->out, .left = chain->out_len,
		.lent_only = chain->out_lent, .strayed = chain->strayed};
}

/* Whether what was to be copied is where it must not be: the chain is not to be carried out. */
static inline bool virtq_chain_strayed(const struct virtq_chain *chain)
{
	return chain->strayed && *chain->strayed;
}

/* Chooses the format. Another one than before begins with new rings. */
void virtq_set_packed(struct virtq *vq, bool packed);

/* Sets the size and allocates for it. -EINVAL for a size from without 2 to 32768, or of a split
 * ring one that is no power of two; -ENOMEM. */
int virtq_set_size(struct virtq *vq, unsigned int size);

/* Frees what the queue allocated and forgets its state: split, unresolved, nothing popped. */
void virtq_reset(struct virtq *vq);

/* Whether such a position can be; of a packed ring as far as its size is known. */
bool virtq_is_base(const struct virtq *vq, uint32_t base);

/* Goes to a position and mends a broken queue. What was popped is forgotten. Where a split ring is
 * filled, the next virtq_resolve() reads from the ring. */
void virtq_rewind(struct virtq *vq, uint32_t base);

/* The position. */
uint32_t virtq_base(const struct virtq *vq);

/* Breaks the queue for a rule that its owner found broken. Returns -EINVAL. */
int virtq_break(struct virtq *vq, const char *rule);

/* Turns addresses into pointers; call with the ring areas set, and again after memory changed.
 * -EFAULT when an area is misaligned or not wholly in one region, -EINVAL when size or position
 * cannot be. */
int virtq_resolve(struct virtq *vq);

/* Pops a chain: 1, or 0 when there is none, or -errno when the driver broke the queue. */
int virtq_pop(struct virtq *vq, struct virtq_chain *chain);

/* Whether something is there to pop (or to find broken). */
bool virtq_pending(const struct virtq *vq);

/* How many chains are there to pop, as far as the driver says; for who wants to know how busy it
 * is. */
unsigned int virtq_waiting(const struct virtq *vq);

/* Breaks the queue where the popped chain strayed. 0 or -errno. */
int virtq_check_strayed(struct virtq *vq);

/* Returns a popped chain of which len bytes were written. Not visible before virtq_publish(). */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t len);

/* Shows what was pushed to the driver; true when the driver wants to be called. */
bool virtq_publish(struct virtq *vq);

/* Asks the driver to kick for the next chain, or not to. After asking, look at virtq_pending():
 * what came in between sends no kick. */
void virtq_want_kicks(struct virtq *vq);
void virtq_refuse_kicks(struct virtq *vq);

#endif
