// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * cache=shared: what is kept makes no request until somebody changes it, and is then asked for
 * anew; what we change ourselves stays known.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "shared_world.h"

#define PATIENCE_S 60
#define LENGTH     12 /* of the content of a file */

static struct shared_world w;

static int set_up_with(uint64_t slots)
{
	world_make(&w, slots);
	if (world_connect(&w) < 0)
		fail_msg("%s", causeway_error(w.c));
	world_watch(&w);
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(1 << 16);
}

static int stat_of(const char *path, struct stat *st)
{
	struct stat unused;

	return causeway_stat(w.c, NULL, path, st ? st : &unused, AT_SYMLINK_NOFOLLOW);
}

/* Threads have queues of their own. */
static int set_up_queues(void **state)
{
	world_make(&w, 1 << 16);
	assert_int_equal(causeway_set(w.c, "queues", "8"), 0);
	if (world_connect(&w) < 0)
		fail_msg("%s", causeway_error(w.c));
	world_watch(&w);
	assert_int_equal(stat_of("d/f", NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	world_end(&w);
	return 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat_of(path, &st), 0);
	return st.st_mode & 07777;
}

static struct causeway_file *must_open(const char *path, int flags)
{
	struct causeway_file *f;

	if (causeway_open(w.c, NULL, path, flags, 0644, &f) < 0)
		fail_msg("%s: %s", path, causeway_error(w.c));
	return f;
}

static void test_attributes(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_F)};
	struct causeway_file *f;
	struct stat st;

	assert_int_equal(mode_of("d/f"), 0644);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0644)), 0);
	OTHER(&w, attr, w.both->inodes[FILE_F].mode = S_IFREG | 0600);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0600)), 1);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0600)), 0);
	/* By a handle, which is the fast way. */
	f = must_open("d/f", O_RDONLY);
	assert_int_equal(COST(assert_int_equal(causeway_fstat(f, &st), 0)), 0);
	OTHER(&w, attr, w.both->inodes[FILE_F].size = 5);
	assert_int_equal(COST(assert_int_equal(causeway_fstat(f, &st), 0)), 1);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(COST(assert_int_equal(causeway_fstat(f, &st), 0)), 0);
	/* Our own. */
	assert_int_equal(COST(assert_int_equal(causeway_fchmod(f, 0640), 0)), 1);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0640)), 0);
	assert_int_equal(COST(assert_int_equal(causeway_ftruncate(f, 3), -EINVAL)), 0);
	causeway_close(f);
}

/* While a change is in flight nothing is kept, and what was kept is not shown. */
static void test_in_flight(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_F)};
	struct vtable_change other;

	assert_int_equal(mode_of("d/f"), 0644);
	other = other_begin(&w, 1, attr);
	assert_int_equal(COST(mode_of("d/f")), 1);
	assert_int_equal(COST(mode_of("d/f")), 1);
	w.both->inodes[FILE_F].mode = S_IFREG | 0600;
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0600)), 1);
	/* A change of ours beside it is not alone. */
	assert_int_equal(causeway_chmod(w.c, NULL, "d/f", 0604, 0), 0);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0604)), 1);
	other_end(&w, &other);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0604)), 1);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0604)), 0);
}

static void test_names(void **state)
{
	const uint32_t f[] = {slot_of(&w, VTABLE_ATTR, DIR_D), slot_of(&w, VTABLE_LIST, DIR_D),
		slot_of_name(&w, DIR_D, "f"), slot_of(&w, VTABLE_ATTR, FILE_F)};
	const uint32_t x[] = {slot_of(&w, VTABLE_ATTR, DIR_D), slot_of(&w, VTABLE_LIST, DIR_D),
		slot_of_name(&w, DIR_D, "x")};

	assert_int_equal(stat_of("d/f", NULL), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), -ENOENT)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), -ENOENT)), 0);
	/* A new name: the one that was missing is asked for, the others only whether they may be
	 * searched for still. */
	OTHER(&w, x, w.both->names[9] = (struct world_name){"x", DIR_D, FILE_G});
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), 0)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), 0)), 0);
	/* A name that goes, and one that is another file now. */
	OTHER(&w, x, w.both->names[9].ino = 0);
	assert_int_equal(stat_of("d/x", NULL), -ENOENT);
	OTHER(&w, f, w.both->names[FILE_F].ino = LINK_L);
	{
		struct stat st;

		assert_int_equal(stat_of("d/f", &st), 0);
		assert_true(S_ISLNK(st.st_mode));
	}
}

