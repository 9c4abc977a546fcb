// SPDX-License-Identifier: BSD-2-Clause
/*
 * probe DIR: does each thing once that a program may do with the tree of liar.c, whatever comes of
 * it, and says that in a line each: `WHAT = RESULT`, a number or the name of an errno. It ends
 * with SIGALRM where one of them hangs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/fs.h>

/* Of one call; endless listings end by MOST. */
#define LIMIT_SECONDS 120
#define MOST 5000

static char bytes[1 << 17];

static long probe_stat(void)
{
	struct stat st;

	return stat("file", &st);
}

static long probe_statx(void)
{
	struct statx sx;

	return statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_ALL | STATX_BTIME, &sx);
}

static long probe_deep(void)
{
	struct stat st;

	return stat("dir/sub/dir/sub/sub/dir", &st);
}

static long probe_chdir(void)
{
	const int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long ret = chdir("dir/sub");

	if (!ret)
		ret = getcwd(bytes, sizeof(bytes)) ? chdir("..") : -1;
	/* Where even that fails, what follows fails too. */
	if (fchdir(here))
		ret = -1;
	close(here);
	return ret;
}

static long list(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e = NULL;
	struct stat st;
	long n = 0;

	if (!dir)
		return -1;
	do {
		if (e && n < 8)
			fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW);
		errno = 0;
		e = readdir(dir);
		n = e ? n + 1 : errno ? -errno : n;
	} while (e && n < MOST);
	rewinddir(dir);
	readdir(dir);
	closedir(dir);
	errno = n < 0 ? (int)-n : 0;
	return n;
}

static long probe_list(void)
{
	return list(".");
}

static long probe_list_dir(void)
{
	return list("dir");
}

static long with_file(const char *path, int flags, long (*what)(int fd))
{
	const int fd = open(path, flags | O_CLOEXEC, 0644);
	long ret;

	if (fd < 0)
		return -1;
	ret = what(fd);
	if (close(fd) && ret >= 0)
		ret = -1;
	return ret;
}

static long use_read(int fd)
{
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return pread(fd, bytes, sizeof(bytes), 0);
}

static long probe_read(void)
{
	return with_file("file", O_RDONLY, use_read);
}

static long probe_direct(void)
{
	return with_file("file", O_RDONLY | O_DIRECT, use_read);
}

static long use_write(int fd)
{
	const ssize_t n = pwrite(fd, bytes, 5000, 100);

	return fsync(fd) && n >= 0 ? -1 : n;
}

static long probe_write(void)
{
	return with_file("file", O_RDWR, use_write);
}

static long probe_append(void)
{
	return with_file("file", O_WRONLY | O_APPEND, use_write);
}

static long probe_truncating(void)
{
	return with_file("file", O_WRONLY | O_TRUNC, use_write);
}

static long use_map(int fd)
{
	volatile char *map = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
	struct stat st;
	long ret = 0;

	if (map == MAP_FAILED)
		return -1;
	/* Within the file, or there is a SIGBUS by right. */
	if (!fstat(fd, &st) && st.st_size >= 8192)
		ret = (long)write(STDERR_FILENO, (const void *)map, 0);
	munmap((void *)map, 8192);
	return ret;
}

static long probe_map(void)
{
	return with_file("file", O_RDONLY, use_map);
}

static long use_seek(int fd)
{
	return lseek(fd, 10, SEEK_DATA) < 0 ? -1 : lseek(fd, 10, SEEK_HOLE);
}

static long probe_seek(void)
{
	return with_file("file", O_RDONLY, use_seek);
}

static long use_allocate(int fd)
{
	return fallocate(fd, 0, 0, 10000);
}

static long probe_allocate(void)
{
	return with_file("file", O_RDWR, use_allocate);
}

static long use_copy(int fd)
{
	off_t from = 0, to = 4096;

	return copy_file_range(fd, &from, fd, &to, 1000, 0);
}

static long probe_copy(void)
{
	return with_file("file", O_RDWR, use_copy);
}

static long use_locks(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_len = 10};

	if (fcntl(fd, F_GETLK, &lock) || flock(fd, LOCK_EX))
		return -1;
	lock = (struct flock){.l_type = F_WRLCK, .l_len = 10};
	return fcntl(fd, F_SETLK, &lock);
}

static long probe_locks(void)
{
	return with_file("file", O_RDWR, use_locks);
}

