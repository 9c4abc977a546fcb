// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Super blocks: one for each mounted tag, and one for each file system that the server has mounted
 * within the shared directory (submount.c). Those of one tag share a connection, which ends with
 * the last of them.
 *
 * A tag that is mounted already is the same super block again, if the options are the same.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/xattr.h>

#include "compat/super.h"
#include "init.h"
#include "main.h"
#include "node.h"
#include "options.h"
#include "super.h"

/* ---- operations ------------------------------------------------------------------------------ */

static int statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct inode *inode = d_inode(dentry);
	struct fuse_statfs_out out = {};
	int r;

	r = cw_simple(cw_conn_of(inode), FUSE_STATFS, CW_I(inode)->nodeid, NULL, 0, NULL, &out,
		      sizeof(out), NULL);
	if (r < 0)
		return r;
	*buf = (struct kstatfs){
		.f_type = CW_MAGIC,
		.f_bsize = out.st.bsize,
		.f_frsize = out.st.frsize,
		.f_blocks = out.st.blocks,
		.f_bfree = out.st.bfree,
		.f_bavail = out.st.bavail,
		.f_files = out.st.files,
		.f_ffree = out.st.ffree,
		.f_namelen = out.st.namelen,
		.f_fsid = u64_to_fsid(huge_encode_dev(dentry->d_sb->s_dev)),
	};
	return 0;
}

static int sync_fs(struct super_block *sb, int wait)
{
	struct cw_conn *c = CW_SB(sb)->conn;
	const struct fuse_syncfs_in in = {};
	int r;

	/* The server is asked once, when all of ours has gone out. */
	if (!wait || !sb->s_root || cw_is_absent(c, FUSE_SYNCFS))
		return 0;
	r = cw_simple(c, FUSE_SYNCFS, CW_I(d_inode(sb->s_root))->nodeid, &in, sizeof(in), NULL,
		      NULL, 0, NULL);
	if (r == -ENOSYS)
		cw_set_absent(c, FUSE_SYNCFS);
	return r == -ENOSYS || r > 0 ? 0 : r;
}

/* By then the VFS lets nobody write, and what waited has gone out, to the server's disk too. */
static int freeze_fs(struct super_block *sb)
{
	return 0;
}

static int show_options(struct seq_file *m, struct dentry *root)
{
	cw_options_show(m, &CW_SB(root->d_sb)->conn->opt);
	return 0;
}

static const struct super_operations super_ops = {
	.alloc_inode = cw_alloc_inode,
	.free_inode = cw_free_inode,
	.evict_inode = cw_evict_inode,
	.write_inode = cw_write_inode,
	.drop_inode = cw_drop_inode,
	.statfs = statfs,
	.sync_fs = sync_fs,
	.freeze_fs = freeze_fs,
	.show_options = show_options,
};

/* ---- filling ------------------------------------------------------------------------------- */

int cw_super_set_up(struct super_block *sb)
{
	int r;

	sb->s_magic = CW_MAGIC;
	sb->s_op = &super_ops;
	sb->s_xattr = cw_xattr_table(cw_xattr_handlers);
	sb->s_export_op = &cw_export_ops;
	cw_set_dentry_ops(sb, &cw_dentry_ops);
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	sb->s_iflags |= SB_I_IMA_UNVERIFIABLE_SIGNATURE;
	r = super_setup_bdi(sb);
	if (r < 0)
		return r;
	/* Pages that wait to be written take a small part of what all may: a server that is slow,
	 * or gone, must not hold up others (Documentation/admin-guide/sysctl/vm.rst). */
	sb->s_bdi->capabilities |= BDI_CAP_STRICTLIMIT;
	bdi_set_max_ratio(sb->s_bdi, 1);
	return 0;
}

void cw_super_set_agreed(struct super_block *sb)
{
	const struct cw_conn *c = CW_SB(sb)->conn;

	sb->s_time_gran = c->time_gran;
	/* Also: VFS leaves the umask to who knows of default ACLs. */
	if (c->flags & (FUSE_POSIX_ACL | FUSE_DONT_MASK))
		sb->s_flags |= SB_POSIXACL;
	/* Each write need not ask for file capabilities: the server takes them away. */
	if (c->flags & FUSE_HANDLE_KILLPRIV_V2)
		sb->s_flags |= SB_NOSEC;
}

void cw_super_join(struct super_block *sb)
{
	struct cw_super *super = CW_SB(sb);

	down_write(&super->conn->supers_lock);
	list_add_tail(&super->entry, &super->conn->supers);
	up_write(&super->conn->supers_lock);
}

