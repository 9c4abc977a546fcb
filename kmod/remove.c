// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Names that go, and names that move: UNLINK, RMDIR, RENAME, RENAME2.
 *
 * VFS makes a dentry negative, or moves it, after we return. Until then it is not what has been
 * said of it here, and not believed; from then on it is, if the change was alone there.
 */
#include <linux/fs.h>

#include "inode.h"
#include "names.h"

/* What is believed of a name that we have changed, once more: as long as its word says so. Time
 * says nothing of who else was there. */
static struct cw_valid moved(const struct cw_conn *c, const struct dentry *dentry,
			     const struct cw_words *words, unsigned int bit)
{
	struct cw_valid v = cw_dentry_valid(dentry);

	return v.by_word && cw_moves(c, words, bit, &v) ? v : (struct cw_valid){ .until = 0 };
}

/* An inode has one link less. */
static void lost_link(struct inode *inode, const struct cw_words *words, unsigned int bit)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	/* That there were links left is what the server said. */
	if (S_ISDIR(inode->i_mode))
		clear_nlink(inode);
	else if (inode->i_nlink > 0)
		drop_nlink(inode);
	spin_unlock(&ci->lock);
	cw_attr_changed(inode, words, bit);
}

static int take_away(struct inode *dir, struct dentry *dentry, u32 opcode)
{
	struct cw_conn *c = cw_conn_of(dir);
	struct cw_words words;
	struct cw_valid gone;
	int r;

	if (cw_is_bad(dir))
		return -EIO;
	r = cw_simple(c, opcode, CW_I(dir)->nodeid, NULL, 0, &dentry->d_name, NULL, 0,
		      &words);
	/* It may have gone, now or before. */
	if (r < 0) {
		cw_dentry_disbelieve(dentry);
		return r;
	}
	gone = moved(c, dentry, &words, VT_NAME);
	cw_dentry_set(dentry, NULL, &gone);
	cw_dir_changed(dir, &words, false);
	lost_link(d_inode(dentry), &words, VT_CHILD_ATTR);
	return 0;
}

int cw_unlink(struct inode *dir, struct dentry *dentry)
{
	return take_away(dir, dentry, FUSE_UNLINK);
}

int cw_rmdir(struct inode *dir, struct dentry *dentry)
{
	return take_away(dir, dentry, FUSE_RMDIR);
}

/* ---- rename ---------------------------------------------------------------------------------- */

static int send_rename(cw_idmap *idmap, struct inode *from, const struct dentry *old,
		       struct inode *to, const struct dentry *new, unsigned int flags,
		       struct cw_words *words)
{
	struct user_namespace *users = from->i_sb->s_user_ns;
	struct cw_conn *c = cw_conn_of(from);
	const struct fuse_rename2_in in2 = { .newdir = CW_I(to)->nodeid, .flags = flags };
	const struct fuse_rename_in in = { .newdir = CW_I(to)->nodeid };
	struct cw_call call = {
		.opcode = flags ? FUSE_RENAME2 : FUSE_RENAME,
		.nodeid = CW_I(from)->nodeid,
		.nin = 3,
		.in = {
			{ &in, sizeof(in) },
			{ old->d_name.name, old->d_name.len + 1 },
			{ new->d_name.name, new->d_name.len + 1 },
		},
		.words = words,
	};
	int r;

	if (flags)
		call.in[0] = (struct cw_in){ &in2, sizeof(in2) };
	/* A whiteout is an inode that somebody makes. */
	if (flags & RENAME_WHITEOUT) {
		call.ids = true;
		call.uid = mapped_fsuid(idmap, users);
		call.gid = mapped_fsgid(idmap, users);
	}
	r = cw_call(c, &call);
	if (r == -ENOSYS && flags) {
		cw_set_absent(c, FUSE_RENAME2);
		return -EINVAL;
	}
	return r;
}

/* What the inodes of both names are from now on; a directory that moves has another "..". */
static void note_inodes(struct dentry *old, struct dentry *new, unsigned int flags,
			const struct cw_words *words)
{
	cw_attr_changed(d_inode(old), words, VT_CHILD_ATTR);
	if (d_is_dir(old))
		cw_listing_drop(d_inode(old));
	if (!d_really_is_positive(new))
		return;
	if (!(flags & RENAME_EXCHANGE)) {
		lost_link(d_inode(new), words, VT_TO_CHILD_ATTR);
		return;
	}
	cw_attr_changed(d_inode(new), words, VT_TO_CHILD_ATTR);
	if (d_is_dir(new))
		cw_listing_drop(d_inode(new));
}

int cw_rename(cw_idmap *idmap, struct inode *from, struct dentry *old, struct inode *to,
	      struct dentry *new, unsigned int flags)
{
	struct cw_conn *c = cw_conn_of(from);
	struct cw_valid at_old, at_new;
	struct cw_words words;
	int r;

	if (cw_is_bad(from) || cw_is_bad(to))
		return -EIO;
	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags && cw_is_absent(c, FUSE_RENAME2))
		return -EINVAL;
	r = send_rename(idmap, from, old, to, new, flags, &words);
	if (r < 0) {
		/* Nobody knows what the names are. */
		cw_dentry_disbelieve(old);
		cw_dentry_disbelieve(new);
		return r;
	}
	at_old = moved(c, old, &words, VT_NAME);
	at_new = moved(c, new, &words, VT_TO_NAME);
	/* What a name stands for now is what the other one stood for: that must have been so. */
	if (!at_old.by_word)
		at_new = at_old;
	else if (flags & RENAME_EXCHANGE && !at_new.by_word)
		at_old = at_new;
	/* Where VFS is going to move them. */
	cw_dentry_set_at(old, new->d_parent, new->d_name.hash_len, d_inode(old), &at_new);
	if (flags & RENAME_EXCHANGE)
		cw_dentry_set_at(new, old->d_parent, old->d_name.hash_len, d_inode(new), &at_old);
	else
		cw_dentry_disbelieve(new);
	cw_dir_changed(from, &words, false);
	if (to != from)
		cw_dir_changed(to, &words, true);
	note_inodes(old, new, flags, &words);
	return 0;
}
