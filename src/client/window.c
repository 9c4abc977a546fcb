// SPDX-License-Identifier: BSD-2-Clause
#include "client/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/fault.h"
#include "client/file.h"

/* A window has this many ranges at least, where they are not smaller than RANGE_MIN for it. */
#define RANGES_MIN 32u
#define RANGE_MIN  65536u

/* Less than this much of a file is never worth a range of its own. */
#define WORTH_MIN 65536u

/* How many ranges are looked at for one to give up. */
#define LOOKS 16u

/* Misses to let pass after the back-end has refused a file, and at most. */
#define SKIP_MIN 16u
#define SKIP_MAX 65536u

static int make_tables(struct window *w)
{
	uint64_t places = 64;

	while (places < 2 * (uint64_t)w->n)
		places *= 2;
	w->mask = places - 1;
	w->ranges = calloc(w->n, sizeof(*w->ranges));
	w->buckets = calloc(places, sizeof(*w->buckets));
	w->hints = calloc(places, sizeof(*w->hints));
	return w->ranges && w->buckets && w->hints ? heat_init(&w->heat, w->n) : -ENOMEM;
}

int window_open(struct causeway *c, unsigned int alignment)
{
	const struct vhost_window *v = &c->t.fe.window;
	struct window *w = &c->window;
	int r;

	if (!v->base && c->options.dax == DAX_ALWAYS)
		return client_fail(c, -EOPNOTSUPP, "dax=always: the back-end has no window; "
						   "causewayd has one with --dax-window");
	if (!v->base)
		return 0;
	w->shift = (unsigned int)__builtin_ctz(WINDOW_RANGE_MAX);
	while ((v->size >> w->shift) < RANGES_MIN && 1u << w->shift > RANGE_MIN)
		w->shift--;
	if (alignment > w->shift)
		return client_fail(c, -EPROTO, "the back-end maps at multiples of 2^%u bytes only; "
					       "2^%u are the ranges here", alignment, w->shift);
	w->base = v->base;
	w->mode = c->options.dax;
	w->room = w->n = (unsigned int)(v->size >> w->shift);
	pthread_mutex_init(&w->lock, NULL);
	r = make_tables(w);
	if (r == 0)
		r = fault_begin();
	w->guarded = r == 0;
	if (r < 0) {
		window_close(c);
		return client_fail(c, r, "no window: %s", strerror(-r));
	}
	return 0;
}

void window_close(struct causeway *c)
{
	struct window *w = &c->window;

	if (!w->base)
		return;
	window_free_maps(c);
	if (w->guarded)
		fault_end();
	heat_free(&w->heat);
	free(w->ranges);
	free(w->buckets);
	free(w->hints);
	pthread_mutex_destroy(&w->lock);
	*w = (struct window){.base = NULL};
}

bool window_serves(const struct causeway_file *f)
{
	const struct window *w = &f->c->window;

	if (w->n == 0 || w->mode == DAX_NEVER || f->node->type != S_IFREG || (f->flags & O_DIRECT))
		return false;
	/* Where a file's length is not kept, it takes a request to know it, each time. */
	return w->mode == DAX_ALWAYS || f->keeps_data;
}

bool window_suits(const struct causeway *c, const struct fuse_attr *attr)
{
	return c->window.mode == DAX_ALWAYS || !(c->session.flags & FUSE_HAS_INODE_DAX) ||
		(attr->flags & FUSE_ATTR_DAX);
}

/* The range that was used least of some, or NULL. */
static struct range *least_used(struct window *w)
{
	unsigned int looks = min_t(unsigned int, LOOKS, w->n);
	struct range *least = NULL;

	for (unsigned int i = 0; i < looks; i++) {
		struct range *r = &w->ranges[w->hand++ % w->n];

		if (r->state == RANGE_DOOMED)
			return r;
		if (r->state == RANGE_LIVE && r->maps == 0 && atomic_load(&r->pins) == 0 &&
			(!least || atomic_load_explicit(&r->uses, memory_order_relaxed) <
					atomic_load_explicit(&least->uses, memory_order_relaxed)))
			least = r;
	}
	return least;
}

/* A busy range for what was wanted so often, or NULL. */
static struct range *make_room(struct causeway *c, uint32_t count)
{
	struct window *w = &c->window;
	struct range *r = w->free ? &w->ranges[w->free - 1] : &w->ranges[w->unused];

	if ((w->free || w->unused < w->n) && atomic_load(&w->nlive) < w->room &&
		window_take(c, r))
		return r;
	r = least_used(w);
	if (r && r->state == RANGE_LIVE && w->mode != DAX_ALWAYS &&
		!heat_worth(count, atomic_load_explicit(&r->uses, memory_order_relaxed)))
		return NULL;
	return r && window_take(c, r) ? r : NULL;
}

static void cool(struct window *w)
{
	/* What there was no room for may have gone. */
	if (w->room < w->n)
		w->room++;
	for (unsigned int i = 0; i < w->unused; i++) {
		_Atomic uint32_t *uses = &w->ranges[i].uses;

		atomic_store_explicit(uses,
			atomic_load_explicit(uses, memory_order_relaxed) / 2, memory_order_relaxed);
	}
}

/* What a file was refused for may pass. */
static bool is_refused(struct node *node)
{
	return node->skip > 0 && node->skip-- > 0;
}

