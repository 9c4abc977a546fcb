// SPDX-License-Identifier: BSD-2-Clause
// check: needs=mkfs.ext4,mkfs.xfs,mkfs.btrfs,mount
/*
 * Listings while entries come and go, on several file systems: what existed throughout is seen
 * once, wherever a reader goes on; what an offset in the last reply leads to does not change;
 * memory for it is bounded.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define KEPT    2500
#define CHURN   400
#define ROUNDS  12
#define OPEN    12

static struct fs *fs;
static char directory[64];
static bool mounted;

struct names {
	struct fs_listing l;
	unsigned int n;
	struct {
		char name[40];
		uint64_t next;
		unsigned char type;
	} e[4096];
};

static size_t cost_of(const struct fs_listing *l, size_t name_len)
{
	return 24 + ((name_len + 7) & ~(size_t)7);
}

static void add_name(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	struct names *names = container_of(l, struct names, l);

	must(names->n < ARRAY_SIZE(names->e) && d->name_len < sizeof(names->e[0].name));
	l->left -= cost_of(l, d->name_len);
	memcpy(names->e[names->n].name, d->name, d->name_len + 1);
	names->e[names->n].next = d->next;
	names->e[names->n++].type = d->type;
}

/* One reply of this size. */
static void ask(struct names *names, const struct fs_target *t, uint64_t offset, size_t size)
{
	names->n = 0;
	names->l = (struct fs_listing){.left = size, .cost = cost_of, .add = add_name};
	must(fs->ops->readdir(fs, t, offset, &names->l) == 0);
}

/* Mounts a file system of a type on "export"; mounted says whether it can be had. */
static void mount_type(const char *type)
{
	char command[300];

	if (strcmp(type, "tmpfs") == 0)
		snprintf(command, sizeof(command), "mount -t tmpfs none export");
	else if (strcmp(type, "overlay") == 0)
		snprintf(command, sizeof(command),
			"mkdir lower upper work && for i in $(seq 300); do : >lower/low$i; done && "
			"mkdir lower/d && mount -t tmpfs none upper && mkdir upper/u upper/w && "
			"mount -t overlay -o lowerdir=lower,upperdir=upper/u,workdir=upper/w none "
			"export");
	else
		snprintf(command, sizeof(command),
			"truncate -s 400M image && mkfs.%s -q image >mkfs.log 2>&1 && "
			"mount -o loop image export 2>>mkfs.log", type);
	mounted = system(command) == 0;
}

static void touch_at(int dir_fd, const char *format, int i)
{
	char name[40];
	int fd;

	snprintf(name, sizeof(name), format, i);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	must(fd >= 0);
	close(fd);
}

static void start(const char *type, size_t dir_bytes)
{
	const struct passthrough_config config = {.dir_bytes = dir_bytes};
	int dir_fd;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	mounted = false;
	if (type)
		mount_type(type);
	if (type && !mounted) {
		print_message("no %s can be mounted here\n", type);
		skip();
	}
	mkdir("export/d", 0755);
	dir_fd = open("export/d", O_PATH | O_CLOEXEC);
	for (int i = 0; i < KEPT; i++)
		touch_at(dir_fd, "kept-%d", i);
	close(dir_fd);
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
}

static struct fs_target open_dir(const char *name)
{
	struct fs_target t = {.has_handle = true};
	struct fs_entry e;

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, name, &e), 0);
	t.node = e.node;
	assert_int_equal(fs->ops->opendir(fs, t.node, &t.handle), 0);
	return t;
}

static int stop(void **state)
{
	if (fs)
		passthrough_free(fs);
	fs = NULL;
	if (mounted)
		assert_int_equal(umount2("export", 0), 0);
	/* Below an overlay. */
	umount2("upper", 0);
	unit_leave_directory(directory);
	return 0;
}

static _Atomic bool racing;

static void *churn(void *arg)
{
	int fd = open("export/d", O_PATH | O_CLOEXEC);
	bool there[CHURN] = {false};
	uint32_t seed = 4711;
	char name[40];

	while (atomic_load(&racing)) {
		int i = (int)(unit_random(&seed) % CHURN);

		if (!there[i]) {
			touch_at(fd, "churned-%d", i);
		} else {
			snprintf(name, sizeof(name), "churned-%d", i);
			must(unlinkat(fd, name, 0) == 0);
		}
		there[i] = !there[i];
	}
	close(fd);
	return NULL;
}

/* Counts the kept names of a reply up to where the program's buffer was full. */
static void count(const struct names *names, unsigned int n, unsigned char *seen)
{
	for (unsigned int i = 0; i < n; i++) {
		int kept;

		if (sscanf(names->e[i].name, "kept-%d", &kept) != 1)
			continue;
		must(kept >= 0 && kept < KEPT);
		must(names->e[i].type == DT_REG || names->e[i].type == DT_UNKNOWN);
		seen[kept]++;
	}
}

/* Reads all of a directory, taking only a part of some replies. */
static void read_all(const struct fs_target *t, uint32_t *seed)
{
	static const size_t sizes[] = {4096, 600, 70000, 20000, 131072};
	static struct names names;
	unsigned char seen[KEPT] = {0};
	uint64_t offset = 0;

	while (true) {
		unsigned int taken;

		ask(&names, t, offset, sizes[unit_random(seed) % ARRAY_SIZE(sizes)]);
		if (names.n == 0)
			break;
		taken = unit_random(seed) % 3 ? names.n : 1 + unit_random(seed) % names.n;
		count(&names, taken, seen);
		offset = names.e[taken - 1].next;
	}
	for (int i = 0; i < KEPT; i++) {
		if (seen[i] != 1)
			fail_msg("kept-%d was seen %d times", i, seen[i]);
	}
}

