// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Listings: READDIR and READDIRPLUS, shown from what is kept, or asked for.
 *
 * One piece is asked for at a time, under the open directory's pos_lock; VFS holds the directory's
 * i_rwsem, for reading, so that we do not change names meanwhile. READDIRPLUS brings lookups, which
 * become inodes and dentries, all of them, also those that the caller has no room for.
 *
 * Entries are checked one by one in the buffer that the server has written, which nobody writes any
 * more: a record that does not fit, a name that is none, and the listing is -EIO.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/namei.h>

#include "inode.h"
#include "listing.h"
#include "names.h"

/* For one request; less where memory is in pieces. */
#define PIECE_ORDER 3

/* One reply. */
struct piece {
	struct page *page;
	unsigned int order;
	unsigned int len; /* of what is in it */
	u64 pos, version;
	bool plus;
	struct cw_words words;
};

static bool get_room(struct piece *p)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_COMP;

	p->order = PIECE_ORDER;
	p->page = alloc_pages(gfp | __GFP_NOWARN | __GFP_NORETRY, p->order);
	if (p->page)
		return true;
	p->order = 0;
	p->page = alloc_page(gfp);
	return p->page;
}

static int ask(struct file *file, struct piece *p)
{
	struct inode *dir = file_inode(file);
	const struct cw_file *f = CW_F(file);
	const unsigned int size = PAGE_SIZE << p->order;
	const struct fuse_read_in in = {
		.fh = f->fh,
		.offset = p->pos,
		.size = size,
		.flags = file->f_flags,
	};
	struct bio_vec room = { .bv_page = p->page, .bv_len = size };
	struct cw_call call = {
		.opcode = p->plus ? FUSE_READDIRPLUS : FUSE_READDIR,
		.nodeid = CW_I(dir)->nodeid,
		.nin = 1,
		.in = { { &in, sizeof(in) } },
		.pages = &room,
		.npages = 1,
		.data_len = size,
		.words = &p->words,
	};
	int r = cw_asks_lock(dir);

	if (r < 0)
		return r;
	r = cw_call(cw_conn_of(dir), &call);
	cw_asks_unlock(dir);
	if (r < 0)
		return r;
	p->len = r;
	set_bit(CW_I_ATIME_OLD, &CW_I(dir)->state);
	return 0;
}

/* Whether attributes are asked for as well: at the beginning, and as long as somebody looks names
 * up that were shown. */
static bool wants_plus(struct inode *dir, const struct dir_context *ctx)
{
	struct cw_conn *c = cw_conn_of(dir);

	if (!(c->flags & FUSE_DO_READDIRPLUS) || cw_is_absent(c, FUSE_READDIRPLUS))
		return false;
	if (!(c->flags & FUSE_READDIRPLUS_AUTO))
		return true;
	return test_and_clear_bit(CW_I_PLUS, &CW_I(dir)->state) || ctx->pos == 0;
}

/* ---- what an entry brings ------------------------------------------------------------------ */

/* A dentry of the name that is to get the entry's inode (in lookup), or has it. */
static struct dentry *dentry_for(struct dentry *dir, struct qstr *name,
				 const struct fuse_entry_out *entry, wait_queue_head_t *wq)
{
	struct dentry *dentry;

	name->hash = full_name_hash(dir, name->name, name->len);
	dentry = d_lookup(dir, name);
	for (;;) {
		struct inode *inode;

		if (!dentry)
			dentry = d_alloc_parallel(dir, name, wq);
		if (IS_ERR(dentry) || d_in_lookup(dentry))
			return dentry;
		inode = d_inode(dentry);
		if (inode && cw_is_same(inode, entry))
			return dentry;
		if (inode && CW_I(inode)->nodeid == entry->nodeid)
			cw_make_bad(inode);
		/* Somebody else's name by now. */
		d_invalidate(dentry);
		dput(dentry);
		dentry = NULL;
	}
}

static void link_entry(struct dentry *dir, struct qstr *name, const struct fuse_entry_out *entry,
		       const struct cw_valid *attr, const struct cw_valid *valid, u64 version)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wq);
	struct dentry *dentry = dentry_for(dir, name, entry, &wq), *other;
	struct cw_conn *c = CW_SB(dir->d_sb)->conn;
	struct inode *inode;

	if (IS_ERR(dentry)) {
		cw_forget(c, NULL, entry->nodeid, 1);
		return;
	}
	if (!d_in_lookup(dentry)) {
		inode = d_inode(dentry);
		cw_looked_up(inode);
		cw_take_attr(inode, &entry->attr, attr, version);
	} else {
		inode = cw_iget(dir->d_sb, entry, attr, version);
		other = d_splice_alias(inode, dentry);
		d_lookup_done(dentry);
		if (other) {
			dput(dentry);
			dentry = other;
		}
	}
	if (IS_ERR(dentry))
		return;
	set_bit(CW_I_LISTED, &CW_I(inode)->state);
	cw_dentry_set(dentry, inode, valid);
	dput(dentry);
}

static bool is_dots(const struct qstr *name)
{
	return (name->len == 1 || (name->len == 2 && name->name[1] == '.')) &&
	       name->name[0] == '.';
}

