// SPDX-License-Identifier: BSD-2-Clause
//
// A slot: the guest memory of one request on its way from the kernel to the back-end and back: from
// /dev/fuse, or by io_uring (uring.h).
//
// The kernel writes the request into it and reads the reply out of it, so nothing is copied that
// /dev/fuse does not copy anyway. Only the header and the first arguments are read into memory of
// our own, and the reply's header is copied there and checked: what decides anything is never
// read where the back-end can still change it.
//
//	page:    [ header, arguments | ... | reply's header | reply's structure ]
//	payload: [ the rest of the request | from the next page on: bytes of the reply ]
//
// The page ends what the first arguments begin: those of WRITE fill it, so that its data begin on a
// page.

#ifndef CAUSEWAY_TOOLS_MOUNT_SLOT_H
#define CAUSEWAY_TOOLS_MOUNT_SLOT_H

#include "client/transport.h"
#include "proto/fuse_ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SLOT_PAGE 4096u
#define SLOT_ARGS ((uint32_t)sizeof(struct fuse_write_in))
#define SLOT_HEAD ((uint32_t)sizeof(struct fuse_in_header) + SLOT_ARGS)
// The largest first structure that io_uring has room for.
#define SLOT_OP 128u
// Beyond the largest payload there is a page for what stands before it.
#define SLOT_ROOM(payload) ((size_t)(payload) + SLOT_PAGE)

struct slot_head {
	struct fuse_in_header in;
	union {
		char args[SLOT_OP];
		struct fuse_read_in read; // READDIR and READDIRPLUS too
		struct fuse_write_in write;
		struct fuse_getxattr_in getxattr;
		struct fuse_ioctl_in ioctl;
		struct fuse_interrupt_in interrupt;
		struct {
			uint32_t major, minor, max_readahead, flags, flags2;
		} init;
	};
};

struct slot {
	struct request request; // first
	struct lane *lane;      // whose it is
	int fuse_fd;            // where the request came from, and its reply goes, unless
	struct uring_entry *entry;
	int (*answer)(const struct slot *s, const struct fuse_out_header *out);
	struct slot *next, *prev;
	bool parked;        // a copy that waits, so that the slot it came in is free again
	struct lane *about; // of INTERRUPT: where its request is

	char *page, *payload;
	size_t room;           // bytes of payload
	struct slot_head head; // our own
	size_t front, rest;    // lengths of the request: what is in head, and in payload

	char *reply, *bytes; // where the reply's structure and what follows it go
	size_t fixed, sized; // their lengths at most
};

// Reads one request: its length, 0 when there is none, or -errno when there will be none any more.
ssize_t slot_read(struct slot *s, int fuse_fd);

// What is known of the request's kind.
const char *slot_name(const struct slot *s);
bool slot_is_answered(const struct slot *s);

// Puts the (changed) head into guest memory and names the buffers, as Linux's virtio-fs does: the
// structures each by itself, and room for exactly the reply that is expected. -EMSGSIZE.
int slot_lay_out(struct transport *t, struct slot *s);

// The reply's header: 0 and a copy that makes sense, -ENOTCONN, or -EIO with the reason.
int slot_check(const struct slot *s, struct fuse_out_header *out, const char **why);

// Writes a reply with this header, of which slot_check() approves; or an error of ours. 0, or
// -errno where the kernel does not take it.
int slot_answer(const struct slot *s, const struct fuse_out_header *out);
int slot_refuse(const struct slot *s, int error);

#endif
