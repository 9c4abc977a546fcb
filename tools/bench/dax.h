// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench --dax`: one file's data by different ways, among them libcauseway's window. The
// file is either smaller than the window (it has half its size) or larger (it has four times that).
//
//   dax            causeway_pread() and causeway_pwrite() where the back-end has a window
//   dax-map        memory that causeway_map() gave
//   requests       the same calls as dax, without a window or a cache: one READ or WRITE at a time
//   cached         the same, with the library's cache, which dax has as well
//   mmap           memory that mmap(2) gave, of the same file
//   system-calls   pread(2) and pwrite(2)
//
// With --guest the first is a share with a window and the third one without, both in one guest.

#ifndef CAUSEWAY_TOOLS_BENCH_DAX_H
#define CAUSEWAY_TOOLS_BENCH_DAX_H

#include <stddef.h>
#include <stdint.h>

struct bench_options;
struct cell;
struct dax_way;
struct ground;
struct histogram;
struct sample;
struct target;

// How long the file is; `way` as in struct cell.
uint64_t dax_file_size(uint64_t window, unsigned int way);
// Makes both: 0 or -1 after saying what is wrong.
int dax_make_files(struct ground *g, uint64_t window);

// As targets_choose(): the number of targets, or -1 after saying what is wrong.
int dax_choose(const struct bench_options *o, struct target *targets);
// Connects the library to a server; the socket is its own from now on. 0, or -errno with a text.
int dax_connect(struct target *t, int sock, char *error, size_t size);
// As measure().
int dax_measure(struct target *t, const struct ground *g, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency);

#endif
