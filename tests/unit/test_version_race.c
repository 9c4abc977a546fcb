// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Two servers on one table, guests that keep what they read and look only at words: no access
 * shows what was true before it began, and nothing else. Slots are shared by objects, changes
 * overlap, and now and then the epoch moves or the table is replaced under all of them.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "coherence/table.h"
#include "coherence/view.h"

#define OBJECTS  16
#define SLOTS    8
#define SERVERS  2
#define CHANGERS 2 /* of each server */
#define CHANGES  5000
#define RENEWALS 20
#define PATIENCE 60000

struct world {
	struct vtable *servers[SERVERS];
	/* The files: each change makes a number greater. Relaxed, as far as possible: what is
	 * ordered is so by the table. */
	_Atomic uint64_t truth[OBJECTS];
	pthread_barrier_t begin; /* of changers and guests */
	_Atomic unsigned int changers;
	_Atomic bool renewed; /* as often as it was to be */
	_Atomic unsigned long hits, stale, survived;
};

struct party {
	struct world *world;
	struct vtable *server;
	unsigned int seed;
	pthread_t thread;
};

/* Changes one object or two, and checks what the table says of who was alone. */
static void *change(void *arg)
{
	struct party *p = arg;
	struct world *w = p->world;
	uint32_t random = p->seed;

	pthread_barrier_wait(&w->begin);
	for (int i = 0; i < CHANGES; i++) {
		unsigned int a = unit_random(&random) % OBJECTS, b = unit_random(&random) % OBJECTS;
		struct vtable_change c = {0};
		uint64_t before, last;
		uint32_t slots[2];

		vtable_enter(p->server);
		slots[0] = vtable_slot(p->server, VTABLE_ATTR, 1, a);
		slots[1] = vtable_slot(p->server, VTABLE_ATTR, 1, b);
		vtable_begin(p->server, &c, slots, 2);
		before = atomic_fetch_add_explicit(&w->truth[a], 1, memory_order_relaxed);
		if (unit_random(&random) % 8 == 0)
			sched_yield();
		atomic_fetch_add_explicit(&w->truth[b], 1, memory_order_relaxed);
		if (unit_random(&random) % 1024 == 0)
			vtable_bump_epoch(p->server);
		/* What it is for nobody else who was at the slot. */
		last = atomic_load_explicit(&w->truth[a], memory_order_relaxed);
		vtable_end(p->server, &c);
		if (vtable_touch_of(&c, slots[0])->alone) {
			must(last == before + (a == b ? 2 : 1));
			atomic_fetch_add_explicit(&w->survived, 1, memory_order_relaxed);
		}
		vtable_leave(p->server);
	}
	atomic_fetch_sub(&w->changers, 1);
	return NULL;
}

struct kept {
	bool there;
	struct vt_stamp stamp;
	uint64_t value;
};

/* What a server does for a guest: the stamp, then the state. */
static void fetch(struct party *p, unsigned int object, struct kept *k, uint8_t id[VT_ID_SIZE])
{
	vtable_enter(p->server);
	k->there = vtable_look(p->server, vtable_slot(p->server, VTABLE_ATTR, 1, object),
		&k->stamp);
	k->value = atomic_load_explicit(&p->world->truth[object], memory_order_relaxed);
	memcpy(id, p->server->id, VT_ID_SIZE);
	vtable_leave(p->server);
}

/* The guest finds out that its table is nothing any more, and gets the next one. */
static void map_again(struct party *p, struct vtable_view *v, uint8_t id[VT_ID_SIZE])
{
	int r;

	vtable_view_unmap(v);
	vtable_enter(p->server);
	r = vtable_view_map(v, p->server->fd, p->server->id, true);
	memcpy(id, p->server->id, VT_ID_SIZE);
	vtable_leave(p->server);
	must(r == 0);
}

