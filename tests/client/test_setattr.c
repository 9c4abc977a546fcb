// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attributes changed through the library: the host has them, and the library knows them at once.
 */
#include "world.h"

static mode_t host_mode(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void test_mode(void **state)
{
	struct causeway *c = peer->c;
	struct causeway_file *f;
	struct stat st;

	put("f", "x");
	assert_int_equal(symlink("f", "l"), 0);
	assert_good(causeway_chmod(c, NULL, "f", 04751, 0));
	assert_int_equal(host_mode("f"), 04751);
	assert_good(causeway_stat(c, NULL, "f", &st, 0));
	assert_int_equal(st.st_mode, S_IFREG | 04751);
	assert_good(causeway_chmod(c, NULL, "l", 0640, 0));
	assert_int_equal(host_mode("f"), 0640);
	assert_int_equal(causeway_chmod(c, NULL, "l", 0600, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP);
	assert_int_equal(causeway_chmod(c, NULL, "nothing", 0600, 0), -ENOENT);
	assert_int_equal(causeway_chmod(c, NULL, "", 0600, 0), -ENOENT);
	assert_int_equal(causeway_chmod(c, NULL, "f", 0600, AT_REMOVEDIR), -EINVAL);
	assert_good(causeway_chmod(c, NULL, "f", 0, AT_SYMLINK_NOFOLLOW));
	assert_int_equal(host_mode("f"), 0);
	f = must_open("f", O_RDONLY);
	assert_good(causeway_fchmod(f, 0601));
	assert_int_equal(host_mode("f"), 0601);
	assert_good(causeway_unlink(c, NULL, "f", 0));
	assert_good(causeway_fchmod(f, 0604));
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_mode, S_IFREG | 0604);
	causeway_close(f);
	assert_int_equal(mkdir("d", 0755), 0);
	f = must_open("d", O_RDONLY);
	assert_good(causeway_fchmod(f, 02711));
	assert_int_equal(host_mode("d"), 02711);
	causeway_close(f);
	f = must_open("d", O_PATH);
	assert_good(causeway_fchmod(f, 0700));
	assert_int_equal(host_mode("d"), 0700);
	causeway_close(f);
}

static void assert_owner(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static void test_owner(void **state)
{
	struct causeway *c = peer->c;
	struct causeway_file *f;

	put("f", "x");
	assert_int_equal(symlink("f", "l"), 0);
	assert_good(causeway_chown(c, NULL, "f", 1, 2, 0));
	assert_owner("f", 1, 2);
	assert_good(causeway_chown(c, NULL, "l", 3, (gid_t)-1, 0));
	assert_owner("f", 3, 2);
	assert_owner("l", 0, 0);
	assert_good(causeway_chown(c, NULL, "l", (uid_t)-1, 70000, AT_SYMLINK_NOFOLLOW));
	assert_owner("l", 0, 70000);
	f = must_open("f", O_RDWR);
	assert_good(causeway_fchown(f, 5, 6));
	assert_owner("f", 5, 6);
	assert_good(causeway_fchown(f, (uid_t)-1, (gid_t)-1));
	assert_owner("f", 5, 6);
	causeway_close(f);
}

static void test_length(void **state)
{
	struct causeway *c = peer->c;
	struct causeway_file *f;
	struct stat st;

	put("f", "hello");
	assert_int_equal(symlink("f", "l") | mkdir("d", 0755) | mkfifo("p", 0600), 0);
	assert_good(causeway_truncate(c, NULL, "l", 2));
	assert_content("f", "he");
	assert_good(causeway_truncate(c, NULL, "f", 1ll << 33));
	assert_good(causeway_stat(c, NULL, "f", &st, 0));
	assert_int_equal(st.st_size, 1ll << 33);
	assert_int_equal(causeway_truncate(c, NULL, "d", 0), -EISDIR);
	assert_int_equal(causeway_truncate(c, NULL, "p", 0), -EINVAL);
	assert_int_equal(causeway_truncate(c, NULL, "f", -1), -EINVAL);
	assert_string_equal(causeway_error(c), "a file has no length of -1");
	f = must_open("f", O_WRONLY);
	assert_good(causeway_ftruncate(f, 1));
	assert_content("f", "h");
	assert_int_equal(causeway_ftruncate(f, -1), -EINVAL);
	causeway_close(f);
	f = must_open("f", O_RDONLY);
	assert_int_equal(causeway_ftruncate(f, 0), -EINVAL);
	causeway_close(f);
	f = must_open("f", O_PATH);
	assert_int_equal(causeway_ftruncate(f, 0), -EBADF);
	causeway_close(f);
}

static void test_times(void **state)
{
	const struct timespec given[2] = {{1000000000, 123456789}, {-5, 1}};
	const struct timespec one[2] = {{0, UTIME_OMIT}, {77, 5}};
	const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	const struct timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	const struct timespec bad[2] = {{0, 0}, {0, 1000000000}};
	struct causeway *c = peer->c;
	struct causeway_file *f;
	struct stat st;

	put("f", "x");
	assert_int_equal(symlink("nowhere", "l"), 0);
	assert_good(causeway_utimens(c, NULL, "f", given, 0));
	assert_int_equal(stat("f", &st), 0);
	assert_memory_equal(&st.st_atim, &given[0], sizeof(given[0]));
	assert_memory_equal(&st.st_mtim, &given[1], sizeof(given[1]));
	assert_good(causeway_stat(c, NULL, "f", &st, 0));
	assert_memory_equal(&st.st_mtim, &given[1], sizeof(given[1]));
	f = must_open("f", O_RDONLY);
	assert_good(causeway_futimens(f, one));
	assert_int_equal(stat("f", &st), 0);
	assert_memory_equal(&st.st_atim, &given[0], sizeof(given[0]));
	assert_memory_equal(&st.st_mtim, &one[1], sizeof(one[1]));
	assert_good(causeway_futimens(f, now));
	assert_int_equal(stat("f", &st), 0);
	assert_true(st.st_atim.tv_sec > given[0].tv_sec);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_good(causeway_futimens(f, NULL));
	assert_int_equal(stat("f", &st), 0);
	assert_true(st.st_mtim.tv_sec > given[0].tv_sec);
	assert_int_equal(causeway_futimens(f, bad), -EINVAL);
	causeway_close(f);
	assert_good(causeway_utimens(c, NULL, "l", given, AT_SYMLINK_NOFOLLOW));
	assert_int_equal(lstat("l", &st), 0);
	assert_memory_equal(&st.st_atim, &given[0], sizeof(given[0]));
	assert_int_equal(causeway_utimens(c, NULL, "l", given, 0), -ENOENT);
	assert_int_equal(causeway_utimens(c, NULL, "l", none, 0), 0);
}

/* Changes the content, one way for each number. */
static void change_content(int how)
{
	struct causeway_file *f;

	if (how == 0)
		assert_good(causeway_truncate(peer->c, NULL, "f", 1));
	f = must_open("f", O_RDWR | (how == 1 ? O_TRUNC : 0));
	if (how == 2)
		assert_int_equal(causeway_pwrite(f, "x", 1, 0), 1);
	else if (how == 3)
		assert_good(causeway_fallocate(f, 0, 0, 100));
	else if (how == 4)
		assert_int_equal(causeway_copy_file_range(f, 0, f, 50, 2), 2);
	assert_good(causeway_close(f));
}

/* Whoever is not root takes set-id bits off with the content, also where the back-end leaves that
 * to its guests, as QEMU's daemon does. */
static void test_set_id(void **state)
{
	static const char *const options[] = {"cache", "none", "uid", "1234", "gid", "1234", NULL};

	tear_down(state);
	world_enter(state, options);
	assert_int_equal(chmod(".", 0777), 0);
	for (int how = 0; how < 5; how++) {
		put("f", "hello");
		assert_int_equal(chown("f", 1234, 1234) | chmod("f", 06777), 0);
		change_content(how);
		assert_int_equal(host_mode("f"), 0777);
		/* Without S_IXGRP the second bit is no set-id bit, where it is us who decide: Linux
		 * takes it off what a stranger to the group writes, and daemons are strangers. */
		if (peer->kind != PEER_VIRTIOFSD || how == 2)
			continue;
		assert_int_equal(chmod("f", 02666), 0);
		change_content(how);
		assert_int_equal(host_mode("f"), 02666);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
		WORLD_CASE(test_mode),
		WORLD_CASE(test_owner),
		WORLD_CASE(test_length),
		WORLD_CASE(test_times),
		WORLD_CASE(test_set_id),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
