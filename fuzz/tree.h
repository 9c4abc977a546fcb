// SPDX-License-Identifier: BSD-2-Clause
/*
 * A private directory with an export in it that a fuzzer may do anything to, and a secret beside
 * the export that nobody may reach.
 */
#ifndef FUZZ_TREE_H
#define FUZZ_TREE_H

#include <stdint.h>

/* Makes the directory in $TMPDIR, or else in memory where there is a place for that. It goes when
 * the process ends by itself. */
void tree_open(void);

/* The export's path. */
const char *tree_export(void);

/* Puts the same few files into the export, which must be empty. */
void tree_fill(void);

/* Empties the export and looks at the secret. */
void tree_clear(void);

/* Inode numbers that the guest must never see: those of the secret and of what is around. */
int tree_is_secret(uint64_t ino);

#endif
