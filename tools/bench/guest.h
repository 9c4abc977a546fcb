// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench --guest`: the operations by system calls of a guest that has mounted what each
// server shares. Our half starts the servers and the guest, and has turns done there one by one;
// the other half is the same program in the guest, which does what it reads and prints what it
// measured:
//
//                                        hello KERNEL PROCESSORS
//   mount TAG                            ok           mounts 9p; servers are already
//   count TAG                            ok           counts what goes to that mount's device
//   turn TAG OPERATION CACHES NS         ready        has warmed up
//   go                                   done OPERATIONS NS MAX REQUESTS [CELL:COUNT]...
//
// Each is one line. In place of an answer may be `error ERRNO`. REQUESTS is 0 where they are not
// counted. CELL:COUNT are the histogram's cells that are not empty.

#ifndef CAUSEWAY_TOOLS_BENCH_GUEST_H
#define CAUSEWAY_TOOLS_BENCH_GUEST_H

#include <stdbool.h>
#include <stdint.h>

struct bench;
struct bench_options;
struct cell;
struct guest;
struct histogram;
struct sample;
struct target;

// Starts the servers, with their sockets in that directory, and a guest that has mounted them. NULL
// after saying why there is none.
struct guest *guest_start(const struct bench *b, const char *socket_dir);
// Which kernel runs there.
const char *guest_kernel(const struct guest *g);
// As measure().
int guest_measure(struct guest *g, struct target *t, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency);
// Whether it has ended before it should.
bool guest_lost(const struct guest *g);
void guest_stop(struct guest *g);
void guest_free(struct guest *g);

// inside.c. The other half, for what is mounted below o->dir. The exit status.
int guest_inside(const struct bench_options *o);

#endif
