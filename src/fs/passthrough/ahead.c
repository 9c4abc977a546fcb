// SPDX-License-Identifier: BSD-2-Clause
/*
 * Words of the entries that a listing comes to: looked at together, and before the host is asked
 * about any of them. Each name's is in a page of its own, and where a system call makes a processor
 * forget where pages are, sixteen that are looked at between two calls take less than one by one.
 */
#include "fs/passthrough/version.h"

void pt_look_ahead(struct passthrough *pt, struct pt_node *dir, struct pt_ahead *ahead)
{
	const struct vtable_request *v = vtable_request_now();
	const struct pt_inode inode = pt_inode_of(dir);
	const bool folds = pt_folds(pt, v, dir);
	uint32_t slots[2 * PT_AHEAD];
	struct vt_look looks[2 * PT_AHEAD];

	for (unsigned int i = 0; i < ahead->n; i++) {
		const struct pt_dirent *entry = ahead->entry[i];

		slots[2 * i] = pt_slot_of_name(v, &inode, folds, entry->name, &ahead->hash[i]);
		slots[2 * i + 1] = vtable_slot(v->t, VTABLE_ATTR, inode.dev, entry->ino);
	}
	vtable_request_glances(v, slots, 2 * ahead->n, inode.timed ? VT_TIMED : 0, looks);
	for (unsigned int i = 0; i < ahead->n; i++) {
		ahead->name[i] = looks[2 * i];
		ahead->attr[i] = looks[2 * i + 1];
	}
	ahead->at = 0;
}

void pt_tell_ahead(struct pt_ahead *ahead, struct fs_entry *entry)
{
	struct vtable_request *v = vtable_request_now();
	const unsigned int at = ahead->at++;

	v->name = ahead->hash[at];
	v->listed = ahead->attr[at];
	v->listed_ino = ahead->entry[at]->ino;
	entry->name_look = ahead->name[at];
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
