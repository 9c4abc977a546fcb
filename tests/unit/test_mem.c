// SPDX-License-Identifier: BSD-2-Clause
/* The region table: which regions are taken, and what an address in or near them becomes. */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

#define PAGE      4096u
#define FILE_SIZE (16 * PAGE)

struct world {
	struct mem mem;
	int fd;
	char *file; /* the whole file, mapped apart from what mem maps */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	mem_init(&w->mem);
	w->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(w->fd >= 0);
	assert_int_equal(ftruncate(w->fd, FILE_SIZE), 0);
	w->file = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_ptr_not_equal(w->file, MAP_FAILED);
	for (unsigned int i = 0; i < FILE_SIZE; i++)
		w->file[i] = (char)(i / 7 + i / PAGE);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mem_destroy(&w->mem);
	munmap(w->file, FILE_SIZE);
	close(w->fd);
	free(w);
	return 0;
}

static struct mem_region_desc region(uint64_t gpa, uint64_t size, uint64_t uva, uint64_t offset)
{
	return (struct mem_region_desc){.gpa = gpa, .size = size, .uva = uva, .offset = offset};
}

static void must_add(struct world *w, struct mem_region_desc desc)
{
	assert_int_equal(mem_add(&w->mem, &desc, w->fd), 0);
}

/* The iovecs must be the bytes of the file from offset on. */
static void check_bytes(struct world *w, const struct iovec *iov, int n, size_t offset)
{
	for (int i = 0; i < n; i++) {
		assert_memory_equal(iov[i].iov_base, w->file + offset, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
}

static void test_one_region(void **state)
{
	struct world *w = *state;
	struct iovec iov[2];
	const struct {
		uint64_t gpa, len;
		int result;
	} cases[] = {
		{0x10000, 1, 1},
		{0x10000, 2 * PAGE, 1},
		{0x10000 + 2 * PAGE - 1, 1, 1},
		{0x10000 + PAGE - 1, 2, 1},
		{0x10000, 2 * PAGE + 1, -EFAULT},
		{0x10000 + 2 * PAGE - 1, 2, -EFAULT},
		{0x10000 + 2 * PAGE, 1, -EFAULT},
		{0x0ffff, 1, -EFAULT},
		{0x0ffff, 2, -EFAULT},
		{0, 1, -EFAULT},
		{UINT64_MAX, 1, -EFAULT},
		{UINT64_MAX, 2, -EFAULT},
		{0x10000, UINT64_MAX, -EFAULT},
		{0x10001, UINT64_MAX, -EFAULT},
		{0x10000, 0, 0},
		{0x0ffff, 0, 0},
		{UINT64_MAX, 0, 0},
	};

	must_add(w, region(0x10000, 2 * PAGE, 0x7f0000000000, 3 * PAGE));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int n = mem_translate(&w->mem, cases[i].gpa, cases[i].len, iov, 2);

		assert_int_equal(n, cases[i].result);
		if (n == 1) {
			assert_int_equal(iov[0].iov_len, cases[i].len);
			check_bytes(w, iov, n, 3 * PAGE + (cases[i].gpa - 0x10000));
		}
	}
}

static void test_empty_table(void **state)
{
	struct world *w = *state;
	struct iovec iov;

	assert_int_equal(mem_translate(&w->mem, 0, 1, &iov, 1), -EFAULT);
	assert_int_equal(mem_translate(&w->mem, 0, 0, &iov, 0), 0);
	assert_null(mem_at_uva(&w->mem, 0, 1, 1));
}

/* Every start and length over three adjacent regions, a hole, and a fourth, added out of order
 * and lying in the file out of order. */
static void test_many_regions(void **state)
{
	static const struct {
		unsigned int gpa, size, offset;
	} layout[] = {
		{0x3000, 16, 0}, {0x1000, 24, 5 * PAGE}, {0x1018, 8, 64}, {0x1020, 32, 9 * PAGE}};
	struct world *w = *state;
	int owner[0x60];

	memset(owner, -1, sizeof(owner));
	for (size_t i = 0; i < ARRAY_SIZE(layout); i++) {
		must_add(w, region(layout[i].gpa, layout[i].size, 0x100000 + layout[i].gpa,
				    layout[i].offset));
		for (unsigned int b = 0; layout[i].gpa < 0x2000 && b < layout[i].size; b++)
			owner[layout[i].gpa - 0x1000 + b + 8] = (int)i;
	}
	for (unsigned int start = 0; start < 0x58; start++) {
		for (unsigned int len = 1; start + len < 0x60; len++) {
			struct iovec iov[3];
			unsigned int pieces = 0, inside = 0, at = start;
			int n = mem_translate(&w->mem, 0x1000 - 8 + start, len, iov, 3);

			for (unsigned int b = start; b < start + len; b++) {
				inside += owner[b] >= 0;
				pieces += b == start || owner[b] != owner[b - 1];
			}
			assert_int_equal(n, inside == len ? (int)pieces : -EFAULT);
			for (int i = 0; i < n; i++) {
				unsigned int gpa = 0x1000 - 8 + at, o = (unsigned int)owner[at];

				check_bytes(w, &iov[i], 1, layout[o].offset + gpa - layout[o].gpa);
				at += (unsigned int)iov[i].iov_len;
			}
			if (n > 0) {
				assert_int_equal(at, start + len);
				assert_int_equal(mem_translate(&w->mem, 0x1000 - 8 + start, len,
							 iov, n - 1), -E2BIG);
			}
		}
	}
}

static void test_unaligned_offset(void **state)
{
	struct world *w = *state;
	struct iovec iov;

	must_add(w, region(0, PAGE, 0x5000, 100));
	assert_int_equal(mem_translate(&w->mem, 0, PAGE, &iov, 1), 1);
	check_bytes(w, &iov, 1, 100);
	((char *)iov.iov_base)[7] = 'x';
	assert_int_equal(w->file[107], 'x');
}

static void test_refused_regions(void **state)
{
	struct world *w = *state;
	const struct mem_region_desc bad[] = {
		region(0, 0, 0, 0),
		region(UINT64_MAX - PAGE + 2, PAGE, 0, 0),
		region(0, PAGE, UINT64_MAX - PAGE + 2, 0),
		region(0, PAGE, 0, UINT64_MAX - PAGE + 2),
		region(0, FILE_SIZE + 1, 0, 0),
		region(0, PAGE, 0, FILE_SIZE - PAGE + 1),
		region(0, 1, 0, FILE_SIZE),
		region(0, UINT64_MAX, 0, 0),
		region(0, INT64_MAX, 0, 1),
		/* Overlaps, by guest address and by the front-end's, at each side of it. */
		region(0x10000, PAGE, 0x90000, 0),
		region(0x10000 - PAGE + 1, PAGE, 0x90000, 0),
		region(0x10000 + PAGE - 1, PAGE, 0x90000, 0),
		region(0x10000 + 10, 10, 0x90000, 0),
		region(0x10000 - 10, PAGE + 20, 0x90000, 0),
		region(0x30000, PAGE, 0x20000, 0),
		region(0x30000, PAGE, 0x20000 + PAGE - 1, 0),
		region(0x30000, PAGE, 0x20000 - PAGE + 1, 0),
	};
	struct iovec iov;

	must_add(w, region(0x10000, PAGE, 0x20000, 0));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mem_add(&w->mem, &bad[i], w->fd), -EINVAL);
	assert_int_equal(w->mem.nregions, 1);
	assert_int_equal(mem_translate(&w->mem, 0x10000, PAGE, &iov, 1), 1);
	/* What only touches is fine. */
	must_add(w, region(0x10000 + PAGE, PAGE, 0x20000 - PAGE, FILE_SIZE - PAGE));
	must_add(w, region(0x10000 - PAGE, PAGE, 0x20000 + PAGE, 0));
}

