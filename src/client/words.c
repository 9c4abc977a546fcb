// SPDX-License-Identifier: BSD-2-Clause
#include "client/words.h"

#include <string.h>

#include "client/client.h"

static const struct {
	uint32_t looks, changes;
} ops[FUSE_OPCODE_MAX] = {
#define OP(opcode, looks, marks, more, when) [FUSE_##opcode] = {looks, (marks) | (more)},
	VT_OPS(OP)
#undef OP
};

/* A bound for what is copied: no operation's words may be more. */
#define OP(opcode, looks, marks, more, when)                                                       \
	_Static_assert(sizeof(struct vt_reply) +                                                   \
				__builtin_popcount(looks) * sizeof(struct vt_look) +               \
				__builtin_popcount((marks) | (more)) * sizeof(struct vt_move) <=   \
			WORDS_MAX, "words of " #opcode);
VT_OPS(OP)
#undef OP

unsigned int words_size(uint32_t opcode)
{
	return opcode < FUSE_OPCODE_MAX ? vt_words_size(ops[opcode].looks, ops[opcode].changes) : 0;
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
	struct vt_look look;
	size_t at;

	if (!w->came || !(ops[w->opcode].looks & bit))
		return (struct validity){.until_ns = 0};
	at = sizeof(struct vt_reply) +
		vt_bits(ops[w->opcode].looks & (bit - 1)) * sizeof(struct vt_look);
	memcpy(&look, w->bytes + at, sizeof(look));
	return words_look(c, words_epoch(w), &look);
}

bool words_move(const struct causeway *c, const struct words *w, unsigned int bit,
	struct validity *v)
{
	const struct vtable_view *view = table_view(&c->table);
	struct vt_move move;
	size_t at;

	if (!w->came || !view || !v->word || !(ops[w->opcode].changes & bit))
		return false;
	at = sizeof(struct vt_reply) + vt_bits(ops[w->opcode].looks) * sizeof(struct vt_look) +
		vt_bits(ops[w->opcode].changes & (bit - 1)) * sizeof(struct vt_move);
	memcpy(&move, w->bytes + at, sizeof(move));
	/* That it was alone is not only to be said. */
	if (!(move.flags & VT_ALONE) || !vt_is_alone(move.before, move.after) ||
		move.slot >= view->slots || v->word != words_slot(view, move.slot) ||
		v->value != move.before || v->epoch != words_epoch(w))
		return false;
	v->value = move.after;
	return true;
}
