// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table of FUSE operations: what a request looks like on the wire.
 *
 * FUSE_OPS(X) calls X(OPCODE, fixed, names, tail, reply, flags) for each operation:
 *   OPCODE  without the FUSE_ prefix
 *   fixed   the structure that follows fuse_in_header, or FUSE_NO_ARGS
 *   names   how many NUL-terminated strings follow it, all within the request
 *   tail    NONE, DATA when bytes follow that the handler takes itself, or ARRAY when elements
 *           follow that are copied with the structure (FUSE_TAIL_*)
 *   reply   the structure that a successful reply holds behind fuse_out_header at least
 *   flags   FUSE_OP_* below
 *
 * A new operation is a line here, a handler, and a line in docs/opcodes.txt; see HACKING.md.
 */
#ifndef PROTO_FUSE_OPS_H
#define PROTO_FUSE_OPS_H

#include "proto/fuse_new.h"

struct fuse_no_args {
	char none[0];
};
#define FUSE_NO_ARGS struct fuse_no_args

#define FUSE_TAIL_NONE 0
#define FUSE_TAIL_DATA 1
#define FUSE_TAIL_ARRAY 2

#define FUSE_OP_CHANGES  1 /* changes the file system: refused on a read-only export */
#define FUSE_OP_NO_REPLY 2 /* never answered */
#define FUSE_OP_EARLY    4 /* allowed before INIT */
#define FUSE_OP_CREATES  8 /* may carry extensions (struct fuse_ext_header) behind its names */
#define FUSE_OP_ENDS    16 /* ends waiting requests, and is answered after them */
#define FUSE_OP_SLEEPS  32 /* waits for disks by nature: may run beside its queue */
#define FUSE_OP_SIZES   64 /* tells or changes a file's size: the DAX window follows first */
#define FUSE_OP_MAPS   128 /* may wait for the front-end: runs beside its queue then */

