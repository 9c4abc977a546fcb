// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which slots names led to when they were last looked up, so that a word of the version table can
 * be looked at before a system call says what a name stands for now.
 *
 * It may be so no more, for others change names too, and old ones make room. Whoever uses a guess
 * compares it with what he finds afterwards: so nothing here has to be right, and nobody waits for
 * another. Only memory that is used costs any.
 */
#ifndef PASSTHROUGH_GUESS_H
#define PASSTHROUGH_GUESS_H

#include <stdbool.h>
#include <stdint.h>

#define PT_GUESSES (1u << 14)

struct pt_guesses;

/* NULL where there is no memory: everything works without. */
struct pt_guesses *pt_guesses_new(void);
void pt_guesses_free(struct pt_guesses *all);

/* By the hash of a name (coherence/table.h): the slot of the inode's attributes. False: there is
 * none. `all` may be NULL. */
bool pt_guess_find(struct pt_guesses *all, uint64_t hash, uint32_t *slot);
void pt_guess_note(struct pt_guesses *all, uint64_t hash, uint32_t slot);

#endif
