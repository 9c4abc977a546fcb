// SPDX-License-Identifier: BSD-2-Clause
//
// What begins and ends a FUSE session: INIT, which the kernel sends, and DESTROY, which it sends
// over virtio but not over /dev/fuse. Both while no lane runs.

#ifndef CAUSEWAY_TOOLS_MOUNT_SESSION_H
#define CAUSEWAY_TOOLS_MOUNT_SESSION_H

#include "slot.h"

struct session_init {
	struct slot slot;
	struct fuse_out_header head;
	struct fuse_init_out out;
};

// Carries INIT to the back-end and takes its answer. 0 and the largest payload of a request in
// *payload, or -1 after saying what is wrong.
int session_ask(struct session_init *i, struct transport *t, int fuse_fd, size_t *payload);

// Gives the kernel the answer, after which it sends other requests.
int session_answer(struct session_init *i, struct transport *t);

// Sends DESTROY and waits for its end, or until a time of session_now_ms().
void session_end(struct transport *t, int64_t until);

int64_t session_now_ms(void);

#endif
