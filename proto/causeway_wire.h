// SPDX-License-Identifier: BSD-2-Clause
/*
 * What Causeway's guests and servers agree on beyond FUSE, the version table apart
 * (version_wire.h): a request after INIT, and what it turns on. A server that does not know it
 * answers ENOSYS; a guest that does not send it sees nothing of all this.
 *
 * Pins. OPEN of a regular file costs a request, RELEASE another. A server that has kept a
 * descriptor of a node says so in the reply to OPEN or CREATE: until the guest forgets the node it
 * may read, or write, by the node alone, as CW_FH_NODE in place of a handle, and need not open it
 * any more. So a pin is given for what the open was allowed to do, and more only where the
 * server may. How many pins there are is the server's to bound: the rest are opened each time.
 *
 * With CW_FH_NODE go READ, WRITE, FSYNC, LSEEK, FALLOCATE and COPY_FILE_RANGE (either side).
 * Others, of locks and ioctls, need a handle, and an open with O_TRUNC or O_NOATIME is sent. WRITE
 * has O_APPEND, O_SYNC and O_DSYNC in its flags and means them: the server appends where the end is
 * by then, and the data is stable with the reply. O_DIRECT is between a guest and its own page
 * cache: a server that passes it on to a disk gives no pins. Whoever may open a file is for the
 * guest to say each time, by the mode and ACL that it has by then, as it is with OPEN; what was
 * pinned stays so whatever becomes of them. A guest that maps all files in a DAX window should not
 * ask for pins, for a descriptor that is kept may be in the way of that.
 *
 * A server that answers takes INTERRUPT, too, in the high-priority queue and without a reply, of
 * any request, also one that it has not come to yet or has answered: what waits for a lock ends
 * with EINTR.
 *
 * Sleep. A guest that suspends to memory takes its rings from the device by resetting it, and the
 * machine resets it again, once or more often, when it wakes up. Of this most front-ends tell a
 * server in the same words as of a guest that is booted anew (RESET_DEVICE), whose session ends at
 * that. So a guest that has agreed to CW_EXT_SLEEP says so before, with CW_SLEEP. From the answer
 * on a reset leaves the session as it is: nodes, handles, locks, and all that INIT and CW_HELLO
 * have settled; until the guest says that it is awake, by the same request. Nothing else is kept:
 * what is in the DAX window goes with any reset, and so the guest takes it out before; and who
 * waits for a lock is sent away when the rings stop.
 *
 * CW_SLEEP is the last request before the sleep, sent when all others are answered, and the first
 * one after it, both in the first request queue: a server may come later to the high-priority one.
 * Whatever else comes meanwhile is served as ever, also a guest that does not come back: INIT,
 * DESTROY and the end of the connection end the session. A guest that never says that it is awake
 * keeps what is its own, no longer than by not resetting its device.
 *
 * A server that does not have the session any more answers EIO, as it does all before INIT.
 */
#ifndef PROTO_CAUSEWAY_WIRE_H
#define PROTO_CAUSEWAY_WIRE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define CW_HELLO 0x43570002u /* the request's opcode, beside VT_HELLO */
#define CW_WIRE  1u

#define CW_EXT_PINS  1u
#define CW_EXT_SLEEP 2u

struct cw_hello_in {
	uint32_t wire;       /* the newest that the guest speaks */
	uint32_t extensions; /* CW_EXT_* that it wants; others are ignored */
};

struct cw_hello_out {
	uint32_t wire;       /* not newer than the guest's */
	uint32_t extensions; /* that are on, of those that were asked for */
	uint64_t zero[3];
};

#define CW_SLEEP 0x43570003u /* answered without payload; ENOSYS where nobody has agreed to it */

struct cw_sleep_in {
	uint32_t asleep; /* 1: from now on; 0: no more */
	uint32_t zero;
};

/* In place of a file handle: the descriptor that the server has kept of the node. */
#define CW_FH_NODE (~0ull - 1)

/* Of fuse_open_out.open_flags, far from Linux's. */
#define CW_FOPEN_PINNED_READ  (1u << 30)
#define CW_FOPEN_PINNED_WRITE (1u << 31)

#endif