static long use_ioctl(int fd)
{
	int flags;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) ? -1 : ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static long probe_ioctl(void)
{
	return with_file("file", O_RDONLY, use_ioctl);
}

static long probe_create(void)
{
	return with_file("made", O_RDWR | O_CREAT, use_write);
}

static long probe_nameless(void)
{
	return with_file("dir", O_TMPFILE | O_RDWR, use_write);
}

static long probe_mkdir(void)
{
	return mkdir("dir/made", 0755);
}

static long probe_mkdir_here(void)
{
	return mkdir("made", 0755);
}

static long probe_mknod(void)
{
	return mknod("dir/node", S_IFREG | 0644, 0);
}

static long probe_symlink(void)
{
	return symlink("target", "dir/soft");
}

static long probe_link(void)
{
	return link("file", "dir/hard");
}

static long probe_rename(void)
{
	return rename("dir/inner", "inner");
}

static long probe_rename_dir(void)
{
	return rename("dir/sub", "dir/inner");
}

static long probe_exchange(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, "dir", RENAME_EXCHANGE);
}

static long probe_unlink(void)
{
	return unlink("dir/inner");
}

static long probe_rmdir(void)
{
	return rmdir("dir/sub");
}

static long probe_readlink(void)
{
	return readlink("link", bytes, sizeof(bytes));
}

static long probe_follow(void)
{
	struct stat st;

	return stat("link", &st);
}

static long probe_xattr(void)
{
	return getxattr("file", "user.a", NULL, 0) < 0
		       ? -1
		       : getxattr("file", "user.a", bytes, 100);
}

static long probe_xattrs(void)
{
	return listxattr("file", NULL, 0) < 0 ? -1 : listxattr("file", bytes, 65536);
}

static long probe_set_xattr(void)
{
	return setxattr("file", "user.a", "b", 1, 0);
}

static long probe_acl(void)
{
	return getxattr("file", "system.posix_acl_access", bytes, 65536);
}

static long probe_chmod(void)
{
	return chmod("file", 0600);
}

static long probe_truncate(void)
{
	return truncate("file", 5);
}

static long probe_statvfs(void)
{
	struct statvfs st;

	return statvfs(".", &st);
}

static long use_sync(int fd)
{
	return syncfs(fd);
}

static long probe_sync(void)
{
	return with_file(".", O_RDONLY | O_DIRECTORY, use_sync);
}

static const struct {
	const char *name;
	long (*run)(void);
} probes[] = {
	{"stat", probe_stat}, {"statx", probe_statx}, {"deep", probe_deep},
	{"chdir", probe_chdir}, {"list", probe_list}, {"list dir", probe_list_dir},
	{"read", probe_read}, {"direct", probe_direct}, {"write", probe_write},
	{"append", probe_append}, {"truncating", probe_truncating}, {"map", probe_map},
	{"seek", probe_seek}, {"allocate", probe_allocate}, {"copy", probe_copy},
	{"locks", probe_locks}, {"ioctl", probe_ioctl}, {"create", probe_create},
	{"nameless", probe_nameless}, {"mkdir", probe_mkdir}, {"mkdir here", probe_mkdir_here},
	{"mknod", probe_mknod}, {"symlink", probe_symlink}, {"link", probe_link},
	{"rename", probe_rename}, {"rename dir", probe_rename_dir}, {"exchange", probe_exchange},
	{"unlink", probe_unlink}, {"rmdir", probe_rmdir}, {"readlink", probe_readlink},
	{"follow", probe_follow}, {"xattr", probe_xattr}, {"xattrs", probe_xattrs},
	{"set xattr", probe_set_xattr}, {"acl", probe_acl}, {"chmod", probe_chmod},
	{"truncate", probe_truncate}, {"statvfs", probe_statvfs}, {"sync", probe_sync},
};

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (chdir(argv[1])) {
		printf("enter = %s\n", strerrorname_np(errno));
		return 0;
	}
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		long ret;

		printf("%s = ", probes[i].name);
		fflush(stdout);
		alarm(LIMIT_SECONDS);
		errno = 0;
		ret = probes[i].run();
		if (ret < 0)
			printf("%s\n", strerrorname_np(errno) ? strerrorname_np(errno) : "?");
		else
			printf("%ld\n", ret);
	}
	return 0;
}
