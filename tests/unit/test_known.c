// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Names that the guest knows and looks up again are not opened; what has come in their place is
 * found all the same, whatever happens between two looks, and lookups are counted as ever.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"
#include "metrics/tally.h"

#define THREADS 4
#define ROUNDS  3000

static struct fs *fs;
static char directory[64];
static void (*happens)(void); /* after the next look, once */

/* Instead of the C library's: what passes through here is what the file system looks at. */
int statx(int fd, const char *restrict path, int flags, unsigned int mask,
	struct statx *restrict attr)
{
	int r = (int)syscall(SYS_statx, fd, path, flags, mask, attr);
	void (*now)(void) = happens;

	if (now) {
		happens = NULL;
		now();
	}
	return r;
}

static void make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int start(void **state)
{
	const struct passthrough_config config = {
		.file_handles = PT_FILE_HANDLES_PREFER,
		.starts_hot = true,
	};

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	make("export/f");
	make("export/g");
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	return 0;
}

static int stop(void **state)
{
	passthrough_free(fs);
	unit_leave_directory(directory);
	return 0;
}

static uint64_t look_up(const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, name, &entry), 0);
	return entry.node;
}

/* The same, which opens the name or does not. */
static uint64_t look_up_opening(const char *name, bool opens)
{
	uint64_t before = tally_read(TALLY_NAME_OPENED), node = look_up(name);

	assert_int_equal(tally_read(TALLY_NAME_OPENED) - before, opens);
	return node;
}

static ino_t number_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static ino_t number_of_node(uint64_t node)
{
	struct statx attr;

	assert_int_equal(fs->ops->getattr(fs, &(struct fs_target){.node = node}, &attr), 0);
	return attr.stx_ino;
}

static void expect_gone(uint64_t node)
{
	struct statx attr;

	assert_int_equal(fs->ops->getattr(fs, &(struct fs_target){.node = node}, &attr), -ESTALE);
}

static void test_counts(void **state)
{
	uint64_t f = look_up_opening("f", true);

	assert_int_equal(look_up_opening("f", false), f);
	assert_int_equal(look_up_opening("f", false), f);
	fs->ops->forget(fs, f, 2);
	assert_int_equal(look_up_opening("f", false), f);
	fs->ops->forget(fs, f, 2);
	expect_gone(f);
	assert_int_not_equal(look_up_opening("f", true), f);
	look_up_opening("f", false);
}

static void expect_absent(const char *name, bool opens)
{
	uint64_t before = tally_read(TALLY_NAME_OPENED);
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, name, &entry), -ENOENT);
	assert_int_equal(tally_read(TALLY_NAME_OPENED) - before, opens);
}

static void make_new(void)
{
	make("export/new");
}

static void remove_new(void)
{
	assert_int_equal(unlink("export/new"), 0);
}

/* A name that was not there is not opened to see that it is not there; whether it comes, or goes
 * again between the two looks, it is as the host has it. */
static void test_absent(void **state)
{
	struct fs_entry entry;
	uint64_t new;

	expect_absent("new", true);
	expect_absent("new", false);
	expect_absent("other", true);
	expect_absent("new", false);
	make_new();
	new = look_up_opening("new", true);
	assert_int_equal(number_of_node(new), number_of("export/new"));
	assert_int_equal(look_up_opening("new", false), new);
	fs->ops->forget(fs, new, 2);
	remove_new();
	/* It was there the last time. */
	expect_absent("new", true);
	happens = make_new;
	expect_absent("new", false);
	happens = remove_new;
	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "new", &entry), -ENOENT);
	assert_null(happens);
	expect_absent("new", false);
}

static void put_g_over_f(void)
{
	assert_int_equal(rename("export/g", "export/f"), 0);
}

static void remove_f(void)
{
	assert_int_equal(unlink("export/f"), 0);
}

/* What the name stands for is another file, or nothing. */
static void test_others(void **state)
{
	uint64_t f = look_up("f"), other;
	struct fs_entry entry;

	put_g_over_f();
	other = look_up_opening("f", true);
	assert_int_not_equal(other, f);
	assert_int_equal(number_of_node(other), number_of("export/f"));
	assert_int_equal(look_up_opening("f", false), other);
	remove_f();
	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "f", &entry), -ENOENT);
	make("export/f");
	other = look_up_opening("f", true);
	assert_int_equal(number_of_node(other), number_of("export/f"));
	assert_int_equal(mkdir("export/d", 0755), 0);
	f = look_up_opening("d", true);
	assert_int_equal(rmdir("export/d"), 0);
	assert_int_equal(symlink("f", "export/d"), 0);
	assert_int_not_equal(look_up_opening("d", true), f);
}

