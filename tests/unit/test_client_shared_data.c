// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * cache=shared: data and listings; agreeing to a table, and to the next one; and what a hostile
 * back-end may say of words.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "shared_world.h"

#define PATIENCE_S 60

static struct shared_world w;

static int set_up(void **state)
{
	world_make(&w, 1 << 16);
	if (world_connect(&w) < 0)
		fail_msg("%s", causeway_error(w.c));
	world_watch(&w);
	return 0;
}

/* The case connects. */
static int set_up_apart(void **state)
{
	world_make(&w, 1 << 10);
	return 0;
}

static int tear_down(void **state)
{
	world_end(&w);
	return 0;
}

static struct causeway_file *must_open(const char *path, int flags)
{
	struct causeway_file *f;

	if (causeway_open(w.c, NULL, path, flags, 0644, &f) < 0)
		fail_msg("%s: %s", path, causeway_error(w.c));
	return f;
}

static void expect_bytes(struct causeway_file *f, off_t at, const char *text, uint64_t cost)
{
	char bytes[64];
	ssize_t n = 0;

	assert_int_equal(COST(n = causeway_pread(f, bytes, sizeof(bytes), at)), cost);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

static void test_data(void **state)
{
	const uint32_t file[] = {slot_of(&w, VTABLE_ATTR, FILE_F),
		slot_of(&w, VTABLE_DATA, FILE_F)};
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_F)};
	struct causeway_file *f = must_open("d/f", O_RDWR), *g = must_open("d/f", O_RDONLY);

	expect_bytes(f, 0, "content of f", 1);
	expect_bytes(g, 0, "content of f", 0);
	OTHER(&w, file, memcpy(w.both->inodes[FILE_F].bytes, "CONTENT", 7));
	expect_bytes(f, 0, "CONTENT of f", 1);
	expect_bytes(g, 0, "CONTENT of f", 0);
	/* Attributes alone are no change of data. */
	OTHER(&w, attr, w.both->inodes[FILE_F].mode = S_IFREG | 0600);
	expect_bytes(g, 0, "CONTENT of f", 0);
	causeway_close(f);
	causeway_close(g);
}

static void test_own_data(void **state)
{
	const uint32_t file[] = {slot_of(&w, VTABLE_ATTR, FILE_F),
		slot_of(&w, VTABLE_DATA, FILE_F)};
	struct causeway_file *f = must_open("d/f", O_RDWR), *g;
	struct vtable_change other;

	expect_bytes(f, 0, "content of f", 1);
	assert_int_equal(causeway_pwrite(f, "C", 1, 0), 1);
	expect_bytes(f, 0, "Content of f", 1);
	expect_bytes(f, 0, "Content of f", 0);
	/* It grows: the page with its end is another. */
	assert_int_equal(causeway_pwrite(f, "end", 3, 12), 3);
	expect_bytes(f, 0, "Content of fend", 1);
	expect_bytes(f, 0, "Content of fend", 0);
	g = must_open("d/f", O_WRONLY | O_APPEND);
	assert_int_equal(causeway_write(g, "!", 1), 1);
	expect_bytes(f, 0, "Content of fend!", 1);
	/* Beside somebody else's change. */
	other = other_begin(&w, 2, file);
	assert_int_equal(causeway_pwrite(f, "c", 1, 0), 1);
	memcpy(w.both->inodes[FILE_F].bytes + 1, "ON", 2);
	other_end(&w, &other);
	expect_bytes(f, 0, "cONtent of fend!", 1);
	assert_int_equal(causeway_ftruncate(f, 3), 0);
	expect_bytes(f, 0, "cON", 1);
	expect_bytes(f, 0, "cON", 0);
	causeway_close(f);
	causeway_close(g);
}

/* What is submitted has words too, and brings no page. */
static void test_submitted(void **state)
{
	struct causeway_file *f = must_open("d/f", O_RDWR);
	struct causeway_completion done[2];
	time_t end = time(NULL) + PATIENCE_S;
	char bytes[32] = "";
	unsigned int n = 0;

	expect_bytes(f, 0, "content of f", 1);
	assert_int_equal(causeway_submit_pwrite(f, "X", 1, 2, NULL), 0);
	while (n < 1 && time(NULL) < end)
		n += causeway_reap(w.c, done, 1);
	assert_int_equal(n, 1);
	assert_int_equal(done[0].result, 1);
	expect_bytes(f, 0, "coXtent of f", 1);
	assert_int_equal(causeway_submit_pread(f, bytes, 20, 1, NULL), 0);
	for (n = 0; n < 1 && time(NULL) < end;)
		n += causeway_reap(w.c, done, 1);
	assert_int_equal(done[0].result, 11);
	assert_string_equal(bytes, "oXtent of f");
	causeway_close(f);
}

