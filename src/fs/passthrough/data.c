// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations on open files. Offsets beyond what off_t holds are refused by the system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "base/newer.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "fs/passthrough/xattr.h"

/* #syscalls: preadv preadv2 pwritev2 fsync fdatasync fallocate lseek copy_file_range
 * #syscalls: cachestat statx
 * #syscalls: fcntl:1=F_DUPFD_CLOEXEC */

/* What a read(2) of a mount can say of whether it would wait for a disk or a server. */
enum pt_reads {
	PT_READS_SAY,   /* RWF_NOWAIT, until it is found not to be taken */
	PT_READS_LOCAL, /* nothing: but they are from memory or a disk of this machine */
	PT_READS_WAIT,  /* nothing: as if they would */
};

#define ASK_FROM (128u << 10)

static bool is_behind_end(int fd, uint64_t offset)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) == 0 && st.stx_size <= offset;
}

/* Whether a file's page at an offset is in memory, or there is none, as far as the kernel says so:
 * it may be too old, and not everybody may ask. For fewer bytes it is not worth asking. */
static bool may_be_cached(const struct pt_io *io, int fd)
{
	const struct cachestat_of first = {.offset = io->offset, .len = 1};
	struct cachestat_is page;

	return pt_io_length(io) < ASK_FROM || cachestat_fd(fd, &first, &page) < 0 ||
		page.cached > 0 || is_behind_end(fd, io->offset);
}

/* RWF_NOWAIT reads what is in memory, and has the kernel begin to read what follows; so a short
 * read may be the end of the file or not. To begin takes the kernel long itself (400 µs for 1 MiB),
 * and what waits behind this request with it: what begins with a page that is not there is left. */
static ssize_t read_nowait(const struct pt_io *io, int fd)
{
	struct iovec next = {.iov_len = 1};
	ssize_t got;
	char more;

	if (!may_be_cached(io, fd))
		return -EAGAIN;
	got = neg_errno(preadv2(fd, io->iov, io->n, (off_t)io->offset, RWF_NOWAIT));
	next.iov_base = &more;
	if (got < 0 || (size_t)got == pt_io_length(io))
		return got;
	return preadv2(fd, &next, 1, (off_t)(io->offset + (size_t)got), RWF_NOWAIT) == 0 ? got
											 : -EAGAIN;
}

/* Where a file system knows no RWF_NOWAIT: tmpfs, and what is stacked on others, are of this
 * machine, so that they keep inodes' numbers, and read as ever; the others have servers to wait
 * for. */
static enum pt_reads reads_without(const struct pt_mount *mount)
{
	return mount->keeps_numbers ? PT_READS_LOCAL : PT_READS_WAIT;
}

/* All that is to be read, or -EAGAIN where that would wait. */
static ssize_t read_at_once(struct passthrough *pt, const struct pt_io *io,
	const struct pt_file_ref *file)
{
	struct pt_mount *mount = file->node->mount;
	ssize_t got;

	if (atomic_load_explicit(&pt->goes_direct, memory_order_relaxed) &&
		pt_is_direct(file->fd))
		return -EAGAIN;
	switch ((enum pt_reads)atomic_load_explicit(&mount->reads, memory_order_relaxed)) {
	case PT_READS_SAY:
		got = read_nowait(io, file->fd);
		if (got != -EOPNOTSUPP)
			return got;
		atomic_store_explicit(&mount->reads, reads_without(mount), memory_order_relaxed);
		return read_at_once(pt, io, file);
	case PT_READS_LOCAL:
		return pt_io(pt, io, file->fd);
	case PT_READS_WAIT:
		break;
	}
	return -EAGAIN;
}

ssize_t pt_read(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, bool at_once)
{
	PT_FILE struct pt_file_ref file = pt_file_ref(pt_of(fs), t);
	const struct pt_io io = {.iov = iov, .n = n, .offset = offset};

	if (file.fd < 0)
		return file.error;
	/* To preadv2(2) one of them means the descriptor's own. */
	if (offset > INT64_MAX)
		return -EINVAL;
	pt_dax_flush(pt_of(fs), file.node);
	pt_look(file.node, VT_NODE_DATA);
	return at_once ? read_at_once(pt_of(fs), &io, &file) : pt_io(pt_of(fs), &io, file.fd);
}

/* Who changes what a file holds: the daemon (quotas and reserved blocks are its own, files are
 * charged to their owner), or somebody who clears set-id bits by it. */
static int be_writer(bool kill_priv)
{
	if (kill_priv)
		return cred_be_unprivileged_writer();
	cred_be_daemon();
	return 0;
}

