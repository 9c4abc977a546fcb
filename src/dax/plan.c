// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the front-end has to change, from what it has to what claims ask for.
 *
 * What is right stays untouched, as the guest may be using it. So a file that grows by small steps
 * would be in ever more pieces: a new piece at the end takes in those before it that are not much
 * longer, which leaves few, and disturbs most seldom those that are long. Where nothing can be
 * mapped over what is there, what is taken in is away for a moment; then that waits until a claim
 * has many pieces, or is full.
 */
#include <errno.h>

#include "base/util.h"
#include "dax/window.h"

/* How many pieces of a kind are many for a claim that is not full. */
#define DAX_MANY 8

static bool overlap(const struct dax_piece *a, const struct dax_piece *b)
{
	return a->at < b->at + b->len && b->at < a->at + a->len;
}

uint64_t dax_overlap(const struct dax_piece *a, const struct dax_piece *b)
{
	if (!overlap(a, b))
		return 0;
	return min_t(uint64_t, a->at + a->len, b->at + b->len) - max_t(uint64_t, a->at, b->at);
}

static void leave(struct dax_plan *plan, struct dax_piece *p)
{
	p->way = DAX_LEAVES;
	p->is_replaced = false;
	p->result = 0;
	plan->leave[plan->nleave++] = p;
}

/* Strays leave: all, or those that are not in doubt. */
static void leave_strays(struct dax_plan *plan, bool all)
{
	struct dax_piece *p;

	TAILQ_FOREACH(p, &plan->w->strays, link) {
		if (p->way == DAX_STAYS && (all || !p->is_doubtful))
			leave(plan, p);
	}
}

static bool has_room(const struct dax_plan *plan)
{
	return plan->w->npieces - plan->nleave < plan->most;
}

static void come(struct dax_plan *plan, struct dax_claim *c, enum dax_kind kind, uint64_t from,
	uint64_t to)
{
	struct dax_piece *p = NULL;

	if (!has_room(plan))
		leave_strays(plan, true);
	if (has_room(plan))
		p = dax_piece_new(c, kind, from, to - from);
	else if (plan->error == 0)
		plan->error = -ENOSPC;
	if (p)
		plan->come[plan->ncome++] = p;
	else if (plan->error == 0)
		plan->error = -ENOMEM;
	if (!p)
		c->file->unsettled = true;
}

/* Where in the file the pages of a kind are that a claim has. */
static void range_of(const struct dax_claim *c, enum dax_kind kind, uint64_t *from, uint64_t *to)
{
	*from = max_t(uint64_t, c->offset, kind == DAX_COPY ? c->file->end[DAX_PAGES] : 0);
	*to = min_t(uint64_t, c->offset + c->len, c->file->end[kind]);
}

static bool stays(const struct dax_piece *p, enum dax_kind kind)
{
	return p->kind == kind && p->way == DAX_STAYS;
}

static struct dax_piece *before(struct dax_piece *p, enum dax_kind kind)
{
	do
		p = TAILQ_PREV(p, dax_pieces, link);
	while (p && !stays(p, kind));
	return p;
}

/* How many of a claim's n pieces stay as they are when it gets a new one. */
static unsigned int how_many_stay(const struct dax_plan *plan, unsigned int n, bool is_full)
{
	if (plan->w->maps_over)
		return 0;
	if (is_full)
		return 1;
	return n < DAX_MANY ? n : DAX_MANY / 2;
}

static void fill_holes(struct dax_plan *plan, struct dax_claim *c, enum dax_kind kind)
{
	struct dax_piece *p, *last = NULL;
	unsigned int n = 0, staying;
	uint64_t at, to;
	bool is_full;

	range_of(c, kind, &at, &to);
	is_full = to == c->offset + c->len;
	TAILQ_FOREACH(p, &c->pieces, link) {
		if (!stays(p, kind))
			continue;
		if (p->offset > at)
			come(plan, c, kind, at, p->offset);
		at = p->offset + p->len;
		last = p;
		n++;
	}
	if (at >= to)
		return;
	staying = how_many_stay(plan, n, is_full);
	while (last && last->offset + last->len == at &&
		(!has_room(plan) || (n > staying && (is_full || last->len < 2 * (to - at))))) {
		leave(plan, last);
		n--;
		at = last->offset;
		last = before(last, kind);
	}
	come(plan, c, kind, at, to);
}

