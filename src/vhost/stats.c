// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the queues count, for the log and for monitoring.
 */
#include "base/log.h"
#include "base/util.h"
#include "vhost/backend.h"

_Static_assert(sizeof(struct vhost_queue_stats) % sizeof(counter) == 0, "counters, nothing else");

void vhost_queue_clear_stats(struct vhost_queue *q)
{
	count_clear_all((counter *)&q->stats, sizeof(q->stats));
}

static bool was_used(const struct vhost_queue *q)
{
	const struct vhost_queue_stats *s = &q->stats;

	return count_read(&s->requests) || count_read(&s->kicks) || count_read(&s->errors);
}

void vhost_backend_log_stats(const struct vhost_backend *dev)
{
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		const struct vhost_queue_stats *s = &dev->queues[i].stats;

		if (was_used(&dev->queues[i]))
			log_info("queue %u: %llu requests, %llu kicks, %llu calls, %llu errors", i,
				(unsigned long long)count_read(&s->requests),
				(unsigned long long)count_read(&s->kicks),
				(unsigned long long)count_read(&s->calls),
				(unsigned long long)count_read(&s->errors));
	}
}

/* Families of one value for each queue. */
static const struct row {
	const char *family, *help;
	enum metric_type type;
	bool time;
	size_t at; /* in struct vhost_queue_stats */
} rows[] = {
#define ROW(name, of, kind, is_time, text)                                                         \
	{.family = "queue_" name, .help = (text), .type = METRIC_##kind, .time = (is_time),        \
		.at = offsetof(struct vhost_queue_stats, of)}
	ROW("requests_total", requests, COUNTER, false, "Requests that came by a queue"),
	ROW("kicks_total", kicks, COUNTER, false, "Times that the guest's kick woke its thread"),
	ROW("calls_total", calls, COUNTER, false, "Times that the guest was called"),
	ROW("errors_total", errors, COUNTER, false, "Times that the guest broke it"),
	ROW("borrowed_total", borrowed, COUNTER, false,
		"Of its requests, those that another queue's thread answered while it polled"),
	ROW("answered_beside_total", beside, COUNTER, false,
		"Answers that the thread which had them gave back itself, as the queue's slept"),
	ROW("depth", depth, GAUGE, false,
		"Requests that waited behind another when it was last looked at"),
	ROW("depth_max", depth_max, GAUGE, false, "The most that ever waited there"),
	ROW("poll_caught_total", caught, COUNTER, false,
		"Times that polling found a request before the thread slept"),
	ROW("poll_missed_total", missed, COUNTER, false, "Times that polling found nothing"),
	ROW("poll_skipped_total", skipped, COUNTER, false,
		"Times that nothing was polled since it had not paid before"),
	ROW("poll_caught_seconds_total", caught_ns, COUNTER, true,
		"Time spent polling that found a request"),
	ROW("poll_missed_seconds_total", missed_ns, COUNTER, true,
		"Time spent polling that found nothing"),
	ROW("poll_window_seconds", window_ns, GAUGE, true, "How long polling lasts now"),
#undef ROW
};

static void row_metrics(const struct vhost_backend *dev, const struct row *row, struct metrics *m)
{
	metrics_family(m, row->family, row->type, row->help);
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		const struct vhost_queue *q = &dev->queues[i];
		uint64_t n = count_read((const counter *)((const char *)&q->stats + row->at));

		if (!was_used(q))
			continue;
		if (row->time)
			metrics_seconds(m, n, "queue=\"%u\"", i);
		else
			metrics_number(m, n, "queue=\"%u\"", i);
	}
}

static unsigned int deferred_now(struct vhost_queue *q)
{
	unsigned int n;

	pthread_mutex_lock(&q->deferred.lock);
	n = q->deferred.count;
	pthread_mutex_unlock(&q->deferred.lock);
	return n;
}

void vhost_backend_metrics(struct vhost_backend *dev, struct metrics *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		row_metrics(dev, &rows[i], m);
	metrics_family(m, "queue_deferred", METRIC_GAUGE,
		"Requests that are answered beside their queue, and are not yet");
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		if (was_used(&dev->queues[i]))
			metrics_number(m, deferred_now(&dev->queues[i]), "queue=\"%u\"", i);
	}
	metrics_family(m, "queue_batch", METRIC_HISTOGRAM,
		"Answers that were shown to the guest at once");
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		if (was_used(&dev->queues[i]))
			metrics_sizes(m, &dev->queues[i].stats.batches, "queue=\"%u\"", i);
	}
}
