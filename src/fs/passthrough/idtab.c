// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/idtab.h"

#include <string.h>
#include <sys/random.h>

#include "base/util.h"

/* #syscalls: getrandom */

#define REFS(word)       ((uint32_t)(word))
#define GENERATION(word) ((uint32_t)((word) >> 32))

struct idtab *idtab_new(size_t slot_size, uint32_t limit,
	void (*destroy)(void *opaque, struct idslot *slot), void *opaque)
{
	struct idtab *tab = calloc(1, sizeof(*tab));

	if (!tab)
		return NULL;
	tab->slot_size = slot_size;
	tab->limit = min_t(uint32_t, limit, IDTAB_CHUNK * IDTAB_CHUNKS);
	tab->destroy = destroy;
	tab->opaque = opaque;
	/* Numbers of an earlier run should not be valid by accident; anything will do. */
	if (getrandom(&tab->first_generation, sizeof(tab->first_generation), GRND_NONBLOCK) < 0)
		tab->first_generation = (uint32_t)getpid();
	pthread_mutex_init(&tab->lock, NULL);
	return tab;
}

void idtab_free(struct idtab *tab)
{
	if (!tab)
		return;
	for (size_t i = 0; i < IDTAB_CHUNKS && tab->chunks[i]; i++)
		free(tab->chunks[i]);
	pthread_mutex_destroy(&tab->lock);
	free(tab);
}

static struct idslot *slot_at(struct idtab *tab, uint32_t index)
{
	char *chunk = NULL;

	if (index / IDTAB_CHUNK < IDTAB_CHUNKS)
		chunk = atomic_load_explicit(&tab->chunks[index / IDTAB_CHUNK],
			memory_order_acquire);
	return chunk ? (struct idslot *)(chunk + index % IDTAB_CHUNK * tab->slot_size) : NULL;
}

/* A slot that was never used; the lock is held. */
static struct idslot *fresh_slot(struct idtab *tab)
{
	uint32_t index = tab->next_fresh;
	struct idslot *slot;

	if (index % IDTAB_CHUNK == 0) {
		char *chunk = calloc(IDTAB_CHUNK, tab->slot_size);

		if (!chunk)
			return NULL;
		atomic_store_explicit(&tab->chunks[index / IDTAB_CHUNK], chunk,
			memory_order_release);
	}
	slot = slot_at(tab, index);
	slot->index = index;
	atomic_store(&slot->word, (uint64_t)tab->first_generation << 32);
	tab->next_fresh++;
	return slot;
}

struct idslot *idtab_take(struct idtab *tab)
{
	struct idslot *slot = NULL;
	uint32_t generation;

	pthread_mutex_lock(&tab->lock);
	if (tab->used < tab->limit) {
		slot = tab->free_list ? slot_at(tab, tab->free_list - 1) : fresh_slot(tab);
		if (slot && tab->free_list)
			tab->free_list = slot->next_free;
		if (slot)
			tab->used++;
	}
	pthread_mutex_unlock(&tab->lock);
	if (!slot)
		return NULL;
	memset((char *)slot + sizeof(*slot), 0, tab->slot_size - sizeof(*slot));
	generation = GENERATION(atomic_load(&slot->word)) + 1;
	/* Generation 0 is not used, so that small made-up numbers find nothing. */
	generation = generation ? generation : 1;
	atomic_store_explicit(&slot->word, (uint64_t)generation << 32, memory_order_relaxed);
	return slot;
}

void idtab_publish(struct idslot *slot)
{
	atomic_fetch_add_explicit(&slot->word, 1, memory_order_release);
}

uint64_t idtab_id(const struct idslot *slot)
{
	uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

	return (uint64_t)GENERATION(word) << 32 | slot->index;
}

bool idtab_has(struct idtab *tab, uint64_t id)
{
	const struct idslot *slot = slot_at(tab, (uint32_t)id);
	uint64_t word = slot ? atomic_load_explicit(&slot->word, memory_order_relaxed) : 0;

	return REFS(word) > 0 && GENERATION(word) == GENERATION(id);
}

struct idslot *idtab_get(struct idtab *tab, uint64_t id)
{
	struct idslot *slot = slot_at(tab, (uint32_t)id);
	uint64_t word;

	if (!slot)
		return NULL;
	word = atomic_load_explicit(&slot->word, memory_order_relaxed);
	do {
		if (GENERATION(word) != GENERATION(id) || REFS(word) == 0)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, word + 1,
		memory_order_acquire, memory_order_relaxed));
	return slot;
}

void idtab_put(struct idtab *tab, struct idslot *slot)
{
	uint64_t before = atomic_fetch_sub_explicit(&slot->word, 1, memory_order_acq_rel);

	if (REFS(before) != 1)
		return;
	tab->destroy(tab->opaque, slot);
	pthread_mutex_lock(&tab->lock);
	slot->next_free = tab->free_list;
	tab->free_list = slot->index + 1;
	tab->used--;
	pthread_mutex_unlock(&tab->lock);
}

uint32_t idtab_end(struct idtab *tab)
{
	uint32_t end;

	pthread_mutex_lock(&tab->lock);
	end = tab->next_fresh;
	pthread_mutex_unlock(&tab->lock);
	return end;
}

struct idslot *idtab_at(struct idtab *tab, uint32_t index)
{
	struct idslot *slot = slot_at(tab, index);

	return slot ? idtab_get(tab, idtab_id(slot)) : NULL;
}

void idtab_each(struct idtab *tab, void (*visit)(void *opaque, struct idslot *slot), void *opaque)
{
	uint32_t end = idtab_end(tab);

	for (uint32_t i = 0; i < end; i++) {
		struct idslot *held = idtab_at(tab, i);

		if (!held)
			continue;
		visit(opaque, held);
		idtab_put(tab, held);
	}
}
