// SPDX-License-Identifier: BSD-2-Clause
/*
 * The two formats of a virtqueue, split and packed, as both sides see them in memory (virtio 1.2,
 * sections 2.7 and 2.8).
 *
 * All fields are little-endian (VIRTIO_F_VERSION_1). Addresses are guest physical, lengths are
 * bytes. Everything here is written by the other side at any time: copy, check, then use.
 */
#ifndef PROTO_RING_H
#define PROTO_RING_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define RING_SIZE_MIN 2
#define RING_SIZE_MAX 32768 /* a split ring's size is a power of two, a packed one's need not be */

#define RING_DESC_F_NEXT     1
#define RING_DESC_F_WRITE    2 /* the device writes this buffer */
#define RING_DESC_F_INDIRECT 4 /* the buffer is a table of descriptors */

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

#define RING_AVAIL_F_NO_INTERRUPT 1

/* Followed, when VIRTIO_RING_F_EVENT_IDX is negotiated, by uint16_t used_event. */
struct ring_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

struct ring_used_elem {
	uint32_t id;
	uint32_t len; /* bytes that the device wrote */
};

#define RING_USED_F_NO_NOTIFY 1

/* Followed, when VIRTIO_RING_F_EVENT_IDX is negotiated, by uint16_t avail_event. */
struct ring_used {
	uint16_t flags;
	uint16_t idx;
	struct ring_used_elem ring[];
};

#define RING_DESC_ALIGN  16
#define RING_AVAIL_ALIGN 2
#define RING_USED_ALIGN  4

/* Whether moving an index from old_idx to new_idx passed the other side's event index
 * (virtio 1.2, section 2.7.10). All indices are free-running modulo 2^16. */
static inline int ring_need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
	return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

/*
 * A descriptor of a packed ring, and of an indirect table there. The driver writes a chain into
 * the next slots, one after the other; the device writes one used descriptor into the next slot of
 * its own and passes over as many slots as the chain had. Both go round and round: a descriptor is
 * available where AVAIL is the driver's wrap counter and USED is not, used where both are the
 * device's. The counters begin at 1 and turn at the ring's end.
 */
struct ring_packed_desc {
	uint64_t addr;
	uint32_t len; /* in a used descriptor: bytes that the device wrote */
	uint16_t id;  /* names the chain: in its last descriptor, and in the used one */
	uint16_t flags;
};

#define RING_PACKED_F_AVAIL (1u << 7)
#define RING_PACKED_F_USED  (1u << 15)

/* When one side wants to be notified by the other: the driver's area and the device's. */
struct ring_event {
	uint16_t off_wrap; /* with RING_EVENT_DESC: a slot, and in bit 15 the wrap counter there */
	uint16_t flags;    /* the two lowest bits: RING_EVENT_* */
};

#define RING_EVENT_ENABLE  0
#define RING_EVENT_DISABLE 1
#define RING_EVENT_DESC    2 /* when the other side passes off_wrap (EVENT_IDX negotiated) */
#define RING_EVENT_MASK    3
#define RING_EVENT_WRAP    0x8000u

#define RING_EVENT_ALIGN 4

/* Of the device status (virtio 1.2, section 2.1). */
#define VIRTIO_STATUS_FEATURES_OK 8u

/* Virtio feature bits that this project knows (virtio 1.2, section 6). */
#define VIRTIO_F_INDIRECT_DESC_BIT 28
#define VIRTIO_F_EVENT_IDX_BIT     29
#define VIRTIO_F_VERSION_1_BIT     32
#define VIRTIO_F_RING_PACKED_BIT   34

#endif
