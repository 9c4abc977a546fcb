// SPDX-License-Identifier: BSD-2-Clause
/*
 * What names stood for when they were last looked up, so that the words of the version table can be
 * looked at or marked before a system call says what a name stands for now.
 *
 * It may be so no more, for others change names too, and old ones make room. Whoever uses one
 * either compares it with what he finds afterwards, or believes it as a guest believes what it
 * keeps: as long as the name's word and the epoch are the same (victim.c). That a name is nobody's
 * is remembered of a directory's node, and of no later one of the same directory: in between it may
 * have been nobody's to watch.
 *
 * Thread safety: any thread calls what it likes; none waits for another, and what two write at once
 * only one does. Only memory that is used costs any.
 */
#ifndef PASSTHROUGH_GUESS_H
#define PASSTHROUGH_GUESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/version_table.h"

#define PT_GUESSES (1u << 14)

#define PT_NO_SLOT VT_SLOTS_MAX /* no table has it */

struct pt_guess {
	uint64_t epoch, word; /* of the name, when it stood for this */
	uint64_t node;        /* an id: of what it was; where that was nothing, of the directory */
	uint32_t slot;        /* of the inode's attributes, or PT_NO_SLOT */
	uint32_t disputed;    /* when somebody was last at the name together with us, or 0 */
};

/* So many words (uint64_t) at each of PT_GUESSES places, so many bytes from each other. */
struct pt_bits {
	void *first;
	size_t stride;
};

struct pt_guesses;

/* Whether somebody was there within the last second or two: it is not to be believed then, since
 * two who believe the same name and change it would spoil what all others keep, again and again. */
bool pt_guess_is_disputed(const struct pt_guess *guess);

/* NULL where there is no memory: everything works without. */
struct pt_guesses *pt_guesses_new(void);
void pt_guesses_free(struct pt_guesses *all);

/* Nothing is remembered any more, and what is beside it is 0. */
void pt_guesses_clear(struct pt_guesses *all);

/* Room for bits by hashes (seen.h) in what is left of the lines that guesses have, so that it takes
 * no line and no page of its own. */
#define PT_GUESS_BESIDE 2
struct pt_bits pt_guesses_beside(struct pt_guesses *all);

/* By the hash of a name (coherence/table.h). False: there is none. `all` may be NULL. */
bool pt_guess_find(struct pt_guesses *all, uint64_t hash, struct pt_guess *guess);
/* True: it was there already. */
bool pt_guess_note(struct pt_guesses *all, uint64_t hash, struct pt_guess guess);

#endif
