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
#include "fs/passthrough/dax.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/known.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "metrics/tally.h"

/* #syscalls: openat openat2 statx fcntl:1=F_DUPFD_CLOEXEC */

#define NAME_BYTES_MAX 255

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

static void mark_found(struct passthrough *pt, struct fs_entry *entry)
{
	PT_NODE struct pt_node_ref ref = pt_ref(pt, entry->node);

	if (ref.node)
		pt_dax_mark(pt, ref.node, &entry->attr);
}

/* What else is said of a name that has led to a node. name: NULL where it was no name. */
static void tell_entry(struct passthrough *pt, const struct pt_node *parent, const char *name,
	enum pt_as as, struct fs_entry *entry)
{
	entry->local = false;
	entry->submount = name && S_ISDIR(entry->attr.stx_mode) &&
		!pt_is_beside(&entry->attr, parent);
	if (name)
		pt_note_found(pt, as, entry);
	if (pt->dax && S_ISREG(entry->attr.stx_mode))
		mark_found(pt, entry);
}

/* Stats and registers an O_PATH descriptor, which it takes. */
static int enter_fd(struct passthrough *pt, struct pt_node *parent, const char *name, int taken_fd,
	enum pt_as as, struct fs_entry *entry)
{
	int r;

	if (taken_fd < 0)
		return taken_fd;
	r = pt_stat(taken_fd, &entry->attr);
	if (r == 0 && pt_meet_inode(pt, parent, taken_fd, as, entry))
		r = pt_stat(taken_fd, &entry->attr);
	if (r < 0) {
		close(taken_fd);
		return r;
	}
	r = pt_node_found(pt, taken_fd, &entry->attr, parent, name, &entry->node);
	if (r == 0)
		tell_entry(pt, parent, name, as, entry);
	return r;
}

/* A name that is looked up, and how it was found. */
struct sought {
	struct pt_node *parent;
	int dir_fd;
	const char *name;
	uint64_t hash;
	enum pt_as as;
	enum tally how;
};

/* The attributes of what a name stands for; -EAGAIN: opening it says what is wrong. */
static int stat_name(const struct sought *s, struct statx *attr)
{
	if (statx(s->dir_fd, s->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, PT_STATX, attr) == 0)
		return 0;
	return errno == ENOENT ? -ENOENT : -EAGAIN;
}

/* Of a name that was looked at while the node that it led to was pinned. */
static int enter_hot(struct passthrough *pt, const struct sought *s, struct pt_node *node,
	struct fs_entry *entry)
{
	int r = 0;

	if (!pt_has_key(&entry->attr, &node->key))
		return -EAGAIN;
	if (pt_meet_inode(pt, s->parent, node->fd, s->as, entry))
		r = pt_stat(node->fd, &entry->attr);
	if (r == 0 && !pt_known_count(pt, node, s->parent, s->name))
		r = -EAGAIN;
	if (r == 0)
		entry->node = pt_node_id(pt, node);
	return r;
}

/* Whether what is found in a directory may be a node without descriptor (pin.c). The window of DAX
 * wants one of each. */
static bool may_stay_cold(const struct passthrough *pt, const struct sought *s)
{
	return pt->seen.bits.first && s->as != PT_LISTED_DIRECTORY && s->parent->mount->born &&
		!s->parent->barred && !pt->dax;
}

/* A guest says that it uses a file; FIFOs, sockets and devices it opens by itself. */
static bool is_used_by_request(const struct statx *attr)
{
	return S_ISREG(attr->stx_mode) || S_ISLNK(attr->stx_mode);
}

/* Has the version table look at an inode that a name leads to before its attributes are read.
 * -EAGAIN: by then the name leads to another. */
static int meet_by_name(struct passthrough *pt, const struct sought *s, struct fs_entry *entry)
{
	struct pt_key met;
	int r;

	if (!pt_meet_inode(pt, s->parent, -1, s->as, entry))
		return 0;
	met = pt_key_of(&entry->attr);
	r = stat_name(s, &entry->attr);
	if (r == 0 && (!pt_has_key(&entry->attr, &met) || !is_used_by_request(&entry->attr)))
		r = -EAGAIN;
	return r;
}

/* Of a name that was looked at. What is hot may be another inode with the number of the one that
 * was there, until it is looked at once more. */
