// SPDX-License-Identifier: BSD-2-Clause
#include "dax/window.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"

struct dax_window *dax_window_new(uint64_t size, unsigned int pieces,
	const struct dax_frontend *frontend)
{
	struct dax_window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->claims_max = pieces + (unsigned int)min_t(uint64_t, size / DAX_CLAIM_BYTES, 1u << 20);
	/* Two more while one is being split. */
	w->claims = calloc((size_t)w->claims_max + 2, sizeof(struct dax_claim *));
	if (!w->claims) {
		free(w);
		return NULL;
	}
	pthread_mutex_init(&w->change, NULL);
	pthread_mutex_init(&w->state, NULL);
	w->size = size;
	w->pieces_max = pieces;
	w->frontend = *frontend;
	w->maps_over = true;
	TAILQ_INIT(&w->strays);
	return w;
}

/* Ends all claims; their pieces are strays of which nobody knows whether they are mapped. */
static void forget_claims(struct dax_window *w)
{
	struct dax_file *f;
	struct dax_piece *p;
	int r;

	LIST_FOREACH(f, &w->files, link) {
		r = dax_copy_flush(f);
		if (r < 0)
			log_error("DAX: what a guest has stored before it went is lost: %s",
				strerror(-r));
		while ((p = LIST_FIRST(&f->copies))) {
			LIST_REMOVE(p, copied);
			p->is_filled = false;
		}
		atomic_store(&f->ncopies, 0);
	}
	while (w->nclaims > 0)
		dax_claim_free(w->claims[w->nclaims - 1]);
	TAILQ_FOREACH(p, &w->strays, link)
		p->is_doubtful = true;
	w->epoch++;
}

void dax_window_reset(struct dax_window *w)
{
	pthread_mutex_lock(&w->state);
	forget_claims(w);
	pthread_mutex_unlock(&w->state);
}

void dax_window_dropped(struct dax_window *w)
{
	struct dax_piece *p, *next;

	pthread_mutex_lock(&w->state);
	forget_claims(w);
	for (p = TAILQ_FIRST(&w->strays); p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->way == DAX_STAYS)
			dax_piece_free(w, p);
		else
			p->is_lost = true;
	}
	pthread_mutex_unlock(&w->state);
}

void dax_window_free(struct dax_window *w)
{
	dax_window_dropped(w);
	pthread_mutex_destroy(&w->state);
	pthread_mutex_destroy(&w->change);
	free(w->claims);
	free(w);
}

void dax_settle_all(struct dax_window *w)
{
	const struct dax_sweep all = {.all = true};
	struct dax_file *f;

	dax_lock(w);
	dax_settle_claims(w, &all);
	LIST_FOREACH(f, &w->files, link)
		dax_copy_trim(f);
	dax_unlock(w);
}

static bool has_piece(const struct dax_pieces *pieces, const struct stat *st)
{
	const struct dax_piece *p;

	TAILQ_FOREACH(p, pieces, link) {
		if (p->dev == st->st_dev && p->ino == st->st_ino)
			return true;
	}
	return false;
}

bool dax_window_has(struct dax_window *w, const struct stat *st)
{
	bool has;

	pthread_mutex_lock(&w->state);
	has = has_piece(&w->strays, st);
	for (unsigned int i = 0; !has && i < w->nclaims; i++)
		has = has_piece(&w->claims[i]->pieces, st);
	pthread_mutex_unlock(&w->state);
	return has;
}

void dax_window_count(struct dax_window *w, struct dax_count *count)
{
	const struct dax_piece *p;

	pthread_mutex_lock(&w->state);
	*count = w->count;
	count->claims = w->nclaims;
	count->pieces = w->npieces;
	for (unsigned int i = 0; i < w->nclaims; i++) {
		TAILQ_FOREACH(p, &w->claims[i]->pieces, link) {
			if (p->way == DAX_COMES)
				continue;
			count->mapped_bytes += p->len;
			count->copied_bytes += p->kind == DAX_COPY ? p->len : 0;
		}
	}
	pthread_mutex_unlock(&w->state);
}
