/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attributes that listings have told, so that who lists a directory again, because some of it
 * has changed, costs the host a look at that and not at all of it.
 *
 * They are told again as a guest with the version table uses again what it keeps
 * (docs/coherence.md, How a server answers): while the words of the name and of the inode's
 * attributes, and the epoch, are those that they were read behind, and somebody watches the host's
 * processes. What the name stands for is remembered by guess.h. Of names that are listed for the
 * first time nothing is kept, for most are listed once.
 *
 * Thread safety: any thread calls what it likes; none waits for another, and what two write at once
 * only one does. Only memory that is used costs any.
 */
#ifndef PASSTHROUGH_TOLD_H
#define PASSTHROUGH_TOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/passthrough/guess.h"

#define PT_TOLD PT_GUESSES

/* Of which node they are, and what they were read behind. */
struct pt_told_of {
	uint64_t node, epoch, word;
};

struct pt_told;

/* NULL where there is no memory: everything works without. */
struct pt_told *pt_told_new(void);
void pt_told_free(struct pt_told *all);

/* By the hash of a name (coherence/table.h). False: they are not there. `all` may be NULL. */
bool pt_told_find(struct pt_told *all, uint64_t hash, const struct pt_told_of *of,
	struct statx *attr);
void pt_told_note(struct pt_told *all, uint64_t hash, const struct pt_told_of *of,
	const struct statx *attr);

#endif
