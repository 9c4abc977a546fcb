// SPDX-License-Identifier: BSD-2-Clause
/* Changes that no request marks, and what has them: inside the version table without a request. */
#include <errno.h>

#include "fs/passthrough/version.h"

/* The table that this thread has entered without a request. */
static _Thread_local struct vtable *inside;

int pt_own_begin(struct passthrough *pt, const struct pt_node *node, struct pt_own *own)
{
	struct vtable_request *v = vtable_request_now();
	struct pt_inode inode = pt_inode_of(node);
	uint32_t slots[2];
	uint64_t hash;

	*own = (struct pt_own){.t = v ? v->t : inside};
	if (!own->t) {
		own->t = pt->config.table;
		if (!own->t)
			return 0;
		own->entered = true;
		vtable_enter(own->t);
	}
	if (vtable_is_lost(own->t)) {
		if (own->entered)
			vtable_leave(own->t);
		own->t = NULL;
		return -EIO;
	}
	hash = vtable_hash_of_inode(own->t, inode.dev, inode.ino);
	slots[0] = vtable_slot_of_kind(own->t, hash, VTABLE_ATTR);
	slots[1] = vtable_slot_of_kind(own->t, hash, VTABLE_DATA);
	if (v && !v->settled && vtable_touch_of(&v->change, slots[0]) &&
		vtable_touch_of(&v->change, slots[1]))
		own->t = NULL;
	else
		vtable_begin(own->t, &own->change, slots, 2);
	return 0;
}

void pt_own_end(struct pt_own *own)
{
	if (!own->t)
		return;
	vtable_end(own->t, &own->change);
	if (own->entered)
		vtable_leave(own->t);
}

struct pt_inside pt_enter_table(struct passthrough *pt)
{
	struct pt_inside in = {.t = pt->config.table};

	if (!in.t || inside || vtable_request_now())
		return (struct pt_inside){.t = NULL};
	vtable_enter(in.t);
	inside = in.t;
	return in;
}

void pt_leave_table(struct pt_inside *in)
{
	if (!in->t)
		return;
	inside = NULL;
	vtable_leave(in->t);
}
