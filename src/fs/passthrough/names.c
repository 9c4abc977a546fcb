// SPDX-License-Identifier: BSD-2-Clause
/*
 * Making, moving and removing entries. Each system call takes a directory's descriptor and one
 * checked name, and acts on that entry itself, whatever it is.
 */
#include <errno.h>
#include <stdio.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "fs/passthrough/xattr.h"

/* #syscalls: linkat mkdirat mknodat renameat renameat2 symlinkat unlinkat */

/* A directory in which a name is to change. */
static struct pt_node_ref parent_ref(struct passthrough *pt, uint64_t id, const char *name,
	int *error)
{
	struct pt_node_ref ref = pt_dir_ref(pt, id);

	*error = ref.node ? pt_check_name(name) : ref.error;
	if (ref.node && *error == 0 && ref.node->barred)
		*error = -EROFS;
	return ref;
}

/* The entry that was just made, looked up with the rights of who made it: so a row of such
 * operations by one user switches none. */
static int enter_made(struct passthrough *pt, struct pt_node *parent, const char *name, int r,
	enum pt_as as, struct fs_entry *entry)
{
	if (r == 0)
		r = pt_enter(pt, parent, parent->fd, name, as, entry);
	if (r == 0)
		pt_settle_entry(pt, entry);
	return r;
}

/* What becomes of the system call that made an entry for who, whose result is r. */
static int made(struct passthrough *pt, const struct fs_caller *who, struct pt_node *parent,
	const char *name, int r, struct fs_entry *entry)
{
	enum pt_as as = PT_MADE;

	if (who->n_labels > 0) {
		CLEANUP_FD int fd = -1;
		struct statx attr;

		cred_be_daemon();
		fd = r < 0 ? r : pt_open_child(parent->fd, name);
		if (fd >= 0)
			as = pt_mark_made(pt, parent, fd, VT_CHILD_ATTR, &attr) ? PT_MARKED
										: PT_MADE;
		r = pt_end_making(pt, who, parent->fd, name, fd);
	}
	return enter_made(pt, parent, name, r, as, entry);
}

int pt_symlink(struct fs *fs, const struct fs_caller *who, uint64_t parent_id, const char *name,
	const char *target, struct fs_entry *entry)
{
	struct passthrough *pt = pt_of(fs);
	int r;
	PT_NODE struct pt_node_ref parent = parent_ref(pt, parent_id, name, &r);

	if (r == 0)
		pt_mark_new_name(pt, parent.node, name);
	if (r == 0)
		r = pt_begin_making(pt, who);
	if (r < 0)
		return r;
	r = neg_errno(symlinkat(target, parent.node->fd, name));
	return made(pt, who, parent.node, name, r, entry);
}

int pt_mknod(struct fs *fs, const struct fs_caller *who, uint64_t parent_id, const char *name,
	mode_t mode, dev_t rdev, struct fs_entry *entry)
{
	struct passthrough *pt = pt_of(fs);
	int r;
	PT_NODE struct pt_node_ref parent = parent_ref(pt, parent_id, name, &r);

	if (r == 0)
		pt_mark_new_name(pt, parent.node, name);
	if (r == 0)
		r = pt_begin_making(pt, who);
	if (r < 0)
		return r;
	r = neg_errno(mknodat(parent.node->fd, name, mode, rdev));
	return made(pt, who, parent.node, name, r, entry);
}

int pt_mkdir(struct fs *fs, const struct fs_caller *who, uint64_t parent_id, const char *name,
	mode_t mode, struct fs_entry *entry)
{
	struct passthrough *pt = pt_of(fs);
	int r;
	PT_NODE struct pt_node_ref parent = parent_ref(pt, parent_id, name, &r);

	if (r == 0)
		pt_mark_new_name(pt, parent.node, name);
	if (r == 0)
		r = pt_begin_making(pt, who);
	if (r < 0)
		return r;
	r = neg_errno(mkdirat(parent.node->fd, name, mode));
	return made(pt, who, parent.node, name, r, entry);
}

static int remove_name(struct fs *fs, uint64_t parent_id, const char *name, int flags)
{
	int r;
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref parent = parent_ref(pt, parent_id, name, &r);

	if (r < 0)
		return r;
	cred_be_daemon();
	pt_mark_name(pt, parent.node, name);
	PT_VICTIM struct pt_victim victim = pt_hold_victim(pt, parent.node, VT_NAME, name,
		PT_GOES);
	PT_NODE struct pt_node_ref held = pt_hold_named(pt, parent.node, name, VT_NAME);
	r = neg_errno(unlinkat(parent.node->fd, name, flags));
	pt_settle_removal(pt, &victim, r);
	if (r == 0)
		pt_node_unnamed(pt, held.node, parent.node, name);
	return r;
}

