// SPDX-License-Identifier: BSD-2-Clause
/*
 * vhost-user messages on the wire (QEMU's docs/interop/vhost-user.rst).
 *
 * Fields are in the byte order of the host. A message is a header, `size` bytes of payload, and
 * descriptors passed beside the header with SCM_RIGHTS.
 */
#ifndef PROTO_VHOST_USER_H
#define PROTO_VHOST_USER_H

#include <stdint.h>

#define VU_VERSION          1u
#define VU_VERSION_MASK     3u
#define VU_FLAG_REPLY       4u
#define VU_FLAG_NEED_REPLY  8u

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload */
};

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_SET_VRING_ENDIAN = 23,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_GET_SHMEM_CONFIG = 44,
	VU_REQUEST_MAX
};

/* What a back-end asks of a front-end, on the channel that SET_BACKEND_REQ_FD gives it. */
enum vu_backend_request {
	VU_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VU_BACKEND_SHMEM_MAP = 9,
	VU_BACKEND_SHMEM_UNMAP = 10,
};

/* Virtio feature bit that announces the protocol features. */
#define VIRTIO_FS_F_NOTIFICATION_BIT 0 /* of file system devices: virtio 1.2, 5.11.3 */
#define VU_F_PROTOCOL_FEATURES_BIT 30

#define VU_PROTOCOL_F_MQ                  (1ull << 0)
#define VU_PROTOCOL_F_REPLY_ACK           (1ull << 3)
#define VU_PROTOCOL_F_BACKEND_REQ         (1ull << 5)
#define VU_PROTOCOL_F_CONFIG              (1ull << 9)
#define VU_PROTOCOL_F_BACKEND_SEND_FD     (1ull << 10)
#define VU_PROTOCOL_F_RESET_DEVICE        (1ull << 13)
#define VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS (1ull << 15)
#define VU_PROTOCOL_F_STATUS              (1ull << 16)
#define VU_PROTOCOL_F_SHARED_OBJECT       (1ull << 18)
#define VU_PROTOCOL_F_SHMEM               (1ull << 22)

/* In SET_VRING_BASE and GET_VRING_BASE num is, of a split ring, the next available index; of a
 * packed one the slot that the back-end takes next (bits 0 to 14) with its wrap counter (15), and
 * the one that it uses next (16 to 30) with its own (31). */
struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

/* desc, used and avail are addresses in the front-end's own address space. */
struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

#define VU_VRING_FD_INDEX_MASK 0xffull
#define VU_VRING_FD_NONE       (1ull << 8) /* no descriptor follows: poll, or do not signal */

/* gpa: where the guest sees it; uva: where the front-end does; offset: where in the descriptor. */
struct vu_mem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t offset;
};

#define VU_MEM_TABLE_MAX 8 /* regions in one SET_MEM_TABLE, and so descriptors in any message */

struct vu_mem_table {
	uint32_t nregions;
	uint32_t padding;
	struct vu_mem_region regions[VU_MEM_TABLE_MAX];
};

struct vu_mem_reg {
	uint64_t padding;
	struct vu_mem_region region;
};

#define VU_CONFIG_MAX 256

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VU_CONFIG_MAX];
};

#define VU_CONFIG_HEAD 12 /* bytes of struct vu_config before data */

#define VU_SHMEM_REGIONS_MAX 256

/* Regions of shared memory that the device has; a size is a power of two. */
struct vu_shmem_config {
	uint32_t nregions;
	uint32_t padding;
	uint64_t sizes[VU_SHMEM_REGIONS_MAX];
};

#define VU_SHMEM_MAP_WRITABLE (1ull << 0)

/* MAP has its descriptor beside it; of UNMAP's fields, shmid, shm_offset and len count. */
struct vu_shmem_map {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags;
};

#define VU_UUID_SIZE 16

/* SHARED_OBJECT_REMOVE. */
struct vu_shared_object {
	uint8_t uuid[VU_UUID_SIZE];
};

union vu_payload {
	uint64_t u64;
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_mem_table mem;
	struct vu_mem_reg reg;
	struct vu_config config;
	struct vu_shmem_config shmem_config;
	struct vu_shmem_map shmem_map;
	struct vu_shared_object shared_object;
};

#endif
