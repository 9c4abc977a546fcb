// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/seen.h"

#include <stdatomic.h>
#include <stddef.h>

#include "fs/passthrough/sparse.h"

#define BITS (1u << 21)

struct pt_seen {
	_Atomic uint64_t words[BITS / 64];
};

struct pt_seen *pt_seen_new(void)
{
	return pt_sparse_new(sizeof(struct pt_seen));
}

void pt_seen_free(struct pt_seen *all)
{
	pt_sparse_free(all, sizeof(*all));
}

static size_t word_of(uint64_t hash)
{
	return hash >> 32 & (BITS / 64 - 1);
}

static uint64_t bit_of(uint64_t hash)
{
	return UINT64_C(1) << (hash >> 58);
}

void pt_seen_note(struct pt_seen *all, uint64_t hash)
{
	_Atomic uint64_t *word = &all->words[word_of(hash)];

	if (!(atomic_load_explicit(word, memory_order_relaxed) & bit_of(hash)))
		atomic_fetch_or_explicit(word, bit_of(hash), memory_order_relaxed);
}

bool pt_seen_has(const struct pt_seen *all, uint64_t hash)
{
	return all && atomic_load_explicit(&all->words[word_of(hash)], memory_order_relaxed) &
		bit_of(hash);
}

void pt_seen_clear(struct pt_seen *all)
{
	pt_sparse_clear(all, sizeof(*all));
}
