// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Dirty pages: write(2) that only makes them (option writeback), and their way to the server, which
 * those of shared mappings take as well.
 *
 * A batch is a run of pages that one WRITE has. It is counted in cw_inode.writing from before its
 * first page is locked until its reply: who changes the size waits for that, and new batches wait
 * for him (cw_writes_stop). So no batch has a page locked while it waits, and whoever stops writes
 * must not wait for pages in between.
 *
 * Nothing here enters the file system for memory: it is allocated with GFP_NOFS, and waited for.
 */
#include <linux/backing-dev.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "compat/data.h"
#include "data.h"

#define STOPPED INT_MIN

struct batch {
	struct cw_call call;
	struct fuse_write_in in;
	struct fuse_write_out out;
	struct inode *inode;
	struct cw_file *f; /* NULL: by the node */
	struct work_struct work;
	size_t len;
	unsigned int npages, first; /* first: what was sent in parts already is before it */
	struct bio_vec pages[];     /* the whole page each */
};

/* ---- who writes -------------------------------------------------------------------------- */

void cw_writer_add(struct cw_file *f)
{
	struct cw_inode *ci = CW_I(f->inode);

	spin_lock(&ci->lock);
	if (list_empty(&f->writer))
		list_add(&f->writer, &ci->writers);
	spin_unlock(&ci->lock);
}

struct cw_file *cw_writer_get(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);
	struct cw_file *f;

	spin_lock(&ci->lock);
	f = list_first_entry_or_null(&ci->writers, struct cw_file, writer);
	if (f)
		refcount_inc(&f->refs); /* who is on the list has one */
	spin_unlock(&ci->lock);
	return f;
}

int cw_writer_handle(struct inode *inode, struct cw_file **f, u64 *fh)
{
	*f = cw_writer_get(inode);
	if (*f)
		*fh = READ_ONCE((*f)->fh);
	else if (READ_ONCE(CW_I(inode)->pinned) & CW_FOPEN_PINNED_WRITE)
		*fh = CW_FH_NODE;
	else
		return -EBADF;
	return 0;
}

/* ---- writes under way ---------------------------------------------------------------------- */

void cw_writes_stop(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	inode_dio_wait(inode);
	spin_lock(&ci->lock);
	WARN_ON_ONCE(ci->writing < 0);
	ci->writing += STOPPED;
	spin_unlock(&ci->lock);
	wait_event(ci->quiet, READ_ONCE(ci->writing) == STOPPED);
}

void cw_writes_go(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	ci->writing -= STOPPED;
	spin_unlock(&ci->lock);
	wake_up_all(&ci->quiet);
}

static bool may_begin(struct cw_inode *ci)
{
	bool may;

	spin_lock(&ci->lock);
	may = ci->writing >= 0;
	if (may)
		ci->writing++;
	spin_unlock(&ci->lock);
	return may;
}

static void writes_end(struct cw_inode *ci)
{
	spin_lock(&ci->lock);
	ci->writing--;
	wake_up_all(&ci->quiet);
	spin_unlock(&ci->lock);
}

/* ---- a batch
 * ------------------------------------------------------------------------------------- */

static void batch_done(struct batch *b, int err)
{
	struct address_space *mapping = b->inode->i_mapping;
	struct cw_conn *c = cw_conn_of(b->inode);
	struct cw_inode *ci = CW_I(b->inode);

	if (err)
		mapping_set_error(mapping, err);
	/* Attributes that were asked for before are of a smaller file. */
	spin_lock(&ci->lock);
	ci->attr_version = atomic64_inc_return(&c->attr_version);
	spin_unlock(&ci->lock);
	writes_end(ci);
	for (unsigned int i = 0; i < b->npages; i++)
		folio_end_writeback(page_folio(b->pages[i].bv_page));
	if (b->f)
		cw_file_put_later(b->f);
	kvfree(b);
}

static void batch_end(struct cw_call *call, int result);

static int batch_send(struct batch *b)
{
	struct cw_conn *c = cw_conn_of(b->inode);

	b->in.size = b->len;
	b->call = (struct cw_call){
		.opcode = FUSE_WRITE,
		.nodeid = CW_I(b->inode)->nodeid,
		.nin = 1,
		.in[0] = { &b->in, sizeof(b->in) },
		.out = &b->out,
		.out_size = sizeof(b->out),
		.pages = b->pages + b->first,
		.npages = b->npages - b->first,
		.data_len = b->len,
		.to_server = true,
		.as_kernel = true,
		.nofail = true,
		.end = batch_end,
	};
	return cw_call_start(c, &b->call);
}

/* The server took a part: what it says to the rest is what is wrong, a full disk for one. */
static int batch_goes_on(struct batch *b, size_t taken)
{
	b->len -= taken;
	b->in.offset += taken;
	while (taken >= b->pages[b->first].bv_len)
		taken -= b->pages[b->first++].bv_len;
	b->pages[b->first].bv_offset += taken;
	b->pages[b->first].bv_len -= taken;
	return batch_send(b);
}

static void batch_work(struct work_struct *work)
{
	struct batch *b = container_of(work, struct batch, work);
	unsigned int nofs = memalloc_nofs_save();
	int err = batch_goes_on(b, b->out.size);

	if (err)
		batch_done(b, err);
	memalloc_nofs_restore(nofs);
}

static void batch_end(struct cw_call *call, int result)
{
	struct batch *b = container_of(call, struct batch, call);

	if (result >= 0 && b->out.size && b->out.size < b->len)
		queue_work(cw_work, &b->work);
	else
		batch_done(b, result < 0 ? result : b->out.size == b->len ? 0 : -EIO);
}

