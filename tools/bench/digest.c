// SPDX-License-Identifier: BSD-2-Clause
//
// From samples to the numbers that are reported.

#include "bench.h"

#include <stdlib.h>

static double of_sample(const struct sample *s, enum metric metric)
{
	switch (metric) {
	case METRIC_TIME:
		return s->time_ns;
	case METRIC_RATE:
		return s->ns ? (double)s->operations * (double)NS_PER_S / (double)s->ns : 0;
	case METRIC_REQUESTS:
		return (double)s->requests / (double)s->operations;
	case METRIC_REFETCHES:
		return s->changes ? (double)s->requests / (double)s->changes : 0;
	case METRIC_CPU:
		return (double)s->cpu_ns / (double)s->operations;
	default:
		return (double)s->memory;
	}
}

struct spread result_spread(
	const struct bench *b, unsigned int cell, unsigned int target, enum metric metric)
{
	const struct result *r = result_of(b, cell, target);
	AUTO_FREE double *values = calloc(b->rounds + 1, sizeof(*values));
	size_t n = 0;

	for (unsigned int i = 0; values && i < b->rounds; i++)
		if (r->samples[i].operations)
			values[n++] = of_sample(&r->samples[i], metric);
	return spread_of(values, n);
}

struct spread result_ratio(const struct bench *b, unsigned int cell, unsigned int target)
{
	return result_ratio_of(b, cell, target, METRIC_TIME);
}

struct spread result_ratio_of(
	const struct bench *b, unsigned int cell, unsigned int target, enum metric metric)
{
	const struct result *r = result_of(b, cell, target), *base = result_of(b, cell, 0);
	AUTO_FREE double *values = calloc(b->rounds + 1, sizeof(*values));
	AUTO_FREE double *bases = calloc(b->rounds + 1, sizeof(*bases));
	size_t n = 0;

	for (unsigned int i = 0; values && bases && i < b->rounds; i++)
		if (r->samples[i].operations && base->samples[i].operations &&
			of_sample(&base->samples[i], metric) > 0) {
			values[n] = of_sample(&r->samples[i], metric);
			bases[n++] = of_sample(&base->samples[i], metric);
		}
	return ratio_of(values, bases, n);
}

uint64_t result_operations(const struct bench *b, unsigned int cell, unsigned int target)
{
	const struct result *r = result_of(b, cell, target);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < b->rounds; i++)
		sum += r->samples[i].operations;
	return sum;
}
