// SPDX-License-Identifier: BSD-2-Clause
//
// What is shown, from two lots of samples: what is counted as differences, what is measured as it
// is now.

#include "top.h"

#include "../table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 128	// queues or operations
#define BUCKETS_MAX 64 // of a histogram
#define UPTIME_MAX 1e12 // seconds

// How much a counter grew; one that is smaller than before began again.
static double grown(const struct view *v, const char *name, const char *key, const char *value)
{
	double now = samples_sum(v->now, name, key, value);
	double before = v->before ? samples_sum(v->before, name, key, value) : 0;

	return now >= before ? now - before : now;
}

static double rate(const struct view *v, const char *name, const char *key, const char *value)
{
	return v->seconds > 0 ? grown(v, name, key, value) / v->seconds : 0;
}

static double gauge(const struct view *v, const char *name, const char *key, const char *value)
{
	return samples_sum(v->now, name, key, value);
}

// `part` of the whole in per cent, or "-" where there is nothing.
#define PERCENT(part, whole) percent((char[TABLE_NUMBER]){""}, (part), (whole))
static const char *percent(char buffer[TABLE_NUMBER], double part, double whole)
{
	if (whole <= 0)
		return "-";
	snprintf(buffer, TABLE_NUMBER, "%.1f %%", 100 * part / whole);
	return buffer;
}

