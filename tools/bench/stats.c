// SPDX-License-Identifier: BSD-2-Clause

#include "stats.h"

#include <math.h>
#include <stdlib.h>

#define HALF (1ull << HISTOGRAM_BITS)

static unsigned int cell_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < HALF)
		return (unsigned int)ns;
	if (ns >> HISTOGRAM_RANGE)
		return HISTOGRAM_CELLS - 1;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - HISTOGRAM_BITS;
	return ((shift + 1) << HISTOGRAM_BITS) + (unsigned int)((ns >> shift) - HALF);
}

static uint64_t middle_of(unsigned int cell)
{
	unsigned int shift = cell >> HISTOGRAM_BITS;
	uint64_t first = cell & (HALF - 1);

	if (shift == 0)
		return first;
	shift--;
	return ((first + HALF) << shift) + ((1ull << shift) - 1) / 2;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	h->cells[cell_of(ns)]++;
	h->count++;
	if (ns > h->max)
		h->max = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *h)
{
	for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
		into->cells[i] += h->cells[i];
	into->count += h->count;
	if (h->max > into->max)
		into->max = h->max;
}

uint64_t histogram_value(const struct histogram *h, double part)
{
	uint64_t rank = (uint64_t)ceil(part * (double)h->count), seen = 0, value;
	unsigned int i = 0;

	if (h->count == 0)
		return 0;
	if (rank < 1)
		rank = 1;
	if (rank >= h->count)
		return h->max;
	while (i < HISTOGRAM_CELLS - 1 && (seen += h->cells[i]) < rank)
		i++;
	value = middle_of(i);
	return value < h->max ? value : h->max;
}

static int in_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// Between two values it is as far as `part` says.
static double quantile(const double *sorted, size_t n, double part)
{
	double at = part * (double)(n - 1);
	size_t i = (size_t)at;

	if (i + 1 >= n)
		return sorted[n - 1];
	return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

struct spread spread_of(double *values, size_t n)
{
	if (n == 0)
		return (struct spread){0};
	qsort(values, n, sizeof(*values), in_order);
	return (struct spread){.median = quantile(values, n, 0.5),
		.low = quantile(values, n, 0.25),
		.high = quantile(values, n, 0.75)};
}

static double median_of(double *values, size_t n)
{
	return spread_of(values, n).median;
}

// A stream of numbers that is always the same (Marsaglia's xorshift).
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct spread ratio_of(const double *values, const double *bases, size_t n)
{
	double ratios[RATIO_DRAWS] = {0}, *drawn = calloc(2 * n + 1, sizeof(*drawn));
	uint64_t state = 88172645463325252ull;
	struct spread s = {0};

	for (size_t draw = 0; drawn && n > 0 && draw <= RATIO_DRAWS; draw++) {
		double *a = drawn, *b = drawn + n, ratio;

		// The first time each pair once: the ratio itself.
		for (size_t i = 0; i < n; i++) {
			size_t pair = draw ? next_random(&state) % n : i;

			a[i] = values[pair];
			b[i] = bases[pair];
		}
		ratio = median_of(a, n) / median_of(b, n);
		if (draw)
			ratios[draw - 1] = ratio;
		else
			s.median = ratio;
	}
	free(drawn);
	if (n > 0) {
		double median = s.median;

		s = spread_of(ratios, RATIO_DRAWS);
		s.median = median;
	}
	return s;
}