static void test_refused_descriptors(void **state)
{
	struct world *w = *state;
	struct mem_region_desc desc = region(0, PAGE, 0, 0);
	int pipes[2], ro;

	assert_true(mem_add(&w->mem, &desc, -1) < 0);
	assert_int_equal(pipe(pipes), 0);
	assert_true(mem_add(&w->mem, &desc, pipes[0]) < 0);
	close(pipes[0]);
	close(pipes[1]);
	ro = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(mem_add(&w->mem, &desc, ro), -EINVAL);
	close(ro);
	assert_int_equal(w->mem.nregions, 0);
}

static void test_too_many(void **state)
{
	struct world *w = *state;
	struct mem_region_desc desc;
	struct iovec iov;

	/* Downwards, so that each goes in front of all others. */
	for (unsigned int i = MEM_REGIONS_MAX; i > 0; i--)
		must_add(w, region(i * 0x10000u, 16, i * 0x10000u, i * 16u));
	desc = region(0x80000000, 16, 0x80000000, 0);
	assert_int_equal(mem_add(&w->mem, &desc, w->fd), -ENOSPC);
	for (unsigned int i = 1; i <= MEM_REGIONS_MAX; i++) {
		assert_int_equal(mem_translate(&w->mem, i * 0x10000u, 16, &iov, 1), 1);
		check_bytes(w, &iov, 1, i * 16u);
		assert_int_equal(mem_translate(&w->mem, i * 0x10000u + 16, 1, &iov, 1), -EFAULT);
	}
	desc = region(7 * 0x10000u, 16, 7 * 0x10000u, 0);
	assert_int_equal(mem_remove(&w->mem, &desc), 0);
	assert_int_equal(mem_translate(&w->mem, 7 * 0x10000u, 1, &iov, 1), -EFAULT);
	assert_int_equal(mem_translate(&w->mem, 8 * 0x10000u, 1, &iov, 1), 1);
	must_add(w, region(0x80000000, 16, 0x80000000, 0));
}

