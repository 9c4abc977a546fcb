// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which inodes a removal or a rename has changed (docs/coherence.md, "The inode that loses its
 * link"; tests/model/victim.pml).
 *
 * Between our look at a name and the system call, somebody may give the name to another inode. What
 * was marked then is not what was changed. So the inode that was found is held and looked at again:
 * one that lost its link has fewer of them than when it was marked, and nobody else has taken one;
 * one that has moved is found under its new name. Else the epoch moves before the reply.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "fs/passthrough/version.h"

/* #syscalls: openat2 statx close */

static bool stat_links(int fd, const char *name, struct statx *attr)
{
	int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);

	return statx(fd, name, flags, STATX_INO | STATX_NLINK, attr) == 0;
}

struct pt_victim pt_hold_victim(const struct pt_node *dir, const char *name, unsigned int bits)
{
	struct vtable_request *v = vtable_request_now();
	struct pt_victim x = {.fd = -1, .bit = bits & (VT_CHILD_ATTR | VT_TO_CHILD_ATTR)};
	struct statx attr;

	if (!v)
		return x;
	x.inode.timed = dir->mount->timed;
	x.fd = pt_open_child(dir->fd, name);
	x.absent = x.fd == -ENOENT;
	if (x.fd < 0 || !stat_links(x.fd, "", &attr)) {
		close_fd(&x.fd);
		return x;
	}
	x.inode.dev = makedev(attr.stx_dev_major, attr.stx_dev_minor);
	x.inode.ino = attr.stx_ino;
	pt_mark_inode(v, &x.inode, bits);
	/* Those that it had before are no use: another may have taken one just then. */
	x.links = stat_links(x.fd, "", &attr) ? attr.stx_nlink : 0;
	return x;
}

void pt_release_victim(struct pt_victim *x)
{
	close_fd(&x->fd);
}

static bool has_lost(const struct pt_victim *x)
{
	struct statx attr;

	return x->fd >= 0 && stat_links(x->fd, "", &attr) && attr.stx_nlink < x->links;
}

void pt_settle_removal(const struct pt_victim *x, int r)
{
	struct vtable_request *v = vtable_request_now();
	bool sure;

	if (!v || r < 0)
		return;
	sure = x->inode.timed || has_lost(x);
	vtable_request_settle(v);
	if (!sure || (!x->inode.timed && !vtable_request_was_alone(v, x->bit)))
		vtable_distrust(v->t);
}

static bool is_same(const struct pt_victim *a, const struct pt_victim *b)
{
	return a->fd >= 0 && b->fd >= 0 && a->inode.dev == b->inode.dev &&
		a->inode.ino == b->inode.ino;
}

/* Whether an inode is what an end's name stands for now. */
static bool is_at(const struct pt_victim *x, const struct pt_end *end)
{
	struct statx attr;

	return x->fd >= 0 && stat_links(end->parent->fd, end->name, &attr) &&
		attr.stx_ino == x->inode.ino &&
		makedev(attr.stx_dev_major, attr.stx_dev_minor) == x->inode.dev;
}

void pt_settle_rename(const struct pt_end *from, const struct pt_end *to, unsigned int flags,
	int r)
{
	struct vtable_request *v = vtable_request_now();
	const struct pt_victim *moved = from->victim, *other = to->victim;
	bool sure;

	if (!v || r < 0)
		return;
	if (flags & RENAME_EXCHANGE)
		sure = is_at(moved, to) && is_at(other, from);
	else if (is_same(moved, other))
		sure = is_at(moved, from); /* two names of one inode: both stay */
	else
		sure = is_at(moved, to) && (other->absent || has_lost(other));
	vtable_request_settle(v);
	if (moved->inode.timed)
		return;
	/* Where there was none to replace, there is one if somebody has made it since. */
	if (sure && !(flags & RENAME_EXCHANGE) && !is_same(moved, other) &&
		(other->fd >= 0 || !(flags & RENAME_NOREPLACE)))
		sure = vtable_request_was_alone(v, other->fd < 0 ? VT_TO_NAME : other->bit);
	if (!sure)
		vtable_distrust(v->t);
}
