// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Nodes of a shared directory: identity, lookup counts, handles that outlive their node, names
 * that are refused; and LOOKUP against the last FORGET from several threads.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define FILES   3000
#define RACERS  4
#define ROUNDS  4000

#define SETTLE_MS 100

static const struct passthrough_config defaults = {.settle_ms = SETTLE_MS};
static struct fs *fs;
static char directory[64];
static int fds_before;

static int setup(void **state)
{
	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	fds_before = unit_open_fds();
	assert_int_equal(passthrough_new("export", &defaults, &fs), 0);
	return 0;
}

static int teardown(void **state)
{
	passthrough_free(fs);
	assert_int_equal(unit_open_fds(), fds_before);
	unit_leave_directory(directory);
	return 0;
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

/* The node of a name, its count raised. */
static uint64_t look_up(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, parent, name, &entry), 0);
	return entry.node;
}

static int look_up_error(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	return fs->ops->lookup(fs, parent, name, &entry);
}

static int get_attr(uint64_t node)
{
	struct fs_target t = {.node = node};
	struct statx attr;

	return fs->ops->getattr(fs, &t, &attr);
}

static void check_count(size_t nodes, size_t handles)
{
	struct fs_count n;

	fs->ops->count(fs, &n);
	assert_int_equal(n.nodes, nodes);
	assert_int_equal(n.handles, handles);
}

static void test_identity(void **state)
{
	uint64_t a, b;

	touch("export/a");
	touch("export/b");
	a = look_up(FS_ROOT, "a");
	b = look_up(FS_ROOT, "b");
	assert_int_not_equal(a, b);
	assert_int_not_equal(a, FS_ROOT);
	assert_int_equal(look_up(FS_ROOT, "a"), a);
	assert_int_equal(link("export/a", "export/c"), 0);
	assert_int_equal(look_up(FS_ROOT, "c"), a);
	assert_int_equal(rename("export/a", "export/d"), 0);
	assert_int_equal(look_up(FS_ROOT, "d"), a);
	assert_int_equal(look_up_error(FS_ROOT, "a"), -ENOENT);
	check_count(3, 0);
	/* Another file under an old name is another node, whatever inode number it got. */
	unlink("export/b");
	touch("export/b");
	assert_int_not_equal(look_up(FS_ROOT, "b"), b);
	assert_int_equal(get_attr(b), 0);
}

static void test_lookup_counts(void **state)
{
	uint64_t a, again;

	touch("export/a");
	a = look_up(FS_ROOT, "a");
	look_up(FS_ROOT, "a");
	look_up(FS_ROOT, "a");
	fs->ops->forget(fs, a, 0);
	fs->ops->forget(fs, a, 1);
	assert_int_equal(get_attr(a), 0);
	fs->ops->forget(fs, a, 2);
	assert_int_equal(get_attr(a), -ESTALE);
	check_count(1, 0);
	/* Forgetting what is not known does nothing. */
	fs->ops->forget(fs, a, 1);
	fs->ops->forget(fs, 12345, 1);
	fs->ops->forget(fs, UINT64_MAX, UINT64_MAX);
	again = look_up(FS_ROOT, "a");
	assert_int_not_equal(again, a);
	assert_int_equal(get_attr(a), -ESTALE);
	/* More than was given: all of it. */
	fs->ops->forget(fs, again, UINT64_MAX);
	assert_int_equal(get_attr(again), -ESTALE);
	/* The root stays. */
	fs->ops->forget(fs, FS_ROOT, UINT64_MAX);
	assert_int_equal(get_attr(FS_ROOT), 0);
	assert_int_equal(look_up(FS_ROOT, "."), FS_ROOT);
	assert_int_equal(look_up(FS_ROOT, ".."), FS_ROOT);
	fs->ops->forget(fs, FS_ROOT, 1);
	fs->ops->forget(fs, FS_ROOT, 100);
	assert_int_equal(get_attr(FS_ROOT), 0);
	/* It has one number, not also that of its slot. */
	assert_int_equal(get_attr(idtab_id(&pt_of(fs)->root->slot)), -ESTALE);
	check_count(1, 0);
}

