// SPDX-License-Identifier: BSD-2-Clause
/*
 * check: timeout=300
 *
 * What processes of the host change moves the slots that a server would have marked, and no others;
 * what servers change does not.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/log.h"
#include "coherence/words.h"
#include "watch_world.h"

static struct world world;
static const char *no_world;

static int setup(void **state)
{
	no_world = world_make_watched(&world, "../t");
	return 0;
}

static int teardown(void **state)
{
	if (!no_world)
		world_end_watched(&world);
	return 0;
}

static void expect_made(struct world *w, const char *dir, const char *name)
{
	world_expect_attr(w, dir);
	world_expect_list(w, dir);
	world_expect_name(w, dir, name);
}

static void expect_file(struct world *w, const char *path)
{
	world_expect_attr(w, path);
	world_expect_data(w, path);
}

static int make_file(const char *path, const char *data)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	if (fd < 0 || write(fd, data, strlen(data)) < 0)
		return 1;
	return close(fd);
}

/* Each makes what it needs, changes it, and says before or after what has to move. */

static int act_create(void *opaque) { return make_file("made", "1"); }

static void after_create(struct world *w)
{
	expect_made(w, ".", "made");
	expect_file(w, "made");
}

static int act_mkdir(void *opaque) { return mkdir("dir", 0755); }

static void after_mkdir(struct world *w)
{
	expect_made(w, ".", "dir");
	world_expect_attr(w, "dir");
	world_expect_list(w, "dir");
}

static int act_symlink(void *opaque) { return symlink("made", "symlink"); }

static void after_symlink(struct world *w)
{
	expect_made(w, ".", "symlink");
	world_expect_attr(w, "symlink");
}

static int act_link(void *opaque) { return link("made", "dir/link"); }

static void after_link(struct world *w)
{
	expect_made(w, "dir", "link");
	world_expect_attr(w, "made");
}

static int act_chmod(void *opaque) { return chmod("made", 0600); }
static int act_xattr(void *opaque) { return setxattr("made", "trusted.x", "1", 1, 0); }
static int act_times(void *opaque) { return utimensat(AT_FDCWD, "made", NULL, 0); }
static void after_attr(struct world *w) { world_expect_attr(w, "made"); }

static int act_chmod_dir(void *opaque) { return chmod("dir", 0700); }

static void after_chmod_dir(struct world *w)
{
	world_expect_attr(w, "dir");
	world_expect_list(w, "dir");
}

static int act_write(void *opaque) { return make_file("made", "22"); }
static int act_truncate(void *opaque) { return truncate("made", 100); }
static void after_write(struct world *w) { expect_file(w, "made"); }

static int act_store(void *opaque)
{
	int fd = open("made", O_RDWR);
	char *map = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || map == MAP_FAILED)
		return 1;
	close(fd);
	map[1] = 'x';
	return munmap(map, 100);
}

static int act_rename(void *opaque) { return rename("made", "dir/moved"); }

static void before_rename(struct world *w)
{
	expect_made(w, ".", "made");
	expect_made(w, "dir", "moved");
	world_expect_attr(w, "made");
}

/* Two links of one file: it gets none less than one. */
static int act_rename_over(void *opaque) { return rename("symlink", "dir/link"); }

static void before_rename_over(struct world *w)
{
	expect_made(w, ".", "symlink");
	expect_made(w, "dir", "link");
	world_expect_attr(w, "symlink");
	world_expect_attr(w, "dir/link");
}

static int act_exchange(void *opaque)
{
	return renameat2(AT_FDCWD, "dir/moved", AT_FDCWD, "dir/link", RENAME_EXCHANGE);
}

static void before_exchange(struct world *w)
{
	expect_made(w, "dir", "moved");
	world_expect_name(w, "dir", "link");
	world_expect_attr(w, "dir/moved");
	world_expect_attr(w, "dir/link");
}

static int act_unlink(void *opaque) { return unlink("dir/moved"); }

static void before_unlink(struct world *w)
{
	expect_made(w, "dir", "moved");
	world_expect_attr(w, "dir/moved");
}

static int act_mkdir_below(void *opaque) { return mkdir("dir/below", 0755); }

static void after_mkdir_below(struct world *w)
{
	expect_made(w, "dir", "below");
	world_expect_attr(w, "dir/below");
	world_expect_list(w, "dir/below");
}

static int act_move_dir(void *opaque) { return rename("dir/below", "other"); }

static void before_move_dir(struct world *w)
{
	expect_made(w, "dir", "below");
	expect_made(w, ".", "other");
	world_expect_attr(w, "dir/below");
	world_expect_list(w, "dir/below");
}

