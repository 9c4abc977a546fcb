// SPDX-License-Identifier: BSD-2-Clause
//
// How many requests a guest sends, counted in its kernel, so for every file system and whoever
// serves it in the same way: what drivers put into the virtqueues of a device. A kprobe event
// counts that, by devices, in a histogram of tracefs. A request that finds its queue full is put
// there again, and counts again. Needs Linux with CONFIG_KPROBE_EVENTS and CONFIG_HIST_TRIGGERS.

#ifndef CAUSEWAY_TOOLS_BENCH_ASKED_H
#define CAUSEWAY_TOOLS_BENCH_ASKED_H

#include <stdint.h>

// From now on all requests are counted: 0, or -errno where this kernel can't.
int asked_start(void);
// The number N, of virtioN, of the device that what is mounted there sends to; or -errno.
int asked_device(const char *path);
// How many that device was sent until now: 0 or -errno.
int asked_count(int device, uint64_t *n);

#endif
