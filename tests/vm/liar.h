// SPDX-License-Identifier: BSD-2-Clause
#ifndef CAUSEWAY_TESTS_LIAR_H
#define CAUSEWAY_TESTS_LIAR_H
/*
 * A back-end whose replies are well-formed, and lies: about what a node is, where it is, how long
 * something is, what comes next. (Replies that are malformed are those of tests/mount/hostile.c.)
 * liar.c is a good server of a small tree; liar_nodes.c, liar_data.c, liar_ours.c and liar_window.c
 * are what becomes of its replies.
 */
#include "forger.h"
#include "proto/causeway_wire.h"
#include "proto/version_rows.h"

enum {
	LIAR_ROOT = FUSE_ROOT_ID, /* file, dir, link */
	LIAR_FILE,
	LIAR_DIR,                 /* sub, inner */
	LIAR_LINK,
	LIAR_SUB,
	LIAR_INNER,
	LIAR_NEW = 100,           /* what is made: directories have odd numbers */
};
#define LIAR_SIZE 8192
#define LIAR_TEXT "text" /* the file begins with it */

/* 0 is any, but for those without a reply and INIT. */
struct lie {
	const char *name;
	uint32_t opcode;
	void (*spoil)(struct forged *f);
};

/* To one without a name. */
extern const struct lie lies_of_nodes[], lies_of_data[], lies_of_pins[], lies_of_words[],
	lies_of_window[];

/* The reply as what it is. */
#define LIAR_AS(F, TYPE) ((TYPE *)(void *)(F)->reply)

struct fuse_attr liar_attr(uint64_t node);

/* The good answer, whatever handle is named. */
void liar_answer(struct forged *f);

/* liar_ours.c: files of version tables, up to a NULL; whether a request is VT_HELLO, and answered;
 * and what stands before each reply. */
void liar_set_tables(char *const *of);
bool liar_hello(struct forged *f);
void liar_add_words(struct forged *f);

/* liar_window.c: before it starts; and the good answers to SETUPMAPPING and REMOVEMAPPING. */
void liar_open_window(struct forger *forger, uint64_t bytes, const char *tag);
void liar_set_up(struct forged *f);
void liar_remove(struct forged *f);

#endif