static void *guest(void *arg)
{
	struct party *p = arg;
	struct world *w = p->world;
	struct kept kept[OBJECTS] = {0};
	struct vtable_view view = {0};
	uint8_t id[VT_ID_SIZE], from[VT_ID_SIZE];
	uint32_t random = p->seed;

	pthread_barrier_wait(&w->begin);
	map_again(p, &view, id);
	while (atomic_load(&w->changers)) {
		unsigned int o = unit_random(&random) % OBJECTS;
		struct kept *k = &kept[o];
		/* What somebody may have told us by now. */
		uint64_t floor = atomic_load_explicit(&w->truth[o], memory_order_acquire);

		if (k->there && vtable_view_trusts(&view, &k->stamp)) {
			must(k->value >= floor);
			atomic_fetch_add_explicit(&w->hits, 1, memory_order_relaxed);
			continue;
		}
		atomic_fetch_add_explicit(&w->stale, 1, memory_order_relaxed);
		fetch(p, o, k, from);
		must(k->value >= floor);
		if (memcmp(from, id, VT_ID_SIZE) != 0) {
			map_again(p, &view, id);
			memset(kept, 0, sizeof(kept));
		} else if (k->there) {
			k->there = vtable_view_may_keep(&view, &k->stamp);
		}
	}
	vtable_view_unmap(&view);
	return NULL;
}

static bool is_poisoned(struct vtable *t)
{
	bool is;

	vtable_enter(t);
	is = vtable_is_poisoned(t);
	vtable_leave(t);
	return is;
}

/* Each server looks for poison now and then, for as long as the first one poisons. */
static void *keep_house(void *arg)
{
	struct party *p = arg;
	struct world *w = p->world;
	bool poisons = p->seed == 0;

	for (unsigned int i = 0; poisons ? i < RENEWALS : !atomic_load(&w->renewed); i++) {
		if (poisons) {
			vtable_enter(p->server);
			vtable_poison(p->server);
			vtable_leave(p->server);
		}
		if (is_poisoned(p->server))
			must(vtable_renew(p->server, PATIENCE) == 0);
		sched_yield();
	}
	if (poisons)
		atomic_store(&w->renewed, true);
	return NULL;
}

static void run(struct world *w, struct party *p, void *(*what)(void *), unsigned int server,
	unsigned int seed)
{
	*p = (struct party){.world = w, .server = w->servers[server], .seed = seed};
	assert_int_equal(pthread_create(&p->thread, NULL, what, p), 0);
}

static void hammer(struct world *w, bool renewing)
{
	struct party parties[SERVERS * (CHANGERS + 2)];
	size_t n = 0;

	atomic_store(&w->changers, SERVERS * CHANGERS);
	pthread_barrier_init(&w->begin, NULL, SERVERS * (CHANGERS + 1));
	for (unsigned int s = 0; s < SERVERS; s++) {
		for (unsigned int i = 0; i < CHANGERS; i++, n++)
			run(w, &parties[n], change, s, (uint32_t)(n + 1) * 7919);
		run(w, &parties[n++], guest, s, s + 1);
		if (renewing)
			run(w, &parties[n++], keep_house, s, s);
	}
	while (n)
		pthread_join(parties[--n].thread, NULL);
	assert_true(atomic_load(&w->hits) > 0);
	assert_true(atomic_load(&w->stale) > 0);
	assert_true(atomic_load(&w->survived) > 0);
	assert_int_equal(atomic_load(&w->renewed), renewing);
	for (unsigned int s = 0; s < SERVERS; s++)
		vtable_close(w->servers[s]);
}

/* Two guests of one server, whose table is memory. */
static void test_memory(void **state)
{
	struct world w = {0};
	struct party parties[CHANGERS + 2];

	assert_int_equal(vtable_make(&w.servers[0], SLOTS), 0);
	atomic_store(&w.changers, CHANGERS);
	pthread_barrier_init(&w.begin, NULL, ARRAY_SIZE(parties));
	for (unsigned int i = 0; i < ARRAY_SIZE(parties); i++)
		run(&w, &parties[i], i < CHANGERS ? change : guest, 0, i + 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(parties); i++)
		pthread_join(parties[i].thread, NULL);
	assert_true(atomic_load(&w.hits) > 0);
	vtable_close(w.servers[0]);
}

static void test_file(bool renewing)
{
	struct world w = {0};
	char place[64];

	setenv("TMPDIR", "/dev/shm", 1);
	unit_enter_directory(place);
	for (int s = 0; s < SERVERS; s++)
		assert_int_equal(vtable_open(&w.servers[s], "t", SLOTS, PATIENCE), 0);
	hammer(&w, renewing);
	unit_leave_directory(place);
}

static void test_two_servers(void **state)
{
	test_file(false);
}

static void test_renewals(void **state)
{
	test_file(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_two_servers),
		cmocka_unit_test(test_renewals),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