/* What makes an entry counts a lookup, what fails to counts none. */
static void test_makers_count(void **state)
{
	const struct fs_caller who = {.uid = getuid(), .gid = getgid()};
	struct fs_entry e, linked;
	uint64_t handle;

	assert_int_equal(fs->ops->mkdir(fs, &who, FS_ROOT, "d", 0755, &e), 0);
	assert_int_equal(fs->ops->mkdir(fs, &who, FS_ROOT, "d", 0755, &linked), -EEXIST);
	fs->ops->forget(fs, e.node, 1);
	assert_int_equal(fs->ops->mknod(fs, &who, FS_ROOT, "p", S_IFIFO | 0600, 0, &e), 0);
	assert_int_equal(fs->ops->open(fs, e.node, O_RDONLY, false, &handle, NULL), -ENXIO);
	fs->ops->forget(fs, e.node, 1);
	assert_int_equal(fs->ops->symlink(fs, &who, FS_ROOT, "l", "/etc", &e), 0);
	assert_int_equal(fs->ops->open(fs, e.node, O_RDONLY, false, &handle, NULL), -ELOOP);
	assert_int_equal(fs->ops->opendir(fs, e.node, &handle), -ENOTDIR);
	assert_int_equal(look_up_error(e.node, "passwd"), -ENOTDIR);
	fs->ops->forget(fs, e.node, 1);
	check_count(1, 0);
	assert_int_equal(
		fs->ops->create(fs, &who, FS_ROOT, "f", 0600, O_RDWR, false, &e, &handle), 0);
	assert_int_equal(fs->ops->link(fs, e.node, FS_ROOT, "g", &linked), 0);
	assert_int_equal(linked.node, e.node);
	check_count(2, 1);
	assert_int_equal(fs->ops->create(fs, &who, FS_ROOT, "f", 0600, O_RDWR | O_EXCL, false,
				 &linked, &handle), -EEXIST);
	fs->ops->forget(fs, e.node, 2);
	assert_int_equal(get_attr(e.node), -ESTALE);
	assert_int_equal(fs->ops->link(fs, e.node, FS_ROOT, "h", &linked), -ESTALE);
}

/* A FORGET that overtakes a RELEASE leaves the handle whole. */
static size_t any_cost(const struct fs_listing *l, size_t name_len)
{
	return 1;
}

/* Takes an entry; with the first one the directory goes, so that reading on fails. */
static void take_and_remove(struct fs_listing *l, const struct fs_dirent *d,
	const struct fs_entry *e)
{
	l->left--;
	unlink("export/gone/a");
	unlink("export/gone/b");
	rmdir("export/gone");
}

/* An error after some entries does not lose them; the next listing tells it. */
static void test_listing_error(void **state)
{
	struct fs_listing l = {.left = 100, .cost = any_cost, .add = take_and_remove};
	struct fs_target t = {.has_handle = true};

	assert_int_equal(mkdir("export/gone", 0755), 0);
	touch("export/gone/a");
	touch("export/gone/b");
	t.node = look_up(FS_ROOT, "gone");
	assert_int_equal(fs->ops->opendir(fs, t.node, &t.handle), 0);
	assert_int_equal(fs->ops->readdir(fs, &t, 0, &l), 0);
	assert_int_equal(l.left, 100 - 4);
	assert_int_equal(fs->ops->readdir(fs, &t, INT64_MAX, &l), -ENOENT);
	assert_int_equal(fs->ops->release(fs, t.handle), 0);
	fs->ops->forget(fs, t.node, 1);
}

/* Until a file's time of change is old enough to tell a later change apart. */
static void let_age(const char *path)
{
	struct timespec now, step = {.tv_nsec = 10000000};
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	do {
		assert_int_equal(nanosleep(&step, NULL), 0);
		clock_gettime(CLOCK_REALTIME, &now);
	} while ((now.tv_sec - st.st_ctim.tv_sec) * 1000000000 + now.tv_nsec -
			st.st_ctim.tv_nsec <=
		SETTLE_MS * 1000000);
}

static bool opens_unchanged(uint64_t node, int flags)
{
	struct fs_opened opened = {.ask_unchanged = true};
	uint64_t handle;

	assert_int_equal(fs->ops->open(fs, node, flags, false, &handle, &opened), 0);
	assert_int_equal(fs->ops->release(fs, handle), 0);
	return opened.unchanged;
}

