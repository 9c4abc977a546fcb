// SPDX-License-Identifier: BSD-2-Clause
/*
 * Handles: opened or created, synced, closed.
 */
#include "client/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/listing.h"

/* How often a file may come and go while it is opened with O_CREAT. */
#define CREATE_TRIES 100
/* The flags of an open file that each request tells. */
#define CHANGEABLE (O_APPEND | O_NONBLOCK)

/* What the back-end says of the data of a file that was opened. */
static void opened(struct causeway_file *f, uint32_t open_flags)
{
	const struct cache_mode *mode = f->c->options.cache;

	if (f->node->type == S_IFREG && mode->looks && !(open_flags & FOPEN_KEEP_CACHE)) {
		node_forget_data(f->c, f->node);
		/* What is in the window may be a copy by now. */
		window_drop(f->c, f->node, 0);
	}
	f->keeps_data = f->node->type == S_IFREG && mode->keeps &&
		!(open_flags & FOPEN_DIRECT_IO) && !(f->flags & O_DIRECT) &&
		f->c->session.max_data >= PAGE_BYTES;
	f->in_window = window_serves(f);
}

static int open_node(struct causeway_file *f)
{
	bool directory = f->node->type == S_IFDIR;
	struct fuse_open_in in = {.flags = client_open_flags(f)};
	struct fuse_open_out out;
	struct call call = {
		.opcode = directory ? FUSE_OPENDIR : FUSE_OPEN,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	uint64_t without = directory ? FUSE_NO_OPENDIR_SUPPORT : FUSE_NO_OPEN_SUPPORT;
	bool truncates = f->flags & O_TRUNC, later = false;
	int r;

	if (truncates && client_kills_priv(f->c))
		in.open_flags = FUSE_OPEN_KILL_SUIDGID;
	if (truncates && !(f->c->session.flags & FUSE_ATOMIC_O_TRUNC)) {
		in.flags &= ~(uint32_t)O_TRUNC;
		later = true;
	}
	behind_send(f->c, f->node);
	if (truncates)
		window_drop(f->c, f->node, 0);
	r = client_call(f->c, &call);
	if (truncates)
		node_drop_data(f->c, f->node);
	if (r == 0) {
		f->fh = out.fh;
		f->open = true;
		opened(f, out.open_flags);
	} else if (r == -ENOSYS && (f->c->session.flags & without)) {
		/* The back-end needs no open: the handle is 0, and is never released. */
		r = 0;
		opened(f, FOPEN_KEEP_CACHE);
	}
	if (r == 0 && truncates && !later)
		r = client_strip_priv(f);
	return r == 0 && later ? client_set_size(f->c, f->node, f, 0) : r;
}

static int create(struct causeway_file *f, uint32_t opcode, struct node *parent, const char *name,
	mode_t mode)
{
	struct fuse_create_in in = {
		.flags = client_open_flags(f) |
			(opcode == FUSE_CREATE ? O_CREAT | O_EXCL : (uint32_t)f->flags & O_EXCL),
		.mode = S_IFREG | (mode & 07777),
	};
	struct fuse_create_out out;
	struct call call = {
		.opcode = opcode,
		.nodeid = parent->id,
		.args = {CALL_STRUCT(in), CALL_NAME(name)},
		.nargs = 2,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r = client_call(f->c, &call);

	if (r == 0)
		r = node_take(f->c, trace_opcode_name(opcode), &out.entry,
			cache_validity(f->c, &call, VT_CHILD_ATTR, out.entry.attr_valid,
				out.entry.attr_valid_nsec), call.asof, &f->node);
	if (opcode == FUSE_CREATE)
		entry_changed(f->c, parent, name, r == 0 ? f->node : NULL,
			cache_validity(f->c, &call, VT_NAME, r == 0 ? out.entry.entry_valid : 0,
				r == 0 ? out.entry.entry_valid_nsec : 0), call.asof);
	search_moved(f->c, parent, &call.words, VT_NODE_ATTR);
	if (r == 0) {
		f->fh = out.open.fh;
		f->open = true;
		opened(f, out.open.open_flags);
	}
	return r;
}

/* Creates a file that was not there a moment ago. */
static int create_at(struct causeway_file *f, struct node *start, const char *path, mode_t mode)
{
	unsigned int follow = f->flags & (O_EXCL | O_NOFOLLOW) ? 0 : WALK_FOLLOW;
	struct walked w;
	int r = walk(f->c, start, path, WALK_PARENT | follow, &w);

	if (r < 0)
		return r;
	if (w.slash || !walked_to_name(&w))
		r = client_fail(f->c, -EISDIR, "'%.200s': no file can be made with that name",
			path);
	else
		r = create(f, FUSE_CREATE, w.node, w.name, mode);
	node_put(f->c, w.node);
	return r;
}

/* With O_CREAT. Always exclusively: whose file it is that another made meanwhile is then known by
 * opening it (and QEMU's daemon does not survive a CREATE of what exists). */
static int find_or_create(struct causeway_file *f, struct node *start, const char *path,
	mode_t mode)
{
	struct walked w;
	int r;

	for (int tries = 0; tries < CREATE_TRIES; tries++) {
		r = f->flags & O_EXCL ? -ENOENT :
			walk(f->c, start, path, f->flags & O_NOFOLLOW ? 0 : WALK_FOLLOW, &w);
		if (r == 0)
			f->node = w.node;
		if (r != -ENOENT)
			return r;
		r = create_at(f, start, path, mode);
		if (r != -EEXIST || (f->flags & O_EXCL))
			return r;
	}
	return r;
}

/* O_TMPFILE: a file without a name, on the file system of a directory. */
static int create_nameless(struct causeway_file *f, struct node *start, const char *path,
	mode_t mode)
{
	struct walked w;
	int r;

	if ((f->flags & O_ACCMODE) == O_RDONLY)
		return client_fail(f->c, -EINVAL, "a file without a name is one to write to");
	r = walk(f->c, start, path, WALK_FOLLOW, &w);
	if (r < 0)
		return r;
	if (w.node->type != S_IFDIR)
		r = client_fail(f->c, -ENOTDIR, "'%.200s' is no directory", path);
	else
		/* The name is the one that Linux sends, of a place that is nowhere. */
		r = create(f, FUSE_TMPFILE, w.node, "/", mode);
	node_put(f->c, w.node);
	if (r == -ENOSYS)
		r = client_fail(f->c, -EOPNOTSUPP, "the back-end makes no files without a name");
	f->flags &= ~O_TMPFILE;
	return r;
}

static int find_file(struct causeway_file *f, struct node *start, const char *path)
{
	struct walked w;
	int r = walk(f->c, start, path, f->flags & O_NOFOLLOW ? 0 : WALK_FOLLOW, &w);

	if (r < 0)
		return r;
	f->node = w.node;
	if ((f->flags & O_DIRECTORY) && w.node->type != S_IFDIR)
		return client_fail(f->c, -ENOTDIR, "'%.200s' is no directory", path);
	return 0;
}

/* What may be opened beyond being pointed to. */
static int check_type(struct causeway_file *f, const char *path)
{
	bool changes = (f->flags & O_ACCMODE) != O_RDONLY || (f->flags & (O_CREAT | O_TRUNC));

	switch (f->node->type) {
	case S_IFREG:
		return 0;
	case S_IFDIR:
		return changes ? client_fail(f->c, -EISDIR, "'%.200s' is a directory", path) : 0;
	case S_IFLNK:
		return client_fail(f->c, -ELOOP, "'%.200s' is a symbolic link", path);
	default:
		return client_fail(f->c, -ENXIO, "'%.200s' is a device, FIFO or socket: those are "
						 "of one machine", path);
	}
}

/* Frees a handle, whatever it has come to. What RELEASE answers says nothing of the data. */
static void drop(struct causeway_file *f)
{
	if (f->open) {
		struct fuse_release_in in = {
			.fh = f->fh,
			.flags = client_open_flags(f),
			.release_flags = f->flock_owner ? FUSE_RELEASE_FLOCK_UNLOCK : 0,
			.lock_owner = f->flock_owner,
		};
		struct call call = {
			.opcode = f->node->type == S_IFDIR ? FUSE_RELEASEDIR : FUSE_RELEASE,
			.nodeid = f->node->id,
			.args = {CALL_STRUCT(in)},
			.nargs = 1,
		};

		client_call(f->c, &call);
	}
	client_drop_listing(f);
	listing_free(f->c, f->kept);
	if (f->node)
		node_put(f->c, f->node);
	pthread_mutex_destroy(&f->lock);
	free(f->listing);
	free(f->owners);
	free(f);
}

static struct causeway_file *new_handle(struct causeway *c, int flags)
{
	struct causeway_file *f = calloc(1, sizeof(*f));

	if (f) {
		f->c = c;
		f->flags = flags;
		pthread_mutex_init(&f->lock, NULL);
	} else {
		client_fail(c, -ENOMEM, "no memory for a handle");
	}
	return f;
}

static int open_once(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	mode_t mode, struct causeway_file **file)
{
	struct causeway_file *f = new_handle(c, flags);
	int r;

	*file = NULL;
	if (!f)
		return -ENOMEM;
	if (flags & O_PATH)
		r = find_file(f, start_of(at), path);
	else if ((flags & O_TMPFILE) == O_TMPFILE)
		r = create_nameless(f, start_of(at), path, mode);
	else if (flags & O_CREAT)
		r = find_or_create(f, start_of(at), path, mode);
	else
		r = find_file(f, start_of(at), path);
	if (r == 0 && !f->open && !(flags & O_PATH)) {
		r = check_type(f, path);
		if (r == 0)
			r = open_node(f);
	}
	if (r == 0)
		*file = f;
	else
		drop(f);
	return r;
}

EXPORT int causeway_open(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	mode_t mode, struct causeway_file **file)
{
	return CLIENT_AGAIN(c, open_once(c, at, path, flags, mode, file));
}

EXPORT int causeway_reopen(struct causeway_file *f, int flags, struct causeway_file **file)
{
	struct causeway_file *other;
	int r = 0;

	*file = NULL;
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		return client_fail(f->c, -EINVAL, "what a handle points to is there already");
	other = new_handle(f->c, flags);
	if (!other)
		return -ENOMEM;
	other->node = node_ref(f->c, f->node);
	if ((flags & O_DIRECTORY) && f->node->type != S_IFDIR)
		r = client_fail(f->c, -ENOTDIR, "what the handle points to is no directory");
	else if (!(flags & O_PATH))
		r = check_type(other, "what the handle points to");
	if (r == 0 && !(flags & O_PATH))
		r = open_node(other);
	if (r == 0)
		*file = other;
	else
		drop(other);
	return r;
}

EXPORT int causeway_getfl(struct causeway_file *f)
{
	return f->flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
}

EXPORT int causeway_setfl(struct causeway_file *f, int flags)
{
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (f->flags & O_PATH)
		r = client_fail(f->c, -EBADF, "the file is not open for that");
	else if ((flags ^ f->flags) & (O_DIRECT | O_NOATIME))
		r = client_fail(f->c, -EOPNOTSUPP, "O_DIRECT and O_NOATIME are for opening a file");
	if (r == 0) {
		/* What was written before has its place already. */
		if ((flags ^ f->flags) & O_APPEND)
			behind_send(f->c, f->node);
		f->flags = (f->flags & ~CHANGEABLE) | (flags & CHANGEABLE);
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* What was written has arrived, and the owner's locks go. */
static int flush(struct causeway_file *f, uint64_t owner)
{
	struct fuse_flush_in in = {.fh = f->fh, .lock_owner = owner};
	struct call call = {
		.opcode = FUSE_FLUSH, .nodeid = f->node->id, .args = {CALL_STRUCT(in)}, .nargs = 1};
	int r = client_call(f->c, &call);

	return r == -ENOSYS ? 0 : r;
}

EXPORT int causeway_close(struct causeway_file *f)
{
	bool flushed = false;
	int r;

	if (!f)
		return 0;
	behind_send(f->c, f->node);
	window_tell_times(f->c, f->node, f);
	r = behind_error(f->c, f->node);
	for (size_t i = 0; i < f->nowners; i++) {
		if (f->owners[i].has_locked) {
			int one = flush(f, f->owners[i].number);

			r = r < 0 ? r : one;
			flushed = true;
		}
	}
	if (!flushed && f->open && f->node->type != S_IFDIR && (f->flags & O_ACCMODE) != O_RDONLY) {
		int one = flush(f, 0);

		r = r < 0 ? r : one;
	}
	drop(f);
	return r;
}

EXPORT int causeway_fsync(struct causeway_file *f, int data_only)
{
	struct fuse_fsync_in in = {
		.fh = f->fh, .fsync_flags = data_only ? FUSE_FSYNC_FDATASYNC : 0};
	struct call call = {
		.opcode = f->node->type == S_IFDIR ? FUSE_FSYNCDIR : FUSE_FSYNC,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};
	int r;

	if (f->flags & O_PATH)
		return client_fail(f->c, -EBADF, "the file is not open for that");
	behind_send(f->c, f->node);
	window_tell_times(f->c, f->node, f);
	r = behind_error(f->c, f->node);
	return r < 0 ? r : client_call(f->c, &call);
}
