// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table of cache=shared (docs/coherence.md): agreed to with the back-end, mapped, and
 * looked at before anything is used that was kept.
 *
 * The table comes from a file that the program names (option version-table), or from the back-end,
 * by its channel, as shared memory region 1 (vhost/window.h). It is mapped only if it cannot shrink
 * under us: sealed memory, or a file that nobody but root or our own user may write to, who could
 * kill us anyway.
 *
 * Once both have agreed, replies have words until the connection ends. When the table is found
 * poisoned all that is kept goes, nothing is kept, and once a second, with a request that is made
 * anyway, the next table is asked for.
 *
 * Threads. Words are loaded without a lock, by pointers that were got some time ago. So no mapping
 * ever goes before the connection does: the next table is moved to the place of the one before it
 * that had as many slots, and there are not many numbers of slots to have. What was kept under the
 * old one is not trusted under another epoch.
 */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/validity.h"
#include "coherence/view.h"

/* For how long what is kept is good where words alone do not do. */
#define TABLE_TIMED_S 1

/* Numbers of slots: 1, 2, 4 ... VT_SLOTS_MAX. */
#define TABLE_SIZES 29

struct table {
	struct vtable_view *_Atomic view; /* NULL: nothing is trusted */
	bool words; /* replies have them */

	pthread_mutex_t lock; /* of what follows: held by who looks for a table */
	struct vtable_view views[TABLE_SIZES];
	uint64_t next_ms; /* when to ask again */
};

void table_init(struct table *t);
void table_destroy(struct table *t);

static inline struct vtable_view *table_view(const struct table *t)
{
	return atomic_load_explicit(&t->view, memory_order_acquire);
}

/* Slots of the table that is trusted now; or 0. */
uint64_t table_slots(const struct table *t);

/* After INIT, where the mode of caching wants a table: 0 or -errno with a text. */
int table_agree(struct causeway *c);

/* Before each request: looks whether the table has been poisoned. */
void table_tend(struct causeway *c);

#endif
