// SPDX-License-Identifier: BSD-2-Clause
/* Descriptors: opened, asked, changed. */
#include "over.h"

#include <stdarg.h>

static int open_at(int at, const char *path, int flags, mode_t mode)
{
	struct causeway_file *start, *f, *same = over_proc(path);
	int r;

	if (over_start(at, &start))
		return -1;
	if (same)
		r = causeway_reopen(same, flags, &f);
	else
		r = causeway_open(over_connection(), start, path, flags, over_masked(mode), &f);
	return r < 0 ? (int)over_result(r) : over_install(f, at, path, flags);
}

int over_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_at(AT_FDCWD, path, flags, mode);
}

int over_openat(int at, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_at(at, path, flags, mode);
}

/* A call on the file of a descriptor. */
#define ON_FILE(fd, f, call)                                                                       \
	({                                                                                         \
		struct causeway_file *f = over_file(fd);                                           \
		f ? over_result(call) : -1;                                                        \
	})

int over_fstat(int fd, struct stat *st)
{
	return (int)ON_FILE(fd, f, causeway_fstat(f, st));
}

int over_fchmod(int fd, mode_t mode)
{
	return (int)ON_FILE(fd, f, causeway_fchmod(f, mode));
}

int over_ftruncate(int fd, off_t length)
{
	return (int)ON_FILE(fd, f, causeway_ftruncate(f, length));
}

int over_futimens(int fd, const struct timespec times[2])
{
	return (int)ON_FILE(fd, f, causeway_futimens(f, times));
}

int over_fsync(int fd)
{
	return (int)ON_FILE(fd, f, causeway_fsync(f, 0));
}

int over_fdatasync(int fd)
{
	return (int)ON_FILE(fd, f, causeway_fsync(f, 1));
}

int over_syncfs(int fd)
{
	return (int)ON_FILE(fd, f, causeway_syncfs(over_connection()));
}

/* The library writes ranges out with the rest. */
int over_sync_file_range(int fd, off_t offset, off_t length, unsigned int flags)
{
	return (int)ON_FILE(fd, f, causeway_fsync(f, 1));
}

int over_fallocate(int fd, int mode, off_t offset, off_t length)
{
	return (int)ON_FILE(fd, f, causeway_fallocate(f, mode, offset, length));
}

/* These two return what is wrong. */
int over_posix_fallocate(int fd, off_t offset, off_t length)
{
	return over_fallocate(fd, 0, offset, length) ? errno : 0;
}

int over_posix_fadvise(int fd, off_t offset, off_t length, int advice)
{
	return over_file(fd) ? 0 : errno;
}

off_t over_lseek(int fd, off_t offset, int whence)
{
	struct causeway_file *f = over_file(fd);
	off_t to;

	if (!f)
		return -1;
	to = causeway_lseek(f, offset, whence);
	if (to != -EISDIR || whence != SEEK_SET)
		return over_result(to);
	causeway_seekdir(f, (uint64_t)offset);
	return offset;
}
