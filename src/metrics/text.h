// SPDX-License-Identifier: BSD-2-Clause
/*
 * Metrics as text, in the format of Prometheus (text format 0.0.4): what `causeway top` and
 * monitoring read of a daemon.
 *
 * A family is begun by its name, which gets "causeway_" before it; its samples follow it. Where
 * memory runs out the text stays what it was, and metrics_end() says so.
 */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/histogram.h"

#define METRICS_MAX ((size_t)1 << 20) /* bytes of a text */
#define METRICS_LAST "# EOF\n"        /* its last line: who has this has all of it */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metrics {
	char *text; /* free(3) */
	size_t len, room;
	bool failed;
	const char *family;
};

void metrics_family(struct metrics *m, const char *name, enum metric_type type, const char *help);

/* A sample of the family. labels: NAME="VALUE",... or "". */
void metrics_number(struct metrics *m, uint64_t value, const char *labels, ...)
	__attribute__((format(printf, 3, 4)));
/* The same of nanoseconds, told in seconds. */
void metrics_seconds(struct metrics *m, uint64_t ns, const char *labels, ...)
	__attribute__((format(printf, 3, 4)));

/* All samples of one histogram of the family. */
void metrics_times(struct metrics *m, const struct times *t, const char *labels, ...)
	__attribute__((format(printf, 3, 4)));
void metrics_sizes(struct metrics *m, const struct sizes *s, const char *labels, ...)
	__attribute__((format(printf, 3, 4)));

/* A value of a label as it is written between quotes, cut where it is longer than the room. */
#define METRICS_VALUE 256
struct metrics_value {
	char s[METRICS_VALUE];
};
struct metrics_value metrics_value(const char *text);

/* Ends the text: 0 or -ENOMEM. */
int metrics_end(struct metrics *m);

#endif