static int list(struct causeway_file *d)
{
	struct causeway_dirent e;
	int n = 0, r;

	causeway_seekdir(d, 0);
	while ((r = causeway_readdir(d, &e)) == 1)
		n++;
	return r < 0 ? r : n;
}

static int list_plus(struct causeway_file *d)
{
	struct causeway_dirent e;
	struct stat st;
	int n = 0, r;

	causeway_seekdir(d, 0);
	while ((r = causeway_readdirplus(d, &e, &st)) == 1)
		n++;
	return r < 0 ? r : n;
}

static void test_listings(void **state)
{
	const uint32_t x[] = {slot_of(&w, VTABLE_ATTR, DIR_D), slot_of(&w, VTABLE_LIST, DIR_D),
		slot_of_name(&w, DIR_D, "x")};
	struct causeway_file *d = must_open("d", O_RDONLY);

	assert_int_equal(list(d), 3);
	assert_int_equal(COST(assert_int_equal(list(d), 3)), 0);
	OTHER(&w, x, w.both->names[9] = (struct world_name){"x", DIR_D, FILE_G});
	assert_int_equal(COST(assert_int_equal(list(d), 4)), 3);
	assert_int_equal(COST(assert_int_equal(list(d), 4)), 0);
	assert_int_equal(causeway_mkdir(w.c, NULL, "d/sub", 0755), 0);
	assert_int_equal(list(d), 5);
	assert_int_equal(COST(assert_int_equal(list(d), 5)), 0);
	/* Mode and owner are none of the listing. */
	assert_int_equal(causeway_chmod(w.c, NULL, "d", 0700, 0), 0);
	assert_int_equal(COST(assert_int_equal(list(d), 5)), 0);
	causeway_close(d);
}

/* A listing whose pieces are of more than one state was never there. */
static void test_pieces(void **state)
{
	struct causeway_file *d = must_open("d", O_RDONLY);

	w.both->fault = TWO_STATES;
	assert_int_equal(list(d), 3);
	w.both->fault = WORLD_GOOD;
	assert_int_equal(COST(assert_int_equal(list(d), 3)), 3);
	assert_int_equal(COST(assert_int_equal(list(d), 3)), 0);
	causeway_close(d);
}

static void test_entries(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_F)};
	struct causeway_file *d = must_open("d", O_RDONLY);
	struct stat st;

	assert_int_equal(list_plus(d), 3);
	assert_int_equal(causeway_access(w.c, NULL, "d", X_OK, 0), 0);
	/* They brought names and attributes with words of their own. */
	assert_true(COST(assert_int_equal(causeway_stat(w.c, NULL, "d/f", &st, 0), 0)) <= 1);
	assert_int_equal(COST(assert_int_equal(causeway_stat(w.c, NULL, "d/g", &st, 0), 0)), 0);
	OTHER(&w, attr, w.both->inodes[FILE_F].mode = S_IFREG | 0600);
	assert_int_equal(COST(assert_int_equal(causeway_stat(w.c, NULL, "d/f", &st, 0), 0)), 1);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	/* The listing is kept without them. */
	assert_int_equal(COST(assert_int_equal(list_plus(d), 3)), 0);
	assert_int_equal(COST(assert_int_equal(list(d), 3)), 0);
	/* What has words of slots that there are not is not kept. */
	w.both->fault = SLOT_BEYOND;
	vtable_bump_epoch(w.t);
	assert_int_equal(list_plus(d), 3);
	assert_true(COST(assert_int_equal(causeway_stat(w.c, NULL, "d/g", &st, 0), 0)) > 0);
	w.both->fault = ENTRY_SHORT;
	vtable_bump_epoch(w.t);
	assert_int_equal(list_plus(d), -EPROTO);
	causeway_close(d);
}

