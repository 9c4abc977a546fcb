/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the rooms of names have for each other, beside node.h. */
#ifndef KMOD_NAMES_H
#define KMOD_NAMES_H

#include "compat/dir.h"
#include "node.h"

/* inode.c: the inode of a nodeid that is known, referenced, or NULL. */
struct inode *cw_ilookup(struct super_block *sb, u64 nodeid);

/* symlink.c */
void cw_target_drop(struct inode *inode);

/* dir.c: operations of what is neither file nor directory nor symlink. */
void cw_init_special(struct inode *inode, umode_t mode, dev_t rdev);
/* That a name leads to an inode (NULL: to none) is believed until then: where the dentry is now, or
 * where it will be. */
void cw_dentry_set(struct dentry *dentry, const struct inode *inode, const struct cw_valid *valid);
void cw_dentry_set_at(struct dentry *dentry, const struct dentry *dir, u64 hash_len,
		      const struct inode *inode, const struct cw_valid *valid);
/* Until when the dentry is believed as what it is; any context. */
struct cw_valid cw_dentry_valid(const struct dentry *dentry);

static inline void cw_dentry_disbelieve(struct dentry *dentry)
{
	const struct cw_valid none = { .until = 0 };

	cw_dentry_set(dentry, NULL, &none);
}

/* create.c */
int cw_create(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl);
int cw_mknod(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t rdev);
cw_mkdir_t cw_mkdir(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode);
int cw_symlink(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *target);
int cw_link(struct dentry *old, struct inode *dir, struct dentry *dentry);

/* Adds name, extensions and creator to a request that makes an inode; cw_made_end() frees what it
 * allocated. The mode that the request is to have, umask applied or not, is cw_new_mode()'s. */
struct cw_made {
	struct cw_words words;
	void *ext;
};
int cw_made_begin(struct cw_made *m, struct cw_call *call, cw_idmap *idmap, struct inode *dir,
		  struct dentry *dentry, umode_t mode);
void cw_made_end(struct cw_made *m);
umode_t cw_new_mode(const struct cw_conn *c, umode_t mode);
/* The inode of a reply's entry, of the type of mode: or an error pointer, and the lookup is given
 * back. What is known of dir is changed by the words. */
struct inode *cw_made_inode(struct inode *dir, const struct fuse_entry_out *entry, umode_t mode,
			    const struct cw_words *words, u64 version);

/* newfile.c */
int cw_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file, unsigned int flags,
		   umode_t mode);
int cw_tmpfile(cw_idmap *idmap, struct inode *dir, struct file *file, umode_t mode);

/* remove.c */
int cw_unlink(struct inode *dir, struct dentry *dentry);
int cw_rmdir(struct inode *dir, struct dentry *dentry);
int cw_rename(cw_idmap *idmap, struct inode *from, struct dentry *old, struct inode *to,
	      struct dentry *new, unsigned int flags);

/* security.c: what a request that makes an inode has behind its names: 0, with *ext (NULL: nothing)
 * to be freed. */
int cw_creation_ext(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		    void **ext, unsigned int *len);

#endif
