// SPDX-License-Identifier: BSD-2-Clause
/*
 * Data, read and written: at an offset, or at the handle's position.
 *
 * As many requests as it takes, one after another, each with as much as the back-end takes at once;
 * what comes short ends it. The position is under the handle's lock for as long as data moves, so
 * that threads that share a handle never get or overwrite the same part (as POSIX wants it).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/util.h"
#include "client/file.h"
#include "mem/cursor.h"

/* Reads into buffers once: how many bytes. */
static ssize_t read_once(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset)
{
	struct fuse_read_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.size = (uint32_t)size,
		.flags = client_open_flags(f),
	};
	struct call call = {
		.opcode = FUSE_READ,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.take = iov,
		.ntake = n,
	};
	int r = client_call(f->c, &call);

	return r < 0 ? r : (ssize_t)call.taken;
}

static ssize_t write_once(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset)
{
	struct fuse_write_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.size = (uint32_t)size,
		.flags = client_open_flags(f),
	};
	struct fuse_write_out out;
	struct call call = {
		.opcode = FUSE_WRITE,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.send = iov,
		.nsend = n,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r;

	if (client_kills_priv(f->c))
		in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	r = client_call(f->c, &call);
	if (r == 0 && out.size > size)
		return client_fail(f->c, -EPROTO, "the back-end's reply to WRITE is malformed: it "
						  "wrote more than it was given");
	return r < 0 ? r : (ssize_t)out.size;
}

typedef ssize_t (*once_fn)(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset);

/* How many bytes there are in buffers; -EINVAL where they are too many, or end at no offset. */
static ssize_t measure(struct causeway_file *f, const struct iovec *iov, int n, off_t offset)
{
	size_t size = 0;

	if (offset < 0)
		return client_fail(f->c, -EINVAL, "there is no offset %lld", (long long)offset);
	if (n < 0 || n > IOV_MAX)
		return client_fail(f->c, -EINVAL, "%d buffers: 0 to %d may be given", n, IOV_MAX);
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > SSIZE_MAX - size)
			return client_fail(f->c, -EINVAL, "the buffers are too large");
		size += iov[i].iov_len;
	}
	if (size > (uint64_t)(INT64_MAX - offset))
		return client_fail(f->c, -EINVAL, "there is no offset behind %lld bytes from %lld",
			(long long)size, (long long)offset);
	return (ssize_t)size;
}

static ssize_t transfer(struct causeway_file *f, once_fn once, const struct iovec *iov, int n,
	off_t offset)
{
	struct iovec part[IOV_MAX];
	ssize_t size = client_check_open(f, once == read_once ? O_WRONLY : O_RDONLY), moved = 0;
	struct cursor all;
	size_t done = 0;

	if (size == 0)
		size = measure(f, iov, n, offset);
	if (size < 0)
		return size;
	all = cursor_over(iov, (size_t)size);
	while (all.left > 0) {
		size_t len;
		int pieces = cursor_lend(&all, f->c->session.max_data, part, IOV_MAX, &len);

		moved = once(f, part, (unsigned int)pieces, len, offset + (off_t)done);
		if (moved < 0)
			break;
		done += (size_t)moved;
		if ((size_t)moved < len)
			break;
	}
	if (once == write_once)
		node_drop_attr(f->c, f->node);
	return moved < 0 && done == 0 ? moved : (ssize_t)done;
}

EXPORT ssize_t causeway_preadv(struct causeway_file *f, const struct iovec *iov, int n,
	off_t offset)
{
	return transfer(f, read_once, iov, n, offset);
}

EXPORT ssize_t causeway_pwritev(struct causeway_file *f, const struct iovec *iov, int n,
	off_t offset)
{
	return transfer(f, write_once, iov, n, offset);
}

/* One buffer; more than a count can say is not asked for. */
static struct iovec one(const void *buf, size_t size)
{
	return (struct iovec){(void *)buf, min_t(size_t, size, SSIZE_MAX)};
}

EXPORT ssize_t causeway_pread(struct causeway_file *f, void *buf, size_t size, off_t offset)
{
	struct iovec iov = one(buf, size);

	return transfer(f, read_once, &iov, 1, offset);
}

EXPORT ssize_t causeway_pwrite(struct causeway_file *f, const void *buf, size_t size, off_t offset)
{
	struct iovec iov = one(buf, size);

	return transfer(f, write_once, &iov, 1, offset);
}

EXPORT ssize_t causeway_read(struct causeway_file *f, void *buf, size_t size)
{
	struct iovec iov = one(buf, size);
	ssize_t n;

	pthread_mutex_lock(&f->lock);
	n = transfer(f, read_once, &iov, 1, f->position);
	if (n > 0)
		f->position += n;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* Where what was appended ends: the back-end does not say, so it is where the file ends. */
static void go_to_end(struct causeway_file *f)
{
	struct fuse_attr attr;

	if (client_getattr(f->c, f->node, f, &attr) == 0 && attr.size <= INT64_MAX)
		f->position = (off_t)attr.size;
}

EXPORT ssize_t causeway_write(struct causeway_file *f, const void *buf, size_t size)
{
	struct iovec iov = one(buf, size);
	ssize_t n;

	pthread_mutex_lock(&f->lock);
	n = transfer(f, write_once, &iov, 1, f->position);
	if (n > 0)
		f->position += n;
	if (n > 0 && (f->flags & O_APPEND))
		go_to_end(f);
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* Where lseek(2) leads from a position: an offset or -errno. */
static off_t seek_from(struct causeway_file *f, off_t position, off_t offset, int whence)
{
	struct fuse_attr attr;
	off_t base = 0, to;
	int r;

	switch (whence) {
	case SEEK_DATA:
	case SEEK_HOLE:
		return client_seek(f, offset, whence);
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = position;
		break;
	case SEEK_END:
		r = client_getattr(f->c, f->node, f, &attr);
		if (r < 0)
			return r;
		base = (off_t)min_t(uint64_t, attr.size, INT64_MAX);
		break;
	default:
		return client_fail(f->c, -EINVAL, "there is no way %d to seek", whence);
	}
	if (__builtin_add_overflow(base, offset, &to))
		return client_fail(f->c, -EOVERFLOW, "no offset is so large");
	return to >= 0 ? to : client_fail(f->c, -EINVAL, "that is before the beginning");
}

EXPORT off_t causeway_lseek(struct causeway_file *f, off_t offset, int whence)
{
	off_t to;

	if (f->flags & O_PATH)
		return client_fail(f->c, -EBADF, "the file is not open for that");
	if (f->node->type == S_IFDIR)
		return client_fail(f->c, -EISDIR, "directories have causeway_seekdir()");
	pthread_mutex_lock(&f->lock);
	to = seek_from(f, f->position, offset, whence);
	if (to >= 0)
		f->position = to;
	pthread_mutex_unlock(&f->lock);
	return to;
}
