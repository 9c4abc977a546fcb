/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inodes: their times, their state, and what stat(2) is filled from. */
#ifndef KMOD_COMPAT_INODE_H
#define KMOD_COMPAT_INODE_H

#include <linux/fs.h>

#include "compat.h"

/* 6.7: times are behind functions. */
#if CW_KERNEL(6, 7)
static inline void cw_set_atime(struct inode *inode, struct timespec64 t)
{
	inode_set_atime_to_ts(inode, t);
}

static inline void cw_set_mtime(struct inode *inode, struct timespec64 t)
{
	inode_set_mtime_to_ts(inode, t);
}

static inline void cw_set_ctime(struct inode *inode, struct timespec64 t)
{
	inode_set_ctime_to_ts(inode, t);
}

static inline struct timespec64 cw_mtime(const struct inode *inode)
{
	return inode_get_mtime(inode);
}

static inline struct timespec64 cw_ctime(const struct inode *inode)
{
	return inode_get_ctime(inode);
}
#else
static inline void cw_set_atime(struct inode *inode, struct timespec64 t)
{
	inode->i_atime = t;
}

static inline void cw_set_mtime(struct inode *inode, struct timespec64 t)
{
	inode->i_mtime = t;
}

static inline void cw_set_ctime(struct inode *inode, struct timespec64 t)
{
	inode->i_ctime = t;
}

static inline struct timespec64 cw_mtime(const struct inode *inode)
{
	return inode->i_mtime;
}

static inline struct timespec64 cw_ctime(const struct inode *inode)
{
	return inode->i_ctime;
}
#endif

/* 6.6: told what is asked for. */
static inline void cw_fillattr(cw_idmap *idmap, u32 mask, struct inode *inode, struct kstat *stat)
{
#if CW_KERNEL(6, 6)
	generic_fillattr(idmap, mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

/* 6.19: the state is opaque. */
static inline bool cw_is_new(struct inode *inode)
{
#if CW_KERNEL(6, 19)
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

#endif
