// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench --ablation`: what each mechanism that makes causewayd fast is worth. One server
// has all of them, and each of the others lacks one (causewayd --without); operations take turns
// on them as on any servers. What the daemons themselves have counted shows that a mechanism was
// at work where it was not left out, and was not where it was.

#ifndef CAUSEWAY_TOOLS_BENCH_ABLATION_H
#define CAUSEWAY_TOOLS_BENCH_ABLATION_H

#include <stdio.h>

struct bench;
struct bench_options;
struct ground;
struct target;

// As targets_choose(): the number of targets, or -1 after saying what is wrong.
int ablation_choose(const struct bench_options *o, struct target *targets);
// Requests will be a user's who is not the daemon's: 0, or -1 after saying what is wrong.
int ablation_start(const struct ground *g);
// Asks the servers what they have counted.
void ablation_count(struct bench *b);
void report_ablation(const struct bench *b, FILE *f);

#endif
