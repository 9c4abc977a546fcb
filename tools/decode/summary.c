// SPDX-License-Identifier: BSD-2-Clause

#include "decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tool.h"

// The last one is for opcodes that nobody knows.
#define KINDS (FUSE_OPCODE_MAX + 1)

struct kind {
	unsigned long count, answered, unanswered, failed;
	uint64_t sent, came; // bytes
	uint64_t *latency;   // of those that were answered
	size_t room;
	unsigned long errors[4096];
};

struct summary {
	struct kind *kinds[KINDS];
};

static void *some(size_t size, void *old)
{
	void *p = realloc(old, size);

	if (!p) {
		say("%s", strerror(ENOMEM));
		exit(1);
	}
	return p;
}

struct summary *summary_new(void)
{
	struct summary *s = some(sizeof(*s), NULL);

	memset(s, 0, sizeof(*s));
	return s;
}

static struct kind *kind_of(struct summary *s, uint32_t opcode)
{
	bool known = opcode < KINDS && trace_opcode_name(opcode);
	struct kind **k = &s->kinds[known ? opcode : KINDS - 1];

	if (!*k)
		*k = memset(some(sizeof(**k), NULL), 0, sizeof(**k));
	return *k;
}

void summary_add(struct summary *s, const struct exchange *x)
{
	struct kind *k = kind_of(s, x->request.opcode);
	int32_t error = exchange_out(x).error;

	k->count++;
	k->sent += x->request.length;
	if (!x->reply.kind) {
		k->unanswered += exchange_is_answered(x);
		return;
	}
	if (k->answered == k->room) {
		k->room = k->room ? 2 * k->room : 64;
		k->latency = some(k->room * sizeof(uint64_t), k->latency);
	}
	k->latency[k->answered++] = exchange_latency_ns(x);
	k->came += x->reply.length;
	if (error != 0)
		k->failed++;
	if (error < 0 && error > -4096)
		k->errors[-error]++;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

// The value that so many per cent of all are not above.
static double percentile_us(const struct kind *k, unsigned int percent)
{
	size_t rank = (k->answered * percent + 99) / 100;

	return k->answered ? (double)k->latency[rank ? rank - 1 : 0] / 1000 : 0;
}

static void print_kind(const char *name, struct kind *k)
{
	if (k->answered > 0)
		qsort(k->latency, k->answered, sizeof(uint64_t), ascending);
	printf("%-18s %9lu %8lu %8lu %12llu %12llu %10.1f %10.1f %10.1f\n", name, k->count,
		k->failed, k->unanswered, (unsigned long long)k->sent,
		(unsigned long long)k->came, percentile_us(k, 50), percentile_us(k, 99),
		percentile_us(k, 100));
}

static void print_errors(const char *name, const struct kind *k)
{
	for (int i = 1; i < 4096; i++) {
		const char *error = strerrorname_np(i);

		if (k->errors[i] > 0 && error)
			printf("%-18s %9lu %s\n", name, k->errors[i], error);
		else if (k->errors[i] > 0)
			printf("%-18s %9lu error %d\n", name, k->errors[i], i);
	}
}

void summary_print(struct summary *s)
{
	unsigned long failed = 0;

	printf("%-18s %9s %8s %8s %12s %12s %10s %10s %10s\n", "operation", "requests", "failed",
		"no reply", "bytes in", "bytes out", "p50 us", "p99 us", "max us");
	for (uint32_t i = 0; i < KINDS; i++) {
		const char *name = trace_opcode_name(i);

		if (!s->kinds[i])
			continue;
		print_kind(name ? name : "(unknown)", s->kinds[i]);
		failed += s->kinds[i]->failed;
	}
	if (failed > 0)
		printf("\n");
	for (uint32_t i = 0; i < KINDS; i++) {
		const char *name = trace_opcode_name(i);

		if (!s->kinds[i])
			continue;
		print_errors(name ? name : "(unknown)", s->kinds[i]);
		free(s->kinds[i]->latency);
		free(s->kinds[i]);
	}
	free(s);
}