static void test_remove(void **state)
{
	struct world *w = *state;
	const struct mem_region_desc good = region(0x10000, PAGE, 0x20000, 0);
	const struct mem_region_desc bad[] = {
		region(0x10001, PAGE, 0x20000, 0),
		region(0x10000, PAGE - 1, 0x20000, 0),
		region(0x10000, PAGE, 0x20001, 0),
		region(0x20000, PAGE, 0x10000, 0),
	};
	struct iovec iov;

	assert_int_equal(mem_remove(&w->mem, &good), -ENOENT);
	must_add(w, good);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mem_remove(&w->mem, &bad[i]), -ENOENT);
	assert_int_equal(mem_translate(&w->mem, 0x10000, PAGE, &iov, 1), 1);
	assert_int_equal(mem_remove(&w->mem, &good), 0);
	assert_int_equal(mem_translate(&w->mem, 0x10000, 1, &iov, 1), -EFAULT);
	assert_int_equal(mem_remove(&w->mem, &good), -ENOENT);
	must_add(w, good);
}

static void test_replace(void **state)
{
	struct world *w = *state;
	const struct mem_region_desc table[] = {
		region(0x40000, PAGE, 0x40000, PAGE), region(0x10000, PAGE, 0x10000, 2 * PAGE)};
	const struct mem_region_desc broken[] = {
		region(0x10000, PAGE, 0x10000, 0), region(0x10000 + 1, PAGE, 0x80000, 0)};
	const int fds[] = {w->fd, w->fd};
	struct iovec iov;

	must_add(w, region(0x10000, 2 * PAGE, 0x10000, 0));
	/* A failed change changes nothing. */
	assert_int_equal(mem_replace(&w->mem, broken, fds, 2), -EINVAL);
	assert_int_equal(mem_translate(&w->mem, 0x10000, 2 * PAGE, &iov, 1), 1);
	check_bytes(w, &iov, 1, 0);
	/* The new table may overlap the old one. */
	assert_int_equal(mem_replace(&w->mem, table, fds, 2), 0);
	assert_int_equal(mem_translate(&w->mem, 0x10000, PAGE, &iov, 1), 1);
	check_bytes(w, &iov, 1, 2 * PAGE);
	assert_int_equal(mem_translate(&w->mem, 0x10000, PAGE + 1, &iov, 1), -EFAULT);
	assert_int_equal(mem_translate(&w->mem, 0x40000, PAGE, &iov, 1), 1);
	check_bytes(w, &iov, 1, PAGE);
	assert_int_equal(mem_replace(&w->mem, NULL, NULL, 0), 0);
	assert_int_equal(mem_translate(&w->mem, 0x40000, 1, &iov, 1), -EFAULT);
}

static void test_at_uva(void **state)
{
	struct world *w = *state;
	struct iovec iov;

	must_add(w, region(0x10000, PAGE, 0xfffff000, 0));
	must_add(w, region(0x50000, PAGE, 0xfffff000 + PAGE, PAGE));
	assert_int_equal(mem_translate(&w->mem, 0x10000, 1, &iov, 1), 1);
	assert_ptr_equal(mem_at_uva(&w->mem, 0xfffff000, 1, 1), iov.iov_base);
	assert_ptr_equal(mem_at_uva(&w->mem, 0xfffff010, PAGE - 16, 16), (char *)iov.iov_base + 16);
	assert_non_null(mem_at_uva(&w->mem, 0xfffff000 + PAGE - 1, 1, 1));
	assert_non_null(mem_at_uva(&w->mem, 0xfffff000 + PAGE, PAGE, 16));
	assert_null(mem_at_uva(&w->mem, 0xfffff000 - 1, 1, 1));
	assert_null(mem_at_uva(&w->mem, 0xfffff000 - 1, 2, 1));
	/* Adjacent regions are not contiguous here. */
	assert_null(mem_at_uva(&w->mem, 0xfffff000, PAGE + 1, 1));
	assert_null(mem_at_uva(&w->mem, 0xfffff000, UINT64_MAX, 1));
	assert_null(mem_at_uva(&w->mem, 0xfffff001, UINT64_MAX, 1));
	assert_null(mem_at_uva(&w->mem, 0xfffff000 + 2 * PAGE, 1, 1));
	assert_null(mem_at_uva(&w->mem, 0xfffff008, 16, 16));
	assert_null(mem_at_uva(&w->mem, 0xfffff001, 2, 2));
	assert_non_null(mem_at_uva(&w->mem, 0xfffff002, 2, 2));
	/* A guest address is no front-end address. */
	assert_null(mem_at_uva(&w->mem, 0x10000, 1, 1));
}

