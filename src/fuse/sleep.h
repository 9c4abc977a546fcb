// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sleep (proto/causeway_wire.h): a guest that has said that it sleeps has a session whatever
 * becomes of its device, until it says that it is awake, begins another, or its front-end goes.
 */
#ifndef FUSE_SLEEP_H
#define FUSE_SLEEP_H

#include "fuse/request.h"

/* CW_SLEEP, which is none of FUSE's operations. */
extern const struct fuse_op sleep_op;

#endif
