// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain full-builds=asan,tsan
/*
 * Descriptors and memory of nodes are bounded whatever a guest does: many directories, deep trees,
 * names that change or go while nodes are cold, unlinked inodes and handles without end. What is
 * found again is the same inode, or -ESTALE.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define LIMIT   320
#define FILLERS 700
#define DIRS    1000
#define EACH    3
#define DEPTH   600
#define ROUNDS  200

static struct fs *fs;
static char directory[64];
static struct rlimit files_before;
static bool mounted;
static uint64_t fill_dir;

static void touch_at(int dir_fd, const char *name, int size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void touch(const char *path, int size)
{
	touch_at(AT_FDCWD, path, size);
}

static const char *name_of(int i)
{
	static _Thread_local char name[32];

	snprintf(name, sizeof(name), "f%d", i);
	return name;
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

static int64_t links_of(uint64_t node)
{
	struct fs_target t = {.node = node};
	struct statx attr;
	int r = fs->ops->getattr(fs, &t, &attr);

	return r < 0 ? r : (int64_t)attr.stx_nlink;
}

static bool is_cold(uint64_t id)
{
	struct passthrough *pt = pt_of(fs);
	struct idslot *slot = idtab_get(pt->nodes, id);
	bool cold;

	assert_non_null(slot);
	cold = atomic_load(&container_of(slot, struct pt_node, slot)->pins) & PT_COLD;
	idtab_put(pt->nodes, slot);
	return cold;
}

/* Until what was made or changed last is old enough to be told from what comes next. */
static void let_age(void)
{
	const struct timespec step = {.tv_nsec = 50000000};

	nanosleep(&step, NULL);
}

/* Uses so many other nodes that all that are idle grow cold. */
static void cool_all(void)
{
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < FILLERS; i++)
			look_up(fill_dir, name_of(i));
	}
}

static void raise_to(rlim_t n)
{
	struct rlimit files = files_before;

	files.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static int start(enum pt_file_handles how, const char *type)
{
	const struct passthrough_config config = {.file_handles = how, .starts_hot = true};
	int dir_fd;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files_before), 0);
	raise_to(LIMIT);
	assert_int_equal(mkdir("export", 0755), 0);
	mounted = type && mount("none", "export", type, 0, NULL) == 0;
	assert_int_equal(mkdir("export/fill", 0755), 0);
	dir_fd = open("export/fill", O_PATH | O_CLOEXEC);
	for (int i = 0; i < FILLERS; i++)
		touch_at(dir_fd, name_of(i), i);
	close(dir_fd);
	let_age();
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	fill_dir = look_up(FS_ROOT, "fill");
	return 0;
}

static int by_handle(void **state)
{
	return start(PT_FILE_HANDLES_PREFER, NULL);
}

static int by_name(void **state)
{
	return start(PT_FILE_HANDLES_NEVER, NULL);
}

/* No birth times, no file handles. */
static int on_ramfs(void **state)
{
	return start(PT_FILE_HANDLES_PREFER, "ramfs");
}

static int stop(void **state)
{
	char command[100];

	passthrough_free(fs);
	setrlimit(RLIMIT_NOFILE, &files_before);
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "%s/export", directory);
	if (mounted)
		assert_int_equal(umount(command), 0);
	/* Deeper than nftw() goes. */
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	assert_int_equal(system(command), 0);
	return 0;
}

/* Each directory is the parent of known files: none keeps its descriptor for that. */
static void test_many_directories(void **state)
{
	static uint64_t dirs[DIRS], nodes[DIRS][EACH];
	struct fs_count n;

	for (int d = 0; d < DIRS; d++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "export/%s", name_of(d));
		assert_int_equal(mkdir(path, 0755), 0);
		fd = open(path, O_PATH | O_CLOEXEC);
		for (int i = 0; i < EACH; i++)
			touch_at(fd, name_of(i), d + i);
		close(fd);
	}
	for (int d = 0; d < DIRS; d++) {
		dirs[d] = look_up(FS_ROOT, name_of(d));
		for (int i = 0; i < EACH; i++)
			nodes[d][i] = look_up(dirs[d], name_of(i));
	}
	assert_true(unit_open_fds() < LIMIT);
	fs->ops->count(fs, &n);
	assert_int_equal(n.nodes, 2 + DIRS + DIRS * EACH);
	assert_in_range(n.nodes - n.cold, 20, LIMIT / 2);
	assert_in_range(n.node_bytes, n.nodes * 150, n.nodes * 256);
	for (int k = 0; k < 6000; k++) {
		int d = (int)(k * 7919ll % DIRS), i = k % EACH;

		assert_int_equal(size_of(nodes[d][i]), d + i);
		assert_int_equal(look_up(dirs[d], name_of(i)), nodes[d][i]);
	}
	assert_true(unit_open_fds() < LIMIT / 2 + LIMIT / 8);
	for (int d = 0; d < DIRS; d++) {
		fs->ops->forget(fs, dirs[d], 1);
		for (int i = 0; i < EACH; i++)
			fs->ops->forget(fs, nodes[d][i], UINT64_MAX);
	}
	fs->ops->count(fs, &n);
	assert_int_equal(n.nodes, 2);
	assert_true(n.cold <= 1);
	assert_in_range(n.node_bytes, 2 * sizeof(struct pt_node), 2 * 300);
}

