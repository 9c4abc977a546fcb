// SPDX-License-Identifier: BSD-2-Clause
//
// The reports for people: a line for each operation, client and server; or for documents, a line
// for each operation.

#include "bench.h"
#include "../table.h"

#include <stdlib.h>
#include <string.h>

#define MIB (1024.0 * 1024)
// Fewer requests for an operation are what a second that has passed makes.
#define ASKED_LEAST 0.1

static const double parts[] = {0.5, 0.9, 0.99, 0.999, 1};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void add_head(const struct bench *b, struct table *t)
{
	const struct {
		const char *name;
		bool is;
	} head[] = {{"operation", true}, {bench_ways(b->o)->what, true}, {"server", true},
		{"time", true}, {"between", true}, {"ratio", true}, {"between", true},
		{"op/s", true}, {"MiB/s", true}, {"p50", true}, {"p90", true}, {"p99", true},
		{"p99.9", true}, {"max", true}, {"CPU", true}, {"ratio", b->guest},
		{"memory", true}, {"requests", b->guest || b->o->shared},
		{"a change", b->o->shared}};

	t->left = 3;
	for (unsigned int i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		t->columns += head[i].is;
	for (unsigned int i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		if (head[i].is)
			table_cell(t, "%s", head[i].name);
}

static void add_times(struct table *t, struct spread time, struct spread ratio)
{
	table_cell(t, "%s", TABLE_TIME(time.median));
	table_cell(t, "%s – %s", TABLE_TIME(time.low), TABLE_TIME(time.high));
	if (ratio.median > 0) {
		table_cell(t, "%.2f", ratio.median);
		table_cell(t, "%.2f – %.2f", ratio.low, ratio.high);
	} else {
		table_cell(t, "-");
		table_cell(t, "-");
	}
}

static void add_rates(struct table *t, const struct cell *c, struct spread rate)
{
	table_cell(t, "%s", TABLE_COUNT(rate.median));
	if (!cell_is_load(c))
		table_cell(t, "-");
	else
		table_cell(t, "%.0f", rate.median * (double)c->load.size / MIB);
}

// Of the server's CPU to that of the first, where that was asked for anything: what else it does
// has no ratio.
static void add_cpu_ratio(
	const struct bench *b, struct table *t, unsigned int cell, unsigned int target)
{
	double ratio = result_ratio_of(b, cell, target, METRIC_CPU).median;
	bool asked = !target_counts(b, &b->targets[0]) ||
		     result_spread(b, cell, 0, METRIC_REQUESTS).median >= ASKED_LEAST;

	if (ratio > 0 && asked)
		table_cell(t, "%.2f", ratio);
	else
		table_cell(t, "-");
}

static void add_server(
	const struct bench *b, struct table *t, unsigned int cell, unsigned int target)
{
	struct spread memory = result_spread(b, cell, target, METRIC_MEMORY);

	if (b->targets[target].plain)
		table_cell(t, "-");
	else
		table_cell(t, "%s", TABLE_TIME(result_spread(b, cell, target, METRIC_CPU).median));
	if (b->guest)
		add_cpu_ratio(b, t, cell, target);
	if (memory.median > 0)
		table_cell(t, "%.1f MiB", memory.median / MIB);
	else
		table_cell(t, "-");
}

// How many an operation took, and how many a change of what it looked at.
static void add_requests(
	const struct bench *b, struct table *t, unsigned int cell, unsigned int target)
{
	const bool counts = target_counts(b, &b->targets[target]);

	if (!counts)
		table_cell(t, "-");
	else
		table_cell(t, "%.6g", result_spread(b, cell, target, METRIC_REQUESTS).median);
	if (!b->o->shared)
		return;
	if (!counts || !b->cells[cell].way)
		table_cell(t, "-");
	else
		table_cell(t, "%.6g", result_spread(b, cell, target, METRIC_REFETCHES).median);
}

// Nothing was measured; why is in the place of the time.
static void add_nothing(struct table *t, const struct target *target, int error)
{
	unsigned int more = t->columns - t->cells.n % t->columns;

	table_cell(t, "-");
	table_cell(t, "%s", error ? strerrorname_np(-error) : target->up ? "" : "gone");
	for (unsigned int i = 2; i < more; i++)
		table_cell(t, "-");
}

static void add_line(const struct bench *b, struct table *t, unsigned int cell, unsigned int target)
{
	const struct result *r = result_of(b, cell, target);
	const struct cell *c = &b->cells[cell];

	table_cell(t, "%s", target ? "" : c->name);
	table_cell(t, "%s", target ? "" : bench_ways(b->o)->names[c->way]);
	table_cell(t, "%s", b->targets[target].name);
	if (!result_operations(b, cell, target)) {
		add_nothing(t, &b->targets[target], r->error);
		return;
	}
	add_times(t, result_spread(b, cell, target, METRIC_TIME), result_ratio(b, cell, target));
	add_rates(t, c, result_spread(b, cell, target, METRIC_RATE));
	for (unsigned int i = 0; i < PARTS; i++)
		table_cell(t, "%s", TABLE_TIME((double)histogram_value(&r->latency, parts[i])));
	add_server(b, t, cell, target);
	if (b->o->shared || b->guest)
		add_requests(b, t, cell, target);
}

static void print_start(const struct bench *b, FILE *f)
{
	for (unsigned int i = 0; i < b->ntargets; i++)
		if (b->targets[i].memory)
			fprintf(f, "%s: %.1f MiB of memory when it had started\n",
				b->targets[i].name, (double)b->targets[i].memory / MIB);
}

void report_text(const struct bench *b, FILE *f)
{
	struct table t = {.columns = 0};

	add_head(b, &t);
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		for (unsigned int target = 0; target < b->ntargets; target++)
			add_line(b, &t, cell, target);
	table_print(&t, f, false);
	table_free(&t);
	fprintf(f, "\n");
	print_start(b, f);
	fprintf(f, "medians of %u rounds of %g s; ratios are to the time of %s\n", b->rounds,
		b->o->seconds, b->targets[0].name);
	if (b->o->dax)
		fprintf(f, "a window of %llu MiB\n", (unsigned long long)b->o->dax >> 20);
	if (b->o->shared)
		fprintf(f, "a tree of %ld files\n", b->o->files);
}

// In a guest what servers are asked for, and use for that, has a table of its own beside that of
// times.
static void add_markdown_head(const struct bench *b, struct table *t)
{
	t->columns = 1;
	t->left = 1;
	table_cell(t, "operation");
	for (unsigned int i = 0; i < b->ntargets; i++) {
		const struct target *target = &b->targets[i];

		table_cell(t, "%s", target->name);
		t->columns++;
		if (i > 0) {
			table_cell(t, "ratio");
			t->columns++;
		}
		if (b->guest)
			continue;
		if (!target->plain) {
			table_cell(t, "CPU");
			t->columns++;
		}
		if (target_counts(b, target)) {
			table_cell(t, "requests");
			t->columns++;
		}
	}
}

static void add_markdown_line(const struct bench *b, struct table *t, unsigned int cell)
{
	table_cell(t, "%s", b->cells[cell].name);
	for (unsigned int i = 0; i < b->ntargets; i++) {
		bool there = result_operations(b, cell, i);
		struct spread ratio = result_ratio(b, cell, i);
		double time = result_spread(b, cell, i, METRIC_TIME).median;
		double cpu = result_spread(b, cell, i, METRIC_CPU).median;

		table_cell(t, "%s", there ? TABLE_TIME(time) : "-");
		if (i > 0 && ratio.median > 0)
			table_cell(t, "%.2f (%.2f–%.2f)", ratio.median, ratio.low, ratio.high);
		else if (i > 0)
			table_cell(t, "-");
		if (b->guest)
			continue;
		if (!b->targets[i].plain)
			table_cell(t, "%s", there ? TABLE_TIME(cpu) : "-");
		if (target_counts(b, &b->targets[i]))
			table_cell(t, "%.6g", result_spread(b, cell, i, METRIC_REQUESTS).median);
	}
}

static void add_cost_head(const struct bench *b, struct table *t)
{
	t->columns = 3 * b->ntargets;
	t->left = 1;
	table_cell(t, "operation");
	for (unsigned int i = 0; i < b->ntargets; i++) {
		table_cell(t, "%s: requests", b->targets[i].name);
		table_cell(t, "CPU");
		if (i > 0)
			table_cell(t, "ratio");
	}
}

static void add_cost_line(const struct bench *b, struct table *t, unsigned int cell)
{
	table_cell(t, "%s", b->cells[cell].name);
	for (unsigned int i = 0; i < b->ntargets; i++) {
		bool there = result_operations(b, cell, i);
		double requests = result_spread(b, cell, i, METRIC_REQUESTS).median;
		double cpu = result_spread(b, cell, i, METRIC_CPU).median;

		if (there && target_counts(b, &b->targets[i]))
			table_cell(t, "%.*f", requests < 10 ? 2 : requests < 100, requests);
		else
			table_cell(t, "-");
		table_cell(t, "%s", there ? TABLE_TIME(cpu) : "-");
		if (i > 0)
			add_cpu_ratio(b, t, cell, i);
	}
}

static bool has_cells(const struct bench *b, unsigned int way)
{
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		if (b->cells[cell].way == way)
			return true;
	return false;
}

static void print_markdown(const struct bench *b, FILE *f, unsigned int way,
	void (*head)(const struct bench *b, struct table *t),
	void (*line)(const struct bench *b, struct table *t, unsigned int cell))
{
	struct table t = {.columns = 0};

	head(b, &t);
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		if (b->cells[cell].way == way)
			line(b, &t, cell);
	table_print(&t, f, true);
	table_free(&t);
}

void report_markdown(const struct bench *b, FILE *f)
{
	for (unsigned int way = 0; way < 2; way++) {
		const char *title = bench_ways(b->o)->titles[way];

		if (!has_cells(b, way))
			continue;
		fprintf(f, "%s%s:\n\n", way && has_cells(b, 0) ? "\n" : "", title);
		print_markdown(b, f, way, add_markdown_head, add_markdown_line);
		if (!b->guest)
			continue;
		fprintf(f, "\n%s; what servers are asked for and use:\n\n", title);
		print_markdown(b, f, way, add_cost_head, add_cost_line);
	}
}
