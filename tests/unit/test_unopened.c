// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Nodes that start without a descriptor: what is found is looked at only, and opened by the first
 * who needs it; it is the same inode then, or -ESTALE. Names that change or go leave what they led
 * to within reach, whoever knows it.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/passthrough/known.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define FILES   100
#define RACERS  4
#define ROUNDS  2000
#define AGE_S   10

static struct fs *fs;
static char directory[64];
static void (*happens)(void); /* after the next look, once */
static bool all_young, all_changed; /* since a moment ago */
static struct {
	ino_t from, to; /* 0: none */
} alias; /* an inode that has another one's number, and a later birth */

/* Instead of the C library's: files are older than they are, or younger, so that no test waits. */
int statx(int fd, const char *restrict path, int flags, unsigned int mask,
	struct statx *restrict attr)
{
	int r = (int)syscall(SYS_statx, fd, path, flags, mask, attr);
	void (*now)(void) = happens;

	if (r == 0) {
		attr->stx_btime.tv_sec += all_young ? AGE_S : -AGE_S;
		attr->stx_ctime.tv_sec -= all_changed ? 0 : AGE_S;
	}
	if (r == 0 && alias.from && attr->stx_ino == alias.from) {
		attr->stx_ino = alias.to;
		attr->stx_btime.tv_sec++;
	}
	if (now) {
		happens = NULL;
		now();
	}
	return r;
}

static void make(const char *path, off_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int start(enum pt_file_handles how, bool starts_hot)
{
	const struct passthrough_config config = {.file_handles = how, .starts_hot = starts_hot};

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	assert_int_equal(mkdir("export/d", 0755), 0);
	make("export/f", 1);
	make("export/g", 2);
	make("export/d/f", 3);
	alias.from = 0;
	all_young = all_changed = false;
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	return 0;
}

static int by_handle(void **state)
{
	return start(PT_FILE_HANDLES_PREFER, false);
}

static int by_name(void **state)
{
	return start(PT_FILE_HANDLES_NEVER, false);
}

static int always_hot(void **state)
{
	return start(PT_FILE_HANDLES_PREFER, true);
}

static int stop(void **state)
{
	passthrough_free(fs);
	unit_leave_directory(directory);
	return 0;
}

/* Nothing can be told where the file system keeps no times of birth. */
static void need_births(void)
{
	if (!pt_of(fs)->root->mount->born)
		skip();
}

static uint64_t look_up(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, parent, name, &entry), 0);
	return entry.node;
}

/* Of a file that leaves so many nodes without a descriptor. */
static uint64_t look_up_cold(uint64_t parent, const char *name, uint32_t unopened)
{
	uint64_t node = look_up(parent, name);

	assert_int_equal(pt_of(fs)->unopened, unopened);
	return node;
}

/* The size of a node, or -errno. */
static int64_t size_of(uint64_t node)
{
	struct fs_target t = {.node = node};
	struct statx attr;
	int r = fs->ops->getattr(fs, &t, &attr);

	return r < 0 ? r : (int64_t)attr.stx_size;
}

static ino_t number_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static void test_starts_cold(void **state)
{
	int fds = unit_open_fds();
	uint64_t f, g;

	need_births();
	f = look_up_cold(FS_ROOT, "f", 1);
	assert_int_equal(look_up_cold(FS_ROOT, "f", 1), f);
	g = look_up_cold(FS_ROOT, "g", 2);
	assert_int_equal(unit_open_fds(), fds);
	assert_int_equal(size_of(f), 1);
	assert_int_equal(unit_open_fds(), fds + 1);
	assert_int_equal(look_up_cold(FS_ROOT, "f", 1), f);
	fs->ops->forget(fs, f, 2);
	assert_int_equal(size_of(f), 1);
	fs->ops->forget(fs, f, 1);
	assert_int_equal(size_of(f), -ESTALE);
	fs->ops->forget(fs, g, 1);
	assert_int_equal(size_of(g), -ESTALE);
	assert_int_equal(pt_of(fs)->unopened, 0);
	assert_int_equal(unit_open_fds(), fds);
}

/* What is opened when it is found: directories, what a guest opens without a request, what is too
 * young to be told from the next inode with its number, and everything where that is asked for. */
static void test_starts_hot(void **state)
{
	need_births();
	look_up_cold(FS_ROOT, "d", 0);
	assert_int_equal(mkfifo("export/fifo", 0644), 0);
	look_up_cold(FS_ROOT, "fifo", 0);
	all_young = true;
	make("export/new", 4);
	look_up_cold(FS_ROOT, "new", 0);
}

/* A file that replaces another one again and again is held when it is found, until it is used. */
static void test_replaced(void **state)
{
	uint64_t node;

	need_births();
	look_up_cold(FS_ROOT, "g", 1);
	all_changed = true;
	assert_int_equal(rename("export/g", "export/f"), 0);
	make("export/new", 4);
	node = look_up(FS_ROOT, "f");
	assert_int_equal(rename("export/new", "export/f"), 0);
	assert_int_equal(size_of(node), 2);
}

