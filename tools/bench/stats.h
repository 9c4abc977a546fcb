// SPDX-License-Identifier: BSD-2-Clause
//
// Counting what was measured: times in histograms, rounds by their quartiles.

#ifndef CAUSEWAY_TOOLS_BENCH_STATS_H
#define CAUSEWAY_TOOLS_BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

// A histogram of nanoseconds whose cells grow with what they count (log-linear): below
// 2^HISTOGRAM_BITS each value has a cell of its own, above that each power of two has
// 2^HISTOGRAM_BITS. A value is told by the middle of its cell, so it is wrong by no more than one
// part in 2^(HISTOGRAM_BITS + 1): 0.4 %. The largest value is kept as it was; values of
// 2^HISTOGRAM_RANGE ns (73 minutes) and more all count as the last cell.
#define HISTOGRAM_BITS 7
#define HISTOGRAM_RANGE 42
#define HISTOGRAM_CELLS ((HISTOGRAM_RANGE - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t count, max;
	uint64_t cells[HISTOGRAM_CELLS];
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *h);

// The value that `part` (above 0, 1 at most) of all values do not exceed; 0 of an empty one.
uint64_t histogram_value(const struct histogram *h, double part);

// What several rounds came to: the median, and between which values the middle half of them lies.
// Zero of no values at all. `values` is put in order.
struct spread {
	double median, low, high;
};

struct spread spread_of(double *values, size_t n);

// The ratio of two medians, of values that were measured in pairs, and how far it is to be trusted:
// `low` and `high` hold the middle half of what it is when so many pairs are drawn from these again
// and again (the bootstrap). The same in every run. Zero of no pairs.
#define RATIO_DRAWS 200
struct spread ratio_of(const double *values, const double *bases, size_t n);

#endif
