// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Symlinks: their targets, kept where the mode of caching has it.
 *
 * A target never changes once it is there; another one takes its place in cw_inode.target, and the
 * old one lives until the last walk that follows it has ended. So an RCU walk may take it: by a
 * reference that it gets only if there still is one.
 */
#include <linux/namei.h>
#include <linux/slab.h>

#include "compat/acl.h"
#include "inode.h"
#include "names.h"

struct cw_target {
	refcount_t refs;
	struct cw_valid valid;
	struct rcu_head rcu;
	char path[];
};

static void put_target(void *p)
{
	struct cw_target *t = p;

	if (refcount_dec_and_test(&t->refs))
		kfree_rcu(t, rcu);
}

static void exchange(struct inode *inode, struct cw_target *t)
{
	struct cw_inode *ci = CW_I(inode);
	struct cw_target *old;

	spin_lock(&ci->lock);
	old = rcu_replace_pointer(ci->target, t, lockdep_is_held(&ci->lock));
	spin_unlock(&ci->lock);
	if (old)
		put_target(old);
}

void cw_target_drop(struct inode *inode)
{
	exchange(inode, NULL);
}

static struct cw_target *known(struct inode *inode)
{
	struct cw_target *t;

	rcu_read_lock();
	t = rcu_dereference(CW_I(inode)->target);
	if (t &&
		(!cw_valid_holds(cw_conn_of(inode), &t->valid) || !refcount_inc_not_zero(&t->refs)))
		t = NULL;
	rcu_read_unlock();
	return t;
}

static bool keeps(const struct cw_conn *c)
{
	switch (c->opt.cache) {
	case CW_CACHE_SHARED:
	case CW_CACHE_ALWAYS:
		return true;
	case CW_CACHE_AUTO:
		return c->flags & FUSE_CACHE_SYMLINKS;
	default:
		return false;
	}
}

/* A target that is referenced, and known to others where it may be: or an error pointer. */
static struct cw_target *ask(struct inode *inode)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_call call = { .opcode = FUSE_READLINK, .nodeid = CW_I(inode)->nodeid };
	struct cw_words words;
	struct cw_target *t;
	int r;

	t = kzalloc(struct_size(t, path, PATH_MAX), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	refcount_set(&t->refs, 1);
	call.out = t->path;
	call.out_size = PATH_MAX - 1;
	call.out_short = true;
	call.words = &words;
	r = cw_call(c, &call);
	/* A target of nothing cannot be made. */
	if (r == 0)
		r = -EIO;
	if (r < 0) {
		kfree(t);
		return ERR_PTR(r);
	}
	t->path[r] = 0;
	set_bit(CW_I_ATIME_OLD, &CW_I(inode)->state);
	if (keeps(c)) {
		struct cw_target *small = kmalloc(struct_size(small, path, r + 1),
						  GFP_KERNEL_ACCOUNT);

		if (!small)
			return t;
		memcpy(small->path, t->path, r + 1);
		kfree(t);
		small->valid = cw_shown(c, &words, VT_NODE_DATA, CW_DATA, 0, 0);
		/* Ours and the inode's. */
		refcount_set(&small->refs, 2);
		exchange(inode, small);
		t = small;
	}
	return t;
}

static const char *get_link(struct dentry *dentry, struct inode *inode, struct delayed_call *done)
{
	struct cw_target *t;

	if (cw_is_bad(inode))
		return ERR_PTR(-EIO);
	t = known(inode);
	if (!t) {
		if (!dentry)
			return ERR_PTR(-ECHILD);
		t = ask(inode);
	}
	if (IS_ERR(t))
		return ERR_CAST(t);
	set_delayed_call(done, put_target, t);
	return t->path;
}

static const struct inode_operations symlink_ops = {
	.get_link = get_link,
	.permission = cw_permission,
	.getattr = cw_getattr,
	.setattr = cw_setattr,
	.listxattr = cw_listxattr,
};

void cw_init_symlink(struct inode *inode)
{
	inode->i_op = &symlink_ops;
}