static void check_churn(const char *type)
{
	struct fs_target a, b;
	uint32_t seed = 99;
	pthread_t thread;

	start(type, 0);
	a = open_dir("d");
	b = (struct fs_target){.node = a.node};
	atomic_store(&racing, true);
	assert_int_equal(pthread_create(&thread, NULL, churn, NULL), 0);
	for (int round = 0; round < ROUNDS; round++) {
		read_all(&a, &seed);
		/* Without a handle. */
		read_all(&b, &seed);
	}
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
}

static void test_here(void **state)
{
	check_churn(NULL);
}

static void test_ext4(void **state)
{
	check_churn("ext4");
}

static void test_xfs(void **state)
{
	check_churn("xfs");
}

static void test_btrfs(void **state)
{
	check_churn("btrfs");
}

static void test_tmpfs(void **state)
{
	check_churn("tmpfs");
}

static void test_overlay(void **state)
{
	check_churn("overlay");
}

/* What an offset of the last reply leads to is what followed it there, also when all that went
 * before is unlinked; offset 0 reads anew. */
static void check_go_back(const struct fs_target *t)
{
	static struct names first, again;
	unsigned int half;

	ask(&first, t, 0, 131072);
	half = first.n / 2;
	assert_true(half > 100);
	for (unsigned int i = 0; i < half; i++) {
		char path[60];

		snprintf(path, sizeof(path), "export/d/%s", first.e[i].name);
		if (first.e[i].name[0] != '.')
			assert_int_equal(unlink(path), 0);
	}
	ask(&again, t, first.e[half - 1].next, 131072);
	assert_true(again.n >= first.n - half);
	for (unsigned int i = 0; half + i < first.n; i++)
		assert_string_equal(again.e[i].name, first.e[half + i].name);
	ask(&again, t, first.e[0].next, 600);
	assert_string_equal(again.e[0].name, first.e[1].name);
	ask(&again, t, 0, 131072);
	for (unsigned int i = 0; i < again.n; i++)
		assert_string_not_equal(again.e[i].name, first.e[half - 1].name);
}

static void test_go_back(void **state)
{
	struct fs_target t;

	start(NULL, 0);
	t = open_dir("d");
	check_go_back(&t);
	t.has_handle = false;
	check_go_back(&t);
}

/* From 0 on a directory is read anew, as small as it may be. */
static void test_rewind(void **state)
{
	static struct names names;
	struct fs_target t;

	start(NULL, 0);
	assert_int_equal(mkdir("export/small", 0755), 0);
	assert_int_equal(mkdir("export/small/old", 0755), 0);
	t = open_dir("small");
	ask(&names, &t, 0, 4096);
	assert_int_equal(names.n, 3);
	assert_int_equal(rename("export/small/old", "export/small/new"), 0);
	ask(&names, &t, 0, 4096);
	assert_int_equal(names.n, 3);
	for (unsigned int i = 0; i < names.n; i++)
		assert_string_not_equal(names.e[i].name, "old");
}

static void test_go_back_tmpfs(void **state)
{
	struct fs_target t;

	start("tmpfs", 0);
	t = open_dir("d");
	check_go_back(&t);
}

/* Many directories that are listed at a time take the memory of a few, and each goes on where it
 * was. */
static void test_bounded(void **state)
{
	const size_t most = 3 * 2 * (PT_DIR_PIECE + sizeof(struct pt_dir_piece));
	static unsigned char seen[OPEN][KEPT];
	static struct names names;
	struct fs_target t[OPEN];
	uint64_t offset[OPEN] = {0};
	bool more = true;

	start(NULL, most);
	for (int i = 0; i < OPEN; i++)
		t[i] = open_dir("d");
	assert_int_equal(pt_dir_pool_bytes(&pt_of(fs)->dirs), 0);
	while (more) {
		more = false;
		for (int i = 0; i < OPEN; i++) {
			ask(&names, &t[i], offset[i], 5000 + 1000 * (size_t)i);
			count(&names, names.n, seen[i]);
			if (names.n > 0)
				offset[i] = names.e[names.n - 1].next;
			more = more || names.n > 0;
			assert_true(pt_dir_pool_bytes(&pt_of(fs)->dirs) <= most);
		}
	}
	for (int i = 0; i < OPEN; i++) {
		for (int k = 0; k < KEPT; k++)
			assert_int_equal(seen[i][k], 1);
		assert_int_equal(fs->ops->release(fs, t[i].handle), 0);
	}
	assert_int_equal(pt_dir_pool_bytes(&pt_of(fs)->dirs), 0);
	assert_null(pt_of(fs)->dirs.oldest);
	assert_null(pt_of(fs)->dirs.newest);
}

#define CASE(test) cmocka_unit_test_teardown(test, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_here), CASE(test_ext4), CASE(test_xfs), CASE(test_btrfs),
		CASE(test_tmpfs), CASE(test_overlay), CASE(test_go_back),
		CASE(test_go_back_tmpfs), CASE(test_rewind), CASE(test_bounded),
	};

	/* Mounts of these tests are theirs alone, and go with them. */
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
