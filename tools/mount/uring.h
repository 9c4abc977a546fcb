// SPDX-License-Identifier: BSD-2-Clause
//
// FUSE over io_uring: a second way for requests into a lane, where the kernel has it on.
//
// The kernel keeps a queue for each processor, on which it copies a request into the buffers of an
// entry that waits there, and takes the reply out of them: one system call for both, in the place
// of a read and a write, and on the processor that asks. Entries are slots of a lane that are
// registered for that instead of being filled from /dev/fuse; all queues are spread over the lanes,
// and each lane has one io_uring, which only its thread uses.
//
// Three quarters of the slots become entries. The rest serve /dev/fuse, by which FORGET and
// INTERRUPT come still, and everything where the kernel changes its mind. As they are the same
// slots, what fits into the rings of the back-end is what fitted before.
//
// The header, whose lengths decide what is laid out where, is in memory of our own. The payload is
// that of the slot, in guest memory: data of READ and WRITE are not copied here.
//
// What it is not used for. An entry cannot be had back before its reply, so waits for locks could
// take all of them, with the unlock behind them: where the back-end has locks, /dev/fuse it is. And
// the kernel does not repeat an INTERRUPT here (EAGAIN): it gets lost if it overtakes its request.
//
// Locks: `answered` is under the lane's; the rest is the lane's thread's own while that runs.

#ifndef CAUSEWAY_TOOLS_MOUNT_URING_H
#define CAUSEWAY_TOOLS_MOUNT_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>

struct carrier;
struct lane;
struct uring_entry;

struct uring {
	int fd; // -1: without
	bool told;
	void *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes; // of 128 bytes: two each
	size_t sqes_size;
	unsigned int *sq_tail, *sq_array, sq_mask, unsent;
	unsigned int *cq_head, *cq_tail, cq_mask;
	struct io_uring_cqe *cqes;

	struct uring_entry *entries;
	unsigned int nentries;
	struct uring_entry *answered; // their replies are not with the kernel yet
};

// Sets up an io_uring for each lane, before the kernel is told that it will be used: from then on
// it holds requests back until all queues have their entries. -errno: nothing has changed.
int uring_open(struct carrier *c);
void uring_close(struct lane *l);

// On the lane's thread. Registers its entries; takes the requests that have come; sends the replies
// there are.
void uring_register(struct lane *l);
void uring_take(struct lane *l);
void uring_send(struct lane *l);

// Whether no lane has requests before it.
bool uring_is_quiet(const struct carrier *c);

#endif
