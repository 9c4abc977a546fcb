// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings with attributes and places in them, special files, files without a name, statx.
 */
#include "world.h"

#include <sys/sysmacros.h>

#define MANY 700

static void fill_directory(const char *dir)
{
	char path[64];

	assert_int_equal(mkdir(dir, 0755), 0);
	for (unsigned int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "%s/some-rather-long-name-%u", dir, i);
		put(path, "content");
		assert_int_equal(chmod(path, i & 0777), 0);
	}
}

static void assert_same_stat(const struct stat *ours, const char *path)
{
	struct stat theirs;

	assert_int_equal(lstat(path, &theirs), 0);
	assert_int_equal(ours->st_ino, theirs.st_ino);
	assert_int_equal(ours->st_mode, theirs.st_mode);
	assert_int_equal(ours->st_nlink, theirs.st_nlink);
	assert_int_equal(ours->st_uid, theirs.st_uid);
	assert_int_equal(ours->st_size, theirs.st_size);
	assert_int_equal(ours->st_rdev, theirs.st_rdev);
	assert_memory_equal(&ours->st_mtim, &theirs.st_mtim, sizeof(theirs.st_mtim));
}

static void test_plus(void **state)
{
	struct causeway_dirent e;
	struct causeway_file *d;
	uint64_t before, after;
	unsigned int n = 0;
	struct stat st;
	char path[300];
	int r;

	fill_directory("many");
	assert_int_equal(symlink("nowhere", "many/l") | mkfifo("many/p", 0644), 0);
	d = must_open("many", O_RDONLY);
	assert_int_equal(causeway_get(peer->c, "requests", &before), 0);
	while ((r = causeway_readdirplus(d, &e, &st)) == 1) {
		snprintf(path, sizeof(path), "many/%s", e.name);
		assert_same_stat(&st, path);
		assert_int_equal(DTTOIF(e.type), st.st_mode & S_IFMT);
		n++;
	}
	assert_good(r);
	assert_int_equal(n, MANY + 4);
	assert_int_equal(causeway_get(peer->c, "requests", &after), 0);
	/* A few for the listing, a few for "." and "..", and forgets: not one for each file. */
	assert_true(after - before < 100);
	/* The other kind goes on where this one stopped, and the other way round. */
	causeway_seekdir(d, 0);
	for (n = 0; (r = n % 3 ? causeway_readdir(d, &e) : causeway_readdirplus(d, &e, &st)) == 1;
		n++)
		;
	assert_good(r);
	assert_int_equal(n, MANY + 4);
	causeway_close(d);
	d = must_open("many/some-rather-long-name-0", O_RDONLY);
	assert_int_equal(causeway_readdirplus(d, &e, &st), -ENOTDIR);
	causeway_close(d);
}

/* What we change after the listing was fetched is not shown as it was. */
static void test_plus_and_changes(void **state)
{
	struct causeway_dirent e;
	struct causeway_file *d, *files[3];
	unsigned int n = 0;
	struct stat st;

	assert_int_equal(mkdir("d", 0755), 0);
	put("d/a", "a");
	put("d/b", "b");
	put("d/c", "c");
	d = must_open("d", O_RDONLY);
	assert_int_equal(causeway_readdirplus(d, &e, &st), 1);
	/* They stay open, so that what is known of them stays. */
	for (int i = 0; i < 3; i++) {
		char path[] = {'d', '/', (char)('a' + i), '\0'};

		files[i] = must_open(path, O_WRONLY);
		assert_int_equal(causeway_write(files[i], "longer", 6), 6);
	}
	while (causeway_readdirplus(d, &e, &st) == 1) {
		if (e.name[0] != '.')
			assert_int_equal(st.st_size, 6);
		n++;
	}
	assert_int_equal(n, 4);
	for (int i = 0; i < 3; i++)
		causeway_close(files[i]);
	causeway_close(d);
}

static unsigned int count(struct causeway_file *d)
{
	struct causeway_dirent e;
	unsigned int n = 0;
	int r;

	while ((r = causeway_readdir(d, &e)) == 1)
		n++;
	assert_good(r);
	return n;
}

static void test_places(void **state)
{
	struct causeway_dirent e, again;
	struct causeway_file *d;
	uint64_t places[MANY];
	char names[MANY][40];

	fill_directory("many");
	d = must_open("many", O_RDONLY);
	assert_int_equal(causeway_telldir(d), 0);
	for (unsigned int i = 0; i < MANY; i++) {
		places[i] = causeway_telldir(d);
		assert_int_equal(causeway_readdir(d, &e), 1);
		assert_int_equal(causeway_telldir(d), e.offset);
		snprintf(names[i], sizeof(names[i]), "%.39s", e.name);
	}
	for (unsigned int i = 3; i < MANY; i += 97) {
		struct stat st;

		causeway_seekdir(d, places[i]);
		assert_int_equal(causeway_readdir(d, &again), 1);
		assert_string_equal(again.name, names[i]);
		causeway_seekdir(d, places[i - 1]);
		assert_int_equal(causeway_readdirplus(d, &again, &st), 1);
		assert_string_equal(again.name, names[i - 1]);
	}
	/* Back at the beginning, what is new is seen. */
	put("many/new", "");
	causeway_seekdir(d, 0);
	assert_int_equal(count(d), MANY + 3);
	causeway_close(d);
}

