// SPDX-License-Identifier: BSD-2-Clause
/*
 * The calls of POSIX and Linux that the cases of tests/fs make, over libcauseway. The cases are
 * built once more with this header before each file (-include): what they call by the name of a
 * system call is a function of the same form here.
 *
 * A process is a guest of its own: a connection with a server of its own, made with the first call
 * that needs one. fork() and a change of credentials end what a process has of it; the next call
 * makes another, for the user that the process is then, and opens again what was open, by the path
 * that it was opened by and at its beginning. So what processes share here is the directory, not
 * descriptions of open files.
 *
 * Descriptors are numbers from POSIX_FD on; lower ones are the system's (pipes), and are left to
 * it. Of /proc there is only /proc/self/fd/N, by which Linux's programs name open files.
 */
#ifndef TESTS_CLIENT_POSIX_H
#define TESTS_CLIENT_POSIX_H

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define POSIX_FD 1000000

/* Processes. (process.c) */
pid_t over_fork(void);
void over_exit(int status) __attribute__((noreturn));
int over_setgroups(size_t n, const gid_t *groups);
int over_setresgid(gid_t r, gid_t e, gid_t s);
int over_setresuid(uid_t r, uid_t e, uid_t s);

/* Descriptors. (file.c, lock.c) */
int over_open(const char *path, int flags, ...);
int over_openat(int at, const char *path, int flags, ...);
int over_close(int fd);
int over_fstat(int fd, struct stat *st);
int over_fchmod(int fd, mode_t mode);
int over_ftruncate(int fd, off_t length);
int over_futimens(int fd, const struct timespec times[2]);
int over_fsync(int fd);
int over_fdatasync(int fd);
int over_syncfs(int fd);
int over_sync_file_range(int fd, off_t offset, off_t length, unsigned int flags);
int over_fallocate(int fd, int mode, off_t offset, off_t length);
int over_posix_fallocate(int fd, off_t offset, off_t length);
int over_posix_fadvise(int fd, off_t offset, off_t length, int advice);
off_t over_lseek(int fd, off_t offset, int whence);
int over_fcntl(int fd, int cmd, ...);
int over_flock(int fd, int operation);

