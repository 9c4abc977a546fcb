// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Attributes that are asked for: GETATTR, or STATX where it brings more, and what is answered from
 * what is known (attr.c).
 */
#include <linux/pagemap.h>

#include "compat/inode.h"
#include "inode.h"

/* How often attributes are asked for again that others overtook. */
#define TRIES 8

/* What a question brought. */
struct answer {
	struct fuse_attr attr;
	bool btime_known;
	struct timespec64 btime;
};

static u32 flags_of(const struct file *file, u64 *fh)
{
	const struct cw_file *f = file && S_ISREG(file_inode(file)->i_mode) ? CW_F(file) : NULL;

	const bool opened = f && smp_load_acquire(&f->opened);

	*fh = opened ? f->fh : 0;
	return opened ? FUSE_GETATTR_FH : 0;
}

static int ask_getattr(struct inode *inode, struct file *file, struct answer *a,
		       struct cw_valid *valid)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_getattr_in in = {};
	struct fuse_attr_out out;
	struct cw_words words;
	int r;

	in.getattr_flags = flags_of(file, &in.fh);
	r = cw_simple(c, FUSE_GETATTR, CW_I(inode)->nodeid, &in, sizeof(in), NULL, &out,
		      sizeof(out), &words);
	if (r < 0)
		return r;
	a->attr = out.attr;
	*valid = cw_attr_valid(c, &words, VT_NODE_ATTR, &out);
	return 0;
}

static void attr_of_statx(const struct fuse_statx *sx, u32 flags, struct fuse_attr *attr)
{
	*attr = (struct fuse_attr){
		.ino = sx->ino,
		.size = sx->size,
		.blocks = sx->blocks,
		.atime = sx->atime.tv_sec,
		.mtime = sx->mtime.tv_sec,
		.ctime = sx->ctime.tv_sec,
		.atimensec = sx->atime.tv_nsec,
		.mtimensec = sx->mtime.tv_nsec,
		.ctimensec = sx->ctime.tv_nsec,
		.mode = sx->mode,
		.nlink = sx->nlink,
		.uid = sx->uid,
		.gid = sx->gid,
		.blksize = sx->blksize,
		/* STATX does not tell them. */
		.flags = flags,
	};
}

static int ask_statx(struct inode *inode, struct file *file, struct answer *a,
		     struct cw_valid *valid)
{
	struct fuse_statx_in in = { .sx_mask = STATX_BASIC_STATS | STATX_BTIME };
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_statx_out out;
	struct cw_words words;
	int r;

	in.getattr_flags = flags_of(file, &in.fh);
	r = cw_simple(c, FUSE_STATX, CW_I(inode)->nodeid, &in, sizeof(in), NULL, &out, sizeof(out),
		      &words);
	if (r < 0)
		return r;
	if ((out.stat.mask & STATX_BASIC_STATS) != STATX_BASIC_STATS)
		return -EOPNOTSUPP;
	attr_of_statx(&out.stat, CW_I(inode)->attr_flags, &a->attr);
	a->btime_known = out.stat.mask & STATX_BTIME;
	a->btime = cw_time_of(out.stat.btime.tv_sec, out.stat.btime.tv_nsec);
	*valid = cw_shown(c, &words, VT_NODE_ATTR, CW_ATTR, out.attr_valid, out.attr_valid_nsec);
	return 0;
}

static int ask(struct inode *inode, struct file *file, bool btime, struct answer *a,
	       struct cw_valid *valid)
{
	struct cw_conn *c = cw_conn_of(inode);
	int r = -EOPNOTSUPP;

	*a = (struct answer){};
	if (btime && !cw_is_absent(c, FUSE_STATX)) {
		r = ask_statx(inode, file, a, valid);
		if (r == -ENOSYS || r == -EOPNOTSUPP) {
			cw_set_absent(c, FUSE_STATX);
			r = -EOPNOTSUPP;
		}
	}
	return r == -EOPNOTSUPP ? ask_getattr(inode, file, a, valid) : r;
}

