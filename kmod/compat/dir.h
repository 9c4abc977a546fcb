/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Operations of directories, as kernels call them. */
#ifndef KMOD_COMPAT_DIR_H
#define KMOD_COMPAT_DIR_H

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/security.h>

#include "compat.h"

/* 6.14: the parent and the name, which hold still, come with the dentry. Before, they are taken. */
int cw_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
		  unsigned int flags);

#if CW_KERNEL(6, 14)
#define cw_d_revalidate cw_revalidate
#else
static inline int cw_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct name_snapshot name;
	struct dentry *parent;
	int r;

	if (flags & LOOKUP_RCU) {
		/* Nothing is sent, so nothing has to hold still. */
		const struct dentry *up = READ_ONCE(dentry->d_parent);

		return cw_revalidate(d_inode_rcu(up), NULL, dentry, flags);
	}
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	r = cw_revalidate(d_inode(parent), &name.name, dentry, flags);
	release_dentry_name_snapshot(&name);
	dput(parent);
	return r;
}
#endif

/* 6.3: that of the mount that a file is opened through. */
static inline cw_idmap *cw_file_idmap(struct file *file)
{
#if CW_KERNEL(6, 3)
	return file_mnt_idmap(file);
#else
	return file_mnt_user_ns(file);
#endif
}

/* 6.15: mkdir returns a dentry, where it is another one. */
#if CW_KERNEL(6, 15)
typedef struct dentry *cw_mkdir_t;
#define cw_mkdir_result(r) ERR_PTR(r)
#else
typedef int cw_mkdir_t;
#define cw_mkdir_result(r) (r)
#endif

/* The label that a security module gives a new inode: 0 with *name (NULL: none) and *value, which
 * cw_label_free() takes. 6.14: it is in a struct lsm_context. */
#if CW_KERNEL(6, 14)
typedef struct lsm_context cw_label;
#else
typedef struct {
	char *context;
	u32 len;
} cw_label;
#endif

static inline int cw_label_of(struct dentry *dentry, umode_t mode, const char **name,
			      cw_label *label)
{
	int r;

	*label = (cw_label){};
	*name = NULL;
#if CW_KERNEL(6, 14)
	r = security_dentry_init_security(dentry, mode, &dentry->d_name, name, label);
#else
	r = security_dentry_init_security(dentry, mode, &dentry->d_name, name,
					  (void **)&label->context, &label->len);
#endif
	return r == -EOPNOTSUPP ? 0 : r;
}

static inline void cw_label_free(cw_label *label)
{
	if (!label->context)
		return;
#if CW_KERNEL(6, 14)
	security_release_secctx(label);
#else
	security_release_secctx(label->context, label->len);
#endif
}

#endif
