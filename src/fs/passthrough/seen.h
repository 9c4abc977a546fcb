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

struct pt_seen;

/* NULL where there is no memory: then nodes start with descriptors. */
struct pt_seen *pt_seen_new(void);
void pt_seen_free(struct pt_seen *all);

/* hash: pt_known_hash(). */
void pt_seen_note(struct pt_seen *all, uint64_t hash);
bool pt_seen_has(const struct pt_seen *all, uint64_t hash);

/* Nobody knows a node any more. */
void pt_seen_clear(struct pt_seen *all);

#endif
