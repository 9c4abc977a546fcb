// SPDX-License-Identifier: BSD-2-Clause
//
// An entry of FUSE over io_uring: a slot, and what the kernel reads and writes beside its payload.

#ifndef CAUSEWAY_TOOLS_MOUNT_URING_ENTRY_H
#define CAUSEWAY_TOOLS_MOUNT_URING_ENTRY_H

#include "slot.h"

#include "proto/fuse_new.h"

#include <sys/uio.h>

struct uring_entry {
	struct slot *slot; // NULL: the kernel has given it up
	struct uring_entry *next;
	uint16_t qid;
	uint64_t commit_id; // of the request that it has
	struct iovec iov[2];
	struct fuse_uring_req_header header;
};

#endif