ssize_t pt_write(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, unsigned int how)
{
	PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt_of(fs), t);
	const struct pt_io io = {
		.write = true,
		.iov = iov,
		.n = n,
		.offset = offset,
		.rwf = (how & FS_WRITE_APPEND ? RWF_APPEND : 0) |
			(how & FS_WRITE_DSYNC ? RWF_DSYNC : 0) |
			(how & FS_WRITE_SYNC ? RWF_SYNC : 0),
	};
	ssize_t r;

	if (!open.handle)
		return open.error;
	if (offset > INT64_MAX)
		return -EINVAL;
	/* Its descriptor appends, whatever the offset: a page that is written back has its own. */
	if (open.handle->kind == PT_HANDLE_APPEND && !(how & FS_WRITE_APPEND))
		return -EPERM;
	pt_mark(open.handle->node, VT_FILE);
	pt_dax_flush(pt_of(fs), open.handle->node);
	r = be_writer(how & FS_WRITE_KILL_PRIV);
	if (r == 0)
		r = pt_clear_capability(pt_of(fs), open.handle->fd);
	if (r == 0)
		r = pt_io(pt_of(fs), &io, open.handle->fd);
	/* Where it was appended, nobody knows. */
	if (r > 0)
		pt_dax_after_write(pt_of(fs), open.handle->node,
			how & FS_WRITE_APPEND ? 0 : offset,
			how & FS_WRITE_APPEND ? INT64_MAX : (uint64_t)r);
	return r;
}

/* Network file systems tell at close what went wrong with earlier writes. */
int pt_flush(struct fs *fs, const struct fs_target *t, uint64_t lock_owner)
{
	PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt_of(fs), t);
	int fd, r;

	if (!open.handle)
		return open.error;
	pt_locks_flush(pt_of(fs), open.handle->node, lock_owner);
	cred_be_daemon();
	r = pt_dax_flush(pt_of(fs), open.handle->node);
	fd = fcntl(open.handle->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || close(fd) < 0)
		return -errno;
	return r;
}

int pt_fsync(struct fs *fs, const struct fs_target *t, bool data_only)
{
	PT_FILE struct pt_file_ref file = pt_file_ref(pt_of(fs), t);
	int r;

	if (file.fd < 0)
		return file.error;
	r = pt_dax_flush(pt_of(fs), file.node);
	if (r < 0)
		return r;
	return neg_errno(data_only ? fdatasync(file.fd) : fsync(file.fd));
}

/* What is mapped of a file may have to be copied before it. */
bool pt_syncs_at_once(struct fs *fs, uint64_t node_id)
{
	struct passthrough *pt = pt_of(fs);
	struct pt_node *node = pt->dax ? NULL : pt_node_get(pt, node_id);
	bool at_once = node && node->mount->in_memory;

	if (node)
		pt_node_put(pt, node);
	return at_once;
}

/* Where a file will end that loses len bytes. */
static uint64_t end_after_collapse(int fd, uint64_t len)
{
	struct statx st;

	return pt_stat(fd, &st) < 0 || st.stx_size < len ? 0 : st.stx_size - len;
}

int pt_fallocate(struct fs *fs, const struct fs_target *t, int mode, uint64_t offset, uint64_t len,
	bool kill_priv)
{
	PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt_of(fs), t);
	struct pt_dax_file *dax;
	int r;

	if (!open.handle)
		return open.error;
	cred_be_daemon();
	pt_mark(open.handle->node, VT_FILE);
	dax = pt_dax_begin_resize(pt_of(fs), open.handle->node,
		mode & FALLOC_FL_COLLAPSE_RANGE ? end_after_collapse(open.handle->fd, len)
						: INT64_MAX, &r);
	if (r == 0)
		r = be_writer(kill_priv);
	if (r == 0)
		r = neg_errno(fallocate(open.handle->fd, mode, (off_t)offset, (off_t)len));
	pt_dax_end_resize(dax, offset);
	return r;
}

/* Only what depends on where the file has data; a directory's position is its listing's. */
int64_t pt_lseek(struct fs *fs, const struct fs_target *t, uint64_t offset, int whence)
{
	PT_FILE struct pt_file_ref file = pt_file_ref(pt_of(fs), t);

	if (file.fd < 0)
		return file.error;
	if (file.node->type == S_IFDIR || (whence != SEEK_DATA && whence != SEEK_HOLE))
		return -EINVAL;
	pt_look(file.node, VT_NODE_DATA);
	return neg_errno(lseek(file.fd, (off_t)offset, whence));
}

ssize_t pt_copy_file_range(struct fs *fs, const struct fs_copy *copy)
{
	struct passthrough *pt = pt_of(fs);
	PT_HANDLE struct pt_handle_ref from = pt_handle_ref(pt, &copy->from);
	PT_HANDLE struct pt_handle_ref to = pt_handle_ref(pt, &copy->to);
	off_t from_offset = (off_t)copy->from_offset;
	off_t to_offset = (off_t)copy->to_offset;
	struct pt_dax_file *dax;
	ssize_t n;
	int r;

	if (!from.handle)
		return from.error;
	if (!to.handle)
		return to.error;
	pt_dax_flush(pt, from.handle->node);
	cred_be_daemon();
	pt_mark(to.handle->node, VT_TO_ATTR | VT_TO_DATA);
	dax = pt_dax_begin_resize(pt, to.handle->node, INT64_MAX, &r);
	if (r == 0)
		r = be_writer(copy->kill_priv);
	n = r < 0 ? r : neg_errno(copy_file_range(from.handle->fd, &from_offset, to.handle->fd,
				&to_offset, copy->len, 0));
	pt_dax_end_resize(dax, copy->to_offset);
	return n;
}
