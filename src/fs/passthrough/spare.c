// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/spare.h"

#include "fs/passthrough/keep.h"

/* #syscalls: close */

struct pt_spares {
	pthread_mutex_t lock; /* of what follows, and to list a node; taken after hot_lock */
	_Atomic uint32_t len; /* read without the lock too */
	uint32_t max, hand;
	uint64_t ring[]; /* ids of nodes */
};

struct pt_spares *pt_spares_new(uint32_t max)
{
	struct pt_spares *s = NULL;

	if (max > 0)
		s = calloc(1, sizeof(*s) + max * sizeof(s->ring[0]));
	if (!s)
		return NULL;
	s->max = max;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void pt_spares_free(struct pt_spares *s)
{
	if (s)
		pthread_mutex_destroy(&s->lock);
	free(s);
}

uint32_t pt_spares_places(const struct passthrough *pt)
{
	return pt->spares ? atomic_load_explicit(&pt->spares->len, memory_order_relaxed) : 0;
}

int pt_spare_take(struct pt_node *node)
{
	int fd;

	if (atomic_load_explicit(&node->spare, memory_order_relaxed) == 0)
		return -1;
	fd = atomic_exchange(&node->spare, 0) - 1;
	if (fd >= 0)
		atomic_store_explicit(&node->spare_used, true, memory_order_relaxed);
	return fd;
}

void pt_spare_drop(struct pt_node *node)
{
	int fd = atomic_exchange(&node->spare, 0) - 1;

	close_fd(&fd);
}

/* Whether a place can be another's now: its node is gone, or loses what it has, which the caller
 * closes without the lock. force: also of a node that was opened since the hand last passed. */
static bool vacate(struct passthrough *pt, uint64_t id, bool force, int *fd)
{
	struct idslot *slot = idtab_get(pt->nodes, id);
	struct pt_node *node;
	bool goes;

	if (!slot)
		return true;
	node = container_of(slot, struct pt_node, slot);
	goes = !atomic_exchange(&node->spare_used, false) || force;
	if (goes) {
		atomic_store(&node->spare_listed, false);
		*fd = atomic_exchange(&node->spare, 0) - 1;
	}
	idtab_put(pt->nodes, slot);
	return goes;
}

/* Whether nodes, handles and spares leave a descriptor for one more. */
static bool has_room(struct passthrough *pt)
{
	return pt->spares->len < pt->spares->max &&
		pt->hot_len + pt->handles->used + pt->spares->len < pt->fds;
}

/* The lock is held. NULL: all that have a place are opened all the time. */
static uint64_t *find_place(struct passthrough *pt, int *fd)
{
	struct pt_spares *s = pt->spares;

	if (has_room(pt))
		return &s->ring[s->len++];
	for (uint32_t left = 2 * s->len; left > 0; left--) {
		uint64_t *place = &s->ring[s->hand++ % s->len];

		if (vacate(pt, *place, false, fd))
			return place;
	}
	return NULL;
}

/* Whether the node has a place in the ring, now. */
static bool enlist(struct passthrough *pt, struct pt_node *node)
{
	CLEANUP_FD int fd = -1;
	uint64_t *place;

	if (atomic_load(&node->spare_listed))
		return true;
	pthread_mutex_lock(&pt->spares->lock);
	if (!atomic_load(&node->spare_listed)) {
		place = find_place(pt, &fd);
		if (place) {
			*place = idtab_id(&node->slot);
			atomic_store(&node->spare_listed, true);
		}
	}
	pthread_mutex_unlock(&pt->spares->lock);
	return atomic_load(&node->spare_listed);
}

static bool may_stay(struct pt_node *node)
{
	return atomic_load(&node->lookups) > 0 && atomic_load(&node->spare_listed);
}

void pt_spare_leave(struct passthrough *pt, struct pt_node *node, int taken_fd)
{
	CLEANUP_FD int fd = taken_fd;
	int none = 0;

	if (!pt->spares || atomic_load(&node->lookups) == 0 || !pt_is_kept_unheard(pt, node))
		return;
	if (!enlist(pt, node) || !atomic_compare_exchange_strong(&node->spare, &none, fd + 1))
		return;
	steal_fd(&fd);
	if (!may_stay(node))
		pt_spare_drop(node);
}

void pt_spares_shrink(struct passthrough *pt, uint32_t n)
{
	struct pt_spares *s = pt->spares;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	for (; n > 0 && s->len > 0; n--) {
		uint64_t *place = &s->ring[s->hand % s->len];
		CLEANUP_FD int fd = -1;

		vacate(pt, *place, true, &fd);
		*place = s->ring[--s->len];
	}
	pthread_mutex_unlock(&s->lock);
}

uint32_t pt_spares_count(struct passthrough *pt)
{
	struct pt_spares *s = pt->spares;
	uint32_t n = 0;

	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->len; i++) {
		struct idslot *slot = idtab_get(pt->nodes, s->ring[i]);

		if (!slot)
			continue;
		n += atomic_load(&container_of(slot, struct pt_node, slot)->spare) != 0;
		idtab_put(pt->nodes, slot);
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}