/* Names of one directory inside the other, far deeper than a path may be long. */
static void test_deep(void **state)
{
	static uint64_t nodes[DEPTH];
	uint64_t at = FS_ROOT;
	int fd = open("export", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < DEPTH; i++) {
		char name[32];
		int next;

		snprintf(name, sizeof(name), "level-%d-%s", i, i % 50 ? "" : "with-more");
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
		nodes[i] = at = look_up(at, name);
	}
	touch_at(fd, "bottom", 77);
	close(fd);
	at = look_up(at, "bottom");
	let_age();
	for (int round = 0; round < 3; round++) {
		cool_all();
		assert_true(is_cold(nodes[DEPTH / 2]));
		assert_true(is_cold(at));
		assert_int_equal(size_of(at), 77);
		assert_true(size_of(nodes[DEPTH / 2 + round]) >= 0);
		assert_true(unit_open_fds() < LIMIT / 2 + LIMIT / 8);
	}
	for (int i = 0; i < DEPTH; i++)
		assert_in_range(size_of(nodes[i]), 0, INT64_MAX);
}

/* More files than may be hot, all too young to be told from their successors: none is lost. */
static void test_burst(void **state)
{
	enum { BURST = 3 * LIMIT };
	static uint64_t nodes[BURST];
	int dir_fd = open("export", O_PATH | O_CLOEXEC);

	for (int i = 0; i < BURST; i++) {
		touch_at(dir_fd, name_of(i), i);
		nodes[i] = look_up(FS_ROOT, name_of(i));
	}
	close(dir_fd);
	assert_true(unit_open_fds() < LIMIT);
	for (int i = 0; i < BURST; i++)
		assert_int_equal(size_of(nodes[i]), i);
}

/* While it is cold, the host puts something else in the place of a directory above a file. */
static void test_swapped(void **state)
{
	uint64_t dir, file;

	assert_int_equal(mkdir("export/d", 0755), 0);
	assert_int_equal(mkdir("export/other", 0755), 0);
	assert_int_equal(mkdir("outside", 0755), 0);
	touch("export/d/f", 5);
	touch("export/other/f", 6);
	touch("outside/f", 7);
	let_age();
	dir = look_up(FS_ROOT, "d");
	file = look_up(dir, "f");
	cool_all();
	assert_true(is_cold(dir) && is_cold(file));
	assert_int_equal(rename("export/d", "export/away"), 0);
	assert_int_equal(rename("export/other", "export/d"), 0);
	assert_true(size_of(file) == 5 || size_of(file) == -ESTALE);
	assert_int_equal(rename("export/d", "export/other"), 0);
	cool_all();
	assert_int_equal(symlink("../outside", "export/d"), 0);
	assert_true(size_of(file) == 5 || size_of(file) == -ESTALE);
	assert_true(links_of(dir) == 2 || links_of(dir) == -ESTALE);
	assert_int_equal(unlink("export/d"), 0);
	cool_all();
	/* The inode itself, elsewhere in the share or outside it, is no other one. */
	assert_int_equal(rename("export/away", "outside/away"), 0);
	assert_true(size_of(file) == 5 || size_of(file) == -ESTALE);
	assert_int_equal(rename("outside/away", "export/d"), 0);
	assert_int_equal(size_of(file), 5);
}

/* Names in a circle, as the host's renames can leave them, end. */
static void test_circle(void **state)
{
	uint64_t a, b;

	assert_int_equal(mkdir("export/a", 0755), 0);
	assert_int_equal(mkdir("export/a/b", 0755), 0);
	let_age();
	a = look_up(FS_ROOT, "a");
	b = look_up(a, "b");
	assert_int_equal(rename("export/a/b", "export/b"), 0);
	assert_int_equal(rename("export/a", "export/b/a"), 0);
	assert_int_equal(look_up(b, "a"), a);
	let_age();
	cool_all();
	assert_true(is_cold(a) && is_cold(b));
	assert_true(size_of(a) == -ESTALE || size_of(a) >= 0);
	assert_int_equal(look_up(FS_ROOT, "b"), b);
	assert_true(size_of(a) >= 0);
}