/* Data. (data.c) */
ssize_t over_read(int fd, void *buf, size_t size);
ssize_t over_write(int fd, const void *buf, size_t size);
ssize_t over_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t over_pwrite(int fd, const void *buf, size_t size, off_t offset);
ssize_t over_readv(int fd, const struct iovec *iov, int n);
ssize_t over_writev(int fd, const struct iovec *iov, int n);
ssize_t over_preadv(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t over_pwritev(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t over_pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t over_copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size,
	unsigned int flags);
ssize_t over_sendfile(int out, int in, off_t *at, size_t size);
int over_dprintf(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
FILE *over_fopen(const char *path, const char *mode);

/* Paths. (path.c) */
int over_chdir(const char *path);
int over_fchdir(int fd);
int over_fstatat(int at, const char *path, struct stat *st, int flags);
int over_statx(int at, const char *path, int flags, unsigned int mask, struct statx *st);
int over_statfs(const char *path, struct statfs *st);
int over_access(const char *path, int mode);
int over_fchmodat(int at, const char *path, mode_t mode, int flags);
int over_fchownat(int at, const char *path, uid_t owner, gid_t group, int flags);
int over_truncate(const char *path, off_t length);
int over_utimensat(int at, const char *path, const struct timespec times[2], int flags);
int over_setxattr(const char *path, const char *name, const void *value, size_t size, int how);
ssize_t over_getxattr(const char *path, const char *name, void *value, size_t size);
ssize_t over_listxattr(const char *path, char *list, size_t size);
int over_removexattr(const char *path, const char *name);

/* Names. (name.c) */
int over_linkat(int old_at, const char *old_path, int at, const char *path, int flags);
int over_unlinkat(int at, const char *path, int flags);
int over_symlink(const char *target, const char *path);
ssize_t over_readlinkat(int at, const char *path, char *buf, size_t size);
int over_mkdirat(int at, const char *path, mode_t mode);
int over_mknod(const char *path, mode_t mode, dev_t dev);
int over_renameat2(int old_at, const char *old_path, int at, const char *path,
	unsigned int flags);

/* Directories. (dir.c) */
DIR *over_opendir(const char *path);
struct dirent *over_readdir(DIR *dir);
void over_rewinddir(DIR *dir);
long over_telldir(DIR *dir);
void over_seekdir(DIR *dir, long at);
int over_closedir(DIR *dir);
long over_getdents64(int fd, void *buf, size_t size);

#ifdef POSIX_REDIRECT
#define fork()         over_fork()
#define _exit(...)     over_exit(__VA_ARGS__)
#define setgroups(...) over_setgroups(__VA_ARGS__)
#define setresgid(...) over_setresgid(__VA_ARGS__)
#define setresuid(...) over_setresuid(__VA_ARGS__)

#define open(...)            over_open(__VA_ARGS__)
#define openat(...)          over_openat(__VA_ARGS__)
#define creat(path, mode)    over_open(path, O_CREAT | O_WRONLY | O_TRUNC, mode)
#define close(...)           over_close(__VA_ARGS__)
#define fstat(...)           over_fstat(__VA_ARGS__)
#define fchmod(...)          over_fchmod(__VA_ARGS__)
#define ftruncate(...)       over_ftruncate(__VA_ARGS__)
#define futimens(...)        over_futimens(__VA_ARGS__)
#define fsync(...)           over_fsync(__VA_ARGS__)
#define fdatasync(...)       over_fdatasync(__VA_ARGS__)
#define syncfs(...)          over_syncfs(__VA_ARGS__)
#define sync_file_range(...) over_sync_file_range(__VA_ARGS__)
#define fallocate(...)       over_fallocate(__VA_ARGS__)
#define posix_fallocate(...) over_posix_fallocate(__VA_ARGS__)
#define posix_fadvise(...)   over_posix_fadvise(__VA_ARGS__)
#define lseek(...)           over_lseek(__VA_ARGS__)
#define fcntl(...)           over_fcntl(__VA_ARGS__)
#define flock(...)           over_flock(__VA_ARGS__)

#define read(...)            over_read(__VA_ARGS__)
#define write(...)           over_write(__VA_ARGS__)
#define pread(...)           over_pread(__VA_ARGS__)
#define pwrite(...)          over_pwrite(__VA_ARGS__)
#define readv(...)           over_readv(__VA_ARGS__)
#define writev(...)          over_writev(__VA_ARGS__)
#define preadv(...)          over_preadv(__VA_ARGS__)
#define pwritev(...)         over_pwritev(__VA_ARGS__)
#define pwritev2(...)        over_pwritev2(__VA_ARGS__)
#define copy_file_range(...) over_copy_file_range(__VA_ARGS__)
#define sendfile(...)        over_sendfile(__VA_ARGS__)
#define dprintf(...)         over_dprintf(__VA_ARGS__)
#define fopen(...)           over_fopen(__VA_ARGS__)

#define chdir(...)               over_chdir(__VA_ARGS__)
#define fchdir(...)              over_fchdir(__VA_ARGS__)
#define stat(path, st)           over_fstatat(AT_FDCWD, path, st, 0)
#define lstat(path, st)          over_fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW)
#define statx(...)               over_statx(__VA_ARGS__)
#define statfs(...)              over_statfs(__VA_ARGS__)
#define access(...)              over_access(__VA_ARGS__)
#define chmod(path, mode)        over_fchmodat(AT_FDCWD, path, mode, 0)
#define fchmodat(...)            over_fchmodat(__VA_ARGS__)
#define chown(path, uid, gid)    over_fchownat(AT_FDCWD, path, uid, gid, 0)
#define lchown(path, uid, gid)   over_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW)
#define truncate(...)            over_truncate(__VA_ARGS__)
#define utimensat(at, path, ...) over_utimensat(at, path, __VA_ARGS__)
#define setxattr(...)            over_setxattr(__VA_ARGS__)
#define getxattr(...)            over_getxattr(__VA_ARGS__)
#define listxattr(...)           over_listxattr(__VA_ARGS__)
#define removexattr(...)         over_removexattr(__VA_ARGS__)

#define link(old, path)           over_linkat(AT_FDCWD, old, AT_FDCWD, path, 0)
#define linkat(...)               over_linkat(__VA_ARGS__)
#define unlink(path)              over_unlinkat(AT_FDCWD, path, 0)
#define rmdir(path)               over_unlinkat(AT_FDCWD, path, AT_REMOVEDIR)
#define symlink(...)              over_symlink(__VA_ARGS__)
#define readlink(path, buf, size) over_readlinkat(AT_FDCWD, path, buf, size)
#define readlinkat(...)           over_readlinkat(__VA_ARGS__)
#define mkdir(path, mode)         over_mkdirat(AT_FDCWD, path, mode)
#define mkdirat(...)              over_mkdirat(__VA_ARGS__)
#define mkfifo(path, mode)        over_mknod(path, S_IFIFO | (mode), 0)
#define mknod(...)                over_mknod(__VA_ARGS__)
#define rename(old, path)         over_renameat2(AT_FDCWD, old, AT_FDCWD, path, 0)
#define renameat2(...)            over_renameat2(__VA_ARGS__)

#define opendir(...)            over_opendir(__VA_ARGS__)
#define readdir(...)            over_readdir(__VA_ARGS__)
#define rewinddir(...)          over_rewinddir(__VA_ARGS__)
#define telldir(...)            over_telldir(__VA_ARGS__)
#define seekdir(...)            over_seekdir(__VA_ARGS__)
#define closedir(...)           over_closedir(__VA_ARGS__)
/* The only one that the cases call so. */
#define syscall(nr, fd, buf, n) over_getdents64(fd, buf, n)
#endif

#endif
