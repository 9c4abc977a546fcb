// SPDX-License-Identifier: BSD-2-Clause
//
// What a daemon counts of its mechanisms, asked for at its control socket.

#ifndef CAUSEWAY_TOOLS_BENCH_COUNTERS_H
#define CAUSEWAY_TOOLS_BENCH_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COUNT_REQUESTS,
	COUNT_KICKS,
	COUNT_CALLS,
	COUNT_CAUGHT,
	COUNT_MISSED,
	COUNT_BORROWED,
	COUNT_JOBS,
	COUNT_BY_HANDLE,
	COUNT_BY_NAME,
	COUNT_KNOWN,
	COUNT_SPARE,
	COUNT_LATER,
	COUNT_SWITCHED,
	COUNTS
};

struct counts {
	bool known;
	double v[COUNTS];
};

// What each is called in reports.
extern const char *const count_names[COUNTS];

// False, and why, where the daemon does not tell.
bool counts_ask(struct counts *c, const char *socket, char *why, size_t size);

#endif
