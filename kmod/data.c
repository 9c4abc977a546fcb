// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which pages of a file are good, and what replies to READ and WRITE mean for them.
 *
 * cache=shared: the pages of a file are all of one word of the version table (cw_inode.data,
 * CW_I_PAGES_OF), or are good for nobody but who reads them just now (CW_I_PAGES_LOOSE), or there
 * are none of which anything is known (neither bit). A reader who finds that the word does not hold
 * any more drops them all, with the mapping's invalidate_lock held for writing: so nobody adds one
 * meanwhile, those under way are waited for, and whatever is in the mapping then was asked for
 * after that reader had begun. A page whose reply has another word than the others is not kept,
 * counted in cw_inode.strays, and asked for again by who wants it. That is what makes a look at the
 * word, before pages are used, enough.
 *
 * Our own WRITE moves the word, where the server says that nothing else happened, after the pages
 * have what was written (invalidate_lock held for reading, so that nobody drops them between).
 *
 * cache=auto: pages are of the size and mtime that the server told last, else dropped.
 *
 * cw_inode.data and the bits are written under cw_inode.lock.
 */
#include <linux/backing-dev.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "compat/data.h"
#include "data.h"
#include "dax.h"

#define PAGES_BITS (BIT(CW_I_PAGES_OF) | BIT(CW_I_PAGES_LOOSE))

static bool same_word(const struct cw_valid *a, const struct cw_valid *b)
{
	return a->by_word && b->by_word && a->slot == b->slot && a->value == b->value &&
	       a->epoch == b->epoch;
}

bool cw_data_take(struct inode *inode, const struct cw_words *words)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);
	struct cw_valid v;
	bool good = true;

	if (!cw_is_shared(c))
		return true;
	v = cw_shown(c, words, VT_NODE_DATA, CW_DATA, 0, 0);
	spin_lock(&ci->lock);
	if (test_bit(CW_I_PAGES_OF, &ci->state)) {
		good = same_word(&ci->data.valid, &v);
	} else if (!test_bit(CW_I_PAGES_LOOSE, &ci->state)) {
		set_bit(v.by_word ? CW_I_PAGES_OF : CW_I_PAGES_LOOSE, &ci->state);
		cw_keep(&ci->data, &v);
	}
	if (!good)
		WRITE_ONCE(ci->strays, ci->strays + 1);
	spin_unlock(&ci->lock);
	return good;
}

int cw_data_revalidate(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);
	int err = 0;

	if (!cw_is_shared(c) || cw_kept_holds(c, &ci->data))
		return 0;
	filemap_invalidate_lock(mapping);
	if (!cw_kept_holds(c, &ci->data)) {
		spin_lock(&ci->lock);
		ci->state &= ~PAGES_BITS;
		cw_keep(&ci->data, &(struct cw_valid){});
		spin_unlock(&ci->lock);
		if (mapping->nrpages)
			err = invalidate_inode_pages2(mapping);
	}
	filemap_invalidate_unlock(mapping);
	return err;
}

int cw_data_drop(struct inode *inode, loff_t from, loff_t to)
{
	struct address_space *mapping = inode->i_mapping;
	int err;

	if (!mapping->nrpages)
		return 0;
	err = filemap_write_and_wait_range(mapping, from, to);
	return invalidate_inode_pages2_range(mapping, from >> PAGE_SHIFT, to >> PAGE_SHIFT) ?: err;
}

void cw_data_attr_taken(struct inode *inode, loff_t old_size, bool moved)
{
	struct address_space *mapping = inode->i_mapping;
	struct cw_conn *c = cw_conn_of(inode);
	const loff_t size = i_size_read(inode);

	/* Also without a page: a fault may be about to map one. */
	if (IS_DAX(inode) && size < old_size)
		cw_dax_cut(inode, false);
	if (cw_is_dax(inode) || !mapping->nrpages)
		return;
	if (size < old_size)
		truncate_pagecache(inode, size);
	/* Dirty pages of mappings are newer than what the server has, and stay. */
	if (c->opt.cache == CW_CACHE_AUTO &&
	    (size != old_size || (moved && (c->flags & FUSE_AUTO_INVAL_DATA))))
		invalidate_inode_pages2(mapping);
}

void cw_data_ends(struct inode *inode, loff_t end, u64 attr_version)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);

	/* The server has not got yet what we have. */
	if (cw_writes_back(c))
		return;
	spin_lock(&ci->lock);
	if (attr_version >= ci->attr_version && end < i_size_read(inode) &&
	    !test_bit(CW_I_SIZE_UNSTABLE, &ci->state)) {
		ci->attr_version = atomic64_inc_return(&c->attr_version);
		i_size_write(inode, end);
		/* Here pages are locked, and none can be dropped: who asks for attributes next does
		 * it. */
		set_bit(CW_I_ENDED, &ci->state);
		cw_keep(&ci->attr, &(struct cw_valid){});
	}
	spin_unlock(&ci->lock);
}

