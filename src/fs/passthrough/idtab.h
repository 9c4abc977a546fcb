// SPDX-License-Identifier: BSD-2-Clause
/*
 * Numbers for objects that a guest names: nodes and handles.
 *
 * A number is a slot's index (low 32 bits) and the slot's generation (high 32 bits), which
 * changes each time that the slot is given to another object: a number that was never given out,
 * or whose object is gone, finds nothing, whatever a guest makes up.
 *
 * Slots are never freed before the table is, so a lookup needs no lock: it raises the reference
 * count if, in one atomic step, the generation is right and the count is not zero. The last
 * reference that is put destroys the object and frees the slot.
 */
#ifndef PASSTHROUGH_IDTAB_H
#define PASSTHROUGH_IDTAB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head of each object in a table. */
struct idslot {
	_Atomic uint64_t word; /* generation << 32 | references */
	uint32_t index;
	uint32_t next_free;
};

#define IDTAB_CHUNK  1024 /* slots that are allocated together */
#define IDTAB_CHUNKS 65536

struct idtab {
	size_t slot_size; /* of the objects, which begin with a struct idslot */
	uint32_t limit;   /* objects that may exist at a time */
	uint32_t first_generation;
	void (*destroy)(void *opaque, struct idslot *slot); /* before the slot is free again */
	void *opaque;

	pthread_mutex_t lock; /* of what follows */
	uint32_t next_fresh;  /* slots below were used before */
	uint32_t free_list;   /* index + 1 of the first free slot, 0 for none */
	_Atomic uint32_t used;
	_Atomic(char *) chunks[IDTAB_CHUNKS];
};

/* Returns a new table, or NULL. limit: at most IDTAB_CHUNK * IDTAB_CHUNKS objects. */
struct idtab *idtab_new(size_t slot_size, uint32_t limit,
	void (*destroy)(void *opaque, struct idslot *slot), void *opaque);

/* Frees the table. No object may be referenced any more. */
void idtab_free(struct idtab *tab);

/* Takes a slot, the object behind its head zeroed; NULL when the limit is reached or memory is
 * short. Nobody finds it before it is published, which gives the caller a reference. */
struct idslot *idtab_take(struct idtab *tab);
void idtab_publish(struct idslot *slot);

/* The number of an object that the caller has a reference to. */
uint64_t idtab_id(const struct idslot *slot);

/* Whether there is an object with a number: if not, there never will be. */
bool idtab_has(struct idtab *tab, uint64_t id);

/* Finds an object and takes a reference, or NULL. */
struct idslot *idtab_get(struct idtab *tab, uint64_t id);

void idtab_put(struct idtab *tab, struct idslot *slot);

/* References the object in the slot of an index below idtab_end(), or NULL where there is none. */
struct idslot *idtab_at(struct idtab *tab, uint32_t index);
uint32_t idtab_end(struct idtab *tab);

/* Calls visit for each object that is alive, with a reference held during the call. */
void idtab_each(struct idtab *tab, void (*visit)(void *opaque, struct idslot *slot), void *opaque);

#endif
