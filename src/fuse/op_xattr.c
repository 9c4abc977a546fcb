// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extended attributes: SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR. Without --xattr the answer is
 * -ENOSYS, after which a guest does not ask again.
 */
#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <string.h>

#include "base/util.h"
#include "fuse/request.h"

_Static_assert(FUSE_BUFFER_MAX >= XATTR_NAME_MAX + 1 + XATTR_SIZE_MAX, "a name and its value");
_Static_assert(FUSE_BUFFER_MAX >= XATTR_LIST_MAX, "a list of names");

/*
 * A guest that does not enforce ACLs neither sees nor sets them: what it would show its programs is
 * not what it does, and what it stored would change who may do what on the host.
 */
static bool is_hidden(const struct fuse_req *req, const char *name)
{
	if (fuse_has(req->se, FUSE_POSIX_ACL))
		return false;
	return strcmp(name, "system.posix_acl_access") == 0 ||
		strcmp(name, "system.posix_acl_default") == 0;
}

/* How SETXATTR begins: with FUSE_SETXATTR_EXT there is more of the structure than before 7.33. */
static int read_head(struct fuse_req *req, struct fuse_setxattr_in *in)
{
	const char *fixed = req->args;
	size_t more = sizeof(*in) - FUSE_COMPAT_SETXATTR_IN_SIZE;

	memset(in, 0, sizeof(*in));
	memcpy(in, fixed, FUSE_COMPAT_SETXATTR_IN_SIZE);
	if (!fuse_has(req->se, FUSE_SETXATTR_EXT))
		return 0;
	return cursor_read(&req->data, (char *)in + FUSE_COMPAT_SETXATTR_IN_SIZE, more) == more
		? 0
		: -EINVAL;
}

int fuse_do_SETXATTR(struct fuse_req *req)
{
	const char *name = req->w->buffer, *end;
	struct fs_xattr x = {.node = req->in.nodeid, .name = name};
	struct fuse_setxattr_in in;
	size_t len;
	int r;

	if (!req->se->config.xattr)
		return -ENOSYS;
	r = read_head(req, &in);
	if (r < 0)
		return r;
	if (in.size > XATTR_SIZE_MAX)
		return -E2BIG;
	len = req->data.left;
	if (len > XATTR_NAME_MAX + 1 + in.size)
		return -EINVAL;
	cursor_read(&req->data, req->w->buffer, len);
	end = memchr(name, '\0', len);
	if (!end || len - (size_t)(end + 1 - name) != in.size)
		return -EINVAL;
	if (is_hidden(req, name))
		return -EOPNOTSUPP;
	x.value = end + 1;
	x.size = in.size;
	x.flags = (int)in.flags;
	x.kill_sgid = in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
	return req->se->fs->ops->setxattr(req->se->fs, &x);
}

/* Whether there is room for an answer; size 0 asks for a length, and must not be asked of the file
 * system where the guest wants bytes that it has no room for. */
static int check_room(const struct fuse_req *req, uint32_t size)
{
	if (!req->se->config.xattr)
		return -ENOSYS;
	if (size == 0)
		return req->out.left < sizeof(struct fuse_getxattr_out) ? -EINVAL : 0;
	return req->out.left == 0 ? -ERANGE : 0;
}

/* What a guest gets of n bytes in the buffer, or of their number alone. */
static int answer(struct fuse_req *req, uint32_t size, ssize_t n)
{
	struct fuse_getxattr_out out = {0};

	if (n < 0)
		return (int)n;
	if (size > 0)
		return fuse_reply(req, req->w->buffer, (size_t)n);
	out.size = (uint32_t)n;
	return fuse_reply(req, &out, sizeof(out));
}

/* Room for a value or a list: what the guest asks for and has. */
static size_t room(const struct fuse_req *req, uint32_t size)
{
	return min_t(size_t, min_t(size_t, size, req->out.left), XATTR_SIZE_MAX);
}

int fuse_do_GETXATTR(struct fuse_req *req)
{
	const struct fuse_getxattr_in *in = req->args;
	struct fs *fs = req->se->fs;
	int r = check_room(req, in->size);

	if (r == 0 && is_hidden(req, req->name[0]))
		r = -EOPNOTSUPP;
	return r < 0 ? r : answer(req, in->size,
		fs->ops->getxattr(fs, req->in.nodeid, req->name[0], req->w->buffer,
			room(req, in->size)));
}

/* Removes what is hidden from a list of n bytes; how many are left. */
static ssize_t show(const struct fuse_req *req, char *list, size_t n)
{
	size_t kept = 0;

	for (size_t at = 0, len; at < n; at += len) {
		len = strnlen(list + at, n - at - 1) + 1;
		if (is_hidden(req, list + at))
			continue;
		memmove(list + kept, list + at, len);
		kept += len;
	}
	return (ssize_t)kept;
}

int fuse_do_LISTXATTR(struct fuse_req *req)
{
	const struct fuse_getxattr_in *in = req->args;
	struct fs *fs = req->se->fs;
	int r = check_room(req, in->size);

	ssize_t n = r;

	if (r == 0)
		n = fs->ops->listxattr(fs, req->in.nodeid, req->w->buffer, XATTR_LIST_MAX);
	if (n > 0)
		n = show(req, req->w->buffer, (size_t)n);
	if (in->size > 0 && n > (ssize_t)room(req, in->size))
		return -ERANGE;
	return answer(req, in->size, n);
}

int fuse_do_REMOVEXATTR(struct fuse_req *req)
{
	if (!req->se->config.xattr)
		return -ENOSYS;
	if (is_hidden(req, req->name[0]))
		return -EOPNOTSUPP;
	return req->se->fs->ops->removexattr(req->se->fs, req->in.nodeid, req->name[0]);
}
