// SPDX-License-Identifier: BSD-2-Clause
/* Numbers for objects: unforgeable, never reused at once, safe to look up while objects go. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fs/passthrough/idtab.h"

#define LIMIT  3000 /* more than two chunks */
#define ROUNDS 20000

struct object {
	struct idslot slot;
	uint64_t value; /* plain: only the table orders it */
};

static unsigned int destroyed;

static void destroy(void *opaque, struct idslot *slot)
{
	struct object *o = container_of(slot, struct object, slot);

	must(opaque == &destroyed);
	must(o->value != 0);
	o->value = 0;
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

static struct idtab *new_table(uint32_t limit)
{
	struct idtab *tab = idtab_new(sizeof(struct object), limit, destroy, &destroyed);

	assert_non_null(tab);
	destroyed = 0;
	return tab;
}

/* A new object whose value is its number. */
static uint64_t take(struct idtab *tab)
{
	struct idslot *slot = idtab_take(tab);
	struct object *o;

	if (!slot)
		return 0;
	o = container_of(slot, struct object, slot);
	must(o->value == 0);
	o->value = idtab_id(slot);
	must(idtab_get(tab, o->value) == NULL);
	idtab_publish(slot);
	return idtab_id(slot);
}

static bool is_there(struct idtab *tab, uint64_t id)
{
	struct idslot *slot = idtab_get(tab, id);

	if (!slot)
		return false;
	must(container_of(slot, struct object, slot)->value == id);
	idtab_put(tab, slot);
	return true;
}

/* Gives up the reference that take() left. */
static void drop(struct idtab *tab, uint64_t id)
{
	struct idslot *slot = idtab_get(tab, id);

	must(slot);
	idtab_put(tab, slot);
	idtab_put(tab, slot);
}

static void test_limit(void **state)
{
	struct idtab *tab = new_table(LIMIT);
	static uint64_t ids[LIMIT];

	for (unsigned int i = 0; i < LIMIT; i++) {
		ids[i] = take(tab);
		assert_int_not_equal(ids[i], 0);
	}
	assert_int_equal(take(tab), 0);
	assert_int_equal(tab->used, LIMIT);
	for (unsigned int i = 0; i < LIMIT; i++)
		assert_true(is_there(tab, ids[i]));
	for (unsigned int i = 0; i < LIMIT; i += 3)
		drop(tab, ids[i]);
	assert_int_equal(destroyed, LIMIT / 3);
	for (unsigned int i = 0; i < LIMIT; i++)
		assert_int_equal(is_there(tab, ids[i]), i % 3 != 0);
	for (unsigned int i = 0; i < LIMIT; i += 3) {
		uint64_t id = take(tab);

		/* The old number stays dead though its slot lives again. */
		assert_int_not_equal(id, 0);
		assert_false(is_there(tab, ids[i]));
		ids[i] = id;
	}
	assert_int_equal(take(tab), 0);
	for (unsigned int i = 0; i < LIMIT; i++)
		drop(tab, ids[i]);
	assert_int_equal(tab->used, 0);
	idtab_free(tab);
}

static void test_forged(void **state)
{
	struct idtab *tab = new_table(LIMIT);
	uint64_t id = take(tab);

	for (uint64_t i = 0; i < 5000; i++)
		assert_false(is_there(tab, i));
	for (int bit = 0; bit < 64; bit++)
		assert_false(is_there(tab, id ^ 1ull << bit));
	assert_false(is_there(tab, UINT64_MAX));
	assert_false(is_there(tab, id | UINT32_MAX));
	assert_true(is_there(tab, id));
	drop(tab, id);
	assert_false(is_there(tab, id));
	idtab_free(tab);
}

static void test_reuse(void **state)
{
	struct idtab *tab = new_table(1);
	uint64_t last = take(tab);

	/* Over the end of the generations, of which 0 is left out: small numbers find nothing. */
	drop(tab, last);
	idtab_free(tab);
	tab = new_table(1);
	tab->first_generation = UINT32_MAX - 3;
	last = 0;
	for (int i = 0; i < 10; i++) {
		uint64_t id = take(tab);

		assert_int_not_equal(id, last);
		assert_int_not_equal(id >> 32, 0);
		assert_false(is_there(tab, last));
		drop(tab, id);
		last = id;
	}
	idtab_free(tab);
}

static void test_references(void **state)
{
	struct idtab *tab = new_table(4);
	uint64_t id = take(tab);
	struct idslot *a = idtab_get(tab, id), *b = idtab_get(tab, id);

	assert_ptr_equal(a, b);
	idtab_put(tab, a);
	idtab_put(tab, a);
	assert_int_equal(destroyed, 0);
	assert_true(is_there(tab, id));
	idtab_put(tab, b);
	assert_int_equal(destroyed, 1);
	assert_false(is_there(tab, id));
	idtab_free(tab);
}

struct visits {
	struct idtab *tab;
	unsigned int n;
	uint64_t sum;
};

/* Drops each second object while it is visited. */
static void visit(void *opaque, struct idslot *slot)
{
	struct visits *v = opaque;

	v->n++;
	v->sum += idtab_id(slot);
	if (slot->index % 2)
		idtab_put(v->tab, slot);
}

static void test_each(void **state)
{
	struct visits v = {.tab = new_table(LIMIT)};
	uint64_t sum = 0;

	idtab_each(v.tab, visit, &v);
	assert_int_equal(v.n, 0);
	for (unsigned int i = 0; i < LIMIT; i++)
		sum += take(v.tab);
	idtab_each(v.tab, visit, &v);
	assert_int_equal(v.n, LIMIT);
	assert_int_equal(v.sum, sum);
	v.n = 0;
	idtab_each(v.tab, visit, &v);
	assert_int_equal(v.n, LIMIT / 2);
	assert_int_equal(v.tab->used, LIMIT / 2);
	idtab_free(v.tab);
}

struct race {
	struct idtab *tab;
	_Atomic uint64_t newest;
	_Atomic bool stop;
	_Atomic unsigned long found;
};

static void *look_up(void *arg)
{
	struct race *r = arg;

	while (!atomic_load(&r->stop)) {
		/* Relaxed: that the object is seen whole is the table's own doing. */
		if (is_there(r->tab, atomic_load_explicit(&r->newest, memory_order_relaxed)))
			atomic_fetch_add_explicit(&r->found, 1, memory_order_relaxed);
	}
	return NULL;
}

/*
 * Objects come and go while others look their numbers up: what is found is whole, and its own.
 * Values are set before a number is told, as the table's users do, so telling is a release.
 */
static void test_race(void **state)
{
	struct race r = {.tab = new_table(2)};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_up, &r), 0);
	for (int i = 0; i < ROUNDS || atomic_load(&r.found) == 0; i++) {
		struct idslot *slot = NULL;
		struct object *o;

		/* Readers may still hold both of the older ones. */
		while (!slot)
			slot = idtab_take(r.tab);
		o = container_of(slot, struct object, slot);
		must(o->value == 0);
		o->value = idtab_id(slot);
		/* Publishing orders the value before whoever gets the object. */
		idtab_publish(slot);
		atomic_store_explicit(&r.newest, idtab_id(slot), memory_order_relaxed);
		idtab_put(r.tab, slot);
	}
	atomic_store(&r.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.tab->used, 0);
	idtab_free(r.tab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
