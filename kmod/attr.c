// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Attributes: taken from replies, and until when they are believed. getattr.c asks for them.
 *
 * cw_inode.attr_version is the connection's count at the last change of what is known of the inode,
 * whether a reply brought it or we made it. A reply is taken only if the count had not passed that
 * when it was asked for: what is known is newer, or as new, and nobody can tell. Whoever needs
 * attributes of now asks again then.
 *
 * What may be done (mode, owner, ACLs) has a validity of its own, cw_inode.perm, which names that
 * we make in a directory leave as it is. ACLs that are kept are of that state, and are dropped
 * before another one is believed.
 *
 * All of it is written under cw_inode.lock; cw_inode.attr and perm are read without, in RCU walk.
 */
#include <linux/pagemap.h>
#include <linux/security.h>

#include "compat/inode.h"
#include "dax.h"
#include "inode.h"

#define BLKBITS_MAX 30

bool cw_attr_is_good(const struct fuse_attr *attr)
{
	return fs_umode_to_ftype(attr->mode) != FT_UNKNOWN && attr->size <= LLONG_MAX;
}

u64 cw_attr_version(struct cw_conn *c)
{
	return atomic64_read(&c->attr_version);
}

/* ---- taking them ----------------------------------------------------------------------------- */

bool cw_size_is_ours(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;

	if (!S_ISREG(inode->i_mode) || !(cw_conn_of(inode)->flags & FUSE_WRITEBACK_CACHE))
		return false;
	return !list_empty(&CW_I(inode)->writers) ||
	       test_bit(CW_I_FILE_TIMES, &CW_I(inode)->state) ||
	       mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK);
}

/* Whatever changes ACLs or a label moves the ctime. */
static bool is_same_state(const struct inode *inode, const struct fuse_attr *attr)
{
	const struct timespec64 known = cw_ctime(inode),
				ctime = cw_time_of(attr->ctime, attr->ctimensec);

	return (inode->i_mode ^ attr->mode) == 0 && timespec64_equal(&known, &ctime);
}

void cw_attr_install(struct inode *inode, const struct fuse_attr *attr,
		     const struct cw_valid *valid, bool size)
{
	struct user_namespace *users = inode->i_sb->s_user_ns;
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);

	lockdep_assert_held(&ci->lock);
	/* Before anybody believes the new mode. */
	if (!cw_kept_holds(c, &ci->perm) || !is_same_state(inode, attr))
		cw_acls_drop(inode);
	/* A security module asks for the label again when it needs it. */
	if (size && !is_same_state(inode, attr))
		security_inode_invalidate_secctx(inode);
	ci->attr_version = atomic64_inc_return(&c->attr_version);
	ci->attr_flags = attr->flags;
	ci->blkbits = attr->blksize ? min(ilog2(attr->blksize), BLKBITS_MAX) :
				      inode->i_sb->s_blocksize_bits;
	inode->i_ino = attr->ino;
	inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
	set_nlink(inode, attr->nlink);
	inode->i_uid = make_kuid(users, attr->uid);
	inode->i_gid = make_kgid(users, attr->gid);
	inode->i_blocks = attr->blocks;
	cw_set_atime(inode, cw_time_of(attr->atime, attr->atimensec));
	clear_bit(CW_I_ATIME_OLD, &ci->state);
	ci->server_size = attr->size;
	if (size) {
		cw_set_mtime(inode, cw_time_of(attr->mtime, attr->mtimensec));
		cw_set_ctime(inode, cw_time_of(attr->ctime, attr->ctimensec));
		i_size_write(inode, attr->size);
	}
	cw_keep(&ci->attr, valid);
	cw_keep(&ci->perm, valid);
}

/* What an inode is from its first attributes on does not change while it is used. */
static void note_dax(struct inode *inode, const struct fuse_attr *attr)
{
	if (S_ISREG(inode->i_mode) &&
	    !!IS_DAX(inode) != cw_dax_wants(cw_conn_of(inode), inode->i_mode, attr->flags))
		d_mark_dontcache(inode);
}

/* Whether a size, or that of a READ before (data.c), cuts a file that is, or was, in the window. */
static bool cuts_dax(const struct inode *inode, loff_t size)
{
	return IS_DAX(inode) &&
	       (size < i_size_read(inode) || test_bit(CW_I_ENDED, &CW_I(inode)->state));
}

int cw_take_attr(struct inode *inode, const struct fuse_attr *attr, const struct cw_valid *valid,
		 u64 attr_version)
{
	/* With a lock around it (dax.c). */
	const bool cuts = cuts_dax(inode, attr->size);
	const struct cw_valid none = { .until = 0 };
	struct cw_inode *ci = CW_I(inode);
	struct timespec64 mtime;
	loff_t size;
	bool ours;

	if (!cw_attr_is_good(attr) || inode_wrong_type(inode, attr->mode)) {
		cw_make_bad(inode);
		return -EIO;
	}
	if (cuts)
		filemap_invalidate_lock(inode->i_mapping);
	spin_lock(&ci->lock);
	if (ci->attr_version > attr_version || test_bit(CW_I_SIZE_UNSTABLE, &ci->state) ||
	    (!cuts && cuts_dax(inode, attr->size))) {
		spin_unlock(&ci->lock);
		if (cuts)
			filemap_invalidate_unlock(inode->i_mapping);
		return 1;
	}
	ours = cw_size_is_ours(inode);
	size = i_size_read(inode);
	if (!ours && test_and_clear_bit(CW_I_ENDED, &ci->state))
		size = LLONG_MAX;
	mtime = cw_mtime(inode);
	cw_attr_install(inode, attr, ci->stored_version > attr_version ? &none : valid, !ours);
	spin_unlock(&ci->lock);
	if (S_ISREG(inode->i_mode) && !ours) {
		const struct timespec64 now = cw_time_of(attr->mtime, attr->mtimensec);

		cw_data_attr_taken(inode, size, !timespec64_equal(&mtime, &now));
		note_dax(inode, attr);
	}
	if (cuts)
		filemap_invalidate_unlock(inode->i_mapping);
	return 0;
}

void cw_note_change(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	ci->attr_version = atomic64_inc_return(&cw_conn_of(inode)->attr_version);
	spin_unlock(&ci->lock);
}

/* cw_inode.lock is held. */
static void disbelieve(struct inode *inode)
{
	const struct cw_valid none = { .until = 0 };
	struct cw_inode *ci = CW_I(inode);

	cw_keep(&ci->attr, &none);
	cw_keep(&ci->perm, &none);
	cw_acls_drop(inode);
}

void cw_drop_attr(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	ci->attr_version = atomic64_inc_return(&cw_conn_of(inode)->attr_version);
	disbelieve(inode);
	spin_unlock(&ci->lock);
}

void cw_attr_stored(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	ci->stored_version = atomic64_inc_return(&cw_conn_of(inode)->attr_version);
	disbelieve(inode);
	spin_unlock(&ci->lock);
}

void cw_attr_changed(struct inode *inode, const struct cw_words *words, unsigned int bit)
{
	const struct cw_valid none = { .until = 0 };
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);
	struct cw_valid perm;

	spin_lock(&ci->lock);
	ci->attr_version = atomic64_inc_return(&c->attr_version);
	cw_keep(&ci->attr, &none);
	perm = ci->perm.valid;
	if (!cw_moves(c, words, bit, &perm)) {
		perm = none;
		cw_acls_drop(inode);
	}
	cw_keep(&ci->perm, &perm);
	spin_unlock(&ci->lock);
}
