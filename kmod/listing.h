/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Listings of directories that are kept: a draft belongs to the open directory that reads it, from
 * the beginning on (cw_file.draft, under pos_lock); a whole one may become the inode's, and does
 * not change after that. Others show it by a reference.
 */
#ifndef KMOD_LISTING_H
#define KMOD_LISTING_H

#include "node.h"

struct cw_listing;


/* Before the first piece is asked for: NULL where nothing is kept, or there is no memory. */
struct cw_listing *cw_draft_begin(struct inode *dir, bool by_mtime);
void cw_listing_put(struct cw_listing *l);

/* The reply to a question at pos is going to be added; false: it does not go with what is there,
 * and the draft is of no use. */
bool cw_draft_goes_on(struct cw_listing *l, u64 pos, const struct cw_valid *valid);
bool cw_draft_add(struct cw_listing *l, const struct fuse_dirent *entry);
/* It is whole. The reference is the inode's, if the directory has not changed meanwhile. */
void cw_draft_publish(struct inode *dir, struct cw_listing *l);

/* What the inode has, referenced, if it is still right; `ask`: attributes may be asked for. */
struct cw_listing *cw_listing_get(struct inode *dir, bool ask);

/* Shows what follows pos: false where that is not known here. */
bool cw_listing_show(struct cw_file *f, struct cw_listing *l, struct dir_context *ctx);
bool cw_draft_holds(const struct cw_conn *c, const struct cw_listing *l);

#endif
