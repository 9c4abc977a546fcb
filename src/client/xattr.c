// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extended attributes, of what a path names and of what a handle is. A size of 0 asks how many
 * bytes there are, as getxattr(2) has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>

#include "base/util.h"
#include "client/file.h"
#include "client/notify.h"
#include "client/xattrs.h"

static int check_name(struct causeway *c, const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= XATTR_NAME_MAX ? 0 :
		client_fail(c, -ERANGE, "the name of an attribute has 1 to %d bytes",
			XATTR_NAME_MAX);
}

/* What a back-end without attributes says is what a file system without them does. */
static int explain(struct causeway *c, int r)
{
	return r != -ENOSYS ? r :
		client_fail(c, -EOPNOTSUPP, "the back-end has no extended attributes; causewayd "
					    "has them with --xattr");
}

static int malformed(struct causeway *c, const struct call *call, const char *how)
{
	return client_fail(c, -EPROTO, "the back-end's reply to %s is malformed: %s",
		trace_opcode_name(call->opcode), how);
}

/* Performs a GETXATTR or LISTXATTR on a node, of which in is the first argument and name what it is
 * kept under, for up to max bytes: how many there are. */
static ssize_t fetch(struct causeway *c, struct node *node, const char *name, struct call *call,
	struct fuse_getxattr_in *in, void *buf, size_t size, size_t max)
{
	struct fuse_getxattr_out out;
	struct iovec take = {buf, min_t(size_t, size, max)};
	struct validity before;
	ssize_t kept;
	int r;

	client_hear(c);
	if (xattrs_get(c, node, name, buf, take.iov_len, &kept))
		return kept < 0 ? client_fail(c, (int)kept, "%s", strerror((int)-kept)) : kept;
	before = xattrs_begin(c, node);
	call->nodeid = node->id;
	in->size = (uint32_t)take.iov_len;
	if (size > 0) {
		call->take = &take;
		call->ntake = 1;
	} else {
		call->out = &out;
		call->out_size = call->out_least = sizeof(out);
	}
	r = client_call(c, call);
	if (r == -ENODATA)
		xattrs_put(c, node, name, NULL, 0, before, call->asof);
	if (r < 0)
		return explain(c, r);
	if (size > 0) {
		xattrs_put(c, node, name, buf, call->taken,
			words_shown(c, &call->words, VT_NODE_ATTR), call->asof);
		return (ssize_t)call->taken;
	}
	return out.size <= max ? (ssize_t)out.size : malformed(c, call, "it is too large");
}

static ssize_t getxattr_once(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, void *value, size_t size, int flags)
{
	struct fuse_getxattr_in in = {.size = 0};
	struct call call = {
		.opcode = FUSE_GETXATTR,
		.args = {CALL_STRUCT(in), CALL_NAME(name)},
		.nargs = 2,
	};
	struct target t;
	ssize_t n = check_name(c, name);

	if (n == 0)
		n = client_target(c, at, path, flags, &t);
	if (n < 0)
		return n;
	n = fetch(c, t.node, name, &call, &in, value, size, XATTR_SIZE_MAX);
	node_put(c, t.node);
	return n;
}

EXPORT ssize_t causeway_getxattr(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, void *value, size_t size, int flags)
{
	return CLIENT_AGAIN(c, getxattr_once(c, at, path, name, value, size, flags));
}

EXPORT ssize_t causeway_fgetxattr(struct causeway_file *f, const char *name, void *value,
	size_t size)
{
	return causeway_getxattr(f->c, f, "", name, value, size, AT_EMPTY_PATH);
}

/* Whether n bytes are names, each with its end. */
static bool is_list(const char *list, size_t n)
{
	for (size_t at = 0, len; at < n; at += len + 1) {
		len = strnlen(list + at, n - at);
		if (len == 0 || len > XATTR_NAME_MAX || at + len == n)
			return false;
	}
	return true;
}

static ssize_t listxattr_once(struct causeway *c, struct causeway_file *at, const char *path,
	char *list, size_t size, int flags)
{
	struct fuse_getxattr_in in = {.size = 0};
	struct call call = {.opcode = FUSE_LISTXATTR, .args = {CALL_STRUCT(in)}, .nargs = 1};
	struct target t;
	ssize_t n = client_target(c, at, path, flags, &t);

	if (n < 0)
		return n;
	n = fetch(c, t.node, XATTRS_LIST, &call, &in, list, size, XATTR_LIST_MAX);
	if (n > 0 && size > 0 && !is_list(list, (size_t)n))
		n = malformed(c, &call, "it is no list of names");
	node_put(c, t.node);
	return n;
}

EXPORT ssize_t causeway_listxattr(struct causeway *c, struct causeway_file *at, const char *path,
	char *list, size_t size, int flags)
{
	return CLIENT_AGAIN(c, listxattr_once(c, at, path, list, size, flags));
}

EXPORT ssize_t causeway_flistxattr(struct causeway_file *f, char *list, size_t size)
{
	return causeway_listxattr(f->c, f, "", list, size, AT_EMPTY_PATH);
}

/* Sends what changes attributes of a path's node. */
static int change(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	struct call *call)
{
	struct target t;
	int r = client_target(c, at, path, flags, &t);

	if (r < 0)
		return r;
	call->nodeid = t.node->id;
	r = explain(c, client_call(c, call));
	node_drop_attr(c, t.node);
	node_put(c, t.node);
	return r;
}

static int setxattr_once(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, const void *value, size_t size, int how, int flags)
{
	struct fuse_setxattr_in in = {.size = (uint32_t)size, .flags = (uint32_t)how};
	struct iovec send = {(void *)value, size};
	struct call call = {
		.opcode = FUSE_SETXATTR,
		.args = {CALL_STRUCT(in), CALL_NAME(name)},
		.nargs = 2,
		.send = &send,
		.nsend = 1,
	};
	int r = check_name(c, name);

	if (r < 0)
		return r;
	if (size > XATTR_SIZE_MAX)
		return client_fail(c, -E2BIG, "the value of an attribute has at most %d bytes",
			XATTR_SIZE_MAX);
	if (!(c->session.flags & FUSE_SETXATTR_EXT))
		call.args[0].iov_len = sizeof(struct fuse_setxattr_in_oldest);
	return change(c, at, path, flags, &call);
}

EXPORT int causeway_setxattr(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, const void *value, size_t size, int how, int flags)
{
	return CLIENT_AGAIN(c, setxattr_once(c, at, path, name, value, size, how, flags));
}

EXPORT int causeway_fsetxattr(struct causeway_file *f, const char *name, const void *value,
	size_t size, int how)
{
	return causeway_setxattr(f->c, f, "", name, value, size, how, AT_EMPTY_PATH);
}

static int removexattr_once(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, int flags)
{
	struct call call = {.opcode = FUSE_REMOVEXATTR, .args = {CALL_NAME(name)}, .nargs = 1};
	int r = check_name(c, name);

	return r < 0 ? r : change(c, at, path, flags, &call);
}

EXPORT int causeway_removexattr(struct causeway *c, struct causeway_file *at, const char *path,
	const char *name, int flags)
{
	return CLIENT_AGAIN(c, removexattr_once(c, at, path, name, flags));
}

EXPORT int causeway_fremovexattr(struct causeway_file *f, const char *name)
{
	return causeway_removexattr(f->c, f, "", name, AT_EMPTY_PATH);
}
