// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names: directories, links and symlinks made; names removed and moved.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "client/file.h"

/* What system calls say of a path that ends in ".", ".." or at the root. */
static int no_name(const struct walked *w, uint32_t opcode)
{
	switch (opcode) {
	case FUSE_RMDIR:
		return !w->name[0] ? -EBUSY : w->name[1] ? -ENOTEMPTY : -EINVAL;
	case FUSE_UNLINK:
		return -EISDIR;
	case FUSE_RENAME:
		return -EBUSY;
	default:
		return -EEXIST;
	}
}

/* Sends a call on the directory of a path, with fixed before the last name and more behind it;
 * its reply is an entry, which is not kept, where takes_entry says so. */
static int on_name(struct causeway *c, struct causeway_file *at, const char *path, uint32_t opcode,
	struct iovec fixed, struct iovec more, bool takes_entry)
{
	struct fuse_entry_out entry = {.nodeid = 0};
	struct call call = {.opcode = opcode};
	struct node *node = NULL;
	struct walked w;
	int r = walk(c, start_of(at), path, WALK_PARENT, &w);

	if (r < 0)
		return r;
	call.nodeid = w.node->id;
	if (fixed.iov_len > 0)
		call.args[call.nargs++] = fixed;
	call.args[call.nargs++] = CALL_NAME(w.name);
	if (more.iov_len > 0)
		call.args[call.nargs++] = more;
	if (takes_entry) {
		call.out = &entry;
		call.out_size = call.out_least = sizeof(entry);
	}
	/* Only a directory's name may end in a slash. */
	if (!walked_to_name(&w))
		r = no_name(&w, opcode);
	else if (w.slash && opcode != FUSE_MKDIR && opcode != FUSE_RMDIR)
		r = client_fail(c, -ENOTDIR, "'%.200s': %s", path, strerror(ENOTDIR));
	else
		r = client_call(c, &call);
	if (r == 0 && takes_entry)
		r = node_take(c, trace_opcode_name(opcode), &entry,
			cache_validity(c, &call, VT_CHILD_ATTR, entry.attr_valid,
				entry.attr_valid_nsec), call.asof, &node);
	entry_changed(c, w.node, w.name, r == 0 ? node : NULL,
		cache_validity(c, &call, VT_NAME, entry.entry_valid, entry.entry_valid_nsec),
		call.asof);
	search_moved(c, w.node, &call.words, VT_NODE_ATTR);
	if (r == 0 && node)
		node_put(c, node);
	node_put(c, w.node);
	if (r < 0 && r != -EPROTO && r != -ENOTCONN)
		client_fail(c, r, "'%.200s': %s", path, strerror(-r));
	return r;
}

static const struct iovec nothing;

EXPORT int causeway_mkdir(struct causeway *c, struct causeway_file *at, const char *path,
	mode_t mode)
{
	struct fuse_mkdir_in in = {.mode = mode & 07777};

	return on_name(c, at, path, FUSE_MKDIR, CALL_STRUCT(in), nothing, true);
}

EXPORT int causeway_mknod(struct causeway *c, struct causeway_file *at, const char *path,
	mode_t mode, dev_t dev)
{
	unsigned int ma = major(dev), mi = minor(dev);
	struct fuse_mknod_in in = {
		.mode = (mode & S_IFMT ? mode & S_IFMT : S_IFREG) | (mode & 07777)};

	switch (in.mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		/* As Linux puts a device's number into 32 bits. */
		if (ma > 0xfff || mi > 0xfffff)
			return client_fail(c, -EINVAL, "there is no device %u:%u", ma, mi);
		in.rdev = (mi & 0xff) | ma << 8 | (mi & ~0xffu) << 12;
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		return client_fail(c, (mode & S_IFMT) == S_IFDIR ? -EPERM : -EINVAL,
			"no such node is made that way");
	}
	return on_name(c, at, path, FUSE_MKNOD, CALL_STRUCT(in), nothing, true);
}

EXPORT int causeway_unlink(struct causeway *c, struct causeway_file *at, const char *path,
	int flags)
{
	struct causeway_file *target = NULL;
	int r;

	if (flags & ~AT_REMOVEDIR)
		return client_fail(c, -EINVAL, "flags %#x are not known here", flags);
	/* Its count of links changes: what is known of it is known no more. And nobody is asked to
	 * remove what is not there: no guest of Linux does that, and QEMU's daemon says EIO. */
	r = causeway_open(c, at, path, O_PATH | O_NOFOLLOW, 0, &target);
	if (r == -ENOTCONN || r == -ENOENT)
		return r;
	r = on_name(c, at, path, flags ? FUSE_RMDIR : FUSE_UNLINK, nothing, nothing, false);
	if (target) {
		int saved = r;

		node_drop_attr(c, target->node);
		causeway_close(target);
		r = saved;
	}
	return r;
}

EXPORT int causeway_symlink(struct causeway *c, const char *target, struct causeway_file *at,
	const char *path)
{
	if (*target == '\0' || strlen(target) >= PATH_MAX)
		return client_fail(c, *target ? -ENAMETOOLONG : -ENOENT,
			"no symbolic link can point there");
	return on_name(c, at, path, FUSE_SYMLINK, nothing, CALL_NAME(target), true);
}

