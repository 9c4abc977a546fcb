// SPDX-License-Identifier: BSD-2-Clause
/*
 * Opening, reading and writing, with a handle or without one.
 */
#ifndef PASSTHROUGH_IO_H
#define PASSTHROUGH_IO_H

#include "fs/passthrough/pt.h"

/* file.c */

/* Opens a node's file or directory, which must be one: a descriptor or -errno. */
int pt_open_node(struct passthrough *pt, const struct pt_node *node, int flags);

/* The same of a file. O_APPEND: it is opened so where the host lets nobody write to it otherwise,
 * and only there; *kind becomes PT_HANDLE_APPEND then. */
int pt_open_file(struct passthrough *pt, const struct pt_node *node, int flags,
	enum pt_handle_kind *kind);

/* A handle, or in its place a node that is read without having been opened: fd is open for reading
 * in either case, or negative, and error says why. */
#define PT_FILE __attribute__((cleanup(pt_cleanup_file)))
struct pt_file_ref {
	struct pt_handle_ref open;
	struct pt_node_ref ref;
	struct pt_dax_file *dax; /* whose description fd is then, or NULL */
	struct pt_node *node;
	int fd, error;
};
void pt_cleanup_file(struct pt_file_ref *file);
struct pt_file_ref pt_file_ref(struct passthrough *pt, const struct fs_target *t);

/* direct.c */

/* Makes a new descriptor's reads and writes go past the host's page cache, where it can. */
void pt_go_direct(struct passthrough *pt, int fd);

/* Reads or writes at an offset, as preadv(2) and pwritev2(2), whatever the descriptor wants
 * aligned. A writer has its credentials already. */
struct pt_io {
	bool write;
	const struct iovec *iov;
	int n;
	uint64_t offset;
	int rwf; /* RWF_*, for a write */
};
ssize_t pt_io(struct passthrough *pt, const struct pt_io *io, int fd);
size_t pt_io_length(const struct pt_io *io);

/* Whether a descriptor goes past the host's page cache. */
bool pt_is_direct(int fd);

/* stream.c */

/* The handle of a listing that goes on at offset, which is the caller's until it is kept or
 * released. 0 or -errno. */
int pt_stream_take(struct passthrough *pt, uint64_t node, uint64_t offset, uint64_t *handle);
void pt_stream_keep(struct passthrough *pt, uint64_t node, uint64_t offset, uint64_t handle);

/* A node may be gone: if it is, nobody goes on there. With node 0, nobody does anywhere. */
void pt_streams_forget(struct passthrough *pt, uint64_t node);

#endif
