// SPDX-License-Identifier: BSD-2-Clause
//
// The operations by plain system calls: what a program on the host would do instead.

#ifndef CAUSEWAY_TOOLS_BENCH_PLAIN_H
#define CAUSEWAY_TOOLS_BENCH_PLAIN_H

#include "ground.h"

#include <stdbool.h>

struct load;

struct plain {
	const struct ground *ground;
	int dir;  // of the small files, or -1 where there are none
	int file; // the first of them, or -1 while no operation needs it open
	uint64_t turn;
	bool turned;
	bool force; // what a guest has in its caches is no answer
};

int plain_open(struct plain *p, const struct ground *g, unsigned int parts);
void plain_close(struct plain *p);

// One of each operation: 0 or -errno.
int plain_getattr(struct plain *p);
int plain_lookup(struct plain *p);
int plain_missing(struct plain *p);
int plain_hold(struct plain *p);
int plain_open_close(struct plain *p);
int plain_create(struct plain *p);
int plain_mkdir(struct plain *p);
int plain_rename(struct plain *p);
int plain_list(struct plain *p);
int plain_long_list(struct plain *p);
int plain_walk(struct plain *p);
int plain_find(struct plain *p);
int plain_small_file(struct plain *p);
int plain_status(struct plain *p);
int plain_compile(struct plain *p);
int plain_fsync(struct plain *p);
int plain_getxattr(struct plain *p);
int plain_setxattr(struct plain *p);

#endif