/* Two names of one inode lead to one node, each by itself. */
static void test_links(void **state)
{
	uint64_t f = look_up("f");

	assert_int_equal(link("export/f", "export/h"), 0);
	assert_int_equal(look_up_opening("h", true), f);
	assert_int_equal(look_up_opening("h", false), f);
	assert_int_equal(look_up_opening("f", false), f);
	remove_f();
	assert_int_equal(look_up_opening("h", false), f);
}

static uint64_t forgotten;

static void forget_it(void)
{
	fs->ops->forget(fs, forgotten, UINT64_MAX);
}

static void put_back(void)
{
	assert_int_equal(rename("export/f", "export/g"), 0);
	assert_int_equal(rename("export/kept", "export/f"), 0);
}

/* Between the look at the name and the count. */
static void test_between(void **state)
{
	uint64_t f = look_up("f"), g = look_up("g"), node;
	struct fs_entry entry;

	forgotten = f;
	happens = forget_it;
	node = look_up_opening("f", true);
	assert_int_not_equal(node, f);
	assert_int_equal(number_of_node(node), number_of("export/f"));
	/* It was there when it was looked at. */
	happens = remove_f;
	assert_int_equal(look_up_opening("f", false), node);
	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "f", &entry), -ENOENT);
	/* It was not the one that is known, and when it has been opened it is. */
	make("export/f");
	node = look_up("f");
	assert_int_equal(rename("export/f", "export/kept"), 0);
	put_g_over_f();
	happens = put_back;
	assert_int_equal(look_up_opening("f", true), node);
	assert_int_equal(look_up_opening("g", false), g);
}

/* The name of what lost its descriptor is opened, and it has one again. */
static void test_cold(void **state)
{
	struct passthrough *pt = pt_of(fs);
	uint64_t f = look_up("f");
	struct pt_node *node = pt_node_get(pt, f);

	while (pt_cool(pt, node, true) != 0)
		;
	pt_node_put(pt, node);
	assert_int_equal(look_up_opening("f", true), f);
	assert_int_equal(look_up_opening("f", false), f);
}

/* Some look it up and forget it, while it and another take turns at the name. */
static void *visit(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct fs_entry entry = {0};
		struct statx attr;

		if (fs->ops->lookup(fs, FS_ROOT, "f", &entry) != 0)
			return (void *)"no lookup";
		if (fs->ops->getattr(fs, &(struct fs_target){.node = entry.node}, &attr) != 0)
			return (void *)"no attributes";
		if (attr.stx_ino != entry.attr.stx_ino)
			return (void *)"another inode's attributes";
		fs->ops->forget(fs, entry.node, 1);
	}
	return NULL;
}

static void test_race(void **state)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, visit, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		make("export/new");
		assert_int_equal(rename("export/new", "export/f"), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *complaint;

		assert_int_equal(pthread_join(threads[i], &complaint), 0);
		if (complaint)
			fail_msg("%s", (const char *)complaint);
	}
	assert_int_equal(pt_of(fs)->nodes->used, 1);
}

static void replace_new(void)
{
	assert_int_equal(rename("export/g", "export/new"), 0);
}

/* The node of a file that was made is that file, though its name may be another's by the time that
 * it is opened by that. */
static void test_made(void **state)
{
	const struct fs_caller who = {.uid = geteuid(), .gid = getegid(), .umask = 022};
	ino_t other = number_of("export/g");
	struct fs_entry entry;
	uint64_t handle;

	happens = replace_new;
	assert_int_equal(fs->ops->create(fs, &who, FS_ROOT, "new", 0644, O_RDWR | O_CREAT | O_EXCL,
				 false, &entry, &handle), 0);
	assert_null(happens);
	assert_int_equal(number_of("export/new"), other);
	assert_int_not_equal(entry.attr.stx_ino, other);
	assert_int_equal(number_of_node(entry.node), entry.attr.stx_ino);
	assert_int_equal(fs->ops->release(fs, handle), 0);
	assert_int_equal(number_of_node(entry.node), entry.attr.stx_ino);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_counts),
		CASE(test_absent),
		CASE(test_others),
		CASE(test_links),
		CASE(test_between),
		CASE(test_cold),
		CASE(test_made),
		CASE(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
