/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcauseway: virtio-fs from a program, without a virtual machine.
 *
 * A connection is to one vhost-user-fs back-end (causewayd, QEMU's virtiofsd, ...), which serves
 * one directory. Functions that can fail return 0 (or a count) or -errno; causeway_error() has
 * the text for it. Every function may be called from any thread, but for causeway_set(),
 * causeway_free() and those that connect. causeway(3) describes each.
 */
#ifndef CAUSEWAY_H
#define CAUSEWAY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct causeway;       /* a connection */
struct causeway_file;  /* an open file or directory */
struct causeway_token; /* what ends calls that wait */
struct flock;          /* of <fcntl.h> */
struct statx;          /* of <sys/stat.h>, with _GNU_SOURCE */

const char *causeway_version(void);

/* Connections. */
struct causeway *causeway_new(void);
int causeway_set(struct causeway *c, const char *option, const char *value);
int causeway_connect(struct causeway *c, const char *socket_path);
int causeway_connect_fd(struct causeway *c, int fd);
int causeway_share(struct causeway *c, const char *directory);
int causeway_get(struct causeway *c, const char *property, uint64_t *value);
const char *causeway_tag(struct causeway *c);
const char *causeway_error(struct causeway *c);
void causeway_drop_caches(struct causeway *c);
void causeway_free(struct causeway *c);

/* Files. A path that is relative begins at `at`, a directory's handle, or at the root for NULL. */
int causeway_open(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	mode_t mode, struct causeway_file **file);
int causeway_reopen(struct causeway_file *f, int flags, struct causeway_file **file);
int causeway_close(struct causeway_file *f);
int causeway_getfl(struct causeway_file *f);
int causeway_setfl(struct causeway_file *f, int flags);
ssize_t causeway_pread(struct causeway_file *f, void *buf, size_t size, off_t offset);
ssize_t causeway_pwrite(struct causeway_file *f, const void *buf, size_t size, off_t offset);
ssize_t causeway_preadv(struct causeway_file *f, const struct iovec *iov, int n, off_t offset);
ssize_t causeway_pwritev(struct causeway_file *f, const struct iovec *iov, int n, off_t offset);
ssize_t causeway_read(struct causeway_file *f, void *buf, size_t size);
ssize_t causeway_write(struct causeway_file *f, const void *buf, size_t size);
off_t causeway_lseek(struct causeway_file *f, off_t offset, int whence);
int causeway_fsync(struct causeway_file *f, int data_only);

/* Guest memory for data that is not copied. The back-end can change all of it at any time. */
struct causeway_lent {
	const void *data;
	size_t size;
	size_t room; /* the library's */
};

void *causeway_buffer_alloc(struct causeway *c, size_t size);
void causeway_buffer_free(struct causeway *c, void *buffer, size_t size);
ssize_t causeway_pread_lent(struct causeway_file *f, size_t size, off_t offset,
	struct causeway_lent *lent);
void causeway_release(struct causeway *c, struct causeway_lent *lent);

/* Files in memory, where the back-end has a window for them (option dax). */
int causeway_map(struct causeway_file *f, size_t length, int prot, off_t offset, void **address);
int causeway_unmap(struct causeway *c, void *address, size_t length);

/* Operations that are submitted now and reaped later. */
struct causeway_completion {
	void *user; /* as it was submitted */
	ssize_t result;
};

int causeway_submit_pread(struct causeway_file *f, void *buf, size_t size, off_t offset,
	void *user);
int causeway_submit_pwrite(struct causeway_file *f, const void *buf, size_t size, off_t offset,
	void *user);
int causeway_submit_fsync(struct causeway_file *f, int data_only, void *user);
unsigned int causeway_reap(struct causeway *c, struct causeway_completion *completions,
	unsigned int n);
int causeway_event_fd(struct causeway *c);

/* Space. */
int causeway_fallocate(struct causeway_file *f, int mode, off_t offset, off_t length);
ssize_t causeway_copy_file_range(struct causeway_file *from, off_t from_offset,
	struct causeway_file *to, off_t to_offset, size_t size);
int causeway_statvfs(struct causeway *c, struct causeway_file *at, const char *path,
	struct statvfs *st);
int causeway_syncfs(struct causeway *c);

/* Locks: of ranges by an owner, which is a number other than 0, and of handles. */
int causeway_getlk(struct causeway_file *f, uint64_t owner, struct flock *lock);
int causeway_setlk(struct causeway_file *f, uint64_t owner, const struct flock *lock);
int causeway_setlkw(struct causeway_file *f, uint64_t owner, const struct flock *lock,
	struct causeway_token *token);
int causeway_flock(struct causeway_file *f, int operation, struct causeway_token *token);
struct causeway_token *causeway_token_new(struct causeway *c);
void causeway_interrupt(struct causeway_token *t);
void causeway_token_free(struct causeway_token *t);

/* Attributes. */
int causeway_stat(struct causeway *c, struct causeway_file *at, const char *path,
	struct stat *st, int flags);
int causeway_fstat(struct causeway_file *f, struct stat *st);
int causeway_statx(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	unsigned int mask, struct statx *st);
int causeway_access(struct causeway *c, struct causeway_file *at, const char *path, int mode,
	int flags);
int causeway_chmod(struct causeway *c, struct causeway_file *at, const char *path, mode_t mode,
	int flags);
int causeway_fchmod(struct causeway_file *f, mode_t mode);
int causeway_chown(struct causeway *c, struct causeway_file *at, const char *path, uid_t owner,
	gid_t group, int flags);
int causeway_fchown(struct causeway_file *f, uid_t owner, gid_t group);
int causeway_truncate(struct causeway *c, struct causeway_file *at, const char *path,
	off_t length);
int causeway_ftruncate(struct causeway_file *f, off_t length);
int causeway_utimens(struct causeway *c, struct causeway_file *at, const char *path,
	const struct timespec times[2], int flags);
int causeway_futimens(struct causeway_file *f, const struct timespec times[2]);

/* Extended attributes. how: XATTR_CREATE, XATTR_REPLACE or 0. */
ssize_t causeway_getxattr(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, void *value, size_t size, int flags);
ssize_t causeway_fgetxattr(struct causeway_file *f, const char *name, void *value, size_t size);
int causeway_setxattr(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, const void *value, size_t size, int how, int flags);
int causeway_fsetxattr(struct causeway_file *f, const char *name, const void *value, size_t size,
	int how);
ssize_t causeway_listxattr(struct causeway *c, struct causeway_file *at, const char *path,
	char *list, size_t size, int flags);
ssize_t causeway_flistxattr(struct causeway_file *f, char *list, size_t size);
int causeway_removexattr(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, int flags);
int causeway_fremovexattr(struct causeway_file *f, const char *name);

/* Names. */
int causeway_mkdir(struct causeway *c, struct causeway_file *at, const char *path, mode_t mode);
int causeway_unlink(struct causeway *c, struct causeway_file *at, const char *path, int flags);
int causeway_symlink(struct causeway *c, const char *target, struct causeway_file *at,
	const char *path);
ssize_t causeway_readlink(struct causeway *c, struct causeway_file *at, const char *path,
	char *buf, size_t size);
int causeway_link(struct causeway *c, struct causeway_file *old_at, const char *old_path,
	struct causeway_file *at, const char *path);
int causeway_flink(struct causeway_file *f, struct causeway_file *at, const char *path);
int causeway_mknod(struct causeway *c, struct causeway_file *at, const char *path, mode_t mode,
	dev_t dev);
int causeway_rename(struct causeway *c, struct causeway_file *old_at, const char *old_path,
	struct causeway_file *at, const char *path, unsigned int flags);

/* Listings. */
struct causeway_dirent {
	uint64_t ino;
	uint64_t offset;   /* for causeway_seekdir(): what follows this entry */
	unsigned int type; /* DT_*; 0 where the back-end does not tell */
	char name[256];
};

int causeway_readdir(struct causeway_file *f, struct causeway_dirent *entry);
int causeway_readdirplus(struct causeway_file *f, struct causeway_dirent *entry, struct stat *st);
uint64_t causeway_telldir(struct causeway_file *f);
void causeway_seekdir(struct causeway_file *f, uint64_t offset);

/* Requests that the program writes itself. */
#define CAUSEWAY_RAW_AS_IS    1u /* every byte as it is given, and nothing checked */
#define CAUSEWAY_RAW_NO_REPLY 2u /* one of those that are never answered */

struct causeway_raw {
	const struct iovec *in; /* the request: struct fuse_in_header first */
	unsigned int nin;
	const struct iovec *out; /* room for the reply: struct fuse_out_header first */
	unsigned int nout;
	unsigned int queue; /* 0: the high-priority queue; 1 and up: request queues */
	unsigned int flags; /* CAUSEWAY_RAW_* */
	uint32_t written;   /* how many bytes of out the back-end says it wrote */
};

int causeway_raw(struct causeway *c, struct causeway_raw *raw);

#ifdef __cplusplus
}
#endif

#endif
