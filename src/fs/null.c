// SPDX-License-Identifier: BSD-2-Clause
#include "fs/null.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"

#define FILE_NODE 2
#define FILE_NAME "file"
#define FILE_SIZE (1ull << 30)
#define HANDLE    1

static int fill(uint64_t node, struct statx *attr)
{
	if (node != FS_ROOT && node != FILE_NODE)
		return -ESTALE;
	*attr = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_ino = node,
		.stx_nlink = node == FS_ROOT ? 2 : 1,
		.stx_mode = node == FS_ROOT ? S_IFDIR | 0755 : S_IFREG | 0644,
		.stx_size = node == FS_ROOT ? 0 : FILE_SIZE,
		.stx_blksize = 4096,
	};
	return 0;
}

static void null_reset(struct fs *fs)
{
}

static void null_count(struct fs *fs, struct fs_count *count)
{
	*count = (struct fs_count){.nodes = 2, .handles = 1};
}

static int null_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry)
{
	if (parent != FS_ROOT)
		return parent == FILE_NODE ? -ENOTDIR : -ESTALE;
	if (strcmp(name, FILE_NAME) != 0)
		return -ENOENT;
	*entry = (struct fs_entry){.node = FILE_NODE, .local = true};
	return fill(FILE_NODE, &entry->attr);
}

static void null_forget(struct fs *fs, uint64_t node, uint64_t n)
{
}

static int null_getattr(struct fs *fs, const struct fs_target *t, struct statx *attr)
{
	return fill(t->node, attr);
}

static int null_setattr(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
	struct statx *attr)
{
	return fill(t->node, attr);
}

static int null_access(struct fs *fs, const struct fs_caller *who, uint64_t node, int mask)
{
	return 0;
}

static int null_statfs(struct fs *fs, uint64_t node, struct statvfs *st)
{
	*st = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
	return 0;
}

static int null_syncfs(struct fs *fs, uint64_t node, bool all)
{
	return 0;
}

static ssize_t null_readlink(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	return -EINVAL;
}

static int null_symlink(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, const char *target, struct fs_entry *entry)
{
	return -EPERM;
}

static int null_mknod(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, mode_t mode, dev_t rdev, struct fs_entry *entry)
{
	return -EPERM;
}

static int null_mkdir(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, mode_t mode, struct fs_entry *entry)
{
	return -EPERM;
}

static int null_remove(struct fs *fs, uint64_t parent, const char *name)
{
	return -EPERM;
}

static int null_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
	const char *new_name, unsigned int flags)
{
	return -EPERM;
}

static int null_link(struct fs *fs, uint64_t node, uint64_t parent, const char *name,
	struct fs_entry *entry)
{
	return -EPERM;
}

static int null_open(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
	struct fs_opened *opened)
{
	*handle = HANDLE;
	if (opened)
		opened->unchanged = opened->local = true;
	return node == FILE_NODE ? 0 : -EISDIR;
}

static int null_create(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, mode_t mode, int flags, bool kill_priv,
	struct fs_entry *entry, uint64_t *handle)
{
	*handle = HANDLE;
	return name && null_lookup(fs, parent, name, entry) == 0 ? 0 : -EPERM;
}

static int null_release(struct fs *fs, uint64_t handle)
{
	return handle == HANDLE ? 0 : -EBADF;
}

static ssize_t total(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return (ssize_t)len;
}

static ssize_t null_read(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, bool at_once)
{
	return t->handle == HANDLE ? total(iov, n) : -EBADF;
}

static ssize_t null_write(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, unsigned int how)
{
	return t->handle == HANDLE ? total(iov, n) : -EBADF;
}

static int null_flush(struct fs *fs, const struct fs_target *t, uint64_t lock_owner)
{
	return t->handle == HANDLE ? 0 : -EBADF;
}

static int null_fsync(struct fs *fs, const struct fs_target *t, bool data_only)
{
	return t->handle == HANDLE ? 0 : -EBADF;
}

