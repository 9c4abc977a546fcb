// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Nodes without descriptors: many more inodes are known than descriptors may be open, found again
 * by file handle and by name; gone inodes are -ESTALE, whoever has their number now.
 */
#include "unit.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define LIMIT   320
#define FILES   700
#define RACERS  4
#define ROUNDS  1000
#define KNOWN   4000
#define PER_NODE 256 /* bytes; what the project promises for a known node */

static struct fs *fs;
static char directory[64];
static struct rlimit files_before;

static int start(enum pt_file_handles how)
{
	const struct passthrough_config config = {.file_handles = how, .starts_hot = true};
	struct rlimit few;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files_before), 0);
	few = files_before;
	few.rlim_cur = LIMIT;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(mkdir("export", 0755), 0);
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	return 0;
}

static int by_handle(void **state)
{
	return start(PT_FILE_HANDLES_PREFER);
}

static int by_name(void **state)
{
	return start(PT_FILE_HANDLES_NEVER);
}

static int stop(void **state)
{
	passthrough_free(fs);
	setrlimit(RLIMIT_NOFILE, &files_before);
	unit_leave_directory(directory);
	return 0;
}

static const char *name_of(int i)
{
	static _Thread_local char name[32];

	snprintf(name, sizeof(name), "f%d", i);
	return name;
}

/* Makes a file of i bytes. */
static void make(int dir_fd, int i)
{
	int fd = openat(dir_fd, name_of(i), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, i), 0);
	close(fd);
}

static void make_files(const char *path, int n)
{
	int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir_fd >= 0);
	for (int i = 0; i < n; i++)
		make(dir_fd, i);
	close(dir_fd);
}

static uint64_t look_up(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, parent, name, &entry), 0);
	return entry.node;
}

/* The size of a node, or -errno. */
static int64_t size_of(uint64_t node)
{
	struct fs_target t = {.node = node};
	struct statx attr;
	int r = fs->ops->getattr(fs, &t, &attr);

	return r < 0 ? r : (int64_t)attr.stx_size;
}

/* Uses so many other nodes that all that are idle grow cold. */
static void cool_all(uint64_t parent, int n)
{
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < n; i++)
			look_up(parent, name_of(i));
	}
}

static void test_more_than_descriptors(void **state)
{
	static uint64_t nodes[FILES];

	make_files("export", FILES);
	for (int i = 0; i < FILES; i++)
		nodes[i] = look_up(FS_ROOT, name_of(i));
	assert_true(unit_open_fds() < LIMIT);
	for (int i = FILES - 1; i >= 0; i--)
		assert_int_equal(size_of(nodes[i]), i);
	/* In no order: what is hot is found among the many that are cold. */
	for (int i = 0; i < 4 * FILES; i++) {
		int n = (int)((i * 7919ll + i / FILES) % FILES);

		assert_int_equal(size_of(nodes[n]), n);
	}
	assert_true(unit_open_fds() < LIMIT / 2 + LIMIT / 8);
	for (int i = 0; i < FILES; i++)
		assert_int_equal(look_up(FS_ROOT, name_of(i)), nodes[i]);
	for (int i = 0; i < FILES; i++)
		fs->ops->forget(fs, nodes[i], 2);
	for (int i = 0; i < FILES; i++)
		assert_int_equal(size_of(nodes[i]), -ESTALE);
}

/* Until a file is old enough to be told from the next one with its number. */
static void let_age(const char *path)
{
	const struct timespec step = {.tv_nsec = 5000000};
	struct timespec now;
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	do {
		nanosleep(&step, NULL);
		clock_gettime(CLOCK_REALTIME, &now);
	} while ((now.tv_sec - st.st_ctim.tv_sec) * 1000000000ll + now.tv_nsec -
			st.st_ctim.tv_nsec < 50000000);
}

/* A cold node's file goes, and another takes its name and perhaps its number. */
static void test_gone(void **state)
{
	uint64_t old, again;

	make_files("export", FILES);
	assert_int_equal(mkdir("export/d", 0755), 0);
	for (int i = 0; i < 6; i++) {
		int fd = open("export/victim", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		assert_true(fd >= 0);
		close(fd);
		let_age("export/victim");
		old = look_up(FS_ROOT, "victim");
		cool_all(FS_ROOT, 300);
		assert_int_equal(unlink("export/victim"), 0);
		fd = open("export/victim", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, 7), 0);
		close(fd);
		if (i % 2)
			assert_int_equal(size_of(old), -ESTALE);
		again = look_up(FS_ROOT, "victim");
		assert_true(again != old);
		assert_int_equal(size_of(again), 7);
		assert_int_equal(size_of(old), -ESTALE);
		assert_int_equal(unlink("export/victim"), 0);
		fs->ops->forget(fs, old, 1);
		fs->ops->forget(fs, again, 1);
	}
}

