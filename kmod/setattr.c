// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Changes of attributes: chmod(2), chown(2), utimensat(2), truncate(2), and the times that writing
 * back leaves to us.
 *
 * VFS holds i_rwsem for writing. A new size is the server's word: writes are stopped around it
 * (cw_writes_stop()), so that none that was begun before makes the file longer again, and replies
 * to older questions do not say it (CW_I_SIZE_UNSTABLE). DAX mappings beyond it go before.
 */
#include <linux/capability.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat/inode.h"
#include "dax.h"
#include "inode.h"

static bool writes_back(const struct inode *inode)
{
	return S_ISREG(inode->i_mode) && (cw_conn_of(inode)->flags & FUSE_WRITEBACK_CACHE);
}

/* ---- the request ----------------------------------------------------------------------------- */

static void fill_owner(cw_idmap *idmap, struct inode *inode, const struct iattr *attr,
		       struct fuse_setattr_in *in)
{
	struct user_namespace *users = inode->i_sb->s_user_ns;

	if (attr->ia_valid & ATTR_MODE) {
		in->valid |= FATTR_MODE;
		in->mode = attr->ia_mode;
	}
	if (attr->ia_valid & ATTR_UID) {
		in->valid |= FATTR_UID;
		in->uid = from_kuid(users, from_vfsuid(idmap, users, attr->ia_vfsuid));
	}
	if (attr->ia_valid & ATTR_GID) {
		in->valid |= FATTR_GID;
		in->gid = from_kgid(users, from_vfsgid(idmap, users, attr->ia_vfsgid));
	}
}

/* Without a time of its own it is the server's now, for its clock is what others see: but for a
 * file whose times are ours. */
static void fill_times(const struct iattr *attr, bool ours, struct fuse_setattr_in *in)
{
	if (attr->ia_valid & ATTR_ATIME) {
		in->valid |= FATTR_ATIME;
		in->atime = attr->ia_atime.tv_sec;
		in->atimensec = attr->ia_atime.tv_nsec;
		if (!(attr->ia_valid & ATTR_ATIME_SET))
			in->valid |= FATTR_ATIME_NOW;
	}
	if (attr->ia_valid & ATTR_MTIME) {
		/* That a write moves it is something that the server does itself. */
		if (!(attr->ia_valid & ATTR_MTIME_SET) && !ours &&
		    (attr->ia_valid & (ATTR_SIZE | ATTR_OPEN)))
			return;
		in->valid |= FATTR_MTIME;
		in->mtime = attr->ia_mtime.tv_sec;
		in->mtimensec = attr->ia_mtime.tv_nsec;
		if (!(attr->ia_valid & ATTR_MTIME_SET) && !ours)
			in->valid |= FATTR_MTIME_NOW;
	}
	if ((attr->ia_valid & ATTR_CTIME) && ours) {
		in->valid |= FATTR_CTIME;
		in->ctime = attr->ia_ctime.tv_sec;
		in->ctimensec = attr->ia_ctime.tv_nsec;
	}
}

static void fill_file(struct inode *inode, const struct file *file, struct fuse_setattr_in *in)
{
	const struct cw_file *f = file ? CW_F(file) : NULL;

	if (!f || !smp_load_acquire(&f->opened) || !S_ISREG(inode->i_mode))
		return;
	in->valid |= FATTR_FH;
	in->fh = f->fh;
}

/* The server takes S_ISUID and S_ISGID away as it changes the file, so that nobody comes between.
 */
static void fill_kill(struct cw_conn *c, const struct inode *inode, const struct iattr *attr,
		      struct fuse_setattr_in *in)
{
	if (attr->ia_valid & ATTR_SIZE) {
		in->valid |= FATTR_SIZE | FATTR_LOCKOWNER;
		in->size = attr->ia_size;
		in->lock_owner = cw_lock_owner(c, current->files);
	}
	if (!(c->flags & FUSE_HANDLE_KILLPRIV_V2))
		return;
	if (((attr->ia_valid & (ATTR_UID | ATTR_GID)) && !S_ISDIR(inode->i_mode)) ||
	    ((attr->ia_valid & ATTR_SIZE) && !capable(CAP_FSETID)))
		in->valid |= FATTR_KILL_SUIDGID;
}

static int send(struct inode *inode, const struct fuse_setattr_in *in, struct fuse_attr_out *out,
		struct cw_words *words)
{
	struct cw_conn *c = cw_conn_of(inode);
	int r = cw_simple(c, FUSE_SETATTR, CW_I(inode)->nodeid, in, sizeof(*in), NULL, out,
			  sizeof(*out), words);

