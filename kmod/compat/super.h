/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What differs between kernels for super.c. */
#ifndef KMOD_COMPAT_SUPER_H
#define KMOD_COMPAT_SUPER_H

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mount.h>

#include "compat.h"

/* 6.18: generic_delete_inode has another name. */
#if CW_KERNEL(6, 18)
#define cw_drop_inode inode_just_drop
#else
#define cw_drop_inode generic_delete_inode
#endif

/* 6.6: the table of a super block's handlers is constant. */
#if CW_KERNEL(6, 6)
#define cw_xattr_table(table) (table)
#else
#define cw_xattr_table(table) ((const struct xattr_handler **)(table))
#endif

/* 6.17: the operations of dentries are set by a function. */
static inline void cw_set_dentry_ops(struct super_block *sb, const struct dentry_operations *ops)
{
#if CW_KERNEL(6, 17)
	set_default_d_op(sb, ops);
#else
	sb->s_d_op = ops;
#endif
}

/* 6.16: what d_automount gives needs no second reference any more, against expiring early. */
static inline struct vfsmount *cw_automounted(struct vfsmount *mnt)
{
#if !CW_KERNEL(6, 16)
	if (!IS_ERR(mnt))
		mntget(mnt);
#endif
	return mnt;
}

#endif