/* ---- pages of a mapping
 * -------------------------------------------------------------------------- */

struct walk {
	struct address_space *mapping;
	struct writeback_control *wbc;
	struct batch *batch;
	unsigned int most;
	int err;
};

static void walk_send(struct walk *w)
{
	struct batch *b = w->batch;
	int err;

	w->batch = NULL;
	if (!b)
		return;
	if (!b->npages) {
		writes_end(CW_I(b->inode));
		if (b->f)
			cw_file_put_later(b->f);
		kvfree(b);
		return;
	}
	err = batch_send(b);
	if (err) {
		w->err = w->err ?: err;
		batch_done(b, err);
	}
}

/* Has no page locked, and waits until writes may go on. */
static int walk_begin(struct walk *w)
{
	struct inode *inode = w->mapping->host;
	struct batch *b;
	int err;

	b = kvzalloc(struct_size(b, pages, w->most), GFP_NOFS);
	if (!b)
		return -ENOMEM;
	b->inode = inode;
	INIT_WORK(&b->work, batch_work);
	b->in.write_flags = FUSE_WRITE_CACHE;
	err = cw_writer_handle(inode, &b->f, &b->in.fh);
	if (err) {
		kvfree(b);
		return err;
	}
	wait_event(CW_I(inode)->quiet, may_begin(CW_I(inode)));
	w->batch = b;
	return 0;
}

/* Whether a page that is locked is to be sent; it is marked so then. */
static bool to_send(struct walk *w, struct folio *folio, loff_t size)
{
	if (folio->mapping != w->mapping || !folio_test_dirty(folio))
		return false;
	if (folio_test_writeback(folio)) {
		if (w->wbc->sync_mode == WB_SYNC_NONE)
			return false;
		folio_wait_writeback(folio);
	}
	if (!folio_clear_dirty_for_io(folio))
		return false;
	/* It is truncated, and will be dropped. */
	if (folio_pos(folio) >= size)
		return false;
	if (folio_pos(folio) + PAGE_SIZE > size)
		folio_zero_segment(folio, offset_in_page(size), PAGE_SIZE);
	folio_start_writeback(folio);
	return true;
}

static void walk_folio(struct walk *w, struct folio *folio)
{
	struct batch *b = w->batch;
	loff_t size;

	if (b && b->npages &&
	    (b->npages == w->most || (loff_t)(b->in.offset + b->len) != folio_pos(folio))) {
		walk_send(w);
		b = NULL;
	}
	/* Who has it locked may wait for what we have. */
	if (b && b->npages && !folio_trylock(folio)) {
		walk_send(w);
		b = NULL;
	} else if (b && b->npages) {
		goto locked;
	}
	if (!b) {
		int err = walk_begin(w);

		if (err) {
			w->err = w->err ?: err;
			return;
		}
		b = w->batch;
	}
	folio_lock(folio);
locked:
	size = i_size_read(w->mapping->host);
	if (to_send(w, folio, size)) {
		unsigned int n = min_t(loff_t, PAGE_SIZE, size - folio_pos(folio));

		if (!b->npages)
			b->in.offset = folio_pos(folio);
		b->pages[b->npages++] = (struct bio_vec){
			.bv_page = folio_page(folio, 0),
			.bv_len = n,
		};
		b->len += n;
		w->wbc->nr_to_write--;
	}
	folio_unlock(folio);
}

static void walk_range(struct walk *w, pgoff_t first, pgoff_t last)
{
	const bool all = w->wbc->sync_mode == WB_SYNC_ALL || w->wbc->tagged_writepages;
	const xa_mark_t tag = all ? PAGECACHE_TAG_TOWRITE : PAGECACHE_TAG_DIRTY;
	struct folio_batch found;

	folio_batch_init(&found);
	if (all)
		tag_pages_for_writeback(w->mapping, first, last);
	while (first <= last && filemap_get_folios_tag(w->mapping, &first, last, tag, &found)) {
		for (unsigned int i = 0; i < folio_batch_count(&found); i++) {
			walk_folio(w, found.folios[i]);
			w->mapping->writeback_index = found.folios[i]->index + 1;
			if (w->wbc->nr_to_write <= 0 && w->wbc->sync_mode == WB_SYNC_NONE)
				break;
		}
		folio_batch_release(&found);
		if (w->err == -EBADF || w->err == -ENOMEM ||
		    (w->wbc->nr_to_write <= 0 && w->wbc->sync_mode == WB_SYNC_NONE))
			break;
		cond_resched();
	}
	walk_send(w);
}

int cw_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct cw_conn *c = cw_conn_of(mapping->host);
	struct walk w = {
		.mapping = mapping,
		.wbc = wbc,
		.most = max(1u, min(c->max_pages, c->max_write >> PAGE_SHIFT)),
	};
	unsigned int nofs;

	if (cw_is_bad(mapping->host))
		return -EIO;
	nofs = memalloc_nofs_save();
	if (wbc->range_cyclic) {
		pgoff_t at = mapping->writeback_index;

		walk_range(&w, at, -1);
		if (at && !w.err && wbc->nr_to_write > 0)
			walk_range(&w, 0, at - 1);
	} else {
		walk_range(&w, wbc->range_start >> PAGE_SHIFT, wbc->range_end >> PAGE_SHIFT);
	}
	memalloc_nofs_restore(nofs);
	if (w.err)
		mapping_set_error(mapping, w.err);
	return w.err;
}