static int enter_cold(struct passthrough *pt, struct sought *s, struct fs_entry *entry)
{
	PT_NODE struct pt_node_ref hot = {.pt = pt};
	int r = -EAGAIN;

	if (is_used_by_request(&entry->attr) && pt_is_beside(&entry->attr, s->parent))
		r = meet_by_name(pt, s, entry);
	if (r == 0)
		r = pt_node_seen(pt, &entry->attr, s->parent, s->name, &hot.node, &entry->node);
	if (r == 0 && !hot.node) {
		pt_seen_note(&pt->seen, s->hash);
		s->how = TALLY_NAME_LATER;
		return 0;
	}
	if (r == 0)
		r = stat_name(s, &entry->attr);
	if (r == 0)
		r = enter_hot(pt, s, hot.node, entry);
	if (r == 0)
		pt_known_note(pt, s->hash, entry->node);
	return r;
}

static struct pt_node_ref find_known(struct passthrough *pt, const struct sought *s)
{
	if (s->as == PT_LISTED_FIRST)
		return (struct pt_node_ref){.pt = pt};
	return pt_known_find(pt, s->hash);
}

/* Of a name that leads where it led before, or to nothing (known.h), or to what need not be opened;
 * -EAGAIN: it has to be. */
static int enter_unopened(struct passthrough *pt, struct sought *s, struct fs_entry *entry)
{
	PT_NODE struct pt_node_ref known = find_known(pt, s);
	bool cold = may_stay_cold(pt, s);
	int r = known.node || cold || pt_known_is_absent(pt, s->hash)
		? stat_name(s, &entry->attr) : -EAGAIN;

	if (r < 0)
		return r;
	r = known.node ? enter_hot(pt, s, known.node, entry) : -EAGAIN;
	if (r == -EAGAIN && cold)
		r = enter_cold(pt, s, entry);
	if (r == 0)
		tell_entry(pt, s->parent, s->name, s->as, entry);
	return r;
}

int pt_enter(struct passthrough *pt, struct pt_node *parent, int dir_fd, const char *name,
	enum pt_as as, struct fs_entry *entry)
{
	struct sought s = {
		.parent = parent,
		.dir_fd = dir_fd,
		.name = name,
		.hash = pt_hash_of(pt, parent, name, VT_NAME),
		.as = as,
		.how = TALLY_NAME_KNOWN,
	};
	int r = as < PT_MADE ? enter_unopened(pt, &s, entry) : -EAGAIN;

	tally_add(r == -EAGAIN ? TALLY_NAME_OPENED : s.how, 1);
	if (r != -EAGAIN)
		return r;
	r = enter_fd(pt, parent, name, pt_open_child(dir_fd, name), as, entry);
	if (r == 0)
		pt_known_note(pt, s.hash, entry->node);
	else if (r == -ENOENT)
		pt_known_note_absent(pt, s.hash);
	return r;
}

/* ".." and ".": how a guest that exports its mount over NFS finds its way back. */
static int lookup_dots(struct passthrough *pt, struct pt_node *node, bool up,
	struct fs_entry *entry)
{
	int fd, r;

	if (!up || node == pt->root)
		return enter_fd(pt, node, NULL, neg_errno(fcntl(node->fd, F_DUPFD_CLOEXEC, 0)),
			PT_LOOKED_UP, entry);
	fd = openat(node->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = pt_check_below_root(pt, fd);
	if (r < 0) {
		close(fd);
		return r == -ELOOP ? -ESTALE : r;
	}
	return enter_fd(pt, NULL, NULL, fd, PT_LOOKED_UP, entry);
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
	if (up || strcmp(name, ".") == 0) {
		pt_look_name(pt, parent.node, name);
		return lookup_dots(pt, parent.node, up, entry);
	}
	r = pt_check_name(name);
	if (r < 0)
		return r;
	pt_look_name(pt, parent.node, name);
	if (parent.node->barred)
		return -ENOENT;
	if (pt_is_outside(pt, parent.node))
		return -ESTALE;
	r = pt_enter(pt, parent.node, parent.node->fd, name, PT_LOOKED_UP, entry);
	if (r == -ENOENT)
		pt_note_absent(pt, parent.node);
	return r;
}

void pt_forget(struct fs *fs, uint64_t node, uint64_t count)
{
	pt_node_forget(pt_of(fs), node, count);
	pt_streams_forget(pt_of(fs), node);
}
