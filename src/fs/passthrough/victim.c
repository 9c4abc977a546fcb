// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which inodes a removal or a rename has changed (docs/coherence.md, "The inode that loses its
 * link"; tests/model/victim.pml).
 *
 * Between our look at a name and the system call, somebody may give the name to another inode. What
 * was marked then is not what was changed. So the inode that was found is held and looked at again:
 * one that lost its link has fewer of them than when it was marked, and nobody else has taken one;
 * one that has moved is found under its new name. Else the epoch moves before the reply.
 *
 * Where this server remembers what the name stood for (guess.h), that is marked and nothing is
 * opened. It is what lost its link, or has moved, without a look at it, if neither the name's word
 * nor the epoch has moved from then until the end, but by the change itself. Should a process of
 * the host have changed the name a moment ago, the watcher is about to say so, also of the inode
 * that the name stands for; and where that has moved, of its new name (src/watch/echo.c).
 *
 * But nothing moves where both names are of one inode, be it since a moment ago. So where the
 * system call has not demanded that the new name is nobody's, it must be the only one of what has
 * moved, or the old one must be nobody's.
 *
 * Where two servers are at a name together, neither is certain, and the epoch has to move. So that
 * it need not each time, such a name is not believed any more.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "fs/passthrough/version.h"

/* #syscalls: openat2 statx close */

static bool stat_links(int fd, const char *name, struct statx *attr)
{
	int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);

	return statx(fd, name, flags, STATX_TYPE | STATX_INO | STATX_NLINK, attr) == 0;
}

/* Those that it had before it was marked are no use: another may have taken one just then. */
static uint32_t count_links(const struct pt_victim *x, enum pt_fate fate)
{
	struct statx attr;

	return fate == PT_GOES && stat_links(x->fd, "", &attr) ? attr.stx_nlink : 0;
}

/*
 * What is remembered of a name that was marked, if it can be believed: of a mount that nobody
 * watches nothing can, for nobody would be about to say anything. While words are good by time only
 * it is not, either: the epoch is about to move, and each removal under way would have it move once
 * more.
 */
static bool recall(struct passthrough *pt, const struct vtable_request *v,
	const struct pt_victim *x, struct pt_guess *guess)
{
	uint64_t hash = vtable_request_name(v, x->name);
	uint32_t slot = vtable_slot_of_hash(v->t, hash);
	const struct vtable_touch *name = vtable_touch_of(&v->change, slot);

	return !pt_mount_is_timed(x->dir->mount) && v->slot[__builtin_ctz(x->name)] == slot &&
		vt_is_quiet(name->before) && pt_guess_find(pt->guesses, hash, guess) &&
		!pt_guess_is_disputed(guess) && guess->word == name->before &&
		guess->epoch == v->epoch &&
		vtable_request_is_trusted(v);
}

/* Only of a directory is there a listing, which has its "..". */
static void mark_victim(struct pt_victim *x, mode_t mode)
{
	unsigned int listing = x->name == VT_NAME ? VT_CHILD_LIST : VT_TO_CHILD_LIST;

	pt_mark_inode(vtable_request_now(), &x->inode, x->bit | (S_ISDIR(mode) ? listing : 0));
}

static bool hold_known(struct passthrough *pt, struct vtable_request *v, struct pt_victim *x)
{
	struct pt_guess guess;

	if (!recall(pt, v, x, &guess))
		return false;
	if (guess.slot == PT_NO_SLOT) {
		x->absent = x->known = guess.node == pt_node_id(pt, x->dir);
		return x->known;
	}
	x->held = pt_ref(pt, guess.node);
	if (x->held.node && x->held.node->mount == x->dir->mount) {
		x->known = true;
		x->inode = pt_inode_of(x->held.node);
		x->fd = x->held.node->fd;
		mark_victim(x, x->held.node->type);
		return true;
	}
	pt_release_victim(x);
	return false;
}

/* What moves is to be remembered by its new name: by the node that a guest has of it. */
static void hold_found(struct passthrough *pt, struct pt_victim *x, const struct statx *attr)
{
	x->held = (struct pt_node_ref){.pt = pt, .node = pt_node_known(pt, &x->fd, attr)};
	if (!x->held.node)
		return;
	close_fd(&x->fd);
	x->fd = x->held.node->fd;
}

struct pt_victim pt_no_victim(void)
{
	return (struct pt_victim){.fd = -1, .absent = true, .known = true, .name = VT_TO_NAME};
}

/* Opens what the name stands for, and marks it. */
static void find(struct passthrough *pt, const char *name, enum pt_fate fate, struct pt_victim *x)
{
	struct statx attr;

	x->known = false;
	x->inode.timed = x->dir->mount->timed;
	x->fd = pt_open_child(x->dir->fd, name);
	x->absent = x->fd == -ENOENT;
	if (x->fd < 0 || pt_stat(x->fd, &attr) < 0) {
		close_fd(&x->fd);
		return;
	}
	x->inode.dev = makedev(attr.stx_dev_major, attr.stx_dev_minor);
	x->inode.ino = attr.stx_ino;
	mark_victim(x, attr.stx_mode);
	x->links = count_links(x, fate);
	if (fate == PT_MOVES)
		hold_found(pt, x, &attr);
}