/* What the guest unlinks, it may have open without a handle: the inode stays. */
static void test_unlinked(void **state)
{
	uint64_t file, over, dir;

	touch("export/file", 3);
	touch("export/over", 4);
	touch("export/new", 5);
	assert_int_equal(mkdir("export/dir", 0755), 0);
	let_age();
	file = look_up(FS_ROOT, "file");
	over = look_up(FS_ROOT, "over");
	dir = look_up(FS_ROOT, "dir");
	cool_all();
	assert_true(is_cold(file) && is_cold(over) && is_cold(dir));
	assert_int_equal(fs->ops->unlink(fs, FS_ROOT, "file"), 0);
	assert_int_equal(fs->ops->rename(fs, FS_ROOT, "new", FS_ROOT, "over", 0), 0);
	assert_int_equal(fs->ops->rmdir(fs, FS_ROOT, "dir"), 0);
	cool_all();
	assert_int_equal(size_of(file), 3);
	assert_int_equal(links_of(file), 0);
	assert_int_equal(size_of(over), 4);
	assert_int_equal(links_of(over), 0);
	assert_true(links_of(dir) >= 0);
	assert_true(look_up(FS_ROOT, "over") != over);
}

/* The name that an inode was last found by goes, another stays. */
static void test_other_link(void **state)
{
	uint64_t file;

	touch("export/one", 3);
	assert_int_equal(link("export/one", "export/two"), 0);
	let_age();
	file = look_up(FS_ROOT, "two");
	assert_int_equal(look_up(FS_ROOT, "one"), file);
	cool_all();
	assert_int_equal(fs->ops->unlink(fs, FS_ROOT, "one"), 0);
	cool_all();
	assert_int_equal(size_of(file), 3);
	assert_int_equal(look_up(FS_ROOT, "two"), file);
	cool_all();
	assert_int_equal(size_of(file), 3);
	/* Two names of one inode: a rename that changes nothing. */
	assert_int_equal(fs->ops->link(fs, file, FS_ROOT, "three", &(struct fs_entry){0}), 0);
	assert_int_equal(fs->ops->rename(fs, FS_ROOT, "three", FS_ROOT, "two", 0), 0);
	cool_all();
	assert_true(is_cold(file));
	assert_int_equal(size_of(file), 3);
}

/* Unlinked inodes that are never forgotten do not use up the descriptors. */
static void test_unlinked_without_end(void **state)
{
	uint64_t node = 0;

	for (int i = 0; i < 2 * LIMIT; i++) {
		touch("export/victim", 9);
		node = look_up(FS_ROOT, "victim");
		assert_int_equal(fs->ops->unlink(fs, FS_ROOT, "victim"), 0);
		assert_int_equal(size_of(node), 9);
	}
	assert_true(unit_open_fds() < LIMIT - 32);
	cool_all();
	assert_int_equal(size_of(node), 9);
}

/* As many open files as there may be, each another one: looking up goes on. */
static void test_all_open(void **state)
{
	static uint64_t handles[LIMIT];
	uint64_t handle;
	int n = 0, r;

	do {
		r = fs->ops->open(fs, look_up(fill_dir, name_of(n)), O_RDONLY, false, &handle,
			NULL);
		if (r == 0)
			handles[n++] = handle;
	} while (r == 0);
	assert_int_equal(r, -ENFILE);
	assert_int_equal(n, (LIMIT - PT_FDS_RESERVED) / 2);
	for (int i = 0; i < FILLERS; i++)
		assert_int_equal(size_of(look_up(fill_dir, name_of(i))), i);
	assert_true(unit_open_fds() < LIMIT - 32);
	while (n > 0)
		assert_int_equal(fs->ops->release(fs, handles[--n]), 0);
	cool_all();
	assert_true(unit_open_fds() < LIMIT / 2 + LIMIT / 8);
}

static pthread_barrier_t together;

static void *rename_each_round(void *arg)
{
	for (int round = 0; round < ROUNDS; round++) {
		const char *from = round % 2 ? "b" : "a", *to = round % 2 ? "a" : "b";

		pthread_barrier_wait(&together);
		must(fs->ops->rename(fs, FS_ROOT, from, FS_ROOT, to, 0) == 0);
		pthread_barrier_wait(&together);
	}
	return NULL;
}

/* A cold directory changes its name while what is below is opened again: it is found. */
static void test_rename_meets_cold(void **state)
{
	uint64_t d, nodes[4];
	pthread_t thread;

	assert_int_equal(mkdir("export/a", 0755), 0);
	assert_int_equal(mkdir("export/a/d", 0755), 0);
	for (int i = 0; i < 4; i++) {
		char path[64];

		snprintf(path, sizeof(path), "export/a/d/%s", name_of(i));
		touch(path, i);
	}
	let_age();
	d = look_up(look_up(FS_ROOT, "a"), "d");
	for (int i = 0; i < 4; i++)
		nodes[i] = look_up(d, name_of(i));
	pthread_barrier_init(&together, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, rename_each_round, NULL), 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < FILLERS; i++)
			look_up(fill_dir, name_of(i));
		must(is_cold(nodes[0]));
		pthread_barrier_wait(&together);
		/* Into every moment of a rename. */
		for (volatile int i = 0; i < round % 100 * 60; i++)
			;
		for (int i = 0; i < 4; i++)
			must(size_of(nodes[i]) == i);
		pthread_barrier_wait(&together);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&together);
}

