// SPDX-License-Identifier: BSD-2-Clause
//
// 9p beside the servers of `causeway bench --guest`: QEMU itself serves it, of the same tree.

#ifndef CAUSEWAY_TOOLS_BENCH_NINEP_H
#define CAUSEWAY_TOOLS_BENCH_NINEP_H

#include <stdint.h>
#include <sys/types.h>

struct bench_options;
struct words;

// Its name and tag.
#define NINEP "9p"

// The guest's kernel: the one that was named, or one that has 9p, where that was fetched; NULL: the
// one that `causeway vm` takes.
char *ninep_kernel(const struct bench_options *o);
// Whether that kernel can mount 9p: 1, or 0 after saying so; -1 after saying why there is no guest.
int ninep_possible(const struct bench_options *o);
// Words of `causeway vm` that have QEMU serve a tree.
void ninep_words(struct words *argv, const char *tree);
// In the guest: 0 or -errno.
int ninep_mount(const char *path);

// Its server is QEMU, which is among the processes below `causeway vm`; 0 where it is not found.
pid_t ninep_server(pid_t vm);
// What QEMU used of the processor besides running the guest.
uint64_t ninep_cpu_ns(pid_t qemu);

#endif
