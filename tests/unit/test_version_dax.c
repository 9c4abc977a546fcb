// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * What a guest has stored in a copy of a DAX window is written back by some request, or by none:
 * each time that is one change of the file, in the version table too, and where nothing was stored
 * it is none. Where there is no table to mark it in, it is not written.
 */
#include "dax_frontend.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define PAGES  16
#define PIECES 16
#define SIZE   100
#define ONE    (VT_BEGIN + VT_END)

static char directory[64];
static struct dax_fake *fake;
static struct vtable *t;
static struct fs *fs;
static struct fs_target file;
static uint32_t attr_slot, data_slot;
static struct vtable_request v;
static char stored;

static uint64_t word(uint32_t slot)
{
	struct vt_stamp stamp;

	vtable_look(t, slot, &stamp);
	return stamp.word;
}

static void start(void)
{
	struct passthrough_config config = {.dax = PT_DAX_ALWAYS};
	struct fs_opened opened = {.may_wait = true};
	struct fs_mapping m = {.len = DAX_PAGE, .write = true};
	struct fs_entry e;
	int fd;

	log_open("test", LOG_OFF);
	stored = 0;
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	fd = open("export/f", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	fake = fake_new(PAGES, PIECES);
	assert_int_equal(vtable_make(&t, 1u << 16), 0);
	config.window = fake->w;
	config.table = t;
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	assert_int_equal(passthrough_start(fs), 0);
	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "f", &e), 0);
	file = (struct fs_target){.node = e.node, .has_handle = true};
	assert_int_equal(fs->ops->open(fs, e.node, O_RDWR, false, &file.handle, &opened), 0);
	assert_int_equal(fs->ops->setup_mapping(fs, e.node, &m), 0);
	{
		struct stat st;

		assert_int_equal(stat("export/f", &st), 0);
		attr_slot = vtable_slot(t, VTABLE_ATTR, st.st_dev, st.st_ino);
		data_slot = vtable_slot(t, VTABLE_DATA, st.st_dev, st.st_ino);
	}
}

static int finish(void **state)
{
	if (!fs)
		return 0;
	passthrough_free(fs);
	fs = NULL;
	fake_free(fake);
	vtable_close(t);
	unit_leave_directory(directory);
	return 0;
}

static void store(void)
{
	assert_non_null(fake_map_at(fake, 0));
	fake->memory[10] = ++stored;
}

static char in_the_file(void)
{
	int fd = open("export/f", O_RDONLY | O_CLOEXEC);
	char c = 0;

	assert_int_equal(pread(fd, &c, 1, 10), 1);
	close(fd);
	return c;
}

static int do_flush(void) { return fs->ops->flush(fs, &file, 1); }
static int do_fsync(void) { return fs->ops->fsync(fs, &file, false); }
static int do_syncfs(void) { return fs->ops->syncfs(fs, FS_ROOT, false); }
static int do_release(void) { return fs->ops->release(fs, file.handle); }
static int do_unmap(void) { return fs->ops->remove_mapping(fs, 0, DAX_PAGE); }
static int do_drop(void)
{
	passthrough_drop_window(fs);
	return 0;
}
static int do_reset(void)
{
	fs->ops->reset(fs);
	return 0;
}
static int do_read(void)
{
	char buf[SIZE];
	struct iovec iov = {buf, sizeof(buf)};
	ssize_t n = fs->ops->read(fs, &file, &iov, 1, 0, false);

	return n == SIZE && buf[10] == stored ? 0 : -EIO;
}
static int do_write(void)
{
	struct iovec iov = {(char *)"new", 3};

	return fs->ops->write(fs, &file, &iov, 1, 20, 0) == 3 ? 0 : -EIO;
}