static void leave_wrong(struct dax_plan *plan, struct dax_claim *c)
{
	struct dax_piece *p;
	uint64_t from, to;

	TAILQ_FOREACH(p, &c->pieces, link) {
		range_of(c, p->kind, &from, &to);
		if (p->offset < from || p->offset + p->len > to)
			leave(plan, p);
	}
}

/* Whether a stray that is in doubt is to go. */
static bool must_go(const struct dax_plan *plan, const struct dax_piece *p,
	const struct dax_sweep *sweep)
{
	bool goes = sweep->all ||
		(sweep->of && p->dev == sweep->of->dev && p->ino == sweep->of->ino);

	for (unsigned int i = 0; !goes && i < plan->ncome; i++)
		goes = overlap(p, plan->come[i]);
	return goes;
}

/* Whether all of it will have something else in its place. */
static bool is_covered(const struct dax_plan *plan, const struct dax_piece *p)
{
	uint64_t covered = 0;

	for (unsigned int i = 0; i < plan->ncome; i++)
		covered += dax_overlap(p, plan->come[i]);
	return covered == p->len;
}

static bool replaces(const struct dax_plan *plan, const struct dax_piece *p)
{
	for (unsigned int i = 0; i < plan->nleave; i++) {
		if (plan->leave[i] && plan->leave[i]->is_replaced && overlap(plan->leave[i], p))
			return true;
	}
	return false;
}

void dax_plan_order(struct dax_plan *plan, bool replace)
{
	bool copies = false, doubts = false, gaps = false;

	for (unsigned int i = 0; i < plan->nleave; i++) {
		struct dax_piece *p = plan->leave[i];

		if (!p)
			continue;
		p->is_replaced = replace && !p->is_doubtful && is_covered(plan, p);
		copies |= p->is_filled;
		doubts |= p->is_doubtful;
		gaps |= !p->is_replaced;
	}
	for (unsigned int i = 0; i < plan->ncome; i++) {
		copies |= plan->come[i]->kind == DAX_COPY;
		plan->come[i]->replaces = replaces(plan, plan->come[i]);
	}
	/* Between what a copy has and what the file has nothing is lost only if the guest can
	 * store in neither while one is made of the other. */
	plan->in_steps = plan->ncome > 0 && (doubts || (gaps && copies));
}

int dax_plan_make(struct dax_plan *plan, struct dax_window *w, const struct dax_sweep *sweep)
{
	const size_t most = (size_t)w->npieces + w->pieces_max + 1;
	struct dax_claim *c;
	struct dax_piece *p;

	*plan = (struct dax_plan){
		.w = w,
		.most = min_t(unsigned int, w->pieces_max,
			w->npieces + w->frontend.room(w->frontend.opaque)),
		.leave = calloc(w->npieces + 1, sizeof(*plan->leave)),
		.come = calloc(w->pieces_max + 1, sizeof(*plan->come)),
		.changes = calloc(most, sizeof(*plan->changes)),
		.changed = calloc(most, sizeof(*plan->changed)),
	};
	if (!plan->leave || !plan->come || !plan->changes || !plan->changed)
		return -ENOMEM;
	leave_strays(plan, false);
	LIST_FOREACH(c, &w->unsettled, of_unsettled)
		leave_wrong(plan, c);
	while ((c = LIST_FIRST(&w->unsettled))) {
		LIST_REMOVE(c, of_unsettled);
		c->is_unsettled = false;
		fill_holes(plan, c, DAX_PAGES);
		fill_holes(plan, c, DAX_COPY);
	}
	TAILQ_FOREACH(p, &w->strays, link) {
		if (p->way == DAX_STAYS && must_go(plan, p, sweep))
			leave(plan, p);
	}
	dax_plan_order(plan, w->maps_over);
	return 0;
}

void dax_plan_free(struct dax_plan *plan)
{
	free(plan->leave);
	free(plan->come);
	free(plan->changes);
	free(plan->changed);
}
