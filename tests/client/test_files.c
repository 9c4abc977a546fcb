// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files, names, attributes and listings through the library: what it does is seen in the shared
 * directory and the other way round, with causewayd and with QEMU's daemon.
 */
#include "world.h"

static void test_read_write(void **state)
{
	struct causeway_file *f = must_open("file", O_RDWR | O_CREAT | O_EXCL);
	char buf[64] = "";

	assert_int_equal(open_result("file", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(causeway_pwrite(f, "hello, world", 12, 0), 12);
	assert_content("file", "hello, world");
	assert_int_equal(causeway_pread(f, buf, sizeof(buf), 7), 5);
	assert_string_equal(buf, "world");
	assert_int_equal(causeway_pread(f, buf, sizeof(buf), 12), 0);
	assert_int_equal(causeway_pread(f, buf, 1, -1), -EINVAL);
	assert_int_equal(causeway_fsync(f, 0), 0);
	assert_int_equal(causeway_fsync(f, 1), 0);
	assert_int_equal(causeway_ftruncate(f, 5), 0);
	assert_content("file", "hello");
	assert_int_equal(causeway_close(f), 0);
	f = must_open("file", O_WRONLY | O_APPEND);
	assert_int_equal(causeway_pwrite(f, "!", 1, 0), 1);
	assert_int_equal(causeway_pread(f, buf, 1, 0), -EBADF);
	assert_int_equal(causeway_close(f), 0);
	assert_content("file", "hello!");
	f = must_open("file", O_RDONLY);
	assert_int_equal(causeway_pwrite(f, "x", 1, 0), -EBADF);
	causeway_close(f);
	causeway_close(must_open("file", O_WRONLY | O_TRUNC));
	assert_content("file", "");
}

/* More than one request carries, at an odd place. */
static void test_large(void **state)
{
	size_t size = (5 << 20) + 12345;
	char *data = malloc(size), *back = calloc(1, size);
	struct causeway_file *f = must_open("large", O_RDWR | O_CREAT);
	uint32_t seed = 7;

	assert_true(data && back);
	for (size_t i = 0; i < size; i++)
		data[i] = (char)unit_random(&seed);
	assert_int_equal(causeway_pwrite(f, data, size, 4097), size);
	assert_int_equal(causeway_pread(f, back, size, 4097), size);
	assert_memory_equal(data, back, size);
	assert_int_equal(causeway_pread(f, back, size, 4098), size - 1);
	assert_memory_equal(data + 1, back, size - 1);
	causeway_close(f);
	free(data);
	free(back);
}

static void test_stat(void **state)
{
	struct stat ours, theirs;
	struct causeway_file *f;

	put("f", "12345");
	assert_int_equal(chmod("f", 04751), 0);
	assert_int_equal(chown("f", 1234, 70000), 0);
	assert_int_equal(stat("f", &theirs), 0);
	assert_int_equal(causeway_stat(peer->c, NULL, "/f", &ours, 0), 0);
	assert_int_equal(ours.st_mode, theirs.st_mode);
	assert_int_equal(ours.st_uid, 1234);
	assert_int_equal(ours.st_gid, 70000);
	assert_int_equal(ours.st_size, 5);
	assert_int_equal(ours.st_nlink, 1);
	assert_memory_equal(&ours.st_mtim, &theirs.st_mtim, sizeof(ours.st_mtim));
	f = must_open("f", O_RDWR);
	assert_int_equal(causeway_fstat(f, &ours), 0);
	assert_int_equal(ours.st_size, 5);
	/* What we change ourselves is seen at once, however long attributes hold. */
	assert_int_equal(causeway_pwrite(f, "678", 3, 5), 3);
	assert_int_equal(causeway_fstat(f, &ours), 0);
	assert_int_equal(ours.st_size, 8);
	assert_int_equal(causeway_ftruncate(f, 2), 0);
	assert_int_equal(causeway_stat(peer->c, NULL, "f", &ours, 0), 0);
	assert_int_equal(ours.st_size, 2);
	assert_int_equal(causeway_unlink(peer->c, NULL, "f", 0), 0);
	assert_int_equal(causeway_fstat(f, &ours), 0);
	assert_int_equal(ours.st_nlink, 0);
	causeway_close(f);
	assert_int_equal(causeway_stat(peer->c, NULL, "f", &ours, 0), -ENOENT);
	assert_string_equal(causeway_error(peer->c), "'f': No such file or directory");
	assert_int_equal(causeway_stat(peer->c, NULL, "f", &ours, 0x100000), -EINVAL);
}

static void test_names(void **state)
{
	struct causeway *c = peer->c;
	struct causeway_file *f;
	char buf[32] = "";
	struct stat st;

	assert_int_equal(causeway_mkdir(c, NULL, "d/", 0750), 0);
	assert_int_equal(stat("d", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(causeway_mkdir(c, NULL, "d", 0750), -EEXIST);
	put("d/a", "a");
	assert_int_equal(causeway_link(c, NULL, "d/a", NULL, "d/b"), 0);
	assert_int_equal(stat("d/b", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(causeway_symlink(c, "a/b/c", NULL, "d/l"), 0);
	assert_int_equal(causeway_readlink(c, NULL, "d/l", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "a/b/c");
	assert_int_equal(causeway_readlink(c, NULL, "d/l", buf, 2), 2);
	assert_int_equal(causeway_readlink(c, NULL, "d/a", buf, 2), -EINVAL);
	assert_int_equal(causeway_rename(c, NULL, "d/a", NULL, "d/z/", 0), -ENOTDIR);
	assert_int_equal(causeway_rename(c, NULL, "d/a", NULL, "d/z", 0), 0);
	assert_int_equal(access("d/a", F_OK), -1);
	assert_content("d/z", "a");
	put("d/y", "y");
	assert_int_equal(causeway_rename(c, NULL, "d/z", NULL, "d/y", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(causeway_rename(c, NULL, "d/z", NULL, "d/y", RENAME_EXCHANGE), 0);
	assert_content("d/z", "y");
	assert_int_equal(causeway_rename(c, NULL, "d/z", NULL, "d/y", 64), -EINVAL);
	assert_int_equal(causeway_unlink(c, NULL, "d", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(causeway_unlink(c, NULL, "d", 0), -EISDIR);
	assert_int_equal(causeway_unlink(c, NULL, "d/y/", 0), -ENOTDIR);
	for (const char *name = "bylz"; *name; name++) {
		char path[] = {'d', '/', *name, '\0'};

		assert_int_equal(causeway_unlink(c, NULL, path, 0), 0);
	}
	assert_int_equal(causeway_unlink(c, NULL, "d", AT_REMOVEDIR), 0);
	assert_int_equal(access("d", F_OK), -1);
	assert_int_equal(causeway_unlink(c, NULL, "/", AT_REMOVEDIR), -EBUSY);
	assert_int_equal(causeway_mkdir(c, NULL, "x/..", 0), -ENOENT);
	assert_int_equal(causeway_mkdir(c, NULL, ".", 0), -EEXIST);
	assert_int_equal(causeway_open(c, NULL, ".", O_CREAT | O_EXCL, 0, &f), -EISDIR);
	assert_int_equal(causeway_rename(c, NULL, ".", NULL, "x", 0), -EBUSY);
	assert_int_equal(causeway_unlink(c, NULL, "x", 0), -ENOENT);
}

static void assert_walk(struct causeway_file *at, const char *path, int flags, const char *to)
{
	struct stat st, want;
	int r = causeway_stat(peer->c, at, path, &st, flags);

	if (r < 0)
		fail_msg("%s: %s", path, causeway_error(peer->c));
	assert_int_equal(lstat(to, &want), 0);
	assert_int_equal(st.st_ino, want.st_ino);
}

/* Symlinks and ".." lead where they lead in the guest: never out. */
static void test_walk(void **state)
{
	struct causeway_file *d;
	char name[300];
	struct stat st;

	assert_int_equal(mkdir("p", 0755) | mkdir("p/q", 0755), 0);
	put("p/q/f", "x");
	put("top", "x");
	assert_int_equal(symlink("q/f", "p/rel") | symlink("/p/q", "p/abs") |
		symlink("../../../../top", "p/up") | symlink("loop", "loop") |
		symlink("abs/", "p/chain") | symlink("nowhere", "dangling"), 0);
	d = must_open("p/q", O_PATH);
	assert_walk(NULL, "/", 0, ".");
	assert_walk(NULL, "..", 0, ".");
	assert_walk(NULL, "p//q/./f", 0, "p/q/f");
	assert_walk(NULL, "p/q/../../top", 0, "top");
	assert_walk(NULL, "p/rel", 0, "p/q/f");
	assert_walk(NULL, "p/rel", AT_SYMLINK_NOFOLLOW, "p/rel");
	assert_walk(NULL, "p/abs/f", 0, "p/q/f");
	assert_walk(NULL, "p/abs/", AT_SYMLINK_NOFOLLOW, "p/q");
	assert_walk(NULL, "p/chain/f", 0, "p/q/f");
	assert_walk(NULL, "p/up", 0, "top");
	assert_walk(d, "f", 0, "p/q/f");
	assert_walk(d, "", AT_EMPTY_PATH, "p/q");
	assert_walk(d, "/top", 0, "top");
	causeway_close(d);
	assert_int_equal(causeway_stat(peer->c, NULL, "loop", &st, 0), -ELOOP);
	assert_int_equal(causeway_stat(peer->c, NULL, "top/", &st, 0), -ENOTDIR);
	assert_int_equal(causeway_stat(peer->c, NULL, "top/x", &st, 0), -ENOTDIR);
	assert_int_equal(causeway_stat(peer->c, NULL, "", &st, 0), -ENOENT);
	assert_int_equal(causeway_stat(peer->c, NULL, "dangling", &st, 0), -ENOENT);
	assert_int_equal(open_result("loop", O_RDONLY | O_NOFOLLOW), -ELOOP);
	assert_int_equal(open_result("p", O_RDWR), -EISDIR);
	assert_int_equal(open_result("top", O_DIRECTORY), -ENOTDIR);
	assert_int_equal(open_result("new/", O_CREAT | O_RDWR), -EISDIR);
	/* O_CREAT follows a symlink to where nothing is, but for O_EXCL and O_NOFOLLOW. */
	assert_int_equal(open_result("dangling", O_CREAT | O_EXCL | O_RDWR), -EEXIST);
	assert_int_equal(open_result("dangling", O_CREAT | O_NOFOLLOW | O_RDWR), -ELOOP);
	assert_int_equal(access("nowhere", F_OK), -1);
	assert_int_equal(open_result("dangling", O_CREAT | O_RDWR), 0);
	assert_int_equal(access("nowhere", F_OK), 0);
	assert_int_equal(open_result("loop", O_CREAT | O_RDWR), -ELOOP);
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_int_equal(causeway_stat(peer->c, NULL, name, &st, 0), -ENAMETOOLONG);
	name[255] = '\0';
	assert_int_equal(causeway_stat(peer->c, NULL, name, &st, 0), -ENOENT);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(open_result("fifo", O_RDONLY), -ENXIO);
	assert_int_equal(open_result("fifo", O_PATH), 0);
}

static void test_listing(void **state)
{
	bool seen[1200] = {false};
	struct causeway_dirent e;
	struct causeway_file *d;
	uint64_t middle = 0;
	unsigned int n = 0;
	int r;

	assert_int_equal(mkdir("many", 0755), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++) {
		char path[64];

		snprintf(path, sizeof(path), "many/some-rather-long-name-%u", i);
		put(path, "");
	}
	d = must_open("many", O_RDONLY | O_DIRECTORY);
	while ((r = causeway_readdir(d, &e)) == 1) {
		unsigned int i;

		if (sscanf(e.name, "some-rather-long-name-%u", &i) != 1)
			continue;
		assert_true(i < ARRAY_SIZE(seen) && !seen[i] && e.type == DT_REG);
		seen[i] = true;
		if (++n == 600)
			middle = e.offset;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, ARRAY_SIZE(seen));
	assert_int_equal(causeway_readdir(d, &e), 0);
	causeway_seekdir(d, middle);
	for (n = 0; causeway_readdir(d, &e) == 1;)
		n += e.name[0] == 's';
	assert_int_equal(n, 600);
	causeway_close(d);
	d = must_open("many", O_PATH);
	assert_int_equal(causeway_readdir(d, &e), -EBADF);
	causeway_close(d);
}

/* What a handle points to is opened, with or without a name; and flags of a handle change. */
static void test_reopen(void **state)
{
	struct causeway_file *place, *f, *d;
	char buf[32];

	put("f", "hello");
	mkdir("d", 0755);
	place = must_open("f", O_PATH);
	assert_int_equal(causeway_setfl(place, O_APPEND), -EBADF);
	assert_int_equal(unlink("f"), 0);
	assert_good(causeway_reopen(place, O_RDWR | O_NOFOLLOW, &f));
	assert_int_equal(causeway_read(f, buf, sizeof(buf)), 5);
	assert_int_equal(causeway_getfl(f), O_RDWR | O_NOFOLLOW);
	assert_int_equal(causeway_setfl(f, O_APPEND | O_NONBLOCK | O_WRONLY), 0);
	assert_int_equal(causeway_getfl(f), O_RDWR | O_NOFOLLOW | O_APPEND | O_NONBLOCK);
	assert_int_equal(causeway_setfl(f, O_DIRECT), -EOPNOTSUPP);
	if (peer->kind == PEER_CAUSEWAYD) {
		assert_int_equal(causeway_pwrite(f, ", world", 7, 0), 7);
		assert_int_equal(causeway_pread(f, buf, sizeof(buf), 0), 12);
		assert_memory_equal(buf, "hello, world", 12);
	}
	assert_good(causeway_setfl(f, 0));
	assert_int_equal(causeway_pwrite(f, "H", 1, 0), 1);
	assert_int_equal(causeway_pread(f, buf, 1, 0), 1);
	assert_int_equal(buf[0], 'H');
	causeway_close(f);
	assert_int_equal(causeway_reopen(place, O_RDWR | O_CREAT, &f), -EINVAL);
	assert_null(f);
	assert_int_equal(causeway_reopen(place, O_DIRECTORY, &f), -ENOTDIR);
	assert_good(causeway_reopen(place, O_PATH, &f));
	assert_int_equal(causeway_read(f, buf, 1), -EBADF);
	causeway_close(f);
	causeway_close(place);
	d = must_open("d", O_PATH | O_DIRECTORY);
	assert_int_equal(causeway_reopen(d, O_WRONLY, &f), -EISDIR);
	assert_good(causeway_reopen(d, O_RDONLY | O_DIRECTORY, &f));
	assert_good(causeway_fsync(f, 0));
	causeway_close(f);
	causeway_close(d);
}

/* Nodes are forgotten: the daemon ends up knowing few, whatever was looked up. */
static void test_forgets(void **state)
{
	struct stat st;
	uint64_t before, after;

	put("one", "");
	assert_int_equal(causeway_get(peer->c, "requests", &before), 0);
	for (int i = 0; i < 640; i++)
		assert_int_equal(causeway_stat(peer->c, NULL, "one", &st, 0), 0);
	assert_int_equal(causeway_get(peer->c, "requests", &after), 0);
	/* At most a LOOKUP and a GETATTR each, and a BATCH_FORGET for every 64. */
	assert_true(after - before >= 640 + 10 && after - before <= 2 * 640 + 11);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		WORLD_CASE(test_read_write),
		WORLD_CASE(test_large),
		WORLD_CASE(test_stat),
		WORLD_CASE(test_names),
		WORLD_CASE(test_walk),
		WORLD_CASE(test_listing),
		WORLD_CASE(test_reopen),
		WORLD_CASE(test_forgets),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
