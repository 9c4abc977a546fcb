// SPDX-License-Identifier: BSD-2-Clause
//
// The report has the operations in rows and the mechanisms in columns, where the other modes have a
// line for each server: what is looked for are the places where leaving something out costs.

#include "ablation.h"

#include "../table.h"
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define EVERYTHING "everything"

// Requests of root need no rights that the daemon has not.
#define SOMEBODY 65534

// As causewayd --without has them, but for pins, which only causeway.ko asks for. A file handle is
// used where a descriptor was not kept, so what it is worth shows beside the server that keeps
// none.
static const struct {
	const char *title, *name, *without;
} ways[] = {
	{EVERYTHING, EVERYTHING, NULL},
	{"polling", "no-polling", "polling"},
	{"borrowing", "no-borrowing", "borrowing"},
	{"answering", "no-answering", "answering"},
	{"batching", "no-batching", "batching"},
	{"event-idx", "no-event-idx", "event-idx"},
	{"pool", "no-pool", "pool"},
	{"cold-nodes", "no-cold-nodes", "cold-nodes"},
	{"known-names", "no-known-names", "known-names"},
	{"open-cache", "no-open-cache", "open-cache"},
	{"inside-cache", "no-inside-cache", "inside-cache"},
	{"credentials", "no-credentials", "credentials"},
	{"file-handles", "no-file-handles", "file-handles"},
	{"node-descriptors", "no-node-descriptors", "node-descriptors"},
	{"both of these", "neither", "node-descriptors,file-handles"},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))
_Static_assert(WAYS <= BENCH_TARGETS_MAX, "room for each");

int ablation_choose(const struct bench_options *o, struct target *targets)
{
	for (size_t i = 0; i < WAYS; i++) {
		struct target *t = &targets[i];

		snprintf(t->name, sizeof(t->name), "%s", ways[i].name);
		if (target_ours(t, o))
			return -1;
		target_tells(t);
		t->without = ways[i].without;
		if (t->without)
			words_addf(&t->command, "--without=%s", t->without);
	}
	return WAYS;
}

int ablation_start(const struct ground *g)
{
	if (bench_uid)
		return 0;
	bench_uid = bench_gid = SOMEBODY;
	if (!fchmodat(g->fd, GROUND_FILES_DIR, 01777, 0) || errno == ENOENT)
		return 0;
	say("bench: %s/%s: %s", g->path, GROUND_FILES_DIR, strerror(errno));
	return -1;
}

void ablation_count(struct bench *b)
{
	for (unsigned int i = 0; i < b->ntargets; i++) {
		struct target *t = &b->targets[i];
		char why[300];

		t->features = t->up ? t->session.wire.fe.features : 0;
		if (t->up && !counts_ask(&t->counts, t->control, why, sizeof(why)))
			say("bench: %s: what it counted is not known: %s", t->name, why);
	}
}

static void add_head(const struct bench *b, struct table *t, const char *first)
{
	*t = (struct table){.columns = 1 + b->ntargets, .left = 1};
	table_cell(t, "%s", first);
	for (unsigned int i = 0; i < b->ntargets; i++)
		table_cell(t, "%s", ways[i].title);
}

static void add_line(const struct bench *b, struct table *t, unsigned int cell, enum metric metric)
{
	table_cell(t, "%s", b->cells[cell].name);
	for (unsigned int i = 0; i < b->ntargets; i++) {
		const struct result *r = result_of(b, cell, i);
		struct spread ratio = result_ratio_of(b, cell, i, metric);

		if (!result_operations(b, cell, i))
			table_cell(t, "%s", r->error ? strerrorname_np(-r->error) : "gone");
		else if (!b->targets[i].without)
			table_cell(t, "%s", TABLE_TIME(result_spread(b, cell, i, metric).median));
		else if (ratio.median > 0)
			table_cell(t, "%.2f (%.2f–%.2f)", ratio.median, ratio.low, ratio.high);
		else
			table_cell(t, "-");
	}
}

static void print_metric(const struct bench *b, FILE *f, unsigned int way, enum metric metric)
{
	struct table t;

	add_head(b, &t, "operation");
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		if (b->cells[cell].way == way)
			add_line(b, &t, cell, metric);
	fprintf(f, "%s; %s of an operation, and without a mechanism in parts of that:\n\n",
		bench_ways(b->o)->titles[way],
		metric == METRIC_TIME ? "time" : "CPU time of the server");
	table_print(&t, f, b->o->markdown);
	table_free(&t);
	fprintf(f, "\n");
}

// One for all that was measured. Servers did different numbers of operations in their time.
static void print_counts(const struct bench *b, FILE *f)
{
	struct table t;

	add_head(b, &t, "counted");
	for (unsigned int row = 0; row < COUNTS; row++) {
		table_cell(&t, "%s", count_names[row]);
		for (unsigned int i = 0; i < b->ntargets; i++) {
			const struct counts *c = &b->targets[i].counts;

			if (!c->known || c->v[COUNT_REQUESTS] <= 0)
				table_cell(&t, "-");
			else if (row == COUNT_REQUESTS)
				table_cell(&t, "%.0f", c->v[row]);
			else
				table_cell(&t, "%.3g", c->v[row] / c->v[COUNT_REQUESTS] * 1000);
		}
	}
	fprintf(f, "What the servers counted: requests in all, and what there was for 1000 of "
		   "them:\n\n");
	table_print(&t, f, b->o->markdown);
	table_free(&t);
}

void report_ablation(const struct bench *b, FILE *f)
{
	for (unsigned int way = 0; way < 2; way++) {
		if (!b->o->ways[way])
			continue;
		print_metric(b, f, way, METRIC_TIME);
		print_metric(b, f, way, METRIC_CPU);
	}
	print_counts(b, f);
	if (!b->o->markdown)
		fprintf(f, "\nmedians of %u rounds of %g s\n", b->rounds, b->o->seconds);
}