/* The root of the share has its number without a lookup, so that none is to be given back. */
static int make_root(struct super_block *sb)
{
	struct cw_conn *c = CW_SB(sb)->conn;
	const struct fuse_getattr_in in = {};
	struct fuse_attr_out out = {};
	struct fuse_entry_out entry = { .nodeid = FUSE_ROOT_ID };
	const u64 version = cw_attr_version(c);
	struct cw_words words;
	struct cw_valid valid;
	struct inode *inode;
	int r;

	r = cw_simple(c, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof(in), NULL, &out, sizeof(out),
		      &words);
	if (r < 0)
		return r;
	entry.attr = out.attr;
	entry.attr.flags &= ~FUSE_ATTR_SUBMOUNT;
	if (!S_ISDIR(entry.attr.mode))
		return -ENOTDIR;
	valid = cw_shown(c, &words, VT_NODE_ATTR, CW_ATTR, out.attr_valid, out.attr_valid_nsec);
	inode = cw_iget(sb, &entry, &valid, version);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	spin_lock(&CW_I(inode)->lock);
	CW_I(inode)->lookups--;
	spin_unlock(&CW_I(inode)->lock);
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

static int fill(struct super_block *sb, struct fs_context *fc)
{
	struct cw_super *super = CW_SB(sb);
	struct cw_conn *c;
	int r;

	r = cw_super_set_up(sb);
	if (r < 0)
		return r;
	c = cw_conn_new(super->dev, fc->fs_private);
	if (IS_ERR(c)) {
		r = PTR_ERR(c);
		return r == -EBUSY ? invalf(fc, "causeway: '%s' is still in use", fc->source) : r;
	}
	super->conn = c;
	cw_super_join(sb);
	r = cw_init(c, sb, fc);
	if (r < 0)
		return r;
	cw_super_set_agreed(sb);
	return make_root(sb);
}

static int is_of_device(struct super_block *sb, struct fs_context *fc)
{
	const struct cw_super *super = CW_SB(sb), *wanted = fc->s_fs_info;

	return super && super->dev == wanted->dev && !super->is_submount;
}

static void super_free(struct cw_super *super)
{
	if (super->conn)
		cw_conn_put(super->conn);
	else if (super->dev)
		cw_dev_put(super->dev);
	kfree_rcu(super, rcu);
}

static int get_tree(struct fs_context *fc)
{
	struct cw_super *super;
	struct super_block *sb;
	int r = cw_check_options(fc, fc->fs_private);

	if (r < 0)
		return r;
	if (!fc->source)
		return invalf(fc, "causeway: the tag of a device is missing");
	super = kzalloc(sizeof(*super), GFP_KERNEL);
	if (!super)
		return -ENOMEM;
	super->dev = cw_dev_find(fc->source);
	if (IS_ERR(super->dev)) {
		kfree(super);
		errorf(fc, "causeway: no device of this driver has the tag '%s'", fc->source);
		return -ENODEV;
	}
	fc->s_fs_info = super;
	sb = sget_fc(fc, is_of_device, set_anon_super_fc);
	if (fc->s_fs_info) {
		super_free(super);
		fc->s_fs_info = NULL;
	}
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (!sb->s_root) {
		r = fill(sb, fc);
		if (r == 0)
			sb->s_flags |= SB_ACTIVE;
	} else if (!cw_options_are_same(&CW_SB(sb)->conn->opt, fc->fs_private)) {
		errorf(fc, "causeway: '%s' is mounted already, with other options", fc->source);
		r = -EBUSY;
	}
	if (r < 0) {
		deactivate_locked_super(sb);
		return r;
	}
	fc->root = dget(sb->s_root);
	return 0;
}

static void kill_sb(struct super_block *sb)
{
	struct cw_super *super = CW_SB(sb);

	/* Before the inodes: replies to RELEASE may hold some. */
	if (super)
		cw_files_wait(sb);
	kill_anon_super(sb);
	sb->s_fs_info = NULL;
	if (!super)
		return;
	if (super->conn) {
		down_write(&super->conn->supers_lock);
		list_del(&super->entry);
		up_write(&super->conn->supers_lock);
	}
	super_free(super);
}

/* ---- the type ------------------------------------------------------------------------------ */

static int reconfigure(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;
	int r = cw_check_options(fc, fc->fs_private);

	if (r < 0)
		return r;
	sync_filesystem(sb);
	return cw_change_options(fc, &CW_SB(sb)->conn->opt, fc->fs_private);
}

static void free_fc(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations context_ops = {
	.free = free_fc,
	.parse_param = cw_parse_option,
	.get_tree = get_tree,
	.reconfigure = reconfigure,
};

static int init_fs_context(struct fs_context *fc)
{
	struct cw_options *o = kmalloc(sizeof(*o), GFP_KERNEL);

	if (!o)
		return -ENOMEM;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		*o = CW_SB(fc->root->d_sb)->conn->opt;
	else
		cw_options_init(o);
	fc->fs_private = o;
	fc->ops = &context_ops;
	return 0;
}

struct file_system_type cw_type = {
	.owner = THIS_MODULE,
	.name = "causeway",
	.fs_flags = FS_ALLOW_IDMAP,
	.init_fs_context = init_fs_context,
	.parameters = cw_parameters,
	.kill_sb = kill_sb,
};
MODULE_ALIAS_FS("causeway");

int cw_super_register(void)
{
	return register_filesystem(&cw_type);
}

void cw_super_unregister(void)
{
	unregister_filesystem(&cw_type);
	/* Inodes and dentries are freed after grace periods. */
	rcu_barrier();
}
