// SPDX-License-Identifier: BSD-2-Clause
/* The histogram of `causeway bench` beside the sorted values themselves; medians and quartiles. */
#include "unit.h"

#include <math.h>

#include "bench/stats.h"

#define VALUES 20000
/* What stats.h promises, in parts of the value. */
#define WRONG_BY (1.0 / (2 << HISTOGRAM_BITS))

static struct histogram h;
static uint64_t values[VALUES];

static int setup(void **state)
{
	h = (struct histogram){0};
	return 0;
}

static int in_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void check_values(unsigned int n)
{
	static const double parts[] = {0.0001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

	qsort(values, n, sizeof(values[0]), in_order);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t rank = max_t(size_t, ceil(parts[i] * n), 1);
		double want = (double)values[rank - 1];
		double got = (double)histogram_value(&h, parts[i]);

		if (fabs(got - want) > want * WRONG_BY)
			fail_msg("%g of %u values: %.0f, not %.0f", parts[i], n, got, want);
	}
	assert_true(histogram_value(&h, 1) == values[n - 1]);
}

/* Times of all sizes, from nanoseconds to minutes, as many of each. */
static void test_percentiles(void **state)
{
	uint32_t seed = 1;

	for (unsigned int i = 0; i < VALUES; i++) {
		unsigned int bits = unit_random(&seed) % 40;

		values[i] = (1ull << bits) + (((uint64_t)unit_random(&seed) << 32 |
			unit_random(&seed)) & ((1ull << bits) - 1));
		histogram_add(&h, values[i]);
	}
	check_values(VALUES);
}

/* Each value alone, around the edges of the cells. */
static void test_edges(void **state)
{
	for (unsigned int bits = 0; bits < HISTOGRAM_RANGE; bits++) {
		for (int d = -2; d <= 2; d++) {
			uint64_t value = (1ull << bits) + (uint64_t)d, got;

			if (bits < 2 || value >> HISTOGRAM_RANGE)
				continue;
			h = (struct histogram){0};
			histogram_add(&h, value);
			histogram_add(&h, UINT64_MAX);
			got = histogram_value(&h, 0.5);
			if (fabs((double)got - (double)value) > (double)value * WRONG_BY)
				fail_msg("%llu is told as %llu", (unsigned long long)value,
					(unsigned long long)got);
		}
	}
	for (uint64_t value = 0; value < 1 << HISTOGRAM_BITS; value++) {
		h = (struct histogram){0};
		histogram_add(&h, value);
		histogram_add(&h, 1000);
		assert_true(histogram_value(&h, 0.5) == value);
	}
}

static void test_extremes(void **state)
{
	assert_true(histogram_value(&h, 0.5) == 0);
	histogram_add(&h, 0);
	assert_true(histogram_value(&h, 0.5) == 0);
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, UINT64_MAX);
	assert_true(h.count == 3);
	assert_true(histogram_value(&h, 1) == UINT64_MAX);
	assert_true(histogram_value(&h, 0.5) >> (HISTOGRAM_RANGE - 1) == 1);
}

static void test_merge(void **state)
{
	static struct histogram other;
	uint32_t seed = 7;

	for (unsigned int i = 0; i < 1000; i++) {
		values[i] = unit_random(&seed) % 5000000;
		histogram_add(i % 3 ? &h : &other, values[i]);
	}
	histogram_merge(&h, &other);
	assert_true(h.count == 1000);
	check_values(1000);
}

static void check_spread(double *of, size_t n, double low, double median, double high)
{
	struct spread s = spread_of(of, n);

	assert_true(fabs(s.low - low) < 1e-9);
	assert_true(fabs(s.median - median) < 1e-9);
	assert_true(fabs(s.high - high) < 1e-9);
}

static void test_spread(void **state)
{
	check_spread(NULL, 0, 0, 0, 0);
	check_spread((double[]){3}, 1, 3, 3, 3);
	check_spread((double[]){4, 2}, 2, 2.5, 3, 3.5);
	check_spread((double[]){5, 1, 4, 2, 3}, 5, 2, 3, 4);
	check_spread((double[]){8, 1, 7, 2, 6, 3, 5, 4}, 8, 2.75, 4.5, 6.25);
}

/* The ratio is that of the medians; where all pairs have one ratio there is no doubt of it, and
 * where they have not the doubt is no larger than between them. */
static void test_ratio(void **state)
{
	struct spread s = ratio_of(NULL, NULL, 0);

	assert_true(s.median == 0 && s.low == 0 && s.high == 0);
	s = ratio_of((double[]){6, 2, 4}, (double[]){3, 1, 2}, 3);
	assert_true(s.median == 2 && s.low == 2 && s.high == 2);
	s = ratio_of((double[]){3, 9, 5, 4, 90}, (double[]){2, 2, 2, 2, 2}, 5);
	assert_true(s.median == 2.5);
	assert_true(1.5 <= s.low && s.low < 2.5);
	assert_true(2.5 < s.high && s.high <= 4.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_percentiles, setup),
		cmocka_unit_test_setup(test_edges, setup),
		cmocka_unit_test_setup(test_extremes, setup),
		cmocka_unit_test_setup(test_merge, setup),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_ratio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
