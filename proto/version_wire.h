// SPDX-License-Identifier: BSD-2-Clause
/*
 * What FUSE requests and replies carry for the version table (docs/coherence.md): a request of its
 * own, by which both sides agree to it, and words in replies.
 *
 * Once it is agreed to, each successful reply to an operation that VT_OPS has bits for is
 *
 *     fuse_out_header | words | what the reply has without them
 *
 * where words are a struct vt_reply, a struct vt_look for each bit of `looks`, and a struct vt_move
 * for each bit of `marks` and `more`, in the order of the bits: as many for each reply to an
 * opcode, so that a guest knows where the rest begins. An error has no words.
 */
#ifndef PROTO_VERSION_WIRE_H
#define PROTO_VERSION_WIRE_H

#include "proto/version_ops.h"
#include "proto/version_table.h"

/* The request's opcode, far from those of FUSE; servers that do not know it answer ENOSYS. */
#define VT_HELLO         0x43570001u
#define VT_WIRE          1u
#define VT_HELLO_BEGIN   1u /* replies have words, this one's being the first that could have */

struct vt_hello_in {
	uint32_t wire;  /* the newest that the guest speaks */
	uint32_t flags; /* VT_HELLO_BEGIN, or 0: only asks */
	uint8_t id[VT_ID_SIZE]; /* with VT_HELLO_BEGIN: of the table that the guest has mapped */
};

struct vt_hello_out {
	uint32_t wire; /* the one that is spoken: not newer than the guest's */
	uint32_t layout;
	uint8_t id[VT_ID_SIZE];
	uint64_t slots;
	uint64_t zero[4];
};

struct vt_reply {
	uint64_t epoch; /* read before any word of the reply */
	uint64_t zero;
};

#define VT_KEEP  1u /* of a look: may be kept; else it is good for this once */
#define VT_TIMED 2u /* of a look: kept by time only, since nobody can watch for changes */
#define VT_ALONE 1u /* of a move: the change had the slot to itself; before and after are set */

struct vt_look {
	uint64_t word;
	uint32_t slot;
	uint32_t flags;
};

struct vt_move {
	uint64_t before, after;
	uint32_t slot;
	uint32_t flags;
};

/*
 * In an entry of READDIRPLUS (fuse_entry_out) words are where the times are that nobody needs who
 * has words, so that a listing is as long as without: a look at the name in entry_valid and its
 * nanoseconds, one at the attributes in attr_valid and its; flags are above the bits of a slot.
 */
#define VT_FLAGS_SHIFT 28
_Static_assert(VT_SLOTS_MAX == 1ull << VT_FLAGS_SHIFT, "each slot fits below the flags");

static inline void vt_put_look(const struct vt_look *look, uint64_t *valid, uint32_t *nanoseconds)
{
	*valid = look->word;
	*nanoseconds = look->slot | look->flags << VT_FLAGS_SHIFT;
}

static inline struct vt_look vt_entry_look(uint64_t valid, uint32_t nanoseconds)
{
	struct vt_look look = {
		.word = valid,
		.slot = nanoseconds & ((1u << VT_FLAGS_SHIFT) - 1),
		.flags = nanoseconds >> VT_FLAGS_SHIFT,
	};

	return look;
}

static inline unsigned int vt_bits(unsigned int touches)
{
	unsigned int n = 0;

	for (; touches; touches &= touches - 1)
		n++;
	return n;
}

/* Bytes of words in a reply to an operation, from its row in VT_OPS. */
static inline unsigned int vt_words_size(unsigned int looks, unsigned int changes)
{
	if (!looks && !changes)
		return 0;
	return (unsigned int)(sizeof(struct vt_reply) + vt_bits(looks) * sizeof(struct vt_look) +
			      vt_bits(changes) * sizeof(struct vt_move));
}

#endif
