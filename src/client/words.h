// SPDX-License-Identifier: BSD-2-Clause
/*
 * Words of the version table in replies (proto/version_wire.h): taken off in one place (call.c),
 * and turned here into what the caches have to do with them. A bit is one of VT_* for the opcode.
 */
#ifndef CLIENT_WORDS_H
#define CLIENT_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/validity.h"
#include "proto/version_rows.h"

struct words {
	uint32_t opcode;
	bool came;
	_Alignas(8) char bytes[VT_WORDS_MAX];
};

/* How many bytes of words a successful reply to an opcode has. */
unsigned int words_size(uint32_t opcode);

uint64_t words_epoch(const struct words *w);

/* What a look says: until when what was read for it is believed, or not at all. */
struct validity words_look(const struct causeway *c, uint64_t epoch, const struct vt_look *look);

/* The same for the look of a bit; nothing where no words came. */
struct validity words_shown(const struct causeway *c, const struct words *w, unsigned int bit);

/*
 * Our own change: what is held under exactly the word that was there before it, and was at the slot
 * alone with it, is held under the word after it from now on. False: it is not, and what v was of
 * is to be dropped, if it was of anything that the change is about.
 */
bool words_move(const struct causeway *c, const struct words *w, unsigned int bit,
	struct validity *v);

#endif
