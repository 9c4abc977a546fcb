// SPDX-License-Identifier: BSD-2-Clause
//
// Processors that do not sleep while something is measured.

#ifndef CAUSEWAY_TOOLS_BENCH_AWAKE_H
#define CAUSEWAY_TOOLS_BENCH_AWAKE_H

#include <sched.h>
#include <sys/types.h>

struct awake {
	unsigned int n;
	pid_t pids[CPU_SETSIZE];
};

// A child for each processor that we may run on, which runs there while nobody else wants to. 0, or
// -1 and it was said why. They end with us at the latest.
int awake_start(struct awake *a);
void awake_stop(struct awake *a);

#endif
