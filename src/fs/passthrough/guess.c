// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/guess.h"

#include <stddef.h>

#include "base/clock.h"
#include "fs/passthrough/sparse.h"
#include "fs/passthrough/version.h"

/* turn is odd while somebody writes. Who has read one of his fields sees that the turn is another
 * than before; so each is loaded, and stored, in the order that it stands in the source. */
struct place {
	_Alignas(64) _Atomic uint32_t turn;
	_Atomic uint32_t slot;
	_Atomic uint64_t hash, epoch, word, node;
	_Atomic uint32_t disputed;
	_Atomic uint64_t beside[PT_GUESS_BESIDE];
};
_Static_assert(sizeof(struct place) == 64, "a line of a cache");

struct pt_guesses {
	struct place at[PT_GUESSES];
};

#define load(field)         atomic_load_explicit(field, memory_order_acquire)
#define store(field, value) atomic_store_explicit(field, value, memory_order_release)

#define DISPUTE_S 2

/* Of a clock that only goes forward; never 0. */
static uint32_t seconds(void)
{
	return (uint32_t)(clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000000) + 1;
}

bool pt_guess_is_disputed(const struct pt_guess *guess)
{
	return guess->disputed && seconds() - guess->disputed < DISPUTE_S;
}

struct pt_guesses *pt_guesses_new(void)
{
	return pt_sparse_new(sizeof(struct pt_guesses));
}

void pt_guesses_free(struct pt_guesses *all)
{
	pt_sparse_free(all, sizeof(*all));
}

void pt_guesses_clear(struct pt_guesses *all)
{
	pt_sparse_clear(all, sizeof(*all));
}

/* Slots have the low bits of a hash: names that share one need not share a place. */
static struct place *place_of(struct pt_guesses *all, uint64_t hash)
{
	return &all->at[hash >> 32 & (PT_GUESSES - 1)];
}

struct pt_bits pt_guesses_beside(struct pt_guesses *all)
{
	return (struct pt_bits){all->at[0].beside, sizeof(struct place)};
}

/* Who writes meanwhile may have written half of it: then it is as good as his. */
static bool has(struct place *p, const struct pt_guess *guess)
{
	return load(&p->epoch) == guess->epoch && load(&p->word) == guess->word &&
		load(&p->node) == guess->node && load(&p->slot) == guess->slot &&
		load(&p->disputed) == guess->disputed;
}

bool pt_guess_find(struct pt_guesses *all, uint64_t hash, struct pt_guess *guess)
{
	struct place *p = all ? place_of(all, hash) : NULL;
	uint32_t turn = p ? load(&p->turn) : 1;

	if (turn % 2 || load(&p->hash) != hash)
		return false;
	*guess = (struct pt_guess){
		.epoch = load(&p->epoch),
		.word = load(&p->word),
		.node = load(&p->node),
		.slot = load(&p->slot),
		.disputed = load(&p->disputed),
	};
	return load(&p->turn) == turn;
}

bool pt_guess_note(struct pt_guesses *all, uint64_t hash, struct pt_guess guess)
{
	struct place *p = all ? place_of(all, hash) : NULL;
	uint32_t turn, disputed;

	if (!p)
		return false;
	if (load(&p->hash) == hash) {
		disputed = load(&p->disputed);
		if (disputed > guess.disputed)
			guess.disputed = disputed;
		/* The line stays everybody's as long as nobody writes to it. */
		if (has(p, &guess))
			return true;
	}
	turn = load(&p->turn);
	if (turn % 2 || !atomic_compare_exchange_strong(&p->turn, &turn, turn + 1))
		return false;
	store(&p->hash, hash);
	store(&p->epoch, guess.epoch);
	store(&p->word, guess.word);
	store(&p->node, guess.node);
	store(&p->slot, guess.slot);
	store(&p->disputed, guess.disputed);
	store(&p->turn, turn + 2);
	return false;
}

/* A word of the name's own slot. Where names share that of the listing, so much else happens there
 * that what a name stands for is not to be believed: then one that no quiet slot has. */
static uint64_t own_word(const struct vtable_request *v, uint64_t hash, const struct vt_look *look)
{
	return look->slot == vtable_slot_of_hash(v->t, hash) ? look->word : VT_BEGIN;
}

/* By looks of a request whose guest has agreed to words; attr: NULL for an absent name. True: it is
 * what it was. */
static bool note(struct passthrough *pt, const struct vt_look *name, const struct vt_look *attr,
	uint64_t node)
{
	const struct vtable_request *v = vtable_request_now();

	if (!(name->flags & VT_KEEP))
		return false;
	return pt_guess_note(pt->guesses, v->name,
		(struct pt_guess){
			.epoch = v->epoch,
			.word = own_word(v, v->name, name),
			.node = node,
			.slot = attr ? attr->slot : PT_NO_SLOT,
		});
}

void pt_note_found(struct passthrough *pt, enum pt_as as, const struct fs_entry *entry)
{
	const struct vtable_request *v = vtable_request_now();

	if (!v || !v->words)
		return;
	if (pt_is_listed(as)) {
		if (note(pt, &entry->name_look, &entry->attr_look, entry->node))
			pt_note_told(pt, entry);
	} else if (as == PT_LOOKED_UP) {
		note(pt, &v->look[__builtin_ctz(VT_NAME)], &v->look[__builtin_ctz(VT_CHILD_ATTR)],
			entry->node);
	}
}

void pt_note_absent(struct passthrough *pt, const struct pt_node *dir)
{
	const struct vtable_request *v = vtable_request_now();

	if (v && v->words)
		note(pt, &v->look[__builtin_ctz(VT_NAME)], NULL, pt_node_id(pt, dir));
}

void pt_note_changed(struct passthrough *pt, unsigned int bit, uint64_t node, bool absent)
{
	struct vtable_request *v = vtable_request_now();
	uint64_t hash = vtable_request_name(v, bit);

	if (!vtable_request_was_alone(v, bit))
		return;
	pt_guess_note(pt->guesses, hash,
		(struct pt_guess){
			.epoch = v->epoch,
			.word = own_word(v, hash, &v->look[__builtin_ctz(bit)]),
			.node = node,
			.slot = absent ? PT_NO_SLOT : v->slot[__builtin_ctz(VT_CHILD_ATTR)],
		});
}

void pt_note_disputed(struct passthrough *pt, unsigned int bit)
{
	const struct vtable_request *v = vtable_request_now();

	pt_guess_note(pt->guesses, vtable_request_name(v, bit),
		(struct pt_guess){.word = VT_BEGIN, .slot = PT_NO_SLOT, .disputed = seconds()});
}
