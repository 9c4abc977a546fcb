// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Pages from the server: READ into the page cache, and read(2) out of it.
 *
 * All READs of pages are sent without waiting; the reply unlocks the pages. So a task that is
 * killed leaves at once, while its page stays locked until the device has stopped writing to it: no
 * late reply ever falls into a page that is in use.
 *
 * A request holds the open file whose handle it has, not the pages: they are locked, and in the
 * mapping, which keeps them.
 */
#include <linux/migrate.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "compat/data.h"
#include "data.h"

/* Attempts to read under words that change, before the cache is left out. */
#define PATIENCE 4

struct reading {
	struct cw_call call;
	struct fuse_read_in in;
	struct cw_words words;
	refcount_t refs;
	struct completion done;
	struct inode *inode;
	struct cw_file *f; /* NULL: by the node */
	u64 attr_version;
	int result;
	unsigned int npages;
	struct bio_vec pages[];
};

static void reading_put(struct reading *r)
{
	if (refcount_dec_and_test(&r->refs))
		kvfree(r);
}

/* What came, of each page; the rest of the last one, and what is behind the end, are zeros. */
static void reading_end(struct cw_call *call, int result)
{
	struct reading *r = container_of(call, struct reading, call);
	size_t left = max(result, 0);
	bool good = result >= 0;

	if (good && left < r->call.data_len)
		cw_data_ends(r->inode, r->in.offset + left, r->attr_version);
	if (good)
		good = cw_data_take(r->inode, &r->words);
	for (unsigned int i = 0; i < r->npages; i++) {
		struct folio *folio = page_folio(r->pages[i].bv_page);
		size_t n = min_t(size_t, left, PAGE_SIZE);

		left -= n;
		if (good) {
			if (n < PAGE_SIZE)
				folio_zero_segment(folio, n, PAGE_SIZE);
			flush_dcache_folio(folio);
			folio_mark_uptodate(folio);
		}
		folio_unlock(folio);
	}
	r->result = result;
	complete(&r->done);
	if (r->f)
		cw_file_put_later(r->f);
	reading_put(r);
}

static struct reading *reading_new(struct inode *inode, struct file *file, unsigned int npages)
{
	struct reading *r = kvzalloc(struct_size(r, pages, npages), GFP_NOFS);

	if (!r)
		return NULL;
	refcount_set(&r->refs, 1);
	init_completion(&r->done);
	r->inode = inode;
	r->in.fh = CW_FH_NODE;
	if (file) {
		r->f = CW_F(file);
		r->in.fh = READ_ONCE(r->f->fh);
		r->in.flags = file->f_flags;
		refcount_inc(&r->f->refs);
	}
	return r;
}

static void reading_add(struct reading *r, struct folio *folio)
{
	if (!r->npages)
		r->in.offset = folio_pos(folio);
	r->pages[r->npages++] = (struct bio_vec){
		.bv_page = folio_page(folio, 0),
		.bv_len = PAGE_SIZE,
	};
}

/* Sends it: its end has one reference, *r the other. */
static int reading_send(struct reading *r)
{
	struct cw_conn *c = cw_conn_of(r->inode);

	r->in.size = r->npages * PAGE_SIZE;
	r->attr_version = cw_attr_version(c);
	r->call = (struct cw_call){
		.opcode = FUSE_READ,
		.nodeid = CW_I(r->inode)->nodeid,
		.nin = 1,
		.in[0] = { &r->in, sizeof(r->in) },
		.pages = r->pages,
		.npages = r->npages,
		.data_len = r->in.size,
		.words = &r->words,
		.end = reading_end,
	};
	return cw_call_start(c, &r->call);
}

static void reading_abandon(struct reading *r)
{
	for (unsigned int i = 0; i < r->npages; i++)
		folio_unlock(page_folio(r->pages[i].bv_page));
	if (r->f)
		cw_file_put_later(r->f);
	reading_put(r);
}

static bool can_read(struct inode *inode, const struct file *file)
{
	return file || (READ_ONCE(CW_I(inode)->pinned) & CW_FOPEN_PINNED_READ);
}

