// SPDX-License-Identifier: BSD-2-Clause
//
// The reports for people: a line for each operation, client and server; or for documents, a line
// for each operation.

#include "bench.h"
#include "../table.h"

#include <stdlib.h>
#include <string.h>

#define MIB (1024.0 * 1024)

static const double parts[] = {0.5, 0.9, 0.99, 0.999, 1};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void add_head(const struct bench *b, struct table *t)
{
	const char *const head[] = {"operation", bench_ways(b->o)->what, "server", "time",
		"between", "ratio", "between", "op/s", "MiB/s", "p50", "p90", "p99", "p99.9", "max",
		"CPU", "memory", "requests", "a change"};

	// The last two have to do with caches, and the last one with changes.
	t->columns = sizeof(head) / sizeof(head[0]) - (b->o->shared ? 0 : b->guest ? 1 : 2);
	t->left = 3;
	for (unsigned int i = 0; i < t->columns; i++)
		table_cell(t, "%s", head[i]);
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

static void add_server(struct table *t, bool plain, struct spread cpu, struct spread memory)
{
	if (plain)
		table_cell(t, "-");
	else
		table_cell(t, "%s", TABLE_TIME(cpu.median));
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
	add_server(t, b->targets[target].plain, result_spread(b, cell, target, METRIC_CPU),
		result_spread(b, cell, target, METRIC_MEMORY));
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
		if (!b->targets[i].plain)
			table_cell(t, "%s", there ? TABLE_TIME(cpu) : "-");
		if (target_counts(b, &b->targets[i]))
			table_cell(t, "%.6g", result_spread(b, cell, i, METRIC_REQUESTS).median);
	}
}

static bool has_cells(const struct bench *b, unsigned int way)
{
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		if (b->cells[cell].way == way)
			return true;
	return false;
}

void report_markdown(const struct bench *b, FILE *f)
{
	for (unsigned int way = 0; way < 2; way++) {
		struct table t = {.columns = 0};

		if (!has_cells(b, way))
			continue;
		fprintf(f, "%s%s:\n\n", way && has_cells(b, 0) ? "\n" : "",
			bench_ways(b->o)->titles[way]);
		add_markdown_head(b, &t);
		for (unsigned int cell = 0; cell < b->ncells; cell++)
			if (b->cells[cell].way == way)
				add_markdown_line(b, &t, cell);
		table_print(&t, f, true);
		table_free(&t);
	}
}