/* Asks until the answer is taken: 0, -errno, or 1 where others have overtaken each. */
static int fetch(struct inode *inode, struct file *file, bool btime, struct answer *a)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);
	int r = 1;

	for (int i = 0; r == 1 && i < TRIES; i++) {
		const u64 version = cw_attr_version(c);
		struct cw_valid valid;

		r = ask(inode, file, btime, a, &valid);
		if (r < 0)
			return r;
		r = cw_take_attr(inode, &a->attr, &valid, version);
		if (r >= 0 && a->btime_known) {
			spin_lock(&ci->lock);
			ci->btime = a->btime;
			ci->btime_known = true;
			spin_unlock(&ci->lock);
		}
	}
	return r;
}

int cw_refresh(struct inode *inode, struct file *file, bool force)
{
	struct answer a;

	if (cw_is_bad(inode))
		return -EIO;
	if (!force && cw_kept_holds(cw_conn_of(inode), &CW_I(inode)->attr))
		return 0;
	return min(fetch(inode, file, false, &a), 0);
}

int cw_permission(cw_idmap *idmap, struct inode *inode, int mask)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_valid perm = cw_kept(&CW_I(inode)->perm);
	bool asked = false;
	int r;

	if (cw_is_bad(inode))
		return -EIO;
	if (!cw_valid_holds(c, &perm)) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		r = cw_refresh(inode, NULL, true);
		if (r < 0)
			return r;
		asked = true;
	}
	r = generic_permission(idmap, inode, mask);
	/* Nobody is refused for what was so a second ago. */
	if (r != -EACCES || asked || perm.by_word || perm.until == U64_MAX)
		return r;
	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	r = cw_refresh(inode, NULL, true);
	return r < 0 ? r : generic_permission(idmap, inode, mask);
}

/* ---- stat(2) --------------------------------------------------------------------------------- */

/* An answer that was not taken: it is of now, while what is known is of nobody knows when. */
static void show_answer(cw_idmap *idmap, struct inode *inode, const struct answer *a,
			struct kstat *stat)
{
	struct user_namespace *users = inode->i_sb->s_user_ns;
	const struct fuse_attr *attr = &a->attr;

	stat->mode = attr->mode;
	stat->nlink = attr->nlink;
	stat->uid = vfsuid_into_kuid(make_vfsuid(idmap, users, make_kuid(users, attr->uid)));
	stat->gid = vfsgid_into_kgid(make_vfsgid(idmap, users, make_kgid(users, attr->gid)));
	stat->blocks = attr->blocks;
	stat->atime = cw_time_of(attr->atime, attr->atimensec);
	if (cw_size_is_ours(inode))
		return;
	stat->mtime = cw_time_of(attr->mtime, attr->mtimensec);
	stat->ctime = cw_time_of(attr->ctime, attr->ctimensec);
	stat->size = attr->size;
}

/* Whether what is known will do for what stat(2) asks for. */
static bool is_known(struct inode *inode, u32 mask, unsigned int flags)
{
	const struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);

	if (flags & AT_STATX_DONT_SYNC)
		return true;
	if ((flags & AT_STATX_FORCE_SYNC) || !cw_kept_holds(c, &ci->attr))
		return false;
	if ((mask & STATX_BTIME) && !ci->btime_known && !cw_is_absent(c, FUSE_STATX))
		return false;
	return !(mask & STATX_ATIME) || !test_bit(CW_I_ATIME_OLD, &ci->state) ||
	       c->opt.cache == CW_CACHE_SHARED;
}

int cw_getattr(cw_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
	       unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct cw_inode *ci = CW_I(inode);
	struct answer a;
	int r = 0;

	if (cw_is_bad(inode))
		return -EIO;
	if (!is_known(inode, mask, flags))
		r = fetch(inode, NULL, (mask & STATX_BTIME) && !ci->btime_known, &a);
	if (r < 0)
		return r;
	/* All of it of one moment. */
	spin_lock(&ci->lock);
	cw_fillattr(idmap, mask, inode, stat);
	stat->blksize = 1u << ci->blkbits;
	if (ci->btime_known) {
		stat->result_mask |= STATX_BTIME;
		stat->btime = ci->btime;
	}
	spin_unlock(&ci->lock);
	if (r == 1)
		show_answer(idmap, inode, &a, stat);
	return 0;
}
