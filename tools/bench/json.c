// SPDX-License-Identifier: BSD-2-Clause
//
// The report for programs.

#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

// How many bytes the character of UTF-8 has that begins here; 0 where none does.
static int character(const unsigned char *p)
{
	int n = *p < 0x80		  ? 1
		: *p >= 0xc2 && *p < 0xe0 ? 2
		: *p >= 0xe0 && *p < 0xf0 ? 3
		: *p >= 0xf0 && *p < 0xf5 ? 4
					  : 0;

	for (int i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	// No surrogates, nothing beyond the last, nothing longer than it needs to be.
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
		(*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static void put_string(FILE *f, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	fputc('"', f);
	while (*p) {
		int n = character(p);

		if (!n)
			fputs("\\ufffd", f);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(f, "\\u%04x", *p);
		else
			fprintf(f, "%s%.*s", *p == '"' || *p == '\\' ? "\\" : "", n, p);
		p += n ? n : 1;
	}
	fputc('"', f);
}

static void put_member(FILE *f, const char *name, const char *text)
{
	fprintf(f, "\"%s\": ", name);
	if (text)
		put_string(f, text);
	else
		fprintf(f, "null");
}

static void put_spread(FILE *f, const char *name, struct spread s)
{
	fprintf(f, ", \"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g}", name, s.median,
		s.low, s.high);
}

static void put_head(const struct bench *b, FILE *f)
{
	struct utsname system;

	uname(&system);
	put_member(f, "version", CAUSEWAY_VERSION);
	fprintf(f, ",\n  ");
	put_member(f, "kernel", system.release);
	fprintf(f, ",\n  ");
	put_member(f, "machine", system.machine);
	fprintf(f, ",\n  ");
	put_member(f, "guest", b->guest ? guest_kernel(b->guest) : NULL);
	fprintf(f, ",\n  ");
	put_member(f, "directory", b->o->dir);
	fprintf(f, ",\n  \"processors\": %ld,\n  \"rounds\": %u,\n  \"seconds\": %g,\n  "
		   "\"window\": %llu,\n  \"files\": %ld",
		sysconf(_SC_NPROCESSORS_ONLN), b->rounds, b->o->seconds,
		(unsigned long long)b->o->dax, b->o->shared ? b->o->files : 0);
}

static void put_counts(const struct target *t, FILE *f)
{
	fprintf(f, ", ");
	put_member(f, "without", t->without);
	fprintf(f, ", \"features\": %llu, \"counted\": ", (unsigned long long)t->features);
	for (unsigned int i = 0; i < COUNTS && t->counts.known; i++)
		fprintf(f, "%s\"%s\": %.0f", i ? ", " : "{", count_names[i], t->counts.v[i]);
	fprintf(f, "%s", t->counts.known ? "}" : "null");
}

static void put_servers(const struct bench *b, FILE *f)
{
	for (unsigned int i = 0; i < b->ntargets; i++) {
		const struct target *t = &b->targets[i];

		fprintf(f, "%s\n    {", i ? "," : "");
		put_member(f, "name", t->name);
		fprintf(f, ", \"command\": [");
		for (unsigned int w = 0; w < t->command.n; w++) {
			fprintf(f, "%s", w ? ", " : "");
			put_string(f, t->command.v[w]);
		}
		fprintf(f, "], \"memory\": %llu, ", (unsigned long long)t->memory);
		put_member(f, "failure", *t->why ? t->why : NULL);
		if (b->o->ablation)
			put_counts(t, f);
		fprintf(f, "}");
	}
}

static void put_rounds(const struct bench *b, const struct result *r, FILE *f)
{
	bool first = true;

	fprintf(f, ", \"rounds\": [");
	for (unsigned int i = 0; i < b->rounds; i++) {
		const struct sample *s = &r->samples[i];

		if (!s->operations)
			continue;
		fprintf(f,
			"%s{\"round\": %u, \"operations\": %llu, \"ns\": %llu, \"cpu_ns\": %llu, "
			"\"memory\": %llu, \"time_ns\": %.6g}",
			first ? "" : ", ", i, (unsigned long long)s->operations,
			(unsigned long long)s->ns, (unsigned long long)s->cpu_ns,
			(unsigned long long)s->memory, s->time_ns);
		first = false;
	}
	fprintf(f, "]");
}

static void put_latency(const struct histogram *h, FILE *f)
{
	static const struct {
		const char *name;
		double part;
	} parts[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

	fprintf(f, ", \"latency_ns\": {\"count\": %llu", (unsigned long long)h->count);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		fprintf(f, ", \"%s\": %llu", parts[i].name,
			(unsigned long long)histogram_value(h, parts[i].part));
	fprintf(f, "}");
}

static void put_numbers(const struct bench *b, unsigned int cell, unsigned int target, FILE *f)
{
	struct spread rate = result_spread(b, cell, target, METRIC_RATE);
	const struct cell *c = &b->cells[cell];

	put_spread(f, "time_ns", result_spread(b, cell, target, METRIC_TIME));
	put_spread(f, "operations_per_second", rate);
	if (cell_is_load(c)) {
		double size = (double)c->load.size;

		put_spread(f, "bytes_per_second",
			(struct spread){rate.median * size, rate.low * size, rate.high * size});
	}
	if (!b->targets[target].plain) {
		put_spread(f, "server_cpu_ns", result_spread(b, cell, target, METRIC_CPU));
		put_spread(f, "server_memory", result_spread(b, cell, target, METRIC_MEMORY));
	}
	if (target_counts(b, &b->targets[target])) {
		put_spread(f, "requests", result_spread(b, cell, target, METRIC_REQUESTS));
		if (c->shared && c->way)
			put_spread(f, "requests_of_a_change",
				result_spread(b, cell, target, METRIC_REFETCHES));
	}
	if (result_operations(b, cell, 0)) {
		put_spread(f, "ratio", result_ratio(b, cell, target));
		if (!b->targets[target].plain)
			put_spread(f, "server_cpu_ratio",
				result_ratio_of(b, cell, target, METRIC_CPU));
	}
	put_latency(&result_of(b, cell, target)->latency, f);
}

static void put_result(const struct bench *b, unsigned int cell, unsigned int target, FILE *f)
{
	const struct result *r = result_of(b, cell, target);
	const struct cell *c = &b->cells[cell];
	uint64_t operations = result_operations(b, cell, target);

	fprintf(f, "\n    {");
	put_member(f, "operation", c->name);
	fprintf(f, ", ");
	put_member(f, bench_ways(b->o)->what, bench_ways(b->o)->names[c->way]);
	fprintf(f, ", ");
	put_member(f, "server", b->targets[target].name);
	if (cell_is_load(c))
		fprintf(f, ", \"size\": %zu, \"depth\": %u, \"queues\": %u", c->load.size,
			c->load.depth, c->load.queues);
	fprintf(f, ", \"operations\": %llu, ", (unsigned long long)operations);
	put_member(f, "error", r->error ? strerrorname_np(-r->error) : NULL);
	if (operations)
		put_numbers(b, cell, target, f);
	put_rounds(b, r, f);
	fprintf(f, "}");
}

void report_json(const struct bench *b, FILE *f)
{
	fprintf(f, "{\n  ");
	put_head(b, f);
	fprintf(f, ",\n  \"servers\": [");
	put_servers(b, f);
	fprintf(f, "\n  ],\n  \"results\": [");
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		for (unsigned int target = 0; target < b->ntargets; target++) {
			fprintf(f, "%s", cell || target ? "," : "");
			put_result(b, cell, target, f);
		}
	fprintf(f, "\n  ]\n}\n");
}
