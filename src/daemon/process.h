// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the process is given before anything else.
 */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <stddef.h>

/* A descriptor that becomes readable when one of the signals comes, instead of their effect. Ends
 * the program where there is none. */
int process_catch(const int *signals, size_t n);

/* Each node and handle that a guest knows takes a descriptor. wanted: how many there may be, 0: as
 * it is, -1: as many as may be. */
void process_limit_descriptors(int wanted);

#endif
