// SPDX-License-Identifier: BSD-2-Clause
#include "metrics/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define PREFIX "causeway_"
#define LABELS 640 /* bytes of all labels of a sample */
#define SECOND_NS 1000000000u

static bool make_room(struct metrics *m, size_t more)
{
	size_t room = max_t(size_t, m->room, 4096);
	char *text;

	if (m->failed)
		return false;
	while (room < m->len + more)
		room *= 2;
	if (room == m->room)
		return true;
	text = room <= METRICS_MAX ? realloc(m->text, room) : NULL;
	if (!text) {
		m->failed = true;
		return false;
	}
	m->text = text;
	m->room = room;
	return true;
}

static void add(struct metrics *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct metrics *m, const char *fmt, ...)
{
	char line[LABELS + 256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line) || !make_room(m, (size_t)n + 1)) {
		m->failed = true;
		return;
	}
	memcpy(m->text + m->len, line, (size_t)n + 1);
	m->len += (size_t)n;
}

void metrics_family(struct metrics *m, const char *name, enum metric_type type, const char *help)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	m->family = name;
	add(m, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, types[type]);
}

/* One line; bound: of a bucket, or "". */
static void sample(struct metrics *m, const char *suffix, const char *labels, const char *bound,
	const char *value)
{
	bool both = *labels && *bound, any = *labels || *bound;

	add(m, PREFIX "%s%s%s%s%s%s%s %s\n", m->family, suffix, any ? "{" : "", labels,
		both ? "," : "", bound, any ? "}" : "", value);
}

/* What the samples of one call have in common, out of the arguments behind it. */
#define FORMAT_LABELS(buffer, fmt)                                                                 \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		vsnprintf(buffer, sizeof(buffer), fmt, ap);                                        \
		va_end(ap);                                                                        \
	} while (0)

static void format_number(char value[32], uint64_t n)
{
	snprintf(value, 32, "%llu", (unsigned long long)n);
}

static void format_seconds(char value[32], uint64_t ns)
{
	snprintf(value, 32, "%llu.%09llu", (unsigned long long)(ns / SECOND_NS),
		(unsigned long long)(ns % SECOND_NS));
}

void metrics_number(struct metrics *m, uint64_t n, const char *fmt, ...)
{
	char labels[LABELS], value[32];

	FORMAT_LABELS(labels, fmt);
	format_number(value, n);
	sample(m, "", labels, "", value);
}

void metrics_seconds(struct metrics *m, uint64_t ns, const char *fmt, ...)
{
	char labels[LABELS], value[32];

	FORMAT_LABELS(labels, fmt);
	format_seconds(value, ns);
	sample(m, "", labels, "", value);
}

/* Buckets are told with all below them; times in seconds, as format writes them. */
static void histogram(struct metrics *m, const counter *n, unsigned int buckets,
	unsigned int first, uint64_t sum, const char *labels,
	void (*format)(char value[32], uint64_t n))
{
	char bound[48], edge[32], value[32];
	uint64_t below = 0;

	for (unsigned int i = 0; i <= buckets; i++) {
		below += count_read(&n[i]);
		format(edge, UINT64_C(1) << (first + i));
		snprintf(bound, sizeof(bound), "le=\"%s\"", i < buckets ? edge : "+Inf");
		format_number(value, below);
		sample(m, "_bucket", labels, bound, value);
	}
	format(value, sum);
	sample(m, "_sum", labels, "", value);
	format_number(value, below);
	sample(m, "_count", labels, "", value);
}

void metrics_times(struct metrics *m, const struct times *t, const char *fmt, ...)
{
	char labels[LABELS];

	FORMAT_LABELS(labels, fmt);
	histogram(m, t->n, TIMES_BUCKETS, TIMES_FIRST, count_read(&t->sum), labels,
		format_seconds);
}

void metrics_sizes(struct metrics *m, const struct sizes *s, const char *fmt, ...)
{
	char labels[LABELS];

	FORMAT_LABELS(labels, fmt);
	histogram(m, s->n, SIZES_BUCKETS, SIZES_FIRST, count_read(&s->sum), labels,
		format_number);
}

struct metrics_value metrics_value(const char *text)
{
	struct metrics_value v;
	size_t used = 0;

	/* Names of files are bytes; the format is UTF-8. What is no plain character is left out. */
	for (; *text && used + 3 < sizeof(v.s); text++) {
		if (*text == '"' || *text == '\\')
			v.s[used++] = '\\';
		v.s[used++] = *text >= ' ' && *text < 0x7f ? *text : '?';
	}
	v.s[used] = '\0';
	return v;
}

int metrics_end(struct metrics *m)
{
	add(m, "%s", METRICS_LAST);
	return m->failed ? -ENOMEM : 0;
}
