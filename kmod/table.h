/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A shared version table (docs/coherence.md) that is mapped: for coherence.c only, where it is
 * agreed to, and looked at.
 *
 * A table does not change but for its words: readers find it by conn->table under rcu_read_lock();
 * who takes it from there waits for them before it is unmapped.
 */
#ifndef KMOD_TABLE_H
#define KMOD_TABLE_H

#include "proto/version_wire.h"

struct cw_dev;
struct pci_dev;

struct cw_table {
	const struct vt_header *head; /* its words only: the rest is believed as it was checked */
	u64 slots;

	/* The watcher's word when it was seen to move last, and when that was. Any reader may
	 * write: at first, then beat. */
	u64 beat, beat_at;

	struct pci_dev *pci; /* that has it as BAR 2; NULL: virtio shared memory region 1 */
};

/* The table of an id, with so many slots: the device's own, or of an ivshmem device. -ENOENT: there
 * is none here; -ENOMEM. */
struct cw_table *cw_table_find(struct cw_dev *dev, const u8 id[VT_ID_SIZE], u64 slots);
/* Nobody looks at it any more. */
void cw_table_put(struct cw_table *t);

/* Acquire loads: what comes after them in the program comes after them. */
#define cw_table_head(t, word) smp_load_acquire(&(t)->head->word)

static inline u64 cw_table_word(const struct cw_table *t, u32 slot)
{
	const u64 *words = (const void *)t->head + VT_HEADER_SIZE;

	return smp_load_acquire(&words[slot]);
}

#endif
