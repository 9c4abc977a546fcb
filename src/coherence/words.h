// SPDX-License-Identifier: BSD-2-Clause
/*
 * The words of a mapped table. Other processes write them: each access is of a whole word, and all
 * see what is written in one order.
 */
#ifndef COHERENCE_WORDS_H
#define COHERENCE_WORDS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/version_table.h"

typedef _Atomic uint64_t vtable_word;
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(vtable_word) == 8, "words are whole");

/* t: whatever has the table at `map`. */
#define words_head(t, field) ((vtable_word *)((t)->map + offsetof(struct vt_header, field)))
#define words_slot(t, slot)  ((vtable_word *)((t)->map + vt_slot_at(slot)))

#endif
