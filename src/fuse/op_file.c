// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations on open files. Data goes between guest memory and the file without a copy.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/util.h"
#include "fuse/pins.h"
#include "fuse/pool.h"
#include "fuse/request.h"

/*
 * The flags to open a host file with. Whether a write appends is said with each WRITE (so that
 * writing back a page never appends), and a guest that holds back writes reads the page around
 * a partial one even through a descriptor that its program opened for writing only: it cannot write
 * to what is for appending only. O_DIRECT is for the guest's page cache, unless --allow-direct-io
 * lets it past the host's too.
 */
static int host_flags(const struct fuse_session *se, uint32_t guest)
{
	int flags = (int)guest & ~(se->config.direct_io ? 0 : O_DIRECT);

	if (!fuse_has(se, FUSE_WRITEBACK_CACHE))
		return flags;
	if ((flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return flags & ~O_APPEND;
}

/*
 * Whether an O_TRUNC clears set-id bits. A guest that has agreed to HANDLE_KILLPRIV_V2 says so;
 * another one's kernel leaves the truncation to us and forgets the bits: then it is who asks that
 * counts.
 */
static bool truncation_kills(const struct fuse_req *req, const struct fuse_open_in *in)
{
	if (fuse_has(req->se, FUSE_HANDLE_KILLPRIV_V2))
		return in->open_flags & FUSE_OPEN_KILL_SUIDGID;
	return in->flags & O_TRUNC && req->unprivileged;
}

int fuse_do_OPEN(struct fuse_req *req)
{
	const struct fuse_open_in *in = req->args;
	struct fs *fs = req->se->fs;
	struct fs_opened opened = {
		.may_wait = req->beside,
		.ask_unchanged = fuse_config_keeps_unchanged(&req->se->config)};
	struct fuse_open_out out;
	uint64_t handle;
	int r;

	if (req->se->config.readonly &&
		((in->flags & O_ACCMODE) != O_RDONLY || in->flags & O_TRUNC))
		return -EROFS;
	if (fuse_has(req->se, FUSE_NO_OPEN_SUPPORT))
		return -ENOSYS;
	r = fs->ops->open(fs, req->in.nodeid, host_flags(req->se, in->flags),
		truncation_kills(req, in), &handle, &opened);
	if (r < 0)
		return r;
	fuse_fill_open(req->se, &out, handle, false);
	if (opened.ask_unchanged && opened.unchanged)
		out.open_flags |= FOPEN_KEEP_CACHE;
	if (!opened.local)
		out.open_flags &= ~(uint32_t)FOPEN_NOFLUSH;
	pins_give(req, req->in.nodeid, host_flags(req->se, in->flags), &out);
	return fuse_reply(req, &out, sizeof(out));
}

/*
 * How long the guest may keep the entry of a file without a name, in seconds: for good. It would
 * ask again with LOOKUP of a name that is none, and call what it has stale: an overlayfs in the
 * guest uses the entry of O_TMPFILE for the file that it has linked since.
 */
#define NAMELESS_VALID UINT32_MAX

/* A new file, of this name or of none. */
static int create(struct fuse_req *req, const char *name)
{
	const struct fuse_create_in *in = req->args;
	struct fs_caller who = fuse_caller(req, in->umask);
	struct fs *fs = req->se->fs;
	struct fuse_create_out out;
	struct fs_entry entry;
	uint64_t handle;
	int r = fs->ops->create(fs, &who, req->in.nodeid, name, in->mode,
		host_flags(req->se, in->flags), in->open_flags & FUSE_OPEN_KILL_SUIDGID, &entry,
		&handle);

	if (r < 0)
		return r;
	fuse_fill_entry(req->se, &out.entry, &entry);
	req->sized = entry.node;
	if (!name)
		out.entry.entry_valid = NAMELESS_VALID;
	fuse_fill_open(req->se, &out.open, handle, false);
	if (!entry.local)
		out.open.open_flags &= ~(uint32_t)FOPEN_NOFLUSH;
	pins_give(req, entry.node, host_flags(req->se, in->flags), &out.open);
	return fuse_reply(req, &out, sizeof(out));
}

int fuse_do_CREATE(struct fuse_req *req)
{
	return create(req, req->name[0]);
}

/* O_TMPFILE. The name that Linux sends is that of a dentry which is nowhere to be found. */
int fuse_do_TMPFILE(struct fuse_req *req)
{
	return create(req, NULL);
}

int fuse_do_RELEASE(struct fuse_req *req)
{
	const struct fuse_release_in *in = req->args;

	return req->se->fs->ops->release(req->se->fs, in->fh);
}

/* Reads up to left bytes; a chain of very many pieces takes several calls. at_once: only if nothing
 * has to be waited for, -EAGAIN otherwise. */
static int read_data(struct fuse_req *req, const struct fuse_read_in *in, size_t left, bool at_once)
{
	struct fs_target t = pins_target(req, in->fh, FS_KEPT_READ);
	struct fs *fs = req->se->fs;
	struct cursor out = req->out;
	size_t done = 0;

	do {
		size_t want;
		int n = cursor_lend(&out, left - done, req->w->iov, FUSE_IOV_MAX, &want);
		ssize_t got = fs->ops->read(fs, &t, req->w->iov, n, in->offset + done, at_once);

		if (got < 0)
			return done > 0 && !at_once ? (int)done : (int)got;
		done += (size_t)got;
		if ((size_t)got < want)
			break;
	} while (done < left);
	count_add(&req->w->count.numbers.read, done);
	return (int)done;
}

int fuse_do_READ(struct fuse_req *req)
{
	const struct fuse_read_in *in = req->args;
	size_t left = min_t(size_t, in->size, req->out.left);
	bool may_leave = !req->beside && req->se->pool;
	int r;

	/* A short answer would look like the end of the file. */
	if (left > FUSE_DATA_MAX)
		return -EINVAL;
	r = read_data(req, in, left, may_leave);
	if (r != -EAGAIN || !may_leave)
		return r;
	/* With too many there already it is read here. */
	return fuse_pool_take_data(req) ? FUSE_LATER : read_data(req, in, left, false);
}

/* How this one WRITE treats the file. What a guest writes back from its cache knows its place. */
static unsigned int write_how(const struct fuse_req *req, const struct fuse_write_in *in)
{
	bool cached = in->write_flags & FUSE_WRITE_CACHE ||
		fuse_has(req->se, FUSE_WRITEBACK_CACHE);
	unsigned int how = 0;

	if ((in->flags & O_APPEND) && !cached)
		how |= FS_WRITE_APPEND;
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		how |= FS_WRITE_KILL_PRIV;
	if ((in->flags & O_SYNC) == O_SYNC)
		how |= FS_WRITE_SYNC;
	else if (in->flags & O_DSYNC)
		how |= FS_WRITE_DSYNC;
	return how;
}

int fuse_do_WRITE(struct fuse_req *req)
{
	const struct fuse_write_in *in = req->args;
	struct fs_target t = pins_target(req, in->fh, FS_KEPT_WRITE);
	struct fuse_write_out out = {0};
	struct fs *fs = req->se->fs;
	unsigned int how = write_how(req, in);
	size_t done = 0;

	if (in->size > req->data.left || in->size > FUSE_DATA_MAX)
		return -EINVAL;
	do {
		size_t want;
		int n = cursor_lend(&req->data, in->size - done, req->w->iov, FUSE_IOV_MAX, &want);
		ssize_t put = fs->ops->write(fs, &t, req->w->iov, n, in->offset + done, how);

		if (put < 0 && done == 0)
			return (int)put;
		if (put < 0)
			break;
		done += (size_t)put;
		if ((size_t)put < want)
			break;
	} while (done < in->size);
	count_add(&req->w->count.numbers.written, done);
	out.size = (uint32_t)done;
	req->sized = req->in.nodeid;
	return fuse_reply(req, &out, sizeof(out));
}

int fuse_do_FLUSH(struct fuse_req *req)
{
	const struct fuse_flush_in *in = req->args;
	struct fs_target t = fuse_target(req, in->fh);

	/* Nothing was opened, nothing is closed; Linux does not ask again. */
	if (fuse_has(req->se, FUSE_NO_OPEN_SUPPORT))
		return -ENOSYS;
	return req->se->fs->ops->flush(req->se->fs, &t, in->lock_owner);
}

static int fsync_target(struct fuse_req *req, const struct fs_target *t)
{
	const struct fuse_fsync_in *in = req->args;

	return req->se->fs->ops->fsync(req->se->fs, t, in->fsync_flags & FUSE_FSYNC_FDATASYNC);
}

int fuse_do_FSYNC(struct fuse_req *req)
{
	const struct fuse_fsync_in *in = req->args;
	struct fs_target t = pins_target(req, in->fh, FS_KEPT_ANY);

	return fsync_target(req, &t);
}

int fuse_do_FSYNCDIR(struct fuse_req *req)
{
	const struct fuse_fsync_in *in = req->args;
	struct fs_target t = fuse_dir_target(req, in->fh);

	return fsync_target(req, &t);
}

/* Writes say whether set-id bits go; for these two it is who asks that counts, as Linux then leaves
 * all of it to us. */
static bool kills_priv(const struct fuse_req *req)
{
	return req->unprivileged && fuse_has(req->se, FUSE_HANDLE_KILLPRIV_V2);
}

int fuse_do_FALLOCATE(struct fuse_req *req)
{
	const struct fuse_fallocate_in *in = req->args;
	struct fs_target t = pins_target(req, in->fh, FS_KEPT_WRITE);

	return req->se->fs->ops->fallocate(req->se->fs, &t, (int)in->mode, in->offset, in->length,
		kills_priv(req));
}

int fuse_do_LSEEK(struct fuse_req *req)
{
	const struct fuse_lseek_in *in = req->args;
	struct fs_target t = pins_target(req, in->fh, FS_KEPT_ANY);
	int64_t at = req->se->fs->ops->lseek(req->se->fs, &t, in->offset, (int)in->whence);
	struct fuse_lseek_out out = {.offset = (uint64_t)at};

	return at < 0 ? (int)at : fuse_reply(req, &out, sizeof(out));
}

static ssize_t copy_range(struct fuse_req *req, uint64_t len_max)
{
	const struct fuse_copy_file_range_in *in = req->args;
	struct fs_copy copy = {
		.from = pins_target(req, in->fh_in, FS_KEPT_READ),
		.to = pins_target_of(req, in->nodeid_out, in->fh_out, FS_KEPT_WRITE),
		.from_offset = in->off_in,
		.to_offset = in->off_out,
		.len = min_t(uint64_t, in->len, len_max),
		.kill_priv = kills_priv(req),
	};

	if (in->flags)
		return -EINVAL;
	return req->se->fs->ops->copy_file_range(req->se->fs, &copy);
}

int fuse_do_COPY_FILE_RANGE(struct fuse_req *req)
{
	/* The answer has 32 bits. */
	ssize_t n = copy_range(req, UINT32_MAX & ~4095u);
	struct fuse_write_out out = {.size = (uint32_t)n};

	return n < 0 ? (int)n : fuse_reply(req, &out, sizeof(out));
}

int fuse_do_COPY_FILE_RANGE_64(struct fuse_req *req)
{
	ssize_t n = copy_range(req, INT64_MAX & ~4095ull);
	struct fuse_copy_file_range_out out = {.bytes_copied = (uint64_t)n};

	return n < 0 ? (int)n : fuse_reply(req, &out, sizeof(out));
}
