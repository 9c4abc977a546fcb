// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Open files: from open(2) to the reply to RELEASE.
 *
 * A struct cw_file lives as long as somebody uses its handle: the struct file, READs ahead, WRITEs
 * of pages. It holds its inode, so that the node is not forgotten before its handle is released;
 * who unmounts waits for that (cw_files_wait).
 *
 * A file whose node the server has pinned (proto/causeway_wire.h) is opened without a request, and
 * has CW_FH_NODE in place of a handle until something needs one (cw_file_handle, under pos_lock).
 *
 * The list of writers is under cw_inode.lock. A file is on it from when it may have dirty pages of
 * its own until they have been sent.
 */
#include <linux/capability.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "data.h"
#include "dax.h"
#include "main.h"

struct workqueue_struct *cw_work;
static struct kmem_cache *files;

#define PINNED (CW_FOPEN_PINNED_READ | CW_FOPEN_PINNED_WRITE)

/* What the ends of files do may wait for the ends of requests: it has a queue of its own. */
static struct workqueue_struct *file_ends;

int cw_files_create(void)
{
	files = KMEM_CACHE(cw_file, SLAB_ACCOUNT);
	if (!files)
		return -ENOMEM;
	cw_work = alloc_workqueue("causeway", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	file_ends = cw_work ? alloc_workqueue("causeway-files", WQ_UNBOUND, 0) : NULL;
	if (!file_ends) {
		if (cw_work)
			destroy_workqueue(cw_work);
		kmem_cache_destroy(files);
		return -ENOMEM;
	}
	return 0;
}

void cw_files_destroy(void)
{
	destroy_workqueue(cw_work);
	destroy_workqueue(file_ends);
	kmem_cache_destroy(files);
}

void cw_files_wait(struct super_block *sb)
{
	struct cw_super *super = CW_SB(sb);

	wait_var_event(&super->files, !atomic_read(&super->files));
}

static void file_free(struct cw_file *f)
{
	struct inode *inode = f->inode;
	struct cw_super *super = CW_SB(inode->i_sb);

	mutex_destroy(&f->pos_lock);
	kmem_cache_free(files, f);
	iput(inode);
	/* Nothing of the super block is touched after it is told. */
	if (atomic_dec_and_test(&super->files))
		wake_up_var(&super->files);
}

static void file_work(struct work_struct *work)
{
	struct cw_file *f = container_of(work, struct cw_file, work);

	refcount_set(&f->refs, 1);
	cw_file_put(f, false);
}

static void file_free_work(struct work_struct *work)
{
	file_free(container_of(work, struct cw_file, work));
}

struct cw_file *cw_file_alloc(struct inode *inode)
{
	struct cw_file *f = kmem_cache_zalloc(files, GFP_KERNEL);

	if (!f)
		return NULL;
	refcount_set(&f->refs, 1);
	ihold(inode);
	f->inode = inode;
	INIT_LIST_HEAD(&f->writer);
	mutex_init(&f->pos_lock);
	INIT_WORK(&f->work, file_work);
	atomic_inc(&CW_SB(inode->i_sb)->files);
	return f;
}

static void release_end(struct cw_call *call, int result)
{
	struct cw_file *f = container_of(call, struct cw_file, call);

	INIT_WORK(&f->work, file_free_work);
	queue_work(file_ends, &f->work);
}

static void fill_release(struct cw_file *f, bool sync)
{
	f->release.fh = f->fh;
	f->release.flags = f->flags;
	if (f->flocked) {
		f->release.release_flags = FUSE_RELEASE_FLOCK_UNLOCK;
		f->release.lock_owner = f->owner;
	}
	f->call = (struct cw_call){
		.opcode = S_ISDIR(f->inode->i_mode) ? FUSE_RELEASEDIR : FUSE_RELEASE,
		.nodeid = CW_I(f->inode)->nodeid,
		.nin = 1,
		.in[0] = { &f->release, sizeof(f->release) },
		.as_kernel = true,
		.nofail = true,
		.unkillable = true,
		.end = sync ? NULL : release_end,
	};
}

void cw_file_put(struct cw_file *f, bool sync)
{
	struct cw_conn *c = cw_conn_of(f->inode);

	if (!refcount_dec_and_test(&f->refs))
		return;
	if (f->opened) {
		fill_release(f, sync);
		if (!sync && !cw_call_start(c, &f->call))
			return;
		if (sync)
			cw_call(c, &f->call);
	}
	file_free(f);
}

void cw_file_put_later(struct cw_file *f)
{
	if (refcount_dec_and_test(&f->refs))
		queue_work(file_ends, &f->work);
}

/* ---- open ---------------------------------------------------------------------------------- */

int cw_send_open(struct inode *inode, struct cw_file *f, u32 opcode, u32 flags)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_open_in in = { .flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY) };
	struct fuse_open_out out = {};
	int err;

	f->flags = flags;
	if (!(c->flags & FUSE_ATOMIC_O_TRUNC))
		in.flags &= ~O_TRUNC;
	if ((in.flags & O_TRUNC) && (c->flags & FUSE_HANDLE_KILLPRIV_V2) && !capable(CAP_FSETID))
		in.open_flags |= FUSE_OPEN_KILL_SUIDGID;
	err = cw_is_absent(c, opcode) ? -ENOSYS :
		cw_simple(c, opcode, CW_I(inode)->nodeid, &in, sizeof(in), NULL, &out, sizeof(out),
			  NULL);
	if (err == -ENOSYS) {
		/* The server has no handles: nothing is to be released, and what is known is kept.
		 */
		cw_set_absent(c, opcode);
		f->fh = 0;
		f->open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
		return 0;
	}
	if (err < 0)
		return err;
	f->open_flags = out.open_flags & ~PINNED;
	if (S_ISREG(inode->i_mode) && (c->extensions & CW_EXT_PINS) && (out.open_flags & PINNED)) {
		spin_lock(&CW_I(inode)->lock);
		CW_I(inode)->pinned = (CW_I(inode)->pinned & PINNED) | out.open_flags;
		spin_unlock(&CW_I(inode)->lock);
	}
	WRITE_ONCE(f->fh, out.fh);
	/* Whoever sees this sees the handle. */
	smp_store_release(&f->opened, true);
	return 0;
}

