// SPDX-License-Identifier: BSD-2-Clause
/*
 * The operations of the table in passthrough.c; fs/fs.h says what each does.
 */
#ifndef PASSTHROUGH_OPS_H
#define PASSTHROUGH_OPS_H

#include "fs/fs.h"

/* By file: attr.c, names.c, file.c, data.c, dir.c, fileattr.c,
 * xattr.c */
int pt_getattr(struct fs *fs, const struct fs_target *t, struct statx *attr);
int pt_setattr(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
	struct statx *attr);
int pt_access(struct fs *fs, const struct fs_caller *who, uint64_t node, int mask);
int pt_statfs(struct fs *fs, uint64_t node, struct statvfs *st);
int pt_syncfs(struct fs *fs, uint64_t node, bool all);
ssize_t pt_readlink(struct fs *fs, uint64_t node, char *buf, size_t size);

int pt_symlink(struct fs *fs, const struct fs_caller *who, uint64_t parent, const char *name,
	const char *target, struct fs_entry *entry);
int pt_mknod(struct fs *fs, const struct fs_caller *who, uint64_t parent, const char *name,
	mode_t mode, dev_t rdev, struct fs_entry *entry);
int pt_mkdir(struct fs *fs, const struct fs_caller *who, uint64_t parent, const char *name,
	mode_t mode, struct fs_entry *entry);
int pt_unlink(struct fs *fs, uint64_t parent, const char *name);
int pt_rmdir(struct fs *fs, uint64_t parent, const char *name);
int pt_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
	const char *new_name, unsigned int flags);
int pt_link(struct fs *fs, uint64_t node, uint64_t parent, const char *name,
	struct fs_entry *entry);

int pt_open(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
	struct fs_opened *opened);
int pt_create(struct fs *fs, const struct fs_caller *who, uint64_t parent, const char *name,
	mode_t mode, int flags, bool kill_priv, struct fs_entry *entry, uint64_t *handle);
unsigned int pt_keep(struct fs *fs, uint64_t node, uint64_t handle, int flags);
int pt_opendir(struct fs *fs, uint64_t node, uint64_t *handle);

ssize_t pt_read(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, bool at_once);
ssize_t pt_write(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, unsigned int how);
int pt_flush(struct fs *fs, const struct fs_target *t, uint64_t lock_owner);
int pt_fsync(struct fs *fs, const struct fs_target *t, bool data_only);
bool pt_syncs_at_once(struct fs *fs, uint64_t node);
int pt_fallocate(struct fs *fs, const struct fs_target *t, int mode, uint64_t offset,
	uint64_t len, bool kill_priv);
int64_t pt_lseek(struct fs *fs, const struct fs_target *t, uint64_t offset, int whence);
ssize_t pt_copy_file_range(struct fs *fs, const struct fs_copy *copy);

int pt_get_fileattr(struct fs *fs, const struct fs_target *t, struct fs_fileattr *fa);
int pt_set_fileattr(struct fs *fs, const struct fs_target *t, const struct fs_fileattr *fa);

ssize_t pt_getxattr(struct fs *fs, uint64_t node, const char *name, char *buf, size_t size);
ssize_t pt_listxattr(struct fs *fs, uint64_t node, char *buf, size_t size);
int pt_setxattr(struct fs *fs, const struct fs_xattr *x);
int pt_removexattr(struct fs *fs, uint64_t node, const char *name);

int pt_readdir(struct fs *fs, const struct fs_target *t, uint64_t offset,
	struct fs_listing *listing);

#endif
