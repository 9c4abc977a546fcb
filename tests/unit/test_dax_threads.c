// SPDX-License-Identifier: BSD-2-Clause
/* check: builds=plain,asan,tsan
 *
 * The DAX window from many threads at once: those that claim, the ring's that write and read, the
 * one that ends leases, and guests that start over. */
#include "dax_frontend.h"

#include <fcntl.h>
#include <pthread.h>

#include "dax/window.h"

#define FILES  3
#define PAGES  8
#define WINDOW 64
#define PIECES 40
#define TURNS  3000

struct ground {
	struct dax_fake *fake;
	int fds[FILES];
	struct dax_file *files[FILES];
};

struct runner {
	struct ground *g;
	void (*turn)(struct ground *g, uint32_t r);
	uint32_t random;
	pthread_t thread;
};

static void turn_claim(struct ground *g, uint32_t r)
{
	uint64_t at = r % WINDOW, len = min_t(uint64_t, 1 + r / 64 % 12, WINDOW - at);
	struct dax_file *f = g->files[r / 1024 % FILES];

	if (r & 1u << 20)
		dax_map(f, at * DAX_PAGE, len * DAX_PAGE, (uint64_t)(r / 4096 % 4) * DAX_PAGE,
			true);
	else
		dax_unmap(g->fake->w, at * DAX_PAGE, len * DAX_PAGE);
}

static void turn_ring(struct ground *g, uint32_t r)
{
	struct dax_file *f = g->files[r % FILES];
	int fd = g->fds[r % FILES];
	uint64_t offset = r / 8 % (PAGES * DAX_PAGE);
	char byte = (char)r;

	if (r & 1u << 28) {
		dax_flush(f);
		return;
	}
	if (pwrite(fd, &byte, 1, (off_t)offset) == 1)
		dax_wrote(f, offset, 1);
	if (dax_is_unsettled(f) && dax_file_is_claimed(f))
		dax_settle(f);
}

static void turn_lease(struct ground *g, uint32_t r)
{
	dax_set_safe(g->files[r % FILES], r & 8, r & 16);
}

static void turn_truncate(struct ground *g, uint32_t r)
{
	unsigned int i = r % FILES;
	uint64_t size = r / 8 % (PAGES * DAX_PAGE);
	struct dax_shrink shrink;

	if (dax_shrink(g->files[i], &shrink, size) == 0)
		assert_int_equal(ftruncate(g->fds[i], (off_t)size), 0);
	dax_shrunk(g->files[i], &shrink);
}

static void turn_look(struct ground *g, uint32_t r)
{
	struct dax_count count;
	struct stat st;

	assert_int_equal(fstat(g->fds[r % FILES], &st), 0);
	dax_window_has(g->fake->w, &st);
	dax_window_count(g->fake->w, &count);
	assert_true(count.pieces <= 2 * PIECES);
	if (r % 64 == 0)
		dax_window_reset(g->fake->w);
	if (r % 32 == 1)
		dax_settle_all(g->fake->w);
}

static void *run(void *opaque)
{
	struct runner *runner = opaque;

	for (unsigned int i = 0; i < TURNS; i++)
		runner->turn(runner->g, unit_random(&runner->random));
	return NULL;
}

static void with_front_end(bool maps_over)
{
	struct ground g = {.fake = fake_new(WINDOW, PIECES)};
	struct runner runners[] = {
		{.turn = turn_claim}, {.turn = turn_claim}, {.turn = turn_ring},
		{.turn = turn_ring}, {.turn = turn_lease}, {.turn = turn_truncate},
		{.turn = turn_truncate}, {.turn = turn_look},
	};

	g.fake->maps_over = maps_over;
	for (unsigned int i = 0; i < FILES; i++) {
		g.fds[i] = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		assert_int_equal(ftruncate(g.fds[i], (off_t)i * 3 * DAX_PAGE + 100), 0);
		g.files[i] = dax_file_new(g.fake->w, g.fds[i], true, i > 0);
		assert_non_null(g.files[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(runners); i++) {
		runners[i].g = &g;
		runners[i].random = 12345 + (uint32_t)i * 6789;
		assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
		pthread_join(runners[i].thread, NULL);
	dax_settle_all(g.fake->w);
	for (unsigned int i = 0; i < FILES; i++)
		dax_settle(g.files[i]);
	fake_check(g.fake);
	for (unsigned int i = 0; i < FILES; i++) {
		dax_file_free(g.files[i]);
		close(g.fds[i]);
	}
	fake_check(g.fake);
	assert_int_equal(g.fake->nmaps, 0);
	fake_free(g.fake);
}

static void test_like_qemu(void **state)
{
	with_front_end(false);
}

static void test_mapping_over(void **state)
{
	with_front_end(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_qemu),
		cmocka_unit_test(test_mapping_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