static void take_plus(struct file *file, const struct piece *p, const struct fuse_direntplus *plus)
{
	const struct fuse_entry_out *entry = &plus->entry_out;
	struct cw_conn *c = cw_conn_of(file_inode(file));
	struct qstr name = QSTR_INIT(plus->dirent.name, plus->dirent.namelen);
	struct cw_valid attr, valid;

	/* Dots count no lookup, and a node of 0 means that nothing was looked up. */
	if (!entry->nodeid || is_dots(&name))
		return;
	if (!cw_entry_is_good(entry)) {
		cw_forget(c, NULL, entry->nodeid, 1);
		return;
	}
	attr = cw_shown_listed(c, &p->words, CW_ATTR, entry->attr_valid, entry->attr_valid_nsec);
	valid = cw_shown_listed(c, &p->words, CW_ENTRY, entry->entry_valid,
				entry->entry_valid_nsec);
	link_entry(file->f_path.dentry, &name, entry, &attr, &valid, p->version);
}

/* ---- a piece --------------------------------------------------------------------------------- */

/* Whether a name can be one. */
static bool is_name(const char *name, unsigned int len)
{
	return len && len <= CW_NAME_MAX && !memchr(name, '/', len) && !memchr(name, 0, len);
}

/* The record at `at`: its entry and all of its size, or NULL where there is no whole one. */
static const struct fuse_dirent *record(const struct piece *p, unsigned int at,
					unsigned int *size)
{
	const unsigned int head = p->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	const char *bytes = page_address(p->page);
	const struct fuse_dirent *entry;

	if (p->len - at < head)
		return NULL;
	entry = (const struct fuse_dirent *)(bytes + at + head - FUSE_NAME_OFFSET);
	if (entry->namelen > CW_NAME_MAX)
		return NULL;
	*size = FUSE_REC_ALIGN(head + entry->namelen);
	return *size <= p->len - at ? entry : NULL;
}

static int take_piece(struct file *file, struct dir_context *ctx, const struct piece *p)
{
	const char *bytes = page_address(p->page);
	const struct fuse_dirent *entry;
	struct cw_file *f = CW_F(file);
	unsigned int at = 0, size;
	bool full = false;

	for (; (entry = record(p, at, &size)); at += size) {
		if (!is_name(entry->name, entry->namelen))
			return -EIO;
		if (f->draft && !cw_draft_add(f->draft, entry)) {
			cw_listing_put(f->draft);
			f->draft = NULL;
		}
		full = full || !dir_emit(ctx, entry->name, entry->namelen, entry->ino, entry->type);
		if (!full)
			ctx->pos = entry->off;
		if (p->plus)
			take_plus(file, p, (const struct fuse_direntplus *)(bytes + at));
	}
	/* A record that is cut off comes again, but not the first. */
	return at ? 0 : -EIO;
}

void cw_forget_listed(struct cw_conn *c, struct page *page, unsigned int len)
{
	const struct piece p = { .page = page, .len = len, .plus = true };
	const char *bytes = page_address(page);
	const struct fuse_dirent *entry;
	unsigned int at = 0, size;

	for (; (entry = record(&p, at, &size)); at += size) {
		const struct qstr name = QSTR_INIT(entry->name, entry->namelen);
		const struct fuse_direntplus *plus = (const void *)(bytes + at);

		if (plus->entry_out.nodeid && !is_dots(&name))
			cw_forget(c, NULL, plus->entry_out.nodeid, 1);
	}
}

/* What was read before goes with what comes, or begins with it. */
static void tend_draft(struct file *file, const struct piece *p)
{
	struct inode *dir = file_inode(file);
	const struct cw_valid valid =
		cw_shown(cw_conn_of(dir), &p->words, VT_NODE_LIST, CW_LIST, 0, 0);
	struct cw_file *f = CW_F(file);

	if (!f->draft || cw_draft_goes_on(f->draft, p->pos, &valid))
		return;
	cw_listing_put(f->draft);
	f->draft = NULL;
}

static int show_asked(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct cw_file *f = CW_F(file);
	struct piece p = { .pos = ctx->pos };
	int r = cw_dir_handle(file);

	if (r < 0)
		return r;
	if (p.pos == 0) {
		cw_listing_put(f->draft);
		f->draft = cw_draft_begin(dir, f->open_flags & FOPEN_CACHE_DIR);
	}
	if (!get_room(&p))
		return -ENOMEM;
	p.plus = wants_plus(dir, ctx);
	p.version = cw_attr_version(cw_conn_of(dir));
	r = ask(file, &p);
	if (r == -ENOSYS && p.plus) {
		cw_set_absent(cw_conn_of(dir), FUSE_READDIRPLUS);
		p.plus = false;
		r = ask(file, &p);
	}
	if (r == 0) {
		tend_draft(file, &p);
		if (p.len)
			r = take_piece(file, ctx, &p);
	}
	if (r == 0 && p.len == 0 && f->draft) {
		cw_draft_publish(dir, f->draft);
		f->draft = NULL;
	}
	put_page(p.page);
	return r;
}

static bool show_kept(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct cw_file *f = CW_F(file);
	struct cw_listing *l = cw_listing_get(dir, ctx->pos == 0);
	bool shown = l && cw_listing_show(f, l, ctx);

	cw_listing_put(l);
	/* What the caller had no room for. */
	if (!shown && f->draft && ctx->pos && cw_draft_holds(cw_conn_of(dir), f->draft))
		shown = cw_listing_show(f, f->draft, ctx);
	return shown;
}

int cw_iterate(struct file *file, struct dir_context *ctx)
{
	struct cw_file *f = CW_F(file);
	int r = 0;

	if (cw_is_bad(file_inode(file)))
		return -EIO;
	mutex_lock(&f->pos_lock);
	if (!show_kept(file, ctx))
		r = show_asked(file, ctx);
	mutex_unlock(&f->pos_lock);
	return r;
}
