// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/deferred.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "mem/cursor.h"
#include "vhost/backend.h"

/* Room for a reply, where the guest has it. */
struct place {
	uint64_t gpa;
	uint32_t len;
};

struct vhost_deferred {
	struct vhost_queue *q;
	struct vhost_deferred *next;
	uint16_t head;
	unsigned int nplaces;
	struct place places[VHOST_DEFERRED_REPLY]; /* each has a byte at least */
	bool finished; /* by its holder: the ring frees it */
	bool last;     /* ... but others go out first */
	bool counted;  /* in dev->unshown */
	bool ended;    /* by its ring, no longer in the list: the holder frees it */
	uint32_t len;
	char reply[VHOST_DEFERRED_REPLY];
};

/* Notes where the chain's first reply bytes go. */
static void note_places(struct vhost_deferred *d, const struct virtq_chain *chain)
{
	struct cursor out = cursor_over(chain->out, chain->out_len);
	size_t left = min_t(size_t, chain->out_len, VHOST_DEFERRED_REPLY);

	while (left > 0) {
		struct place *place = &d->places[d->nplaces];
		struct iovec lent;
		size_t taken;

		cursor_lend(&out, left, &lent, 1, &taken);
		if (!mem_gpa_of(&d->q->dev->mem, lent.iov_base, &place->gpa))
			return;
		place->len = (uint32_t)taken;
		d->nplaces++;
		left -= taken;
	}
}

struct vhost_deferred *vhost_defer(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len)
{
	struct vhost_queue *q = &dev->queues[queue];
	struct vhost_deferred_list *list = &q->deferred;
	CLEANUP_FREE struct vhost_deferred *d = calloc(1, sizeof(*d));
	struct vhost_deferred *taken = NULL;

	if (!d)
		return NULL;
	d->q = q;
	d->head = chain->head;
	note_places(d, chain);
	d->len = min_t(uint32_t, len, sizeof(d->reply));
	memcpy(d->reply, reply, d->len);
	pthread_mutex_lock(&list->lock);
	if (list->count < VHOST_DEFERRED_MAX) {
		d->next = list->first;
		list->first = d;
		list->count++;
		taken = d;
		d = NULL;
	}
	pthread_mutex_unlock(&list->lock);
	return taken;
}

/* Stores the reply unless the ring has ended; the list's lock is held. */
static bool store(struct vhost_deferred *d, const void *reply, uint32_t len)
{
	if (d->ended)
		return false;
	d->len = min_t(uint32_t, len, sizeof(d->reply));
	memcpy(d->reply, reply, d->len);
	return true;
}

bool vhost_finish(struct vhost_deferred *d, const void *reply, uint32_t len)
{
	struct vhost_queue *q = d->q;
	bool stored;

	pthread_mutex_lock(&q->deferred.lock);
	stored = store(d, reply, len);
	if (stored) {
		d->finished = true;
		d->counted = true;
		atomic_fetch_add(&q->dev->unshown, 1);
		atomic_fetch_add(&q->deferred.ready, 1);
		vhost_queue_wake(q);
	}
	pthread_mutex_unlock(&q->deferred.lock);
	if (!stored)
		free(d);
	return stored;
}

/* Nothing goes out before the last ones of this ring any more. */
static void let_go(struct vhost_queue *q)
{
	struct vhost_deferred_list *list = &q->deferred;

	pthread_mutex_lock(&list->lock);
	for (struct vhost_deferred *d = list->first; d; d = d->next) {
		if (!d->last)
			continue;
		d->last = false;
		d->finished = true;
		atomic_fetch_sub(&list->lasts, 1);
		atomic_fetch_add(&list->ready, 1);
		vhost_queue_wake(q);
	}
	pthread_mutex_unlock(&list->lock);
}

static void let_all_go(struct vhost_backend *dev)
{
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		if (atomic_load(&dev->queues[i].deferred.lasts) > 0)
			let_go(&dev->queues[i]);
	}
}

void vhost_finish_last(struct vhost_deferred *d, const void *reply, uint32_t len)
{
	struct vhost_queue *q = d->q;
	bool stored;

	pthread_mutex_lock(&q->deferred.lock);
	stored = store(d, reply, len);
	if (stored) {
		d->last = true;
		atomic_fetch_add(&q->deferred.lasts, 1);
	}
	pthread_mutex_unlock(&q->deferred.lock);
	if (!stored)
		free(d);
	else if (atomic_load(&q->dev->unshown) == 0)
		let_all_go(q->dev);
}

/* Takes a chain that can be answered out of the list, if there is one; copied, as its holder may
 * free it as soon as the lock is left. */
static bool take(struct vhost_deferred_list *list, bool all, struct vhost_deferred *copy)
{
	struct vhost_deferred **at = &list->first;
	struct vhost_deferred *d, *done = NULL;

	pthread_mutex_lock(&list->lock);
	while (*at && !all && !(*at)->finished)
		at = &(*at)->next;
	d = *at;
	if (d) {
		*at = d->next;
		list->count--;
		*copy = *d;
		if (d->finished) {
			atomic_fetch_sub(&list->ready, 1);
			done = d;
		} else if (d->last) {
			atomic_fetch_sub(&list->lasts, 1);
			done = d;
		} else {
			d->ended = true;
		}
	}
	pthread_mutex_unlock(&list->lock);
	free(done);
	return d;
}

/* Writes the reply to where it goes. A place is in one region when it is noted; memory that
 * changed since may have it in several, or in none. Returns how many bytes, or -errno. */
static int write_reply(struct vhost_queue *q, const struct vhost_deferred *d)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < d->nplaces && done < d->len; i++) {
		uint32_t len = min_t(uint32_t, d->places[i].len, d->len - done);
		struct iovec iov[VHOST_DEFERRED_REPLY];
		struct cursor out;

		if (mem_translate(&q->dev->mem, d->places[i].gpa, len, iov,
			    VHOST_DEFERRED_REPLY) < 0)
			return virtq_break(&q->vq, "the memory of a chain in flight is gone");
		out = cursor_over(iov, len);
		cursor_write(&out, d->reply + done, len);
		done += len;
	}
	return (int)done;
}

static int push(struct vhost_queue *q, bool all)
{
	struct vhost_deferred d;
	unsigned int counted = 0;
	int pushed = 0;

	/* A broken ring is not touched, but gives up its chains all the same when it ends. */
	while (take(&q->deferred, all, &d)) {
		int written = q->vq.broken ? q->vq.broken : write_reply(q, &d);

		counted += d.counted;
		if (written < 0)
			continue;
		vhost_queue_push(q, d.head, (uint32_t)written);
		pushed++;
	}
	if (pushed > 0)
		vhost_queue_publish(q);
	if (counted > 0 && atomic_fetch_sub(&q->dev->unshown, counted) == counted)
		let_all_go(q->dev);
	return q->vq.broken ? q->vq.broken : pushed;
}

bool vhost_deferred_pending(const struct vhost_queue *q)
{
	return atomic_load_explicit(&q->deferred.ready, memory_order_acquire) > 0;
}

int vhost_deferred_push(struct vhost_queue *q)
{
	return vhost_deferred_pending(q) ? push(q, false) : 0;
}

int vhost_deferred_end(struct vhost_queue *q)
{
	return push(q, true);
}
