// SPDX-License-Identifier: BSD-2-Clause
/*
 * From a name to a node.
 *
 * The one place where the host resolves a name that a guest chose for looking; the changes in
 * names.c name a last component, which system calls do not follow.
 */
#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"

/* #syscalls: openat openat2 fcntl:1=F_DUPFD_CLOEXEC */

#define NAME_BYTES_MAX 255

/* Directories above a node that are visited to find the root; deeper ones cannot be exported. */
#define DEPTH_MAX 4096

int pt_check_name(const char *name)
{
	size_t len = strlen(name);

	if (len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(name, '/', len) || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

int pt_open_child(int dir_fd, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)neg_errno(syscall(SYS_openat2, dir_fd, name, &how, sizeof(how)));
}

/* Stats and registers an O_PATH descriptor, which it takes. */
static int enter_fd(struct passthrough *pt, struct pt_node *parent, const char *name, int taken_fd,
	struct fs_entry *entry)
{
	int r;

	if (taken_fd < 0)
		return taken_fd;
	r = pt_stat(taken_fd, &entry->attr);
	if (r < 0) {
		close(taken_fd);
		return r;
	}
	entry->local = false;
	entry->submount = name && S_ISDIR(entry->attr.stx_mode) &&
		!pt_is_beside(&entry->attr, parent);
	return pt_node_found(pt, taken_fd, &entry->attr, parent, name, &entry->node);
}

int pt_enter(struct passthrough *pt, struct pt_node *parent, int dir_fd, const char *name,
	struct fs_entry *entry)
{
	return enter_fd(pt, parent, name, pt_open_child(dir_fd, name), entry);
}

bool pt_same_inode(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_mnt_id == b->stx_mnt_id &&
		a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

/* Whether going up from a directory leads to the root of the export: 0, or -ESTALE. */
static int check_below_root(struct passthrough *pt, int dir_fd)
{
	CLEANUP_FD int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	struct statx root, here, above;
	int r = pt_stat(pt->root->fd, &root);

	if (fd < 0)
		return -errno;
	if (r == 0)
		r = pt_stat(fd, &here);
	for (int depth = 0; r == 0 && !pt_same_inode(&here, &root); depth++) {
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (up < 0)
			return -errno;
		close(fd);
		fd = up;
		r = pt_stat(fd, &above);
		/* The host's own root is its own parent. */
		if (r == 0 && (pt_same_inode(&here, &above) || depth == DEPTH_MAX))
			return -ESTALE;
		here = above;
	}
	return r;
}

/*
 * Where the export is a mount of its own and our root, the kernel does not go up from what is not
 * below that: a directory that was moved out has no "..". Without such a mount nothing tells, short
 * of going up step by step.
 */
bool pt_is_outside(struct passthrough *pt, const struct pt_node *dir)
{
	struct statx above;

	if (!pt->config.rooted || dir == pt->root)
		return false;
	cred_be_daemon();
	return statx(dir->fd, "..", AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &above) < 0 &&
		errno == ENOENT;
}

struct pt_node_ref pt_dir_ref(struct passthrough *pt, uint64_t id)
{
	struct pt_node_ref ref = pt_ref(pt, id);

	if (ref.node && pt_is_outside(pt, ref.node)) {
		pt_cleanup_node(&ref);
		ref = (struct pt_node_ref){.pt = pt, .error = -ESTALE};
	}
	return ref;
}

/* ".." and ".": how a guest that exports its mount over NFS finds its way back. */
static int lookup_dots(struct passthrough *pt, struct pt_node *node, bool up,
	struct fs_entry *entry)
{
	int fd, r;

	if (!up || node == pt->root)
		return enter_fd(pt, node, NULL, neg_errno(fcntl(node->fd, F_DUPFD_CLOEXEC, 0)),
			entry);
	fd = openat(node->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = check_below_root(pt, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	return enter_fd(pt, NULL, NULL, fd, entry);
}

int pt_lookup(struct fs *fs, uint64_t parent_id, const char *name, struct fs_entry *entry)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref parent = pt_ref(pt, parent_id);
	bool up = strcmp(name, "..") == 0;
	int r;

	if (!parent.node)
		return parent.error;
	cred_be_daemon();
	if (up || strcmp(name, ".") == 0)
		return lookup_dots(pt, parent.node, up, entry);
	r = pt_check_name(name);
	if (r < 0)
		return r;
	if (parent.node->barred)
		return -ENOENT;
	if (pt_is_outside(pt, parent.node))
		return -ESTALE;
	return pt_enter(pt, parent.node, parent.node->fd, name, entry);
}

void pt_forget(struct fs *fs, uint64_t node, uint64_t count)
{
	pt_node_forget(pt_of(fs), node, count);
	pt_streams_forget(pt_of(fs), node);
}
