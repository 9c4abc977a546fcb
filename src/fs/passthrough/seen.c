// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/seen.h"

#include <stdatomic.h>

#include "fs/passthrough/sparse.h"

#define OWN_BYTES (PT_GUESSES * PT_GUESS_BESIDE * sizeof(uint64_t))

void pt_seen_init(struct pt_seen *all, struct pt_guesses *guesses)
{
	all->guesses = guesses;
	if (guesses)
		all->bits = pt_guesses_beside(guesses);
	else
		all->bits = (struct pt_bits){pt_sparse_new(OWN_BYTES),
			PT_GUESS_BESIDE * sizeof(uint64_t)};
}

void pt_seen_destroy(struct pt_seen *all)
{
	if (!all->guesses)
		pt_sparse_free(all->bits.first, OWN_BYTES);
}

static _Atomic uint64_t *word_of(const struct pt_seen *all, uint64_t hash)
{
	char *place = (char *)all->bits.first + (hash >> 32 & (PT_GUESSES - 1)) * all->bits.stride;

	return (_Atomic uint64_t *)place + (hash >> 63);
}

static uint64_t bit_of(uint64_t hash)
{
	return UINT64_C(1) << (hash >> 57 & 63);
}

void pt_seen_note(struct pt_seen *all, uint64_t hash)
{
	_Atomic uint64_t *word = word_of(all, hash);

	if (!(atomic_load_explicit(word, memory_order_relaxed) & bit_of(hash)))
		atomic_fetch_or_explicit(word, bit_of(hash), memory_order_relaxed);
}

bool pt_seen_has(const struct pt_seen *all, uint64_t hash)
{
	return all->bits.first &&
		atomic_load_explicit(word_of(all, hash), memory_order_relaxed) & bit_of(hash);
}

void pt_seen_clear(struct pt_seen *all)
{
	if (!all->bits.first)
		return;
	if (all->guesses)
		pt_guesses_clear(all->guesses);
	else
		pt_sparse_clear(all->bits.first, OWN_BYTES);
}
