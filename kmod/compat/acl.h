/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * POSIX ACLs, which VFS asks for in three ways. 6.1: get_acl(inode), with no idmap, for checks and
 * for getxattr(2), which goes through handlers. 6.2: get_inode_acl(inode) for checks,
 * get_acl(dentry) for getxattr(2), without handlers.
 */
#ifndef KMOD_COMPAT_ACL_H
#define KMOD_COMPAT_ACL_H

#include <linux/fs.h>
#include <linux/mnt_idmapping.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>

#include "compat.h"

struct posix_acl *cw_get_inode_acl(struct inode *inode, int type, bool rcu);
struct posix_acl *cw_fetch_acl(struct inode *inode, int type); /* from the server */
int cw_set_inode_acl(cw_idmap *idmap, struct inode *inode, struct posix_acl *acl, int type);

#if CW_KERNEL(6, 2)
struct posix_acl *cw_get_acl(cw_idmap *idmap, struct dentry *dentry, int type);
int cw_set_acl(cw_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type);

#define CW_ACL_OPS .get_inode_acl = cw_get_inode_acl, .get_acl = cw_get_acl, .set_acl = cw_set_acl,
#else
#define CW_ACL_OPS .get_acl = cw_get_inode_acl, .set_acl = cw_set_inode_acl,
#endif

/* Whether somebody may keep S_ISGID in a mode that others than the group's may use. 6.2 has it, but
 * not for modules before 6.3. */
static inline bool cw_keeps_sgid(cw_idmap *idmap, struct inode *inode)
{
#if CW_KERNEL(6, 3)
	return in_group_or_capable(idmap, inode, i_gid_into_vfsgid(idmap, inode));
#else
	return in_group_p(vfsgid_into_kgid(i_gid_into_vfsgid(idmap, inode))) ||
	       capable_wrt_inode_uidgid(idmap, inode, CAP_FSETID);
#endif
}

/* 6.1's handlers, to which those here give what they do not pass on as it is. */
#if CW_KERNEL(6, 2)
#define CW_ACL_HANDLERS
#else
extern const struct xattr_handler cw_acl_access_handler, cw_acl_default_handler;
#define CW_ACL_HANDLERS &cw_acl_access_handler, &cw_acl_default_handler,
#endif

#endif
