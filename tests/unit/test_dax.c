// SPDX-License-Identifier: BSD-2-Clause
/* check: builds=plain,asan,tsan
 *
 * The mirror of the DAX window: what claims, sizes and safety ask of a front-end, and what becomes
 * of it where that refuses, is interrupted or goes. */
#include "dax_frontend.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "dax/window.h"

#define PAGES  64
#define PIECES 16
#define P(n)   ((uint64_t)(n)*DAX_PAGE)

struct ground {
	struct dax_fake *fake;
	int fd;
	struct dax_file *f;
};

static const char name_of_byte[] = "abcdefghijklmnop";

/* A file in which each page is full of its own letter. */
static int make_file(uint64_t size)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char page[DAX_PAGE];

	assert_true(fd >= 0);
	for (uint64_t at = 0; at < size; at += DAX_PAGE) {
		memset(page, name_of_byte[at / DAX_PAGE % 16], sizeof(page));
		assert_true(pwrite(fd, page, min_t(uint64_t, size - at, DAX_PAGE), (off_t)at) > 0);
	}
	return fd;
}

static struct ground make(uint64_t size, bool safe)
{
	struct ground g = {.fake = fake_new(PAGES, PIECES), .fd = make_file(size)};

	g.f = dax_file_new(g.fake->w, g.fd, true, safe);
	assert_non_null(g.f);
	return g;
}

static void drop(struct ground *g)
{
	fake_check(g->fake);
	if (g->f)
		dax_file_free(g->f);
	fake_check(g->fake);
	assert_int_equal(g->fake->w->npieces, 0);
	fake_free(g->fake);
	close(g->fd);
}

static char file_byte(int fd, uint64_t offset)
{
	char c = 0;

	assert_int_equal(pread(fd, &c, 1, (off_t)offset), 1);
	return c;
}

static void write_file(const struct ground *g, uint64_t offset, char c)
{
	assert_int_equal(pwrite(g->fd, &c, 1, (off_t)offset), 1);
}

/* The guest reads and stores at a place of the window. */
static char *guest(const struct ground *g, uint64_t at)
{
	assert_non_null(fake_map_at(g->fake, at));
	return g->fake->memory + at;
}

/* A map begins at a page of the window, with so many pages of the file or of a copy. */
static void assert_map(const struct ground *g, uint64_t page, uint64_t pages, bool of_file)
{
	const struct dax_frontend_map *map = fake_map_at(g->fake, P(page));
	struct stat st;

	assert_non_null(map);
	assert_int_equal(map->at, P(page));
	assert_int_equal(map->len, P(pages));
	assert_int_equal(fstat(g->fd, &st), 0);
	assert_int_equal(map->dev == st.st_dev && map->ino == st.st_ino, of_file);
}

static void assert_nothing(const struct ground *g, uint64_t page)
{
	assert_null(fake_map_at(g->fake, P(page)));
}

static struct dax_count count(const struct ground *g)
{
	struct dax_count c;

	dax_window_count(g->fake->w, &c);
	return c;
}

static void test_whole_pages_are_the_file(void **state)
{
	struct ground g = make(P(8), true);

	assert_false(dax_file_is_claimed(g.f));
	assert_int_equal(dax_map(g.f, P(16), P(8), P(0), true), 0);
	assert_map(&g, 16, 8, true);
	assert_true(dax_file_is_claimed(g.f));
	*guest(&g, P(17) + 5) = '!';
	assert_int_equal(file_byte(g.fd, P(1) + 5), '!');
	assert_int_equal(count(&g).copied_bytes, 0);
	assert_int_equal(count(&g).mapped_bytes, P(8));
	drop(&g);
}

static void test_bad_ranges(void **state)
{
	static const struct {
		uint64_t at, len, offset;
	} bad[] = {
		{0, 0, 0}, {1, P(1), 0}, {0, 100, 0}, {0, P(1), 7}, {P(PAGES), P(1), 0},
		{P(PAGES - 1), P(2), 0}, {0, P(PAGES + 1), 0}, {P(1), UINT64_MAX - P(1) + 1, 0},
		{0, P(1), P(INT64_MAX / DAX_PAGE)}, {0, P(1), UINT64_MAX - DAX_PAGE + 1},
		{UINT64_MAX - DAX_PAGE + 1, P(1), 0},
	};
	struct ground g = make(P(4), true);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(dax_map(g.f, bad[i].at, bad[i].len, bad[i].offset, false),
			-EINVAL);
		if (bad[i].offset == 0)
			assert_int_equal(dax_unmap(g.fake->w, bad[i].at, bad[i].len), -EINVAL);
	}
	assert_int_equal(g.fake->applied, 0);
	assert_int_equal(dax_map(g.f, 0, P(1), P(INT64_MAX / DAX_PAGE - 1), false), 0);
	assert_int_equal(dax_unmap(g.fake->w, P(10), P(10)), 0);
	drop(&g);
}

static void test_a_repeated_claim_is_free(void **state)
{
	struct ground g = make(P(4) + 10, true);

	assert_int_equal(dax_map(g.f, 0, P(8), 0, false), 0);
	*guest(&g, P(4)) = '!';
	fake_listen(g.fake);
	assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
	assert_int_equal(g.fake->applied, 0);
	assert_int_equal(*guest(&g, P(4)), '!');
	drop(&g);
}