void window_refused(struct node *node)
{
	node->refusal = node->refusal == 0 ? SKIP_MIN : min_t(uint32_t, SKIP_MAX,
		4 * node->refusal);
	node->skip = node->refusal;
}

/* Whether a miss is to be mapped: a busy range that has its name, or NULL. there: a range that has
 * that name, but is too short, or not to be written to. */
static struct range *admit(struct causeway_file *f, struct range *there, uint64_t index,
	uint32_t len, bool writable)
{
	struct window *w = &f->c->window;
	uint32_t count;
	struct range *r;

	if (w->unknown || (w->mode == DAX_AUTO && len < WORTH_MIN) || is_refused(f->node) ||
		(there && there->state == RANGE_BUSY))
		return NULL;
	/* Two handles are not to take it from each other in turn. */
	if (there && there->writable && !writable)
		return NULL;
	count = heat_add(&w->heat, f->node->serial, index);
	if (heat_cools(&w->heat))
		cool(w);
	if (w->mode != DAX_ALWAYS && count < (there ? HEAT_RENEW : HEAT_MAP))
		return NULL;
	if (there)
		r = window_take(f->c, there) ? there : NULL;
	else
		r = make_room(f->c, count);
	if (r) {
		window_name(w, r, f->node, index, true);
		/* It has been used that often: not to be the next one to go. */
		atomic_store_explicit(&r->uses, count, memory_order_relaxed);
	}
	return r;
}

/* Maps a busy range; pinned, or NULL. */
static struct range *map_range(struct causeway_file *f, struct range *r, uint64_t index,
	uint32_t len, bool writable)
{
	struct window *w = &f->c->window;
	int result;

	/* What is mapped over ends, but what is behind that would not. */
	if (r->mapped > len)
		window_remove(f->c, f->node->id, &r, 1);
	result = window_setup(f, r, index << w->shift, len, writable);
	pthread_mutex_lock(&w->lock);
	r->mapped = max_t(uint32_t, r->mapped, len);
	w->unknown |= result == -ENOSYS;
	if (result == -ENOSPC)
		w->room = max_t(unsigned int, 1, atomic_load(&w->nlive));
	if (result == 0) {
		f->node->refusal = 0;
		window_publish(f->c, r, len, writable);
		atomic_fetch_add(&r->pins, 1);
	} else {
		if (result != -ENOSPC)
			window_refused(f->node);
		window_free(w, r);
		r = NULL;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

static bool will_do(const struct range *r, uint32_t within, bool write)
{
	return within < atomic_load_explicit(&r->len, memory_order_relaxed) &&
		(!write || atomic_load_explicit(&r->writable, memory_order_relaxed));
}

static struct range *miss(struct causeway_file *f, uint64_t offset, uint64_t size, bool write)
{
	struct window *w = &f->c->window;
	uint64_t index = offset >> w->shift, start = index << w->shift;
	uint32_t len = (uint32_t)min_t(uint64_t, window_whole(size) - start, window_range_bytes(w));
	bool writable = (f->flags & O_ACCMODE) == O_RDWR;
	struct range *r;

	pthread_mutex_lock(&w->lock);
	r = window_find(w, f->node, index);
	if (r && r->state == RANGE_LIVE && will_do(r, (uint32_t)(offset - start), write)) {
		/* It cannot be taken meanwhile. */
		atomic_fetch_add(&r->pins, 1);
		atomic_store_explicit(window_hint(w, f->node->serial, index), window_number(w, r),
			memory_order_relaxed);
		pthread_mutex_unlock(&w->lock);
		return r;
	}
	/* A handle that is not for reading maps nothing. Who goes on in a range where the last
	 * request ended is still at the same use of it, and that may be the only one. */
	if ((f->flags & O_ACCMODE) == O_WRONLY || (w->mode == DAX_AUTO && offset > start &&
			atomic_load_explicit(&f->asked_end, memory_order_relaxed) == (off_t)offset))
		r = NULL;
	else
		r = admit(f, r, index, len, writable);
	pthread_mutex_unlock(&w->lock);
	return r ? map_range(f, r, index, len, writable) : NULL;
}

/* Finds a range by its hint. */
static struct range *find_fast(struct window *w, uint64_t serial, uint64_t index)
{
	uint32_t i = atomic_load_explicit(window_hint(w, serial, index), memory_order_relaxed);
	struct range *r = i ? &w->ranges[i - 1] : NULL;

	if (!r)
		return NULL;
	atomic_fetch_add(&r->pins, 1);
	if (atomic_load(&r->serial) == serial &&
		atomic_load_explicit(&r->index, memory_order_relaxed) == index)
		return r;
	window_put(r);
	return NULL;
}

struct range *window_get(struct causeway_file *f, uint64_t offset, uint64_t size, bool write)
{
	struct window *w = &f->c->window;
	struct range *r = find_fast(w, f->node->serial, offset >> w->shift);

	if (r && !will_do(r, (uint32_t)offset & (window_range_bytes(w) - 1), write)) {
		window_put(r);
		r = NULL;
	}
	if (!r)
		return miss(f, offset, size, write);
	/* Lossy, as it only has to be about right. */
	atomic_store_explicit(&r->uses,
		atomic_load_explicit(&r->uses, memory_order_relaxed) + 1, memory_order_relaxed);
	return r;
}
