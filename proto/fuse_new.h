// SPDX-License-Identifier: BSD-2-Clause
/*
 * The FUSE protocol (Linux's uapi <linux/fuse.h>), and what it gained after the header of
 * Debian 12 (7.37): constants and structures up to 7.45, under the kernel's own names where the
 * installed header lacks them.
 */
#ifndef PROTO_FUSE_NEW_H
#define PROTO_FUSE_NEW_H

#include <linux/fuse.h>

/* The range of minor versions of protocol 7 that is spoken. 7.27 is Linux 4.18, older than any
 * virtio-fs guest. */
#define FUSE_MINOR_OLDEST 27
#define FUSE_MINOR_NEWEST 45

#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ull << 34)

enum {
	FUSE_EXT_GROUPS = 32, /* type of an extension */
};

struct fuse_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 39
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ull << 36)
#define FUSE_STATX                52

struct fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t __reserved;
};

struct fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t __spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct fuse_sx_time atime;
	struct fuse_sx_time btime;
	struct fuse_sx_time ctime;
	struct fuse_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t __spare2[14];
};

struct fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};

struct fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct fuse_statx stat;
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 40
#define FUSE_PASSTHROUGH       (1ull << 37)
#define FUSE_NO_EXPORT_SUPPORT (1ull << 38)
#define FUSE_HAS_RESEND        (1ull << 39)
#define FOPEN_PASSTHROUGH      (1 << 7)

enum { FUSE_NOTIFY_RESEND = 7 };
#endif

#if FUSE_KERNEL_MINOR_VERSION < 41
#define FUSE_ALLOW_IDMAP (1ull << 40)
#endif

#if FUSE_KERNEL_MINOR_VERSION < 42
#define FUSE_OVER_IO_URING (1ull << 41)

struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_sz;
	uint32_t padding;
	uint64_t reserved;
};

struct fuse_uring_req_header {
	char in_out[128];
	char op_in[128];
	struct fuse_uring_ent_in_out ring_ent_in_out;
};

enum fuse_uring_cmd {
	FUSE_IO_URING_CMD_INVALID = 0,
	FUSE_IO_URING_CMD_REGISTER = 1,
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
};

struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;
	uint8_t padding[6];
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 43
#define FUSE_REQUEST_TIMEOUT (1ull << 42)
#endif

#if FUSE_KERNEL_MINOR_VERSION < 44
enum { FUSE_NOTIFY_INC_EPOCH = 8 };
#endif

#if FUSE_KERNEL_MINOR_VERSION < 45
enum { FUSE_NOTIFY_PRUNE = 9 };

#define FUSE_COPY_FILE_RANGE_64 53

struct fuse_copy_file_range_out {
	uint64_t bytes_copied;
};
#endif

#endif