static void test_the_partial_page_is_a_copy(void **state)
{
	struct ground g = make(P(4) + 10, true);

	assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
	assert_map(&g, 0, 4, true);
	assert_map(&g, 4, 1, false);
	assert_nothing(&g, 5);
	assert_int_equal(count(&g).pieces, 2);
	assert_int_equal(count(&g).copied_bytes, P(1));
	assert_memory_equal(guest(&g, P(4)), "eeeeeeeeee\0\0\0", 13);
	guest(&g, P(4))[2] = '!';
	guest(&g, P(4))[10] = '?';
	assert_int_equal(file_byte(g.fd, P(4) + 2), 'e');
	assert_int_equal(dax_flush(g.f), 0);
	assert_int_equal(file_byte(g.fd, P(4) + 2), '!');
	assert_int_equal(lseek(g.fd, 0, SEEK_END), P(4) + 10);
	drop(&g);
}

/* What the guest changed, and no byte beside it. */
static void test_only_differences_are_written(void **state)
{
	struct ground g = make(P(2), false);

	assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
	guest(&g, 0)[3] = '!';
	write_file(&g, 2, 'H');
	write_file(&g, 4, 'H');
	assert_int_equal(dax_flush(g.f), 0);
	assert_int_equal(file_byte(g.fd, 2), 'H');
	assert_int_equal(file_byte(g.fd, 3), '!');
	assert_int_equal(file_byte(g.fd, 4), 'H');
	/* Written once: what the host writes there then stays. */
	write_file(&g, 3, 'H');
	assert_int_equal(dax_flush(g.f), 0);
	assert_int_equal(file_byte(g.fd, 3), 'H');
	/* Many runs in a page go together. */
	for (size_t i = 1; i < DAX_PAGE; i += 2)
		guest(&g, P(1))[i] = '!';
	write_file(&g, P(1) + 2, 'H');
	assert_int_equal(dax_flush(g.f), 0);
	for (size_t i = 0; i < DAX_PAGE; i++)
		assert_int_equal(file_byte(g.fd, P(1) + i), i == 2 ? 'H' : i % 2 ? '!' : 'b');
	drop(&g);
}

static void test_requests_renew_copies(void **state)
{
	struct ground g = make(P(2) + 100, false);

	assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
	guest(&g, 0)[8] = '!';
	guest(&g, 0)[9] = '!';
	write_file(&g, 9, 'W');
	dax_wrote(g.f, 9, 1);
	assert_memory_equal(guest(&g, 7), "a!Wa", 4);
	assert_int_equal(dax_flush(g.f), 0);
	assert_int_equal(file_byte(g.fd, 8), '!');
	assert_int_equal(file_byte(g.fd, 9), 'W');
	/* Far beyond the end, and with all lengths that there are. */
	dax_wrote(g.f, P(100), UINT64_MAX);
	dax_wrote(g.f, 0, UINT64_MAX);
	assert_memory_equal(guest(&g, 7), "a!Wa", 4);
	drop(&g);
}

static void test_claims_share_copies(void **state)
{
	struct ground g = make(P(4), false);

	assert_int_equal(dax_map(g.f, 0, P(3), 0, true), 0);
	*guest(&g, P(2)) = '!';
	assert_int_equal(dax_map(g.f, P(8), P(2), P(2), true), 0);
	assert_int_equal(*guest(&g, P(8)), '!');
	assert_int_equal(dax_unmap(g.fake->w, 0, P(3)), 0);
	assert_int_equal(file_byte(g.fd, P(2)), '!');
	assert_int_equal(*guest(&g, P(8)), '!');
	assert_int_equal(*guest(&g, P(9)), 'd');
	/* What was only in the first is read anew. */
	write_file(&g, P(1), 'H');
	assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
	assert_int_equal(*guest(&g, P(1)), 'H');
	drop(&g);
}

static void test_ends_write_back(void **state)
{
	struct ground g = make(10, true);

	assert_int_equal(dax_map(g.f, 0, P(1), 0, true), 0);
	*guest(&g, 0) = '1';
	assert_int_equal(dax_unmap(g.fake->w, 0, P(1)), 0);
	assert_int_equal(file_byte(g.fd, 0), '1');
	assert_int_equal(dax_map(g.f, 0, P(1), 0, true), 0);
	*guest(&g, 0) = '2';
	dax_window_reset(g.fake->w);
	assert_int_equal(file_byte(g.fd, 0), '2');
	dax_settle_all(g.fake->w);
	assert_int_equal(g.fake->nmaps, 0);
	assert_int_equal(dax_map(g.f, 0, P(1), 0, true), 0);
	*guest(&g, 0) = '3';
	dax_file_free(g.f);
	assert_int_equal(file_byte(g.fd, 0), '3');
	g.f = dax_file_new(g.fake->w, g.fd, true, true);
	assert_int_equal(dax_map(g.f, 0, P(1), 0, true), 0);
	*guest(&g, 0) = '4';
	dax_window_dropped(g.fake->w);
	assert_int_equal(file_byte(g.fd, 0), '4');
	assert_int_equal(count(&g).pieces, 0);
	g.fake->nmaps = 0;
	drop(&g);
}

static void store_late(void *opaque)
{
	*(char *)opaque = 'L';
}

/* What is stored while the front-end is asked to take the page away is written back too. */
static void test_late_stores(void **state)
{
	struct ground g = make(10, true);

	assert_int_equal(dax_map(g.f, 0, P(1), 0, true), 0);
	g.fake->opaque = guest(&g, 0);
	g.fake->meanwhile = store_late;
	assert_int_equal(dax_unmap(g.fake->w, 0, P(1)), 0);
	assert_int_equal(file_byte(g.fd, 0), 'L');
	assert_null(g.fake->meanwhile);
	drop(&g);
}

