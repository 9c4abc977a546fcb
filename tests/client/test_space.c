// SPDX-License-Identifier: BSD-2-Clause
/*
 * Space through the library: allocated, punched, sought, copied, counted; and access.
 */
#include "world.h"

#include <linux/falloc.h>

#define HOLE (1 << 20) /* larger than a block of any file system that tests run on */

/* What the host says, through a descriptor of its own. */
static off_t host_seek(const char *path, off_t offset, int whence)
{
	CLEANUP_FD int fd = open(path, O_RDONLY);
	off_t r;

	assert_true(fd >= 0);
	r = lseek(fd, offset, whence);
	return r < 0 ? -errno : r;
}

static void test_holes(void **state)
{
	static const off_t places[] = {
		0, 1, 4095, HOLE - 1, HOLE, HOLE + 1, 2 * HOLE - 1, 2 * HOLE};
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);

	assert_int_equal(causeway_pwrite(f, "x", 1, 0), 1);
	assert_int_equal(causeway_pwrite(f, "x", 1, HOLE), 1);
	assert_good(causeway_ftruncate(f, 2 * HOLE));
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(causeway_lseek(f, places[i], SEEK_DATA),
			host_seek("f", places[i], SEEK_DATA));
		assert_int_equal(causeway_lseek(f, places[i], SEEK_HOLE),
			host_seek("f", places[i], SEEK_HOLE));
	}
	assert_int_equal(causeway_lseek(f, 2 * HOLE, SEEK_DATA), -ENXIO);
	assert_int_equal(causeway_lseek(f, -1, SEEK_HOLE), -ENXIO);
	assert_int_equal(causeway_lseek(f, 1, SEEK_HOLE), host_seek("f", 1, SEEK_HOLE));
	/* Where it led to is the position. */
	assert_int_equal(causeway_lseek(f, 0, SEEK_CUR), host_seek("f", 1, SEEK_HOLE));
	causeway_close(f);
}

static void test_allocate(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);
	struct stat st;
	int r;

	assert_good(causeway_fallocate(f, 0, 0, HOLE));
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_size, HOLE);
	assert_true(st.st_blocks * 512 >= HOLE);
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_size, HOLE);
	assert_good(causeway_fallocate(f, FALLOC_FL_KEEP_SIZE, HOLE, HOLE));
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_size, HOLE);
	r = causeway_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HOLE);
	assert_true(r == 0 || r == -EOPNOTSUPP);
	if (r == 0)
		assert_int_equal(host_seek("f", 0, SEEK_HOLE), 0);
	assert_int_equal(causeway_fallocate(f, 0, -1, 1), -EINVAL);
	assert_int_equal(causeway_fallocate(f, 0, 0, 0), -EINVAL);
	assert_int_equal(causeway_fallocate(f, 0, INT64_MAX, 1), -EFBIG);
	causeway_close(f);
	f = must_open("f", O_RDONLY);
	assert_int_equal(causeway_fallocate(f, 0, 0, 1), -EBADF);
	causeway_close(f);
}

static void test_copy(void **state)
{
	struct causeway_file *from, *to;
	struct stat st;

	put("from", "hello, world");
	from = must_open("from", O_RDONLY);
	to = must_open("to", O_WRONLY | O_CREAT);
	assert_good(causeway_fstat(to, &st));
	assert_int_equal(causeway_copy_file_range(from, 7, to, 2, 100), 5);
	assert_good(causeway_fstat(to, &st));
	assert_int_equal(st.st_size, 7);
	assert_int_equal(causeway_copy_file_range(from, 0, to, 0, 2), 2);
	assert_content("to", "heworld");
	assert_int_equal(causeway_copy_file_range(from, 12, to, 0, 2), 0);
	assert_int_equal(causeway_copy_file_range(from, 0, to, 0, 0), 0);
	assert_int_equal(causeway_copy_file_range(to, 0, to, 0, 2), -EBADF);
	assert_int_equal(causeway_copy_file_range(from, 0, from, 0, 2), -EBADF);
	assert_int_equal(causeway_copy_file_range(from, -1, to, 0, 2), -EINVAL);
	/* Offsets above 4 GiB. */
	assert_int_equal(causeway_copy_file_range(from, 0, to, 5ll << 30, 12), 12);
	assert_good(causeway_fstat(to, &st));
	assert_int_equal(st.st_size, (5ll << 30) + 12);
	causeway_close(from);
	causeway_close(to);
}

static void test_statvfs(void **state)
{
	struct statvfs ours, theirs;
	struct causeway_file *d = must_open("/", O_PATH);

	put("f", "x");
	assert_int_equal(statvfs(".", &theirs), 0);
	assert_good(causeway_statvfs(peer->c, NULL, "f", &ours));
	assert_int_equal(ours.f_blocks, theirs.f_blocks);
	assert_int_equal(ours.f_frsize, theirs.f_frsize);
	assert_int_equal(ours.f_bsize, theirs.f_bsize);
	assert_int_equal(ours.f_files, theirs.f_files);
	assert_int_equal(ours.f_namemax, theirs.f_namemax);
	assert_good(causeway_statvfs(peer->c, d, "", &ours));
	assert_int_equal(ours.f_blocks, theirs.f_blocks);
	assert_int_equal(causeway_statvfs(peer->c, d, "none", &ours), -ENOENT);
	assert_good(causeway_syncfs(peer->c));
	causeway_close(d);
}

static void test_access(void **state)
{
	static const char *const options[] = {"cache", "none", "uid", "1234", "gid", "1234", NULL};

	tear_down(state);
	world_enter(state, options);
	assert_int_equal(chmod(".", 0755), 0);
	put("f", "x");
	assert_int_equal(chown("f", 1234, 0) | chmod("f", 0400) | symlink("none", "l"), 0);
	assert_good(causeway_access(peer->c, NULL, "f", F_OK, 0));
	assert_good(causeway_access(peer->c, NULL, "f", R_OK, 0));
	assert_int_equal(causeway_access(peer->c, NULL, "f", W_OK | R_OK, 0), -EACCES);
	assert_int_equal(causeway_access(peer->c, NULL, ".", W_OK, 0), -EACCES);
	assert_good(causeway_access(peer->c, NULL, ".", R_OK | X_OK, 0));
	assert_int_equal(causeway_access(peer->c, NULL, "l", F_OK, 0), -ENOENT);
	assert_good(causeway_access(peer->c, NULL, "l", F_OK, AT_SYMLINK_NOFOLLOW));
	assert_int_equal(causeway_access(peer->c, NULL, "f", 8, 0), -EINVAL);
	/* The group's and the others' bits count for those who are not of the classes before. */
	assert_int_equal(chown("f", 0, 1234) | chmod("f", 0727), 0);
	assert_good(causeway_access(peer->c, NULL, "f", W_OK, 0));
	assert_int_equal(causeway_access(peer->c, NULL, "f", R_OK, 0), -EACCES);
	assert_int_equal(chown("f", 0, 0) | chmod("f", 0773), 0);
	assert_good(causeway_access(peer->c, NULL, "f", W_OK | X_OK, 0));
	assert_int_equal(causeway_access(peer->c, NULL, "f", R_OK, 0), -EACCES);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		WORLD_CASE(test_holes),
		WORLD_CASE(test_allocate),
		WORLD_CASE(test_copy),
		WORLD_CASE(test_statvfs),
		WORLD_CASE(test_access),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