/* Our own names: what is known of the others, and that they may be searched, stays. */
static void test_own_names(void **state)
{
	struct causeway_file *f;

	assert_int_equal(stat_of("d/f", NULL), 0);
	assert_int_equal(stat_of("d/new", NULL), -ENOENT);
	assert_int_equal(COST(f = must_open("d/new", O_CREAT | O_RDWR)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/new", NULL), 0)), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 0);
	causeway_close(f);
	assert_int_equal(COST(assert_int_equal(causeway_mkdir(w.c, NULL, "d/sub", 0755), 0)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/sub", NULL), 0)), 0);
	assert_int_equal(COST(assert_int_equal(causeway_unlink(w.c, NULL, "d/new", 0), 0)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 0);
	assert_int_equal(stat_of("d/new", NULL), -ENOENT);
	assert_int_equal(COST(assert_int_equal(stat_of("d/new", NULL), -ENOENT)), 0);
	/* The directory's own attributes are others now. */
	assert_int_equal(COST(assert_int_equal(stat_of("d", NULL), 0)), 1);
}

/* Names that are kept are not for those who may not search the directory any more. */
static void test_search(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, DIR_D)};

	assert_int_equal(stat_of("d/f", NULL), 0);
	assert_int_equal(stat_of("d/x", NULL), -ENOENT);
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0600);
	/* ACCESS refuses, and so does LOOKUP. (Between them the attributes are asked for.) */
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), -EACCES)), 3);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), -EACCES)), 2);
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0700);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), -ENOENT)), 0);
	/* Before a change of ours of the same attributes, and beside it. */
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0600);
	assert_int_equal(causeway_mkdir(w.c, NULL, "d/dir", 0755), 0);
	assert_int_equal(stat_of("d/f", NULL), -EACCES);
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0700);
	assert_int_equal(stat_of("d/f", NULL), 0);
	w.both->fault = OVERLAP;
	assert_int_equal(causeway_mkdir(w.c, NULL, "d/sub", 0755), 0);
	w.both->fault = WORLD_GOOD;
	assert_int_equal(stat_of("d/f", NULL), -EACCES);
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0700);
	/* Where the back-end does not tell, each name is looked up. */
	w.both->fault = NO_ACCESS;
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0600);
	assert_int_equal(stat_of("d/f", NULL), -EACCES);
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0700);
	assert_int_equal(stat_of("d/f", NULL), 0);
}

/* A back-end that finds names for whom the mode does not let search: as it does where nothing is
 * kept, and what it says is kept too. */
static void test_found_anyway(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, DIR_D)};

	w.both->fault = FINDS_ANYWAY;
	assert_int_equal(stat_of("d/f", NULL), 0);
	assert_int_equal(stat_of("d/x", NULL), -ENOENT);
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0600);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 3);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/x", NULL), -ENOENT)), 0);
	assert_int_equal(causeway_mkdir(w.c, NULL, "d/sub", 0755), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f", NULL), 0)), 0);
	/* It is no more than what is so now. */
	w.both->fault = WORLD_GOOD;
	OTHER(&w, attr, w.both->inodes[DIR_D].mode = S_IFDIR | 0400);
	assert_int_equal(stat_of("d/f", NULL), -EACCES);
	assert_int_equal(stat_of("d/x", NULL), -EACCES);
}

/* Another thread asks, and the back-end has read what it answers, but holds the answer back. */
static pthread_t older_begin(uint32_t opcode, void *(*ask)(void *))
{
	time_t end = time(NULL) + PATIENCE_S;
	pthread_t thread;

	w.both->hold = opcode;
	assert_int_equal(pthread_create(&thread, NULL, ask, NULL), 0);
	while (w.both->hold != HELD && time(NULL) < end)
		usleep(200);
	assert_int_equal(w.both->hold, HELD);
	return thread;
}

static void older_end(pthread_t thread)
{
	w.both->hold = 0;
	pthread_join(thread, NULL);
}

static struct causeway_file *shared_file;

static void *ask_attributes(void *arg)
{
	struct stat st;

	must(causeway_fstat(shared_file, &st) == 0 && (st.st_mode & 07777) == 0644);
	return NULL;
}

static void *ask_bytes(void *arg)
{
	char bytes[LENGTH];

	must(causeway_pread(shared_file, bytes, LENGTH, 0) == LENGTH && bytes[0] == 'c');
	return NULL;
}

static void *ask_name(void *arg)
{
	must(stat_of("d/new", NULL) == -ENOENT);
	return NULL;
}

/* Answers to what was asked before a change of ours, and come after it: they are of the state
 * before it, and put nothing in the place of what the change has told us. */
static void test_older_attributes(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_F)};
	pthread_t older;

	shared_file = must_open("d/f", O_RDWR);
	OTHER(&w, attr, );
	older = older_begin(FUSE_GETATTR, ask_attributes);
	assert_int_equal(causeway_fchmod(shared_file, 0600), 0);
	older_end(older);
	assert_int_equal(COST(assert_int_equal(mode_of("d/f"), 0600)), 0);
	causeway_close(shared_file);
}

