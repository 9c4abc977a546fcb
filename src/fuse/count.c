// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/count.h"

#include <stdlib.h>

#include "base/util.h"
#include "trace/ops.h"

_Static_assert(sizeof(struct fuse_numbers) % sizeof(counter) == 0, "counters, nothing else");

#define OTHER "OTHER"

void fuse_counts_init(struct fuse_counts *all)
{
	pthread_mutex_init(&all->lock, NULL);
}

void fuse_count_join(struct fuse_counts *all, struct fuse_count *c)
{
	pthread_mutex_lock(&all->lock);
	c->next = all->first;
	all->first = c;
	pthread_mutex_unlock(&all->lock);
}

static void add(struct fuse_numbers *into, const struct fuse_numbers *from)
{
	count_add_all((counter *)into, (const counter *)from, sizeof(*into));
}

void fuse_count_leave(struct fuse_counts *all, struct fuse_count *c)
{
	struct fuse_count **at = &all->first;

	pthread_mutex_lock(&all->lock);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	add(&all->ended, &c->numbers);
	pthread_mutex_unlock(&all->lock);
}

static void sum_up(struct fuse_counts *all, struct fuse_numbers *sum)
{
	pthread_mutex_lock(&all->lock);
	add(sum, &all->ended);
	for (const struct fuse_count *c = all->first; c; c = c->next)
		add(sum, &c->numbers);
	pthread_mutex_unlock(&all->lock);
}

/* Of each operation that was ever asked for; at is where its counter is. */
static void ops_metrics(const struct fuse_numbers *sum, struct metrics *m, size_t at)
{
	for (uint32_t i = 0; i < FUSE_OPCODE_MAX; i++) {
		const struct fuse_op_count *op = &sum->ops[i];

		if (count_read(&op->requests))
			metrics_number(m, count_read((const counter *)((const char *)op + at)),
				"op=\"%s\"", i ? trace_opcode_name(i) : OTHER);
	}
}

static void times_metrics(const struct fuse_numbers *sum, struct metrics *m)
{
	for (uint32_t i = 0; i < FUSE_OPCODE_MAX; i++) {
		if (count_read(&sum->ops[i].requests))
			metrics_times(m, &sum->ops[i].times, "op=\"%s\"",
				i ? trace_opcode_name(i) : OTHER);
	}
}

void fuse_counts_metrics(struct fuse_counts *all, struct metrics *m)
{
	CLEANUP_FREE struct fuse_numbers *sum = calloc(1, sizeof(*sum));

	if (!sum) {
		m->failed = true;
		return;
	}
	sum_up(all, sum);
	metrics_family(m, "requests_total", METRIC_COUNTER, "Requests, by operation");
	ops_metrics(sum, m, offsetof(struct fuse_op_count, requests));
	metrics_family(m, "request_errors_total", METRIC_COUNTER,
		"Requests that were answered with an error");
	ops_metrics(sum, m, offsetof(struct fuse_op_count, errors));
	metrics_family(m, "request_seconds", METRIC_HISTOGRAM,
		"Time from the ring to the reply, of some of the requests");
	times_metrics(sum, m);
	metrics_family(m, "file_bytes_total", METRIC_COUNTER,
		"Bytes of files that READ returned and WRITE took");
	metrics_number(m, count_read(&sum->read), "direction=\"read\"");
	metrics_number(m, count_read(&sum->written), "direction=\"written\"");
}
