// SPDX-License-Identifier: BSD-2-Clause
/*
 * The split virtqueue as both sides see it in memory (virtio 1.2, section 2.7).
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
#define RING_SIZE_MAX 32768

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

/* Virtio feature bits that this project knows (virtio 1.2, section 6). */
#define VIRTIO_F_INDIRECT_DESC_BIT 28
#define VIRTIO_F_EVENT_IDX_BIT     29
#define VIRTIO_F_VERSION_1_BIT     32

#endif
