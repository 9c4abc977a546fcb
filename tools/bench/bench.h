// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench`: what its files share. bench.c has the theory of operation.

#ifndef CAUSEWAY_TOOLS_BENCH_H
#define CAUSEWAY_TOOLS_BENCH_H

#include "../tool.h"
#include "ablation.h"
#include "asked.h"
#include "awake.h"
#include "common.h"
#include "counters.h"
#include "dax.h"
#include "ground.h"
#include "guest.h"
#include "module.h"
#include "ninep.h"
#include "ops.h"
#include "plain.h"
#include "server.h"
#include "session.h"
#include "shared.h"
#include "stats.h"

#include <stdio.h>

#define BENCH_AGAINST_MAX 6
// causewayd, two peers, system calls or 9p, and the module twice; or all that --ablation compares.
#define BENCH_TARGETS_MAX (BENCH_AGAINST_MAX + 9)
#define BENCH_CHOICES_MAX 8
#define BENCH_DEPTH_MAX 128
#define BENCH_QUEUES_MAX 16

struct bench_numbers {
	long v[BENCH_CHOICES_MAX];
	unsigned int n;
};

// What options may be meant for.
enum {
	BENCH_ALONE,
	BENCH_GUEST,
	BENCH_NO_DAX,
	BENCH_DAX,
	BENCH_NO_SHARED,
	BENCH_SHARED,
	BENCH_NO_ABLATION,
	BENCH_MODES
};

struct bench_options {
	struct words against; // NAME=COMMAND
	bool peers, markdown, list, awake;
	struct words daemon_options;
	long rounds;
	double seconds;			     // for each cell
	const char *ops;		     // globs with commas between, or NULL
	struct bench_numbers depths, queues; // of loads
	bool ways[2];			     // which of bench_ways
	bool guest;			     // in guests
	bool inside;			     // this is in one
	const char *kernel;		     // of the guest
	const char *module;		     // causeway.ko for that, or NULL
	uint64_t dax;			     // bytes of the window; 0: that is not measured
	bool shared;			     // caches are measured
	bool ablation;			     // mechanisms are
	long files;			     // of the tree for that
	const char *only[BENCH_MODES];	     // an option that has a meaning in such a mode only
	const char *json, *plot;
	char *dir; // an absolute path
};

// options.c. 0 to go on; else *status is the exit status (--help: 0).
int bench_options_parse(struct bench_options *o, int argc, char **argv, int *status);
void bench_options_free(struct bench_options *o);

// Each operation is measured in one or both of two ways: with a client that sleeps or polls, in a
// guest with caches that are cold or warm, with a file that is smaller or larger than the window,
// while nothing changes or what is looked at does.
struct bench_ways {
	const char *what, *names[2], *titles[2];
};
const struct bench_ways *bench_ways(const struct bench_options *o);

// What is measured: plain system calls, or a server.
struct target {
	char name[40];
	bool plain;
	bool ninep;			 // by QEMU itself
	const struct dax_way *way;	 // or NULL
	const struct shared_way *shared; // or NULL
	const char *mount;		 // options for the guest's, or NULL
	const char *without;		 // so many mechanisms, with --ablation; or NULL
	struct causeway *client;	 // of one of these, where it has a server
	struct words command;		 // with placeholders
	struct server server;
	struct session session;
	bool open;	  // the session
	const char *lost; // or what was seen of its connection's end
	bool up;
	char why[256];	 // it is not up
	uint64_t memory; // when it had just started
	bool tells;	 // what it has counted, at this socket
	char control[128];
	bool counted; // by the guest: what it is asked
	// With --ablation, at the end: what it has counted, and which features it has agreed on.
	struct counts counts;
	uint64_t features;
};

// targets.c. Fills the list from the options, in the order of the report: causewayd, the others,
// plain system calls. The number of them, or -1 after saying what is wrong.
int targets_choose(const struct bench_options *o, struct target *targets);
// Makes it a causewayd, without its name: 0, or -1 after saying what is wrong.
int target_ours(struct target *t, const struct bench_options *o);
// Makes it one that tells what it counts.
void target_tells(struct target *t);
void targets_free(struct target *targets);
// Starts a server, with its socket in that directory, and opens a session; says why where it fails.
void target_start(struct target *t, const struct ground *g, const char *socket_dir,
	const struct session_room *room);
