// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ranges of the window as they come and go: who has them, where they are found, and what the
 * back-end is told of them.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/util.h"
#include "client/file.h"

/* In one REMOVEMAPPING. */
#define REMOVE_MAX 64u

struct range *window_find(struct window *w, const struct node *node, uint64_t index)
{
	uint32_t i = w->buckets[window_hash(node->serial, index) & w->mask];

	for (; i; i = w->ranges[i - 1].next) {
		struct range *r = &w->ranges[i - 1];

		if (r->node == node &&
			atomic_load_explicit(&r->index, memory_order_relaxed) == index)
			return r;
	}
	return NULL;
}

static void unlink_range(struct window *w, struct range *r)
{
	uint64_t index = atomic_load_explicit(&r->index, memory_order_relaxed);
	uint32_t *at = &w->buckets[window_hash(r->node->serial, index) & w->mask];

	if (!r->linked)
		return;
	while (*at != window_number(w, r))
		at = &w->ranges[*at - 1].next;
	*at = r->next;
	r->linked = false;
}

/* Takes one that nobody has off the list. */
static void take_free(struct window *w, struct range *r)
{
	uint32_t *at = &w->free;

	while (&w->ranges[w->unused] <= r)
		window_free(w, &w->ranges[w->unused++]);
	while (*at != window_number(w, r))
		at = &w->ranges[*at - 1].next;
	*at = r->next;
	r->state = RANGE_BUSY;
}

bool window_take(struct causeway *c, struct range *r)
{
	struct window *w = &c->window;
	uint64_t serial = atomic_load(&r->serial);
	off_t from;

	if (r->state == RANGE_FREE) {
		take_free(w, r);
		return true;
	}
	if (r->state == RANGE_BUSY || r->maps > 0)
		return false;
	/* Who finds it from now on does not; who has found it has a pin. */
	atomic_store(&r->serial, 0);
	if (atomic_load(&r->pins) > 0) {
		atomic_store(&r->serial, serial);
		return false;
	}
	from = (off_t)(atomic_load_explicit(&r->index, memory_order_relaxed) << w->shift);
	unlink_range(w, r);
	node_left_window(c, r->node, from, from + (off_t)window_range_bytes(w));
	atomic_fetch_sub(&r->node->ranges, 1);
	atomic_fetch_sub(&w->nlive, 1);
	r->node = NULL;
	r->state = RANGE_BUSY;
	return true;
}

void window_name(struct window *w, struct range *r, struct node *node, uint64_t index, bool linked)
{
	uint32_t *at = &w->buckets[window_hash(node->serial, index) & w->mask];

	r->node = node;
	atomic_store_explicit(&r->index, index, memory_order_relaxed);
	r->linked = linked;
	if (linked) {
		r->next = *at;
		*at = window_number(w, r);
	}
}

void window_publish(struct causeway *c, struct range *r, uint32_t len, bool writable)
{
	struct window *w = &c->window;
	uint64_t index = atomic_load_explicit(&r->index, memory_order_relaxed);
	off_t from = (off_t)(index << w->shift);

	r->state = RANGE_LIVE;
	atomic_fetch_add(&r->node->ranges, 1);
	atomic_fetch_add(&w->nlive, 1);
	node_left_window(c, r->node, from, from + (off_t)window_range_bytes(w));
	atomic_store_explicit(&r->len, len, memory_order_relaxed);
	atomic_store_explicit(&r->writable, writable, memory_order_relaxed);
	if (!r->linked)
		return;
	atomic_store(&r->serial, r->node->serial);
	atomic_store_explicit(window_hint(w, r->node->serial, index), window_number(w, r),
		memory_order_relaxed);
}

void window_free(struct window *w, struct range *r)
{
	if (r->node)
		unlink_range(w, r);
	r->node = NULL;
	r->state = RANGE_FREE;
	r->next = w->free;
	w->free = window_number(w, r);
}

void window_doom(struct window *w, struct range *r)
{
	atomic_store(&r->serial, 0);
	unlink_range(w, r);
	r->state = RANGE_DOOMED;
}

int window_setup(struct causeway_file *f, const struct range *r, uint64_t offset, uint64_t len,
	bool write)
{
	struct fuse_setupmapping_in in = {
		/* As Linux has it: no handle. */
		.fh = f->open ? f->fh : UINT64_MAX,
		.foffset = offset,
		.len = len,
		.flags = FUSE_SETUPMAPPING_FLAG_READ | (write ? FUSE_SETUPMAPPING_FLAG_WRITE : 0),
		.moffset = (uint64_t)(r - f->c->window.ranges) << f->c->window.shift,
	};
	struct call call = {
		.opcode = FUSE_SETUPMAPPING,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};
	int result;

	vhost_window_order(&f->c->t.fe.window);
	result = client_call(f->c, &call);
	vhost_window_order(&f->c->t.fe.window);
	return result;
}

/* Where it fails, what is there is mapped over one day. */
void window_remove(struct causeway *c, uint64_t nodeid, struct range *const *ranges, unsigned int n)
{
	struct fuse_removemapping_one ones[REMOVE_MAX];
	struct fuse_removemapping_in in = {.count = n};
	struct call call = {
		.opcode = FUSE_REMOVEMAPPING,
		.nodeid = nodeid,
		.args = {CALL_STRUCT(in), {ones, n * sizeof(*ones)}},
		.nargs = 2,
	};

	for (unsigned int i = 0; i < n; i++) {
		ones[i] = (struct fuse_removemapping_one){
			.moffset = (uint64_t)(ranges[i] - c->window.ranges) << c->window.shift,
			.len = ranges[i]->mapped,
		};
		ranges[i]->mapped = 0;
	}
	vhost_window_order(&c->t.fe.window);
	client_call(c, &call);
	vhost_window_order(&c->t.fe.window);
}

void window_broke(struct causeway *c, struct range *r)
{
	struct window *w = &c->window;

	pthread_mutex_lock(&w->lock);
	/* What the program has mapped stays what it is. */
	if (r->state == RANGE_LIVE && r->maps == 0) {
		window_refused(r->node);
		window_doom(w, r);
	}
	pthread_mutex_unlock(&w->lock);
}

void window_forget(struct causeway *c, struct node *node)
{
	/* Who looks for another file may have a pin for a moment. */
	while (atomic_load(&node->ranges) > 0) {
		window_drop(c, node, 0);
		sched_yield();
	}
}

void window_drop(struct causeway *c, struct node *node, uint64_t from)
{
	struct window *w = &c->window;
	struct range *gone[REMOVE_MAX];
	unsigned int n;

	do {
		n = 0;
		if (atomic_load_explicit(&node->ranges, memory_order_relaxed) == 0)
			return;
		pthread_mutex_lock(&w->lock);
		for (unsigned int i = 0; i < w->unused && n < REMOVE_MAX; i++) {
			struct range *r = &w->ranges[i];

			if (r->node == node && r->state != RANGE_BUSY &&
				(r->index << w->shift) + r->len > from && window_take(c, r))
				gone[n++] = r;
		}
		pthread_mutex_unlock(&w->lock);
		if (n > 0)
			window_remove(c, node->id, gone, n);
		pthread_mutex_lock(&w->lock);
		for (unsigned int i = 0; i < n; i++)
			window_free(w, gone[i]);
		pthread_mutex_unlock(&w->lock);
	} while (n == REMOVE_MAX);
}