/* The way back from what a translation gave, to the last byte of each region and not beyond. */
static void test_gpa_of(void **state)
{
	struct world *w = *state;
	const uint64_t gpas[] = {0x10000, 0x10000 + 3 * PAGE - 1, 0x80000, 0x80000 + 10};
	uint64_t gpa;
	struct iovec iov;

	must_add(w, region(0x10000, 3 * PAGE, 0x10000, PAGE));
	must_add(w, region(0x80000, 11, 0x80000, 40));
	for (size_t i = 0; i < ARRAY_SIZE(gpas); i++) {
		assert_int_equal(mem_translate(&w->mem, gpas[i], 1, &iov, 1), 1);
		assert_true(mem_gpa_of(&w->mem, iov.iov_base, &gpa));
		assert_int_equal(gpa, gpas[i]);
	}
	assert_false(mem_gpa_of(&w->mem, (char *)iov.iov_base + 1, &gpa));
	assert_int_equal(mem_translate(&w->mem, 0x80000, 1, &iov, 1), 1);
	assert_false(mem_gpa_of(&w->mem, (char *)iov.iov_base - 1, &gpa));
	assert_false(mem_gpa_of(&w->mem, &gpa, &gpa));
	assert_false(mem_gpa_of(&w->mem, NULL, &gpa));
}

/* Says that the file is its own, and which it was asked about. */
static bool owns(void *opaque, const struct stat *st)
{
	struct world *w = opaque;
	struct stat own;

	assert_int_equal(fstat(w->fd, &own), 0);
	return st->st_dev == own.st_dev && st->st_ino == own.st_ino;
}

/* What a device has mapped for its guest comes back: to be lent to system calls, and no more. */
static void test_own_files(void **state)
{
	struct world *w = *state;
	struct mem_region_desc table[] = {region(0x10000, PAGE, 0x50000, 0),
		region(0x10000 + PAGE, PAGE, 0x50000 + PAGE, PAGE)};
	const int other = memfd_create("other", MFD_CLOEXEC);
	const int fds[] = {other, w->fd};
	struct iovec iov[2];

	assert_int_equal(ftruncate(other, FILE_SIZE), 0);
	mem_set_owner(&w->mem, owns, w);
	for (int replaced = 0; replaced < 2; replaced++) {
		bool own = false;

		if (replaced) {
			assert_int_equal(mem_replace(&w->mem, table, fds, 2), 0);
		} else {
			assert_int_equal(mem_add(&w->mem, &table[0], other), 0);
			assert_int_equal(mem_add(&w->mem, &table[1], w->fd), 0);
		}
		assert_int_equal(mem_translate_any(&w->mem, 0x10000, PAGE, iov, 2, &own), 1);
		assert_false(own);
		assert_int_equal(mem_translate(&w->mem, 0x10000, PAGE, iov, 2), 1);
		assert_non_null(mem_at_uva(&w->mem, 0x50000, PAGE, 1));
		/* One byte of it is enough. */
		assert_int_equal(mem_translate_any(&w->mem, 0x10000, PAGE + 1, iov, 2, &own), 2);
		assert_true(own);
		own = false;
		assert_int_equal(
			mem_translate_any(&w->mem, 0x10000 + PAGE, 1, iov, 2, &own), 1);
		assert_true(own);
		assert_memory_equal(iov[0].iov_base, w->file + PAGE, 1);
		assert_int_equal(mem_translate(&w->mem, 0x10000, PAGE + 1, iov, 2), -EFAULT);
		assert_int_equal(mem_translate(&w->mem, 0x10000 + PAGE, 1, iov, 2), -EFAULT);
		assert_null(mem_at_uva(&w->mem, 0x50000 + PAGE, 1, 1));
		if (!replaced)
			mem_clear(&w->mem);
	}
	close(other);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_one_region),
		CASE(test_empty_table),
		CASE(test_many_regions),
		CASE(test_unaligned_offset),
		CASE(test_refused_regions),
		CASE(test_refused_descriptors),
		CASE(test_too_many),
		CASE(test_remove),
		CASE(test_replace),
		CASE(test_at_uva),
		CASE(test_gpa_of),
		CASE(test_own_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