static void test_always_hot(void **state)
{
	look_up_cold(FS_ROOT, "f", 0);
}

static void test_handles_only(void **state)
{
	const struct passthrough_config config = {.file_handles = PT_FILE_HANDLES_MANDATORY};
	struct fs_entry entry;
	struct fs *other;
	int r = passthrough_new("export", &config, &other);

	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	r = other->ops->lookup(other, FS_ROOT, "f", &entry);
	assert_int_equal(pt_of(other)->unopened, 0);
	passthrough_free(other);
	assert_int_equal(r, 0);
}

static size_t any_cost(const struct fs_listing *l, size_t name_len)
{
	return 1;
}

static uint64_t listed[2 * FILES];
static int n_listed;

static void take(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	l->left--;
	if (e && e->node)
		listed[n_listed++] = e->node;
}

static void test_listing(void **state)
{
	struct fs_listing l = {.with_entries = true, .left = 2 * FILES, .cost = any_cost,
		.add = take};
	size_t extra = pt_of(fs)->node_extra;
	int fds = unit_open_fds();
	struct fs_target t = {.has_handle = true};
	uint64_t d;

	need_births();
	for (int i = 0; i < FILES; i++) {
		char path[64];

		snprintf(path, sizeof(path), "export/d/a-name-of-some-length-%d", i);
		make(path, i);
	}
	t.node = d = look_up(FS_ROOT, "d");
	assert_int_equal(fs->ops->opendir(fs, d, &t.handle), 0);
	n_listed = 0;
	assert_int_equal(fs->ops->readdir(fs, &t, 0, &l), 0);
	assert_int_equal(n_listed, FILES + 1);
	assert_int_equal(pt_of(fs)->unopened, FILES + 1);
	assert_int_equal(unit_open_fds(), fds + 2);
	assert_int_equal(fs->ops->release(fs, t.handle), 0);
	/* The directory first: its files are found in it for as long as they are known. */
	fs->ops->forget(fs, d, 1);
	for (int i = 0; i < n_listed; i += 2)
		assert_true(size_of(listed[i]) >= 0);
	for (int i = 0; i < n_listed; i++)
		fs->ops->forget(fs, listed[i], 1);
	assert_int_equal(pt_of(fs)->nodes->used, 1);
	assert_int_equal(pt_of(fs)->unopened, 0);
	assert_int_equal(pt_of(fs)->node_extra, extra);
	assert_int_equal(unit_open_fds(), fds);
}

/* The guest removes a name, or puts another file there: what it led to is known still. */
static void test_unlinked(void **state)
{
	uint64_t d = look_up(FS_ROOT, "d"), f, g, in_d;

	need_births();
	f = look_up_cold(FS_ROOT, "f", 1);
	assert_int_equal(fs->ops->unlink(fs, FS_ROOT, "f"), 0);
	assert_int_equal(size_of(f), 1);
	g = look_up_cold(FS_ROOT, "g", 1);
	in_d = look_up_cold(d, "f", 2);
	assert_int_equal(fs->ops->rename(fs, d, "f", FS_ROOT, "g", 0), 0);
	assert_int_equal(size_of(g), 2);
	assert_int_equal(size_of(in_d), 3);
	assert_int_equal(look_up(FS_ROOT, "g"), in_d);
}

/* By another of its names than the node was found by, in another directory. */
static void test_links(void **state)
{
	uint64_t d = look_up(FS_ROOT, "d"), f;

	need_births();
	f = look_up_cold(FS_ROOT, "f", 1);
	assert_int_equal(link("export/f", "export/d/other"), 0);
	assert_int_equal(look_up_cold(d, "other", 1), f);
	assert_int_equal(unlink("export/f"), 0);
	assert_int_equal(fs->ops->unlink(fs, d, "other"), 0);
	assert_int_equal(size_of(f), 1);
}

static void test_renamed(void **state)
{
	uint64_t d = look_up(FS_ROOT, "d"), f, g, in_d;

	need_births();
	f = look_up_cold(FS_ROOT, "f", 1);
	g = look_up_cold(FS_ROOT, "g", 2);
	in_d = look_up_cold(d, "f", 3);
	assert_int_equal(fs->ops->rename(fs, FS_ROOT, "f", FS_ROOT, "g", RENAME_EXCHANGE), 0);
	/* A directory above it. */
	assert_int_equal(fs->ops->rename(fs, FS_ROOT, "d", FS_ROOT, "e", 0), 0);
	assert_int_equal(size_of(in_d), 3);
	assert_int_equal(size_of(f), 1);
	assert_int_equal(size_of(g), 2);
	assert_int_equal(look_up(FS_ROOT, "g"), f);
}

