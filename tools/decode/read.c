// SPDX-License-Identifier: BSD-2-Clause

#include "decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tool.h"

#define BUCKETS 4096

struct reading {
	const char *path;
	FILE *file;
	unsigned long count;              // of records
	struct exchange *open[BUCKETS];   // requests without a reply so far
	void (*each)(void *opaque, const struct exchange *x);
	void *opaque;
};

struct fuse_in_header exchange_in(const struct exchange *x)
{
	struct fuse_in_header in = {0};

	memcpy(&in, x->in, x->request.size < sizeof(in) ? x->request.size : sizeof(in));
	return in;
}

struct fuse_out_header exchange_out(const struct exchange *x)
{
	struct fuse_out_header out = {0};

	if (x->reply.kind)
		memcpy(&out, x->out, x->reply.size < sizeof(out) ? x->reply.size : sizeof(out));
	return out;
}

bool exchange_is_answered(const struct exchange *x)
{
	return !(trace_shape(x->request.opcode).flags & FUSE_OP_NO_REPLY);
}

uint64_t exchange_latency_ns(const struct exchange *x)
{
	return x->reply.kind && x->reply.time_ns > x->request.time_ns
		? x->reply.time_ns - x->request.time_ns : 0;
}

static void finish(struct reading *r, struct exchange *x)
{
	r->each(r->opaque, x);
	free(x->in);
	free(x->out);
	free(x);
}

static struct exchange **find(struct reading *r, const struct record *of)
{
	struct exchange **p = &r->open[(of->unique ^ of->unique >> 12 ^ of->queue) % BUCKETS];

	while (*p && ((*p)->request.unique != of->unique || (*p)->request.queue != of->queue))
		p = &(*p)->next;
	return p;
}

static int request(struct reading *r, const struct record *record, char *bytes)
{
	struct exchange **p = find(r, record), *x = *p;

	// The next guest counts anew.
	if (x) {
		*p = x->next;
		finish(r, x);
	}
	x = calloc(1, sizeof(*x));
	if (!x) {
		say("%s", strerror(ENOMEM));
		free(bytes);
		return -1;
	}
	x->request = *record;
	x->in = bytes;
	if (!exchange_is_answered(x)) {
		finish(r, x);
		return 0;
	}
	p = find(r, record);
	*p = x;
	return 0;
}

static int reply(struct reading *r, const struct record *record, char *bytes)
{
	struct exchange **p = find(r, record), *x = *p;

	if (!x) {
		say("%s: record %lu is a reply to nothing", r->path, r->count);
		free(bytes);
		return 0;
	}
	*p = x->next;
	x->reply = *record;
	x->out = bytes;
	finish(r, x);
	return 0;
}

// One record: 1, 0 at the end, or -1.
static int next(struct reading *r)
{
	struct record record;
	size_t n = fread(&record, 1, sizeof(record), r->file);
	char *bytes;

	if (n == 0 && !ferror(r->file))
		return 0;
	r->count++;
	if (n == sizeof(record) &&
		(record.size > RECORD_SIZE_MAX || record.size > record.length ||
			record.kind < RECORD_REQUEST || record.kind > RECORD_REPLY_WORDS)) {
		say("%s: record %lu makes no sense; is the file damaged?", r->path, r->count);
		return -1;
	}
	bytes = n == sizeof(record) ? malloc(record.size ? record.size : 1) : NULL;
	if (n < sizeof(record) || (bytes && fread(bytes, 1, record.size, r->file) < record.size)) {
		say("%s: %s in record %lu", r->path,
			ferror(r->file) ? strerror(errno) : "the file ends", r->count);
		free(bytes);
		return -1;
	}
	if (!bytes) {
		say("%s", strerror(ENOMEM));
		return -1;
	}
	return (record.kind == RECORD_REQUEST ? request(r, &record, bytes)
					      : reply(r, &record, bytes)) < 0 ? -1 : 1;
}

static int read_head(struct reading *r)
{
	struct record_head head = {0};

	if (fread(&head, 1, sizeof(head), r->file) < sizeof(head) ||
		memcmp(head.magic, RECORD_MAGIC, sizeof(head.magic))) {
		say("%s: not a recording of causewayd --record", r->path);
		return -1;
	}
	if (head.version != RECORD_VERSION) {
		say("%s: a recording of version %u; this program knows version %d", r->path,
			head.version, RECORD_VERSION);
		return -1;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct exchange *const *x = a, *const *y = b;

	return (*x)->request.time_ns < (*y)->request.time_ns ? -1
		: (*x)->request.time_ns > (*y)->request.time_ns;
}

// What was never answered, in the order in which it was asked.
static void finish_all(struct reading *r)
{
	struct exchange **all = NULL, *x;
	size_t n = 0, room = 0;

	for (int i = 0; i < BUCKETS; i++)
		for (x = r->open[i]; x; x = x->next) {
			if (n == room) {
				room = room ? 2 * room : 64;
				all = realloc(all, room * sizeof(struct exchange *));
				if (!all)
					abort();
			}
			all[n++] = x;
		}
	if (n > 0)
		qsort(all, n, sizeof(struct exchange *), by_time);
	for (size_t i = 0; i < n; i++)
		finish(r, all[i]);
	free(all);
}

int recording_read(const char *path, void (*each)(void *opaque, const struct exchange *x),
	void *opaque)
{
	struct reading *r = calloc(1, sizeof(*r));
	int ret = -1;

	if (!r) {
		say("%s", strerror(ENOMEM));
		return -1;
	}
	*r = (struct reading){.path = path, .each = each, .opaque = opaque};
	r->file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	if (!r->file) {
		say("%s: %s", path, strerror(errno));
	} else if (read_head(r) == 0) {
		while ((ret = next(r)) > 0)
			;
		finish_all(r);
	}
	if (r->file && r->file != stdin)
		fclose(r->file);
	free(r);
	return ret;
}
