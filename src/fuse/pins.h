// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pins (proto/causeway_wire.h): files that are kept open for a guest, which uses them by their
 * nodes without opening them again.
 */
#ifndef FUSE_PINS_H
#define FUSE_PINS_H

#include "fuse/request.h"
#include "proto/causeway_wire.h"

/* CW_HELLO, which is none of FUSE's operations. */
extern const struct fuse_op pins_hello;

/* Keeps a file that was opened with these flags, where the guest has asked for that: tells it in
 * the flags of the reply. */
void pins_give(const struct fuse_req *req, uint64_t node, int flags, struct fuse_open_out *out);

/* fuse_target() where the handle may also be CW_FH_NODE, for one of these FS_KEPT_*. */
struct fs_target pins_target(const struct fuse_req *req, uint64_t handle, unsigned int kept);

/* The same, of another node than the request's. */
struct fs_target pins_target_of(const struct fuse_req *req, uint64_t node, uint64_t handle,
	unsigned int kept);

#endif