/* The host's changes, until the guest looks again. */
static void test_renamed_by_host(void **state)
{
	uint64_t f;

	need_births();
	f = look_up_cold(FS_ROOT, "f", 1);
	assert_int_equal(rename("export/f", "export/moved"), 0);
	assert_int_equal(size_of(f), -ESTALE);
	assert_int_equal(look_up_cold(FS_ROOT, "moved", 1), f);
	assert_int_equal(size_of(f), 1);
	/* Another file by its name is not taken for it. */
	f = look_up_cold(FS_ROOT, "g", 1);
	assert_int_equal(rename("export/moved", "export/g"), 0);
	assert_int_equal(size_of(f), -ESTALE);
}

/* What has its number now is another node, whether it is used or found first. */
static void test_number_reused(void **state)
{
	uint64_t f, again;

	need_births();
	for (int used = 0; used < 2; used++) {
		f = look_up_cold(FS_ROOT, "f", 1);
		make("export/new", 7);
		alias.to = number_of("export/f");
		alias.from = number_of("export/new");
		assert_int_equal(rename("export/new", "export/f"), 0);
		if (used)
			assert_int_equal(size_of(f), -ESTALE);
		again = look_up(FS_ROOT, "f");
		assert_int_not_equal(again, f);
		assert_int_equal(size_of(again), 7);
		assert_int_equal(size_of(f), -ESTALE);
		fs->ops->forget(fs, f, 1);
		fs->ops->forget(fs, again, 1);
		alias.from = 0;
	}
	assert_int_equal(pt_of(fs)->unopened, 0);
}

static void put_g_over_h(void)
{
	assert_int_equal(rename("export/g", "export/h"), 0);
}

/* A node that others have opened meanwhile is known by its descriptor, and looked at again. */
static void test_opened_meanwhile(void **state)
{
	uint64_t f, h;

	need_births();
	f = look_up_cold(FS_ROOT, "f", 1);
	assert_int_equal(size_of(f), 1);
	assert_int_equal(link("export/f", "export/h"), 0);
	assert_int_equal(look_up(FS_ROOT, "h"), f);
	pt_known_note(pt_of(fs), pt_known_hash(pt_of(fs), pt_of(fs)->root, "h"), 0);
	happens = put_g_over_h;
	h = look_up(FS_ROOT, "h");
	assert_int_not_equal(h, f);
	assert_int_equal(size_of(h), 2);
}

static void test_reset(void **state)
{
	struct passthrough *pt = pt_of(fs);

	need_births();
	look_up_cold(FS_ROOT, "f", 1);
	assert_true(pt_seen_has(&pt->seen, pt_known_hash(pt, pt->root, "f")));
	fs->ops->reset(fs);
	assert_int_equal(pt->unopened, 0);
	assert_false(pt_seen_has(&pt->seen, pt_known_hash(pt, pt->root, "f")));
}

/* Guests that look, use, rename and forget while the host puts other files there. */
static void *race(void *arg)
{
	uint32_t seed = 77 + (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		const char *name = unit_random(&seed) % 2 ? "f" : "g";
		struct fs_entry e;
		struct statx attr;
		int r = fs->ops->lookup(fs, FS_ROOT, name, &e);

		must(r == 0 || r == -ENOENT);
		if (r < 0)
			continue;
		r = fs->ops->getattr(fs, &(struct fs_target){.node = e.node}, &attr);
		must(r == -ESTALE || (r == 0 && attr.stx_ino == e.attr.stx_ino));
		if (i % 5 == 0) {
			r = fs->ops->rename(fs, FS_ROOT, name, FS_ROOT, "f", 0);
			must(r == 0 || r == -ENOENT);
		}
		fs->ops->forget(fs, e.node, 1);
	}
	return NULL;
}

static void test_race(void **state)
{
	pthread_t threads[RACERS];

	for (uintptr_t i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, (void *)i), 0);
	for (int i = 0; i < ROUNDS; i++) {
		make("export/new", i);
		assert_int_equal(rename("export/new", i % 2 ? "export/f" : "export/g"), 0);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(pt_of(fs)->nodes->used, 1);
	assert_int_equal(pt_of(fs)->unopened, 0);
}

#define BOTH_WAYS(test)                                                                            \
	cmocka_unit_test_setup_teardown(test, by_handle, stop),                                    \
		cmocka_unit_test_setup_teardown(test, by_name, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_WAYS(test_starts_cold),
		BOTH_WAYS(test_starts_hot),
		BOTH_WAYS(test_replaced),
		cmocka_unit_test_setup_teardown(test_always_hot, always_hot, stop),
		cmocka_unit_test_setup_teardown(test_handles_only, by_handle, stop),
		BOTH_WAYS(test_listing),
		BOTH_WAYS(test_unlinked),
		BOTH_WAYS(test_links),
		BOTH_WAYS(test_renamed),
		BOTH_WAYS(test_renamed_by_host),
		BOTH_WAYS(test_number_reused),
		BOTH_WAYS(test_opened_meanwhile),
		BOTH_WAYS(test_reset),
		BOTH_WAYS(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
