// SPDX-License-Identifier: BSD-2-Clause
//
// What the two halves of the bench share: the client, and what runs and reports it.

#ifndef CAUSEWAY_TOOLS_BENCH_COMMON_H
#define CAUSEWAY_TOOLS_BENCH_COMMON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NS_PER_S 1000000000ull

// A signal said that it is to end; looked at wherever it waits.
extern _Atomic bool bench_stop;
// Whom requests are from.
extern uint32_t bench_uid, bench_gid, bench_pid;

uint64_t bench_now_ns(void);

// The next number of a row of its own, which does not begin with 0 (Marsaglia's xorshift).
static inline uint64_t bench_random(uint64_t *last)
{
	*last ^= *last << 13;
	*last ^= *last >> 7;
	*last ^= *last << 17;
	return *last;
}

#endif