/* The piece of a listing that came is used up entry by entry; meanwhile others change things. */
static void test_entries_grow_old(void **state)
{
	const uint32_t attr[] = {slot_of(&w, VTABLE_ATTR, FILE_G)};
	struct causeway_file *d = must_open("d", O_RDONLY);
	struct causeway_dirent entry;
	struct stat st;
	int r;

	do
		assert_int_equal(causeway_readdirplus(d, &entry, &st), 1);
	while (strcmp(entry.name, "f") != 0);
	OTHER(&w, attr, w.both->inodes[FILE_G].mode = S_IFREG | 0600);
	do
		r = causeway_readdirplus(d, &entry, &st);
	while (r == 1 && strcmp(entry.name, "g") != 0);
	assert_int_equal(r, 1);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	causeway_close(d);
}

static uint64_t table_slots(void)
{
	uint64_t slots = 0;

	assert_int_equal(causeway_get(w.c, "table-slots", &slots), 0);
	return slots;
}

static void expect_refused(enum world_fault fault, int error, const char *why)
{
	world_make(&w, 1 << 10);
	w.both->fault = (int)fault;
	assert_int_equal(world_connect(&w), error);
	if (!strstr(causeway_error(w.c), why))
		fail_msg("'%s' does not say '%s'", causeway_error(w.c), why);
	world_end(&w);
}

static void test_agreement(void **state)
{
	expect_refused(NO_HELLO, -EOPNOTSUPP, "--version-table");
	expect_refused(OTHER_ID, -ESTALE, "another one than the back-end's");
	expect_refused(BAD_WIRE, -EPROTO, "VT_HELLO is malformed");
	expect_refused(BAD_SLOTS, -EPROTO, "VT_HELLO is malformed");
	expect_refused(BEGIN_OTHER, -EPROTO, "VT_HELLO is malformed");
}

static void expect_no_table(const char *path, int error, const char *why)
{
	world_make(&w, 1 << 10);
	assert_int_equal(causeway_set(w.c, "version-table", path), 0);
	assert_int_equal(world_connect(&w), error);
	if (!strstr(causeway_error(w.c), why))
		fail_msg("'%s' does not say '%s'", causeway_error(w.c), why);
	world_end(&w);
}

/* What others can shrink is not mapped, nor what is no table. */
static void test_files(void **state)
{
	char path[64];
	int fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(ftruncate(fd, 8192), 0);
	expect_no_table(path, -EPERM, "shrink it");
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	expect_no_table(path, -EINVAL, "no version table");
	close(fd);
	expect_no_table("/nonexistent", -ENOENT, "there is none");
	expect_no_table("/dev/null", -EXDEV, "no file on a tmpfs");
	expect_no_table("/dev/shm", -EXDEV, "no file on a tmpfs");
}

static void test_writable(void **state)
{
	char path[64], table[8192 + 4096];
	int fd;

	snprintf(path, sizeof(path), "%s/copy", w.dir);
	fd = open(w.path, O_RDONLY);
	assert_int_equal(read(fd, table, sizeof(table)), sizeof(table));
	close(fd);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, table, sizeof(table)), sizeof(table));
	assert_int_equal(fchmod(fd, 0620), 0);
	close(fd);
	assert_int_equal(causeway_set(w.c, "version-table", path), 0);
	assert_int_equal(world_connect(&w), -EPERM);
	assert_non_null(strstr(causeway_error(w.c), "others may write to it"));
}

static void test_options(void **state)
{
	struct causeway *c = causeway_new();

	assert_int_equal(causeway_set(c, "cache", "shared"), 0);
	assert_int_equal(causeway_set(c, "writeback", "1"), 0);
	assert_int_equal(causeway_connect(c, "/nonexistent"), -EINVAL);
	assert_non_null(strstr(causeway_error(c), "cache=shared and writeback=1"));
	assert_int_equal(causeway_set(c, "writeback", "0"), 0);
	assert_int_equal(causeway_set(c, "init", "0"), 0);
	assert_int_equal(causeway_connect(c, "/nonexistent"), -EINVAL);
	assert_non_null(strstr(causeway_error(c), "init=1"));
	causeway_free(c);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(causeway_stat(w.c, NULL, path, &st, 0), 0);
	return st.st_mode & 07777;
}

static void test_epoch(void **state)
{
	assert_int_equal(mode_of("d/f"), 0644);
	vtable_bump_epoch(w.t);
	assert_true(COST(mode_of("d/f")) > 1);
	assert_int_equal(COST(mode_of("d/f")), 0);
}

