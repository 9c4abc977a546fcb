// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench --guest --module FILE`: causeway.ko beside Linux's own driver in one guest, each
// mount with a causewayd of its own over the same tree. It is there twice: as it is by default, and
// with caches that are coherent by a version table, which the guest has for that.

#ifndef CAUSEWAY_TOOLS_BENCH_MODULE_H
#define CAUSEWAY_TOOLS_BENCH_MODULE_H

struct bench_options;
struct target;
struct words;

#define MODULE "causeway.ko"

// How many targets it is, after they are filled in; or -1 after saying what is wrong.
int module_choose(const struct bench_options *o, struct target *targets);
// A place for the table, before the servers are started: 0, or -1 after saying what is wrong.
int module_start(const struct bench_options *o);
void module_stop(const struct bench_options *o);
// Words of `causeway vm` for it.
void module_words(const struct bench_options *o, struct words *argv);

#endif
