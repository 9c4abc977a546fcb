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
enum { OF_INODE, OF_NAME, OF_KINDS };

/*
 * Then comes its device, for a name the inode of its directory too: the same again and again, as in
 * a listing. So each thread keeps what came of the last beginnings.
 */
static _Thread_local struct {
	uint8_t key[HASH_KEY_SIZE];
	dev_t dev;
	ino_t ino;
	bool begun;
	struct hash_begun hash;
} begun[OF_KINDS];

static const struct hash_begun *begin(const struct vtable *t, unsigned int of, dev_t dev, ino_t ino)
{
	typeof(begun[0]) *b = &begun[of];

	if (b->begun && b->dev == dev && b->ino == ino &&
		memcmp(b->key, t->key, sizeof(b->key)) == 0)
		return &b->hash;
	b->begun = true;
	b->dev = dev;
	b->ino = ino;
	memcpy(b->key, t->key, sizeof(b->key));
	hash_begin(&b->hash, t->key);
	hash_word(&b->hash, of);
	hash_word(&b->hash, dev);
	if (of == OF_NAME)
		hash_word(&b->hash, ino);
	return &b->hash;
}

uint64_t vtable_hash_of_inode(const struct vtable *t, dev_t dev, ino_t ino)
{
	const uint64_t number = ino;

	return hash_end(begin(t, OF_INODE, dev, 0), &number, sizeof(number));
}

uint64_t vtable_hash_of_name(const struct vtable *t, dev_t dev, ino_t ino, const char *name)
{
	/* No directory has a longer one; if two such share a slot, it costs nothing. */
	return hash_end(begin(t, OF_NAME, dev, ino), name, strnlen(name, NAME_BYTES));
}

uint32_t vtable_slot_of_name(const struct vtable *t, dev_t dev, ino_t ino, const char *name)
{
	return vtable_slot_of_hash(t, vtable_hash_of_name(t, dev, ino, name));
}

bool vtable_look(const struct vtable *t, uint32_t slot, struct vt_stamp *stamp)
{
	tally_add(TALLY_TABLE_LOOKS, 1);
	/* Before whatever is read after us: acquire holds it back, and system calls are further
	 * away than that. */
	stamp->epoch = atomic_load_explicit(words_head(t, epoch), memory_order_acquire);
	stamp->word = atomic_load_explicit(words_slot(t, slot), memory_order_acquire);
	stamp->slot = slot;
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
