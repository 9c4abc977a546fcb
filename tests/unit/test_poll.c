// SPDX-License-Identifier: BSD-2-Clause
/*
 * For how long a ring is looked at: what is learnt from a sleep (vhost/poll.h), and what a driver
 * cannot make of it. What happens while it is looked at is tests/proto/test_poll.py's.
 */
#include "ring_driver.h"
#include "unit.h"

#include "base/clock.h"
#include "vhost/backend.h"

#define LIMIT 1000000000000ull /* ns: nothing here takes so long */

struct world {
	struct vhost_device device;
	struct vhost_backend dev;
	struct vhost_queue *q;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(vhost_backend_init(&w->dev, &w->device), 0);
	w->q = &w->dev.queues[1];
	w->device.poll_limit_ns = LIMIT;
	w->dev.pollers_max = 1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	vhost_backend_destroy(&w->dev);
	free(w);
	return 0;
}

/* A sleep from so long ago, without a look before it. */
static void sleep_of(struct world *w, uint64_t ns)
{
	w->q->poll.idle_ns = clock_ns(CLOCK_MONOTONIC) - ns;
	w->q->poll.slept_ns = 0;
	vhost_poll_slept(w->q);
}

/* A sleep that ended as soon as it began, after a look of all the window. */
static void late_sleep(struct world *w)
{
	/* In the future: as soon as can be, however long this takes. */
	w->q->poll.slept_ns = clock_ns(CLOCK_MONOTONIC) + LIMIT / 2;
	w->q->poll.idle_ns = w->q->poll.slept_ns - w->q->poll.window_ns;
	vhost_poll_slept(w->q);
}

static void test_grows(void **state)
{
	struct world *w = *state;

	for (uint64_t want = VHOST_POLL_FIRST_NS; want < LIMIT; want *= 2) {
		sleep_of(w, 0);
		assert_int_equal(w->q->poll.window_ns, want);
	}
	for (int i = 0; i < 3; i++) {
		sleep_of(w, 0);
		assert_int_equal(w->q->poll.window_ns, LIMIT);
	}
}

static void test_shrinks(void **state)
{
	struct world *w = *state;

	w->device.poll_limit_ns = 4 * VHOST_POLL_FIRST_NS;
	w->q->poll.window_ns = 4 * VHOST_POLL_FIRST_NS;
	for (uint64_t want = 2 * VHOST_POLL_FIRST_NS; want >= VHOST_POLL_FIRST_NS; want /= 2) {
		sleep_of(w, 5 * VHOST_POLL_FIRST_NS);
		assert_int_equal(w->q->poll.window_ns, want);
	}
	for (int i = 0; i < 3; i++) {
		sleep_of(w, 5 * VHOST_POLL_FIRST_NS);
		assert_int_equal(w->q->poll.window_ns, 0);
	}
}

static void test_late(void **state)
{
	struct world *w = *state;
	struct vhost_poll *p = &w->q->poll;

	p->window_ns = LIMIT;
	for (int i = 0; i < VHOST_POLL_LATE; i++)
		late_sleep(w);
	/* First it goes to another processor, and looks on. */
	assert_true(p->moved);
	assert_int_equal(p->window_ns, LIMIT);
	for (unsigned int n = VHOST_POLL_SKIPS_FIRST; n <= VHOST_POLL_SKIPS_MAX; n *= 2) {
		p->moved = true;
		p->window_ns = LIMIT;
		for (int i = 0; i < VHOST_POLL_LATE; i++)
			late_sleep(w);
		assert_int_equal(p->window_ns, 0);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(p->skip, n - i);
			sleep_of(w, 0);
			assert_int_equal(p->window_ns, 0);
		}
	}
	sleep_of(w, 0);
	assert_int_equal(p->window_ns, VHOST_POLL_FIRST_NS);
}

static void test_late_in_a_row_only(void **state)
{
	struct world *w = *state;
	struct vhost_poll *p = &w->q->poll;

	p->window_ns = LIMIT;
	w->q->stop = true; /* what a look finds */
	for (int i = 0; i < 10 * VHOST_POLL_LATE; i++) {
		late_sleep(w);
		assert_true(vhost_poll(w->q));
	}
	assert_false(p->moved);
	assert_int_equal(w->q->stats.caught, 10 * VHOST_POLL_LATE);
}

static void test_not_at_all(void **state)
{
	struct world *w = *state;

	w->q->stop = true;
	w->q->poll.window_ns = LIMIT;
	w->dev.pollers = 1; /* another ring's thread looks, and there is one processor for that */
	assert_false(vhost_poll(w->q));
	assert_int_equal(w->dev.pollers, 1);
	w->dev.pollers = 0;
	assert_true(vhost_poll(w->q));
	w->device.poll_limit_ns = 0;
	assert_false(vhost_poll(w->q));
	sleep_of(w, 0);
	assert_int_equal(w->q->poll.window_ns, LIMIT);
	w->device.poll_limit_ns = LIMIT;
	w->q->index = 0;
	assert_false(vhost_poll(w->q));
}

#define BUSY 10   /* requests of the busy ring before the other one is stopped */
#define ENDLESS 1000 /* ... and when the ring itself is, so that the test ends */

struct busy {
	struct world *world;
	struct ring_driver driver;
	unsigned int requests;
};

/* A driver that offers the next chain before it gets this one back. */
static uint32_t offer_again(void *worker, const struct virtq_chain *chain)
{
	struct busy *b = worker;

	rd_offer(&b->driver, chain->head);
	if (++b->requests == BUSY)
		b->world->q->stop = true;
	if (b->requests == ENDLESS)
		b->world->dev.queues[0].stop = true;
	return 0;
}

/* Whoever borrows a ring that never becomes empty is there for its own all the same. */
static void test_busy_borrowed(void **state)
{
	struct world *w = *state;
	struct vhost_queue *other = &w->dev.queues[0];
	struct busy b = {.world = w};
	struct ring_driver own;

	rd_open(&b.driver, 8, 0);
	rd_open(&own, 8, 0);
	rd_desc(&b.driver, 0, RD_DATA_GPA, 1, 0, 0);
	rd_offer(&b.driver, 0);
	other->vq = *b.driver.vq;
	w->q->vq = *own.vq;
	other->worker = &b;
	w->device.request = offer_again;
	mem_gate_add(&w->dev.mem, &other->gate);
	vhost_poll_lend(other, true);
	w->q->poll.window_ns = LIMIT;
	assert_true(vhost_poll(w->q));
	assert_int_equal(b.requests, BUSY);
	/* Its own thread has to go on with it. */
	assert_true(virtq_pending(&other->vq));
	mem_gate_remove(&w->dev.mem, &other->gate);
	rd_close(&own);
	rd_close(&b.driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shrinks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_in_a_row_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_at_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy_borrowed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