/* Renames by the guest, of the file and of a directory above it, do not lose a cold node. */
static void test_renamed(void **state)
{
	uint64_t dir, file, other;

	make_files("export", 400);
	assert_int_equal(mkdir("export/d", 0755), 0);
	make_files("export/d", 3);
	dir = look_up(FS_ROOT, "d");
	file = look_up(dir, "f2");
	other = look_up(dir, "f1");
	assert_int_equal(fs->ops->rename(fs, dir, "f2", dir, "g", 0), 0);
	cool_all(FS_ROOT, 400);
	assert_int_equal(fs->ops->rename(fs, FS_ROOT, "d", FS_ROOT, "e", 0), 0);
	cool_all(FS_ROOT, 400);
	assert_int_equal(size_of(file), 2);
	assert_int_equal(size_of(other), 1);
	assert_int_equal(fs->ops->rename(fs, dir, "g", dir, "f1", RENAME_EXCHANGE), 0);
	cool_all(FS_ROOT, 400);
	assert_int_equal(size_of(file), 2);
	assert_int_equal(size_of(other), 1);
}

/* The host moves a cold node's directory: its file is found again, at the latest by name. */
static void test_moved_by_host(void **state)
{
	uint64_t dir, file;
	int64_t size;

	make_files("export", 400);
	assert_int_equal(mkdir("export/d", 0755), 0);
	make_files("export/d", 3);
	dir = look_up(FS_ROOT, "d");
	file = look_up(dir, "f2");
	cool_all(FS_ROOT, 400);
	assert_int_equal(rename("export/d", "export/e"), 0);
	size = size_of(file);
	assert_true(size == 2 || size == -ESTALE);
	assert_int_equal(look_up(FS_ROOT, "e"), dir);
	assert_int_equal(look_up(dir, "f2"), file);
	assert_int_equal(size_of(file), 2);
}

/* Open files keep their descriptors; more than there may be are refused, and nothing else is. */
static void test_open_without_end(void **state)
{
	static uint64_t handles[LIMIT];
	struct fs_target t = {.has_handle = true};
	struct statx attr;
	uint64_t node;
	int n = 0, r;

	make_files("export", 400);
	node = look_up(FS_ROOT, name_of(9));
	while ((r = fs->ops->open(fs, node, O_RDONLY, false, &handles[n], NULL)) == 0)
		assert_true(++n < LIMIT);
	assert_int_equal(r, -ENFILE);
	assert_true(n > 50);
	cool_all(FS_ROOT, 400);
	t.node = node;
	t.handle = handles[n - 1];
	assert_int_equal(fs->ops->getattr(fs, &t, &attr), 0);
	assert_int_equal(attr.stx_size, 9);
	assert_int_equal(fs->ops->release(fs, handles[0]), 0);
	assert_int_equal(fs->ops->open(fs, node, O_RDONLY, false, &handles[0], NULL), 0);
}

static void *race(void *arg)
{
	uint32_t seed = 77 + (uint32_t)(uintptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		int i = (int)(unit_random(&seed) % 400);
		struct fs_entry e;
		uint64_t handle;

		must(fs->ops->lookup(fs, FS_ROOT, name_of(i), &e) == 0);
		must(size_of(e.node) == i);
		if (round % 7 == 0) {
			must(fs->ops->open(fs, e.node, O_RDONLY, false, &handle, NULL) == 0);
			must(fs->ops->release(fs, handle) == 0);
		}
		fs->ops->forget(fs, e.node, round % 3 ? 1 : 0);
		must(round % 3 || size_of(e.node) == i);
	}
	return NULL;
}

static void test_race(void **state)
{
	pthread_t threads[RACERS];

	make_files("export", 400);
	for (uintptr_t i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, (void *)i), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(unit_open_fds() < LIMIT);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 0
#else
#define COUNTS_MEMORY 1
#endif

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void test_memory(void **state)
{
	size_t before;

	if (!COUNTS_MEMORY)
		skip();
	make_files("export", KNOWN);
	before = allocated();
	for (int i = 0; i < KNOWN; i++)
		look_up(FS_ROOT, name_of(i));
	assert_in_range((allocated() - before) / KNOWN, 1, PER_NODE);
}

#define BOTH_WAYS(test)                                                                            \
	cmocka_unit_test_setup_teardown(test, by_handle, stop),                                    \
		cmocka_unit_test_setup_teardown(test, by_name, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_WAYS(test_more_than_descriptors),
		BOTH_WAYS(test_gone),
		BOTH_WAYS(test_renamed),
		BOTH_WAYS(test_moved_by_host),
		BOTH_WAYS(test_open_without_end),
		BOTH_WAYS(test_race),
		BOTH_WAYS(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
