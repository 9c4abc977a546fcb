// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * POSIX ACLs: extended attributes of the server, decided on by the guest's kernel where both agreed
 * to it (FUSE_POSIX_ACL), and only passed on where not.
 *
 * VFS would keep those that it has asked for, and ask nobody whether they are still right; so they
 * are kept here (cw_inode.acls; ACL_NOT_CACHED where nobody knows), and are right while
 * cw_inode.perm is what it was when they were fetched. attr.c drops them before another state is
 * believed, which moves acl_serial: an answer to an older question is used once, and not kept. They
 * are written under cw_inode.lock, and read under RCU.
 */
#include <linux/capability.h>
#include <linux/slab.h>

#include "compat/acl.h"
#include "inode.h"

static const char *name_of(int type)
{
	switch (type) {
	case ACL_TYPE_ACCESS:
		return XATTR_NAME_POSIX_ACL_ACCESS;
	case ACL_TYPE_DEFAULT:
		return XATTR_NAME_POSIX_ACL_DEFAULT;
	}
	return NULL;
}

static struct posix_acl __rcu **place_of(struct inode *inode, int type)
{
	return &CW_I(inode)->acls[type == ACL_TYPE_DEFAULT];
}

void cw_acls_init(struct inode *inode)
{
	RCU_INIT_POINTER(*place_of(inode, ACL_TYPE_ACCESS), ACL_NOT_CACHED);
	RCU_INIT_POINTER(*place_of(inode, ACL_TYPE_DEFAULT), ACL_NOT_CACHED);
	inode->i_acl = ACL_DONT_CACHE;
	inode->i_default_acl = ACL_DONT_CACHE;
}

static void replace(struct inode *inode, int type, struct posix_acl *acl)
{
	struct posix_acl __rcu **place = place_of(inode, type);
	struct posix_acl *old = rcu_replace_pointer(*place, acl, true);

	if (!is_uncached_acl(old))
		posix_acl_release(old);
}

void cw_acls_drop(struct inode *inode)
{
	CW_I(inode)->acl_serial++;
	replace(inode, ACL_TYPE_ACCESS, ACL_NOT_CACHED);
	replace(inode, ACL_TYPE_DEFAULT, ACL_NOT_CACHED);
}

struct posix_acl *cw_fetch_acl(struct inode *inode, int type)
{
	const char *name = name_of(type);
	struct posix_acl *acl = NULL;
	void *value;
	ssize_t r;

	if (cw_is_bad(inode))
		return ERR_PTR(-EIO);
	if (!name)
		return ERR_PTR(-EOPNOTSUPP);
	value = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!value)
		return ERR_PTR(-ENOMEM);
	r = cw_getxattr(inode, name, value, PAGE_SIZE);
	if (r > 0)
		acl = posix_acl_from_xattr(inode->i_sb->s_user_ns, value, r);
	else if (r == -ERANGE)
		acl = ERR_PTR(-E2BIG);
	else if (r < 0 && r != -ENODATA && r != -EOPNOTSUPP)
		acl = ERR_PTR(r);
	kfree(value);
	return acl;
}

/* What is known, with a reference: or ACL_NOT_CACHED, and of what moment that is. */
static struct posix_acl *known(struct inode *inode, int type, u64 *serial)
{
	struct cw_inode *ci = CW_I(inode);
	struct posix_acl *acl;

	spin_lock(&ci->lock);
	acl = rcu_dereference_protected(*place_of(inode, type), lockdep_is_held(&ci->lock));
	if (!is_uncached_acl(acl))
		posix_acl_dup(acl);
	*serial = ci->acl_serial;
	spin_unlock(&ci->lock);
	return acl;
}

static void keep(struct inode *inode, int type, struct posix_acl *acl, u64 serial)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	/* The word that is trusted still was that of the answer, too. */
	if (ci->acl_serial == serial && cw_kept_holds(cw_conn_of(inode), &ci->perm))
		replace(inode, type, posix_acl_dup(acl));
	spin_unlock(&ci->lock);
}

struct posix_acl *cw_get_inode_acl(struct inode *inode, int type, bool rcu)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct posix_acl *acl;
	u64 serial;
	int r;

	if (!(c->flags & FUSE_POSIX_ACL) || !name_of(type))
		return NULL;
	if (rcu) {
		acl = rcu_dereference(*place_of(inode, type));
		return is_uncached_acl(acl) || !cw_kept_holds(c, &CW_I(inode)->perm) ?
			       ERR_PTR(-ECHILD) : acl;
	}
	if (!cw_kept_holds(c, &CW_I(inode)->perm)) {
		r = cw_refresh(inode, NULL, true);
		if (r < 0)
			return ERR_PTR(r);
	}
	acl = known(inode, type, &serial);
	if (!is_uncached_acl(acl))
		return acl;
	acl = cw_fetch_acl(inode, type);
	if (!IS_ERR(acl))
		keep(inode, type, acl, serial);
	return acl;
}

static int store(struct inode *inode, const char *name, struct posix_acl *acl, u32 extra)
{
	const size_t size = posix_acl_xattr_size(acl->a_count);
	void *value;
	int r;

	if (size > PAGE_SIZE)
		return -E2BIG;
	value = kmalloc(size, GFP_KERNEL);
	if (!value)
		return -ENOMEM;
	r = posix_acl_to_xattr(inode->i_sb->s_user_ns, acl, value, size);
	if (r >= 0)
		r = cw_setxattr(inode, name, value, size, 0, extra);
	kfree(value);
	return r;
}

int cw_set_inode_acl(cw_idmap *idmap, struct inode *inode, struct posix_acl *acl, int type)
{
	const bool decided = cw_conn_of(inode)->flags & FUSE_POSIX_ACL;
	const char *name = name_of(type);
	int r;

	if (cw_is_bad(inode))
		return -EIO;
	if (!name)
		return -EINVAL;
	if (acl)
		return store(inode, name, acl, decided && !cw_keeps_sgid(idmap, inode) ?
						       FUSE_SETXATTR_ACL_KILL_SGID : 0);
	r = cw_removexattr(inode, name);
	return r == -ENODATA ? 0 : r;
}
