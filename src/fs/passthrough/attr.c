// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attributes, and what else is asked of an inode without opening it.
 */
#include <errno.h>
#include <sys/statvfs.h>
#include <sys/time.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/keep.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"

/* #syscalls: fchmodat fchownat utimensat ftruncate faccessat faccessat2 readlinkat
 * #syscalls: fstatfs syncfs */

int pt_getattr(struct fs *fs, const struct fs_target *t, struct statx *attr)
{
	struct passthrough *pt = pt_of(fs);
	int r;

	cred_be_daemon();
	if (t->has_handle) {
		PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt, t);

		if (!open.handle)
			return open.error;
		pt_look(open.handle->node, VT_NODE_ATTR);
		r = pt_stat(open.handle->fd, attr);
		if (r == 0)
			pt_dax_mark(pt, open.handle->node, attr);
		return r;
	}
	PT_NODE struct pt_node_ref ref = pt_ref(pt, t->node);
	if (!ref.node)
		return ref.error;
	pt_look(ref.node, VT_NODE_ATTR);
	r = pt_stat(ref.node->fd, attr);
	if (r == 0)
		pt_dax_mark(pt, ref.node, attr);
	return r;
}

static int set_owner(const struct pt_node *node, const struct fs_setattr *set)
{
	uid_t uid = set->set & FS_SET_UID ? set->uid : (uid_t)-1;
	gid_t gid = set->set & FS_SET_GID ? set->gid : (gid_t)-1;

	/* The system call takes -1 for "leave it": a guest that means it must not be misread. */
	if ((set->set & FS_SET_UID && uid == (uid_t)-1) ||
		(set->set & FS_SET_GID && gid == (gid_t)-1))
		return -EINVAL;
	return neg_errno(fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

/* Through a handle, or a description that is there, or one of its own. */
static int truncate_file(struct passthrough *pt, const struct pt_node *node,
	const struct pt_handle *handle, const struct pt_dax_file *dax, uint64_t size)
{
	CLEANUP_FD int fd = -1;

	if (handle && ftruncate(handle->fd, (off_t)size) == 0)
		return 0;
	if (dax && dax->writable)
		return neg_errno(ftruncate(dax->fd, (off_t)size));
	/* Not open, or not for writing; a lease of ours would be in the way. */
	fd = dax && dax->leased ? -EACCES : pt_open_node(pt, node, O_WRONLY);
	if (fd < 0)
		return fd;
	return neg_errno(ftruncate(fd, (off_t)size));
}

static int set_size(struct passthrough *pt, struct pt_node *node, const struct pt_handle *handle,
	const struct fs_setattr *set)
{
	struct pt_dax_file *dax;
	int r;

	if (set->size > INT64_MAX)
		return -EFBIG;
	dax = pt_dax_begin_resize(pt, node, set->size, &r);
	if (r == 0 && set->kill_priv)
		r = cred_be_unprivileged_writer();
	if (r == 0)
		r = truncate_file(pt, node, handle, dax, set->size);
	cred_be_daemon();
	pt_dax_end_resize(dax, set->size);
	return r;
}

static int set_times(const struct pt_node *node, const struct fs_setattr *set)
{
	struct timespec times[2] = {set->atime, set->mtime};

	return neg_errno(utimensat(node->fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

/* In the order that leaves what was asked for: a change of owner clears set-id bits, one of size
 * sets times. */
static int apply(struct passthrough *pt, struct pt_node *node,
	const struct pt_handle *handle, const struct fs_setattr *set)
{
	int r = 0;

	if (set->set & (FS_SET_UID | FS_SET_GID))
		r = set_owner(node, set);
	if (r == 0 && set->set & FS_SET_MODE)
		r = node->type == S_IFLNK
			? -EOPNOTSUPP
			: neg_errno(fchmodat(pt->proc_fd, pt_fdname(node->fd).s, set->mode, 0));
	if (r == 0 && set->set & FS_SET_SIZE)
		r = set_size(pt, node, handle, set);
	if (r == 0 && set->set & FS_SET_TIME)
		r = set_times(node, set);
	return r;
}

int pt_setattr(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
	struct statx *attr)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, t->node);
	PT_HANDLE struct pt_handle_ref open = {.pt = pt};
	int r;

	if (t->has_handle)
		open = pt_handle_ref(pt, t);
	if (!ref.node)
		return ref.error;
	if (t->has_handle && !open.handle)
		return open.error;
	if (ref.node->barred)
		return -EROFS;
	cred_be_daemon();
	pt_mark(ref.node, VT_NODE_ATTR | (set->set & FS_SET_SIZE ? VT_NODE_DATA : 0));
	r = apply(pt, ref.node, open.handle, set);
	/* Also where what follows the mode has failed. */
	if (set->set & FS_SET_MODE && set->mode & 0111)
		pt_kept_rest(pt, ref.node);
	if (r == 0)
		r = pt_stat(ref.node->fd, attr);
	if (r == 0 && !pt_settle_attr(ref.node, VT_NODE_ATTR))
		r = pt_stat(ref.node->fd, attr);
	if (r == 0)
		pt_dax_mark(pt, ref.node, attr);
	return r;
}

int pt_access(struct fs *fs, const struct fs_caller *who, uint64_t node, int mask)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node);
	int r;

	if (!ref.node)
		return ref.error;
	if (mask & ~(R_OK | W_OK | X_OK))
		return -EINVAL;
	r = cred_be_checked(who);
	if (r < 0)
		return r;
	pt_look(ref.node, VT_NODE_ATTR);
	return neg_errno(faccessat(pt->proc_fd, pt_fdname(ref.node->fd).s, mask, AT_EACCESS));
}

int pt_statfs(struct fs *fs, uint64_t node, struct statvfs *st)
{
	PT_NODE struct pt_node_ref ref = pt_ref(pt_of(fs), node);

	if (!ref.node)
		return ref.error;
	cred_be_daemon();
	return neg_errno(fstatvfs(ref.node->fd, st));
}

int pt_syncfs(struct fs *fs, uint64_t node, bool all)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node);
	CLEANUP_FD int fd = -1;
	int r;

	if (!ref.node)
		return ref.error;
	cred_be_daemon();
	r = pt_dax_flush_all(pt);
	if (r < 0)
		return r;
	if (all)
		return pt_mounts_sync(pt);
	fd = pt_open_node(pt, ref.node, O_RDONLY);
	/* Unmounted on the host, and so out of Landlock's sight. */
	if (fd == -EACCES)
		return pt_mount_sync(pt, ref.node->mount);
	return fd < 0 ? fd : neg_errno(syncfs(fd));
}

ssize_t pt_readlink(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	PT_NODE struct pt_node_ref ref = pt_ref(pt_of(fs), node);

	if (!ref.node)
		return ref.error;
	cred_be_daemon();
	if (size == 0)
		return -EINVAL;
	pt_look(ref.node, VT_NODE_DATA);
	return neg_errno(readlinkat(ref.node->fd, "", buf, size));
}
