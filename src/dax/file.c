// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files, and what is asked of them: claims, sizes, safety.
 */
#include <errno.h>
#include <time.h>

#include "base/util.h"
#include "dax/window.h"

/* How often, and how long after each other, a device that is being stopped is asked again to take
 * pages away that are about to end. */
#define TRIES  200
#define NAP_NS 5000000

struct dax_file *dax_file_new(struct dax_window *w, int fd, bool writable, bool safe)
{
	struct dax_file *f;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	*f = (struct dax_file){
		.w = w,
		.fd = fd,
		.writable = writable,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.safe = safe,
		.copy = -1,
		.before = -1,
	};
	pthread_mutex_lock(&w->state);
	LIST_INSERT_HEAD(&w->files, f, link);
	pthread_mutex_unlock(&w->state);
	return f;
}

void dax_file_watch(struct dax_file *f, const struct dax_watch *watch)
{
	pthread_mutex_lock(&f->w->state);
	f->watch = *watch;
	pthread_mutex_unlock(&f->w->state);
}

/* Makes of the file's claims what they ask for now, and takes away what else is of it. */
static int settle(struct dax_file *f)
{
	const struct dax_sweep sweep = {.of = f};
	int laid = dax_layout(f);
	int r = dax_settle_claims(f->w, &sweep);

	return laid < 0 ? laid : r;
}

static bool is_beyond(const struct dax_file *f, const struct dax_piece *p, uint64_t end)
{
	return p->dev == f->dev && p->ino == f->ino && p->offset + p->len > end;
}

/* Whether pages of the file itself that begin at end are mapped, or may be. */
static bool maps_beyond(struct dax_file *f, uint64_t end)
{
	const struct dax_claim *c;
	const struct dax_piece *p;

	TAILQ_FOREACH(p, &f->w->strays, link) {
		if (is_beyond(f, p, end))
			return true;
	}
	LIST_FOREACH(c, &f->claims, of_file) {
		TAILQ_FOREACH(p, &c->pieces, link) {
			if (is_beyond(f, p, end))
				return true;
		}
	}
	return false;
}

/* The same, until nothing is mapped from end on: the pages are about to end. A device that is being
 * stopped can do nothing now, but soon. #syscalls(dax): clock_nanosleep */
static int settle_surely(struct dax_file *f, uint64_t end)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	int r = settle(f);

	for (unsigned int i = 0; r == -EINTR && i < TRIES && maps_beyond(f, end); i++) {
		pthread_mutex_unlock(&f->w->state);
		nanosleep(&nap, NULL);
		pthread_mutex_lock(&f->w->state);
		r = settle(f);
	}
	return r;
}

void dax_file_free(struct dax_file *f)
{
	struct dax_window *w = f->w;
	struct dax_claim *c;
	struct dax_piece *p;

	dax_lock(w);
	while ((c = LIST_FIRST(&f->claims)))
		dax_claim_free(c);
	settle_surely(f, 0);
	/* Pieces outlive it where the front-end does not answer. */
	TAILQ_FOREACH(p, &w->strays, link) {
		if (p->file != f)
			continue;
		dax_copy_end(p, false);
		p->is_doubtful = true;
		p->file = NULL;
	}
	dax_copy_trim(f);
	LIST_REMOVE(f, link);
	dax_unlock(w);
	free(f);
}

bool dax_file_is_claimed(struct dax_file *f)
{
	return atomic_load(&f->nclaims) > 0;
}

static bool is_in_window(const struct dax_window *w, uint64_t at, uint64_t len)
{
	return len > 0 && ((at | len) & (DAX_PAGE - 1)) == 0 && at < w->size && len <= w->size - at;
}

static struct dax_claim *find(struct dax_file *f, uint64_t at, uint64_t len, uint64_t offset)
{
	struct dax_claim *c = dax_claim_after(f->w, at);

	return c && c->file == f && c->at == at && c->len == len && c->offset == offset ? c : NULL;
}

/* Whether all is there that the claim has. */
static bool is_whole(const struct dax_claim *c)
{
	uint64_t end = min_t(uint64_t, c->offset + c->len, c->file->end[DAX_COPY]);
	uint64_t at = c->offset;
	const struct dax_piece *p;

	TAILQ_FOREACH(p, &c->pieces, link) {
		if (p->offset != at)
			return false;
		at += p->len;
	}
	return at >= end;
}

