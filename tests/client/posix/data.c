// SPDX-License-Identifier: BSD-2-Clause
/* Data: read, written, copied. */
#include "over.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

#define AS_IT_IS(fd) ((fd) >= 0 && (fd) < POSIX_FD)

ssize_t over_read(int fd, void *buf, size_t size)
{
	struct causeway_file *f = AS_IT_IS(fd) ? NULL : over_file(fd);

	if (AS_IT_IS(fd))
		return read(fd, buf, size);
	return f ? over_result(causeway_read(f, buf, size)) : -1;
}

ssize_t over_write(int fd, const void *buf, size_t size)
{
	struct causeway_file *f = AS_IT_IS(fd) ? NULL : over_file(fd);

	if (AS_IT_IS(fd))
		return write(fd, buf, size);
	return f ? over_result(causeway_write(f, buf, size)) : -1;
}

ssize_t over_pread(int fd, void *buf, size_t size, off_t offset)
{
	struct causeway_file *f = over_file(fd);

	return f ? over_result(causeway_pread(f, buf, size, offset)) : -1;
}

ssize_t over_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
	struct causeway_file *f = over_file(fd);

	return f ? over_result(causeway_pwrite(f, buf, size, offset)) : -1;
}

ssize_t over_preadv(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct causeway_file *f = over_file(fd);

	return f ? over_result(causeway_preadv(f, iov, n, offset)) : -1;
}

ssize_t over_pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct causeway_file *f = over_file(fd);

	return f ? over_result(causeway_pwritev(f, iov, n, offset)) : -1;
}

/* At the position, which moves on. */
static ssize_t at_position(int fd, const struct iovec *iov, int n,
	ssize_t (*vector)(int fd, const struct iovec *iov, int n, off_t offset))
{
	off_t at = over_lseek(fd, 0, SEEK_CUR);
	ssize_t moved = at < 0 ? -1 : vector(fd, iov, n, at);

	if (moved > 0)
		over_lseek(fd, at + moved, SEEK_SET);
	return moved;
}

ssize_t over_readv(int fd, const struct iovec *iov, int n)
{
	return at_position(fd, iov, n, over_preadv);
}

ssize_t over_writev(int fd, const struct iovec *iov, int n)
{
	return at_position(fd, iov, n, over_pwritev);
}

/* An offset of -1 is the position; appending is of the file in the library, not of a write. */
ssize_t over_pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	int before = over_fcntl(fd, F_GETFL);
	ssize_t written;

	if (before < 0 || over_fcntl(fd, F_SETFL, before | (flags & RWF_APPEND ? O_APPEND : 0)))
		return -1;
	written = offset == -1 ? over_writev(fd, iov, n) : over_pwritev(fd, iov, n, offset);
	return over_fcntl(fd, F_SETFL, before) ? -1 : written;
}

ssize_t over_copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size,
	unsigned int flags)
{
	struct causeway_file *from = over_file(in), *to = over_file(out);
	ssize_t n;

	if (!from || !to)
		return -1;
	n = flags ? -EINVAL : causeway_copy_file_range(from, *in_at, to, *out_at, size);
	if (n > 0) {
		*in_at += n;
		*out_at += n;
	}
	return over_result(n);
}

ssize_t over_sendfile(int out, int in, off_t *at, size_t size)
{
	char buf[65536];
	size_t done = 0;

	while (done < size) {
		size_t part = size - done < sizeof(buf) ? size - done : sizeof(buf);
		ssize_t n = over_pread(in, buf, part, *at);

		if (n <= 0 || over_write(out, buf, (size_t)n) != n)
			return n == 0 || done > 0 ? (ssize_t)done : -1;
		*at += n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int over_dprintf(int fd, const char *format, ...)
{
	char text[256];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return n >= (int)sizeof(text) ? -1 : (int)over_write(fd, text, (size_t)n);
}

static ssize_t stream_read(void *cookie, char *buf, size_t size)
{
	return over_read((int)(intptr_t)cookie, buf, size);
}

static int stream_close(void *cookie)
{
	return over_close((int)(intptr_t)cookie);
}

/* For reading only. */
FILE *over_fopen(const char *path, const char *mode)
{
	static const cookie_io_functions_t stream = {.read = stream_read, .close = stream_close};
	int fd = strcmp(mode, "r") ? -1 : over_open(path, O_RDONLY);

	return fd < 0 ? NULL : fopencookie((void *)(intptr_t)fd, mode, stream);
}
