// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Submounts: what the server has mounted within the shared directory (FUSE_ATTR_SUBMOUNT) is a
 * super block of its own, with its own device number, and is mounted by whoever walks there.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mount.h>
#include <linux/slab.h>

#include "compat/super.h"
#include "node.h"
#include "super.h"

/* By a lookup of its own: a submount that is mounted elsewhere too, or still in use when it was
 * taken off (umount -l), outlives the inode that it was found by, with which the server is told to
 * forget what that has looked up. */
static int make_submount_root(struct super_block *sb, struct dentry *at)
{
	struct dentry *dir = dget_parent(at);
	struct name_snapshot name;
	struct cw_valid valid;
	struct inode *inode;
	int r;

	take_dentry_name_snapshot(&name, at);
	r = cw_lookup_name(sb, CW_I(d_inode(dir))->nodeid, &name.name, &inode, &valid);
	release_dentry_name_snapshot(&name);
	dput(dir);
	if (r < 0)
		return r;
	/* Another one by now: who walks looks the name up again. */
	if (!inode || CW_I(inode)->nodeid != CW_I(d_inode(at))->nodeid || !S_ISDIR(inode->i_mode)) {
		iput(inode);
		return -ESTALE;
	}
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

static int fill_submount(struct super_block *sb, struct fs_context *fc)
{
	struct dentry *at = fc->fs_private;
	const struct super_block *above = at->d_sb;
	struct cw_super *super = kzalloc(sizeof(*super), GFP_KERNEL);
	int r;

	if (!super)
		return -ENOMEM;
	super->conn = cw_conn_get(CW_SB(above)->conn);
	super->dev = super->conn->dev;
	super->is_submount = true;
	sb->s_fs_info = super;
	cw_super_join(sb);
	r = cw_super_set_up(sb);
	if (r < 0)
		return r;
	cw_super_set_agreed(sb);
	sb->s_bdi->ra_pages = above->s_bdi->ra_pages;
	sb->s_bdi->io_pages = above->s_bdi->io_pages;
	return make_submount_root(sb, at);
}

static int get_submount(struct fs_context *fc)
{
	return get_tree_nodev(fc, fill_submount);
}

static const struct fs_context_operations submount_ops = { .get_tree = get_submount };

struct vfsmount *cw_automount(struct path *path)
{
	struct fs_context *fc = fs_context_for_submount(&cw_type, path->dentry);
	struct vfsmount *mnt;

	if (IS_ERR(fc))
		return ERR_CAST(fc);
	kfree(fc->fs_private);
	fc->fs_private = path->dentry;
	fc->ops = &submount_ops;
	mnt = fc_mount(fc);
	fc->fs_private = NULL;
	put_fs_context(fc);
	return cw_automounted(mnt);
}
