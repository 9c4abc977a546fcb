// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/idmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define fail(...) (snprintf(error, size, __VA_ARGS__), -1)

enum effect { EACH, ONE, FORBID };

struct range {
	uint32_t from, count, to;
	enum effect effect;
	const char *rule;
};

/* Ranges of one direction, by from; they do not overlap. */
struct direction {
	struct range *at;
	size_t n;
};

struct idmap {
	struct direction to_host, to_guest;
};

static const struct kind {
	const char *name;
	bool to_host, to_guest; /* which direction it is of; both: the second one reversed */
	enum effect effect;
} kinds[] = {
	{"guest", true, false, EACH},
	{"host", false, true, EACH},
	{"map", true, true, EACH},
	{"squash-guest", true, false, ONE},
	{"squash-host", false, true, ONE},
	{"forbid-guest", true, false, FORBID},
};

/* The first range that ends behind an id; n: none does. */
static size_t place(const struct direction *dir, uint32_t id)
{
	size_t low = 0, high = dir->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct range *r = &dir->at[mid];

		if (r->from + (r->count - 1) < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct range *find(const struct direction *dir, uint32_t id)
{
	size_t i = place(dir, id);

	return i < dir->n && dir->at[i].from <= id ? &dir->at[i] : NULL;
}

static uint32_t apply(const struct range *r, uint32_t id)
{
	return r->effect == EACH ? r->to + (id - r->from) : r->to;
}

int idmap_to_host(const struct idmap *map, uint32_t *id)
{
	const struct range *r = map ? find(&map->to_host, *id) : NULL;

	if (r && r->effect == FORBID)
		return -EPERM;
	if (r)
		*id = apply(r, *id);
	return 0;
}

uint32_t idmap_to_guest(const struct idmap *map, uint32_t id)
{
	const struct range *r = map ? find(&map->to_guest, id) : NULL;

	return r ? apply(r, id) : id;
}

static int insert(struct direction *dir, const struct range *r, char *error, size_t size)
{
	size_t i = place(dir, r->from);
	struct range *bigger;

	if (i < dir->n && dir->at[i].from <= r->from + (r->count - 1))
		return fail("'%s' and '%s' translate the same ids", dir->at[i].rule, r->rule);
	bigger = reallocarray(dir->at, dir->n + 1, sizeof(*bigger));
	if (!bigger)
		return fail("'%s': %s", r->rule, strerror(ENOMEM));
	dir->at = bigger;
	memmove(bigger + i + 1, bigger + i, (dir->n - i) * sizeof(*bigger));
	bigger[i] = *r;
	dir->n++;
	return 0;
}

/* The numbers behind a rule's kind, n of them: whether there are just so many. */
static bool read_numbers(const char *text, uint32_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned long value;
		char *end;

		if (*text++ != ':' || !isdigit((unsigned char)*text))
			return false;
		errno = 0;
		value = strtoul(text, &end, 10);
		if (errno || value > UINT32_MAX)
			return false;
		numbers[i] = (uint32_t)value;
		text = end;
	}
	return *text == '\0';
}

static const struct kind *find_kind(const char *rule, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].name) == len && strncmp(rule, kinds[i].name, len) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* Whether count ids from first on exist; the highest means none. */
static bool is_range(uint32_t first, uint32_t count)
{
	return count > 0 && count <= UINT32_MAX - first;
}

static int parse(const char *rule, const struct kind **kind, struct range *r, char *error,
	size_t size)
{
	size_t len = strcspn(rule, ":");
	uint32_t numbers[3] = {0};
	bool whole;

	*kind = find_kind(rule, len);
	if (!*kind)
		return fail("'%s' begins with none of guest, host, map, squash-guest, squash-host, "
			    "forbid-guest", rule);
	whole = read_numbers(rule + len, numbers, (*kind)->effect == FORBID ? 2 : 3);
	if (!whole)
		return fail("'%s' is not of the form %s", rule, (*kind)->effect == FORBID
				? "forbid-guest:BASE:COUNT" : "TYPE:BASE:TARGET:COUNT");
	*r = (struct range){.from = numbers[0], .effect = (*kind)->effect, .rule = rule};
	r->count = (*kind)->effect == FORBID ? numbers[1] : numbers[2];
	r->to = (*kind)->effect == FORBID ? 0 : numbers[1];
	/* "All from here on" is often said with a count that goes further than ids do. */
	if (r->effect != EACH && r->from < UINT32_MAX)
		r->count = min_t(uint32_t, r->count, UINT32_MAX - r->from);
	if (!is_range(r->from, r->count) || !is_range(r->to, r->effect == EACH ? r->count : 1))
		return fail("'%s' goes beyond the ids that there are, 0 to %u, or has none", rule,
			UINT32_MAX - 1);
	return 0;
}

int idmap_add(struct idmap **map, const char *rule, char *error, size_t size)
{
	const struct kind *kind;
	struct range r, back;
	int result;

	if (parse(rule, &kind, &r, error, size) < 0)
		return -1;
	if (!*map)
		*map = calloc(1, sizeof(**map));
	if (!*map)
		return fail("'%s': %s", rule, strerror(ENOMEM));
	back = r;
	back.from = r.to;
	back.to = r.from;
	result = kind->to_host ? insert(&(*map)->to_host, &r, error, size) : 0;
	if (result == 0 && kind->to_guest)
		result = insert(&(*map)->to_guest, kind->to_host ? &back : &r, error, size);
	return result;
}

void idmap_free(struct idmap *map)
{
	if (!map)
		return;
	free(map->to_host.at);
	free(map->to_guest.at);
	free(map);
}
