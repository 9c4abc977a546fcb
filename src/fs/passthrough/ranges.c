// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* What a change can leave in place of those that it meets: a rest before, itself, a rest behind. */
#define PARTS 3

/* How a change turns out: ranges from first to last (not included) become n others. */
struct outcome {
	size_t first, last;
	struct range part[PARTS];
	size_t n;
};

int ranges_reserve(struct ranges *r)
{
	size_t room = r->room ? 2 * r->room : 4;
	struct range *bigger;

	if (r->n + PARTS - 1 <= r->room)
		return 0;
	bigger = reallocarray(r->at, room, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	r->at = bigger;
	r->room = room;
	return 0;
}

/* The first range that ends at an offset or behind it. */
static size_t first_behind(const struct ranges *r, uint64_t offset)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->at[middle].end < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_part(struct outcome *o, struct range part, uint64_t start, uint64_t end)
{
	part.start = start;
	part.end = end;
	o->part[o->n++] = part;
}

/* Offsets end at INT64_MAX: one more does not overflow. */
static struct outcome work_out(const struct ranges *r, const struct range *change)
{
	struct outcome o = {
		.first = first_behind(r, change->start > 0 ? change->start - 1 : 0)};
	struct range whole = *change, behind = {.type = F_UNLCK};

	for (o.last = o.first; o.last < r->n && r->at[o.last].start <= change->end + 1; o.last++) {
		const struct range *old = &r->at[o.last];

		if (old->type == change->type) {
			whole.start = min_t(uint64_t, whole.start, old->start);
			whole.end = max_t(uint64_t, whole.end, old->end);
			continue;
		}
		if (old->start < change->start)
			add_part(&o, *old, old->start,
				min_t(uint64_t, old->end, change->start - 1));
		if (old->end > change->end) {
			behind = *old;
			behind.start = max_t(uint64_t, old->start, change->end + 1);
		}
	}
	if (change->type != F_UNLCK)
		o.part[o.n++] = whole;
	if (behind.type != F_UNLCK)
		o.part[o.n++] = behind;
	return o;
}

int ranges_growth(const struct ranges *r, const struct range *change)
{
	struct outcome o = work_out(r, change);

	return (int)((ptrdiff_t)o.n - (ptrdiff_t)(o.last - o.first));
}

void ranges_set(struct ranges *r, const struct range *change)
{
	struct outcome o = work_out(r, change);

	memmove(r->at + o.first + o.n, r->at + o.last, (r->n - o.last) * sizeof(*r->at));
	memcpy(r->at + o.first, o.part, o.n * sizeof(*r->at));
	r->n = r->n - (o.last - o.first) + o.n;
}

const struct range *ranges_find(const struct ranges *r, uint64_t start, uint64_t end)
{
	size_t i = first_behind(r, start);

	return i < r->n && r->at[i].start <= end ? &r->at[i] : NULL;
}

const struct range *ranges_conflict(const struct ranges *r, const struct range *wanted)
{
	for (size_t i = first_behind(r, wanted->start);
		i < r->n && r->at[i].start <= wanted->end; i++) {
		if (r->at[i].type == F_WRLCK || wanted->type == F_WRLCK)
			return &r->at[i];
	}
	return NULL;
}

void ranges_free(struct ranges *r)
{
	free(r->at);
	*r = (struct ranges){0};
}
