// SPDX-License-Identifier: BSD-2-Clause
/*
 * Words of the entries that a listing comes to: looked at together, and before the host is asked
 * about any of them; and with them what the names stood for last. Each name's are in pages of their
 * own, and where a system call makes a processor forget where pages are, sixteen that are looked at
 * between two calls take less than one by one.
 */
#include "fs/passthrough/version.h"

void pt_look_ahead(struct passthrough *pt, struct pt_node *dir, struct pt_ahead *ahead)
{
	const struct vtable_request *v = vtable_request_now();
	const struct pt_inode inode = pt_inode_of(dir);
	const bool folds = pt_folds(pt, v, dir);
	const struct hash_begun *names = vtable_names_of(v->t, inode.dev, inode.ino);
	uint32_t slots[2 * PT_AHEAD];

	for (unsigned int i = 0; i < ahead->n; i++) {
		const struct pt_dirent *entry = ahead->entry[i];

		ahead->hash[i] = vtable_hash_among(names, entry->name);
		slots[2 * i] = pt_slot_of_name(v, &inode, folds, entry->name, ahead->hash[i]);
		slots[2 * i + 1] = vtable_slot(v->t, VTABLE_ATTR, inode.dev, entry->ino);
	}
	vtable_request_glances(v, slots, 2 * ahead->n, inode.timed ? VT_TIMED : 0, ahead->look);
	for (unsigned int i = 0; i < ahead->n; i++) {
		struct pt_guess *guess = &ahead->guess[i];

		if (!pt_guess_find(pt->guesses, ahead->hash[i], guess) ||
			!idtab_has(pt->nodes, guess->node))
			guess->slot = PT_NO_SLOT;
	}
	ahead->at = 0;
}

const struct pt_guess *pt_tell_ahead(struct pt_ahead *ahead, struct fs_entry *entry)
{
	struct vtable_request *v = vtable_request_now();
	const unsigned int at = ahead->at++;

	v->name = ahead->hash[at];
	v->listed = ahead->look[2 * at + 1];
	v->listed_ino = ahead->entry[at]->ino;
	entry->name_look = ahead->look[2 * at];
	return &ahead->guess[at];
}

/* An inode of another mount may have the same number. */
bool pt_is_as_listed(const struct vtable_request *v, const struct pt_node *parent,
	struct fs_entry *entry)
{
	if (v->listed_ino != entry->attr.stx_ino || !pt_is_beside(&entry->attr, parent))
		return false;
	entry->attr_look = v->listed;
	return true;
}
