// SPDX-License-Identifier: BSD-2-Clause
/*
 * The words in replies by opcode: VT_OPS (proto/version_ops.h) as whoever reads them needs it, and
 * where the word of each bit is. Offsets are bytes from the beginning of the words.
 */
#ifndef PROTO_VERSION_ROWS_H
#define PROTO_VERSION_ROWS_H

#include "proto/fuse_new.h"
#include "proto/version_wire.h"

/* Bytes of the most words that a reply has: those to a rename. */
#define VT_WORDS_MAX 256

/* Bits VT_*: of what a reply shows, and what it has changed, always or sometimes. */
struct vt_row {
	uint16_t looks, changes;
};

/* No bits for an opcode that is not in the table. */
static inline struct vt_row vt_row(uint32_t opcode)
{
	switch (opcode) {
#define VT_ROW(op, looks, marks, more, when)                                                       \
	case FUSE_##op:                                                                            \
		return (struct vt_row){looks, (marks) | (more)};
		VT_OPS(VT_ROW)
#undef VT_ROW
	}
	return (struct vt_row){0, 0};
}

static inline unsigned int vt_row_size(struct vt_row row)
{
	return vt_words_size(row.looks, row.changes);
}

/* Of the struct vt_look of one of row's looks. */
static inline unsigned int vt_look_at(struct vt_row row, unsigned int bit)
{
	return (unsigned int)(sizeof(struct vt_reply) +
			      vt_bits(row.looks & (bit - 1)) * sizeof(struct vt_look));
}

/* Of the struct vt_move of one of row's changes. */
static inline unsigned int vt_move_at(struct vt_row row, unsigned int bit)
{
	return (unsigned int)(sizeof(struct vt_reply) +
			      vt_bits(row.looks) * sizeof(struct vt_look) +
			      vt_bits(row.changes & (bit - 1)) * sizeof(struct vt_move));
}

#define VT_FITS(op, looks, marks, more, when)                                                      \
	_Static_assert(sizeof(struct vt_reply) +                                                   \
				__builtin_popcount(looks) * sizeof(struct vt_look) +               \
				__builtin_popcount((marks) | (more)) * sizeof(struct vt_move) <=   \
			VT_WORDS_MAX, "words of " #op);
VT_OPS(VT_FITS)
#undef VT_FITS

#endif