void cw_data_grows(struct inode *inode)
{
	const loff_t end = i_size_read(inode);
	struct folio *folio;

	if (!offset_in_page(end))
		return;
	folio = cw_get_folio(inode->i_mapping, end >> PAGE_SHIFT, FGP_LOCK, 0);
	if (!folio)
		return;
	folio_wait_writeback(folio);
	if (folio_test_uptodate(folio))
		folio_zero_segment(folio, offset_in_page(end), PAGE_SIZE);
	folio_unlock(folio);
	folio_put(folio);
}

/* ---- what was written ------------------------------------------------------------------------ */

/* A page that the cache has not, and that was written whole, is what was sent itself. */
static bool add_page(struct address_space *mapping, pgoff_t index, struct page *page)
{
	struct folio *folio = page_folio(page);

	if (filemap_add_folio(mapping, folio, index, mapping_gfp_mask(mapping) | __GFP_NOWARN))
		return false;
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	return true;
}

/* Bytes off..off+n of a page of what was sent become those of the cache. */
static void put_page_data(struct address_space *mapping, pgoff_t index, struct page *page,
			  unsigned int off, unsigned int n)
{
	struct folio *folio = cw_get_folio(mapping, index, FGP_LOCK, 0);

	if (!folio) {
		if (n == PAGE_SIZE)
			add_page(mapping, index, page);
		return;
	}
	folio_wait_writeback(folio);
	if (folio_test_uptodate(folio) || n == PAGE_SIZE) {
		memcpy_page(folio_page(folio, 0), off, page, off, n);
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
		/* A store through a mapping may have sent this page meanwhile, as it was before. */
		if (mapping_writably_mapped(mapping))
			folio_mark_dirty(folio);
	}
	folio_unlock(folio);
	folio_put(folio);
}

static void put_data(struct inode *inode, const struct cw_wrote *w)
{
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = w->pos >> PAGE_SHIFT;
	size_t left = w->n;

	if (!left)
		return;
	if (!w->pages || w->append) {
		/* The end may be where we do not believe it to be. */
		loff_t from = w->append ? min(w->pos, i_size_read(inode)) : w->pos;
		loff_t to = w->append ? LLONG_MAX : w->pos + w->n - 1;

		if (mapping->nrpages)
			invalidate_inode_pages2_range(
				mapping, from >> PAGE_SHIFT, to >> PAGE_SHIFT);
		return;
	}
	for (unsigned int i = 0; left; i++) {
		unsigned int off = i ? 0 : offset_in_page(w->pos);
		unsigned int n = min_t(size_t, left, PAGE_SIZE - off);

		put_page_data(mapping, first + i, w->pages[i].bv_page, off, n);
		left -= n;
	}
}

/* cache=shared: the pages, then the word that they are of; or they go when somebody looks. */
static void move_word(struct inode *inode, const struct cw_wrote *w)
{
	struct address_space *mapping = inode->i_mapping;
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);
	const loff_t size = i_size_read(inode);
	struct cw_valid before, after;
	bool moves;

	filemap_invalidate_lock_shared(mapping);
	spin_lock(&ci->lock);
	before = after = ci->data.valid;
	moves = test_bit(CW_I_PAGES_OF, &ci->state) &&
		cw_moves(c, w->words, VT_NODE_DATA, &after);
	spin_unlock(&ci->lock);
	if (moves) {
		/* The tail is not known when the file grows. */
		if (w->pos + (loff_t)w->n > size && offset_in_page(size))
			invalidate_inode_pages2_range(mapping, size >> PAGE_SHIFT,
						      size >> PAGE_SHIFT);
		put_data(inode, w);
		spin_lock(&ci->lock);
		if (same_word(&ci->data.valid, &before))
			cw_keep(&ci->data, &after);
		spin_unlock(&ci->lock);
	}
	filemap_invalidate_unlock_shared(mapping);
}

void cw_data_wrote(struct inode *inode, const struct cw_wrote *w)
{
	struct cw_conn *c = cw_conn_of(inode);
	struct cw_inode *ci = CW_I(inode);
	const loff_t end = w->pos + w->n;

	if (cw_is_shared(c))
		move_word(inode, w);
	else
		put_data(inode, w);
	spin_lock(&ci->lock);
	ci->attr_version = atomic64_inc_return(&c->attr_version);
	if (end > i_size_read(inode))
		i_size_write(inode, end);
	spin_unlock(&ci->lock);
	cw_drop_attr(inode);
}
