// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * cache=shared with causewayd: two clients, each with a server of its own, on one directory and one
 * version table. What one changes the other sees at its next access; what nobody changes makes no
 * request; and whatever they do, each sees what is there.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#include "coherence/words.h"
#include "peer.h"

#define PATIENCE_S 60
#define LARGE      (300 * 1024)

static struct {
	char dir[64], table_dir[64], table[80];
	struct causeway *c[2];
	/* Plays the watcher: nothing else changes the directory here. */
	pthread_t watcher;
	_Atomic bool ends;
	struct {
		char *map;
	} words;
} world;

static struct causeway *start_as(const char *table, const char *uid, const char *cache)
{
	struct causeway *c = causeway_new();
	char option[128];

	assert_int_equal(causeway_set(c, "uid", uid), 0);
	snprintf(option, sizeof(option), "--version-table=%s", table);
	assert_int_equal(causeway_set(c, "daemon", peer_causewayd()), 0);
	assert_int_equal(causeway_set(c, "daemon-option", "--xattr"), 0);
	assert_int_equal(causeway_set(c, "daemon-option", option), 0);
	assert_int_equal(causeway_set(c, "cache", cache), 0);
	if (strcmp(table, "memfd") != 0)
		assert_int_equal(causeway_set(c, "version-table", table), 0);
	if (causeway_share(c, world.dir) < 0)
		fail_msg("%s", causeway_error(c));
	return c;
}

static struct causeway *start(const char *table)
{
	return start_as(table, "0", "shared");
}

static void *beat(void *arg)
{
	vtable_word *watcher = words_head(&world.words, watcher);

	while (!atomic_load(&world.ends)) {
		atomic_fetch_add(watcher, 1);
		usleep(VT_BEAT_MS * 1000 / 5);
	}
	return NULL;
}