static void test_mknod(void **state)
{
	struct causeway *c = peer->c;
	dev_t dev = makedev(0x123, 0x45678);
	struct stat st;

	assert_good(causeway_mknod(c, NULL, "fifo", S_IFIFO | 0640, 0));
	assert_int_equal(lstat("fifo", &st), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0640);
	assert_good(causeway_mknod(c, NULL, "sock", S_IFSOCK | 0600, 0));
	assert_int_equal(lstat("sock", &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_good(causeway_mknod(c, NULL, "file", 0604, 0));
	assert_int_equal(lstat("file", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0604);
	assert_good(causeway_mknod(c, NULL, "char", S_IFCHR | 0600, dev));
	assert_int_equal(lstat("char", &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == dev);
	assert_good(causeway_stat(c, NULL, "char", &st, 0));
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == dev);
	assert_int_equal(causeway_mknod(c, NULL, "fifo", S_IFIFO, 0), -EEXIST);
	assert_int_equal(causeway_mknod(c, NULL, "d", S_IFDIR, 0), -EPERM);
	assert_int_equal(causeway_mknod(c, NULL, "l", S_IFLNK, 0), -EINVAL);
	assert_int_equal(causeway_mknod(c, NULL, "b", S_IFBLK, makedev(0x1000, 0)), -EINVAL);
	assert_int_equal(causeway_mknod(c, NULL, "f/", S_IFREG, 0), -ENOTDIR);
}

static void test_nameless(void **state)
{
	struct causeway_file *f;
	struct stat st;
	int r;

	assert_int_equal(mkdir("d", 0755), 0);
	r = causeway_open(peer->c, NULL, "d", O_TMPFILE | O_RDWR, 0640, &f);
	if (peer->kind == PEER_VIRTIOFSD) {
		assert_int_equal(r, -EOPNOTSUPP);
		return;
	}
	assert_good(r);
	assert_int_equal(causeway_write(f, "hello", 5), 5);
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(rmdir("d") | mkdir("d", 0755), 0);
	assert_good(causeway_flink(f, NULL, "d/name"));
	assert_content("d/name", "hello");
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(causeway_flink(f, NULL, "d/name"), -EEXIST);
	causeway_close(f);
	/* With O_EXCL it never gets one. */
	assert_good(causeway_open(peer->c, NULL, "d", O_TMPFILE | O_WRONLY | O_EXCL, 0600, &f));
	assert_int_equal(causeway_flink(f, NULL, "d/other"), -ENOENT);
	causeway_close(f);
	assert_int_equal(open_result("d", O_TMPFILE | O_RDONLY), -EINVAL);
	assert_int_equal(open_result("d/name", O_TMPFILE | O_RDWR), -ENOTDIR);
}

/* A file that has a name gets another by its handle. */
static void test_flink(void **state)
{
	struct causeway_file *f;
	struct stat st;

	put("f", "x");
	f = must_open("f", O_PATH);
	assert_good(causeway_flink(f, NULL, "g"));
	assert_content("g", "x");
	assert_good(causeway_fstat(f, &st));
	assert_int_equal(st.st_nlink, 2);
	causeway_close(f);
}

static void test_statx(void **state)
{
	struct causeway *c = peer->c;
	struct statx ours, theirs;
	struct causeway_file *f;
	int force = AT_STATX_FORCE_SYNC;

	put("f", "hello");
	assert_int_equal(chown("f", 1234, 70000) | symlink("f", "l"), 0);
	assert_int_equal(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &theirs), 0);
	assert_good(causeway_statx(c, NULL, "l", 0, STATX_BASIC_STATS | STATX_BTIME, &ours));
	assert_int_equal(ours.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	assert_int_equal(ours.stx_ino, theirs.stx_ino);
	assert_int_equal(ours.stx_mode, theirs.stx_mode);
	assert_int_equal(ours.stx_uid, 1234);
	assert_int_equal(ours.stx_gid, 70000);
	assert_int_equal(ours.stx_size, 5);
	assert_memory_equal(&ours.stx_mtime, &theirs.stx_mtime, sizeof(ours.stx_mtime));
	assert_int_equal(ours.stx_mask & STATX_BTIME,
		peer->kind == PEER_CAUSEWAYD ? theirs.stx_mask & STATX_BTIME : 0);
	if (ours.stx_mask & STATX_BTIME)
		assert_memory_equal(&ours.stx_btime, &theirs.stx_btime, sizeof(ours.stx_btime));
	/* What the host changes is seen at once by who wants to know for sure. */
	assert_int_equal(chmod("f", 0601), 0);
	assert_good(causeway_statx(c, NULL, "f", force, STATX_BASIC_STATS, &ours));
	assert_int_equal(ours.stx_mode, S_IFREG | 0601);
	f = must_open("f", O_RDONLY);
	assert_int_equal(chmod("f", 0602), 0);
	assert_good(causeway_statx(c, f, "", AT_EMPTY_PATH | force, STATX_MODE, &ours));
	assert_int_equal(ours.stx_mode, S_IFREG | 0602);
	causeway_close(f);
	assert_good(causeway_statx(c, NULL, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &ours));
	assert_true(S_ISLNK(ours.stx_mode));
	assert_int_equal(causeway_statx(c, NULL, "f", AT_STATX_SYNC_TYPE, 0, &ours), -EINVAL);
	assert_int_equal(causeway_statx(c, NULL, "f", 0, STATX__RESERVED, &ours), -EINVAL);
	assert_int_equal(causeway_statx(c, NULL, "none", 0, 0, &ours), -ENOENT);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		WORLD_CASE(test_plus),
		WORLD_CASE(test_plus_and_changes),
		WORLD_CASE(test_places),
		WORLD_CASE(test_mknod),
		WORLD_CASE(test_nameless),
		WORLD_CASE(test_flink),
		WORLD_CASE(test_statx),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