// Bytes, in units of 1024.
#define BYTES(n) bytes((char[TABLE_NUMBER]){""}, (n))
static const char *bytes(char buffer[TABLE_NUMBER], double n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned int i = 0;

	for (; n >= 1023.5 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		n /= 1024;
	snprintf(buffer, TABLE_NUMBER, i && n < 99.95 ? "%.1f %s" : "%.0f %s", n, units[i]);
	return buffer;
}

// What is counted one by one, as it is now.
#define NUMBER(n) number((char[TABLE_NUMBER]){""}, (n))
static const char *number(char buffer[TABLE_NUMBER], double n)
{
	if (n >= 1000)
		return table_count(buffer, n);
	snprintf(buffer, TABLE_NUMBER, "%.0f", n);
	return buffer;
}

struct bucket {
	double edge, count;
};

static int by_edge(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	return x->edge < y->edge ? -1 : x->edge > y->edge;
}

// What several daemons have in one bucket is one.
static void add_bucket(struct bucket *buckets, unsigned int *n, double edge, double count)
{
	for (unsigned int i = 0; i < *n; i++)
		if (buckets[i].edge == edge) {
			buckets[i].count += count;
			return;
		}
	if (*n < BUCKETS_MAX)
		buckets[(*n)++] = (struct bucket){edge, count};
}

static void add_buckets(struct bucket *buckets, unsigned int *n, const struct samples *s,
	const char *name, const char *op, double sign)
{
	char label[TOP_LABEL];

	for (size_t i = 0; i < s->n; i++) {
		const struct sample *one = &s->v[i];

		if (strcmp(one->name, name) || !sample_label(one, "op", label) || strcmp(label, op))
			continue;
		if (sample_label(one, "le", label))
			add_bucket(buckets, n, strtod(label, NULL), sign * one->value);
	}
}

double view_quantile(const struct view *v, const char *name, const char *op, double part)
{
	struct bucket buckets[BUCKETS_MAX];
	double below = 0, from = 0, wanted;
	unsigned int n = 0;

	add_buckets(buckets, &n, v->now, name, op, 1);
	if (v->before)
		add_buckets(buckets, &n, v->before, name, op, -1);
	qsort(buckets, n, sizeof(*buckets), by_edge);
	if (!n || buckets[n - 1].count <= 0)
		return -1;
	wanted = part * buckets[n - 1].count;
	for (unsigned int i = 0; i < n; i++) {
		if (buckets[i].count >= wanted && buckets[i].count > below) {
			// Above the last edge nobody knows how far.
			if (isinf(buckets[i].edge))
				return from;
			return from + (buckets[i].edge - from) * (wanted - below) /
					      (buckets[i].count - below);
		}
		below = buckets[i].count;
		from = buckets[i].edge;
	}
	return from;
}

// The values of a label, each once, in the order in which they come.
struct keys {
	char v[KEYS_MAX][24];
	unsigned int n;
};

static void keys_of(struct keys *keys, const struct samples *s, const char *name, const char *key)
{
	char label[TOP_LABEL];

	keys->n = 0;
	for (size_t i = 0; i < s->n && keys->n < KEYS_MAX; i++) {
		unsigned int k = 0;

		if (strcmp(s->v[i].name, name) || !sample_label(&s->v[i], key, label))
			continue;
		label[sizeof(keys->v[0]) - 1] = 0;
		while (k < keys->n && strcmp(keys->v[k], label))
			k++;
		if (k == keys->n)
			strcpy(keys->v[keys->n++], label);
	}
}

static void print_title(const struct view *v, FILE *f)
{
	char version[TOP_LABEL] = "", directory[TOP_LABEL] = "", tag[TOP_LABEL] = "";
	// Whatever it says, it is a number.
	const double told = fmax(gauge(v, "uptime_seconds", NULL, NULL), 0);
	const unsigned long up = (unsigned long)fmin(told, UPTIME_MAX);
	unsigned int shares = 0;

	for (size_t i = 0; i < v->now->n; i++) {
		const struct sample *s = &v->now->v[i];

		if (strcmp(s->name, "share_info"))
			continue;
		shares++;
		sample_label(s, "version", version);
		sample_label(s, "directory", directory);
		sample_label(s, "tag", tag);
	}
	if (shares == 1)
		fprintf(f, "causewayd %s, %s%s%s, up %lu:%02lu:%02lu, %s\n", version, directory,
			*tag ? " as " : "", tag, up / 3600, up / 60 % 60, up % 60, v->title);
	else
		fprintf(f, "%u daemons, %s\n", shares, v->title);
}

static void print_summary(const struct view *v, FILE *f)
{
	const double kept = grown(v, "node_uses_total", "descriptor", "kept");
	const double opened = grown(v, "node_uses_total", "descriptor", "opened");
	const double spare = grown(v, "opens_total", "descriptor", "kept");
	const double anew = grown(v, "opens_total", "descriptor", "opened");
	const double same = grown(v, "credentials_total", "switched", "no");
	const double switched = grown(v, "credentials_total", "switched", "yes");
	const double by_handle = rate(v, "node_reopens_total", "by", "handle");
	const double by_name = rate(v, "node_reopens_total", "by", "name");

	fprintf(f, "requests %s/s, errors %s/s, read %s/s, written %s/s\n",
		TABLE_COUNT(rate(v, "requests_total", NULL, NULL)),
		TABLE_COUNT(rate(v, "request_errors_total", NULL, NULL)),
		BYTES(rate(v, "file_bytes_total", "direction", "read")),
		BYTES(rate(v, "file_bytes_total", "direction", "written")));
	fprintf(f, "nodes %s with a descriptor, %s without, %s; used with it %s; cooled %s/s\n",
		NUMBER(gauge(v, "nodes", "descriptor", "kept")),
		NUMBER(gauge(v, "nodes", "descriptor", "none")),
		BYTES(gauge(v, "node_bytes", NULL, NULL)), PERCENT(kept, kept + opened),
		TABLE_COUNT(rate(v, "nodes_cooled_total", NULL, NULL)));
	fprintf(f,
		"names %s/s known, %s/s looked at, %s/s opened; nodes opened again %s/s, by handle "
		"%s\n",
		TABLE_COUNT(rate(v, "names_total", "opened", "no")),
		TABLE_COUNT(rate(v, "names_total", "opened", "later")),
		TABLE_COUNT(rate(v, "names_total", "opened", "yes")),
		TABLE_COUNT(by_handle + by_name),
		PERCENT(by_handle, by_handle + by_name));
	fprintf(f,
		"open %s, %s by what was kept; pins %s, used %s/s; descriptors %s of %s; "
		"listings %s; lock waits %s; rights kept %s\n",
		NUMBER(gauge(v, "handles", NULL, NULL)), PERCENT(spare, spare + anew),
		NUMBER(gauge(v, "pins", NULL, NULL)),
		TABLE_COUNT(rate(v, "pin_uses_total", NULL, NULL)),
		NUMBER(gauge(v, "descriptors", NULL, NULL)),
		NUMBER(gauge(v, "descriptors_max", NULL, NULL)),
		BYTES(gauge(v, "listing_bytes", NULL, NULL)),
		NUMBER(gauge(v, "locks", "what", "waits")), PERCENT(same, same + switched));
	fprintf(f, "pool %s threads, %s busy, %s jobs wait, %s/s; too many %s/s\n",
		NUMBER(gauge(v, "pool_threads", NULL, NULL)),
		NUMBER(gauge(v, "pool_jobs", "state", "running")),
		NUMBER(gauge(v, "pool_jobs", "state", "waiting")),
		TABLE_COUNT(rate(v, "pool_jobs_total", NULL, NULL)),
		TABLE_COUNT(rate(v, "pool_full_total", NULL, NULL)));
}

static void print_window(const struct view *v, FILE *f)
{
	if (!samples_has(v->now, "dax_claims"))
		return;
	fprintf(f, "window %s claims, %s pieces, %s mapped, %s copied; maps %s/s, refused %s/s\n",
		NUMBER(gauge(v, "dax_claims", NULL, NULL)),
		NUMBER(gauge(v, "dax_pieces", NULL, NULL)),
		BYTES(gauge(v, "dax_bytes", "what", "mapped")),
		BYTES(gauge(v, "dax_bytes", "what", "copied")),
		TABLE_COUNT(rate(v, "dax_changes_total", "what", "map")),
		TABLE_COUNT(rate(v, "dax_changes_total", "what", "refused")));
}

static void print_table(const struct view *v, FILE *f)
{
	if (!samples_has(v->now, "table_slots"))
		return;
	fprintf(f,
		"table %s words, %s, %s; looks %s/s, marks %s/s, epochs %s/s, distrusts %s/s, "
		"host changes %s/s\n",
		NUMBER(gauge(v, "table_slots", NULL, NULL)),
		gauge(v, "table_good", NULL, NULL) > 0 ? "good" : "not trusted",
		gauge(v, "table_watched", NULL, NULL) > 0 ? "watched" : "not watched",
		TABLE_COUNT(rate(v, "table_looks_total", NULL, NULL)),
		TABLE_COUNT(rate(v, "table_marks_total", NULL, NULL)),
		TABLE_COUNT(rate(v, "table_epochs_total", NULL, NULL)),
		TABLE_COUNT(rate(v, "table_distrusts_total", NULL, NULL)),
		TABLE_COUNT(rate(v, "table_host_changes_total", NULL, NULL)));
}

static void print_queues(const struct view *v, FILE *f)
{
	static const char *const heads[] = {"QUEUE", "requests/s", "kicks/s", "calls/s", "batch",
		"depth", "max", "deferred", "polls paid", "wasted", "borrowed"};
	struct table t = {.columns = sizeof(heads) / sizeof(heads[0]), .left = 1};
	struct keys keys;

	keys_of(&keys, v->now, "queue_requests_total", "queue");
	for (unsigned int i = 0; i < t.columns; i++)
		table_cell(&t, "%s", heads[i]);
	for (unsigned int i = 0; i < keys.n; i++) {
		const char *q = keys.v[i];
		double caught = grown(v, "queue_poll_caught_total", "queue", q);
		double missed = grown(v, "queue_poll_missed_total", "queue", q);
		double shown = grown(v, "queue_batch_count", "queue", q);
		double wasted = grown(v, "queue_poll_missed_seconds_total", "queue", q);
		double requests = grown(v, "queue_requests_total", "queue", q);

		table_cell(&t, "%s", q);
		table_cell(&t, "%s", TABLE_COUNT(rate(v, "queue_requests_total", "queue", q)));
		table_cell(&t, "%s", TABLE_COUNT(rate(v, "queue_kicks_total", "queue", q)));
		table_cell(&t, "%s", TABLE_COUNT(rate(v, "queue_calls_total", "queue", q)));
		table_cell(&t, "%s",
			shown > 0 ? TABLE_COUNT(grown(v, "queue_batch_sum", "queue", q) / shown)
				  : "-");
		table_cell(&t, "%s", NUMBER(gauge(v, "queue_depth", "queue", q)));
		table_cell(&t, "%s", NUMBER(gauge(v, "queue_depth_max", "queue", q)));
		table_cell(&t, "%s", NUMBER(gauge(v, "queue_deferred", "queue", q)));
		table_cell(&t, "%s", PERCENT(caught, caught + missed));
		// Of a processor.
		table_cell(&t, "%s", PERCENT(wasted, v->seconds));
		table_cell(&t, "%s",
			PERCENT(grown(v, "queue_borrowed_total", "queue", q), requests));
	}
	table_print(&t, f, false);
	table_free(&t);
}

// An operation, and the time that all its requests took, of which some were measured.
struct op {
	const char *name;
	double requests, mean, total;
};

static struct op op_of(const struct view *v, const char *name)
{
	struct op op = {.name = name, .requests = grown(v, "requests_total", "op", name)};
	double count = grown(v, "request_seconds_count", "op", name);

	op.mean = count > 0 ? grown(v, "request_seconds_sum", "op", name) / count : 0;
	op.total = op.mean * op.requests;
	return op;
}

static int by_total(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void print_time(struct table *t, double seconds)
{
	table_cell(t, "%s", seconds >= 0 ? TABLE_TIME(seconds * 1e9) : "-");
}

static void print_ops(const struct view *v, FILE *f)
{
	static const char *const heads[] = {"OPERATION", "requests/s", "errors/s", "time", "mean",
		"p50", "p99"};
	struct table t = {.columns = sizeof(heads) / sizeof(heads[0]), .left = 1};
	struct op ops[KEYS_MAX];
	struct keys keys;
	unsigned int n = 0;

	keys_of(&keys, v->now, "requests_total", "op");
	for (unsigned int i = 0; i < keys.n; i++) {
		ops[n] = op_of(v, keys.v[i]);
		n += ops[n].requests > 0;
	}
	qsort(ops, n, sizeof(*ops), by_total);
	for (unsigned int i = 0; i < t.columns; i++)
		table_cell(&t, "%s", heads[i]);
	for (unsigned int i = 0; i < n; i++) {
		const char *name = ops[i].name;

		table_cell(&t, "%s", name);
		table_cell(&t, "%s", TABLE_COUNT(rate(v, "requests_total", "op", name)));
		table_cell(&t, "%s", TABLE_COUNT(rate(v, "request_errors_total", "op", name)));
		table_cell(&t, "%s", PERCENT(ops[i].total, v->seconds));
		print_time(&t, ops[i].mean > 0 ? ops[i].mean : -1);
		print_time(&t, view_quantile(v, "request_seconds_bucket", name, 0.5));
		print_time(&t, view_quantile(v, "request_seconds_bucket", name, 0.99));
	}
	table_print(&t, f, false);
	table_free(&t);
}

void view_print(const struct view *v, FILE *f)
{
	print_title(v, f);
	print_summary(v, f);
	print_window(v, f);
	print_table(v, f);
	fputc('\n', f);
	print_queues(v, f);
	fputc('\n', f);
	print_ops(v, f);
}