/* clang-format off */
#define FUSE_OPS(X) \
	X(LOOKUP,          FUSE_NO_ARGS,                   1, NONE, struct fuse_entry_out,     FUSE_OP_SIZES) \
	X(FORGET,          struct fuse_forget_in,          0, NONE, FUSE_NO_ARGS,              FUSE_OP_NO_REPLY) \
	X(GETATTR,         struct fuse_getattr_in,         0, NONE, struct fuse_attr_out,      FUSE_OP_SIZES) \
	X(SETATTR,         struct fuse_setattr_in,         0, NONE, struct fuse_attr_out,      FUSE_OP_CHANGES | FUSE_OP_SIZES | FUSE_OP_MAPS) \
	X(READLINK,        FUSE_NO_ARGS,                   0, NONE, FUSE_NO_ARGS,              0) \
	X(SYMLINK,         FUSE_NO_ARGS,                   2, NONE, struct fuse_entry_out,     FUSE_OP_CHANGES | FUSE_OP_CREATES) \
	X(MKNOD,           struct fuse_mknod_in,           1, NONE, struct fuse_entry_out,     FUSE_OP_CHANGES | FUSE_OP_CREATES | FUSE_OP_SIZES) \
	X(MKDIR,           struct fuse_mkdir_in,           1, NONE, struct fuse_entry_out,     FUSE_OP_CHANGES | FUSE_OP_CREATES) \
	X(UNLINK,          FUSE_NO_ARGS,                   1, NONE, FUSE_NO_ARGS,              FUSE_OP_CHANGES) \
	X(RMDIR,           FUSE_NO_ARGS,                   1, NONE, FUSE_NO_ARGS,              FUSE_OP_CHANGES) \
	X(RENAME,          struct fuse_rename_in,          2, NONE, FUSE_NO_ARGS,              FUSE_OP_CHANGES) \
	X(LINK,            struct fuse_link_in,            1, NONE, struct fuse_entry_out,     FUSE_OP_CHANGES | FUSE_OP_SIZES) \
	X(OPEN,            struct fuse_open_in,            0, NONE, struct fuse_open_out,      FUSE_OP_MAPS) \
	X(READ,            struct fuse_read_in,            0, NONE, FUSE_NO_ARGS,              0) \
	X(WRITE,           struct fuse_write_in,           0, DATA, struct fuse_write_out,     FUSE_OP_CHANGES | FUSE_OP_SIZES) \
	X(STATFS,          FUSE_NO_ARGS,                   0, NONE, struct fuse_statfs_out,    0) \
	X(RELEASE,         struct fuse_release_in,         0, NONE, FUSE_NO_ARGS,              0) \
	X(FSYNC,           struct fuse_fsync_in,           0, NONE, FUSE_NO_ARGS,              FUSE_OP_SLEEPS) \
	X(SETXATTR,        struct fuse_setxattr_in_oldest, 0, DATA, FUSE_NO_ARGS,              FUSE_OP_CHANGES) \
	X(GETXATTR,        struct fuse_getxattr_in,        1, NONE, FUSE_NO_ARGS,              0) \
	X(LISTXATTR,       struct fuse_getxattr_in,        0, NONE, FUSE_NO_ARGS,              0) \
	X(REMOVEXATTR,     FUSE_NO_ARGS,                   1, NONE, FUSE_NO_ARGS,              FUSE_OP_CHANGES) \
	X(FLUSH,           struct fuse_flush_in,           0, NONE, FUSE_NO_ARGS,              0) \
	X(INIT,            struct fuse_init_in_oldest,     0, DATA, FUSE_NO_ARGS,              FUSE_OP_EARLY | FUSE_OP_ENDS) \
	X(OPENDIR,         struct fuse_open_in,            0, NONE, struct fuse_open_out,      0) \
	X(READDIR,         struct fuse_read_in,            0, NONE, FUSE_NO_ARGS,              0) \
	X(RELEASEDIR,      struct fuse_release_in,         0, NONE, FUSE_NO_ARGS,              0) \
	X(FSYNCDIR,        struct fuse_fsync_in,           0, NONE, FUSE_NO_ARGS,              FUSE_OP_SLEEPS) \
	X(GETLK,           struct fuse_lk_in,              0, NONE, struct fuse_lk_out,        0) \
	X(SETLK,           struct fuse_lk_in,              0, NONE, FUSE_NO_ARGS,              0) \
	X(SETLKW,          struct fuse_lk_in,              0, NONE, FUSE_NO_ARGS,              0) \
	X(ACCESS,          struct fuse_access_in,          0, NONE, FUSE_NO_ARGS,              0) \
	X(CREATE,          struct fuse_create_in,          1, NONE, struct fuse_create_out,    FUSE_OP_CHANGES | FUSE_OP_CREATES | FUSE_OP_SIZES) \
	X(INTERRUPT,       struct fuse_interrupt_in,       0, NONE, FUSE_NO_ARGS,              FUSE_OP_NO_REPLY) \
	X(DESTROY,         FUSE_NO_ARGS,                   0, NONE, FUSE_NO_ARGS,              FUSE_OP_ENDS) \
	X(IOCTL,           struct fuse_ioctl_in,           0, DATA, struct fuse_ioctl_out,     0) \
	X(BATCH_FORGET,    struct fuse_batch_forget_in,    0, DATA, FUSE_NO_ARGS,              FUSE_OP_NO_REPLY) \
	X(FALLOCATE,       struct fuse_fallocate_in,       0, NONE, FUSE_NO_ARGS,              FUSE_OP_CHANGES | FUSE_OP_SLEEPS | FUSE_OP_MAPS) \
	X(READDIRPLUS,     struct fuse_read_in,            0, NONE, FUSE_NO_ARGS,              0) \
	X(RENAME2,         struct fuse_rename2_in,         2, NONE, FUSE_NO_ARGS,              FUSE_OP_CHANGES) \
	X(LSEEK,           struct fuse_lseek_in,           0, NONE, struct fuse_lseek_out,     0) \
	X(COPY_FILE_RANGE, struct fuse_copy_file_range_in, 0, NONE, struct fuse_write_out,     FUSE_OP_CHANGES | FUSE_OP_SLEEPS | FUSE_OP_MAPS) \
	X(SYNCFS,          struct fuse_syncfs_in,          0, NONE, FUSE_NO_ARGS,              FUSE_OP_SLEEPS) \
	X(TMPFILE,         struct fuse_create_in,          1, NONE, struct fuse_create_out,    FUSE_OP_CHANGES | FUSE_OP_CREATES) \
	X(COPY_FILE_RANGE_64, struct fuse_copy_file_range_in, 0, NONE, struct fuse_copy_file_range_out, FUSE_OP_CHANGES | FUSE_OP_SLEEPS | FUSE_OP_MAPS) \
	X(SETUPMAPPING,    struct fuse_setupmapping_in,    0, NONE, FUSE_NO_ARGS,              FUSE_OP_SLEEPS | FUSE_OP_MAPS) \
	X(REMOVEMAPPING,   struct fuse_removemapping_in,   0, ARRAY, FUSE_NO_ARGS,             FUSE_OP_SLEEPS | FUSE_OP_MAPS) \
	X(STATX,           struct fuse_statx_in,           0, NONE, struct fuse_statx_out,     FUSE_OP_SIZES) \

/* clang-format on */

/* What INIT carried before 7.36 made it longer; the rest is optional. */
struct fuse_init_in_oldest {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
};

/* What SETXATTR carries without FUSE_SETXATTR_EXT. */
struct fuse_setxattr_in_oldest {
	uint32_t size;
	uint32_t flags;
};

/* What CREATE answers: two structures. */
struct fuse_create_out {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

#define FUSE_OPCODE_MAX 64 /* above every opcode of the table */

#endif
