// SPDX-License-Identifier: BSD-2-Clause
/* What paths name: asked, changed, entered. */
#include "over.h"

#include <sys/statvfs.h>

/* What Linux says of a mount of FUSE. */
#define FUSE_MAGIC 0x65735546

int over_chdir(const char *path)
{
	struct causeway_file *f;
	int r = (int)OVER_AT(AT_FDCWD, c, start,
		causeway_open(c, start, path, O_PATH | O_DIRECTORY, 0, &f));

	if (r == 0)
		over_enter(f, AT_FDCWD, path);
	return r;
}

int over_fchdir(int fd)
{
	struct causeway_file *f;
	int r = (int)OVER_AT(fd, c, start,
		causeway_open(c, start, ".", O_PATH | O_DIRECTORY, 0, &f));

	if (r == 0)
		over_enter(f, fd, ".");
	return r;
}

int over_fstatat(int at, const char *path, struct stat *st, int flags)
{
	return (int)OVER_AT(at, c, start, causeway_stat(c, start, path, st, flags));
}

int over_statx(int at, const char *path, int flags, unsigned int mask, struct statx *st)
{
	return (int)OVER_AT(at, c, start, causeway_statx(c, start, path, flags, mask, st));
}

int over_statfs(const char *path, struct statfs *st)
{
	struct statvfs v;
	int r = (int)OVER_AT(AT_FDCWD, c, start, causeway_statvfs(c, start, path, &v));

	if (r)
		return r;
	*st = (struct statfs){
		.f_type = FUSE_MAGIC,
		.f_bsize = (long)v.f_bsize,
		.f_frsize = (long)v.f_frsize,
		.f_blocks = v.f_blocks,
		.f_bfree = v.f_bfree,
		.f_bavail = v.f_bavail,
		.f_files = v.f_files,
		.f_ffree = v.f_ffree,
		.f_namelen = (long)v.f_namemax,
	};
	return 0;
}

int over_access(const char *path, int mode)
{
	return (int)OVER_AT(AT_FDCWD, c, start, causeway_access(c, start, path, mode, 0));
}

int over_fchmodat(int at, const char *path, mode_t mode, int flags)
{
	return (int)OVER_AT(at, c, start, causeway_chmod(c, start, path, mode, flags));
}

int over_fchownat(int at, const char *path, uid_t owner, gid_t group, int flags)
{
	return (int)OVER_AT(at, c, start, causeway_chown(c, start, path, owner, group, flags));
}

int over_truncate(const char *path, off_t length)
{
	return (int)OVER_AT(AT_FDCWD, c, start, causeway_truncate(c, start, path, length));
}

int over_utimensat(int at, const char *path, const struct timespec times[2], int flags)
{
	return (int)OVER_AT(at, c, start, causeway_utimens(c, start, path, times, flags));
}

int over_setxattr(const char *path, const char *name, const void *value, size_t size, int how)
{
	return (int)OVER_AT(AT_FDCWD, c, start,
		causeway_setxattr(c, start, path, name, value, size, how, 0));
}

ssize_t over_getxattr(const char *path, const char *name, void *value, size_t size)
{
	return OVER_AT(AT_FDCWD, c, start, causeway_getxattr(c, start, path, name, value, size, 0));
}

ssize_t over_listxattr(const char *path, char *list, size_t size)
{
	return OVER_AT(AT_FDCWD, c, start, causeway_listxattr(c, start, path, list, size, 0));
}

int over_removexattr(const char *path, const char *name)
{
	return (int)OVER_AT(AT_FDCWD, c, start, causeway_removexattr(c, start, path, name, 0));
}
