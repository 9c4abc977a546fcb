// SPDX-License-Identifier: BSD-2-Clause
/* What requests do with the table's words. */
#include "coherence/table.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "coherence/words.h"
#include "metrics/tally.h"

#define NAME_BYTES 255

/* What is hashed begins with what it is of. */
enum { OF_INODES, OF_NAME };

#define GROUPS 64

/*
 * The same is asked for again and again: by a request, by the next one of the same file, by a
 * listing. So each thread keeps the hashes of groups of inodes that it had to do with lately, and
 * that of what comes before a name, which is its directory.
 */
static _Thread_local struct {
	uint8_t key[HASH_KEY_SIZE]; /* of the table that all of this is of */
	struct {
		bool there;
		dev_t dev;
		uint64_t group;
		uint64_t hash;
	} groups[GROUPS];
	struct {
		bool there;
		dev_t dev;
		ino_t ino;
		struct hash_begun hash;
	} directory;
} lately;

static void be_of(const struct vtable *t)
{
	if (memcmp(lately.key, t->key, sizeof(lately.key)) == 0)
		return;
	memset(&lately, 0, sizeof(lately));
	memcpy(lately.key, t->key, sizeof(lately.key));
}

static uint64_t hash_of_group(const struct vtable *t, dev_t dev, uint64_t group)
{
	struct hash_begun hash;

	hash_begin(&hash, t->key);
	hash_word(&hash, OF_INODES);
	hash_word(&hash, dev);
	return hash_end(&hash, &group, sizeof(group));
}

uint64_t vtable_hash_of_inode(const struct vtable *t, dev_t dev, ino_t ino)
{
	const uint64_t group = ino / VTABLE_GROUP;
	typeof(lately.groups[0]) *g = &lately.groups[group % GROUPS];

	be_of(t);
	if (!g->there || g->dev != dev || g->group != group) {
		g->there = true;
		g->dev = dev;
		g->group = group;
		g->hash = hash_of_group(t, dev, group);
	}
	return g->hash ^ ino % VTABLE_GROUP * VTABLE_KINDS;
}

const struct hash_begun *vtable_names_of(const struct vtable *t, dev_t dev, ino_t ino)
{
	typeof(lately.directory) *d = &lately.directory;

	be_of(t);
	if (d->there && d->dev == dev && d->ino == ino)
		return &d->hash;
	d->there = true;
	d->dev = dev;
	d->ino = ino;
	hash_begin(&d->hash, t->key);
	hash_word(&d->hash, OF_NAME);
	hash_word(&d->hash, dev);
	hash_word(&d->hash, ino);
	return &d->hash;
}

uint64_t vtable_hash_among(const struct hash_begun *names, const char *name)
{
	/* No directory has a longer one; if two such share a slot, it costs nothing. */
	return hash_end(names, name, strnlen(name, NAME_BYTES));
}

uint64_t vtable_hash_of_name(const struct vtable *t, dev_t dev, ino_t ino, const char *name)
{
	return vtable_hash_among(vtable_names_of(t, dev, ino), name);
}

uint32_t vtable_slot_of_name(const struct vtable *t, dev_t dev, ino_t ino, const char *name)
{
	return vtable_slot_of_hash(t, vtable_hash_of_name(t, dev, ino, name));
}

uint64_t vtable_look_all(const struct vtable *t, const uint32_t *slots, unsigned int n,
	uint64_t *words)
{
	/* Before whatever is read after us: acquire holds it back, and system calls are further
	 * away than that. */
	uint64_t epoch = atomic_load_explicit(words_head(t, epoch), memory_order_acquire);

	tally_add(TALLY_TABLE_LOOKS, n);
	for (unsigned int i = 0; i < n; i++)
		words[i] = atomic_load_explicit(words_slot(t, slots[i]), memory_order_acquire);
	return epoch;
}

bool vtable_look(const struct vtable *t, uint32_t slot, struct vt_stamp *stamp)
{
	stamp->slot = slot;
	stamp->epoch = vtable_look_all(t, &slot, 1, &stamp->word);
	return vt_is_quiet(stamp->word) && !vtable_is_poisoned(t);
}

/* One more change than fits would make the word look quiet. Marks that nobody takes off are what
 * the dead left; a new table has none. */
static void give_up(struct vtable *t)
{
	if (vtable_is_poisoned(t))
		return;
	vtable_poison(t);
	log_warn("version table: too many servers died in the middle of a change; making another");
}

static void mark(struct vtable *t, struct vtable_change *c, uint32_t slot)
{
	struct vtable_touch *touch = &c->touch[c->n];

	if (vtable_touch_of(c, slot))
		return;
	*touch = (struct vtable_touch){.slot = slot};
	touch->before = atomic_fetch_add(words_slot(t, slot), VT_BEGIN);
	if (vt_in_flight(touch->before) >= VT_CROWD)
		give_up(t);
	c->n++;
}

void vtable_begin(struct vtable *t, struct vtable_change *c, const uint32_t *slots, unsigned int n)
{
	tally_add(TALLY_TABLE_MARKS, n);
	for (unsigned int i = 0; i < n; i++)
		vtable_will_mark(t, slots[i]);
	for (unsigned int i = 0; i < n; i++)
		mark(t, c, slots[i]);
	/* Whoever sees what the system call does, sees the marks. */
	atomic_thread_fence(memory_order_seq_cst);
}

const struct vtable_touch *vtable_touch_of(const struct vtable_change *c, uint32_t slot)
{
	for (unsigned int i = 0; i < c->n; i++) {
		if (c->touch[i].slot == slot)
			return &c->touch[i];
	}
	return NULL;
}

void vtable_end(struct vtable *t, struct vtable_change *c)
{
	for (unsigned int i = 0; i < c->n; i++) {
		struct vtable_touch *touch = &c->touch[i];

		touch->after = atomic_fetch_add(words_slot(t, touch->slot), VT_END) + VT_END;
		touch->alone = vt_is_alone(touch->before, touch->after);
	}
}

void vtable_pass_on(struct vtable *t, uint32_t slot)
{
	atomic_fetch_add(words_slot(t, slot), VT_BEGIN + VT_END);
}
