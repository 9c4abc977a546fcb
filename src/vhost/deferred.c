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
	struct place *all; /* of the data too, or NULL */
	unsigned int nall;
	bool finished; /* by its holder: the ring frees it */
	bool last;     /* ... but others go out first */
	bool counted;  /* in dev->unshown */
	bool ended;    /* by its ring, no longer in the list: the holder frees it */
	uint32_t len;     /* bytes of it in reply */
	uint32_t written; /* bytes behind them that are where they belong */
	char reply[VHOST_DEFERRED_REPLY];
};

bool vhost_deferred_pending(const struct vhost_queue *q)
{
	return atomic_load(&q->deferred.ready) > 0;
}

static void free_deferred(struct vhost_deferred *d)
{
	if (d)
		free(d->all);
	free(d);
}

/* Notes where the first left bytes of a chain's reply go; how many places they are. */
static unsigned int note_places(const struct mem *mem, const struct virtq_chain *chain,
	size_t left, struct place *places, unsigned int room)
{
	struct cursor out = cursor_over(chain->out, chain->out_len);
	unsigned int n = 0;

	while (left > 0 && n < room) {
		struct iovec lent;
		size_t taken;

		cursor_lend(&out, left, &lent, 1, &taken);
		if (!mem_gpa_of(mem, lent.iov_base, &places[n].gpa))
			break;
		places[n++].len = (uint32_t)taken;
		left -= taken;
	}
	return n;
}

/* How many pieces the room for a chain's reply is in. */
static unsigned int count_pieces(const struct virtq_chain *chain)
{
	unsigned int n = 0;

	for (size_t len = 0; len < chain->out_len; n++)
		len += chain->out[n].iov_len;
	return n;
}

static struct vhost_deferred *new_deferred(struct vhost_queue *q, const struct virtq_chain *chain,
	bool data)
{
	struct vhost_deferred *d = calloc(1, sizeof(*d));
	const struct mem *mem = &q->dev->mem;
	unsigned int n = data ? count_pieces(chain) : 0;

	if (!d)
		return NULL;
	d->q = q;
	d->head = chain->head;
	d->nplaces = note_places(mem, chain,
		min_t(size_t, chain->out_len, VHOST_DEFERRED_REPLY), d->places,
		VHOST_DEFERRED_REPLY);
	if (!data)
		return d;
	d->all = calloc(n, sizeof(*d->all));
	if (d->all)
		d->nall = note_places(mem, chain, chain->out_len, d->all, n);
	if (d->nall == n)
		return d;
	free_deferred(d);
	return NULL;
}

static struct vhost_deferred *defer(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len, bool data)
{
	struct vhost_queue *q = &dev->queues[queue];
	struct vhost_deferred_list *list = &q->deferred;
	struct vhost_deferred *d = new_deferred(q, chain, data);
	bool taken;

	if (!d)
		return NULL;
	d->len = min_t(uint32_t, len, sizeof(d->reply));
	memcpy(d->reply, reply, d->len);
	pthread_mutex_lock(&list->lock);
	taken = list->count < VHOST_DEFERRED_MAX;
	if (taken) {
		d->next = list->first;
		list->first = d;
		list->count++;
	}
	pthread_mutex_unlock(&list->lock);
	if (taken)
		return d;
	free_deferred(d);
	return NULL;
}

struct vhost_deferred *vhost_defer(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len)
{
	return defer(dev, queue, chain, reply, len, false);
}

struct vhost_deferred *vhost_defer_data(struct vhost_backend *dev, unsigned int queue,
	const struct virtq_chain *chain, const void *reply, uint32_t len)
{
	return defer(dev, queue, chain, reply, len, true);
}

/* The places' memory, as it is now; a place may be in several regions now, or in none. */
static struct iovec *translate_all(const struct vhost_deferred *d, size_t *len)
{
	const struct mem *mem = &d->q->dev->mem;
	int room = (int)(d->nall + mem->nregions), n = 0;
	struct iovec *iov = calloc((size_t)room, sizeof(*iov));
	bool own = false;

	*len = 0;
	for (unsigned int i = 0; iov && i < d->nall; i++) {
		int r = mem_translate_any(mem, d->all[i].gpa, d->all[i].len, iov + n, room - n,
			&own);

		if (r < 0) {
			free(iov);
			return NULL;
		}
		n += r;
		*len += d->all[i].len;
	}
	return iov;
}