static const struct way {
	const char *what;
	int (*act)(void);
	bool changes; /* the file, whatever was stored */
	bool ends;    /* nothing is mapped afterwards */
} ways[] = {
	{"FLUSH", do_flush, false, false},
	{"FSYNC", do_fsync, false, false},
	{"SYNCFS", do_syncfs, false, false},
	{"READ", do_read, false, false},
	{"WRITE", do_write, true, false},
	{"RELEASE", do_release, false, false},
	{"REMOVEMAPPING", do_unmap, false, true},
	{"the end of the front-end", do_drop, false, true},
	{"INIT", do_reset, false, true},
};

/* How often the file has changed, by its words. */
static unsigned int changes(const struct way *way, bool request)
{
	uint64_t attr = word(attr_slot), data = word(data_slot), n;

	if (request)
		vtable_request_begin(&v, t, true);
	assert_int_equal(way->act(), 0);
	if (request)
		vtable_request_end(&v);
	n = (word(data_slot) - data) / ONE;
	assert_int_equal(word(attr_slot) - attr, n * ONE);
	assert_int_equal(word(data_slot) - data, n * ONE);
	return (unsigned int)n;
}

static void try(const struct way *way, bool request)
{
	unsigned int n;

	start();
	/* Nothing was stored. */
	n = changes(way, request);
	if (n != (way->changes && request))
		fail_msg("%s changes nothing, and says so %u times", way->what, n);
	if (way->ends || way->act == do_release) {
		finish(NULL);
		start();
	}
	store();
	n = changes(way, request);
	if (n != 1)
		fail_msg("%s writes back, and says so %u times", way->what, n);
	assert_int_equal(in_the_file(), stored);
	if (way->act == do_read && request) {
		const struct vt_look *look = &v.look[__builtin_ctz(VT_NODE_DATA)];

		assert_int_equal(look->word, word(data_slot));
		assert_true(look->flags & VT_KEEP);
	}
	finish(NULL);
}

static void test_requests(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		try(&ways[i], true);
}

/* So are requests that have nothing to do with the table, and what is none. */
static void test_without(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		try(&ways[i], false);
}

/* There is no table that others have too: what was stored waits until there is one, or ends with
 * the window. */
static void try_lost(const struct way *way, bool request)
{
	start();
	store();
	t->lost = true;
	if (request)
		vtable_request_begin(&v, t, true);
	way->act();
	if (request)
		vtable_request_end(&v);
	if (in_the_file() != 0)
		fail_msg("%s writes back without a table", way->what);
	t->lost = false;
	assert_true(vt_is_quiet(word(attr_slot)) && vt_is_quiet(word(data_slot)));
	if (!way->ends) {
		assert_int_equal(do_syncfs(), 0);
		assert_int_equal(in_the_file(), stored);
	}
	finish(NULL);
}

static void test_lost(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		/* A request that is a change comes no further than src/fuse then. */
		if (ways[i].changes)
			continue;
		try_lost(&ways[i], true);
		try_lost(&ways[i], false);
	}
}

static _Atomic bool renewed;

static void *renew(void *arg)
{
	must(vtable_renew(t, 60000) == 0);
	atomic_store(&renewed, true);
	return NULL;
}

/* Another table takes the place of this one while writes go on: nobody waits for the other. */
static void test_renewal(void **state)
{
	pthread_t thread;

	start();
	for (int i = 0; i < 20; i++) {
		vtable_poison(t);
		atomic_store(&renewed, false);
		assert_int_equal(pthread_create(&thread, NULL, renew, NULL), 0);
		do {
			store();
			vtable_request_begin(&v, t, true);
			assert_int_equal(do_read(), 0);
			vtable_request_end(&v);
			store();
			assert_int_equal(do_syncfs(), 0);
		} while (!atomic_load(&renewed));
		pthread_join(thread, NULL);
	}
	finish(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_requests, finish),
		cmocka_unit_test_teardown(test_without, finish),
		cmocka_unit_test_teardown(test_lost, finish),
		cmocka_unit_test_teardown(test_renewal, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
