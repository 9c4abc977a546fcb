// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * File handles, for NFS servers and open_by_handle_at(2): a node's id and generation, and those of
 * its directory where that is asked for.
 *
 * A node that is not known here any more is looked up by its id alone, as "." of itself, where the
 * server has that (FUSE_EXPORT_SUPPORT). It may be asked for what never was a node.
 */
#include <linux/exportfs.h>

#include "inode.h"
#include "names.h"

/* On the wire between here and whoever keeps handles: numbers as they have always been there. */
enum { FH_ONE = 0x81, FH_WITH_PARENT = 0x82 };
enum { WORDS_ONE = 3, WORDS_WITH_PARENT = 6 };

static void put_node(u32 *fh, const struct inode *inode)
{
	const struct cw_inode *ci = CW_I(inode);

	fh[0] = ci->nodeid >> 32;
	fh[1] = ci->nodeid;
	fh[2] = ci->generation;
}

static int encode_fh(struct inode *inode, u32 *fh, int *len, struct inode *parent)
{
	const int words = parent ? WORDS_WITH_PARENT : WORDS_ONE;
	const bool fits = *len >= words;

	*len = words;
	if (!fits)
		return FILEID_INVALID;
	put_node(fh, inode);
	if (parent)
		put_node(fh + WORDS_ONE, parent);
	return parent ? FH_WITH_PARENT : FH_ONE;
}

static struct inode *look_up(struct super_block *sb, u64 nodeid, const char *name)
{
	struct qstr as = QSTR_INIT(name, strlen(name));
	struct cw_valid valid;
	struct inode *inode;
	int r;

	if (!(CW_SB(sb)->conn->flags & FUSE_EXPORT_SUPPORT))
		return ERR_PTR(-ESTALE);
	r = cw_lookup_name(sb, nodeid, &as, &inode, &valid);
	if (r < 0)
		return ERR_PTR(r);
	return inode ?: ERR_PTR(-ESTALE);
}

static struct dentry *dentry_of(struct super_block *sb, const u32 *fh)
{
	const u64 nodeid = (u64)fh[0] << 32 | fh[1];
	const u32 generation = fh[2];
	struct inode *inode;

	if (!nodeid)
		return ERR_PTR(-ESTALE);
	inode = cw_ilookup(sb, nodeid);
	if (!inode)
		inode = look_up(sb, nodeid, ".");
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	if (CW_I(inode)->nodeid != nodeid || (u32)CW_I(inode)->generation != generation) {
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	return d_obtain_alias(inode);
}

static struct dentry *fh_to_dentry(struct super_block *sb, struct fid *fid, int len, int type)
{
	if ((type != FH_ONE && type != FH_WITH_PARENT) || len < WORDS_ONE)
		return NULL;
	return dentry_of(sb, fid->raw);
}

static struct dentry *fh_to_parent(struct super_block *sb, struct fid *fid, int len, int type)
{
	if (type != FH_WITH_PARENT || len < WORDS_WITH_PARENT)
		return NULL;
	return dentry_of(sb, fid->raw + WORDS_ONE);
}

static struct dentry *get_parent(struct dentry *child)
{
	struct inode *inode = look_up(child->d_sb, CW_I(d_inode(child))->nodeid, "..");

	return IS_ERR(inode) ? ERR_CAST(inode) : d_obtain_alias(inode);
}

const struct export_operations cw_export_ops = {
	.encode_fh = encode_fh,
	.fh_to_dentry = fh_to_dentry,
	.fh_to_parent = fh_to_parent,
	.get_parent = get_parent,
};
