// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Files that are made and opened by one request: CREATE, for open(2) with O_CREAT, and TMPFILE.
 *
 * A reply brings an inode and a handle; whatever goes wrong after it, both are given back.
 */
#include <linux/capability.h>
#include <linux/namei.h>

#include "inode.h"
#include "names.h"

static void fill_in(struct fuse_create_in *in, const struct cw_conn *c, unsigned int flags,
		    umode_t mode)
{
	*in = (struct fuse_create_in){
		.flags = flags & ~O_NOCTTY,
		.mode = cw_new_mode(c, mode),
		.umask = current_umask(),
	};
	/* A file that turns out to be there already is truncated: as by truncate(2). */
	if ((c->flags & FUSE_HANDLE_KILLPRIV_V2) && (flags & O_TRUNC) && !(flags & O_EXCL) &&
	    !capable(CAP_FSETID))
		in->open_flags |= FUSE_OPEN_KILL_SUIDGID;
}

static void give_back(struct cw_conn *c, u64 nodeid, const struct fuse_open_out *open,
		      unsigned int flags)
{
	const struct fuse_release_in in = {
		.fh = open->fh,
		.flags = flags & ~(O_CREAT | O_EXCL | O_TRUNC),
	};

	cw_simple(c, FUSE_RELEASE, nodeid, &in, sizeof(in), NULL, NULL, 0, NULL);
}

static int send_create(cw_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       const struct fuse_create_in *in, u32 opcode, struct fuse_create_out *out,
		       struct cw_words *words)
{
	struct cw_call call = {
		.opcode = opcode,
		.nodeid = CW_I(dir)->nodeid,
		.nin = 1,
		.in = { { in, sizeof(*in) } },
		.out = out,
		.out_size = sizeof(*out),
	};
	struct cw_made m;
	int r = cw_made_begin(&m, &call, idmap, dir, dentry, in->mode);

	if (r == 0 && m.ext)
		call.in[call.nin++] = (struct cw_in){ m.ext, call.ext_len };
	call.words = words;
	if (r == 0)
		r = cw_call(cw_conn_of(dir), &call);
	cw_made_end(&m);
	return r;
}

/* The file of a reply, with its reference to the server's handle: or the handle is given back. */
static struct cw_file *file_of(struct inode *inode, const struct fuse_open_out *open,
			       unsigned int flags)
{
	struct cw_file *f = cw_file_alloc(inode);

	if (!f) {
		give_back(cw_conn_of(inode), CW_I(inode)->nodeid, open, flags);
		return NULL;
	}
	f->flags = flags & ~(O_CREAT | O_EXCL | O_TRUNC);
	f->fh = open->fh;
	f->open_flags = open->open_flags;
	f->opened = true;
	return f;
}

static void put_in_place(struct dentry *dentry, struct inode *inode, const struct cw_valid *valid)
{
	/* Nobody has looked it up: it becomes what it is, and known, at once. */
	if (d_in_lookup(dentry)) {
		d_add(dentry, inode);
	} else {
		d_instantiate(dentry, inode);
	}
	cw_dentry_set(dentry, inode, valid);
}

static int create_open(cw_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       struct file *file, unsigned int flags, umode_t mode, u32 opcode)
{
	const struct cw_valid none = { .until = 0 };
	struct cw_conn *c = cw_conn_of(dir);
	const u64 version = cw_attr_version(c);
	struct fuse_create_out out;
	struct fuse_create_in in;
	struct cw_words words;
	struct cw_valid valid;
	struct inode *inode;
	struct cw_file *f;
	int r;

	fill_in(&in, c, flags, mode);
	r = send_create(idmap, dir, dentry, &in, opcode, &out, &words);
	if (r < 0) {
		cw_dentry_disbelieve(dentry);
		return r;
	}
	inode = cw_made_inode(dir, &out.entry, S_IFREG, &words, version);
	if (IS_ERR(inode)) {
		if (out.entry.nodeid)
			give_back(c, out.entry.nodeid, &out.open, flags);
		return PTR_ERR(inode);
	}
	valid = opcode == FUSE_TMPFILE ? none : cw_entry_valid(c, &words, &out.entry);
	f = file_of(inode, &out.open, flags);
	put_in_place(dentry, inode, &valid);
	if (!f)
		return -ENOMEM;
	file->f_mode |= FMODE_CREATED;
	r = finish_open(file, dentry, cw_open_generic);
	if (r < 0) {
		cw_file_put(f, true);
		return r;
	}
	cw_opened(inode, file, f);
	return 0;
}

int cw_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file, unsigned int flags,
		   umode_t mode)
{
	cw_idmap *idmap = cw_file_idmap(file);
	struct cw_conn *c = cw_conn_of(dir);
	/* What must not be there needs not be looked up. */
	const bool blind = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) &&
			   !cw_is_absent(c, FUSE_CREATE);
	struct dentry *found = NULL;
	int r;

	if (cw_is_bad(dir))
		return -EIO;
	if (d_in_lookup(dentry) && !blind) {
		found = dir->i_op->lookup(dir, dentry, 0);
		if (IS_ERR(found))
			return PTR_ERR(found);
		if (found)
			dentry = found;
	}
	if (!(flags & O_CREAT) || d_really_is_positive(dentry))
		return finish_no_open(file, found);

	r = -ENOSYS;
	if (!cw_is_absent(c, FUSE_CREATE))
		r = create_open(idmap, dir, dentry, file, flags, mode, FUSE_CREATE);
	if (r == -ENOSYS) {
		cw_set_absent(c, FUSE_CREATE);
		r = cw_mknod(idmap, dir, dentry, mode, 0);
		if (r == 0) {
			file->f_mode |= FMODE_CREATED;
			return finish_no_open(file, found);
		}
	}
	dput(found);
	return r;
}

int cw_tmpfile(cw_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct cw_conn *c = cw_conn_of(dir);
	int r;

	if (cw_is_absent(c, FUSE_TMPFILE))
		return -EOPNOTSUPP;
	r = create_open(idmap, dir, file->f_path.dentry, file, file->f_flags, mode, FUSE_TMPFILE);
	if (r == -ENOSYS) {
		cw_set_absent(c, FUSE_TMPFILE);
		r = -EOPNOTSUPP;
	}
	return r;
}
