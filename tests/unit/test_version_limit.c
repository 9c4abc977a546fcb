// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/* How often epochs move: with clocks that the test sets back, for nothing here waits. */
#include "unit.h"

#include "base/log.h"
#include "coherence/table.h"
#include "coherence/words.h"

/* Longer ago than a period, but not before the machine started; and longer than this takes. */
#define LONG_AGO 2000
#define AHEAD    100000

static uint64_t epoch_of(struct vtable *t)
{
	return atomic_load(words_head(t, epoch));
}

static uint64_t timed_of(struct vtable *t)
{
	return atomic_load(words_head(t, timed));
}

static struct vtable *make(void)
{
	struct vtable *t;

	log_open("test", LOG_OFF);
	assert_int_equal(vtable_make(&t, 64), 0);
	return t;
}

static void test_seldom(void **state)
{
	struct vtable *t = make();
	uint64_t epoch = epoch_of(t);

	for (int i = 1; i <= 5; i++) {
		vtable_distrust(t);
		assert_int_equal(epoch_of(t), epoch + i);
		assert_int_equal(timed_of(t), 0);
		vtable_tick(t);
		t->moved_ms -= LONG_AGO;
	}
	vtable_close(t);
}

static void test_often(void **state)
{
	struct vtable *t = make();
	uint64_t epoch = epoch_of(t);

	vtable_distrust(t);
	assert_int_equal(epoch_of(t), epoch + 1);
	/* However slow this is, it is within the period. */
	t->moved_ms += AHEAD;
	for (int i = 0; i < 5; i++)
		vtable_distrust(t);
	t->moved_ms -= AHEAD;
	assert_int_equal(epoch_of(t), epoch + 1);
	assert_int_not_equal(timed_of(t), 0);
	/* Nor does it move while words are good by time, however long ago the last time was. */
	t->moved_ms -= LONG_AGO;
	vtable_distrust(t);
	assert_int_equal(epoch_of(t), epoch + 1);
	vtable_close(t);
}

static void test_end(void **state)
{
	struct vtable *t = make();
	uint64_t epoch;

	vtable_distrust(t);
	t->moved_ms += AHEAD;
	vtable_distrust(t);
	epoch = epoch_of(t);
	/* The first look begins the period. */
	vtable_tick(t);
	assert_int_not_equal(timed_of(t), 0);
	/* What comes in it begins it anew. */
	t->timed_since_ms -= LONG_AGO;
	vtable_distrust(t);
	vtable_tick(t);
	assert_int_equal(epoch_of(t), epoch);
	assert_int_not_equal(timed_of(t), 0);
	/* It passes, and words are good again, in an epoch of their own. */
	t->timed_since_ms -= LONG_AGO;
	vtable_tick(t);
	assert_int_equal(epoch_of(t), epoch + 1);
	assert_int_equal(timed_of(t), 0);
	vtable_tick(t);
	assert_int_equal(epoch_of(t), epoch + 1);
	/* That one counts. */
	t->moved_ms += AHEAD;
	vtable_distrust(t);
	assert_int_equal(epoch_of(t), epoch + 1);
	assert_int_not_equal(timed_of(t), 0);
	vtable_close(t);
}

/* Two servers end it at once, and one is slow: what it compares with must not come again. */
static void test_numbers(void **state)
{
	struct vtable *t = make();
	uint64_t before = 0;

	vtable_distrust(t);
	for (int i = 0; i < 3; i++) {
		t->moved_ms += AHEAD;
		vtable_distrust(t);
		assert_int_not_equal(timed_of(t), 0);
		assert_int_not_equal(timed_of(t), before);
		before = timed_of(t);
		vtable_tick(t);
		t->timed_since_ms -= LONG_AGO;
		vtable_tick(t);
		assert_int_equal(timed_of(t), 0);
	}
	vtable_close(t);
}

/* The one that began it has died: any other ends it. */
static void test_of_another(void **state)
{
	struct vtable *t = make();

	atomic_store(words_head(t, timed), 7);
	vtable_tick(t);
	assert_int_equal(timed_of(t), 7);
	t->timed_since_ms -= LONG_AGO;
	vtable_tick(t);
	assert_int_equal(timed_of(t), 0);
	vtable_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seldom),
		cmocka_unit_test(test_often),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
