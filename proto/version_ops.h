// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which slots of the version table each FUSE operation has to do with (docs/coherence.md).
 *
 * VT_OPS(X) calls X(OPCODE, looks, marks, more, when) for each operation:
 *   OPCODE  without the FUSE_ prefix
 *   looks   what its reply shows, so what the words in the reply are of
 *   marks   what it changes always
 *   more    what it changes besides, where `when` (VT_WHEN_*) holds
 *
 * atime is nobody's; so is the number of blocks, which a file system may change at any time. A
 * change that a host's file system makes by itself beside these is one of the host's. What a guest
 * stored in copies of a DAX window may be written back by any request, or none: a change of its own
 * each time, of the file's attributes and data. Where it is due with a request (VT_WHEN_COPIES) the
 * reply has the words' places, with flags 0.
 *
 * proto/fuse_ops.h and this name the same operations; tests/proto/test_version_ops.py compares
 * them, and makes each change to see what it changes.
 */
#ifndef PROTO_VERSION_OPS_H
#define PROTO_VERSION_OPS_H

/* Of the inode that the request is sent to; of a name in it, where it is a directory; of the inode
 * that the name stands for, before or after: LINK names it by its node. */
#define VT_NODE_ATTR  (1u << 0)
#define VT_NODE_DATA  (1u << 1)
#define VT_NODE_LIST  (1u << 2)
#define VT_NAME       (1u << 3)
#define VT_CHILD_ATTR (1u << 4)
#define VT_CHILD_DATA (1u << 5)
#define VT_CHILD_LIST (1u << 6)
/* The same of the other directory, or the other file. */
#define VT_TO_ATTR       (1u << 7)
#define VT_TO_DATA       (1u << 8)
#define VT_TO_LIST       (1u << 9)
#define VT_TO_NAME       (1u << 10)
#define VT_TO_CHILD_ATTR (1u << 11)
#define VT_TO_CHILD_LIST (1u << 12)
#define VT_TOUCH_BITS    13

enum vt_when {
	VT_WHEN_NEVER,
	VT_WHEN_SIZE,   /* SETATTR has FATTR_SIZE */
	VT_WHEN_TRUNC,  /* the flags have O_TRUNC */
	VT_WHEN_SETS,   /* the ioctl sets flags or extended flags */
	VT_WHEN_COPIES, /* a DAX window's copies of the file are written back */
	VT_WHEN_DIRS,   /* of what is a directory */
};

/* A name is made: the directory has one more, and another mtime, ctime and perhaps link count. */
#define VT_MAKES (VT_NODE_ATTR | VT_NODE_LIST | VT_NAME | VT_CHILD_ATTR)
#define VT_FOUND (VT_NAME | VT_CHILD_ATTR)
#define VT_FILE  (VT_NODE_ATTR | VT_NODE_DATA)
/* A directory that moves has another "..", and so has one that it changes places with. */
#define VT_MOVES (VT_MAKES | VT_TO_ATTR | VT_TO_LIST | VT_TO_NAME | VT_TO_CHILD_ATTR)
#define VT_LISTS (VT_CHILD_LIST | VT_TO_CHILD_LIST)

/* clang-format off */
#define VT_OPS(X) \
	X(LOOKUP,             VT_FOUND,                0,                        0,             NEVER) \
	X(FORGET,             0,                       0,                        0,             NEVER) \
	X(GETATTR,            VT_NODE_ATTR,            0,                        0,             NEVER) \
	X(SETATTR,            VT_NODE_ATTR,            VT_NODE_ATTR,             VT_NODE_DATA,  SIZE) \
	X(READLINK,           VT_NODE_DATA,            0,                        0,             NEVER) \
	X(SYMLINK,            VT_FOUND,                VT_MAKES,                 0,             NEVER) \
	X(MKNOD,              VT_FOUND,                VT_MAKES,                 0,             NEVER) \
	X(MKDIR,              VT_FOUND,                VT_MAKES,                 0,             NEVER) \
	X(UNLINK,             0,                       VT_MAKES,                 0,             NEVER) \
	X(RMDIR,              0,                       VT_MAKES | VT_CHILD_LIST, 0,             NEVER) \
	X(RENAME,             0,                       VT_MOVES,                 VT_LISTS,      DIRS)  \
	X(LINK,               VT_FOUND,                VT_MAKES,                 0,             NEVER) \
	X(OPEN,               0,                       0,                        VT_FILE,       TRUNC) \
	X(READ,               VT_NODE_DATA,            0,                        0,             NEVER) \
	X(WRITE,              0,                       VT_FILE,                  0,             NEVER) \
	X(STATFS,             0,                       0,                        0,             NEVER) \
	X(RELEASE,            0,                       0,                        VT_FILE,       COPIES) \
	X(FSYNC,              0,                       0,                        VT_FILE,       COPIES) \
	X(SETXATTR,           0,                       VT_NODE_ATTR,             0,             NEVER) \
	X(GETXATTR,           VT_NODE_ATTR,            0,                        0,             NEVER) \
	X(LISTXATTR,          VT_NODE_ATTR,            0,                        0,             NEVER) \
	X(REMOVEXATTR,        0,                       VT_NODE_ATTR,             0,             NEVER) \
	X(FLUSH,              0,                       0,                        VT_FILE,       COPIES) \
	X(INIT,               0,                       0,                        0,             NEVER) \
	X(OPENDIR,            0,                       0,                        0,             NEVER) \
	X(READDIR,            VT_NODE_LIST,            0,                        0,             NEVER) \
	X(RELEASEDIR,         0,                       0,                        0,             NEVER) \
	X(FSYNCDIR,           0,                       0,                        0,             NEVER) \
	X(GETLK,              0,                       0,                        0,             NEVER) \
	X(SETLK,              0,                       0,                        0,             NEVER) \
	X(SETLKW,             0,                       0,                        0,             NEVER) \
	X(ACCESS,             VT_NODE_ATTR,            0,                        0,             NEVER) \
	X(CREATE,             VT_FOUND,                VT_MAKES,                 VT_CHILD_DATA, TRUNC) \
	X(INTERRUPT,          0,                       0,                        0,             NEVER) \
	X(DESTROY,            0,                       0,                        0,             NEVER) \
	X(IOCTL,              VT_NODE_ATTR,            0,                        VT_NODE_ATTR,  SETS) \
	X(BATCH_FORGET,       0,                       0,                        0,             NEVER) \
	X(FALLOCATE,          0,                       VT_FILE,                  0,             NEVER) \
	X(READDIRPLUS,        VT_NODE_LIST | VT_FOUND, 0,                        0,             NEVER) \
	X(RENAME2,            0,                       VT_MOVES,                 VT_LISTS,      DIRS)  \
	X(LSEEK,              VT_NODE_DATA,            0,                        0,             NEVER) \
	X(COPY_FILE_RANGE,    0,                       VT_TO_ATTR | VT_TO_DATA,  0,             NEVER) \
	X(SETUPMAPPING,       0,                       0,                        0,             NEVER) \
	X(REMOVEMAPPING,      0,                       0,                        VT_FILE,       COPIES) \
	X(SYNCFS,             0,                       0,                        0,             NEVER) \
	X(TMPFILE,            VT_CHILD_ATTR,           VT_CHILD_ATTR,            0,             NEVER) \
	X(COPY_FILE_RANGE_64, 0,                       VT_TO_ATTR | VT_TO_DATA,  0,             NEVER) \
	X(STATX,              VT_NODE_ATTR,            0,                        0,        NEVER)
/* clang-format on */

#endif