/* A file is unchanged from one open to the next, unless it changed or may have. */
static void test_unchanged(void **state)
{
	uint64_t node;

	touch("export/aged");
	node = look_up(FS_ROOT, "aged");
	let_age("export/aged");
	assert_false(opens_unchanged(node, O_RDONLY));
	assert_true(opens_unchanged(node, O_RDONLY));
	assert_true(opens_unchanged(node, O_RDWR));
	assert_int_equal(truncate("export/aged", 3), 0);
	assert_false(opens_unchanged(node, O_RDONLY));
	/* Too new: it could have changed again within the same tick. */
	assert_false(opens_unchanged(node, O_RDONLY));
	let_age("export/aged");
	assert_false(opens_unchanged(node, O_RDONLY));
	assert_true(opens_unchanged(node, O_RDONLY));
	assert_false(opens_unchanged(node, O_RDWR | O_TRUNC));
	let_age("export/aged");
	assert_false(opens_unchanged(node, O_RDONLY));
	/* Another guest, or this one anew, has opened nothing yet. */
	fs->ops->reset(fs);
	node = look_up(FS_ROOT, "aged");
	assert_false(opens_unchanged(node, O_RDONLY));
	fs->ops->forget(fs, node, 1);
}

static void test_handles(void **state)
{
	struct fs_target t = {.has_handle = true}, wrong;
	struct iovec iov = {(char[4]){0}, 4};
	struct statx attr;
	uint64_t other;

	touch("export/a");
	touch("export/b");
	assert_int_equal(truncate("export/a", 3), 0);
	t.node = look_up(FS_ROOT, "a");
	other = look_up(FS_ROOT, "b");
	assert_int_equal(fs->ops->open(fs, t.node, O_RDONLY, false, &t.handle, NULL), 0);
	assert_int_equal(fs->ops->read(fs, &t, &iov, 1, 0, false), 3);
	/* Of another node, with another number, as a directory. */
	wrong = (struct fs_target){other, t.handle, true, 0};
	assert_int_equal(fs->ops->read(fs, &wrong, &iov, 1, 0, false), -EBADF);
	wrong = (struct fs_target){t.node, t.handle + 1, true, 0};
	assert_int_equal(fs->ops->read(fs, &wrong, &iov, 1, 0, false), -EBADF);
	wrong.handle = t.handle + (1ull << 32);
	assert_int_equal(fs->ops->getattr(fs, &wrong, &attr), -EBADF);
	assert_int_equal(fs->ops->readdir(fs, &t, 0, NULL), -ENOTDIR);
	wrong.node = 12345;
	assert_int_equal(fs->ops->read(fs, &wrong, &iov, 1, 0, false), -ESTALE);
	fs->ops->forget(fs, t.node, 1);
	assert_int_equal(get_attr(t.node), -ESTALE);
	assert_int_equal(fs->ops->read(fs, &t, &iov, 1, 0, false), 3);
	check_count(3, 1);
	assert_int_equal(fs->ops->release(fs, t.handle), 0);
	check_count(2, 0);
	assert_int_equal(fs->ops->release(fs, t.handle), -EBADF);
	assert_int_equal(fs->ops->read(fs, &t, &iov, 1, 0, false), -ESTALE);
	assert_int_equal(fs->ops->release(fs, 0), -EBADF);
	assert_int_equal(fs->ops->release(fs, UINT64_MAX), -EBADF);
}

static void test_reset(void **state)
{
	uint64_t a, file, dir;

	touch("export/a");
	a = look_up(FS_ROOT, "a");
	look_up(FS_ROOT, "a");
	assert_int_equal(fs->ops->open(fs, a, O_RDONLY, false, &file, NULL), 0);
	assert_int_equal(fs->ops->opendir(fs, FS_ROOT, &dir), 0);
	fs->ops->reset(fs);
	check_count(1, 0);
	assert_int_equal(get_attr(a), -ESTALE);
	assert_int_equal(fs->ops->release(fs, file), -EBADF);
	assert_int_equal(fs->ops->release(fs, dir), -EBADF);
	assert_int_equal(get_attr(FS_ROOT), 0);
	look_up(FS_ROOT, "a");
}

