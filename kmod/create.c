// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * New names: MKNOD, MKDIR, SYMLINK, LINK.
 *
 * VFS holds the directory's i_rwsem for writing; d_revalidate does not care for it. A dentry is
 * believed, as what it is then, only after it has its inode.
 */
#include <linux/slab.h>

#include "compat/dir.h"
#include "inode.h"
#include "names.h"

umode_t cw_new_mode(const struct cw_conn *c, umode_t mode)
{
	/* Else the server applies it, or a default ACL instead. */
	return c->flags & FUSE_DONT_MASK ? mode : mode & ~current_umask();
}

int cw_made_begin(struct cw_made *m, struct cw_call *call, cw_idmap *idmap, struct inode *dir,
		  struct dentry *dentry, umode_t mode)
{
	struct user_namespace *users = dir->i_sb->s_user_ns;
	const struct qstr *name = &dentry->d_name;
	unsigned int len;
	int r;

	m->ext = NULL;
	if (cw_is_bad(dir))
		return -EIO;
	if (name->len > CW_NAME_MAX)
		return -ENAMETOOLONG;
	/* The name of a dentry ends with a NUL, and does not move while its directory is locked. */
	call->in[call->nin++] = (struct cw_in){ name->name, name->len + 1 };
	call->words = &m->words;
	call->ids = true;
	call->uid = mapped_fsuid(idmap, users);
	call->gid = mapped_fsgid(idmap, users);
	r = cw_creation_ext(idmap, dir, dentry, mode, &m->ext, &len);
	call->ext_len = r == 0 && m->ext ? len : 0;
	return r;
}

/* Extensions are the last of a request: after what stands behind the name. */
static void add_ext(struct cw_made *m, struct cw_call *call)
{
	if (m->ext)
		call->in[call->nin++] = (struct cw_in){ m->ext, call->ext_len };
}

void cw_made_end(struct cw_made *m)
{
	kfree(m->ext);
}

struct inode *cw_made_inode(struct inode *dir, const struct fuse_entry_out *entry, umode_t mode,
			    const struct cw_words *words, u64 version)
{
	struct cw_conn *c = cw_conn_of(dir);
	const struct cw_valid valid = cw_entry_attr_valid(c, words, entry);

	/* A file without a name is nothing to its directory. */
	if (words->opcode != FUSE_TMPFILE)
		cw_dir_changed(dir, words, false);
	/* A directory is not within itself: believed, that would be the end of the directory. */
	if (!cw_entry_is_good(entry) || (entry->attr.mode ^ mode) & S_IFMT ||
		entry->nodeid == CW_I(dir)->nodeid) {
		if (entry->nodeid)
			cw_forget(c, NULL, entry->nodeid, 1);
		return ERR_PTR(-EIO);
	}
	return cw_iget(dir->i_sb, entry, &valid, version);
}

/* Sends a request that makes a name, or gives one more to an inode: the call has all of it but the
 * name, and what follows that (target). */
static int make(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		struct cw_call *call, const char *target)
{
	struct cw_conn *c = cw_conn_of(dir);
	const u64 version = cw_attr_version(c);
	struct fuse_entry_out entry;
	struct dentry *other;
	struct inode *inode;
	struct cw_valid valid;
	struct cw_made m;
	int r;

	call->out = &entry;
	call->out_size = sizeof(entry);
	r = cw_made_begin(&m, call, idmap, dir, dentry, mode);
	if (target)
		call->in[call->nin++] = (struct cw_in){ target, strlen(target) + 1 };
	add_ext(&m, call);
	if (r == 0)
		r = cw_call(c, call);
	cw_made_end(&m);
	/* Whether there is a name now is not known. */
	if (r < 0) {
		cw_dentry_disbelieve(dentry);
		return r;
	}
	inode = cw_made_inode(dir, &entry, mode, &m.words, version);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	valid = cw_entry_valid(c, &m.words, &entry);
	d_drop(dentry);
	other = d_splice_alias(inode, dentry);
	if (IS_ERR(other))
		return PTR_ERR(other);
	cw_dentry_set(other ?: dentry, inode, &valid);
	dput(other);
	return 0;
}

int cw_mknod(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t rdev)
{
	const struct fuse_mknod_in in = {
		.mode = cw_new_mode(cw_conn_of(dir), mode),
		.rdev = new_encode_dev(rdev),
		.umask = current_umask(),
	};
	struct cw_call call = {
		.opcode = FUSE_MKNOD,
		.nodeid = CW_I(dir)->nodeid,
		.nin = 1,
		.in = { { &in, sizeof(in) } },
	};

	return make(idmap, dir, dentry, mode, &call, NULL);
}

int cw_create(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl)
{
	return cw_mknod(idmap, dir, dentry, mode | S_IFREG, 0);
}

cw_mkdir_t cw_mkdir(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	const struct fuse_mkdir_in in = {
		.mode = cw_new_mode(cw_conn_of(dir), mode),
		.umask = current_umask(),
	};
	struct cw_call call = {
		.opcode = FUSE_MKDIR,
		.nodeid = CW_I(dir)->nodeid,
		.nin = 1,
		.in = { { &in, sizeof(in) } },
	};

	return cw_mkdir_result(make(idmap, dir, dentry, S_IFDIR | mode, &call, NULL));
}

int cw_symlink(cw_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *target)
{
	struct cw_call call = { .opcode = FUSE_SYMLINK, .nodeid = CW_I(dir)->nodeid };

	return make(idmap, dir, dentry, S_IFLNK | 0777, &call, target);
}

int cw_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	struct cw_conn *c = cw_conn_of(dir);
	const struct fuse_link_in in = { .oldnodeid = CW_I(inode)->nodeid };
	const u64 version = cw_attr_version(c);
	struct cw_valid valid, attr;
	struct fuse_entry_out entry;
	struct cw_words words;
	int r;

	if (cw_is_bad(inode) || cw_is_bad(dir))
		return -EIO;
	r = cw_simple(c, FUSE_LINK, CW_I(dir)->nodeid, &in, sizeof(in), &dentry->d_name, &entry,
		      sizeof(entry), &words);
	if (r < 0) {
		cw_dentry_disbelieve(dentry);
		if (r == -EINTR)
			cw_drop_attr(inode);
		return r;
	}
	cw_dir_changed(dir, &words, false);
	if (!entry.nodeid)
		return -EIO;
	/* It is the same inode, or the server does not know what it does. */
	if (!cw_entry_is_good(&entry) || !cw_is_same(inode, &entry)) {
		cw_forget(c, NULL, entry.nodeid, 1);
		return -EIO;
	}
	cw_looked_up(inode);
	attr = cw_entry_attr_valid(c, &words, &entry);
	if (cw_take_attr(inode, &entry.attr, &attr, version) != 0)
		cw_drop_attr(inode);
	valid = cw_entry_valid(c, &words, &entry);
	ihold(inode);
	d_instantiate(dentry, inode);
	cw_dentry_set(dentry, inode, &valid);
	return 0;
}