static void test_older_bytes(void **state)
{
	char bytes[LENGTH];
	pthread_t older;

	shared_file = must_open("d/f", O_RDWR);
	older = older_begin(FUSE_READ, ask_bytes);
	assert_int_equal(causeway_pwrite(shared_file, "C", 1, 0), 1);
	older_end(older);
	assert_int_equal(COST(assert_int_equal(causeway_pread(shared_file, bytes, LENGTH, 0),
		LENGTH)), 1);
	assert_int_equal(bytes[0], 'C');
	causeway_close(shared_file);
}

static void test_older_name(void **state)
{
	struct causeway_file *f;
	pthread_t older;

	older = older_begin(FUSE_LOOKUP, ask_name);
	f = must_open("d/new", O_CREAT | O_RDWR);
	older_end(older);
	assert_int_equal(COST(assert_int_equal(stat_of("d/new", NULL), 0)), 0);
	causeway_close(f);
}

static void test_symlinks(void **state)
{
	const uint32_t data[] = {slot_of(&w, VTABLE_DATA, LINK_L)};
	char target[16];

	assert_int_equal(causeway_readlink(w.c, NULL, "d/l", target, sizeof(target)), 6);
	assert_int_equal(COST(assert_int_equal(
		causeway_readlink(w.c, NULL, "d/l", target, sizeof(target)), 6)), 0);
	OTHER(&w, data, );
	assert_int_equal(COST(assert_int_equal(
		causeway_readlink(w.c, NULL, "d/l", target, sizeof(target)), 6)), 1);
}

static void expect_xattr(const char *value, uint64_t cost)
{
	char text[16] = "";
	ssize_t n = 0;

	assert_int_equal(COST(n = causeway_getxattr(w.c, NULL, "d/f", "user.a", text, 15, 0)),
		cost);
	assert_int_equal(n, value ? (ssize_t)strlen(value) : -ENODATA);
	assert_string_equal(text, value ? value : "");
}

static void test_xattrs(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_F)};
	char list[16];

	assert_int_equal(stat_of("d/f", NULL), 0);
	expect_xattr(NULL, 1);
	expect_xattr(NULL, 0);
	OTHER(&w, attr, strcpy(w.both->inodes[FILE_F].xattr, "one"));
	expect_xattr("one", 1);
	expect_xattr("one", 0);
	assert_int_equal(COST(assert_int_equal(causeway_getxattr(w.c, NULL, "d/f", "user.a", NULL,
		0, 0), 3)), 0);
	assert_int_equal(COST(assert_int_equal(causeway_getxattr(w.c, NULL, "d/f", "user.a", list,
		2, 0), -ERANGE)), 0);
	assert_int_equal(COST(assert_int_equal(causeway_listxattr(w.c, NULL, "d/f", list, 16, 0),
		7)), 1);
	assert_int_equal(COST(assert_int_equal(causeway_listxattr(w.c, NULL, "d/f", list, 16, 0),
		7)), 0);
	assert_int_equal(causeway_setxattr(w.c, NULL, "d/f", "user.a", "two", 3, 0, 0), 0);
	expect_xattr("two", 1);
	expect_xattr("two", 0);
	OTHER(&w, attr, w.both->inodes[FILE_F].xattr[0] = '\0');
	/* Where the attributes are not known, nothing says how long an error is good. */
	expect_xattr(NULL, 1);
	expect_xattr(NULL, 1);
	assert_int_equal(stat_of("d/f", NULL), 0);
	expect_xattr(NULL, 1);
	expect_xattr(NULL, 0);
}

static void test_one_slot(void **state)
{
	const uint32_t only[] = {0};
	struct causeway_file *f;

	assert_int_equal(mode_of("d/f"), 0644);
	assert_int_equal(COST(mode_of("d/f")), 0);
	OTHER(&w, only, w.both->inodes[FILE_F].mode = S_IFREG | 0600);
	assert_true(COST(assert_int_equal(mode_of("d/f"), 0600)) > 0);
	f = must_open("d/new", O_CREAT | O_RDWR);
	causeway_close(f);
	assert_int_equal(causeway_chmod(w.c, NULL, "d/new", 0600, 0), 0);
	assert_int_equal(mode_of("d/new"), 0600);
	assert_int_equal(causeway_unlink(w.c, NULL, "d/new", 0), 0);
	assert_int_equal(stat_of("d/new", NULL), -ENOENT);
}

static int set_up_one(void **state)
{
	return set_up_with(1);
}

#define CASE(f)            cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define CASE_OF_THREADS(f) cmocka_unit_test_setup_teardown(f, set_up_queues, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_attributes),
		CASE(test_in_flight),
		CASE(test_names),
		CASE(test_own_names),
		CASE(test_search),
		CASE(test_found_anyway),
		CASE_OF_THREADS(test_older_attributes),
		CASE_OF_THREADS(test_older_bytes),
		CASE_OF_THREADS(test_older_name),
		CASE(test_symlinks),
		CASE(test_xattrs),
		cmocka_unit_test_setup_teardown(test_one_slot, set_up_one, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
