// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/told.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "fs/passthrough/known.h"
#include "fs/passthrough/sparse.h"
#include "fs/passthrough/version.h"
#include "metrics/tally.h"

/* What PT_STATX asks for is in front of the structure. */
#define ATTR_BYTES (offsetof(struct statx, stx_mnt_id) + sizeof((struct statx){0}.stx_mnt_id))
#define ATTR_WORDS (ATTR_BYTES / sizeof(uint64_t))

/* turn is odd while somebody writes: as in guess.c. */
struct place {
	_Alignas(64) _Atomic uint64_t turn;
	_Atomic uint64_t hash, node, epoch, word;
	_Atomic uint64_t attr[ATTR_WORDS];
};
_Static_assert(ATTR_BYTES % sizeof(uint64_t) == 0, "whole words");

struct pt_told {
	struct place at[PT_TOLD];
};

#define load(field)         atomic_load_explicit(field, memory_order_acquire)
#define store(field, value) atomic_store_explicit(field, value, memory_order_release)

struct pt_told *pt_told_new(void)
{
	return pt_sparse_new(sizeof(struct pt_told));
}

void pt_told_free(struct pt_told *all)
{
	pt_sparse_free(all, sizeof(*all));
}

static struct place *place_of(struct pt_told *all, uint64_t hash)
{
	return &all->at[hash >> 32 & (PT_TOLD - 1)];
}

bool pt_told_find(struct pt_told *all, uint64_t hash, const struct pt_told_of *of,
	struct statx *attr)
{
	struct place *p = all ? place_of(all, hash) : NULL;
	uint64_t turn = p ? load(&p->turn) : 1, words[ATTR_WORDS];

	if (turn % 2 || load(&p->hash) != hash || load(&p->node) != of->node ||
		load(&p->epoch) != of->epoch || load(&p->word) != of->word)
		return false;
	for (size_t i = 0; i < ATTR_WORDS; i++)
		words[i] = load(&p->attr[i]);
	if (load(&p->turn) != turn)
		return false;
	memset(attr, 0, sizeof(*attr));
	memcpy(attr, words, sizeof(words));
	return true;
}

void pt_told_note(struct pt_told *all, uint64_t hash, const struct pt_told_of *of,
	const struct statx *attr)
{
	struct place *p = all ? place_of(all, hash) : NULL;
	uint64_t turn = p ? load(&p->turn) : 1, words[ATTR_WORDS];

	if (turn % 2 || !atomic_compare_exchange_strong(&p->turn, &turn, turn + 1))
		return;
	memcpy(words, attr, sizeof(words));
	store(&p->hash, hash);
	store(&p->node, of->node);
	store(&p->epoch, of->epoch);
	store(&p->word, of->word);
	for (size_t i = 0; i < ATTR_WORDS; i++)
		store(&p->attr[i], words[i]);
	store(&p->turn, turn + 2);
}

bool pt_may_recall(const struct passthrough *pt, const struct pt_node *dir)
{
	const struct vtable_request *v = vtable_request_now();

	return pt->told && !pt->dax && v && v->words && !pt_mount_is_timed(dir->mount) &&
		vtable_request_is_watched(v);
}

/* Whether it is still believed what a listed name stood for last, and that is the inode which the
 * listing has said: the directory has been asked, and may know of a process of the host earlier. */
static bool is_good(const struct vtable_request *v, const struct vt_look *name,
	const struct pt_guess *guess)
{
	return name->flags & v->listed.flags & VT_KEEP && guess->slot == v->listed.slot &&
		guess->word == name->word && guess->epoch == v->epoch;
}

/* Tells again of a node that the guest knows still, and counts a lookup of it. */
static bool recall(struct passthrough *pt, struct pt_node *dir, const char *name,
	struct pt_node *node, const struct pt_guess *guess, struct fs_entry *entry)
{
	const struct vtable_request *v = vtable_request_now();
	const struct pt_told_of of = {guess->node, v->epoch, v->listed.word};

	if (!is_good(v, &entry->name_look, guess) || node->mount != dir->mount ||
		node->key.ino != v->listed_ino ||
		!pt_told_find(pt->told, v->name, &of, &entry->attr) ||
		!pt_known_count(pt, node, dir, name))
		return false;
	entry->attr_look = v->listed;
	entry->node = guess->node;
	tally_add(TALLY_NAME_TOLD, 1);
	return true;
}

enum pt_met pt_meet_listed(struct passthrough *pt, struct pt_node *dir, const char *name,
	const struct pt_guess *guess, bool recalls, struct fs_entry *entry)
{
	struct pt_node *node = guess->slot == PT_NO_SLOT ? NULL : pt_node_get(pt, guess->node);
	bool told;

	if (!node)
		return PT_UNMET;
	told = recalls && recall(pt, dir, name, node, guess, entry);
	pt_node_put(pt, node);
	return told ? PT_MET_AND_TOLD : PT_MET;
}

void pt_note_told(struct passthrough *pt, const struct fs_entry *entry)
{
	const struct vtable_request *v = vtable_request_now();
	const struct vt_look *look = &entry->attr_look;

	if (!pt->dax && (look->flags & (VT_KEEP | VT_TIMED)) == VT_KEEP)
		pt_told_note(pt->told, v->name,
			&(struct pt_told_of){entry->node, v->epoch, look->word}, &entry->attr);
}
