// SPDX-License-Identifier: BSD-2-Clause
/*
 * What happens in many places, on any thread, counted for the whole process: one table.
 *
 * Each thread counts in a block of its own (count.h), which joins the list of blocks with its
 * first count; when the thread ends, what it had is added to what the ended ones had.
 *
 * TALLIES(X) calls X(NAME, family, labels, help) for each counter. Lines of a family follow each
 * other, and have one help; family and labels are the metric's name and labels as monitoring sees
 * them (text.h).
 */
#ifndef METRICS_TALLY_H
#define METRICS_TALLY_H

#include <stdbool.h>

#include "metrics/count.h"
#include "metrics/text.h"

/* clang-format off */
#define TALLIES(X) \
	X(NODE_WARM, "node_uses_total", "descriptor=\"kept\"", \
		"Times that a node's descriptor was needed, and was kept or had to be opened again") \
	X(NODE_OPENED, "node_uses_total", "descriptor=\"opened\"", "") \
	X(NODE_BY_HANDLE, "node_reopens_total", "by=\"handle\"", \
		"Times that a descriptor was opened again: by a file handle, or by name") \
	X(NODE_BY_NAME, "node_reopens_total", "by=\"name\"", "") \
	X(NODE_COOLED, "nodes_cooled_total", "", \
		"Nodes that lost their descriptor to others") \
	X(NAME_KNOWN, "names_total", "opened=\"no\"", \
		"Names that were looked up: whether they had to be opened") \
	X(NAME_LATER, "names_total", "opened=\"later\"", "") \
	X(NAME_OPENED, "names_total", "opened=\"yes\"", "") \
	X(NAME_TOLD, "names_told_again_total", "", \
		"Entries of listings whose attributes were told as they had been told before") \
	X(INSIDE_BELIEVED, "inside_checks_total", "asked=\"no\"", \
		"Requests in directories: whether the host was asked if it had moved the " \
		"directory out of the share, or had been just now") \
	X(INSIDE_ASKED, "inside_checks_total", "asked=\"yes\"", "") \
	X(PIN_KEPT, "pin_uses_total", "descriptor=\"kept\"", \
		"Requests by a file that is kept open, whose guest sent no OPEN: whether it was " \
		"open, or had to be opened for the request") \
	X(PIN_OPENED, "pin_uses_total", "descriptor=\"opened\"", "") \
	X(OPEN_SPARE, "opens_total", "descriptor=\"kept\"", \
		"Files that were opened: whether an earlier open had left a descriptor") \
	X(OPEN_ANEW, "opens_total", "descriptor=\"opened\"", "") \
	X(RIGHTS_KEPT, "credentials_total", "switched=\"no\"", \
		"Times that rights were needed: whether the thread had them, or had to switch") \
	X(RIGHTS_SWITCHED, "credentials_total", "switched=\"yes\"", "") \
	X(TABLE_LOOKS, "table_looks_total", "", \
		"Words of the version table that were read for guests") \
	X(TABLE_MARKS, "table_marks_total", "", \
		"Words of the version table that changes were marked in") \
	X(TABLE_EPOCHS, "table_epochs_total", "", \
		"Times that this server ended the trust in all that guests remember") \
	X(TABLE_DISTRUSTS, "table_distrusts_total", "", \
		"Times that something could not be told by words")
/* clang-format on */

#define TALLY_ENUM(name, family, labels, help) TALLY_##name,
enum tally { TALLIES(TALLY_ENUM) TALLY_COUNT };
#undef TALLY_ENUM

struct tally_block {
	counter n[TALLY_COUNT];
	bool joined;
	struct tally_block *next;
};
extern _Thread_local struct tally_block tally_mine;

/* Puts the calling thread's block into the list. */
void tally_join(void);

static inline void tally_add(enum tally what, uint64_t n)
{
	if (__builtin_expect(!tally_mine.joined, 0))
		tally_join();
	count_add(&tally_mine.n[what], n);
}

/* The sum over all threads. */
uint64_t tally_read(enum tally what);

void tally_metrics(struct metrics *m);

#endif