int pt_unlink(struct fs *fs, uint64_t parent, const char *name)
{
	return remove_name(fs, parent, name, 0);
}

int pt_rmdir(struct fs *fs, uint64_t parent, const char *name)
{
	return remove_name(fs, parent, name, AT_REMOVEDIR);
}

/*
 * A new name that seems to be nobody's is demanded to be: then nobody has to look for what it stood
 * for by then, nor whether anything has moved. What turns out to be there after all is looked for
 * and replaced. Not every file system knows the flag. #syscalls: renameat2
 */
static int rename_names(struct passthrough *pt, const struct pt_end *from, const struct pt_end *to,
	unsigned int *flags)
{
	_Atomic bool *refused = &to->parent->mount->replaces_only;
	unsigned int asked = *flags;
	bool demand = !asked && to->victim->absent &&
		!atomic_load_explicit(refused, memory_order_relaxed);
	int r;

	*flags |= demand ? RENAME_NOREPLACE : 0;
	r = neg_errno(renameat2(from->parent->fd, from->name, to->parent->fd, to->name, *flags));
	if (!demand || (r != -EEXIST && r != -EINVAL))
		return r;
	if (r == -EEXIST)
		pt_find_victim(pt, to);
	*flags = asked;
	/* A directory cannot be moved below itself, which is EINVAL too. */
	if (renameat2(from->parent->fd, from->name, to->parent->fd, to->name, asked) < 0)
		return -errno;
	if (r == -EINVAL)
		atomic_store_explicit(refused, true, memory_order_relaxed);
	return 0;
}

/* Renames, and tells the nodes. */
static int rename_nodes(struct passthrough *pt, const struct pt_end *from, const struct pt_end *to,
	unsigned int flags)
{
	bool by_name = from->parent->mount->fd < 0;
	unsigned int used = flags;
	int r;

	if (by_name)
		pthread_rwlock_rdlock(&pt->rename_lock);
	r = rename_names(pt, from, to, &used);
	pt_settle_rename(pt, from, to, used, r);
	/* Two names of one inode: both stay. */
	if (r == 0 && by_name && from->node != to->node) {
		pt_node_renamed(pt, from->node, to->parent, to->name);
		if (flags & RENAME_EXCHANGE)
			pt_node_renamed(pt, to->node, from->parent, from->name);
		else
			pt_node_unnamed(pt, to->node, to->parent, to->name);
	}
	if (by_name)
		pthread_rwlock_unlock(&pt->rename_lock);
	return r;
}

int pt_rename(struct fs *fs, uint64_t parent_id, const char *name, uint64_t new_parent_id,
	const char *new_name, unsigned int flags)
{
	struct passthrough *pt = pt_of(fs);
	int r, new_r;
	PT_NODE struct pt_node_ref parent = parent_ref(pt, parent_id, name, &r);
	PT_NODE struct pt_node_ref new_parent = parent_ref(pt, new_parent_id, new_name, &new_r);

	if (r < 0 || new_r < 0)
		return r < 0 ? r : new_r;
	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	cred_be_daemon();
	pt_mark_names(pt, parent.node, name, new_parent.node, new_name);
	PT_VICTIM struct pt_victim moved = pt_hold_victim(pt, parent.node, VT_NAME, name,
		PT_MOVES);
	PT_VICTIM struct pt_victim other = flags & RENAME_NOREPLACE ? pt_no_victim()
		: pt_hold_victim(pt, new_parent.node, VT_TO_NAME, new_name, PT_GOES);
	PT_NODE struct pt_node_ref node = pt_hold_named(pt, parent.node, name, VT_NAME);
	PT_NODE struct pt_node_ref new_node = pt_hold_named(pt, new_parent.node, new_name,
		VT_TO_NAME);
	return rename_nodes(pt, &(struct pt_end){parent.node, node.node, name, &moved},
		&(struct pt_end){new_parent.node, new_node.node, new_name, &other}, flags);
}

int pt_link(struct fs *fs, uint64_t node_id, uint64_t parent_id, const char *name,
	struct fs_entry *entry)
{
	struct passthrough *pt = pt_of(fs);
	int r;
	PT_NODE struct pt_node_ref parent = parent_ref(pt, parent_id, name, &r);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node_id);

	if (!ref.node)
		return ref.error;
	if (r == 0) {
		cred_be_daemon();
		pt_mark_name(pt, parent.node, name);
		pt_mark(ref.node, VT_CHILD_ATTR);
		/* The link of /proc leads to the inode itself, symlinks included. */
		r = neg_errno(linkat(pt->proc_fd, pt_fdname(ref.node->fd).s, parent.node->fd, name,
			AT_SYMLINK_FOLLOW));
	}
	return enter_made(pt, parent.node, name, r, PT_MARKED, entry);
}