static void test_a_part_is_taken_out(void **state)
{
	struct ground g = make(P(8), true);

	assert_int_equal(dax_map(g.f, P(8), P(8), 0, true), 0);
	fake_listen(g.fake);
	assert_int_equal(dax_unmap(g.fake->w, P(11), P(2)), 0);
	assert_map(&g, 8, 3, true);
	assert_nothing(&g, 11);
	assert_nothing(&g, 12);
	assert_map(&g, 13, 3, true);
	assert_int_equal(*guest(&g, P(13)), 'f');
	/* In one go, and what was there goes first. */
	assert_int_equal(g.fake->applied, 1);
	assert_int_equal(g.fake->nasked, 3);
	assert_int_equal(g.fake->asked[0].fd, -1);
	assert_int_equal(g.fake->asked[0].len, P(8));
	assert_int_equal(count(&g).claims, 2);
	/* An end, and across several. */
	assert_int_equal(dax_unmap(g.fake->w, P(15), P(1)), 0);
	assert_map(&g, 13, 2, true);
	assert_int_equal(dax_unmap(g.fake->w, P(9), P(5)), 0);
	assert_map(&g, 8, 1, true);
	assert_map(&g, 14, 1, true);
	assert_int_equal(count(&g).claims, 2);
	assert_int_equal(dax_unmap(g.fake->w, 0, P(PAGES)), 0);
	assert_int_equal(g.fake->nmaps, 0);
	assert_int_equal(g.fake->refused, 0);
	drop(&g);
}

/* A front-end that refuses is asked once; one that can has no moment without. */
static void test_mapping_over(void **state)
{
	for (int can = 0; can < 2; can++) {
		struct ground g = make(P(8), true), other = {.fake = g.fake, .fd = make_file(P(8))};

		other.f = dax_file_new(g.fake->w, other.fd, true, true);
		g.fake->maps_over = can;
		assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
		fake_listen(g.fake);
		assert_int_equal(dax_map(other.f, 0, P(4), P(4), true), 0);
		assert_map(&other, 0, 4, true);
		assert_int_equal(*guest(&g, 0), 'e');
		assert_int_equal(g.fake->refused, can ? 0 : 1);
		assert_int_equal(g.fake->nasked, can ? 1 : 3);
		assert_int_equal(count(&g).replaced, can);
		fake_listen(g.fake);
		assert_int_equal(dax_map(g.f, 0, P(4), P(1), true), 0);
		assert_int_equal(g.fake->refused, 0);
		assert_int_equal(g.fake->applied, 1);
		assert_int_equal(g.fake->nasked, can ? 1 : 2);
		dax_file_free(other.f);
		close(other.fd);
		drop(&g);
	}
}

static void test_a_file_grows(void **state)
{
	struct ground g = make(P(4) + 10, true);

	assert_int_equal(dax_map(g.f, 0, P(16), 0, true), 0);
	*guest(&g, P(4)) = '!';
	guest(&g, P(4))[11] = '?'; /* beyond the end: nobody's */
	assert_false(dax_is_unsettled(g.f));
	assert_int_equal(ftruncate(g.fd, P(6) + 20), 0);
	assert_true(dax_is_unsettled(g.f));
	fake_listen(g.fake);
	assert_int_equal(dax_settle(g.f), 0);
	assert_false(dax_is_unsettled(g.f));
	assert_map(&g, 0, 4, true); /* was not touched */
	assert_map(&g, 4, 2, true);
	assert_map(&g, 6, 1, false);
	for (unsigned int i = 0; i < g.fake->nasked; i++)
		assert_true(g.fake->asked[i].at >= P(4));
	assert_int_equal(*guest(&g, P(4)), '!');
	assert_int_equal(guest(&g, P(4))[11], 0);
	assert_int_equal(file_byte(g.fd, P(4)), '!');
	/* Within its page: bytes that were beyond the end are zero. */
	guest(&g, P(6))[30] = '?';
	assert_int_equal(ftruncate(g.fd, P(6) + 40), 0);
	assert_true(dax_is_unsettled(g.f));
	assert_int_equal(dax_settle(g.f), 0);
	assert_int_equal(guest(&g, P(6))[30], 0);
	/* Where nobody has a claim it is of no interest. */
	assert_int_equal(dax_unmap(g.fake->w, P(6), P(10)), 0);
	assert_int_equal(ftruncate(g.fd, P(12)), 0);
	assert_false(dax_is_unsettled(g.f));
	drop(&g);
}

/* The page in which the end will be has zeros after it at once. */
static void test_shrinking_copies(void **state)
{
	struct ground g = make(P(4) + 10, false);
	struct dax_shrink shrink;

	assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
	guest(&g, P(2))[5] = '!';
	guest(&g, P(3))[5] = '!';
	assert_int_equal(dax_shrink(g.f, &shrink, P(2) + 10), 0);
	assert_nothing(&g, 3);
	assert_memory_equal(guest(&g, P(2)) + 4, "c!cccc\0\0\0\0", 10);
	assert_int_equal(ftruncate(g.fd, P(2) + 10), 0);
	assert_int_equal(dax_shrunk(g.f, &shrink), 0);
	assert_int_equal(file_byte(g.fd, P(2) + 5), '!');
	assert_int_equal(lseek(g.fd, 0, SEEK_END), P(2) + 10);
	assert_int_equal(ftruncate(g.fd, P(4)), 0);
	assert_int_equal(dax_settle(g.f), 0);
	assert_memory_equal(guest(&g, P(2)) + 4, "c!cccc\0\0\0\0", 10);
	assert_int_equal(guest(&g, P(3))[5], 0);
	drop(&g);
}

