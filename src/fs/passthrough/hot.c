// SPDX-License-Identifier: BSD-2-Clause
/*
 * How many nodes are hot.
 *
 * Nodes and handles share the descriptors of this process (pt->fds). Handles may have half of
 * them; nodes keep to hot_max, the other half, while others can be cooled that nobody used for a
 * while. What cannot be found again (unlinked inodes that the guest knows, inodes too young to be
 * told from their successors) stays hot beyond that, into what handles leave. Where even that is
 * full, the young are waited for, milliseconds; what is left without a name is cooled too, and is
 * -ESTALE to a guest that comes back to it. A node that finds all others pinned is cold from the
 * beginning. So descriptors do not run out, whatever a guest does; the reserve covers the few that
 * each thread pins at a time. What was left for the next OPEN of a file (spare.h) goes before any
 * node has to.
 *
 * Hot nodes stand in a ring of their own, by id: forgotten ones are met and dropped in passing.
 */
#include <errno.h>

#include "fs/passthrough/pt.h"
#include "fs/passthrough/spare.h"

/* Hot nodes that are looked at for one that can be cooled, before one more may be hot. */
#define COOL_STEPS 256

/* A part of the time for which an inode is too young. */
#define NAP_NS 5000000

/* Cools a node; with force waits until it can be. So others wait that need a place too, and find
 * many that have aged meanwhile. #syscalls: clock_nanosleep */
static bool cool(struct passthrough *pt, struct pt_node *node, bool force)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	int r;

	while ((r = pt_cool(pt, node, force)) == -EAGAIN && force)
		nanosleep(&nap, NULL);
	return r == 0;
}

/* Whether a place in the ring can go: its node is gone, cold, or is cooled now. */
static bool vacate(struct passthrough *pt, uint64_t id, bool force)
{
	struct idslot *slot = idtab_get(pt->nodes, id);
	struct pt_node *node;
	bool done;

	if (!slot)
		return true;
	node = container_of(slot, struct pt_node, slot);
	done = atomic_load(&node->pins) & PT_COLD || cool(pt, node, force);
	/* A node that nobody used was not opened either. */
	if (done)
		pt_spare_drop(node);
	idtab_put(pt->nodes, slot);
	return done;
}

/* Goes round the hot nodes like the hand of a clock, each having a second chance, until fewer than
 * max are left. */
static void sweep(struct passthrough *pt, uint32_t steps, uint32_t max, bool force)
{
	for (uint32_t i = 0; i < steps && pt->hot_len >= max && pt->hot_len > 0; i++) {
		uint64_t *place = &pt->hot[pt->hand++ % pt->hot_len];

		if (vacate(pt, *place, force))
			*place = pt->hot[--pt->hot_len];
	}
}

/* One more place; without memory it is one that is taken, whose node stays hot until it is
 * forgotten. */
static uint64_t *new_place(struct passthrough *pt)
{
	uint32_t room = pt->hot_room ? 2 * pt->hot_room : 256;
	uint64_t *bigger;

	if (pt->hot_len == pt->hot_room) {
		bigger = reallocarray(pt->hot, room, sizeof(*bigger));
		if (!bigger)
			return pt->hot_len ? &pt->hot[pt->hand % pt->hot_len] : NULL;
		pt->hot = bigger;
		pt->hot_room = room;
	}
	return &pt->hot[pt->hot_len++];
}

/* What handles and spares leave to nodes. */
static uint32_t most(struct passthrough *pt)
{
	return pt->fds - min_t(uint32_t, pt->handles->used, pt->fds / 2) - pt_spares_places(pt);
}

/* Has fewer nodes hot than may be, for whom spares go first. */
static void make_room(struct passthrough *pt)
{
	uint32_t max = most(pt);

	if (pt->hot_len >= max)
		pt_spares_shrink(pt, pt->hot_len + 1 - max);
	sweep(pt, pt->hot_len, most(pt), true);
}

void pt_node_is_hot(struct passthrough *pt, uint64_t id)
{
	uint64_t *place = NULL;

	pthread_mutex_lock(&pt->hot_lock);
	sweep(pt, COOL_STEPS, pt->hot_max, false);
	make_room(pt);
	if (pt->hot_len < most(pt) || !vacate(pt, id, true))
		place = new_place(pt);
	if (place)
		*place = id;
	pthread_mutex_unlock(&pt->hot_lock);
}

void pt_make_room(struct passthrough *pt)
{
	if (pt->hot_len <= most(pt))
		return;
	pthread_mutex_lock(&pt->hot_lock);
	make_room(pt);
	pthread_mutex_unlock(&pt->hot_lock);
}
