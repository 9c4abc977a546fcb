// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Listings that are kept (listing.h): entries as they came, in pages, none across two of them.
 *
 * All pieces of a listing are of one state of the directory: of one word, or none of it was changed
 * by us in between, or its mtime is the same in the end. cw_inode.listing is under listing_lock.
 */
#include <linux/slab.h>

#include "compat/inode.h"
#include "listing.h"

#define LISTING_MAX (8u << 20)

struct cw_listing {
	refcount_t refs;
	u64 serial; /* of all that ever were */
	struct cw_valid valid;
	bool by_mtime; /* valid says nothing: the directory's mtime does */
	bool begun;
	bool whole;
	struct timespec64 mtime;
	u64 names_version;
	u64 next; /* where the next piece begins */
	unsigned int len;
	unsigned int npages;
	char **pages;
};

static atomic64_t serials;

static bool keeps(const struct cw_conn *c, bool by_mtime)
{
	switch (c->opt.cache) {
	case CW_CACHE_SHARED:
	case CW_CACHE_ALWAYS:
		return true;
	case CW_CACHE_AUTO:
		return by_mtime;
	default:
		return false;
	}
}

struct cw_listing *cw_draft_begin(struct inode *dir, bool by_mtime)
{
	struct cw_conn *c = cw_conn_of(dir);
	struct cw_listing *l;

	if (!keeps(c, by_mtime))
		return NULL;
	by_mtime = c->opt.cache == CW_CACHE_AUTO;
	/* What it is compared with has to be of now. */
	if (by_mtime && cw_refresh(dir, NULL, false) < 0)
		return NULL;
	l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		return NULL;
	refcount_set(&l->refs, 1);
	l->serial = atomic64_inc_return(&serials);
	l->by_mtime = by_mtime;
	l->mtime = cw_mtime(dir);
	l->names_version = atomic64_read(&CW_I(dir)->names_version);
	return l;
}

void cw_listing_put(struct cw_listing *l)
{
	if (!l || !refcount_dec_and_test(&l->refs))
		return;
	while (l->npages)
		free_page((unsigned long)l->pages[--l->npages]);
	kfree(l->pages);
	kfree(l);
}

static bool is_one_state(const struct cw_valid *a, const struct cw_valid *b)
{
	if (!a->by_word)
		return !b->by_word && a->until == b->until;
	return b->by_word && a->slot == b->slot && a->value == b->value && a->epoch == b->epoch;
}

bool cw_draft_goes_on(struct cw_listing *l, u64 pos, const struct cw_valid *valid)
{
	if (pos != l->next)
		return false;
	if (l->by_mtime)
		return true;
	if (!l->begun)
		l->valid = *valid;
	l->begun = true;
	return (valid->by_word || valid->until) && is_one_state(&l->valid, valid);
}

bool cw_draft_holds(const struct cw_conn *c, const struct cw_listing *l)
{
	return l->begun && cw_valid_holds(c, &l->valid);
}

/* ---- entries --------------------------------------------------------------------------------- */

static struct fuse_dirent *entry_at(const struct cw_listing *l, unsigned int at)
{
	return (struct fuse_dirent *)(l->pages[at / PAGE_SIZE] + at % PAGE_SIZE);
}

/* Where there is an entry, from `at` on: the rest of a page may be empty. */
static unsigned int skip_rest(const struct cw_listing *l, unsigned int at)
{
	if (at < l->len &&
		(PAGE_SIZE - at % PAGE_SIZE < FUSE_NAME_OFFSET || !entry_at(l, at)->namelen))
		at = round_up(at + 1, PAGE_SIZE);
	return min(at, l->len);
}

static unsigned int behind(const struct fuse_dirent *entry, unsigned int at)
{
	return at + FUSE_DIRENT_SIZE(entry);
}

static bool add_page(struct cw_listing *l)
{
	char **pages, *page;

	if (l->npages == LISTING_MAX / PAGE_SIZE)
		return false;
	/* The table grows by doubling. */
	if (is_power_of_2(l->npages) || !l->npages) {
		pages = krealloc(l->pages, max(2 * l->npages, 1u) * sizeof(*pages),
				 GFP_KERNEL_ACCOUNT);
		if (!pages)
			return false;
		l->pages = pages;
	}
	page = (char *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!page)
		return false;
	l->pages[l->npages++] = page;
	return true;
}