static void test_many_nodes(void **state)
{
	static uint64_t nodes[FILES];
	struct rlimit files;
	char name[32];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "export/f%d", i);
		touch(name);
		nodes[i] = look_up(FS_ROOT, name + strlen("export/"));
	}
	check_count(FILES + 1, 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(look_up(FS_ROOT, name), nodes[i]);
		fs->ops->forget(fs, nodes[i], i % 2 ? 2 : 1);
	}
	for (int i = 0; i < FILES; i++)
		assert_int_equal(get_attr(nodes[i]), i % 2 ? -ESTALE : 0);
	check_count(FILES / 2 + 1, 0);
}

static void test_bad_names(void **state)
{
	const struct fs_caller who = {.uid = getuid(), .gid = getgid()};
	static char longest[257];
	const struct {
		const char *name;
		int error;
	} names[] = {{"", -EINVAL}, {"/", -EINVAL}, {"a/b", -EINVAL}, {"/etc", -EINVAL},
		{"a/", -EINVAL}, {"../x", -EINVAL}, {longest, -ENAMETOOLONG}};
	static const char *const dots[] = {".", ".."};
	struct fs_entry e;

	memset(longest, 'x', 256);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *n = names[i].name;
		int error = names[i].error;

		assert_int_equal(look_up_error(FS_ROOT, n), error);
		assert_int_equal(fs->ops->mkdir(fs, &who, FS_ROOT, n, 0755, &e), error);
		assert_int_equal(fs->ops->mknod(fs, &who, FS_ROOT, n, S_IFREG, 0, &e), error);
		assert_int_equal(fs->ops->symlink(fs, &who, FS_ROOT, n, "x", &e), error);
		assert_int_equal(fs->ops->unlink(fs, FS_ROOT, n), error);
		assert_int_equal(fs->ops->rmdir(fs, FS_ROOT, n), error);
		assert_int_equal(fs->ops->rename(fs, FS_ROOT, n, FS_ROOT, "x", 0), error);
		assert_int_equal(fs->ops->rename(fs, FS_ROOT, "x", FS_ROOT, n, 0), error);
		assert_int_equal(fs->ops->link(fs, FS_ROOT, FS_ROOT, n, &e), error);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dots); i++) {
		assert_true(fs->ops->mkdir(fs, &who, FS_ROOT, dots[i], 0755, &e) < 0);
		assert_true(fs->ops->rmdir(fs, FS_ROOT, dots[i]) < 0);
		assert_true(fs->ops->rename(fs, FS_ROOT, dots[i], FS_ROOT, "x", 0) < 0);
		assert_true(fs->ops->rename(fs, FS_ROOT, "x", FS_ROOT, dots[i], 0) < 0);
	}
	check_count(1, 0);
}

/* ".." leads upwards inside the export only, wherever the host moves a directory. */
static void test_dots(void **state)
{
	uint64_t a, b, f;

	assert_int_equal(mkdir("export/a", 0755), 0);
	assert_int_equal(mkdir("export/a/b", 0755), 0);
	touch("export/a/f");
	a = look_up(FS_ROOT, "a");
	b = look_up(a, "b");
	f = look_up(a, "f");
	assert_int_equal(look_up(b, ".."), a);
	assert_int_equal(look_up(a, ".."), FS_ROOT);
	assert_int_equal(look_up(b, "."), b);
	assert_int_equal(look_up(f, "."), f);
	assert_int_equal(look_up_error(f, ".."), -ENOTDIR);
	assert_int_equal(rename("export/a", "outside"), 0);
	assert_int_equal(look_up_error(b, ".."), -ESTALE);
	assert_int_equal(look_up_error(a, ".."), -ESTALE);
	assert_int_equal(get_attr(b), 0);
}

