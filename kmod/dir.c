// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Names: looked up, and believed for a while.
 *
 * Each dentry has a struct cw_dentry from its allocation until a grace period after its end, so
 * that an RCU walk may ask whether the name is believed; it is written under d_lock. It says what
 * name, in which directory, leads to what inode: VFS moves dentries, and takes their inodes away,
 * at moments of its own, and who asks in between is not told what is no more. What is cached of a
 * name needs no lock of the directory: a request that overlaps with somebody's change is told by
 * the word, and without words is as old as its time allows.
 *
 * A server may answer anything: a directory in two places, or below itself, is what
 * d_splice_alias() refuses or moves; the root is never found by a name.
 */
#include <linux/namei.h>
#include <linux/slab.h>

#include "compat/acl.h"
#include "compat/dir.h"
#include "inode.h"
#include "names.h"

static struct cw_dentry *of(const struct dentry *dentry)
{
	return dentry->d_fsdata;
}

static int init_dentry(struct dentry *dentry)
{
	struct cw_dentry *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT | __GFP_RECLAIMABLE);

	if (!d)
		return -ENOMEM;
	cw_kept_init(&d->valid);
	dentry->d_fsdata = d;
	return 0;
}

static void release_dentry(struct dentry *dentry)
{
	kfree_rcu(of(dentry), rcu);
}

void cw_dentry_set_at(struct dentry *dentry, const struct dentry *dir, u64 hash_len,
		      const struct inode *inode, const struct cw_valid *valid)
{
	struct cw_dentry *d = of(dentry);

	spin_lock(&dentry->d_lock);
	write_seqcount_begin(&d->valid.turn);
	d->valid.valid = *valid;
	d->dir = dir;
	d->inode = inode;
	d->hash_len = hash_len;
	write_seqcount_end(&d->valid.turn);
	spin_unlock(&dentry->d_lock);
}

void cw_dentry_set(struct dentry *dentry, const struct inode *inode, const struct cw_valid *valid)
{
	cw_dentry_set_at(dentry, dentry->d_parent, dentry->d_name.hash_len, inode, valid);
}

struct cw_valid cw_dentry_valid(const struct dentry *dentry)
{
	const struct cw_dentry *d = of(dentry);
	struct cw_valid v;
	unsigned int turn;
	bool is_it;

	do {
		turn = read_seqcount_begin(&d->valid.turn);
		v = d->valid.valid;
		is_it = d->dir == READ_ONCE(dentry->d_parent) &&
			d->hash_len == READ_ONCE(dentry->d_name.hash_len) &&
			d->inode == d_inode_rcu(dentry);
	} while (read_seqcount_retry(&d->valid.turn, turn));
	return is_it ? v : (struct cw_valid){ .until = 0 };
}

/* ---- LOOKUP ---------------------------------------------------------------------------------- */

static int ask(struct cw_conn *c, u64 dir, const struct qstr *name, struct fuse_entry_out *out,
	       struct cw_words *words)
{
	int r;

	if (name->len > CW_NAME_MAX)
		return -ENAMETOOLONG;
	r = cw_simple(c, FUSE_LOOKUP, dir, NULL, 0, name, out, sizeof(*out), words);
	if (r < 0)
		return r;
	/* There is one root, whatever it is called in a reply. */
	if (out->nodeid == FUSE_ROOT_ID)
		out->generation = 0;
	return 0;
}

static bool asks_in_turn(struct inode *dir)
{
	return !(cw_conn_of(dir)->flags & FUSE_PARALLEL_DIROPS);
}

int cw_asks_lock(struct inode *dir)
{
	return asks_in_turn(dir) ? mutex_lock_killable(&CW_I(dir)->asks_lock) : 0;
}

void cw_asks_unlock(struct inode *dir)
{
	if (asks_in_turn(dir))
		mutex_unlock(&CW_I(dir)->asks_lock);
}

int cw_lookup_name(struct super_block *sb, u64 dir, const struct qstr *name,
		   struct inode **inode, struct cw_valid *valid)
{
	struct cw_conn *c = CW_SB(sb)->conn;
	const u64 version = cw_attr_version(c);
	struct fuse_entry_out out;
	struct inode *found;
	struct cw_valid attr;
	struct cw_words words;
	int r;

	*inode = NULL;
	*valid = (struct cw_valid){ .until = 0 };
	r = ask(c, dir, name, &out, &words);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*valid = cw_entry_valid(c, &words, &out);
	if (!out.nodeid)
		return 0;
	attr = cw_entry_attr_valid(c, &words, &out);
	found = cw_iget(sb, &out, &attr, version);
	if (IS_ERR(found))
		return PTR_ERR(found);
	*inode = found;
	return 0;
}

/* Who looks names of a directory up will look up more of them. */
static void advise_plus(struct inode *dir)
{
	set_bit(CW_I_PLUS, &CW_I(dir)->state);
}

static struct dentry *lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct cw_valid valid;
	struct dentry *other;
	struct inode *inode;
	int r;

	if (cw_is_bad(dir))
		return ERR_PTR(-EIO);
	r = cw_asks_lock(dir);
	if (r < 0)
		return ERR_PTR(r);
	r = cw_lookup_name(dir->i_sb, CW_I(dir)->nodeid, &dentry->d_name, &inode, &valid);
	cw_asks_unlock(dir);
	if (r < 0)
		return ERR_PTR(r);
	if (inode && CW_I(inode)->nodeid == FUSE_ROOT_ID) {
		iput(inode);
		return ERR_PTR(-EIO);
	}
	other = d_splice_alias(inode, dentry);
	if (IS_ERR(other))
		return other;
	cw_dentry_set(other ?: dentry, inode, &valid);
	if (inode)
		advise_plus(dir);
	return other;
}

