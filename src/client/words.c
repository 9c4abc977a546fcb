// SPDX-License-Identifier: BSD-2-Clause
#include "client/words.h"

#include <string.h>

#include "client/client.h"

unsigned int words_size(uint32_t opcode)
{
	return vt_row_size(vt_row(opcode));
}

uint64_t words_epoch(const struct words *w)
{
	struct vt_reply head;

	if (!w->came)
		return 0;
	memcpy(&head, w->bytes, sizeof(head));
	return head.epoch;
}

struct validity words_look(const struct causeway *c, uint64_t epoch, const struct vt_look *look)
{
	const struct vtable_view *view = table_view(&c->table);
	const struct vt_stamp stamp = {.epoch = epoch, .word = look->word, .slot = look->slot};
	struct validity v = {.until_ns = 0};

	if (!view || !(look->flags & VT_KEEP) || !vtable_view_may_keep(view, &stamp))
		return v;
	v = validity_for(TABLE_TIMED_S, 0);
	v.word = words_slot(view, stamp.slot);
	v.value = stamp.word;
	v.epoch = epoch;
	v.timed = look->flags & VT_TIMED;
	return v;
}

struct validity words_shown(const struct causeway *c, const struct words *w, unsigned int bit)
{
	const struct vt_row row = vt_row(w->opcode);
	struct vt_look look;

	if (!w->came || !(row.looks & bit))
		return (struct validity){.until_ns = 0};
	memcpy(&look, w->bytes + vt_look_at(row, bit), sizeof(look));
	return words_look(c, words_epoch(w), &look);
}

bool words_move(const struct causeway *c, const struct words *w, unsigned int bit,
	struct validity *v)
{
	const struct vtable_view *view = table_view(&c->table);
	const struct vt_row row = vt_row(w->opcode);
	struct vt_move move;

	if (!w->came || !view || !v->word || !(row.changes & bit))
		return false;
	memcpy(&move, w->bytes + vt_move_at(row, bit), sizeof(move));
	/* That it was alone is not only to be said. */
	if (!(move.flags & VT_ALONE) || !vt_is_alone(move.before, move.after) ||
		move.slot >= view->slots || v->word != words_slot(view, move.slot) ||
		v->value != move.before || v->epoch != words_epoch(w))
		return false;
	v->value = move.after;
	return true;
}
