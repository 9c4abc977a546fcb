// SPDX-License-Identifier: BSD-2-Clause
/*
 * Claims and pieces: where they stand, how they begin and end. Nothing here asks the front-end.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "dax/window.h"

/* The place in the list of the first claim that ends after at. */
static unsigned int place_after(const struct dax_window *w, uint64_t at)
{
	unsigned int low = 0, high = w->nclaims;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (w->claims[mid]->at + w->claims[mid]->len <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct dax_claim *dax_claim_after(struct dax_window *w, uint64_t at)
{
	unsigned int i = place_after(w, at);

	return i < w->nclaims ? w->claims[i] : NULL;
}

struct dax_claim *dax_claim_add(struct dax_file *f, uint64_t at, uint64_t len, uint64_t offset)
{
	struct dax_window *w = f->w;
	struct dax_claim *c = calloc(1, sizeof(*c));
	unsigned int i = place_after(w, at);

	if (!c)
		return NULL;
	*c = (struct dax_claim){.file = f, .at = at, .len = len, .offset = offset};
	TAILQ_INIT(&c->pieces);
	memmove(&w->claims[i + 1], &w->claims[i], (w->nclaims - i) * sizeof(*w->claims));
	w->claims[i] = c;
	w->nclaims++;
	LIST_INSERT_HEAD(&f->claims, c, of_file);
	atomic_fetch_add(&f->nclaims, 1);
	dax_claim_unsettle(c);
	return c;
}

void dax_claim_unsettle(struct dax_claim *c)
{
	if (!c->is_unsettled)
		LIST_INSERT_HEAD(&c->file->w->unsettled, c, of_unsettled);
	c->is_unsettled = true;
}

void dax_claim_free(struct dax_claim *c)
{
	struct dax_window *w = c->file->w;
	unsigned int i = place_after(w, c->at);

	while (!TAILQ_EMPTY(&c->pieces))
		dax_piece_stray(w, TAILQ_FIRST(&c->pieces), false);
	w->nclaims--;
	memmove(&w->claims[i], &w->claims[i + 1], (w->nclaims - i) * sizeof(*w->claims));
	LIST_REMOVE(c, of_file);
	atomic_fetch_sub(&c->file->nclaims, 1);
	if (c->is_unsettled)
		LIST_REMOVE(c, of_unsettled);
	free(c);
}

/* What of a claim lies after `at` in the window becomes one of its own. */
static int split(struct dax_claim *c, uint64_t at)
{
	uint64_t left = at - c->at;
	uint64_t right = c->len - left;
	struct dax_claim *rest;
	struct dax_piece *p, *next;

	c->len = left;
	rest = dax_claim_add(c->file, at, right, c->offset + left);
	if (!rest) {
		c->len += right;
		return -ENOMEM;
	}
	dax_claim_unsettle(c);
	for (p = TAILQ_FIRST(&c->pieces); p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->at + p->len <= at)
			continue;
		/* One that is in both is wrong in either, and leaves. */
		TAILQ_REMOVE(&c->pieces, p, link);
		TAILQ_INSERT_TAIL(&rest->pieces, p, link);
		p->claim = rest;
	}
	return 0;
}

/* Splits the claim in which `at` lies, if there is one. */
static int cut(struct dax_window *w, uint64_t at)
{
	struct dax_claim *c = dax_claim_after(w, at);

	return c && c->at < at ? split(c, at) : 0;
}

int dax_claims_end(struct dax_window *w, uint64_t at, uint64_t len, unsigned int more)
{
	unsigned int first = place_after(w, at);
	unsigned int last = first; /* the one after those that overlap */
	unsigned int whole = 0;
	struct dax_claim *c;
	int r;

	for (; last < w->nclaims && w->claims[last]->at < at + len; last++) {
		c = w->claims[last];
		whole += c->at >= at && c->at + c->len <= at + len;
	}
	/* Only one that goes on at both ends makes one more of it. */
	if (last == first + 1 && w->claims[first]->at < at &&
		w->claims[first]->at + w->claims[first]->len > at + len)
		more++;
	if (w->nclaims - whole + more > w->claims_max)
		return -ENOSPC;
	r = cut(w, at);
	if (r == 0)
		r = cut(w, at + len);
	if (r < 0)
		return r;
	while ((c = dax_claim_after(w, at)) && c->at < at + len)
		dax_claim_free(c);
	return 0;
}

/* Puts a piece to its place among those of its claim. */
static void insert(struct dax_pieces *pieces, struct dax_piece *p)
{
	struct dax_piece *before = TAILQ_LAST(pieces, dax_pieces);

	while (before && before->offset > p->offset)
		before = TAILQ_PREV(before, dax_pieces, link);
	if (before)
		TAILQ_INSERT_AFTER(pieces, before, p, link);
	else
		TAILQ_INSERT_HEAD(pieces, p, link);
}

struct dax_piece *dax_piece_new(struct dax_claim *c, enum dax_kind kind, uint64_t offset,
	uint64_t len)
{
	struct dax_file *f = c->file;
	struct dax_piece *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct dax_piece){
		.claim = c,
		.file = f,
		.at = c->at + (offset - c->offset),
		.len = len,
		.offset = offset,
		.dev = f->dev, /* a copy has its own when it is filled */
		.ino = f->ino,
		.kind = kind,
		.way = DAX_COMES,
	};
	insert(&c->pieces, p);
	f->w->npieces++;
	return p;
}

static struct dax_pieces *list_of(struct dax_window *w, struct dax_piece *p)
{
	return p->claim ? &p->claim->pieces : &w->strays;
}

void dax_piece_free(struct dax_window *w, struct dax_piece *p)
{
	TAILQ_REMOVE(list_of(w, p), p, link);
	w->npieces--;
	free(p);
}

void dax_piece_stray(struct dax_window *w, struct dax_piece *p, bool is_doubtful)
{
	TAILQ_REMOVE(list_of(w, p), p, link);
	TAILQ_INSERT_TAIL(&w->strays, p, link);
	p->claim = NULL;
	p->is_doubtful |= is_doubtful;
}
