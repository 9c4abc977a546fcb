// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table of a back-end that fuzz_client plays: a few of them, of which one has the name
 * that the client is told, and words in replies. All of it is good until the input changes it.
 */
#ifndef FUZZ_WORDS_H
#define FUZZ_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/version_rows.h"

/* Makes the tables; once. */
void words_make_tables(void);

/* They are good again, and the first one has the name. */
void words_reset(void);

/* The name, for the option version-table. */
const char *words_path(void);

/* What the table that has the name is, in a reply to VT_HELLO. */
struct vt_hello_out words_hello(void);

/* Changes a word of the table that has the name by some bits of `by`, or has another one take its
 * place: `where` says which. True: it is another. */
bool words_change(uint8_t where, uint8_t by);

/* The words of a reply: of a node, and the one that the reply is about; how many bytes. What is a
 * change moves words in the table. */
size_t words_of_reply(uint32_t opcode, uint64_t node, uint64_t child, char *to);

/* Those of an entry of READDIRPLUS. */
void words_of_entry(uint64_t dir, struct fuse_entry_out *entry);

#endif
