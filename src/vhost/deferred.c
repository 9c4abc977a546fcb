// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/deferred.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "mem/cursor.h"
#include "vhost/backend.h"

struct vhost_deferred {
	struct vhost_queue *q;
	struct vhost_deferred *next;
	uint16_t head;
	bool finished; /* by its holder: the ring frees it */
	bool ended;    /* by its ring, no longer in the list: the holder frees it */
	uint32_t len;
	char reply[VHOST_DEFERRED_REPLY];
};

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

bool vhost_finish(struct vhost_deferred *d, const void *reply, uint32_t len)
{
	struct vhost_queue *q = d->q;
	bool ended;

	pthread_mutex_lock(&q->deferred.lock);
	ended = d->ended;
	if (!ended) {
		d->len = min_t(uint32_t, len, sizeof(d->reply));
		memcpy(d->reply, reply, d->len);
		d->finished = true;
		atomic_fetch_add(&q->deferred.ready, 1);
		vhost_queue_wake(q);
	}
	pthread_mutex_unlock(&q->deferred.lock);
	if (ended)
		free(d);
	return !ended;
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
		} else {
			d->ended = true;
		}
	}
	pthread_mutex_unlock(&list->lock);
	free(done);
	return d;
}

static int push(struct vhost_queue *q, bool all)
{
	struct vhost_deferred d;
	int pushed = 0;

	/* A broken ring is not touched, but gives up its chains all the same when it ends. */
	while (take(&q->deferred, all, &d)) {
		struct virtq_chain chain;
		struct cursor out;

		if (virtq_again(&q->vq, d.head, &chain) < 0)
			continue;
		out = cursor_over(chain.out, chain.out_len);
		virtq_push(&q->vq, d.head, (uint32_t)cursor_write(&out, d.reply, d.len));
		pushed++;
	}
	return q->vq.broken ? q->vq.broken : pushed;
}

int vhost_deferred_push(struct vhost_queue *q)
{
	if (atomic_load_explicit(&q->deferred.ready, memory_order_acquire) == 0)
		return 0;
	return push(q, false);
}

int vhost_deferred_end(struct vhost_queue *q)
{
	return push(q, true);
}