static void watch(void)
{
	int fd = open(world.table, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	world.words.map = mmap(NULL, VT_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(world.words.map, MAP_FAILED);
	close(fd);
	atomic_fetch_add(words_head(&world.words, watcher), 1);
	atomic_store(&world.ends, false);
	assert_int_equal(pthread_create(&world.watcher, NULL, beat, NULL), 0);
}

static int set_up(void **state)
{
	strcpy(world.dir, "/tmp/shared-XXXXXX");
	strcpy(world.table_dir, "/dev/shm/table-XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	assert_non_null(mkdtemp(world.table_dir));
	snprintf(world.table, sizeof(world.table), "%s/table", world.table_dir);
	for (int i = 0; i < 2; i++)
		world.c[i] = start(world.table);
	watch();
	umask(0);
	return chdir(world.dir);
}

static int tear_down(void **state)
{
	atomic_store(&world.ends, true);
	pthread_join(world.watcher, NULL);
	munmap(world.words.map, VT_HEADER_SIZE);
	assert_int_equal(chdir("/"), 0);
	for (int i = 0; i < 2; i++)
		causeway_free(world.c[i]);
	assert_int_equal(nftw(world.dir, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	assert_int_equal(nftw(world.table_dir, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	return 0;
}

static uint64_t requests(struct causeway *c)
{
	uint64_t n;

	assert_int_equal(causeway_get(c, "requests", &n), 0);
	return n;
}

/* How many requests something takes a client. */
#define COST(c, what)                                                                              \
	({                                                                                         \
		uint64_t cost_before_ = requests(c);                                               \
		what;                                                                              \
		requests(c) - cost_before_;                                                        \
	})

static int stat_of(struct causeway *c, const char *path, struct stat *st)
{
	struct stat unused;

	return causeway_stat(c, NULL, path, st ? st : &unused, AT_SYMLINK_NOFOLLOW);
}

static struct causeway_file *must_open(struct causeway *c, const char *path, int flags)
{
	struct causeway_file *f;

	if (causeway_open(c, NULL, path, flags, 0644, &f) < 0)
		fail_msg("%s: %s", path, causeway_error(c));
	return f;
}

static void make(struct causeway *c, const char *path, const char *text)
{
	struct causeway_file *f = must_open(c, path, O_CREAT | O_TRUNC | O_WRONLY);

	assert_int_equal(causeway_write(f, text, strlen(text)), strlen(text));
	assert_int_equal(causeway_close(f), 0);
}

static void expect_text(struct causeway_file *f, const char *text)
{
	char bytes[64];

	assert_int_equal(causeway_pread(f, bytes, sizeof(bytes), 0), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

static void test_attributes(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	struct causeway_file *f;
	struct stat st;

	make(a, "f", "text");
	assert_int_equal(stat_of(b, "f", &st), 0);
	assert_int_equal(COST(b, assert_int_equal(stat_of(b, "f", &st), 0)), 0);
	assert_int_equal(causeway_chmod(a, NULL, "f", 0600, 0), 0);
	assert_int_equal(COST(b, assert_int_equal(stat_of(b, "f", &st), 0)), 1);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(COST(a, assert_int_equal(stat_of(a, "f", &st), 0)), 0);
	assert_int_equal(causeway_truncate(a, NULL, "f", 2), 0);
	assert_int_equal(stat_of(b, "f", &st), 0);
	assert_int_equal(st.st_size, 2);
	f = must_open(b, "f", O_WRONLY | O_APPEND);
	assert_int_equal(causeway_write(f, "more", 4), 4);
	assert_int_equal(stat_of(a, "f", &st), 0);
	assert_int_equal(st.st_size, 6);
	causeway_close(f);
	assert_int_equal(causeway_link(a, NULL, "f", NULL, "g"), 0);
	assert_int_equal(stat_of(b, "f", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(causeway_unlink(a, NULL, "f", 0), 0);
	assert_int_equal(stat_of(b, "g", &st), 0);
	assert_int_equal(st.st_nlink, 1);
}

static void test_names(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	struct stat st;

	assert_int_equal(causeway_mkdir(a, NULL, "d", 0755), 0);
	make(a, "d/f", "f");
	assert_int_equal(stat_of(b, "d/f", NULL), 0);
	assert_int_equal(stat_of(b, "d/g", NULL), -ENOENT);
	assert_int_equal(COST(b, assert_int_equal(stat_of(b, "d/f", NULL), 0)), 0);
	assert_int_equal(COST(b, assert_int_equal(stat_of(b, "d/g", NULL), -ENOENT)), 0);
	make(a, "d/g", "g");
	assert_int_equal(stat_of(b, "d/g", NULL), 0);
	assert_int_equal(causeway_rename(a, NULL, "d/g", NULL, "d/f", 0), 0);
	assert_int_equal(stat_of(b, "d/g", NULL), -ENOENT);
	assert_int_equal(stat_of(b, "d/f", &st), 0);
	assert_int_equal(causeway_rename(b, NULL, "d", NULL, "e", 0), 0);
	assert_int_equal(stat_of(a, "d/f", NULL), -ENOENT);
	assert_int_equal(stat_of(a, "e/f", &st), 0);
	assert_int_equal(st.st_size, 1);
	assert_int_equal(causeway_unlink(a, NULL, "e/f", 0), 0);
	assert_int_equal(stat_of(b, "e/f", NULL), -ENOENT);
	assert_int_equal(causeway_unlink(a, NULL, "e", AT_REMOVEDIR), 0);
	assert_int_equal(stat_of(b, "e/f", NULL), -ENOENT);
}

static void test_listings(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	struct causeway_file *d;
	char name[32];

	assert_int_equal(causeway_mkdir(a, NULL, "d", 0755), 0);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "d/a-rather-long-name-%d", i);
		make(a, name, "");
	}
	d = must_open(b, "d", O_RDONLY);
	assert_int_equal(peer_list(d), 502);
	assert_int_equal(COST(b, assert_int_equal(peer_list(d), 502)), 0);
	make(a, "d/new", "");
	assert_int_equal(peer_list(d), 503);
	assert_int_equal(causeway_unlink(b, NULL, "d/new", 0), 0);
	assert_int_equal(peer_list(d), 502);
	assert_int_equal(causeway_rename(a, NULL, name, NULL, "d/other", 0), 0);
	assert_int_equal(peer_list(d), 502);
	assert_int_equal(COST(b, assert_int_equal(peer_list(d), 502)), 0);
	causeway_close(d);
}

/* A walk over many files sends nothing while nothing changes, and then for what did. */
static void test_walk(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	char name[32];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make(a, name, "");
		assert_int_equal(stat_of(b, name, NULL), 0);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		stat_of(b, name, NULL);
	}
	assert_int_equal(causeway_chmod(a, NULL, "f17", 0600, 0), 0);
	assert_int_equal(COST(b, for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(stat_of(b, name, NULL), 0);
	}), 1);
}

static void test_symlinks_and_xattrs(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	char text[32];

	assert_int_equal(causeway_symlink(a, "one", NULL, "l"), 0);
	assert_int_equal(causeway_readlink(b, NULL, "l", text, sizeof(text)), 3);
	assert_int_equal(COST(b, causeway_readlink(b, NULL, "l", text, sizeof(text))), 0);
	assert_int_equal(causeway_unlink(a, NULL, "l", 0), 0);
	assert_int_equal(causeway_symlink(a, "other", NULL, "l"), 0);
	assert_int_equal(causeway_readlink(b, NULL, "l", text, sizeof(text)), 5);

	make(a, "f", "");
	assert_int_equal(stat_of(b, "f", NULL), 0);
	assert_int_equal(causeway_getxattr(b, NULL, "f", "user.a", text, 32, 0), -ENODATA);
	assert_int_equal(COST(b, assert_int_equal(causeway_getxattr(b, NULL, "f", "user.a", text,
		32, 0), -ENODATA)), 0);
	assert_int_equal(causeway_setxattr(a, NULL, "f", "user.a", "value", 5, 0, 0), 0);
	assert_int_equal(causeway_getxattr(b, NULL, "f", "user.a", text, 32, 0), 5);
	assert_int_equal(COST(b, assert_int_equal(causeway_getxattr(b, NULL, "f", "user.a", text,
		32, 0), 5)), 0);
	assert_int_equal(causeway_listxattr(b, NULL, "f", text, 32, 0), 7);
	assert_int_equal(causeway_removexattr(a, NULL, "f", "user.a", 0), 0);
	assert_int_equal(causeway_getxattr(b, NULL, "f", "user.a", text, 32, 0), -ENODATA);
	assert_int_equal(causeway_listxattr(b, NULL, "f", text, 32, 0), 0);
}

static void test_data(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	struct causeway_file *f, *g;
	static char bytes[LARGE];

	make(a, "f", "some text");
	f = must_open(a, "f", O_RDWR);
	g = must_open(b, "f", O_RDWR);
	expect_text(g, "some text");
	assert_int_equal(COST(b, expect_text(g, "some text")), 0);
	assert_int_equal(causeway_pwrite(f, "SOME", 4, 0), 4);
	expect_text(g, "SOME text");
	assert_int_equal(causeway_ftruncate(f, 4), 0);
	expect_text(g, "SOME");
	assert_int_equal(causeway_pwrite(g, " more", 5, 4), 5);
	expect_text(f, "SOME more");
	/* Pages that we did not write to stay ours. */
	memset(bytes, 'x', LARGE);
	assert_int_equal(causeway_pwrite(f, bytes, LARGE, 0), LARGE);
	assert_int_equal(causeway_pread(f, bytes, LARGE, 0), LARGE);
	assert_int_equal(COST(a, causeway_pread(f, bytes, LARGE, 0)), 0);
	assert_int_equal(causeway_pwrite(f, "y", 1, 70000), 1);
	assert_int_equal(COST(a, causeway_pread(f, bytes, 60000, 0)), 0);
	assert_int_equal(COST(a, causeway_pread(f, bytes, LARGE, 0)), 1);
	assert_int_equal(bytes[70000], 'y');
	assert_int_equal(causeway_pread(g, bytes, LARGE, 0), LARGE);
	assert_int_equal(bytes[70000], 'y');
	causeway_close(f);
	causeway_close(g);
}

static void test_permissions(void **state)
{
	struct causeway *a = world.c[0], *b = world.c[1];
	struct stat st;

	assert_int_equal(causeway_mkdir(a, NULL, "d", 0755), 0);
	make(a, "d/f", "");
	assert_int_equal(stat_of(b, "d/f", NULL), 0);
	/* Root may search whatever the mode; that it is asked is what can be seen. */
	assert_int_equal(causeway_chmod(a, NULL, "d", 0700, 0), 0);
	assert_int_equal(COST(b, assert_int_equal(stat_of(b, "d/f", &st), 0)), 1);
	assert_int_equal(COST(b, assert_int_equal(stat_of(b, "d/f", &st), 0)), 0);
}

/* A client that is not root: a name that is kept is found and refused as one that is not. */
static void test_other_user(void **state)
{
	static const char *const paths[] = {"d/f", "d/none", "d/sub/g"};
	static const mode_t modes[] = {0755, 0700, 0711, 0600, 0};
	struct causeway *a = world.c[0];
	struct causeway *kept = start_as(world.table, "1000", "shared");
	struct causeway *asked = start_as(world.table, "1000", "none");

	assert_int_equal(causeway_mkdir(a, NULL, "d", 0755), 0);
	assert_int_equal(causeway_mkdir(a, NULL, "d/sub", 0755), 0);
	make(a, "d/f", "");
	make(a, "d/sub/g", "");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(causeway_chmod(a, NULL, "d", modes[i], 0), 0);
		for (size_t j = 0; j < 2 * ARRAY_SIZE(paths); j++) {
			const char *path = paths[j % ARRAY_SIZE(paths)];
			int r = stat_of(kept, path, NULL), expected = stat_of(asked, path, NULL);

			if (r != expected)
				fail_msg("%s below a directory of mode %o: %d, not %d", path,
					modes[i], r, expected);
		}
	}
	causeway_free(kept);
	causeway_free(asked);
}

/* A server's own memory comes with its channel. */
static void test_region(void **state)
{
	struct causeway *c = start("memfd");
	time_t end = time(NULL) + PATIENCE_S;
	uint64_t slots, cost = 1;

	assert_int_equal(causeway_get(c, "table-slots", &slots), 0);
	assert_true(slots > 0);
	make(c, "f", "text");
	/* Nobody watches: it is good for a second, which may be over. */
	while (cost > 0 && time(NULL) < end) {
		stat_of(c, "f", NULL);
		cost = COST(c, stat_of(c, "f", NULL));
	}
	assert_int_equal(cost, 0);
	causeway_free(c);
}

/* ---- whatever they do, each sees what is there ----------------------------------------------- */

#define NAMES 6
#define SIZE  (150 * 1024)

static uint32_t seed;
static char ours[SIZE + 1], theirs[SIZE + 1];

static uint32_t dice(uint32_t n)
{
	return unit_random(&seed) % n;
}

/* A path of few: names collide, and directories and files change places. */
static const char *some_path(char path[16])
{
	if (dice(2))
		snprintf(path, 16, "%c", 'a' + (int)dice(NAMES));
	else
		snprintf(path, 16, "%c/%c", 'a' + (int)dice(NAMES), 'a' + (int)dice(NAMES));
	return path;
}

static void write_some(struct causeway *c, const char *path)
{
	int flags = O_WRONLY | (dice(2) ? O_CREAT : 0) | (dice(4) ? 0 : O_APPEND) |
		(dice(6) ? 0 : O_TRUNC);
	size_t len = 1 + dice(dice(4) ? 100 : 50000);
	struct causeway_file *f;

	if (causeway_open(c, NULL, path, flags, 0644, &f) < 0)
		return;
	memset(ours, (int)('a' + dice(26)), len);
	if (causeway_pwrite(f, ours, len, dice(SIZE - 50000)) < 0)
		fail_msg("%s", causeway_error(c));
	causeway_close(f);
}

/* Whether it can be done is for both to see. */
static void change(struct causeway *c)
{
	char path[16], other[16];
	char value[8] = "value";

	some_path(path);
	some_path(other);
	switch (dice(12)) {
	case 0:
		causeway_mkdir(c, NULL, path, 0755);
		break;
	case 1:
		causeway_unlink(c, NULL, path, 0);
		break;
	case 2:
		causeway_unlink(c, NULL, path, AT_REMOVEDIR);
		break;
	case 3:
		causeway_rename(c, NULL, path, NULL, other, dice(3) ? 0 : RENAME_EXCHANGE);
		break;
	case 4:
		causeway_link(c, NULL, path, NULL, other);
		break;
	case 5:
		causeway_symlink(c, other, NULL, path);
		break;
	case 6:
		causeway_chmod(c, NULL, path, 0700 | dice(64), 0);
		break;
	case 7:
		causeway_truncate(c, NULL, path, dice(SIZE));
		break;
	case 8:
		value[0] = (char)('a' + dice(26));
		causeway_setxattr(c, NULL, path, "user.a", value, 5, 0, 0);
		break;
	default:
		write_some(c, path);
	}
}

static void compare_attributes(struct causeway *c, const char *path)
{
	struct stat st, host;
	int r = stat_of(c, path, &st);

	if (lstat(path, &host) < 0) {
		assert_int_equal(r, -errno);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(st.st_ino, host.st_ino);
	assert_int_equal(st.st_mode, host.st_mode);
	assert_int_equal(st.st_nlink, host.st_nlink);
	assert_int_equal(st.st_size, host.st_size);
	assert_memory_equal(&st.st_mtim, &host.st_mtim, sizeof(st.st_mtim));
	assert_memory_equal(&st.st_ctim, &host.st_ctim, sizeof(st.st_ctim));
}

static void compare_data(struct causeway *c, const char *path)
{
	struct causeway_file *f;
	int fd = open(path, O_RDONLY | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return;
	if (causeway_open(c, NULL, path, O_RDONLY | O_NOFOLLOW, 0, &f) < 0)
		fail_msg("%s", causeway_error(c));
	n = read(fd, theirs, sizeof(theirs));
	if (n >= 0) {
		assert_int_equal(causeway_pread(f, ours, sizeof(ours), 0), n);
		assert_memory_equal(ours, theirs, (size_t)n);
	}
	causeway_close(f);
	close(fd);
}

static void compare_rest(struct causeway *c, const char *path)
{
	struct causeway_file *d;
	ssize_t r = causeway_getxattr(c, NULL, path, "user.a", ours, 16, 0);
	ssize_t n = getxattr(path, "user.a", theirs, 16);
	struct dirent *e;
	DIR *dir;

	assert_int_equal(r, n < 0 ? -errno : n);
	if (n > 0)
		assert_memory_equal(ours, theirs, (size_t)n);
	n = readlink(path, theirs, 32);
	r = causeway_readlink(c, NULL, path, ours, 32);
	assert_int_equal(r, n < 0 ? -errno : n);
	dir = opendir(path);
	if (!dir)
		return;
	for (n = 0; (e = readdir(dir));)
		n++;
	closedir(dir);
	d = must_open(c, path, O_RDONLY);
	assert_int_equal(peer_list(d), n);
	causeway_close(d);
}

static void test_random(void **state)
{
	char path[16];

	seed = 1;
	for (int i = 0; i < 2500; i++) {
		change(world.c[dice(2)]);
		for (int k = 0; k < 4; k++) {
			struct causeway *c = world.c[dice(2)];

			some_path(path);
			switch (dice(4)) {
			case 0:
				compare_data(c, path);
				break;
			case 1:
				compare_rest(c, path);
				break;
			default:
				compare_attributes(c, path);
			}
		}
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_attributes),
		CASE(test_names),
		CASE(test_listings),
		CASE(test_walk),
		CASE(test_symlinks_and_xattrs),
		CASE(test_data),
		CASE(test_permissions),
		CASE(test_other_user),
		CASE(test_region),
		CASE(test_random),
	};

	unit_alone_with_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
