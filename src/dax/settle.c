// SPDX-License-Identifier: BSD-2-Clause
/*
 * Has the front-end change what is mapped, and learns what it can do.
 *
 * First what leaves and is not replaced, then what comes. Both go out together, so that the guest
 * is without for a short time only; but in two steps where a copy takes the place of the file or
 * the file that of a copy: then the one is made of the other while the guest can store in neither.
 * Where something is replaced without a gap that cannot be, and what the guest stores in that
 * moment is put right as far as it can be told.
 */
#include <errno.h>

#include "base/log.h"
#include "base/util.h"
#include "dax/window.h"

/* Something was learnt: try in another way. */
#define AGAIN 1

enum which { ALL, COPIES, UNCLAIMED };

/* Asks for the changes that were noted, in their order, without `state`. */
static void send(struct dax_plan *plan)
{
	struct dax_window *w = plan->w;
	unsigned int n;

	pthread_mutex_unlock(&w->state);
	for (unsigned int i = 0; i < plan->nchanges; i += n) {
		n = min_t(unsigned int, plan->nchanges - i, DAX_BATCH);
		w->frontend.apply(w->frontend.opaque, plan->changes + i, n);
	}
	pthread_mutex_lock(&w->state);
	for (unsigned int i = 0; i < plan->nchanges; i++)
		plan->changed[i]->result = plan->changes[i].result;
	plan->nchanges = 0;
}

static void ask(struct dax_plan *plan, struct dax_piece *p, int fd)
{
	plan->changed[plan->nchanges] = p;
	plan->changes[plan->nchanges++] = (struct dax_change){
		.at = p->at,
		.len = p->len,
		.fd = fd,
		.offset = fd < 0 ? 0 : p->offset,
		.writable = fd >= 0 && p->file->writable,
		.result = -ENOTCONN,
	};
}

static void ask_to_leave(struct dax_plan *plan)
{
	for (unsigned int i = 0; i < plan->nleave; i++) {
		if (plan->leave[i] && !plan->leave[i]->is_replaced)
			ask(plan, plan->leave[i], -1);
	}
}

static void ask_to_come(struct dax_plan *plan)
{
	for (unsigned int i = 0; i < plan->ncome; i++) {
		struct dax_piece *p = plan->come[i];

		ask(plan, p, p->kind == DAX_COPY ? p->file->copy : p->file->fd);
	}
}

/* The first error is what is told. */
static void note(struct dax_plan *plan, int r)
{
	if (plan->error == 0)
		plan->error = r;
}

/* Whether an answer leaves what was there as it was, or nobody knows. */
static bool is_unknown(int r)
{
	return r == -EINTR || r == -ENOTCONN;
}

/* A stray from now on, of which nobody knows whether it is mapped. */
static void doubt(struct dax_window *w, struct dax_piece *p, bool careful)
{
	p->way = DAX_STAYS;
	if (p->claim)
		dax_claim_unsettle(p->claim);
	dax_copy_end(p, careful);
	p->file = NULL;
	dax_piece_stray(w, p, true);
}

static void gone(struct dax_window *w, struct dax_piece *p, bool careful)
{
	dax_copy_end(p, careful);
	dax_piece_free(w, p);
}

static bool is_meant(const struct dax_piece *p, enum which which)
{
	return which == ALL || (which == COPIES ? p->kind == DAX_COPY : !p->claim);
}

/* Drops what was to come. */
static void cancel(struct dax_plan *plan, enum which which)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < plan->ncome; i++) {
		struct dax_piece *p = plan->come[i];

		if (!is_meant(p, which)) {
			plan->come[kept++] = p;
			continue;
		}
		if (p->claim)
			dax_claim_unsettle(p->claim);
		gone(plan->w, p, false);
	}
	plan->ncome = kept;
}

/* Makes copies that are to come. Where one cannot be made, none is; what they were to replace goes
 * all the same. */
static void fill(struct dax_plan *plan)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < plan->ncome; i++) {
		if (plan->come[i]->kind == DAX_COPY)
			r = dax_copy_fill(plan->come[i]);
	}
	if (r == 0)
		return;
	note(plan, r);
	cancel(plan, COPIES);
	dax_plan_order(plan, false);
}

/* What was to be taken away, and the answers are there: a front-end that refuses has nothing there
 * any more. */