/* File systems of the kernel are never entered, not even from an export of "/". */
static void test_barred(void **state)
{
	struct fs *all, *none;
	struct fs_entry proc, e;

	assert_int_equal(passthrough_new("/proc", &defaults, &none), -EINVAL);
	assert_int_equal(passthrough_new("/proc/self", &defaults, &none), -EINVAL);
	assert_int_equal(passthrough_new("export/none", &defaults, &none), -ENOENT);
	touch("export/f");
	assert_int_equal(passthrough_new("export/f", &defaults, &none), -ENOTDIR);
	assert_int_equal(passthrough_new("/", &defaults, &all), 0);
	assert_int_equal(all->ops->lookup(all, FS_ROOT, "proc", &proc), 0);
	assert_int_equal(all->ops->lookup(all, proc.node, "self", &e), -ENOENT);
	assert_int_equal(all->ops->lookup(all, proc.node, "1", &e), -ENOENT);
	assert_int_equal(all->ops->lookup(all, proc.node, "..", &e), 0);
	assert_int_equal(e.node, FS_ROOT);
	passthrough_free(all);
}

/* Looks a name up, uses the node, forgets it: with others at it, every FORGET may be the last. */
static void *race(void *arg)
{
	const char *name = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct fs_target t = {.has_handle = false};
		struct fs_entry entry;
		struct statx attr;

		must(fs->ops->lookup(fs, FS_ROOT, name, &entry) == 0);
		t.node = entry.node;
		/* We hold a count: nobody else's FORGET may take the node away. */
		must(fs->ops->getattr(fs, &t, &attr) == 0);
		must(attr.stx_ino == entry.attr.stx_ino);
		fs->ops->forget(fs, entry.node, 1);
	}
	return NULL;
}

static void test_lookup_meets_last_forget(void **state)
{
	static char one[] = "one", same[] = "same";
	pthread_t threads[RACERS];

	/* Two names of one inode. */
	touch("export/one");
	assert_int_equal(link("export/one", "export/same"), 0);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, i % 2 ? one : same), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	check_count(1, 0);
}

static _Atomic bool racing;

static void *keep_resetting(void *arg)
{
	while (atomic_load(&racing))
		fs->ops->reset(fs);
	return NULL;
}

/* INIT or DESTROY on one queue while others look up, open and forget. */
static void test_reset_meets_everything(void **state)
{
	pthread_t thread;

	touch("export/a");
	atomic_store(&racing, true);
	assert_int_equal(pthread_create(&thread, NULL, keep_resetting, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct fs_target t = {.has_handle = true};
		struct iovec iov = {(char[4]){0}, 4};
		struct fs_entry entry;
		int r = fs->ops->lookup(fs, FS_ROOT, "a", &entry);

		assert_int_equal(r, 0);
		t.node = entry.node;
		r = fs->ops->open(fs, t.node, O_RDONLY, false, &t.handle, NULL);
		assert_true(r == 0 || r == -ESTALE);
		if (r == 0) {
			r = (int)fs->ops->read(fs, &t, &iov, 1, 0, false);
			assert_true(r == 0 || r == -EBADF || r == -ESTALE);
			r = fs->ops->release(fs, t.handle);
			assert_true(r == 0 || r == -EBADF);
		}
		fs->ops->forget(fs, t.node, 1);
	}
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
	fs->ops->reset(fs);
	check_count(1, 0);
}

static _Atomic uint64_t last_number;

/* Asks for what the slot's next node will be called, before the guest is told. */
static void *guess(void *arg)
{
	while (atomic_load(&racing)) {
		struct fs_target t = {.node = 0};
		struct statx attr;
		int r;

		t.node = atomic_load_explicit(&last_number, memory_order_relaxed) + (1ull << 32);
		r = fs->ops->getattr(fs, &t, &attr);
		must(r == 0 || r == -ESTALE);
	}
	return NULL;
}

static void test_guessed_numbers(void **state)
{
	pthread_t thread;

	touch("export/a");
	atomic_store(&racing, true);
	assert_int_equal(pthread_create(&thread, NULL, guess, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t node = look_up(FS_ROOT, "a");

		atomic_store_explicit(&last_number, node, memory_order_relaxed);
		sched_yield();
		fs->ops->forget(fs, node, 1);
	}
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
	check_count(1, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_identity),
		CASE(test_lookup_counts),
		CASE(test_makers_count),
		CASE(test_handles),
		CASE(test_unchanged),
		CASE(test_listing_error),
		CASE(test_reset),
		CASE(test_many_nodes),
		CASE(test_bad_names),
		CASE(test_dots),
		CASE(test_barred),
		CASE(test_lookup_meets_last_forget),
		CASE(test_reset_meets_everything),
		CASE(test_guessed_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
