// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/counters.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "metrics/tally.h"

void counters_log_nodes(const struct counters *c)
{
	struct fs_count n;

	c->fs->ops->count(c->fs, &n);
	log_info("nodes: %zu known, handles: %zu open; %zu nodes cold, %zu bytes of nodes, "
		 "%zu bytes of listings; locks: %zu owners, %zu ranges, %zu waits",
		n.nodes, n.handles, n.cold, n.node_bytes, n.listing_bytes,
		n.lock_owners, n.lock_ranges, n.lock_waits);
}

static void log_window(const struct counters *c)
{
	struct dax_count n;

	if (!c->window)
		return;
	dax_window_count(c->window, &n);
	log_info("dax: %zu claims, %zu pieces, %zu bytes mapped, %zu copied; "
		 "%llu maps, %llu unmaps, %llu refused, %llu replaced",
		n.claims, n.pieces, n.mapped_bytes, n.copied_bytes, (unsigned long long)n.maps,
		(unsigned long long)n.unmaps, (unsigned long long)n.refused,
		(unsigned long long)n.replaced);
}

void counters_log(const struct counters *c)
{
	vhost_backend_log_stats(c->backend);
	counters_log_nodes(c);
	log_window(c);
	if (c->versions)
		versions_log(c->versions);
}

/* A family, or one more sample of the one before it, which has no help then. */
struct row {
	const char *family;
	enum metric_type type;
	const char *labels;
	uint64_t value;
	const char *help;
};

static void rows_metrics(struct metrics *m, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].help)
			metrics_family(m, rows[i].family, rows[i].type, rows[i].help);
		metrics_number(m, rows[i].value, "%s", rows[i].labels);
	}
}

static void process_metrics(const struct counters *c, struct metrics *m)
{
	struct metrics_value directory = metrics_value(c->directory);
	struct metrics_value tag = metrics_value(c->tag ? c->tag : "");

	metrics_family(m, "share_info", METRIC_GAUGE, "Which share this is; always 1");
	metrics_number(m, 1, "directory=\"%s\",tag=\"%s\",version=\"%s\"", directory.s, tag.s,
		c->version);
	metrics_family(m, "uptime_seconds", METRIC_GAUGE, "Time since the daemon was started");
	metrics_seconds(m, clock_ns(CLOCK_MONOTONIC) - c->start_ns, "%s", "");
}

static void fs_metrics(const struct counters *c, struct metrics *m)
{
	struct fs_count n;

	c->fs->ops->count(c->fs, &n);
	const struct row rows[] = {
		{"nodes", METRIC_GAUGE, "descriptor=\"kept\"",
			n.nodes - min_t(size_t, n.nodes, n.cold),
			"Inodes that the guest knows, with a descriptor of ours and without"},
		{"nodes", METRIC_GAUGE, "descriptor=\"none\"", n.cold, NULL},
		{"node_bytes", METRIC_GAUGE, "", n.node_bytes, "Memory that nodes take"},
		{"handles", METRIC_GAUGE, "", n.handles, "Files and directories that are open"},
		{"pins", METRIC_GAUGE, "", n.kept,
			"Files that are kept open for the guest, for reading or for writing"},
		{"spares", METRIC_GAUGE, "", n.spares,
			"Descriptors that are left for the next open of a file"},
		{"descriptors", METRIC_GAUGE, "", n.descriptors,
			"Descriptors that nodes, open files and the next opens have"},
		{"descriptors_max", METRIC_GAUGE, "", n.descriptors_max,
			"... and that they may have together"},
		{"listing_bytes", METRIC_GAUGE, "", n.listing_bytes,
			"Memory that listings of directories take"},
		{"locks", METRIC_GAUGE, "what=\"owners\"", n.lock_owners,
			"Locks of guests: who has some on a file, ranges, and who waits"},
		{"locks", METRIC_GAUGE, "what=\"ranges\"", n.lock_ranges, NULL},
		{"locks", METRIC_GAUGE, "what=\"waits\"", n.lock_waits, NULL},
	};

	rows_metrics(m, rows, ARRAY_SIZE(rows));
}

static void window_metrics(const struct counters *c, struct metrics *m)
{
	struct dax_count n;

	if (!c->window)
		return;
	dax_window_count(c->window, &n);
	const struct row rows[] = {
		{"dax_claims", METRIC_GAUGE, "", n.claims, "Ranges that the guest has mapped"},
		{"dax_pieces", METRIC_GAUGE, "", n.pieces, "Mappings of the VMM for them"},
		{"dax_bytes", METRIC_GAUGE, "what=\"mapped\"", n.mapped_bytes,
			"Bytes of files that are mapped, and of copies"},
		{"dax_bytes", METRIC_GAUGE, "what=\"copied\"", n.copied_bytes, NULL},
		{"dax_changes_total", METRIC_COUNTER, "what=\"map\"", n.maps,
			"What was asked of the VMM, what of that it refused, and pieces that were "
			"replaced"},
		{"dax_changes_total", METRIC_COUNTER, "what=\"unmap\"", n.unmaps, NULL},
		{"dax_changes_total", METRIC_COUNTER, "what=\"refused\"", n.refused, NULL},
		{"dax_changes_total", METRIC_COUNTER, "what=\"replaced\"", n.replaced, NULL},
	};

	rows_metrics(m, rows, ARRAY_SIZE(rows));
}

void counters_metrics(const struct counters *c, struct metrics *m)
{
	process_metrics(c, m);
	fuse_session_metrics(c->session, m);
	vhost_backend_metrics(c->backend, m);
	fs_metrics(c, m);
	window_metrics(c, m);
	if (c->versions)
		versions_metrics(c->versions, m);
	tally_metrics(m);
}