static void finish_leaving(struct dax_plan *plan)
{
	struct dax_window *w = plan->w;

	for (unsigned int i = 0; i < plan->nleave; i++) {
		struct dax_piece *p = plan->leave[i];

		if (!p || p->is_replaced)
			continue;
		plan->leave[i] = NULL;
		w->count.unmaps++;
		w->count.refused += p->result < 0 && !is_unknown(p->result);
		if (!is_unknown(p->result)) {
			gone(w, p, false);
			continue;
		}
		note(plan, p->result == -EINTR ? -EINTR : -EIO);
		plan->in_doubt = true;
		if (p->is_lost)
			gone(w, p, false);
		else
			doubt(w, p, false);
	}
}

/* A front-end said no to something that was to come. */
static int refused(struct dax_plan *plan, const struct dax_piece *p)
{
	struct dax_file *f = p->file;

	plan->w->count.refused++;
	if (p->replaces) {
		plan->w->maps_over = false;
		return AGAIN;
	}
	if (plan->in_doubt) {
		note(plan, -EIO);
		return 0;
	}
	if (p->kind == DAX_PAGES && !f->taken[DAX_PAGES] && !f->refused) {
		f->refused = true;
		dax_layout_ends(f);
		return AGAIN;
	}
	/* Copies are refused too: it is not the file. */
	if (p->kind == DAX_COPY && f->refused && !f->taken[DAX_COPY]) {
		f->refused = false;
		dax_layout_ends(f);
	}
	note(plan, -EIO);
	return 0;
}

/* What others were mapped over: gone where they are, and still there where none is. */
static void finish_replaced(struct dax_plan *plan)
{
	struct dax_window *w = plan->w;

	for (unsigned int i = 0; i < plan->nleave; i++) {
		struct dax_piece *p = plan->leave[i];
		bool some = false, all = true;

		for (unsigned int j = 0; p && j < plan->ncome; j++) {
			if (dax_overlap(p, plan->come[j]) == 0)
				continue;
			some |= plan->come[j]->result == 0 || plan->come[j]->result == -EINTR;
			all &= plan->come[j]->result == 0;
		}
		if (!p)
			continue;
		if ((some && all) || p->is_lost) {
			w->count.replaced++;
			gone(w, p, true);
		} else if (some) {
			doubt(w, p, true);
		} else {
			p->way = DAX_STAYS;
			if (p->claim)
				dax_claim_unsettle(p->claim);
		}
	}
}

static int finish_come(struct dax_plan *plan, struct dax_piece *p)
{
	struct dax_window *w = plan->w;
	int r = 0;

	p->way = DAX_STAYS;
	if (p->result == 0 && p->claim && !plan->in_doubt) {
		w->count.maps++;
		p->file->taken[p->kind] = true;
		if (p->replaces && p->is_filled)
			dax_copy_refresh(p->file, p->offset, p->offset + p->len);
		return 0;
	}
	/* It is somewhere where nobody wants it, or may be. */
	if (p->result == 0 || (p->result == -EINTR && !p->is_lost)) {
		note(plan, -EINTR);
		doubt(w, p, false);
		return 0;
	}
	if (p->claim)
		dax_claim_unsettle(p->claim);
	if (is_unknown(p->result))
		note(plan, -EIO);
	else
		r = refused(plan, p);
	gone(w, p, false);
	return r;
}

/* The first of the two steps, if they are two. */
static void take_away(struct dax_plan *plan)
{
	ask_to_leave(plan);
	send(plan);
	finish_leaving(plan);
	/* What was reset meanwhile wants nothing. */
	cancel(plan, plan->in_doubt ? ALL : UNCLAIMED);
}

static int change(struct dax_window *w, const struct dax_sweep *sweep)
{
	struct dax_plan plan;
	int again = 0;
	int r = dax_plan_make(&plan, w, sweep);

	if (r == 0) {
		if (plan.in_steps)
			take_away(&plan);
		fill(&plan);
		ask_to_leave(&plan);
		ask_to_come(&plan);
		send(&plan);
		finish_leaving(&plan);
		finish_replaced(&plan);
		for (unsigned int i = 0; i < plan.ncome; i++)
			again |= finish_come(&plan, plan.come[i]);
		r = again ? AGAIN : plan.error;
	}
	dax_plan_free(&plan);
	return r;
}

int dax_settle_claims(struct dax_window *w, const struct dax_sweep *sweep)
{
	struct dax_claim *c;
	int r;

	do
		r = change(w, sweep);
	while (r == AGAIN);
	while ((c = LIST_FIRST(&w->unsettled))) {
		LIST_REMOVE(c, of_unsettled);
		c->is_unsettled = false;
		c->file->unsettled = true;
	}
	return r;
}