static int act_over_dir(void *opaque) { return mkdir("third", 0755) | rename("other", "third"); }

static void before_over_dir(struct world *w)
{
	expect_made(w, ".", "other");
	world_expect_name(w, ".", "third");
	world_expect_attr(w, "other");
	world_expect_list(w, "other");
}

static int act_remove_tree(void *opaque)
{
	return mkdir("tree", 0755) | make_file("tree/file", "1") | unlink("tree/file") |
		rmdir("tree");
}

static int act_rmdir(void *opaque) { return rmdir("third"); }

static void before_rmdir(struct world *w)
{
	expect_made(w, ".", "third");
	world_expect_attr(w, "third");
	world_expect_list(w, "third");
}

static int act_other(void *opaque) { return make_file("../other/made", "1"); }

static void after_other(struct world *w)
{
	expect_made(w, "../other", "made");
	expect_file(w, "../other/made");
}

static int act_read(void *opaque)
{
	char c;
	int fd = open("dir/link", O_RDONLY);

	(void)!read(fd, &c, 1);
	return close(fd);
}

static const struct {
	const char *what;
	int (*act)(void *opaque);
	void (*before)(struct world *w), (*after)(struct world *w);
} cases[] = {
	{"create", act_create, NULL, after_create},
	{"mkdir", act_mkdir, NULL, after_mkdir},
	{"symlink", act_symlink, NULL, after_symlink},
	{"link", act_link, NULL, after_link},
	{"chmod", act_chmod, NULL, after_attr},
	{"setxattr", act_xattr, NULL, after_attr},
	{"utimensat", act_times, NULL, after_attr},
	{"chmod of a directory", act_chmod_dir, NULL, after_chmod_dir},
	{"write", act_write, NULL, after_write},
	{"truncate", act_truncate, NULL, after_write},
	{"store through a mapping", act_store, NULL, after_write},
	{"rename", act_rename, before_rename, NULL},
	{"rename over another", act_rename_over, before_rename_over, NULL},
	{"exchange", act_exchange, before_exchange, NULL},
	{"unlink", act_unlink, before_unlink, NULL},
	{"mkdir below", act_mkdir_below, NULL, after_mkdir_below},
	{"move of a directory", act_move_dir, before_move_dir, NULL},
	{"read", act_read, NULL, NULL},
	{"on another file system", act_other, NULL, after_other},
};

static void test_changes(void **state)
{
	struct world *w = &world;

	if (no_world)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t epoch;

		world_note(w);
		epoch = world_epoch(w);
		if (cases[i].before)
			cases[i].before(w);
		world_stranger(cases[i].act, NULL);
		if (cases[i].after)
			cases[i].after(w);
		world_compare(w, cases[i].what);
		assert_int_equal(world_epoch(w), epoch);
	}
}

/* What has gone by the time that its events are read is known by what its handle says. */
static void test_gone(void **state)
{
	struct world *w = &world;
	struct stat st;
	uint32_t slot;
	uint64_t epoch;

	if (no_world)
		skip();
	world_note(w);
	epoch = world_epoch(w);
	before_over_dir(w);
	world_stranger(act_over_dir, NULL);
	world_sync(w);
	for (unsigned int i = 0; i < w->n_expected; i++)
		assert_true(atomic_load(words_slot(w->table, w->expected[i])) !=
			    w->before[w->expected[i]]);
	world_note(w);
	before_rmdir(w);
	world_stranger(act_rmdir, NULL);
	world_compare(w, "rmdir");
	/* tmpfs numbers inodes one after the other. */
	assert_int_equal(make_file("probe", "1"), 0);
	assert_int_equal(stat("probe", &st), 0);
	slot = vtable_slot_of_name(w->table, st.st_dev, st.st_ino + 1, "file");
	world_note(w);
	world_stranger(act_remove_tree, NULL);
	world_sync(w);
	assert_true(atomic_load(words_slot(w->table, slot)) != w->before[slot]);
	assert_int_equal(world_epoch(w), epoch);
}

/* What the server does itself, by whichever thread, has been marked. */
static void *act_all(void *opaque)
{
	must(make_file("own", "1") == 0);
	must(chmod("own", 0600) == 0);
	must(truncate("own", 0) == 0);
	must(rename("own", "own2") == 0);
	must(unlink("own2") == 0);
	return NULL;
}