	/* It may have been done. */
	if (r == -EINTR || r == -EIO)
		cw_drop_attr(inode);
	if (r < 0)
		return r;
	if (cw_attr_is_good(&out->attr) && !inode_wrong_type(inode, out->attr.mode))
		return 0;
	cw_make_bad(inode);
	return -EIO;
}

/* ---- the size -------------------------------------------------------------------------------- */

static int before_size(struct inode *inode, struct iattr *attr, bool ours)
{
	if (!S_ISREG(inode->i_mode))
		return -EIO;
	if (IS_DAX(inode)) {
		int r;

		filemap_invalidate_lock(inode->i_mapping);
		r = cw_dax_break(inode, attr->ia_size);
		if (r < 0) {
			filemap_invalidate_unlock(inode->i_mapping);
			return r;
		}
	}
	if (attr->ia_size > i_size_read(inode))
		cw_data_grows(inode);
	cw_writes_stop(inode);
	set_bit(CW_I_SIZE_UNSTABLE, &CW_I(inode)->state);
	if (ours && attr->ia_size != i_size_read(inode))
		attr->ia_valid |= ATTR_MTIME | ATTR_CTIME;
	return 0;
}

/* What is kept of the data goes on with the word, where the change was alone; it has been cut off.
 * Else the word does not hold any more, and who reads next finds that (data.c). */
static void move_data(struct inode *inode, const struct cw_words *words)
{
	struct cw_inode *ci = CW_I(inode);
	struct cw_valid data;

	spin_lock(&ci->lock);
	data = ci->data.valid;
	if (cw_moves(cw_conn_of(inode), words, VT_NODE_DATA, &data))
		cw_keep(&ci->data, &data);
	spin_unlock(&ci->lock);
}

/* After it: size is that of the reply, or the old one, and what is behind the one that was asked
 * for is pinned by nobody. Writes go on before pages are thrown out, which may have to be written
 * first. */
static void after_size(struct inode *inode, loff_t old, loff_t asked, bool done,
		       const struct cw_words *words)
{
	const loff_t size = i_size_read(inode);

	cw_writes_go(inode);
	if (done) {
		if (IS_DAX(inode) && size < old)
			cw_dax_cut(inode, size >= asked);
		else if (size != old)
			truncate_pagecache(inode, size);
		move_data(inode, words);
	}
	clear_bit(CW_I_SIZE_UNSTABLE, &CW_I(inode)->state);
	if (IS_DAX(inode))
		filemap_invalidate_unlock(inode->i_mapping);
}

/* ---- setattr --------------------------------------------------------------------------------- */

static void take(struct inode *inode, const struct iattr *attr, bool ours,
		 const struct fuse_attr_out *out, const struct cw_words *words)
{
	const struct cw_valid valid = cw_attr_valid(cw_conn_of(inode), words, VT_NODE_ATTR, out);
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	/* The mode and ACLs are of each other. */
	cw_acls_drop(inode);
	cw_attr_install(inode, &out->attr, &valid, !ours);
	if (ours) {
		if (attr->ia_valid & ATTR_MTIME)
			cw_set_mtime(inode, attr->ia_mtime);
		if (attr->ia_valid & ATTR_CTIME)
			cw_set_ctime(inode, attr->ia_ctime);
		if (attr->ia_valid & ATTR_SIZE)
			i_size_write(inode, out->attr.size);
	}
	spin_unlock(&ci->lock);
}

/* ... of what changes no size: where there is another, somebody else has changed it. */
static void take_beside(struct inode *inode, const struct iattr *attr, bool ours,
			const struct fuse_attr_out *out, const struct cw_words *words)
{
	loff_t old;

	if (!IS_DAX(inode)) {
		take(inode, attr, ours, out, words);
		return;
	}
	filemap_invalidate_lock(inode->i_mapping);
	old = i_size_read(inode);
	take(inode, attr, ours, out, words);
	if (i_size_read(inode) < old)
		cw_dax_cut(inode, false);
	filemap_invalidate_unlock(inode->i_mapping);
}

