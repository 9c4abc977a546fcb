// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * What is counted, and how it is told: buckets, tallies of threads that are there and that have
 * ended, the text.
 */
#include "unit.h"

#include <pthread.h>
#include <string.h>

#include "metrics/tally.h"
#include "metrics/text.h"

static unsigned int time_bucket(uint64_t ns)
{
	return histogram_bucket(ns, TIMES_FIRST, TIMES_BUCKETS);
}

/* Each bound belongs to its bucket, the next value to the next one. */
static void bounds(void **state)
{
	assert_int_equal(time_bucket(0), 0);
	for (unsigned int i = 0; i < TIMES_BUCKETS; i++) {
		uint64_t bound = UINT64_C(1) << (TIMES_FIRST + i);

		assert_int_equal(time_bucket(bound), i);
		assert_int_equal(time_bucket(bound + 1), i + 1);
		assert_int_equal(time_bucket(bound - 1), i);
	}
	assert_int_equal(time_bucket(UINT64_MAX), TIMES_BUCKETS);
	assert_int_equal(histogram_bucket(1, SIZES_FIRST, SIZES_BUCKETS), 0);
	assert_int_equal(histogram_bucket(2, SIZES_FIRST, SIZES_BUCKETS), 1);
	assert_int_equal(histogram_bucket(3, SIZES_FIRST, SIZES_BUCKETS), 2);
}

/* A text of one family. */
static char *text_of(void (*fill)(struct metrics *m))
{
	struct metrics m = {0};

	fill(&m);
	assert_int_equal(metrics_end(&m), 0);
	assert_int_equal(strlen(m.text), m.len);
	return m.text;
}

static void fill_times(struct metrics *m)
{
	struct times t = {0};

	times_add(&t, 256);
	times_add(&t, 257);
	times_add(&t, UINT64_C(1) << 40);
	metrics_family(m, "t", METRIC_HISTOGRAM, "Times");
	metrics_times(m, &t, "op=\"%s\"", "READ");
}

/* Buckets hold what is in those below them; the last one all. */
static void told_times(void **state)
{
	CLEANUP_FREE char *text = text_of(fill_times);

	assert_non_null(strstr(text, "# TYPE causeway_t histogram\n"));
	assert_non_null(strstr(text, "causeway_t_bucket{op=\"READ\",le=\"0.000000256\"} 1\n"));
	assert_non_null(strstr(text, "causeway_t_bucket{op=\"READ\",le=\"0.000000512\"} 2\n"));
	assert_non_null(strstr(text, "causeway_t_bucket{op=\"READ\",le=\"17.179869184\"} 2\n"));
	assert_non_null(strstr(text, "causeway_t_bucket{op=\"READ\",le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(text, "causeway_t_sum{op=\"READ\"} 1099.511628289\n"));
	assert_non_null(strstr(text, "causeway_t_count{op=\"READ\"} 3\n"));
	assert_string_equal(text + strlen(text) - strlen(METRICS_LAST), METRICS_LAST);
}

static void fill_plain(struct metrics *m)
{
	struct metrics_value v = metrics_value("a \"b\" \\c\n\xff");

	metrics_family(m, "n", METRIC_GAUGE, "Numbers");
	metrics_number(m, UINT64_MAX, "%s", "");
	metrics_seconds(m, 1000000001, "of=\"%s\"", v.s);
}

static void told_plainly(void **state)
{
	CLEANUP_FREE char *text = text_of(fill_plain);

	assert_string_equal(text,
		"# HELP causeway_n Numbers\n# TYPE causeway_n gauge\n"
		"causeway_n 18446744073709551615\n"
		"causeway_n{of=\"a \\\"b\\\" \\\\c??\"} 1.000000001\n" METRICS_LAST);
}

static void long_values(void **state)
{
	char name[4096];
	struct metrics_value v;

	memset(name, '"', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	v = metrics_value(name);
	assert_true(strlen(v.s) < METRICS_VALUE);
	/* An escape is whole or not there. */
	assert_int_equal(strlen(v.s) % 2, 0);
}

/* There is an end to it, and whoever gets the text is told. */
static void too_much(void **state)
{
	struct metrics m = {0};

	metrics_family(&m, "n", METRIC_GAUGE, "Numbers");
	for (size_t i = 0; i < METRICS_MAX / 16; i++)
		metrics_number(&m, i, "%s", "");
	assert_true(m.room <= METRICS_MAX);
	assert_int_equal(metrics_end(&m), -ENOMEM);
	free(m.text);
}

#define THREADS 8
#define ROUNDS  100000

static pthread_barrier_t counted, read_it;

static void *count_some(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		tally_add(TALLY_NODE_WARM, 1);
	tally_add(TALLY_TABLE_MARKS, 7);
	pthread_barrier_wait(&counted);
	pthread_barrier_wait(&read_it);
	return NULL;
}

/* What threads count is there while they are, and after their end. */
static void tallies(void **state)
{
	uint64_t warm = tally_read(TALLY_NODE_WARM), marks = tally_read(TALLY_TABLE_MARKS);
	pthread_t threads[THREADS];

	pthread_barrier_init(&counted, NULL, THREADS + 1);
	pthread_barrier_init(&read_it, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_some, NULL), 0);
	/* Readers meet writers: sums only grow. */
	for (uint64_t last = 0, now; last < THREADS * ROUNDS / 2; last = now) {
		now = tally_read(TALLY_NODE_WARM) - warm;
		assert_true(now >= last && now <= THREADS * ROUNDS);
	}
	pthread_barrier_wait(&counted);
	assert_int_equal(tally_read(TALLY_NODE_WARM) - warm, THREADS * ROUNDS);
	pthread_barrier_wait(&read_it);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(tally_read(TALLY_NODE_WARM) - warm, THREADS * ROUNDS);
	assert_int_equal(tally_read(TALLY_TABLE_MARKS) - marks, THREADS * 7);
	pthread_barrier_destroy(&counted);
	pthread_barrier_destroy(&read_it);
}

/* Each family is told once. */
static void told_tallies(void **state)
{
	CLEANUP_FREE char *text = text_of(tally_metrics);

	assert_non_null(strstr(text, "causeway_node_uses_total{descriptor=\"kept\"} "));
	assert_non_null(strstr(text, "causeway_node_uses_total{descriptor=\"opened\"} "));
	for (char *line = strstr(text, "# TYPE "); line; line = strstr(line + 1, "# TYPE ")) {
		CLEANUP_FREE char *family = strndup(line, strcspn(line, "\n"));

		assert_null(strstr(line + 1, family));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds),
		cmocka_unit_test(told_times),
		cmocka_unit_test(told_plainly),
		cmocka_unit_test(long_values),
		cmocka_unit_test(too_much),
		cmocka_unit_test(tallies),
		cmocka_unit_test(told_tallies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
