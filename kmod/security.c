// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a request that makes an inode has behind its names, each with a header, each of a multiple
 * of 8 bytes: the label that a security module gives the inode (FUSE_SECURITY_CTX), so that it
 * never is without, and the directory's group where the creator is in it (FUSE_CREATE_SUPP_GROUP),
 * so that a server that knows one group of his leaves S_ISGID to the file.
 */
#include <linux/cred.h>
#include <linux/slab.h>

#include "compat/dir.h"
#include "names.h"

struct ext {
	char *bytes;
	unsigned int len;
};

/* Room for so much more, all 0. */
static void *extend(struct ext *ext, unsigned int len)
{
	char *bytes = krealloc(ext->bytes, ext->len + len, GFP_KERNEL);

	if (!bytes)
		return NULL;
	memset(bytes + ext->len, 0, len);
	ext->bytes = bytes;
	ext->len += len;
	return bytes + ext->len - len;
}

static int add_label(struct ext *ext, const char *name, const cw_label *label)
{
	const unsigned int name_len = label->len ? strlen(name) + 1 : 0;
	unsigned int len = sizeof(struct fuse_secctx_header);
	struct fuse_secctx_header *head;
	struct fuse_secctx *ctx;

	if (label->len)
		len += sizeof(*ctx) + name_len + label->len;
	len = FUSE_REC_ALIGN(len);
	head = extend(ext, len);
	if (!head)
		return -ENOMEM;
	head->size = len;
	/* That there is no label is said, too. */
	if (!label->len)
		return 0;
	head->nr_secctx = 1;
	ctx = (struct fuse_secctx *)(head + 1);
	ctx->size = label->len;
	memcpy(ctx + 1, name, name_len);
	memcpy((char *)(ctx + 1) + name_len, label->context, label->len);
	return 0;
}

static int add_security(struct ext *ext, struct dentry *dentry, umode_t mode)
{
	const char *name;
	cw_label label;
	int r = cw_label_of(dentry, mode, &name, &label);

	if (r < 0)
		return r;
	if (label.len && (!name || label.len > XATTR_SIZE_MAX))
		r = -EIO;
	else
		r = add_label(ext, name, &label);
	cw_label_free(&label);
	return r;
}

static int add_group(struct ext *ext, cw_idmap *idmap, struct inode *dir)
{
	struct user_namespace *users = dir->i_sb->s_user_ns;
	const vfsgid_t group = i_gid_into_vfsgid(idmap, dir);
	struct fuse_supp_groups *groups;
	struct fuse_ext_header *head;
	unsigned int len;

	if (!gid_valid(dir->i_gid) || !vfsgid_valid(group) ||
	    gid_eq(dir->i_gid, mapped_fsgid(idmap, users)) || !in_group_p(vfsgid_into_kgid(group)))
		return 0;
	len = FUSE_REC_ALIGN(sizeof(*head) + sizeof(*groups) + sizeof(u32));
	head = extend(ext, len);
	if (!head)
		return -ENOMEM;
	head->size = len;
	head->type = FUSE_EXT_GROUPS;
	groups = (struct fuse_supp_groups *)(head + 1);
	groups->nr_groups = 1;
	groups->groups[0] = from_kgid(users, dir->i_gid);
	return 0;
}

int cw_creation_ext(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		    void **out, unsigned int *len)
{
	const struct cw_conn *c = cw_conn_of(dir);
	struct ext ext = { .len = 0 };
	int r = 0;

	*out = NULL;
	*len = 0;
	if (c->flags & FUSE_SECURITY_CTX)
		r = add_security(&ext, dentry, mode);
	if (r == 0 && (c->flags & FUSE_CREATE_SUPP_GROUP))
		r = add_group(&ext, idmap, dir);
	if (r < 0) {
		kfree(ext.bytes);
		return r;
	}
	*out = ext.bytes;
	*len = ext.len;
	return 0;
}