static int change(cw_idmap *idmap, struct inode *inode, struct iattr *attr, struct file *file)
{
	const bool sizes = attr->ia_valid & ATTR_SIZE, ours = cw_size_is_ours(inode);
	const loff_t old = i_size_read(inode);
	struct fuse_setattr_in in = {};
	struct fuse_attr_out out;
	struct cw_words words;
	int r = sizes ? before_size(inode, attr, ours) : 0;

	if (r < 0)
		return r;
	fill_owner(idmap, inode, attr, &in);
	fill_times(attr, ours, &in);
	fill_file(inode, file, &in);
	fill_kill(cw_conn_of(inode), inode, attr, &in);
	r = send(inode, &in, &out, &words);
	if (r == 0 && sizes)
		take(inode, attr, ours, &out, &words);
	else if (r == 0)
		take_beside(inode, attr, ours, &out, &words);
	if (sizes)
		after_size(inode, old, attr->ia_size, r == 0, &words);
	return r;
}

int cw_do_setattr(cw_idmap *idmap, struct dentry *dentry, struct iattr *attr, struct file *file)
{
	struct inode *inode = d_inode(dentry);
	struct cw_conn *c = cw_conn_of(inode);
	int r = setattr_prepare(idmap, dentry, attr);

	if (r < 0)
		return r;
	/* open(2) with O_TRUNC: OPEN has done it (file.c), but for a mode that is left to us; or
	 * there is a handle that nobody has seen. */
	if (attr->ia_valid & ATTR_OPEN) {
		if (c->flags & FUSE_ATOMIC_O_TRUNC)
			attr->ia_valid &= ATTR_MODE;
		if (!attr->ia_valid)
			return 0;
		file = NULL;
	}
	/* Writes that come later than this would move times and modes again. */
	if (writes_back(inode) && (attr->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID |
						     ATTR_MTIME_SET | ATTR_TIMES_SET))) {
		r = write_inode_now(inode, true);
		if (r < 0)
			return r;
		cw_writes_stop(inode);
		cw_writes_go(inode);
	}
	return change(idmap, inode, attr, file);
}

/* The mode without S_ISUID and S_ISGID, for a server that leaves that to us: of now, as the one
 * that VFS looked at may be old. */
static int kill_here(struct inode *inode, struct iattr *attr, struct file *file)
{
	int r = cw_refresh(inode, file, true);

	if (r < 0)
		return r;
	attr->ia_mode = inode->i_mode;
	if (inode->i_mode & S_ISUID) {
		attr->ia_valid |= ATTR_MODE;
		attr->ia_mode &= ~S_ISUID;
	}
	if ((inode->i_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) {
		attr->ia_valid |= ATTR_MODE;
		attr->ia_mode &= ~S_ISGID;
	}
	return 0;
}

int cw_setattr(cw_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct file *file = attr->ia_valid & ATTR_FILE ? attr->ia_file : NULL;
	struct inode *inode = d_inode(dentry);
	struct cw_conn *c = cw_conn_of(inode);
	int r;

	if (cw_is_bad(inode))
		return -EIO;
	if (attr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID)) {
		attr->ia_valid &= ~(ATTR_KILL_SUID | ATTR_KILL_SGID | ATTR_MODE);
		if (!(c->flags & (FUSE_HANDLE_KILLPRIV | FUSE_HANDLE_KILLPRIV_V2))) {
			r = kill_here(inode, attr, file);
			if (r < 0)
				return r;
		}
	}
	return attr->ia_valid ? cw_do_setattr(idmap, dentry, attr, file) : 0;
}

/* ---- times that are ours --------------------------------------------------------------------- */

int cw_flush_times(struct inode *inode, struct file *file)
{
	const struct timespec64 mtime = cw_mtime(inode), ctime = cw_ctime(inode);
	struct fuse_setattr_in in = {
		.valid = FATTR_MTIME | FATTR_CTIME,
		.mtime = mtime.tv_sec,
		.mtimensec = mtime.tv_nsec,
		.ctime = ctime.tv_sec,
		.ctimensec = ctime.tv_nsec,
	};
	struct fuse_attr_out out;
	struct cw_words words;
	int r;

	if (!test_and_clear_bit(CW_I_FILE_TIMES, &CW_I(inode)->state))
		return 0;
	fill_file(inode, file, &in);
	r = send(inode, &in, &out, &words);
	if (r < 0)
		set_bit(CW_I_FILE_TIMES, &CW_I(inode)->state);
	/* What was asked for before is of before. */
	cw_note_change(inode);
	return r;
}

int cw_write_inode(struct inode *inode, struct writeback_control *wbc)
{
	return cw_is_bad(inode) ? 0 : cw_flush_times(inode, NULL);
}
