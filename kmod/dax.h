/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The DAX window (virtio shared memory region 0): ranges of files mapped into it, found by file
 * offset, taken from whoever used them least lately when there are no more.
 *
 * An inode is DAX or not from its cw_iget() on, until it is evicted (S_DAX). The last page of a
 * file that ends within it cannot be mapped by the back-end (docs/dax.md): read(2) and write(2) of
 * it go by READ and WRITE, and where a program's memory needs it the file leaves DAX (daxio.c):
 * cw_is_dax() says whether it goes through the window now, IS_DAX() whether it ever might.
 */
#ifndef KMOD_DAX_H
#define KMOD_DAX_H

#include <linux/fs.h>

#include "conn.h"

/* After INIT (needs FUSE_MAP_ALIGNMENT): c->window, or NULL where there is none or the options say
 * never; -errno where dax=always was asked for and there is none. */
int cw_dax_start(struct cw_conn *c, struct fs_context *fc);
void cw_dax_stop(struct cw_conn *c);
/* Before a suspend, with user space frozen: takes all that is mapped out of the window, where a
 * reset of the device is not to find anything; and has nothing mapped any more until
 * cw_dax_back(): who reads or writes asks the server, who faults waits. -EBUSY where somebody has
 * pages pinned. */
int cw_dax_away(struct cw_conn *c);
void cw_dax_back(struct cw_conn *c);

/* Whether a new inode is to be DAX, and its part of struct cw_inode: 0 or -ENOMEM. */
bool cw_dax_wants(const struct cw_conn *c, umode_t mode, u32 attr_flags);
int cw_dax_inode_init(struct inode *inode);
void cw_dax_inode_end(struct inode *inode); /* evict */

ssize_t cw_dax_read(struct kiocb *kiocb, struct iov_iter *to);
ssize_t cw_dax_write(struct kiocb *kiocb, struct iov_iter *from);
int cw_dax_mmap(struct file *file, struct vm_area_struct *vma);
/* Around a change of size, of any inode with S_DAX: with invalidate_lock held for writing (dax.c).
 * The first waits until nobody has pages from `from` on pinned. The second, when i_size has become
 * less, takes what was behind it away; `idle`: the first was called before. */
int cw_dax_break(struct inode *inode, loff_t from);
void cw_dax_cut(struct inode *inode, bool idle);
extern const struct address_space_operations cw_dax_aops;

#endif
