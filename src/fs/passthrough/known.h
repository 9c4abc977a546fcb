/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which nodes names led to lately, or that they led nowhere, so that a LOOKUP of one that the guest
 * knows already, or of none, need not open it.
 *
 * A node that is hot has a descriptor, which keeps its inode's number from being another's where
 * the file system is this machine's. So with the node pinned first, the attributes of whatever the
 * name stands for now, by one statx(2), say whether it is that inode: the same number on the same
 * mount. Else, and where nothing is remembered, the name is opened, its descriptor looked at, and
 * closed again where the node had one.
 *
 * A name that was not there when it was last looked up mostly is not there the next time either
 * (compilers look for each header in one directory after the other). That too one statx(2) says,
 * for less than an open that fails.
 *
 * What is remembered may be wrong in any way, for it is never believed: old names make room, and
 * those with one hash are not told apart.
 *
 * Thread safety: any thread calls what it likes; none waits for another. Only memory that is used
 * costs any.
 */
#ifndef PASSTHROUGH_KNOWN_H
#define PASSTHROUGH_KNOWN_H

#include "fs/passthrough/pt.h"

#define PT_KNOWN (1u << 14)

/* NULL where there is no memory: everything works without. */
struct pt_known *pt_known_new(void);
void pt_known_free(struct pt_known *all);

/* Of a name in a directory: where there is a version table, the hash that this has of it. */
uint64_t pt_known_hash(const struct passthrough *pt, const struct pt_node *dir, const char *name);

/* The node that a name led to, referenced and pinned; none where it is cold, or cannot keep its
 * number. */
struct pt_node_ref pt_known_find(struct passthrough *pt, uint64_t hash);

/* Counts one more lookup of it, by this name; false where the guest has forgotten it meanwhile. */
bool pt_known_count(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name);

void pt_known_note(struct passthrough *pt, uint64_t hash, uint64_t node);

/* Whether the name was not there when it was last looked up. */
bool pt_known_is_absent(const struct passthrough *pt, uint64_t hash);
void pt_known_note_absent(struct passthrough *pt, uint64_t hash);

#endif
