// SPDX-License-Identifier: BSD-2-Clause
//
// Which operations are measured, with which client.

#include "bench.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

// Loads are called as fio calls them.
static const struct {
	const char *name, *what;
	bool writes, random;
} loads[] = {
	{"read", "READ one after the other", false, false},
	{"randread", "READ at random", false, true},
	{"write", "WRITE one after the other", true, false},
	{"randwrite", "WRITE at random", true, true},
};

static const struct {
	const char *name, *what;
	size_t size;
} sizes[] = {
	{"4k", "4 KiB", 4 << 10},
	{"64k", "64 KiB", 64 << 10},
	{"1m", "1 MiB", 1 << 20},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// All cells there can be are gone through in their order; a visitor stops that with other than 0.
struct visit {
	const struct bench_options *o;
	int (*each)(struct visit *v, const struct cell *c, const char *what);
	struct cell *cells;
	unsigned int n;
};

static int visit_loads(struct visit *v, struct cell *c)
{
	const struct bench_options *o = v->o;
	unsigned int per_size = o->depths.n * o->queues.n;

	for (unsigned int i = 0; i < COUNT(loads) * COUNT(sizes) * per_size; i++) {
		unsigned int kind = i / per_size / COUNT(sizes), size = i / per_size % COUNT(sizes);
		char queues[16] = "", what[80];
		int ret;

		c->load = (struct load){.writes = loads[kind].writes,
			.random = loads[kind].random,
			.size = sizes[size].size,
			.depth = (unsigned int)o->depths.v[i % o->depths.n],
			.queues = (unsigned int)o->queues.v[i / o->depths.n % o->queues.n]};
		if (c->load.queues > 1)
			snprintf(queues, sizeof(queues), "-q%u", c->load.queues);
		snprintf(c->name, sizeof(c->name), "%s-%s-d%u%s", loads[kind].name,
			sizes[size].name, c->load.depth, queues);
		snprintf(what, sizeof(what), "%s, %s, %u in flight on %u queue%s", loads[kind].what,
			sizes[size].what, c->load.depth, c->load.queues,
			c->load.queues > 1 ? "s each" : "");
		ret = v->each(v, c, what);
		if (ret)
			return ret;
	}
	return 0;
}

static int visit_shared(struct visit *v, struct cell *c)
{
	int ret = 0;

	for (unsigned int i = 0; i < nshared_ops && !ret; i++) {
		c->shared = &shared_ops[i];
		snprintf(c->name, sizeof(c->name), "%s", c->shared->name);
		ret = v->each(v, c, c->shared->what);
	}
	return ret;
}

static int visit_all(struct visit *v)
{
	struct cell c = {.op = NULL};

	if (v->o->shared)
		return visit_shared(v, &c);
	// A window has to do with data.
	for (unsigned int i = 0; i < noperations && !v->o->dax; i++) {
		int ret;

		c.op = &operation_table[i];
		snprintf(c.name, sizeof(c.name), "%s", c.op->name);
		ret = v->each(v, &c, c.op->what);
		if (ret)
			return ret;
	}
	c.op = NULL;
	return visit_loads(v, &c);
}

// A guest's system calls have no queue that they could choose.
static bool is_possible(const struct bench_options *o, const struct cell *c)
{
	return !o->guest || !c->op || !c->op->before;
}

static int print_one(struct visit *v, const struct cell *c, const char *what)
{
	if (is_possible(v->o, c))
		printf("%-20s %s\n", c->name, what);
	return 0;
}

void cells_list(const struct bench_options *o)
{
	visit_all(&(struct visit){.o = o, .each = print_one});
}

// Whether a guest may answer it, or a part of it, from its own caches.
static bool is_cached(const struct cell *c)
{
	return c->op ? c->op->pass : !c->load.writes;
}

// Whether one of the globs matches; without any all are wanted, but for a tree that takes longest,
// and in a guest, which may be emulated, not those that take long.
static bool is_wanted(const struct bench_options *o, const struct cell *c)
{
	const char *globs = o->ops, *name = c->name;
	AUTO_FREE char *copy = globs ? format("%s", globs) : NULL;
	char *rest = copy, *glob;

	if (!is_possible(o, c))
		return false;
	while (rest && (glob = strsep(&rest, ",")))
		if (!fnmatch(glob, name, 0))
			return true;
	return !globs && !(c->op && (c->op->parts & PART_FIND || (o->guest && c->op->cold)));
}

static int add_one(struct visit *v, const struct cell *c, const char *what)
{
	if (!is_wanted(v->o, c))
		return 0;
	for (unsigned int way = 0; way < 2; way++) {
		if (!v->o->ways[way] || (v->o->guest && way == 0 && !is_cached(c)) ||
			(way == 1 && c->shared && c->shared->request))
			continue;
		v->cells = reallocarray(v->cells, v->n + 1, sizeof(*v->cells));
		if (!v->cells)
			return -1;
		v->cells[v->n] = *c;
		v->cells[v->n++].way = way;
	}
	return 0;
}

static int match_one(struct visit *v, const struct cell *c, const char *what)
{
	return is_wanted(v->o, c);
}

// Each glob has to match something.
static int check_globs(const struct bench_options *o)
{
	AUTO_FREE char *copy = o->ops ? format("%s", o->ops) : NULL;
	char *rest = copy, *glob;

	while (rest && (glob = strsep(&rest, ","))) {
		struct bench_options one = *o;

		one.ops = glob;
		if (visit_all(&(struct visit){.o = &one, .each = match_one}))
			continue;
		say("bench: --ops: no operation is called '%s'; see causeway bench --list", glob);
		return -1;
	}
	return 0;
}

struct cell *cells_choose(const struct bench_options *o, unsigned int *n)
{
	struct visit v = {.o = o, .each = add_one};

	if (check_globs(o))
		return NULL;
	if (visit_all(&v)) {
		say("out of memory");
		return NULL;
	}
	if (!v.n)
		say("bench: none of these operations has to do with caches; see --%s",
			bench_ways(o)->what);
	*n = v.n;
	return v.cells;
}

unsigned int cells_parts(const struct cell *cells, unsigned int n)
{
	unsigned int parts = 0;

	for (unsigned int i = 0; i < n; i++)
		parts |= cells[i].op ? cells[i].op->parts : PART_DATA;
	return parts;
}

struct session_room cells_room(const struct cell *cells, unsigned int n)
{
	struct session_room room = {.queues = 1};

	for (unsigned int i = 0; i < n; i++) {
		const struct load *load = &cells[i].load;

		if (cells[i].op)
			continue;
		room.queues = load->queues > room.queues ? load->queues : room.queues;
		room.depth = load->depth > room.depth ? load->depth : room.depth;
		room.data = load->size > room.data ? load->size : room.data;
	}
	return room;
}
