// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Extended attributes: all of them are the server's, by whatever name; ACLs are beside (acl.c).
 */
#include <linux/slab.h>
#include <linux/xattr.h>

#include "compat/acl.h"
#include "inode.h"

/* GETXATTR or LISTXATTR: with a size of 0 it is asked how much there is. */
static ssize_t ask(struct inode *inode, u32 opcode, const char *name, void *value, size_t size)
{
	const struct fuse_getxattr_in in = { .size = min_t(size_t, size, XATTR_LIST_MAX) };
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_getxattr_out out;
	struct cw_words words;
	struct cw_call call = {
		.opcode = opcode,
		.nodeid = CW_I(inode)->nodeid,
		.nin = name ? 2 : 1,
		.in = { { &in, sizeof(in) }, { name, name ? strlen(name) + 1 : 0 } },
		.out = size ? value : &out,
		.out_size = size ? in.size : sizeof(out),
		.out_short = size > 0,
		.words = &words,
	};
	ssize_t r;

	if (cw_is_absent(c, opcode))
		return -EOPNOTSUPP;
	r = cw_call(c, &call);
	if (r == -ENOSYS) {
		cw_set_absent(c, opcode);
		return -EOPNOTSUPP;
	}
	if (r >= 0 && !size)
		return min_t(size_t, out.size, name ? XATTR_SIZE_MAX : XATTR_LIST_MAX);
	return r;
}

ssize_t cw_getxattr(struct inode *inode, const char *name, void *value, size_t size)
{
	return ask(inode, FUSE_GETXATTR, name, value, size);
}

/* Whether it is names, each of some bytes and a NUL. */
static bool is_list(const char *list, size_t len)
{
	while (len > 0) {
		const size_t one = strnlen(list, len);

		if (one == 0 || one == len)
			return false;
		list += one + 1;
		len -= one + 1;
	}
	return true;
}

ssize_t cw_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);
	ssize_t r;

	if (cw_is_bad(inode))
		return -EIO;
	r = ask(inode, FUSE_LISTXATTR, NULL, list, size);
	return r > 0 && size && !is_list(list, r) ? -EIO : r;
}

/* The ctime is another one; with an ACL, who may do what is, too, the mode included. */
static void changed(struct inode *inode, const char *name, int r, const struct cw_words *words)
{
	if (r < 0 && r != -EINTR)
		return;
	if (r < 0 || !strncmp(name, XATTR_SYSTEM_PREFIX, XATTR_SYSTEM_PREFIX_LEN))
		cw_drop_attr(inode);
	else
		cw_attr_changed(inode, words, VT_NODE_ATTR);
}

int cw_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags,
		u32 extra)
{
	struct cw_conn *c = cw_conn_of(inode);
	const struct fuse_setxattr_in in = {.size = size, .flags = flags, .setxattr_flags = extra};
	struct cw_words words;
	struct cw_call call = {
		.opcode = FUSE_SETXATTR,
		.nodeid = CW_I(inode)->nodeid,
		.nin = 3,
		.in = {
			{ &in, c->flags & FUSE_SETXATTR_EXT ? sizeof(in) :
							      FUSE_COMPAT_SETXATTR_IN_SIZE },
			{ name, strlen(name) + 1 },
			{ value, size },
		},
		.words = &words,
	};
	int r;

	if (cw_is_absent(c, FUSE_SETXATTR))
		return -EOPNOTSUPP;
	r = cw_call(c, &call);
	if (r == -ENOSYS) {
		cw_set_absent(c, FUSE_SETXATTR);
		return -EOPNOTSUPP;
	}
	changed(inode, name, r, &words);
	return min(r, 0);
}

int cw_removexattr(struct inode *inode, const char *name)
{
	const struct qstr as = QSTR_INIT(name, strlen(name));
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_words words;
	int r;

	if (cw_is_absent(c, FUSE_REMOVEXATTR))
		return -EOPNOTSUPP;
	r = cw_simple(c, FUSE_REMOVEXATTR, CW_I(inode)->nodeid, NULL, 0, &as, NULL, 0, &words);
	if (r == -ENOSYS) {
		cw_set_absent(c, FUSE_REMOVEXATTR);
		return -EOPNOTSUPP;
	}
	changed(inode, name, r, &words);
	return min(r, 0);
}

static int get(const struct xattr_handler *handler, struct dentry *dentry, struct inode *inode,
	       const char *name, void *value, size_t size)
{
	return cw_is_bad(inode) ? -EIO : cw_getxattr(inode, name, value, size);
}

static int set(const struct xattr_handler *handler, cw_idmap *idmap, struct dentry *dentry,
	       struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
	if (cw_is_bad(inode))
		return -EIO;
	return value ? cw_setxattr(inode, name, value, size, flags, 0) :
		       cw_removexattr(inode, name);
}

static const struct xattr_handler any = {
	.prefix = "",
	.get = get,
	.set = set,
};

const struct xattr_handler *const cw_xattr_handlers[] = {
	CW_ACL_HANDLERS
	&any,
	NULL,
};
