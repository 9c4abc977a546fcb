// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table in requests and replies (docs/coherence.md): which requests have to do with it,
 * that guests agree to it, and the words of their replies.
 *
 * Words stand between the header of a reply and its payload. Whether a reply has them is decided
 * once, when its request comes; then its room is passed over, so that handlers see the rest as if
 * there were none. From a guest's agreement on, all replies of their kind have words, until INIT or
 * DESTROY: also where the table was replaced or is lost, so that nobody has to guess where the
 * payload begins. Words of one table are nothing to another, as their epoch tells.
 */
#ifndef FUSE_VERSION_H
#define FUSE_VERSION_H

#include "fuse/request.h"

/* Bytes of words in a successful reply to an opcode, now. */
unsigned int version_words_size(const struct fuse_session *se, uint32_t opcode);

/* Runs a request's handler. What shows or changes something is inside the table meanwhile, and the
 * words that its reply is to have are in the worker after that. */
int version_handle(struct fuse_req *req);

/* VT_HELLO, which is none of FUSE's operations. */
extern const struct fuse_op version_hello;

#endif