/* A directory is opened late, too (readdir.c). */
static bool lacks_handle(const struct cw_file *f)
{
	if (S_ISDIR(f->inode->i_mode))
		return !f->opened && !cw_is_absent(cw_conn_of(f->inode), FUSE_OPENDIR);
	return READ_ONCE(f->fh) == CW_FH_NODE;
}

int cw_file_handle(struct cw_file *f)
{
	const bool dir = S_ISDIR(f->inode->i_mode);
	const u32 open_flags = f->open_flags;
	int err = 0;

	if (!lacks_handle(f))
		return 0;
	mutex_lock(&f->pos_lock);
	if (lacks_handle(f)) {
		err = cw_send_open(
			f->inode, f, dir ? FUSE_OPENDIR : FUSE_OPEN, f->flags & ~O_TRUNC);
		f->open_flags = open_flags; /* the file goes on as it began */
	}
	mutex_unlock(&f->pos_lock);
	return err;
}

/* Whether a file may be opened by its node alone. */
static bool pinned(struct inode *inode, const struct file *file)
{
	const u32 have = READ_ONCE(CW_I(inode)->pinned);
	u32 need = 0;

	if (file->f_mode & FMODE_READ)
		need |= CW_FOPEN_PINNED_READ;
	if (file->f_mode & FMODE_WRITE)
		need |= CW_FOPEN_PINNED_WRITE;
	/* Who writes back reads pages to write parts of them. */
	if (need && cw_writes_back(cw_conn_of(inode)))
		need |= CW_FOPEN_PINNED_READ;
	/* Nobody sends O_NOATIME along, as the flags of writes are sent. */
	return need && (have & need) == need && !(file->f_flags & (O_TRUNC | O_NOATIME)) &&
	       !IS_DAX(inode);
}

/* OPEN with O_TRUNC, in which the server truncates: nothing of the file is written meanwhile. */
static int open_truncating(struct inode *inode, struct file *file, struct cw_file *f)
{
	struct cw_inode *ci = CW_I(inode);
	int err = 0;

	inode_lock(inode);
	if (IS_DAX(inode)) {
		filemap_invalidate_lock(inode->i_mapping);
		err = cw_dax_break(inode, 0);
	}
	if (!err) {
		cw_writes_stop(inode);
		err = cw_send_open(inode, f, FUSE_OPEN, file->f_flags);
		if (!err) {
			spin_lock(&ci->lock);
			i_size_write(inode, 0);
			spin_unlock(&ci->lock);
		}
		cw_writes_go(inode);
	}
	if (!err) {
		if (IS_DAX(inode))
			cw_dax_cut(inode, true);
		else
			truncate_pagecache(inode, 0);
		cw_drop_attr(inode);
	}
	if (IS_DAX(inode))
		filemap_invalidate_unlock(inode->i_mapping);
	inode_unlock(inode);
	return err;
}