/* Both locks are held. */
static int map(struct dax_file *f, uint64_t at, uint64_t len, uint64_t offset)
{
	struct dax_window *w = f->w;
	const struct dax_sweep none = {.all = false};
	unsigned int epoch = w->epoch;
	int r = 0, settled;

	/* What a front-end refused of a file that was cut just then it takes another time; where it
	 * is not writable it does not. */
	if (f->writable && !dax_file_is_claimed(f))
		f->refused = false;
	if (!find(f, at, len, offset)) {
		r = dax_claims_end(w, at, len, 1);
		if (r == 0 && !dax_claim_add(f, at, len, offset))
			r = -ENOMEM;
		if (r < 0) {
			dax_settle_claims(w, &none);
			return r;
		}
	}
	f->bare = false;
	r = dax_layout(f);
	settled = dax_settle_claims(w, &none);
	if (w->epoch != epoch)
		return -EINTR;
	/* Other claims of the file may have been what failed: they can be settled later. */
	if (r == 0 && settled < 0 && !is_whole(find(f, at, len, offset)))
		r = settled;
	if (r < 0) {
		dax_claim_free(find(f, at, len, offset));
		dax_settle_claims(w, &none);
	}
	return r;
}

int dax_map(struct dax_file *f, uint64_t at, uint64_t len, uint64_t offset, bool write)
{
	int r;

	if (!is_in_window(f->w, at, len) || (offset & (DAX_PAGE - 1)) != 0 ||
		offset > (uint64_t)INT64_MAX - len)
		return -EINVAL;
	if (write && !f->writable)
		return -EACCES;
	dax_lock(f->w);
	r = map(f, at, len, offset);
	dax_unlock(f->w);
	return r;
}

int dax_unmap(struct dax_window *w, uint64_t at, uint64_t len)
{
	const struct dax_sweep none = {.all = false};
	int r, settled;

	if (!is_in_window(w, at, len))
		return -EINVAL;
	dax_lock(w);
	r = dax_claims_end(w, at, len, 0);
	settled = dax_settle_claims(w, &none);
	dax_unlock(w);
	return r < 0 ? r : settled;
}

int dax_settle(struct dax_file *f)
{
	int r = 0;

	dax_lock(f->w);
	f->bare = false;
	r = settle(f);
	if (!LIST_EMPTY(&f->copies))
		dax_copy_refresh(f, 0, f->end[DAX_COPY]);
	dax_unlock(f->w);
	return r;
}

/* Whether a claim has pages between two sizes; the one in which a size lies counts. */
static bool is_claimed_between(struct dax_file *f, uint64_t a, uint64_t b)
{
	uint64_t from = dax_page_down(min_t(uint64_t, a, b));
	uint64_t to = dax_page_up(max_t(uint64_t, a, b));
	const struct dax_claim *c;

	LIST_FOREACH(c, &f->claims, of_file) {
		if (c->offset < to && from < c->offset + c->len)
			return true;
	}
	return false;
}

bool dax_is_unsettled(struct dax_file *f)
{
	uint64_t size;
	bool is;

	if (!dax_file_is_claimed(f))
		return false;
	pthread_mutex_lock(&f->w->state);
	is = f->bare || f->unsettled;
	if (!is && dax_file_size(f, &size) == 0 && size != f->size)
		is = is_claimed_between(f, size, f->size);
	pthread_mutex_unlock(&f->w->state);
	return is;
}

int dax_shrink(struct dax_file *f, struct dax_shrink *shrink, uint64_t size)
{
	int r;

	shrink->size = size;
	dax_lock(f->w);
	LIST_INSERT_HEAD(&f->shrinks, shrink, link);
	r = settle_surely(f, dax_page_down(size));
	if (!maps_beyond(f, dax_page_down(size)))
		r = 0;
	else if (r == 0)
		r = -EIO;
	dax_unlock(f->w);
	return r;
}

int dax_shrunk(struct dax_file *f, struct dax_shrink *shrink)
{
	int r;

	dax_lock(f->w);
	LIST_REMOVE(shrink, link);
	r = settle(f);
	dax_unlock(f->w);
	return r;
}

int dax_set_safe(struct dax_file *f, bool safe, bool keep)
{
	int r = 0;

	dax_lock(f->w);
	/* The file shows at once what copies had; what cannot be written back keeps its copy. */
	if (safe)
		r = dax_copy_flush(f);
	if (r == 0) {
		f->safe = safe;
		f->bare = !safe && !keep;
		r = settle_surely(f, safe ? UINT64_MAX : 0);
	}
	dax_unlock(f->w);
	return r;
}

int dax_flush(struct dax_file *f)
{
	int r;

	if (atomic_load(&f->ncopies) == 0)
		return 0;
	pthread_mutex_lock(&f->w->state);
	r = dax_copy_flush(f);
	pthread_mutex_unlock(&f->w->state);
	return r;
}

void dax_wrote(struct dax_file *f, uint64_t offset, uint64_t len)
{
	uint64_t end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;

	if (atomic_load(&f->ncopies) == 0)
		return;
	pthread_mutex_lock(&f->w->state);
	dax_copy_renew(f, offset, end);
	pthread_mutex_unlock(&f->w->state);
}