/* Few pieces however small the steps, and all of them mapped. */
static void test_growing_by_pages(void **state)
{
	struct ground g = make(0, true);

	assert_int_equal(dax_map(g.f, 0, P(PAGES), 0, true), 0);
	assert_int_equal(g.fake->nmaps, 0);
	for (uint64_t n = 1; n <= PAGES; n++) {
		assert_int_equal(ftruncate(g.fd, (off_t)P(n)), 0);
		assert_int_equal(dax_settle(g.f), 0);
		*guest(&g, P(n - 1)) = '!';
		fake_check(g.fake);
		assert_true(g.fake->nmaps <= 10);
	}
	assert_true(g.fake->nmaps <= 2);
	for (uint64_t n = 0; n < PAGES; n++)
		assert_int_equal(file_byte(g.fd, P(n)), '!');
	drop(&g);
}

/* While a file grows by steps that are not too many, nothing of it is away, apart from what is no
 * longer its last page; also where what is there can't be mapped over. */
static void test_growing_leaves_what_is_mapped(void **state)
{
	for (unsigned int rest = 0; rest <= 10; rest += 10) {
		struct ground g = make(P(2) + rest, true);

		assert_int_equal(dax_map(g.f, 0, P(PAGES), 0, true), 0);
		for (uint64_t n = 3; n <= 9; n++) {
			fake_listen(g.fake);
			assert_int_equal(ftruncate(g.fd, (off_t)(P(n) + rest)), 0);
			assert_int_equal(dax_settle(g.f), 0);
			for (unsigned int i = 0; i < g.fake->nasked; i++)
				assert_true(g.fake->asked[i].fd >= 0 ||
					g.fake->asked[i].at >= P(n - 1));
			fake_check(g.fake);
		}
		drop(&g);
	}
}

static void test_shrinking(void **state)
{
	struct ground g = make(P(6) + 10, true);
	struct dax_shrink first, second;

	assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
	*guest(&g, P(3) + 1) = '!';
	*guest(&g, P(6)) = '!';
	assert_int_equal(dax_shrink(g.f, &first, P(3) + 10), 0);
	assert_map(&g, 0, 3, true);
	assert_map(&g, 3, 1, false);
	assert_nothing(&g, 4);
	/* It had to be written back: the truncation may fail. */
	assert_int_equal(file_byte(g.fd, P(6)), '!');
	/* Another one at the same time, and a claim between them, do not bring pages back. */
	assert_int_equal(dax_shrink(g.f, &second, P(5)), 0);
	assert_int_equal(dax_map(g.f, P(16), P(8), 0, true), 0);
	assert_int_equal(dax_settle(g.f), 0);
	assert_nothing(&g, 4);
	assert_map(&g, 16, 3, true);
	assert_int_equal(dax_shrunk(g.f, &second), 0);
	assert_nothing(&g, 4);
	assert_int_equal(ftruncate(g.fd, P(3) + 10), 0);
	assert_int_equal(dax_shrunk(g.f, &first), 0);
	assert_map(&g, 3, 1, false);
	assert_int_equal(*guest(&g, P(3) + 1), '!');
	assert_int_equal(guest(&g, P(3))[10], 0);
	/* One that comes to nothing. */
	assert_int_equal(dax_shrink(g.f, &first, P(1)), 0);
	assert_nothing(&g, 1);
	assert_int_equal(dax_shrunk(g.f, &first), 0);
	assert_int_equal(*guest(&g, P(3) + 1), '!');
	drop(&g);
}

static void test_a_file_that_is_not_safe(void **state)
{
	for (int over = 0; over < 2; over++) {
		struct ground g = make(P(4) + 10, true);

		g.fake->maps_over = over;
		assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
		*guest(&g, P(1)) = '1';
		*guest(&g, P(4)) = '4';
		assert_int_equal(dax_set_safe(g.f, false, true), 0);
		assert_nothing(&g, 5);
		for (uint64_t n = 0; n <= 4; n++)
			assert_false(fake_map_at(g.fake, P(n))->ino == g.f->ino);
		assert_int_equal(*guest(&g, P(1)), '1');
		*guest(&g, P(2)) = '2';
		/* A host process truncates it now, and nothing happens to us. */
		assert_int_equal(ftruncate(g.fd, P(3)), 0);
		assert_int_equal(dax_settle(g.f), 0);
		assert_nothing(&g, 3);
		assert_int_equal(dax_set_safe(g.f, true, true), 0);
		assert_map(&g, 0, 3, true);
		assert_int_equal(*guest(&g, P(2)), '2');
		assert_int_equal(file_byte(g.fd, P(2)), '2');
		/* Nobody uses it. */
		fake_listen(g.fake);
		assert_int_equal(dax_set_safe(g.f, false, false), 0);
		assert_int_equal(g.fake->nmaps, 0);
		assert_int_equal(g.fake->nasked, 1);
		assert_true(dax_is_unsettled(g.f));
		assert_int_equal(dax_settle(g.f), 0);
		assert_map(&g, 0, 3, false);
		assert_int_equal(dax_set_safe(g.f, false, false), 0);
		assert_int_equal(dax_map(g.f, P(16), P(1), 0, true), 0);
		assert_map(&g, 16, 1, false);
		assert_map(&g, 0, 3, false);
		assert_int_equal(dax_unmap(g.fake->w, P(16), P(1)), 0);
		assert_int_equal(dax_set_safe(g.f, false, false), 0);
		assert_int_equal(dax_set_safe(g.f, true, false), 0);
		assert_map(&g, 0, 3, true);
		drop(&g);
	}
}