static int null_fallocate(struct fs *fs, const struct fs_target *t, int mode, uint64_t offset,
	uint64_t len, bool kill_priv)
{
	return -EOPNOTSUPP;
}

static int64_t null_lseek(struct fs *fs, const struct fs_target *t, uint64_t offset, int whence)
{
	return -EINVAL;
}

static ssize_t null_copy_file_range(struct fs *fs, const struct fs_copy *copy)
{
	return -EXDEV;
}

static int null_opendir(struct fs *fs, uint64_t node, uint64_t *handle)
{
	*handle = HANDLE;
	return node == FS_ROOT ? 0 : -ENOTDIR;
}

static int null_readdir(struct fs *fs, const struct fs_target *t, uint64_t offset,
	struct fs_listing *listing)
{
	struct fs_dirent d = {
		.name = FILE_NAME,
		.name_len = strlen(FILE_NAME),
		.ino = FILE_NODE,
		.next = 1,
		.type = DT_REG,
	};
	struct fs_entry entry = {.node = FILE_NODE};

	if (t->handle != HANDLE)
		return -EBADF;
	if (offset > 0)
		return 0;
	if (listing->cost(listing, d.name_len) > listing->left)
		return -EINVAL;
	fill(FILE_NODE, &entry.attr);
	listing->add(listing, &d, listing->with_entries ? &entry : NULL);
	return 0;
}

static ssize_t null_getxattr(struct fs *fs, uint64_t node, const char *name, char *buf, size_t size)
{
	return -ENODATA;
}

static ssize_t null_listxattr(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	return 0;
}

static int null_setxattr(struct fs *fs, const struct fs_xattr *x)
{
	return -EPERM;
}

static int null_get_fileattr(struct fs *fs, const struct fs_target *t, struct fs_fileattr *fa)
{
	return -ENOTTY;
}

static int null_set_fileattr(struct fs *fs, const struct fs_target *t,
	const struct fs_fileattr *fa)
{
	return -ENOTTY;
}

/* There is one guest and nothing to protect: every lock is free. */
static int null_getlk(struct fs *fs, const struct fs_target *t, struct fs_lock *lock)
{
	lock->type = F_UNLCK;
	return t->handle == HANDLE ? 0 : -EBADF;
}

static int null_setlk(struct fs *fs, const struct fs_target *t, const struct fs_lock *lock,
	struct fs_wait *wait)
{
	return t->handle == HANDLE ? 0 : -EBADF;
}

static void null_end_waits(struct fs *fs, const void *origin, uint64_t id)
{
}

static unsigned int null_keep(struct fs *fs, uint64_t node, uint64_t handle, int flags)
{
	return 0;
}

static const struct fs_ops null_ops = {
	.reset = null_reset,
	.count = null_count,
	.lookup = null_lookup,
	.forget = null_forget,
	.getattr = null_getattr,
	.setattr = null_setattr,
	.access = null_access,
	.statfs = null_statfs,
	.syncfs = null_syncfs,
	.readlink = null_readlink,
	.symlink = null_symlink,
	.mknod = null_mknod,
	.mkdir = null_mkdir,
	.unlink = null_remove,
	.rmdir = null_remove,
	.rename = null_rename,
	.link = null_link,
	.open = null_open,
	.create = null_create,
	.release = null_release,
	.keep = null_keep,
	.read = null_read,
	.write = null_write,
	.flush = null_flush,
	.fsync = null_fsync,
	.fallocate = null_fallocate,
	.lseek = null_lseek,
	.copy_file_range = null_copy_file_range,
	.get_fileattr = null_get_fileattr,
	.set_fileattr = null_set_fileattr,
	.getxattr = null_getxattr,
	.listxattr = null_listxattr,
	.setxattr = null_setxattr,
	.removexattr = null_remove,
	.getlk = null_getlk,
	.setlk = null_setlk,
	.end_waits = null_end_waits,
	.opendir = null_opendir,
	.readdir = null_readdir,
};

struct fs *fs_null(void)
{
	static struct fs null = {.ops = &null_ops};

	return &null;
}