// The same for a guest, which is to connect to it: to `socket`.
void target_listen(struct target *t, const struct ground *g, const char *socket);
// It is left out from now on.
void target_fail(struct target *t, const char *why);
// Its connection is lost: says why, and ends it.
void target_lost(struct target *t);
void target_end(struct target *t);

// client.c. Connects the library to a server; the socket is its own from now on. 0, or -errno with
// a text.
struct client_option {
	const char *name, *value;
};
int client_connect(struct target *t, int sock, const struct client_option *options, size_t n,
	char *error, size_t size);
void client_disconnect(struct target *t);
// After an error that may mean that the connection is of no use any more: what was seen of that.
void client_note_lost(struct target *t, int error);

// One operation in one way, measured on each target.
struct cell {
	char name[40];
	const struct operation *op;	// or NULL
	const struct shared_op *shared; // or NULL
	struct load load;		// where it is none of these
	unsigned int way;
};

// One turn of a cell on a target.
struct sample {
	uint64_t operations; // 0: there was none
	uint64_t ns, cpu_ns, memory;
	uint64_t requests, changes; // with --shared, and of guests where they are counted
	double time_ns;		    // of one operation; see measure.c
};

// What all rounds of a cell on a target came to.
struct result {
	struct sample *samples; // one for each round
	struct histogram latency;
	int error; // the last one
};

static inline bool cell_is_load(const struct cell *c)
{
	return !c->op && !c->shared;
}

// cells.c. A list that the caller frees, or NULL after saying what is wrong.
struct cell *cells_choose(const struct bench_options *o, unsigned int *n);
unsigned int cells_parts(const struct cell *cells, unsigned int n);
struct session_room cells_room(const struct cell *cells, unsigned int n);
void cells_list(const struct bench_options *o);

// measure.c. One turn of about that time; its histogram is empty before. 0 or -errno.
int measure(struct target *t, struct plain *p, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency);

// All there is to report.
struct bench {
	const struct bench_options *o;
	const struct ground *ground;
	struct target *targets;
	unsigned int ntargets;
	const struct cell *cells;
	unsigned int ncells, rounds; // rounds that were done
	struct result *results;	     // ncells rows of ntargets
	struct guest *guest;	     // or NULL
	// With --shared: whoever changes what is looked at, and the tree.
	struct target other;
	char (*paths)[SHARED_PATH];
};

// Whether it is known how many requests an operation took.
static inline bool target_counts(const struct bench *b, const struct target *t)
{
	return b->o->shared ? !t->plain : t->counted;
}

static inline struct result *result_of(
	const struct bench *b, unsigned int cell, unsigned int target)
{
	return &b->results[(size_t)cell * b->ntargets + target];
}

// digest.c. What the rounds came to, in numbers.
enum metric {
	METRIC_TIME,
	METRIC_RATE,
	METRIC_CPU,
	METRIC_MEMORY,
	METRIC_REQUESTS, // for an operation
	METRIC_REFETCHES // requests for a change
};
struct spread result_spread(
	const struct bench *b, unsigned int cell, unsigned int target, enum metric metric);
// The time of an operation in parts of what the first target takes, over the rounds that both did.
// Zero where there are none.
struct spread result_ratio(const struct bench *b, unsigned int cell, unsigned int target);
// The same of something else than time.
struct spread result_ratio_of(
	const struct bench *b, unsigned int cell, unsigned int target, enum metric metric);
uint64_t result_operations(const struct bench *b, unsigned int cell, unsigned int target);

// text.c, json.c, plot.c.
void report_text(const struct bench *b, FILE *f);
void report_markdown(const struct bench *b, FILE *f);
void report_json(const struct bench *b, FILE *f);
void report_plot(const struct bench *b, FILE *f);

#endif