/* The one is made of the other while the guest can store in neither. */
static void test_nothing_is_lost_between_file_and_copy(void **state)
{
	for (int over = 0; over < 2; over++) {
		struct ground g = make(P(2), true);

		g.fake->maps_over = over;
		assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
		if (!over) /* it is known by then that it cannot */
			g.fake->w->maps_over = false;
		g.fake->opaque = guest(&g, P(1));
		g.fake->meanwhile = store_late;
		assert_int_equal(dax_set_safe(g.f, false, true), 0);
		assert_int_equal(*guest(&g, P(1)), 'L');
		g.fake->opaque = guest(&g, 0);
		g.fake->meanwhile = store_late;
		assert_int_equal(dax_set_safe(g.f, true, true), 0);
		assert_int_equal(*guest(&g, 0), 'L');
		assert_int_equal(file_byte(g.fd, 0), 'L');
		drop(&g);
	}
}

static char *newer_at;

static void store_newer(void *opaque)
{
	*newer_at = 'N';
}

/* What the guest stores in the file itself is not undone by what it stored in the copy before. */
static void test_late_store_in_a_replaced_copy(void **state)
{
	struct ground g = make(P(2), false);

	g.fake->maps_over = true;
	assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
	g.fake->opaque = guest(&g, 0);
	newer_at = guest(&g, 0);
	g.fake->meanwhile = store_late;
	g.fake->afterwards = store_newer;
	assert_int_equal(dax_set_safe(g.f, true, true), 0);
	assert_int_equal(*guest(&g, 0), 'N');
	assert_int_equal(file_byte(g.fd, 0), 'N');
	/* The other way: what was stored in the file after the copy was made of it. */
	g.fake->opaque = guest(&g, P(1));
	g.fake->meanwhile = store_late;
	assert_int_equal(dax_set_safe(g.f, false, true), 0);
	assert_int_equal(*guest(&g, P(1)), 'L');
	drop(&g);
}

/* Pages go in any case, also where there is nothing to take their place. */
static void test_copies_that_cannot_be_had(void **state)
{
	for (int over = 0; over < 2; over++) {
		struct ground g = make(P(4), true);
		struct rlimit before, none;

		g.fake->maps_over = over;
		assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
		none = before;
		none.rlim_cur = 0;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		assert_int_equal(dax_set_safe(g.f, false, true), -EMFILE);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(g.fake->nmaps, 0);
		assert_int_equal(count(&g).claims, 1);
		assert_true(dax_is_unsettled(g.f));
		assert_int_equal(dax_settle(g.f), 0);
		assert_map(&g, 0, 4, false);
		drop(&g);
	}
}