/* A poisoned table is trusted no more; when there is the next one, all is as before. */
static void renew(uint64_t slots)
{
	time_t end = time(NULL) + PATIENCE_S;

	assert_int_equal(mode_of("d/f"), 0644);
	assert_int_equal(COST(mode_of("d/f")), 0);
	w.both->inodes[FILE_F].mode = S_IFREG | 0600;
	vtable_poison(w.t);
	assert_int_equal(mode_of("d/f"), 0600);
	/* The next one is made when this server has left too. */
	world_unwatch(&w);
	vtable_close(w.t);
	w.t = NULL;
	while (table_slots() != slots && time(NULL) < end)
		mode_of("d/f");
	assert_int_equal(table_slots(), slots);
	assert_int_equal(vtable_open(&w.t, w.path, 0, 0), 0);
	world_watch(&w);
	w.both->inodes[FILE_F].mode = S_IFREG | 0644;
	vtable_bump_epoch(w.t);
}

static void test_poison(void **state)
{
	renew(1 << 16);
	renew(1 << 16);
	assert_int_equal(mode_of("d/f"), 0644);
	assert_int_equal(COST(mode_of("d/f")), 0);
}

/* Without a watcher, and for what nobody can watch, words are good for a time. */
static void expect_to_end(void)
{
	time_t end = time(NULL) + PATIENCE_S;
	uint64_t cost = 0;

	assert_int_equal(mode_of("d/f"), 0644);
	while (cost == 0 && time(NULL) < end) {
		cost = COST(mode_of("d/f"));
		usleep(10000);
	}
	assert_true(cost > 0);
}

static void test_times(void **state)
{
	w.both->fault = ALL_TIMED;
	expect_to_end();
	w.both->fault = WORLD_GOOD;
	causeway_drop_caches(w.c);
	mode_of("d/f");
	/* Longer than that time. */
	usleep(1500000);
	assert_int_equal(COST(mode_of("d/f")), 0);
	world_unwatch(&w);
	expect_to_end();
}

static void test_hostile(void **state)
{
	struct causeway_file *f = must_open("d/f", O_RDWR);
	struct vtable_change other;
	struct stat st;

	/* What is said of no slot is not kept. */
	w.both->fault = SLOT_BEYOND;
	vtable_bump_epoch(w.t);
	assert_true(COST(mode_of("d/f")) > 0);
	assert_true(COST(mode_of("d/f")) > 0);
	/* What is not kept takes another one, to see that the file ends. */
	expect_bytes(f, 0, "content of f", 2);
	assert_int_equal(causeway_pwrite(f, "C", 1, 0), 1);
	expect_bytes(f, 0, "Content of f", 2);
	w.both->fault = USE_ONCE;
	vtable_bump_epoch(w.t);
	assert_true(COST(mode_of("d/f")) > 0);
	assert_true(COST(mode_of("d/f")) > 0);
	/* A change that was not alone, whatever its reply says. */
	w.both->fault = FALSE_ALONE;
	expect_bytes(f, 0, "Content of f", 1);
	assert_int_equal(causeway_pwrite(f, "c", 1, 0), 1);
	expect_bytes(f, 0, "content of f", 1);
	other = other_begin(&w, 1, (uint32_t[]){slot_of(&w, VTABLE_DATA, FILE_F)});
	assert_int_equal(causeway_pwrite(f, "C", 1, 0), 1);
	other_end(&w, &other);
	expect_bytes(f, 0, "Content of f", 1);
	w.both->fault = WORDS_SHORT;
	vtable_bump_epoch(w.t);
	assert_int_equal(causeway_fstat(f, &st), -EPROTO);
	assert_int_equal(causeway_pwrite(f, "C", 1, 0), -EPROTO);
	w.both->fault = WORLD_GOOD;
	expect_bytes(f, 0, "Content of f", 1);
	causeway_close(f);
}

#define CASE(f)  cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define APART(f) cmocka_unit_test_setup_teardown(f, set_up_apart, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_data),
		CASE(test_own_data),
		CASE(test_submitted),
		CASE(test_listings),
		CASE(test_pieces),
		CASE(test_entries),
		CASE(test_entries_grow_old),
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_files),
		APART(test_writable),
		cmocka_unit_test(test_options),
		CASE(test_epoch),
		CASE(test_poison),
		CASE(test_times),
		CASE(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
