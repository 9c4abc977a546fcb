// SPDX-License-Identifier: BSD-2-Clause
//
// The operations that are measured. Those of the table are done one at a time; loads read or write
// with many requests in flight, on several queues.

#ifndef CAUSEWAY_TOOLS_BENCH_OPS_H
#define CAUSEWAY_TOOLS_BENCH_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct histogram;
struct ground;
struct plain;
struct session;

struct operation {
	const char *name, *what;
	unsigned int parts; // of the ground that it needs
	bool cold;	    // one takes so long that warming up is not worth its time
	// So many times one asks for something new; then for what a guest's caches have, which are
	// dropped before that where they are to be cold. 0: they have nothing for it.
	unsigned int pass;
	// Before its time counts: looks up what it works on; session_let_go() forgets that again.
	int (*prepare)(struct session *s);
	int (*step)(struct session *s); // one operation: 0 or -errno
	int (*plain)(struct plain *p);	// the same by system calls
	int (*before)(struct session *s); // each step, and not in its time; or NULL
};

extern const struct operation operation_table[];
extern const unsigned int noperations;

// What `compile` reads.
#define OPS_HEADERS 16

// tree.c: the steps that take many requests.
int tree_prepare_list(struct session *s);
int tree_prepare_long_list(struct session *s);
int tree_prepare_walk(struct session *s);
int tree_prepare_find(struct session *s);
int tree_list(struct session *s);
int tree_long_list(struct session *s);
int tree_walk(struct session *s);
int tree_find(struct session *s);
// The directory of small files, which is held; whatever is held besides is forgotten as well.
int tree_list_files(struct session *s);

// beside.c: prepare() comes after that of the file that is asked for.
int beside_prepare(struct session *s);
int beside_begin_fsync(struct session *s);
int beside_begin_read(struct session *s);
int beside_getattr(struct session *s);

struct load {
	bool writes, random;
	size_t size;
	unsigned int depth, queues;
};

// data.c. A load for so long: how many requests it took, and their times from being sent to being
// seen again. -EOPNOTSUPP where there are not so many queues, -EMSGSIZE where requests may not be
// so large.
struct load_run {
	const struct load *load;
	uint64_t limit_ns;
	uint64_t operations, ns;
	struct histogram *latency;
};
int load_prepare(struct session *s, const struct load *load);
int load_run(struct session *s, struct load_run *run);
// The same by system calls, one at a time in as many threads as there are queues.
int load_run_plain(const struct ground *g, struct load_run *run);

#endif
