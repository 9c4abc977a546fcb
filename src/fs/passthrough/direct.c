// SPDX-License-Identifier: BSD-2-Clause
/*
 * O_DIRECT, where guests may ask for it (--allow-direct-io).
 *
 * What a guest reads and writes comes as it likes: its disks are not the host's, it does not know
 * how the host's want memory, offset and length aligned (which an open file's may change with the
 * place in it, too), and what its kernel writes back from its page cache through such a
 * handle ends where the file does. The host says EINVAL to what does not fit, or stops before it.
 * Then the rest goes through the host's page cache, which the kernel keeps coherent with direct
 * I/O: no guest sees an EINVAL or an end of file that its own disk would not have shown.
 *
 * Where a file system has no direct I/O, files are opened without.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"

/* #syscalls: pread64 preadv pwrite64 pwritev2 openat
 * #syscalls: fcntl:1=F_GETFL fcntl:1=F_SETFL fcntl:1=F_DUPFD_CLOEXEC */

void pt_go_direct(struct passthrough *pt, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	/* Not with open(2), which would leave behind a new file that it then refuses. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return;
	atomic_store_explicit(&pt->goes_direct, true, memory_order_relaxed);
}

bool pt_is_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_DIRECT;
}

size_t pt_io_length(const struct pt_io *io)
{
	size_t len = 0;

	for (int i = 0; i < io->n; i++)
		len += io->iov[i].iov_len;
	return len;
}

/* One call of what is to be done. The kernel need not copy an array of one piece. */
static ssize_t call(const struct pt_io *io, int fd, const struct iovec *iov, int n, uint64_t offset)
{
	if (n == 1 && io->rwf == 0)
		return neg_errno(io->write
				? pwrite(fd, iov->iov_base, iov->iov_len, (off_t)offset)
				: pread(fd, iov->iov_base, iov->iov_len, (off_t)offset));
	return neg_errno(io->write ? pwritev2(fd, iov, n, (off_t)offset, io->rwf)
				   : preadv(fd, iov, n, (off_t)offset));
}

/* Another descriptor of the same file without O_DIRECT. Where it may not be opened again, the one
 * there is does without from now on. */
static int open_buffered(struct passthrough *pt, int fd, int flags)
{
	int again = openat(pt->proc_fd, pt_fdname(fd).s,
		(flags & (O_ACCMODE | O_NOATIME)) | O_CLOEXEC);

	if (again >= 0)
		return again;
	if (fcntl(fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return -errno;
	return (int)neg_errno(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* Goes on behind what is done, piece by piece; how much is done then. */
static ssize_t go_on(const struct pt_io *io, int fd, size_t done)
{
	size_t at = 0;

	for (int i = 0; i < io->n; at += io->iov[i++].iov_len) {
		struct iovec rest = io->iov[i];
		size_t skip = done > at ? done - at : 0;
		ssize_t r;

		if (skip >= rest.iov_len)
			continue;
		rest.iov_base = (char *)rest.iov_base + skip;
		rest.iov_len -= skip;
		r = call(io, fd, &rest, 1, io->offset + done);
		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		done += (size_t)r;
		if ((size_t)r < rest.iov_len)
			break;
	}
	return (ssize_t)done;
}

ssize_t pt_io(struct passthrough *pt, const struct pt_io *io, int fd)
{
	ssize_t done = call(io, fd, io->iov, io->n, io->offset);
	CLEANUP_FD int buffered = -1;
	int flags;

	if (!atomic_load_explicit(&pt->goes_direct, memory_order_relaxed) ||
		(done < 0 && done != -EINVAL) ||
		(done >= 0 && (size_t)done == pt_io_length(io)))
		return done;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || !(flags & O_DIRECT))
		return done;
	if (!io->write)
		cred_be_daemon();
	buffered = open_buffered(pt, fd, flags);
	if (buffered < 0)
		return done;
	return done < 0 ? call(io, buffered, io->iov, io->n, io->offset)
			: go_on(io, buffered, (size_t)done);
}
