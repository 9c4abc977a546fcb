// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ACLs as getxattr(2) and setxattr(2) have them: by operations on dentries, or by handlers (acl.h).
 * One that nobody here decides by is passed on, as any attribute.
 */
#include "acl.h"

#include "../node.h"

static bool is_decided(const struct inode *inode)
{
	return cw_conn_of(inode)->flags & FUSE_POSIX_ACL;
}

#if CW_KERNEL(6, 2)
struct posix_acl *cw_get_acl(cw_idmap *idmap, struct dentry *dentry, int type)
{
	struct inode *inode = d_inode(dentry);

	return is_decided(inode) ? cw_get_inode_acl(inode, type, false) : cw_fetch_acl(inode, type);
}

int cw_set_acl(cw_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type)
{
	return cw_set_inode_acl(idmap, d_inode(dentry), acl, type);
}
#else
static const struct xattr_handler *vfs_handler(const struct xattr_handler *handler)
{
	return handler->flags == ACL_TYPE_ACCESS ? &posix_acl_access_xattr_handler :
						   &posix_acl_default_xattr_handler;
}

static int get_acl_xattr(const struct xattr_handler *handler, struct dentry *dentry,
			 struct inode *inode, const char *name, void *value, size_t size)
{
	const struct xattr_handler *vfs = vfs_handler(handler);

	if (cw_is_bad(inode))
		return -EIO;
	return is_decided(inode) ? vfs->get(vfs, dentry, inode, name, value, size) :
				   cw_getxattr(inode, handler->name, value, size);
}

static int set_acl_xattr(const struct xattr_handler *handler, struct user_namespace *users,
			 struct dentry *dentry, struct inode *inode, const char *name,
			 const void *value, size_t size, int flags)
{
	const struct xattr_handler *vfs = vfs_handler(handler);

	if (cw_is_bad(inode))
		return -EIO;
	if (is_decided(inode))
		return vfs->set(vfs, users, dentry, inode, name, value, size, flags);
	return value ? cw_setxattr(inode, handler->name, value, size, flags, 0) :
		       cw_removexattr(inode, handler->name);
}

const struct xattr_handler cw_acl_access_handler = {
	.name = XATTR_NAME_POSIX_ACL_ACCESS,
	.flags = ACL_TYPE_ACCESS,
	.get = get_acl_xattr,
	.set = set_acl_xattr,
};

const struct xattr_handler cw_acl_default_handler = {
	.name = XATTR_NAME_POSIX_ACL_DEFAULT,
	.flags = ACL_TYPE_DEFAULT,
	.get = get_acl_xattr,
	.set = set_acl_xattr,
};
#endif