struct pt_victim pt_hold_victim(struct passthrough *pt, const struct pt_node *dir,
	unsigned int bit, const char *name, enum pt_fate fate)
{
	struct vtable_request *v = vtable_request_now();
	struct pt_victim x = {
		.fd = -1,
		.dir = dir,
		.bit = bit == VT_NAME ? VT_CHILD_ATTR : VT_TO_CHILD_ATTR,
		.name = bit,
	};

	if (v && !hold_known(pt, v, &x))
		find(pt, name, fate, &x);
	return x;
}

void pt_find_victim(struct passthrough *pt, const struct pt_end *end)
{
	find(pt, end->name, PT_GOES, end->victim);
}

void pt_release_victim(struct pt_victim *x)
{
	if (!x->held.node)
		close_fd(&x->fd);
	pt_cleanup_node(&x->held);
	x->held.node = NULL;
	x->fd = -1;
}

static bool has_lost(const struct pt_victim *x)
{
	struct statx attr;

	return x->fd >= 0 && stat_links(x->fd, "", &attr) && attr.stx_nlink < x->links;
}

/* The two ways to know which inode a name stood for until it was nobody's, before settling: nobody
 * else was at the name, of which it was remembered; or it has fewer links, and nobody else was at
 * it. */
static bool has_gone(struct passthrough *pt, const struct pt_victim *x)
{
	struct vtable_request *v = vtable_request_now();

	if (!x->known)
		return has_lost(x) && vtable_request_is_alone(v, x->bit);
	if (!vtable_request_is_alone(v, x->name)) {
		pt_note_disputed(pt, x->name);
		return false;
	}
	return vtable_request_is_current(v);
}

void pt_settle_removal(struct passthrough *pt, const struct pt_victim *x, int r)
{
	struct vtable_request *v = vtable_request_now();
	bool sure;

	if (!v || r < 0)
		return;
	sure = x->inode.timed || has_gone(pt, x);
	vtable_request_settle(v);
	if (sure)
		pt_note_changed(pt, VT_NAME, pt_node_id(pt, x->dir), true);
	else
		vtable_distrust(v->t);
}

static bool is_same(const struct pt_victim *a, const struct pt_victim *b)
{
	return a->fd >= 0 && b->fd >= 0 && a->inode.dev == b->inode.dev &&
		a->inode.ino == b->inode.ino;
}

/* Whether an inode is what an end's name stands for now. */
static bool is_at(const struct pt_victim *x, const struct pt_end *end, struct statx *attr)
{
	return x->fd >= 0 && stat_links(end->parent->fd, end->name, attr) &&
		attr->stx_ino == x->inode.ino &&
		makedev(attr->stx_dev_major, attr->stx_dev_minor) == x->inode.dev;
}

/* Whether something was remembered of a name, and nobody else was at it. */
static bool is_known_alone(const struct pt_victim *x)
{
	const struct vtable_request *v = vtable_request_now();

	return x->known && !x->absent && vtable_request_is_alone(v, x->name) &&
		vtable_request_is_current(v);
}

/* Where both names are of one inode, nothing moves and both stay. The new name is looked at first:
 * one that is nobody's any more takes the host twice as long. */
static bool has_moved(const struct pt_end *from, const struct pt_end *to, unsigned int flags)
{
	const struct pt_victim *x = from->victim;
	bool alone = is_known_alone(x);
	struct statx attr;

	if (alone && flags & RENAME_NOREPLACE)
		return true;
	if (is_at(x, to, &attr))
		return attr.stx_nlink < 2 || S_ISDIR(attr.stx_mode) || !is_at(x, from, &attr);
	return alone && !stat_links(from->parent->fd, from->name, &attr) && errno == ENOENT;
}

/* Whether what a new name stood for is what was marked, if it stood for anything. */
static bool is_replaced(struct passthrough *pt, const struct pt_victim *x, unsigned int flags)
{
	if (flags & RENAME_NOREPLACE)
		return true;
	/* Where there was none, there is one if somebody has made it since. */
	if (!x->known && x->absent)
		return vtable_request_is_alone(vtable_request_now(), x->name);
	return has_gone(pt, x);
}

/* What has moved is known by its new name, and the old one is nobody's. */
static void note_rename(struct passthrough *pt, const struct pt_victim *moved, unsigned int flags)
{
	if (flags & (RENAME_EXCHANGE | RENAME_WHITEOUT))
		return;
	pt_note_changed(pt, VT_NAME, pt_node_id(pt, moved->dir), true);
	if (moved->held.node)
		pt_note_changed(pt, VT_TO_NAME, pt_node_id(pt, moved->held.node), false);
}

void pt_settle_rename(struct passthrough *pt, const struct pt_end *from, const struct pt_end *to,
	unsigned int flags, int r)
{
	struct vtable_request *v = vtable_request_now();
	const struct pt_victim *moved = from->victim, *other = to->victim;
	struct statx attr;
	bool same, sure;

	if (!v || r < 0)
		return;
	same = is_same(moved, other);
	if (flags & RENAME_EXCHANGE)
		sure = is_at(moved, to, &attr) && is_at(other, from, &attr);
	else if (same)
		sure = is_at(moved, from, &attr);
	else
		sure = has_moved(from, to, flags) && is_replaced(pt, other, flags);
	/* Who has renamed them did not know that they are one, and takes the old one for gone. */
	if (same) {
		vtable_request_crowd(v, VT_NAME);
		vtable_request_crowd(v, VT_TO_NAME);
	}
	vtable_request_settle(v);
	if (!sure && !moved->inode.timed)
		vtable_distrust(v->t);
	else if (sure && !same)
		note_rename(pt, moved, flags);
}
