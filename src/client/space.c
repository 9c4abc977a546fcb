// SPDX-License-Identifier: BSD-2-Clause
/*
 * Space: allocated, searched for holes and for a position, copied without coming here, counted; and
 * whether it may be used at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/file.h"

/* The minor version that brought COPY_FILE_RANGE_64. */
#define MINOR_COPY_64 45
/* What COPY_FILE_RANGE can say that it has copied. */
#define COPY_32_MAX (UINT32_MAX & ~(size_t)4095)

int client_check_open(struct causeway_file *f, int not_mode)
{
	if ((f->flags & O_PATH) || (f->flags & O_ACCMODE) == not_mode)
		return client_fail(f->c, -EBADF, "the file is not open for that");
	return f->node->type == S_IFREG ? 0 :
		client_fail(f->c, -EISDIR, "a directory is not read or written like a file");
}

static int explain(struct causeway *c, int r, const char *what)
{
	return r != -ENOSYS ? r : client_fail(c, -EOPNOTSUPP, "the back-end has no %s", what);
}

EXPORT int causeway_fallocate(struct causeway_file *f, int mode, off_t offset, off_t length)
{
	struct fuse_fallocate_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.length = (uint64_t)length,
		.mode = (uint32_t)mode,
	};
	struct call call = {
		.opcode = FUSE_FALLOCATE,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};
	int r = client_check_open(f, O_RDONLY);
	off_t end;

	if (r < 0)
		return r;
	if (offset < 0 || length <= 0)
		return client_fail(f->c, -EINVAL, "%lld bytes from %lld on are no range",
			(long long)length, (long long)offset);
	if (__builtin_add_overflow(offset, length, &end))
		return client_fail(f->c, -EFBIG, "no file ends there");
	behind_send(f->c, f->node);
	r = client_strip_priv(f);
	/* What is behind that moves. */
	if (r == 0 && (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)))
		window_drop(f->c, f->node, (uint64_t)offset);
	if (r == 0)
		r = client_call(f->c, &call);
	node_drop_data(f->c, f->node);
	return explain(f->c, r, "fallocate");
}

/* Where SEEK_DATA and SEEK_HOLE lead when only the size is known: all is data up to there. */
static off_t seek_without(struct causeway_file *f, off_t offset, int whence)
{
	struct fuse_attr attr;
	int r = client_getattr(f->c, f->node, f, &attr);

	if (r < 0)
		return r;
	if ((uint64_t)offset >= attr.size)
		return client_fail(f->c, -ENXIO, "the file ends before that");
	return whence == SEEK_DATA ? offset : (off_t)min_t(uint64_t, attr.size, INT64_MAX);
}