bool cw_draft_add(struct cw_listing *l, const struct fuse_dirent *entry)
{
	const unsigned int size = FUSE_DIRENT_SIZE(entry);
	unsigned int at = l->len;

	if (at + size > l->npages * PAGE_SIZE) {
		at = l->npages * PAGE_SIZE;
		if (!add_page(l))
			return false;
	}
	memcpy(entry_at(l, at), entry, FUSE_NAME_OFFSET + entry->namelen);
	l->len = at + size;
	l->next = entry->off;
	return true;
}

/* What follows the entry of an offset. */
static bool find(const struct cw_file *f, const struct cw_listing *l, u64 pos, unsigned int *at)
{
	unsigned int i = 0;

	*at = 0;
	if (pos == 0)
		return true;
	if (f->hint_serial == l->serial && f->hint_pos == (loff_t)pos) {
		*at = f->hint;
		return true;
	}
	while ((i = skip_rest(l, i)) < l->len) {
		const struct fuse_dirent *entry = entry_at(l, i);

		i = behind(entry, i);
		if (entry->off == pos) {
			*at = i;
			return true;
		}
	}
	return false;
}

bool cw_listing_show(struct cw_file *f, struct cw_listing *l, struct dir_context *ctx)
{
	unsigned int at;
	bool some = false;

	if (!find(f, l, ctx->pos, &at))
		return false;
	while ((at = skip_rest(l, at)) < l->len) {
		const struct fuse_dirent *entry = entry_at(l, at);

		if (!dir_emit(ctx, entry->name, entry->namelen, entry->ino, entry->type))
			return true;
		some = true;
		at = behind(entry, at);
		ctx->pos = entry->off;
		f->hint_serial = l->serial;
		f->hint_pos = ctx->pos;
		f->hint = at;
	}
	/* That there is no more is known of whole ones only. */
	return some || l->whole;
}

/* ---- the inode's ----------------------------------------------------------------------------- */

/* Under listing_lock; what replaces it is the caller's to free. */
static bool is_right(struct inode *dir, const struct cw_listing *l)
{
	const struct timespec64 mtime = cw_mtime(dir);

	if (!l->by_mtime)
		return cw_valid_holds(cw_conn_of(dir), &l->valid);
	return cw_kept_holds(cw_conn_of(dir), &CW_I(dir)->attr) &&
	       timespec64_equal(&mtime, &l->mtime);
}

void cw_draft_publish(struct inode *dir, struct cw_listing *l)
{
	struct cw_inode *ci = CW_I(dir);
	struct cw_listing *old = l;

	l->whole = true;
	mutex_lock(&ci->listing_lock);
	if (atomic64_read(&ci->names_version) == l->names_version && is_right(dir, l)) {
		old = ci->listing;
		ci->listing = l;
	}
	mutex_unlock(&ci->listing_lock);
	cw_listing_put(old);
}

void cw_listing_drop(struct inode *dir)
{
	struct cw_inode *ci = CW_I(dir);
	struct cw_listing *old;

	mutex_lock(&ci->listing_lock);
	old = ci->listing;
	ci->listing = NULL;
	mutex_unlock(&ci->listing_lock);
	cw_listing_put(old);
}

struct cw_listing *cw_listing_get(struct inode *dir, bool ask)
{
	struct cw_inode *ci = CW_I(dir);
	struct cw_listing *l, *old = NULL;

	if (!READ_ONCE(ci->listing))
		return NULL;
	/* For one that the mtime says is right. */
	if (ask && cw_conn_of(dir)->opt.cache == CW_CACHE_AUTO && cw_refresh(dir, NULL, false) < 0)
		return NULL;
	mutex_lock(&ci->listing_lock);
	l = ci->listing;
	if (l && is_right(dir, l)) {
		refcount_inc(&l->refs);
	} else {
		old = l;
		ci->listing = NULL;
		l = NULL;
	}
	mutex_unlock(&ci->listing_lock);
	cw_listing_put(old);
	return l;
}
