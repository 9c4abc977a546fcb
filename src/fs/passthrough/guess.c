// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/guess.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "fs/passthrough/version.h"

/* What is left of a hash beside a slot tells names apart, mostly. */
#define SLOT_BITS (VT_SLOTS_MAX - 1ull)

struct pt_guesses {
	_Atomic uint64_t at[PT_GUESSES];
};

struct pt_guesses *pt_guesses_new(void)
{
	return calloc(1, sizeof(struct pt_guesses));
}

void pt_guesses_free(struct pt_guesses *all)
{
	free(all);
}

/* Slots have the low bits of a hash: names that share one need not share a place. */
static _Atomic uint64_t *place_of(struct pt_guesses *all, uint64_t hash)
{
	return &all->at[hash >> 32 & (PT_GUESSES - 1)];
}

bool pt_guess_find(struct pt_guesses *all, uint64_t hash, uint32_t *slot)
{
	uint64_t guess =
		all ? atomic_load_explicit(place_of(all, hash), memory_order_relaxed) : ~hash;

	*slot = guess & SLOT_BITS;
	return !((guess ^ hash) & ~SLOT_BITS);
}

void pt_guess_note(struct pt_guesses *all, uint64_t hash, uint32_t slot)
{
	uint32_t known;

	/* The line stays everybody's as long as nobody writes to it. */
	if (all && !(pt_guess_find(all, hash, &known) && known == slot))
		atomic_store_explicit(place_of(all, hash), (hash & ~SLOT_BITS) | slot,
			memory_order_relaxed);
}

void pt_note_found(struct passthrough *pt, enum pt_as as, const struct fs_entry *entry)
{
	const struct vtable_request *v = vtable_request_now();

	if (!v || !v->words)
		return;
	if (as == PT_LISTED)
		pt_guess_note(pt->guesses, v->name, entry->looks.attr.slot);
	else if (as == PT_LOOKED_UP)
		pt_guess_note(pt->guesses, v->name, v->look[__builtin_ctz(VT_CHILD_ATTR)].slot);
}

void pt_note_made(struct passthrough *pt)
{
	const struct vtable_request *v = vtable_request_now();

	if (v->touched & VT_NAME && v->touched & VT_CHILD_ATTR)
		pt_guess_note(pt->guesses, v->name, v->slot[__builtin_ctz(VT_CHILD_ATTR)]);
}