struct iovec *vhost_reach(struct vhost_deferred *d, size_t *len)
{
	mem_enter_beside(&d->q->dev->mem);
	return translate_all(d, len);
}

void vhost_leave(struct vhost_backend *dev)
{
	mem_leave_beside(&dev->mem);
}

/* Stores the reply unless the ring has ended; the list's lock is held. */
static bool store(struct vhost_deferred *d, const void *reply, uint32_t len, uint32_t written)
{
	if (d->ended)
		return false;
	d->len = min_t(uint32_t, len, sizeof(d->reply));
	d->written = written;
	memcpy(d->reply, reply, d->len);
	return true;
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
	stored = store(d, reply, len, 0);
	if (stored) {
		d->last = true;
		atomic_fetch_add(&q->deferred.lasts, 1);
	}
	pthread_mutex_unlock(&q->deferred.lock);
	if (!stored)
		free_deferred(d);
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
		copy->all = NULL;
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
	free_deferred(done);
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
		vhost_queue_push(q, d.head, (uint32_t)written + d.written);
		pushed++;
		if (q->dev->device->no_batching)
			vhost_queue_publish(q);
	}
	if (q->pushed > 0)
		vhost_queue_publish(q);
	if (counted > 0 && atomic_fetch_sub(&q->dev->unshown, counted) == counted)
		let_all_go(q->dev);
	return q->vq.broken ? q->vq.broken : pushed;
}

/* A chain has its reply; the list's lock is held. True: the caller is to push, inside the gate. */
static bool take_ring(struct vhost_queue *q)
{
	struct vhost_deferred_list *list = &q->deferred;

	if (list->pushing || !atomic_load(&list->asleep))
		return false;
	list->pushing = !q->dev->device->no_answering && mem_try_enter(&q->dev->mem, &q->gate);
	/* Memory changes, or somebody has borrowed the ring. */
	if (!list->pushing)
		vhost_queue_wake(q);
	return list->pushing;
}

/* Gives it back, where nothing was finished meanwhile that nobody else would push. */
static bool give_ring_back(struct vhost_queue *q)
{
	struct vhost_deferred_list *list = &q->deferred;
	bool leaves;

	pthread_mutex_lock(&list->lock);
	leaves = !vhost_deferred_pending(q) || !atomic_load(&list->asleep);
	if (leaves) {
		list->pushing = false;
		mem_leave(&q->gate);
	}
	pthread_mutex_unlock(&list->lock);
	return leaves;
}

/* From another thread, while that of the ring sleeps. */
static void push_beside(struct vhost_queue *q)
{
	do {
		int pushed = push(q, false);

		/* Of a ring that broke its own thread tells. */
		if (pushed < 0)
			vhost_queue_wake(q);
		else
			count_add(&q->stats.beside, (uint64_t)pushed);
	} while (!give_ring_back(q));
}

static bool finish(struct vhost_deferred *d, const void *reply, uint32_t len, uint32_t written)
{
	struct vhost_queue *q = d->q;
	bool stored, entered = false;

	pthread_mutex_lock(&q->deferred.lock);
	stored = store(d, reply, len, written);
	if (stored) {
		d->finished = true;
		d->counted = true;
		atomic_fetch_add(&q->dev->unshown, 1);
		atomic_fetch_add(&q->deferred.ready, 1);
		entered = take_ring(q);
	}
	pthread_mutex_unlock(&q->deferred.lock);
	if (!stored)
		free_deferred(d);
	if (entered)
		push_beside(q);
	return stored;
}

bool vhost_finish(struct vhost_deferred *d, const void *reply, uint32_t len)
{
	return finish(d, reply, len, 0);
}

bool vhost_finish_data(struct vhost_deferred *d, const void *reply, uint32_t len, uint32_t written)
{
	return finish(d, reply, len, written - min_t(uint32_t, written, len));
}

int vhost_deferred_push(struct vhost_queue *q)
{
	return vhost_deferred_pending(q) ? push(q, false) : 0;
}

int vhost_deferred_end(struct vhost_queue *q)
{
	return push(q, true);
}
