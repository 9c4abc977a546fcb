// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench --shared`: what it costs a program to look at what libcauseway has kept, by its
// caches, and what it costs the server to tell of changes.
//
//   shared         cache=shared, of a causewayd with a version table
//   always         cache=always, of one without
//   auto, none     the same
//   system-calls   what a program on the host would do
//
// Nothing changes meanwhile, or the client of a second server of the same table changes what is to
// be looked at, before it is looked at. Operations that are called request-... are requests which
// no cache answers: what they take with `shared` in parts of `none` is the price of the table.

#ifndef CAUSEWAY_TOOLS_BENCH_SHARED_H
#define CAUSEWAY_TOOLS_BENCH_SHARED_H

#include "session.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench;
struct bench_options;
struct causeway;
struct causeway_file;
struct cell;
struct ground;
struct histogram;
struct sample;
struct target;

// Where tables of this run are; owned by the caller.
char *shared_table_folder(void);
// As targets_choose(): the number of targets, or -1 after saying what is wrong.
int shared_choose(const struct bench_options *o, struct target *targets);
// The tree of files, the table's folder and the second server: 0 or -1 after saying what is wrong.
int shared_start(struct bench *b, const char *socket_dir);
void shared_stop(struct bench *b);
// As target_start()'s connections: 0, or -errno with a text.
int shared_connect(struct target *t, int sock, char *error, size_t size);
// As measure().
int shared_measure(const struct bench *b, struct target *t, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency);

// shared_ops.c.
#define SHARED_PATH 32
#define SHARED_FEW 100 // so many files come in turn where an operation is not about all of them

struct shared_turn {
	struct causeway *client;    // NULL: plain system calls
	int root;		    // of the tree
	char (*paths)[SHARED_PATH]; // of all files
	struct causeway_file *file; // the first of them, open
	int fd;			    // the same, or the new file, for system calls
	uint64_t node, fh;	    // the new file, for requests
	// Names of this way's alone: what the others do is a stranger's doing to our table, and for
	// a while servers believe nothing of a name that a stranger is at.
	char kept[64], fresh[64];
	bool words;		    // are in replies
	uint64_t requests;	    // of those that the library does not count
};

struct shared_op {
	const char *name, *what;
	bool walk;    // one operation is about all files
	bool request; // no cache answers it, so it does not matter who changes what
	// So many in a row have their time taken, where one is about as short as that takes.
	unsigned int batch;
	int (*prepare)(struct shared_turn *turn);
	int (*step)(struct shared_turn *turn, size_t file); // 0 or -errno
	void (*finish)(struct shared_turn *turn);
};

// A request by itself, and how it is written down.
int shared_ask(struct shared_turn *turn, const struct request *r);
#define REQUEST(op, id, to, bytes, ...)                                                            \
	((struct request){.opcode = (op),                                                          \
		.node = (id),                                                                      \
		.arguments = {__VA_ARGS__},                                                        \
		.narguments = sizeof((struct iovec[]){__VA_ARGS__}) / sizeof(struct iovec),        \
		.reply = (to),                                                                     \
		.size = (bytes),                                                                   \
		.least = (bytes)})

static inline int from_call(int ret)
{
	return ret < 0 ? -errno : 0;
}

// shared_list.c: READDIRPLUS of the directory of the first file, or what a program does for it.
int shared_open_listing(struct shared_turn *turn);
void shared_close_listing(struct shared_turn *turn);
int shared_list(struct shared_turn *turn, size_t file);
// The same of files that nobody knows yet, and BATCH_FORGET of them.
int shared_list_new(struct shared_turn *turn, size_t file);

extern const struct shared_op shared_ops[];
extern const unsigned int nshared_ops;

#endif