static off_t seek_asked(struct causeway_file *f, off_t offset, int whence)
{
	struct fuse_lseek_in in = {
		.fh = f->fh, .offset = (uint64_t)offset, .whence = (uint32_t)whence};
	struct fuse_lseek_out out;
	struct call call = {
		.opcode = FUSE_LSEEK,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r;

	if (offset < 0)
		return client_fail(f->c, -ENXIO, "there is no offset %lld", (long long)offset);
	behind_send(f->c, f->node);
	r = client_call(f->c, &call);
	if (r == -ENOSYS)
		return seek_without(f, offset, whence);
	if (r == 0 && (out.offset < in.offset || out.offset > INT64_MAX))
		return client_fail(f->c, -EPROTO, "the back-end's reply to LSEEK is malformed: it "
						  "went back");
	return r < 0 ? r : (off_t)out.offset;
}

/* Where lseek(2) leads from a position: an offset or -errno. */
static off_t seek_from(struct causeway_file *f, off_t position, off_t offset, int whence)
{
	struct fuse_attr attr;
	off_t base = 0, to;
	int r;

	switch (whence) {
	case SEEK_DATA:
	case SEEK_HOLE:
		return seek_asked(f, offset, whence);
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = position;
		break;
	case SEEK_END:
		r = client_getattr(f->c, f->node, f, &attr);
		if (r < 0)
			return r;
		base = (off_t)min_t(uint64_t, attr.size, INT64_MAX);
		break;
	default:
		return client_fail(f->c, -EINVAL, "there is no way %d to seek", whence);
	}
	if (__builtin_add_overflow(base, offset, &to))
		return client_fail(f->c, -EOVERFLOW, "no offset is so large");
	return to >= 0 ? to : client_fail(f->c, -EINVAL, "that is before the beginning");
}

EXPORT off_t causeway_lseek(struct causeway_file *f, off_t offset, int whence)
{
	off_t to;

	if (f->flags & O_PATH)
		return client_fail(f->c, -EBADF, "the file is not open for that");
	if (f->node->type == S_IFDIR)
		return client_fail(f->c, -EISDIR, "directories have causeway_seekdir()");
	pthread_mutex_lock(&f->lock);
	to = seek_from(f, f->position, offset, whence);
	if (to >= 0)
		f->position = to;
	pthread_mutex_unlock(&f->lock);
	return to;
}

/* One of the two requests that copy; they differ in how they say how much. */
static ssize_t copy_by(struct causeway *c, struct call *call, uint32_t opcode)
{
	struct fuse_copy_file_range_in *in = call->args[0].iov_base;
	struct fuse_copy_file_range_out wide;
	struct fuse_write_out narrow;
	bool is_wide = opcode == FUSE_COPY_FILE_RANGE_64;
	uint64_t n;
	int r;

	call->opcode = opcode;
	call->out = is_wide ? (void *)&wide : &narrow;
	call->out_size = call->out_least = is_wide ? sizeof(wide) : sizeof(narrow);
	r = client_call(c, call);
	if (r < 0)
		return r;
	n = is_wide ? wide.bytes_copied : narrow.size;
	if (n > in->len)
		return client_fail(c, -EPROTO, "the back-end's reply to %s is malformed: it copied "
					       "more than there was to copy",
			trace_opcode_name(opcode));
	return (ssize_t)n;
}

EXPORT ssize_t causeway_copy_file_range(struct causeway_file *from, off_t from_offset,
	struct causeway_file *to, off_t to_offset, size_t size)
{
	struct causeway *c = from->c;
	struct fuse_copy_file_range_in in = {
		.fh_in = from->fh,
		.off_in = (uint64_t)from_offset,
		.nodeid_out = to->node->id,
		.fh_out = to->fh,
		.off_out = (uint64_t)to_offset,
		.len = min_t(size_t, size, SSIZE_MAX & ~4095ll),
	};
	struct call call = {
		.nodeid = from->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};
	ssize_t n = client_check_open(from, O_WRONLY);

	if (n == 0)
		n = client_check_open(to, O_RDONLY);
	if (n < 0)
		return n;
	if (to->c != c)
		return client_fail(c, -EXDEV, "the two files are of two connections");
	if (from_offset < 0 || to_offset < 0)
		return client_fail(c, -EINVAL, "there is no offset below 0");
	behind_send(c, from->node);
	behind_send(c, to->node);
	n = client_strip_priv(to);
	if (n < 0)
		return n;
	n = -ENOSYS;
	if (c->session.minor >= MINOR_COPY_64 && !atomic_load(&c->no_copy_64))
		n = copy_by(c, &call, FUSE_COPY_FILE_RANGE_64);
	if (n == -ENOSYS) {
		atomic_store(&c->no_copy_64, true);
		in.len = min_t(uint64_t, in.len, COPY_32_MAX);
		n = copy_by(c, &call, FUSE_COPY_FILE_RANGE);
	}
	node_drop_data(c, to->node);
	return n < 0 ? explain(c, (int)n, "copy_file_range") : n;
}

static void to_statvfs(const struct fuse_kstatfs *k, struct statvfs *st)
{
	*st = (struct statvfs){
		.f_bsize = k->bsize,
		.f_frsize = k->frsize ? k->frsize : k->bsize,
		.f_blocks = k->blocks,
		.f_bfree = k->bfree,
		.f_bavail = k->bavail,
		.f_files = k->files,
		.f_ffree = k->ffree,
		.f_favail = k->ffree,
		.f_namemax = k->namelen,
	};
}

static int statvfs_once(struct causeway *c, struct causeway_file *at, const char *path,
	struct statvfs *st)
{
	struct fuse_statfs_out out;
	struct call call = {
		.opcode = FUSE_STATFS,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	struct target t;
	int r = client_target(c, at, path, AT_EMPTY_PATH, &t);

	if (r < 0)
		return r;
	call.nodeid = t.node->id;
	r = client_call(c, &call);
	node_put(c, t.node);
	if (r == 0)
		to_statvfs(&out.st, st);
	return r;
}

EXPORT int causeway_statvfs(struct causeway *c, struct causeway_file *at, const char *path,
	struct statvfs *st)
{
	return CLIENT_AGAIN(c, statvfs_once(c, at, path, st));
}

EXPORT int causeway_syncfs(struct causeway *c)
{
	struct fuse_syncfs_in in = {0};
	struct call call = {
		.opcode = FUSE_SYNCFS,
		.nodeid = FUSE_ROOT_ID,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};

	int r = behind_send_all(c);

	return r < 0 ? r : explain(c, client_call(c, &call), "syncfs");
}

/* What a mode grants to whom requests are made for. */
static unsigned int granted(const struct causeway *c, const struct fuse_attr *attr)
{
	unsigned int any = (attr->mode >> 6 | attr->mode >> 3 | attr->mode) & X_OK;

	if (c->options.uid == 0)
		return R_OK | W_OK | ((attr->mode & S_IFMT) == S_IFDIR ? X_OK : any);
	if (c->options.uid == attr->uid)
		return attr->mode >> 6 & 7;
	return (c->options.gid == attr->gid ? attr->mode >> 3 : attr->mode) & 7;
}

/* As a back-end sees it that leaves permissions to its guests. */
static int access_by_mode(struct causeway *c, const struct target *t, unsigned int mode)
{
	struct fuse_attr attr;
	int r = client_getattr(c, t->node, t->file, &attr);

	if (r == 0 && (mode & ~granted(c, &attr)))
		r = client_fail(c, -EACCES, "the mode %#o of %u:%u does not grant that",
			attr.mode & 07777, attr.uid, attr.gid);
	return r;
}

static int access_once(struct causeway *c, struct causeway_file *at, const char *path, int mode,
	int flags)
{
	struct fuse_access_in in = {.mask = (uint32_t)mode};
	struct call call = {.opcode = FUSE_ACCESS, .args = {CALL_STRUCT(in)}, .nargs = 1};
	struct target t;
	int r;

	if (mode & ~(R_OK | W_OK | X_OK))
		return client_fail(c, -EINVAL, "mode %#x is not known here", (unsigned int)mode);
	r = client_target(c, at, path, flags, &t);
	if (r < 0)
		return r;
	call.nodeid = t.node->id;
	/* That it is there was found out on the way. */
	if (mode != F_OK)
		r = client_call(c, &call);
	if (r == -ENOSYS)
		r = access_by_mode(c, &t, (unsigned int)mode);
	node_put(c, t.node);
	return r;
}

EXPORT int causeway_access(struct causeway *c, struct causeway_file *at, const char *path, int mode,
	int flags)
{
	return CLIENT_AGAIN(c, access_once(c, at, path, mode, flags));
}
