// SPDX-License-Identifier: BSD-2-Clause
/*
 * A window for a forged back-end (forger.h): between the front-end and the device stands one who
 * adds the protocol's shared memory to what the device says, and asks on the channel for what a
 * test wants, sensible or not. All of it is in the forger's process.
 */
#ifndef TESTS_UNIT_FORGED_WINDOW_H
#define TESTS_UNIT_FORGED_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/msg.h"

/* Stands between: sock is the front-end's, the result is for the device. */
int forged_window_start(int sock, uint64_t size);

/* Asks for a range to be mapped (fd) or not to be (-1), and waits for the answer: that, or -1 where
 * the channel has ended. Any thread of the device. */
int64_t forged_window_change(uint64_t at, uint64_t len, int fd, uint64_t offset, bool writable);

/* Sends any message on the channel. */
void forged_window_send(const struct vu_msg *msg);

#endif
