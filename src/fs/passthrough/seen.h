/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that led to nodes which had no descriptor yet (pin.c).
 *
 * Such a node needs one before its name changes or goes. Which node a name leads to, a system call
 * would have to tell each time that one is removed or renamed; a bit for each hash of a name says
 * that it is needless. A bit stays when its node was opened or forgotten: after millions of names
 * few are clear, and the system call is made.
 *
 * Thread safety: any thread calls what it likes. Only memory that is used costs any.
 */
#ifndef PASSTHROUGH_SEEN_H
#define PASSTHROUGH_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/passthrough/guess.h"

struct pt_seen {
	struct pt_bits bits;        /* first: NULL where there are none, and nodes start hot */
	struct pt_guesses *guesses; /* beside which they are, or NULL */
};

/* Beside what names stood for, where that is remembered (else guesses is NULL), which is there for
 * longer. Where there is no memory there are no bits. */
void pt_seen_init(struct pt_seen *all, struct pt_guesses *guesses);
void pt_seen_destroy(struct pt_seen *all);

/* hash: pt_known_hash(). */
void pt_seen_note(struct pt_seen *all, uint64_t hash);
bool pt_seen_has(const struct pt_seen *all, uint64_t hash);

/* Nobody knows a node any more: forgets what names stood for, too. */
void pt_seen_clear(struct pt_seen *all);

#endif
