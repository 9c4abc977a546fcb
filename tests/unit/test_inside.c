// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * A directory that the host moves out of the export is refused as soon as what was believed of it
 * is too old, and no later; the clock is the test's own.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define MS INT64_C(1000000)

/* As security.md has it, without what the clock is late. */
#define TOLD (20 * MS)
#define WALKED (1000 * MS)

static struct fs *fs;
static char directory[64];
static int64_t now;   /* of the coarse clock */
static int asked;     /* times that the kernel was asked for a way up */
static bool moved;    /* what it says then: there is none */
static int64_t takes; /* how long that takes */
static uint64_t dir;

/* Instead of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	*ts = (struct timespec){.tv_sec = now / (1000 * MS), .tv_nsec = now % (1000 * MS)};
	return 0;
}

/* The root of this process is not the export: the answers are made up. */
ssize_t readlinkat(int fd, const char *restrict path, char *restrict buf, size_t size)
{
	if (strcmp(path, "..") != 0)
		return syscall(SYS_readlinkat, fd, path, buf, size);
	asked++;
	now += takes;
	errno = moved ? ENOENT : EINVAL;
	return -1;
}

static uint64_t look_up(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, parent, name, &entry), 0);
	return entry.node;
}

/* What a LOOKUP in the directory says. */
static int look(void)
{
	struct fs_entry entry;
	int r = fs->ops->lookup(fs, dir, "f", &entry);

	if (r == 0)
		fs->ops->forget(fs, entry.node, 1);
	return r;
}

/* The same, and how often the kernel was asked for it. */
static void expect(int result, int questions)
{
	int before = asked;

	assert_int_equal(look(), result);
	assert_int_equal(asked - before, questions);
}

static void start_with(bool rooted, bool believes_nothing)
{
	const struct passthrough_config config = {
		.file_handles = PT_FILE_HANDLES_PREFER,
		.rooted = rooted,
		.believes_nothing = believes_nothing,
	};
	int fd;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	assert_int_equal(mkdir("export/d", 0755), 0);
	fd = open("export/d/f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	now = 12345678 * MS;
	takes = 0;
	moved = false;
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	dir = look_up(FS_ROOT, "d");
}

static int start(void **state)
{
	start_with(true, false);
	return 0;
}

static int start_unbelieving(void **state)
{
	start_with(true, true);
	return 0;
}

static int start_unrooted(void **state)
{
	start_with(false, false);
	return 0;
}

static int stop(void **state)
{
	passthrough_free(fs);
	unit_leave_directory(directory);
	return 0;
}

/* The host is asked once, and again when that is too old. */
static void test_believed(void **state)
{
	expect(0, 1);
	expect(0, 0);
	now += TOLD - 1;
	expect(0, 0);
	now += 1;
	expect(0, 1);
	expect(0, 0);
}

/* Who has moved out is refused then; nothing but being inside is ever believed. */
static void test_moved(void **state)
{
	struct fs_entry entry;
	uint64_t handle;

	expect(0, 1);
	moved = true;
	now += TOLD - 1;
	expect(0, 0);
	now += 1;
	for (int i = 0; i < 3; i++)
		expect(-ESTALE, 1);
	assert_int_equal(
		fs->ops->mkdir(fs, &(struct fs_caller){.umask = 022}, dir, "x", 0755, &entry),
		-ESTALE);
	assert_int_equal(fs->ops->unlink(fs, dir, "f"), -ESTALE);
	assert_int_equal(fs->ops->opendir(fs, dir, &handle), -ESTALE);
	moved = false;
	expect(0, 1);
	expect(0, 0);
}

/* What was asked long ago, as the answer took so long, is not news. */
static void test_slow(void **state)
{
	takes = TOLD;
	expect(0, 1);
	expect(0, 1);
	takes = TOLD - 1;
	expect(0, 1);
	expect(0, 0);
	now += 1;
	expect(0, 1);
}

/* Each directory is asked for by itself, and the root never. */
static void test_others(void **state)
{
	uint64_t first = dir, root_looks;

	assert_int_equal(mkdir("export/e", 0755), 0);
	assert_int_equal(rename("export/d/f", "export/e/f"), 0);
	root_looks = (uint64_t)asked;
	dir = look_up(FS_ROOT, "e");
	assert_int_equal(asked, root_looks);
	expect(0, 1);
	dir = first;
	moved = true;
	expect(-ESTALE, 1);
	dir = FS_ROOT;
	expect(-ENOENT, 0);
}

/* A number that is given to another node starts with nothing. */
static void test_reused(void **state)
{
	assert_int_equal(mkdir("export/e", 0755), 0);
	expect(0, 1);
	fs->ops->forget(fs, dir, 1);
	dir = look_up(FS_ROOT, "e");
	moved = true;
	expect(-ESTALE, 1);
}

static void test_unbelieving(void **state)
{
	expect(0, 1);
	expect(0, 1);
	moved = true;
	expect(-ESTALE, 1);
}

/* Where the export is no mount of its own, going up tells, which is believed for longer. */
static void test_unrooted(void **state)
{
	expect(0, 0);
	assert_int_equal(rename("export/d", "d"), 0);
	now += WALKED - 1;
	expect(0, 0);
	now += 1;
	expect(-ESTALE, 0);
	assert_int_equal(rename("d", "export/d"), 0);
	expect(0, 0);
}

#define CASE(f, start) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_believed, start),
		CASE(test_moved, start),
		CASE(test_slow, start),
		CASE(test_others, start),
		CASE(test_reused, start),
		CASE(test_unbelieving, start_unbelieving),
		CASE(test_unrooted, start_unrooted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