/* The guest keeps what it has stored, and hears of it, until it gives it up. */
static void test_what_cannot_be_written_back(void **state)
{
	struct ground g = {.fake = fake_new(PAGES, PIECES)};

	g.fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(g.fd, (off_t)P(2)), 0);
	g.f = dax_file_new(g.fake->w, g.fd, true, false);
	assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
	*guest(&g, P(1)) = '!';
	assert_int_equal(fcntl(g.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	assert_int_equal(dax_flush(g.f), -EPERM);
	assert_int_equal(dax_flush(g.f), -EPERM);
	assert_int_equal(dax_set_safe(g.f, true, true), -EPERM);
	assert_map(&g, 0, 2, false);
	assert_int_equal(*guest(&g, P(1)), '!');
	assert_int_equal(ftruncate(g.fd, (off_t)P(3)), 0);
	assert_int_equal(dax_settle(g.f), -EPERM);
	assert_int_equal(*guest(&g, P(1)), '!');
	drop(&g);
}

static void test_settling_takes_in_what_the_host_changed(void **state)
{
	struct ground g = make(P(2), false);

	assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
	guest(&g, 0)[1] = '!';
	write_file(&g, 0, 'H');
	write_file(&g, 1, 'H');
	assert_int_equal(dax_settle(g.f), 0);
	assert_memory_equal(guest(&g, 0), "H!a", 3);
	assert_int_equal(dax_flush(g.f), 0);
	assert_int_equal(file_byte(g.fd, 0), 'H');
	assert_int_equal(file_byte(g.fd, 1), '!');
	drop(&g);
}

static void test_readonly(void **state)
{
	for (int takes = 0; takes < 2; takes++) {
		struct ground g = make(P(2) + 10, true);
		char path[64];
		int fd;

		g.fake->takes_readonly = takes;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", g.fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		dax_file_free(g.f);
		g.f = dax_file_new(g.fake->w, fd, false, true);
		assert_int_equal(dax_map(g.f, 0, P(4), 0, true), -EACCES);
		assert_int_equal(g.fake->applied, 0);
		assert_int_equal(dax_map(g.f, 0, P(4), 0, false), 0);
		assert_map(&g, 0, 2, takes);
		assert_map(&g, 2, 1, false);
		assert_int_equal(*guest(&g, P(1)), 'b');
		for (unsigned int i = 0; i < g.fake->nmaps; i++)
			assert_false(g.fake->maps[i].writable);
		assert_int_equal(dax_flush(g.f), 0);
		write_file(&g, P(2), 'H');
		dax_wrote(g.f, P(2), 1);
		assert_int_equal(*guest(&g, P(2)), 'H');
		fake_listen(g.fake);
		assert_int_equal(dax_map(g.f, P(8), P(1), 0, false), 0);
		assert_int_equal(g.fake->refused, 0); /* it knows by now */
		drop(&g);
		close(fd);
	}
}

/* Copies are refused as well: that says nothing about the file. */
static void test_a_front_end_that_is_full(void **state)
{
	struct ground g = make(P(4), true);

	g.fake->room = 0;
	assert_int_equal(dax_map(g.f, 0, P(4), 0, true), -EIO);
	assert_int_equal(count(&g).claims, 0);
	g.fake->room = PIECES;
	assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
	assert_map(&g, 0, 4, true);
	drop(&g);
}

static void test_pieces_are_bounded(void **state)
{
	struct ground g = make(P(PAGES) + 1, true);

	for (uint64_t n = 0; n < PIECES; n++)
		assert_int_equal(dax_map(g.f, P(2 * n), P(1), P(n), true), 0);
	assert_int_equal(dax_map(g.f, P(2 * PIECES), P(1), 0, true), -ENOSPC);
	assert_int_equal(count(&g).pieces, PIECES);
	assert_int_equal(count(&g).claims, PIECES);
	/* In the place of another there is room. */
	assert_int_equal(dax_map(g.f, 0, P(1), P(9), true), 0);
	/* A claim that needs two where one is left. */
	assert_int_equal(dax_unmap(g.fake->w, 0, P(1)), 0);
	assert_int_equal(dax_map(g.f, P(40), P(2), P(PAGES - 1), true), -ENOSPC);
	assert_int_equal(count(&g).claims, PIECES - 1);
	assert_nothing(&g, 40);
	/* One cannot be made two either. */
	assert_int_equal(dax_map(g.f, P(40), P(3), P(1), true), 0);
	assert_int_equal(dax_unmap(g.fake->w, P(41), P(1)), -ENOSPC);
	assert_map(&g, 40, 3, true);
	assert_int_equal(dax_unmap(g.fake->w, P(42), P(1)), 0);
	/* What a reset left makes room. */
	dax_window_reset(g.fake->w);
	assert_int_equal(count(&g).pieces, PIECES);
	assert_int_equal(dax_map(g.f, P(60), P(1), 0, true), 0);
	assert_int_equal(count(&g).pieces, 1);
	drop(&g);
}

/* What others have mapped is room that there is not; what goes makes room for others, too. */
static void test_others_take_room(void **state)
{
	struct ground g = make(P(PAGES), true);

	assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
	g.fake->told = 1;
	assert_int_equal(dax_map(g.f, P(8), P(1), P(4), true), -ENOSPC);
	assert_nothing(&g, 8);
	assert_map(&g, 0, 2, true);
	/* In the place of another. */
	assert_int_equal(dax_map(g.f, 0, P(1), P(9), true), 0);
	g.fake->told = 3;
	assert_int_equal(dax_map(g.f, P(8), P(1), P(4), true), 0);
	assert_map(&g, 8, 1, true);
	assert_int_equal(g.fake->refused, 0);
	drop(&g);
}

/* Claims of a file of which nothing is mapped leave the front-end's room to others. */
static void test_idle_claims_need_no_pieces(void **state)
{
	struct ground g = {.fake = fake_new(512, 2), .fd = make_file(P(4))};
	struct ground other = {.fake = g.fake, .fd = make_file(P(4))};

	g.f = dax_file_new(g.fake->w, g.fd, true, true);
	other.f = dax_file_new(g.fake->w, other.fd, true, true);
	for (uint64_t n = 0; n < 2; n++)
		assert_int_equal(dax_map(g.f, P(n), P(1), P(n), true), 0);
	assert_int_equal(dax_map(other.f, P(8), P(1), 0, true), -ENOSPC);
	assert_int_equal(dax_set_safe(g.f, false, false), 0);
	for (uint64_t n = 0; n < 2; n++)
		assert_int_equal(dax_map(other.f, P(8 + n), P(1), P(n), true), 0);
	assert_int_equal(count(&g).claims, 4);
	assert_int_equal(dax_set_safe(g.f, true, true), -ENOSPC);
	assert_nothing(&g, 0);
	assert_map(&other, 8, 1, true);
	dax_file_free(other.f);
	assert_true(dax_is_unsettled(g.f));
	assert_int_equal(dax_settle(g.f), 0);
	assert_map(&g, 1, 1, true);
	close(other.fd);
	drop(&g);
}

static void test_a_refusal_is_not_for_ever(void **state)
{
	struct ground g = make(P(4), true);

	g.fake->refuses_files = true;
	assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
	assert_map(&g, 0, 4, false);
	g.fake->refuses_files = false;
	assert_int_equal(dax_unmap(g.fake->w, 0, P(4)), 0);
	assert_int_equal(dax_map(g.f, 0, P(4), 0, true), 0);
	assert_map(&g, 0, 4, true);
	drop(&g);
}

static void test_interrupted(void **state)
{
	for (int made = 0; made < 2; made++) {
		struct ground g = make(P(8), true);
		struct stat st;

		g.fake->interrupted_are_made = made;
		g.fake->interrupt_after = 0;
		assert_int_equal(dax_map(g.f, 0, P(4), 0, true), -EINTR);
		assert_int_equal(count(&g).claims, 0);
		assert_int_equal(count(&g).pieces, 1);
		assert_int_equal(fstat(g.fd, &st), 0);
		assert_true(dax_window_has(g.fake->w, &st));
		/* Nothing is asked for where something is in doubt, nor do doubts add up. */
		fake_listen(g.fake);
		for (unsigned int i = 0; i < 3 * PIECES; i++)
			assert_int_equal(dax_map(g.f, 0, P(4), 0, true), -EINTR);
		assert_int_equal(g.fake->nasked, 3 * PIECES);
		assert_int_equal(count(&g).pieces, 1);
		g.fake->interrupt_after = UINT_MAX;
		/* It is not in the way here ... */
		fake_listen(g.fake);
		assert_int_equal(dax_map(g.f, P(8), P(4), 0, true), 0);
		assert_int_equal(count(&g).pieces, 2);
		/* ... but goes when the file's pages are to be what they should. */
		assert_int_equal(dax_settle(g.f), 0);
		assert_int_equal(count(&g).pieces, 1);
		dax_window_reset(g.fake->w);
		fake_listen(g.fake);
		assert_int_equal(dax_map(g.f, P(10), P(1), 0, true), 0);
		assert_int_equal(g.fake->asked[0].fd, -1);
		assert_int_equal(g.fake->asked[0].at, P(8));
		assert_map(&g, 10, 1, true);
		/* An unmap: what is claimed ends all the same. */
		g.fake->interrupt_after = 0;
		assert_int_equal(dax_unmap(g.fake->w, P(10), P(1)), -EINTR);
		assert_int_equal(count(&g).claims, 0);
		assert_int_equal(count(&g).pieces, 1);
		fake_check(g.fake);
		g.fake->interrupt_after = UINT_MAX;
		dax_settle_all(g.fake->w);
		assert_int_equal(g.fake->nmaps, 0);
		drop(&g);
	}
}

/* The rest of a claim is mapped where what was there may still be: it cannot be trusted. */
static void test_mapped_over_a_doubt(void **state)
{
	for (int made = 0; made < 2; made++) {
		struct ground g = make(P(8), true);

		assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
		g.fake->interrupted_are_made = made;
		g.fake->interrupt_after = 0;
		g.fake->interrupt_most = 1;
		assert_int_equal(dax_unmap(g.fake->w, P(6), P(2)), -EINTR);
		fake_check(g.fake);
		assert_int_equal(count(&g).mapped_bytes, 0);
		assert_true(dax_is_unsettled(g.f));
		assert_int_equal(dax_settle(g.f), 0);
		assert_map(&g, 0, 6, true);
		assert_int_equal(count(&g).pieces, 1);
		drop(&g);
	}
}

static void resume(void *opaque)
{
	struct dax_fake *fake = opaque;

	fake->interrupt_after = UINT_MAX;
}

static void stay_stopped(void *opaque)
{
	struct dax_fake *fake = opaque;

	fake->meanwhile = resume;
}

/* Pages that are about to end are asked for until the device listens again. */
static void test_stopping_device_and_truncation(void **state)
{
	struct ground g = make(P(8), true);
	struct dax_shrink shrink;

	assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
	g.fake->interrupt_after = 0;
	g.fake->opaque = g.fake;
	g.fake->meanwhile = stay_stopped;
	assert_int_equal(dax_shrink(g.f, &shrink, 0), 0);
	assert_int_equal(g.fake->nmaps, 0);
	assert_int_equal(dax_shrunk(g.f, &shrink), 0);
	assert_map(&g, 0, 8, true);
	g.fake->interrupt_after = 0;
	g.fake->meanwhile = stay_stopped;
	assert_int_equal(dax_set_safe(g.f, false, false), 0);
	assert_int_equal(g.fake->nmaps, 0);
	/* One that stays so has an error, and the page is not forgotten. */
	assert_int_equal(dax_set_safe(g.f, true, false), 0);
	g.fake->interrupt_after = 0;
	assert_int_equal(dax_shrink(g.f, &shrink, P(1)), -EINTR);
	g.fake->interrupt_after = UINT_MAX;
	assert_int_equal(dax_shrunk(g.f, &shrink), 0);
	assert_map(&g, 0, 8, true);
	drop(&g);
}

static void test_no_channel(void **state)
{
	struct ground g = make(P(8) + 10, true);

	assert_int_equal(dax_map(g.f, 0, P(12), 0, true), 0);
	*guest(&g, P(8)) = '!';
	g.fake->is_gone = true;
	assert_int_equal(dax_map(g.f, P(16), P(12), 0, true), -EIO);
	assert_int_equal(dax_unmap(g.fake->w, 0, P(12)), -EIO);
	assert_int_equal(file_byte(g.fd, P(8)), '!');
	assert_int_equal(count(&g).claims, 0);
	dax_window_dropped(g.fake->w);
	assert_int_equal(count(&g).pieces, 0);
	g.fake->is_gone = false;
	g.fake->nmaps = 0;
	assert_int_equal(dax_map(g.f, 0, P(12), 0, true), 0);
	drop(&g);
}

static void reset_now(void *opaque)
{
	dax_window_reset(((struct dax_fake *)opaque)->w);
}

static void drop_now(void *opaque)
{
	struct dax_fake *fake = opaque;

	dax_window_dropped(fake->w);
	fake->nmaps = 0;
}

static void test_reset_meanwhile(void **state)
{
	void (*const ways[])(void *) = {reset_now, drop_now};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		for (int over = 0; over < 2; over++) {
			struct ground g = make(P(8) + 10, true);

			g.fake->maps_over = over;
			g.fake->opaque = g.fake;
			g.fake->meanwhile = ways[i];
			assert_int_equal(dax_map(g.f, 0, P(12), 0, true), -EINTR);
			assert_int_equal(count(&g).claims, 0);
			fake_check(g.fake);
			assert_int_equal(dax_map(g.f, 0, P(12), 0, true), 0);
			g.fake->w->maps_over = over;
			g.fake->meanwhile = ways[i];
			fake_listen(g.fake);
			dax_set_safe(g.f, false, true);
			assert_int_equal(count(&g).claims, 0);
			fake_check(g.fake);
			/* What nobody claims any more is not mapped in the second step. */
			assert_int_equal(g.fake->nasked, 1);
			assert_int_equal(g.fake->asked[0].fd >= 0, over);
			assert_int_equal(dax_map(g.f, P(1), P(12), 0, true), 0);
			g.fake->meanwhile = ways[i];
			dax_unmap(g.fake->w, P(2), P(1));
			assert_int_equal(count(&g).claims, 0);
			dax_settle_all(g.fake->w);
			fake_check(g.fake);
			drop(&g);
		}
	}
}