/* Without birth times, a change by the host makes a cold inode another one, never a wrong one. */
static void test_without_birth_time(void **state)
{
	uint64_t still, changed, renamed;

	if (!mounted)
		skip();
	touch("export/still", 3);
	touch("export/changed", 4);
	touch("export/renamed", 5);
	let_age();
	still = look_up(FS_ROOT, "still");
	changed = look_up(FS_ROOT, "changed");
	renamed = look_up(FS_ROOT, "renamed");
	assert_int_equal(pt_of(fs)->root->mount->fd, -1);
	cool_all();
	assert_true(is_cold(still) && is_cold(changed) && is_cold(renamed));
	assert_int_equal(chmod("export/changed", 0600), 0);
	/* The guest's own rename changes the time too. */
	assert_int_equal(fs->ops->rename(fs, FS_ROOT, "renamed", fill_dir, "new", 0), 0);
	let_age();
	cool_all();
	assert_true(is_cold(renamed));
	assert_int_equal(size_of(still), 3);
	assert_int_equal(size_of(changed), -ESTALE);
	assert_int_equal(size_of(renamed), 5);
	assert_true(look_up(FS_ROOT, "changed") != changed);
	assert_int_equal(look_up(FS_ROOT, "still"), still);
}

/* A number is used again within the same step of the clock: times do not tell the two apart. */
static void test_young(void **state)
{
	for (int i = 0; i < 100; i++) {
		uint64_t old, new;

		touch("export/young", 3);
		old = look_up(FS_ROOT, "young");
		for (int f = 0; f < LIMIT; f++)
			fs->ops->forget(fs, look_up(fill_dir, name_of(f)), 0);
		assert_int_equal(unlink("export/young"), 0);
		touch("export/young", 4);
		new = look_up(FS_ROOT, "young");
		assert_true(new != old);
		if (size_of(old) != -ESTALE)
			assert_int_equal(size_of(old), 3);
		fs->ops->forget(fs, old, 1);
		fs->ops->forget(fs, new, 1);
		assert_int_equal(unlink("export/young"), 0);
	}
}

/* Memory for nodes has an end, which says so; forgetting makes room. */
static void test_memory_ends(void **state)
{
	uint64_t first = look_up(fill_dir, name_of(0)), second = look_up(fill_dir, name_of(1));
	struct fs_entry e, more;
	int n = 2, r = 0;

	pt_of(fs)->config.node_bytes = 200 * 256;
	while (n < FILLERS && r == 0)
		r = fs->ops->lookup(fs, fill_dir, name_of(n++), &e);
	assert_int_equal(r, -ENFILE);
	assert_in_range(n, 150, 350);
	assert_int_equal(size_of(first), 0);
	/* One alone may have been all that was too much: cold nodes take more than hot ones. */
	fs->ops->forget(fs, first, 1);
	fs->ops->forget(fs, second, 1);
	r = 0;
	assert_int_equal(fs->ops->lookup(fs, fill_dir, name_of(n), &e), 0);
	for (int i = 1; i < 4 && r != -ENFILE; i++)
		r = fs->ops->lookup(fs, fill_dir, name_of(n + i), &more);
	assert_int_equal(r, -ENFILE);
	/* What is known is found as before. */
	assert_int_equal(fs->ops->lookup(fs, fill_dir, name_of(n), &e), 0);
	assert_int_equal(size_of(e.node), n);
}

#define CASE(test, how) cmocka_unit_test_setup_teardown(test, how, stop)
#define BOTH_WAYS(test) CASE(test, by_handle), CASE(test, by_name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_WAYS(test_many_directories),
		BOTH_WAYS(test_deep),
		BOTH_WAYS(test_burst),
		BOTH_WAYS(test_swapped),
		BOTH_WAYS(test_circle),
		BOTH_WAYS(test_unlinked),
		BOTH_WAYS(test_other_link),
		BOTH_WAYS(test_unlinked_without_end),
		BOTH_WAYS(test_all_open),
		BOTH_WAYS(test_rename_meets_cold),
		BOTH_WAYS(test_young),
		BOTH_WAYS(test_memory_ends),
		CASE(test_many_directories, on_ramfs),
		CASE(test_burst, on_ramfs),
		CASE(test_unlinked, on_ramfs),
		CASE(test_without_birth_time, on_ramfs),
	};

	/* Mounts of these tests are theirs alone, and go with them. */
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