static int read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct reading *r;
	unsigned int nofs;
	int err = -EIO;

	nofs = memalloc_nofs_save();
	r = !cw_is_bad(inode) && can_read(inode, file) ? reading_new(inode, file, 1) : NULL;
	if (!r) {
		folio_unlock(folio);
		goto out;
	}
	reading_add(r, folio);
	refcount_inc(&r->refs);
	err = reading_send(r);
	if (err) {
		refcount_dec(&r->refs);
		reading_abandon(r);
		goto out;
	}
	err = wait_for_completion_killable(&r->done) ? -EINTR : min(r->result, 0);
	reading_put(r);
out:
	memalloc_nofs_restore(nofs);
	return err;
}

static void send_ahead(struct reading *r)
{
	if (r && reading_send(r))
		reading_abandon(r);
}

/* What is not taken is unlocked by the caller, and read when it is wanted. */
static void readahead(struct readahead_control *rac)
{
	struct inode *inode = rac->mapping->host;
	struct cw_conn *c = cw_conn_of(inode);
	const unsigned int most = max(1u, min(c->max_pages, c->max_read >> PAGE_SHIFT));
	unsigned int left = readahead_count(rac);
	struct reading *r = NULL;

	if (cw_is_bad(inode) || !can_read(inode, rac->file))
		return;
	for (; left; left--) {
		if (!r)
			r = reading_new(inode, rac->file, min(left, most));
		if (!r)
			return;
		reading_add(r, readahead_folio(rac));
		if (r->npages == most) {
			send_ahead(r);
			r = NULL;
		}
	}
	send_ahead(r);
}

int cw_fill_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_read_in in = {
		.fh = READ_ONCE(CW_F(file)->fh),
		.offset = folio_pos(folio),
		.size = PAGE_SIZE,
		.flags = file->f_flags,
	};
	struct bio_vec page = { .bv_page = folio_page(folio, 0), .bv_len = PAGE_SIZE };
	struct cw_call call = {
		.opcode = FUSE_READ,
		.nodeid = CW_I(inode)->nodeid,
		.nin = 1,
		.in[0] = { &in, sizeof(in) },
		.pages = &page,
		.npages = 1,
		.data_len = PAGE_SIZE,
		.unkillable = true,
	};
	unsigned int nofs = memalloc_nofs_save();
	int got = cw_call(c, &call);

	memalloc_nofs_restore(nofs);
	if (got < 0)
		return got;
	if (got < PAGE_SIZE)
		folio_zero_segment(folio, got, PAGE_SIZE);
	folio_mark_uptodate(folio);
	return 0;
}

/* Whether a short or failed read was for want of pages that may be kept, so is to be tried again.
 */
static bool strayed(struct inode *inode, unsigned int strays)
{
	return READ_ONCE(CW_I(inode)->strays) != strays;
}

ssize_t cw_cached_read(struct kiocb *kiocb, struct iov_iter *to)
{
	struct file *file = kiocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	ssize_t done = 0, n;
	int err;

	/* The size bounds what is read: it has to be as good as the pages. */
	if (cw_is_shared(c) || (c->flags & FUSE_AUTO_INVAL_DATA) ||
	    kiocb->ki_pos + (loff_t)iov_iter_count(to) > i_size_read(inode)) {
		err = cw_refresh(inode, file, false);
		if (err)
			return err;
	}
	if (!cw_is_shared(c))
		return filemap_read(kiocb, to, 0);

	for (int i = 0; i < PATIENCE && iov_iter_count(to); i++) {
		unsigned int strays = READ_ONCE(CW_I(inode)->strays);

		err = cw_data_revalidate(inode);
		n = err ? err : filemap_read(kiocb, to, 0);
		if (n > 0)
			done += n;
		if (n >= 0 && !iov_iter_count(to))
			return done;
		if (!strayed(inode, strays))
			return done ? done : n;
	}
	if (!iov_iter_count(to))
		return done;
	n = cw_direct_read(kiocb, to);
	return n < 0 && done ? done : done + n;
}

const struct address_space_operations cw_aops = {
	.read_folio = read_folio,
	.readahead = readahead,
	.writepages = cw_writepages,
	.dirty_folio = filemap_dirty_folio,
	.migrate_folio = filemap_migrate_folio,
};