static void go_now(void *opaque)
{
	((struct dax_fake *)opaque)->is_gone = true;
	drop_now(opaque);
}

/* Nothing is left of a front-end that went while it was being asked. */
static void test_front_end_goes_meanwhile(void **state)
{
	struct ground g = make(P(8) + 10, true);

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(dax_map(g.f, 0, P(12), 0, true), 0);
		*guest(&g, P(8)) = (char)('0' + i);
		g.fake->opaque = g.fake;
		g.fake->meanwhile = go_now;
		if (i == 0)
			dax_unmap(g.fake->w, P(4), P(8));
		else
			dax_map(g.f, P(6), P(8), 0, true);
		assert_int_equal(file_byte(g.fd, P(8)), '0' + (int)i);
		assert_int_equal(count(&g).pieces, 0);
		assert_int_equal(count(&g).claims, 0);
		g.fake->is_gone = false;
	}
	drop(&g);
}

/* The device forgot by itself what we believe to be there: no error. */
static void test_reset_drops_maps(void **state)
{
	struct ground g = make(P(8), true);

	assert_int_equal(dax_map(g.f, 0, P(8), 0, true), 0);
	g.fake->nmaps = 0;
	dax_window_reset(g.fake->w);
	assert_int_equal(dax_map(g.f, P(4), P(4), 0, true), 0);
	assert_map(&g, 4, 4, true);
	assert_int_equal(count(&g).pieces, 1);
	drop(&g);
}