static void test_echo(void **state)
{
	struct world *w = &world;
	pthread_t thread;

	if (no_world)
		skip();
	world_note(w);
	act_all(NULL);
	assert_int_equal(pthread_create(&thread, NULL, act_all, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	world_compare(w, "own changes");
}

static int mount_one(void *opaque)
{
	return mkdir("mountpoint", 0755) |
		mount("none", "mountpoint", "tmpfs", 0, "size=1m");
}

static bool epoch_moved(void *opaque)
{
	return world_epoch(&world) != *(uint64_t *)opaque;
}

static void test_mounts(void **state)
{
	uint64_t epoch;

	if (no_world)
		skip();
	epoch = world_epoch(&world);
	world_stranger(mount_one, NULL);
	assert_true(world_wait(epoch_moved, &epoch));
	epoch = world_epoch(&world);
	assert_int_equal(umount("mountpoint"), 0);
	assert_true(world_wait(epoch_moved, &epoch));
}

static void test_shown(void **state)
{
	struct world *w = &world;
	CLEANUP_FD int proc = open("/proc", O_PATH | O_CLOEXEC);
	CLEANUP_FD int other = open("../other", O_PATH | O_CLOEXEC);
	CLEANUP_FD int share = open(".", O_PATH | O_CLOEXEC);

	if (no_world)
		skip();
	assert_true(watch_add(w->watch, proc, 3) < 0);
	assert_false(watch_is_lost(w->watch));
	/* One that is shown twice is watched until it is shown no more, and told of once. */
	assert_int_equal(watch_add(w->watch, share, 4), 0);
	watch_drop(w->watch, 1);
	world_note(w);
	world_stranger(act_chmod_dir, NULL);
	after_chmod_dir(w);
	world_compare(w, "shown once more");
	watch_drop(w->watch, 4);
	assert_int_equal(watch_add(w->watch, other, 5), 0);
	world_note(w);
	world_stranger(act_chmod_dir, NULL);
	world_compare(w, "not shown any more");
	assert_int_equal(watch_add(w->watch, share, 1), 0);
	world_note(w);
	world_stranger(act_chmod_dir, NULL);
	after_chmod_dir(w);
	world_compare(w, "shown again");
}

static uint32_t attr_slot(struct world *w, const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return vtable_slot(w->table, VTABLE_ATTR, st.st_dev, st.st_ino);
}

static bool restless(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return watch_is_restless(world.watch, st.st_dev, st.st_ino);
}

static bool is_restless(void *opaque)
{
	world_stranger(act_chmod_dir, NULL);
	watch_tick(world.watch);
	return restless("dir");
}

static bool is_restful(void *opaque)
{
	return !restless("dir");
}

/* What a stranger changes again and again is known as such, for a while. */
static void test_restless(void **state)
{
	if (no_world)
		skip();
	assert_true(world_wait(is_restful, NULL));
	assert_true(world_wait(is_restless, NULL));
	assert_true(world_wait(is_restful, NULL));
}

struct timing {
	uint32_t slot;
	uint64_t word;
};

static bool slot_moved(void *opaque)
{
	const struct timing *t = opaque;

	/* Not to be late by a wait's length. */
	for (int i = 0; i < 1000000; i++) {
		if (atomic_load(words_slot(world.table, t->slot)) != t->word)
			return true;
	}
	return false;
}

static double ms_since(const struct timespec *at)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - at->tv_sec) * 1e3 + (double)(now.tv_nsec - at->tv_nsec) / 1e6;
}

/* What docs/coherence.md says of how soon a change is seen. */
static void test_speed(void **state)
{
	struct world *w = &world;
	double sum = 0, most = 0;
	struct timespec *at;
	const int n = 100;
	int status;

	if (no_world)
		skip();
	at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	for (int i = 0; i < n; i++) {
		struct timing t = {.slot = attr_slot(w, "dir")};
		pid_t child;
		double ms;

		world_sync(w);
		t.word = atomic_load(words_slot(w->table, t.slot));
		child = fork();
		if (child == 0) {
			clock_gettime(CLOCK_MONOTONIC, at);
			_exit(act_chmod_dir(NULL));
		}
		assert_true(world_wait(slot_moved, &t));
		ms = ms_since(at);
		assert_int_equal(waitpid(child, &status, 0), child);
		sum += ms;
		most = ms > most ? ms : most;
	}
	munmap(at, sizeof(*at));
	print_message("from a change to its slot: %.3f ms on average, %.3f at most\n", sum / n,
		most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_restless),
		cmocka_unit_test(test_speed),
	};

	log_open("test_watch", getenv("WATCH_DEBUG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, setup, teardown);
}
