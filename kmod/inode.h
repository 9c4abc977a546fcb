/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What attr.c has for the rooms of inodes and names, beside node.h. */
#ifndef KMOD_INODE_H
#define KMOD_INODE_H

#include "node.h"

/* The reply to GETATTR and SETATTR is half of it: the other is until when. */
static inline struct cw_valid cw_attr_valid(const struct cw_conn *c, const struct cw_words *w,
					    unsigned int bit, const struct fuse_attr_out *out)
{
	return cw_shown(c, w, bit, CW_ATTR, out->attr_valid, out->attr_valid_nsec);
}

static inline struct cw_valid cw_entry_attr_valid(const struct cw_conn *c, const struct cw_words *w,
						  const struct fuse_entry_out *out)
{
	return cw_shown(c, w, VT_CHILD_ATTR, CW_ATTR, out->attr_valid, out->attr_valid_nsec);
}

static inline struct cw_valid cw_entry_valid(const struct cw_conn *c, const struct cw_words *w,
					     const struct fuse_entry_out *out)
{
	return cw_shown(c, w, VT_NAME, out->nodeid ? CW_ENTRY : CW_NEGATIVE, out->entry_valid,
			out->entry_valid_nsec);
}

/* Whether an inode is the one that an entry names: a nodeid is used again with another generation,
 * or the server is wrong about the type. */
bool cw_is_same(const struct inode *inode, const struct fuse_entry_out *entry);

/* -EIO for ever, and not found by its nodeid any more. */
void cw_make_bad(struct inode *inode);

/* One more lookup that the server counts. */
void cw_looked_up(struct inode *inode);

/* Attributes become those of a reply to our own change, or of a new inode; the size as well where
 * `size` says so. Under cw_inode.lock. */
void cw_attr_install(struct inode *inode, const struct fuse_attr *attr,
		     const struct cw_valid *valid, bool size);

/* acl.c: nothing is known; and from now on, under cw_inode.lock. */
void cw_acls_init(struct inode *inode);
void cw_acls_drop(struct inode *inode);

/* A time as replies have it, whatever they say of nanoseconds. */
static inline struct timespec64 cw_time_of(u64 sec, u32 nsec)
{
	return (struct timespec64){ sec, min_t(u32, nsec, NSEC_PER_SEC - 1) };
}

#endif