static void test_whose_memory(void **state)
{
	struct ground g = make(P(1) + 10, true);
	struct stat file, copy = {0};

	assert_int_equal(fstat(g.fd, &file), 0);
	assert_false(dax_window_has(g.fake->w, &file));
	assert_int_equal(dax_map(g.f, 0, P(2), 0, true), 0);
	copy.st_dev = fake_map_at(g.fake, P(1))->dev;
	copy.st_ino = fake_map_at(g.fake, P(1))->ino;
	assert_true(dax_window_has(g.fake->w, &file));
	assert_true(dax_window_has(g.fake->w, &copy));
	dax_window_reset(g.fake->w);
	assert_true(dax_window_has(g.fake->w, &file));
	dax_settle_all(g.fake->w);
	assert_false(dax_window_has(g.fake->w, &file));
	assert_false(dax_window_has(g.fake->w, &copy));
	drop(&g);
}

static void test_many_changes_go_in_batches(void **state)
{
	struct ground g = {.fake = fake_new(256, 256), .fd = make_file(P(256))};

	g.f = dax_file_new(g.fake->w, g.fd, true, true);
	for (uint64_t n = 0; n < 200; n++)
		assert_int_equal(dax_map(g.f, P(n), P(1), P(255 - n), true), 0);
	fake_listen(g.fake);
	assert_int_equal(dax_unmap(g.fake->w, 0, P(256)), 0);
	assert_int_equal(g.fake->applied, (200 + DAX_BATCH - 1) / DAX_BATCH);
	assert_int_equal(g.fake->nmaps, 0);
	drop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_pages_are_the_file),
		cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_a_repeated_claim_is_free),
		cmocka_unit_test(test_the_partial_page_is_a_copy),
		cmocka_unit_test(test_only_differences_are_written),
		cmocka_unit_test(test_requests_renew_copies),
		cmocka_unit_test(test_claims_share_copies),
		cmocka_unit_test(test_ends_write_back),
		cmocka_unit_test(test_late_stores),
		cmocka_unit_test(test_a_part_is_taken_out),
		cmocka_unit_test(test_mapping_over),
		cmocka_unit_test(test_a_file_grows),
		cmocka_unit_test(test_growing_by_pages),
		cmocka_unit_test(test_growing_leaves_what_is_mapped),
		cmocka_unit_test(test_shrinking),
		cmocka_unit_test(test_shrinking_copies),
		cmocka_unit_test(test_a_file_that_is_not_safe),
		cmocka_unit_test(test_what_cannot_be_written_back),
		cmocka_unit_test(test_copies_that_cannot_be_had),
		cmocka_unit_test(test_nothing_is_lost_between_file_and_copy),
		cmocka_unit_test(test_late_store_in_a_replaced_copy),
		cmocka_unit_test(test_settling_takes_in_what_the_host_changed),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_a_front_end_that_is_full),
		cmocka_unit_test(test_pieces_are_bounded),
		cmocka_unit_test(test_others_take_room),
		cmocka_unit_test(test_idle_claims_need_no_pieces),
		cmocka_unit_test(test_a_refusal_is_not_for_ever),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_mapped_over_a_doubt),
		cmocka_unit_test(test_stopping_device_and_truncation),
		cmocka_unit_test(test_no_channel),
		cmocka_unit_test(test_reset_meanwhile),
		cmocka_unit_test(test_front_end_goes_meanwhile),
		cmocka_unit_test(test_reset_drops_maps),
		cmocka_unit_test(test_whose_memory),
		cmocka_unit_test(test_many_changes_go_in_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