/* What a file that was opened sees of the cache: close-to-open, where nothing says more. */
static int open_data(struct inode *inode, struct file *file, struct cw_file *f)
{
	struct cw_conn *c = cw_conn_of(inode);

	if (cw_is_dax(inode) || cw_is_direct(file) || c->opt.cache != CW_CACHE_AUTO)
		return 0;
	if (f->fh == CW_FH_NODE && !f->opened)
		return cw_refresh(inode, NULL, true);
	if (!(f->open_flags & FOPEN_KEEP_CACHE))
		cw_data_drop(inode, 0, LLONG_MAX);
	return 0;
}

static void begin(struct inode *inode, struct file *file, struct cw_file *f)
{
	f->flags = file->f_flags;
	file->private_data = f;
	if (f->open_flags & FOPEN_STREAM)
		stream_open(inode, file);
	else if (f->open_flags & FOPEN_NONSEEKABLE)
		nonseekable_open(inode, file);
	if ((file->f_mode & FMODE_WRITE) && cw_writes_back(cw_conn_of(inode)) && !cw_is_dax(inode))
		cw_writer_add(f);
}

int cw_open_generic(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

void cw_opened(struct inode *inode, struct file *file, struct cw_file *f)
{
	struct cw_conn *c = cw_conn_of(inode);

	if (c->extensions & CW_EXT_PINS) {
		spin_lock(&CW_I(inode)->lock);
		if (f->open_flags & PINNED)
			CW_I(inode)->pinned = (CW_I(inode)->pinned & PINNED) | f->open_flags;
		spin_unlock(&CW_I(inode)->lock);
	}
	f->open_flags &= ~PINNED;
	begin(inode, file, f);
	if ((file->f_flags & O_TRUNC) && (c->flags & FUSE_ATOMIC_O_TRUNC)) {
		if (IS_DAX(inode))
			filemap_invalidate_lock(inode->i_mapping);
		spin_lock(&CW_I(inode)->lock);
		i_size_write(inode, 0);
		spin_unlock(&CW_I(inode)->lock);
		if (IS_DAX(inode)) {
			cw_dax_cut(inode, false);
			filemap_invalidate_unlock(inode->i_mapping);
		} else {
			truncate_pagecache(inode, 0);
		}
		cw_drop_attr(inode);
	}
}

int cw_open(struct inode *inode, struct file *file)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_file *f;
	int err;

	if (cw_is_bad(inode))
		return -EIO;
	err = cw_open_generic(inode, file);
	if (err)
		return err;
	f = cw_file_alloc(inode);
	if (!f)
		return -ENOMEM;
	f->flags = file->f_flags;
	if (pinned(inode, file)) {
		f->fh = CW_FH_NODE;
		f->open_flags = READ_ONCE(CW_I(inode)->pinned) & ~PINNED;
	} else if ((file->f_flags & O_TRUNC) && (c->flags & FUSE_ATOMIC_O_TRUNC)) {
		err = open_truncating(inode, file, f);
	} else {
		err = cw_send_open(inode, f, FUSE_OPEN, file->f_flags);
	}
	if (err)
		goto fail;
	begin(inode, file, f);
	err = open_data(inode, file, f);
	if (!err)
		return 0;
	spin_lock(&CW_I(inode)->lock);
	list_del_init(&f->writer);
	spin_unlock(&CW_I(inode)->lock);
fail:
	file->private_data = NULL;
	cw_file_put(f, false);
	return err;
}

/* ---- the end ------------------------------------------------------------------------------- */

int cw_release(struct inode *inode, struct file *file)
{
	struct cw_file *f = CW_F(file);

	/* It was opened, and refused by the VFS after that. */
	if (!f)
		return 0;
	if (!list_empty(&f->writer)) {
		filemap_write_and_wait(inode->i_mapping);
		spin_lock(&CW_I(inode)->lock);
		list_del_init(&f->writer);
		spin_unlock(&CW_I(inode)->lock);
		/* What was asked for while the size was ours is not taken now. */
		cw_note_change(inode);
	}
	f->flags = file->f_flags;
	cw_file_put(f, false);
	return 0;
}