static int link_node(struct causeway *c, struct node *node, struct causeway_file *at,
	const char *path)
{
	struct fuse_link_in in = {.oldnodeid = node->id};
	int r = on_name(c, at, path, FUSE_LINK, CALL_STRUCT(in), nothing, true);

	node_drop_attr(c, node);
	return r;
}

static int link_once(struct causeway *c, struct causeway_file *old_at, const char *old_path,
	struct causeway_file *at, const char *path)
{
	struct walked old;
	int r = walk(c, start_of(old_at), old_path, 0, &old);

	if (r < 0)
		return r;
	r = link_node(c, old.node, at, path);
	node_put(c, old.node);
	return r;
}

EXPORT int causeway_link(struct causeway *c, struct causeway_file *old_at, const char *old_path,
	struct causeway_file *at, const char *path)
{
	return CLIENT_AGAIN(c, link_once(c, old_at, old_path, at, path));
}

EXPORT int causeway_flink(struct causeway_file *f, struct causeway_file *at, const char *path)
{
	return link_node(f->c, f->node, at, path);
}

static int send_rename(struct causeway *c, const struct walked *from, const struct walked *to,
	unsigned int flags)
{
	struct fuse_rename2_in in = {.newdir = to->node->id, .flags = flags};
	struct call call = {
		.opcode = flags ? FUSE_RENAME2 : FUSE_RENAME,
		.nodeid = from->node->id,
		.args = {{&in, flags ? sizeof(in) : sizeof(struct fuse_rename_in)},
			CALL_NAME(from->name), CALL_NAME(to->name)},
		.nargs = 3,
	};
	int r = client_call(c, &call);

	search_moved(c, from->node, &call.words, VT_NODE_ATTR);
	search_moved(c, to->node, &call.words, VT_TO_ATTR);
	return r == -ENOSYS && flags ? client_fail(c, -EINVAL, "the back-end renames without flags "
							       "only") : r;
}

/* The file that moves, and the one that it replaces or changes places with, change too: their
 * times and links are known no more. */
static int rename_nodes(struct causeway *c, const struct walked *from, const struct walked *to,
	unsigned int flags)
{
	const struct validity none = {.until_ns = 0};
	bool slash = from->slash || (to->slash && !(flags & RENAME_EXCHANGE));
	struct node *moved, *other = NULL;
	int r = walk_lookup(c, from->node, from->name, &moved);

	if (r < 0)
		return r;
	walk_lookup(c, to->node, to->name, &other);
	if (slash && moved->type != S_IFDIR)
		r = client_fail(c, -ENOTDIR, "'%.200s': only a directory's name may end in a slash",
			from->name);
	else
		r = send_rename(c, from, to, flags);
	entry_changed(c, from->node, from->name, NULL, none, 0);
	entry_changed(c, to->node, to->name, NULL, none, 0);
	node_drop_attr(c, moved);
	node_put(c, moved);
	if (other) {
		node_drop_attr(c, other);
		node_put(c, other);
	}
	return r;
}

EXPORT int causeway_rename(struct causeway *c, struct causeway_file *old_at, const char *old_path,
	struct causeway_file *at, const char *path, unsigned int flags)
{
	struct walked from, to;
	int r;

	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return client_fail(c, -EINVAL, "flags %#x are not known here", flags);
	r = walk(c, start_of(old_at), old_path, WALK_PARENT, &from);
	if (r < 0)
		return r;
	r = walk(c, start_of(at), path, WALK_PARENT, &to);
	if (r == 0) {
		if (!walked_to_name(&from))
			r = no_name(&from, FUSE_RENAME);
		else if (!walked_to_name(&to))
			r = no_name(&to, flags & RENAME_NOREPLACE ? FUSE_LINK : FUSE_RENAME);
		else
			r = rename_nodes(c, &from, &to, flags);
		node_put(c, to.node);
	}
	node_put(c, from.node);
	return r;
}

static ssize_t readlink_once(struct causeway *c, struct causeway_file *at, const char *path,
	char *buf, size_t size)
{
	char target[PATH_MAX];
	struct walked w;
	int r = walk(c, start_of(at), path, WALK_EMPTY, &w);

	if (r < 0)
		return r;
	if (w.node->type != S_IFLNK)
		r = client_fail(c, -EINVAL, "'%.200s' is no symbolic link", path);
	else
		r = walk_readlink(c, w.node, target);
	node_put(c, w.node);
	if (r < 0)
		return r;
	memcpy(buf, target, min_t(size_t, size, (size_t)r));
	return min_t(ssize_t, r, (ssize_t)min_t(size_t, size, SSIZE_MAX));
}

EXPORT ssize_t causeway_readlink(struct causeway *c, struct causeway_file *at, const char *path,
	char *buf, size_t size)
{
	return CLIENT_AGAIN(c, readlink_once(c, at, path, buf, size));
}