/* ---- whether a name is still what it was
 * --------------------------------------------------------- */

/* What has to be of now, whatever is believed: only a word is as good as a question. */
#define OF_NOW (LOOKUP_EXCL | LOOKUP_REVAL | LOOKUP_RENAME_TARGET)

static bool is_believed(struct cw_conn *c, struct dentry *dentry, unsigned int flags)
{
	const struct cw_valid valid = cw_dentry_valid(dentry);

	return cw_valid_holds(c, &valid) && (valid.by_word || !(flags & OF_NOW));
}

/* Asks again: 1 where the name still leads to the inode. */
static int look_again(struct inode *dir, const struct qstr *name, struct dentry *dentry,
		      struct inode *inode)
{
	const struct dentry *dir_of = READ_ONCE(dentry->d_parent);
	struct cw_conn *c = cw_conn_of(inode);
	const u64 version = cw_attr_version(c);
	struct cw_valid attr, valid;
	struct fuse_entry_out out;
	struct cw_words words;
	int r;

	if (cw_is_bad(dir))
		return 0;
	r = cw_asks_lock(dir);
	if (r < 0)
		return r;
	r = ask(c, CW_I(dir)->nodeid, name, &out, &words);
	cw_asks_unlock(dir);
	/* Others are for a lookup to tell. */
	if (r == -ENOMEM || r == -EINTR)
		return r;
	if (r < 0 || !out.nodeid)
		return 0;
	if (!cw_entry_is_good(&out) || !cw_is_same(inode, &out) ||
	    !!IS_AUTOMOUNT(inode) != !!(S_ISDIR(out.attr.mode) && (c->flags & FUSE_SUBMOUNTS) &&
					(out.attr.flags & FUSE_ATTR_SUBMOUNT))) {
		/* The same node as something else: nothing that is open of it is right either. */
		if (CW_I(inode)->nodeid == out.nodeid && !cw_is_same(inode, &out))
			cw_make_bad(inode);
		cw_forget(c, NULL, out.nodeid, 1);
		return 0;
	}
	cw_looked_up(inode);
	attr = cw_entry_attr_valid(c, &words, &out);
	r = cw_take_attr(inode, &out.attr, &attr, version);
	if (r < 0)
		return 0;
	valid = cw_entry_valid(c, &words, &out);
	cw_dentry_set_at(dentry, dir_of, name->hash_len, inode, &valid);
	return 1;
}

/* What a listing brought along was of use: the next piece of it is to bring more. */
static void note_use(struct inode *dir, struct inode *inode)
{
	if (dir && inode && test_bit(CW_I_LISTED, &CW_I(inode)->state) &&
	    test_and_clear_bit(CW_I_LISTED, &CW_I(inode)->state))
		advise_plus(dir);
}

int cw_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
		  unsigned int flags)
{
	struct inode *inode = d_inode_rcu(dentry);
	int r;

	if (inode && cw_is_bad(inode))
		return 0;
	/* Of O_TMPFILE, or from a handle: overlayfs asks for these too, which have no name. */
	if (inode && (IS_ROOT(dentry) || d_unhashed(dentry)))
		return 1;
	if (is_believed(CW_SB(dentry->d_sb)->conn, dentry, flags)) {
		note_use(dir, inode);
		return 1;
	}
	/* That there was nothing is not asked for again, but what is there. */
	if (!inode)
		return 0;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	r = look_again(dir, name, dentry, inode);
	if (r == 1)
		advise_plus(dir);
	return r;
}

const struct dentry_operations cw_dentry_ops = {
	.d_init = init_dentry,
	.d_release = release_dentry,
	.d_revalidate = cw_d_revalidate,
	.d_automount = cw_automount,
};

void cw_dir_changed(struct inode *dir, const struct cw_words *words, bool to)
{
	atomic64_inc(&CW_I(dir)->names_version);
	cw_listing_drop(dir);
	cw_attr_changed(dir, words, to ? VT_TO_ATTR : VT_NODE_ATTR);
}

static const struct inode_operations dir_ops = {
	.lookup = lookup,
	.atomic_open = cw_atomic_open,
	.create = cw_create,
	.mknod = cw_mknod,
	.mkdir = cw_mkdir,
	.symlink = cw_symlink,
	.link = cw_link,
	.tmpfile = cw_tmpfile,
	.unlink = cw_unlink,
	.rmdir = cw_rmdir,
	.rename = cw_rename,
	.permission = cw_permission,
	.getattr = cw_getattr,
	.setattr = cw_setattr,
	.listxattr = cw_listxattr,
	.fileattr_get = cw_fileattr_get,
	.fileattr_set = cw_fileattr_set,
	CW_ACL_OPS
};

void cw_init_dir(struct inode *inode)
{
	inode->i_op = &dir_ops;
	inode->i_fop = &cw_dir_file_ops;
}

static const struct inode_operations special_ops = {
	.permission = cw_permission,
	.getattr = cw_getattr,
	.setattr = cw_setattr,
	.listxattr = cw_listxattr,
	CW_ACL_OPS
};

void cw_init_special(struct inode *inode, umode_t mode, dev_t rdev)
{
	inode->i_op = &special_ops;
	init_special_inode(inode, mode, rdev);
}
