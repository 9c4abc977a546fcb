// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files that are no version table, or not one to be trusted: servers and guests refuse them with a
 * reason, and change nothing. What a guest gets cannot be written, nor made shorter.
 */
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "coherence/table.h"
#include "coherence/view.h"

#define SLOTS 64

static char place[64];

static int setup(void **state)
{
	setenv("TMPDIR", "/dev/shm", 1);
	unit_enter_directory(place);
	return 0;
}

static int teardown(void **state)
{
	unit_leave_directory(place);
	return 0;
}

static int try_open(const char *path)
{
	struct vtable *t = NULL;
	int fds = unit_open_fds(), r = vtable_open(&t, path, 0, 0);

	if (r == 0)
		vtable_close(t);
	assert_int_equal(unit_open_fds(), fds);
	return r;
}

/* A table in a file, made by a server that has gone. */
static void make_file(const char *path)
{
	struct vtable *t;

	assert_int_equal(vtable_open(&t, path, SLOTS, 0), 0);
	vtable_close(t);
}

static void spoil_magic(struct vt_header *h) { h->magic++; }
static void spoil_layout(struct vt_header *h) { h->layout++; }
static void spoil_page(struct vt_header *h) { h->header_size = 64; }
static void spoil_slots(struct vt_header *h) { h->slots--; }
static void spoil_more(struct vt_header *h) { h->slots *= 16; }
static void spoil_most(struct vt_header *h) { h->slots = 1ull << 63; }
static void spoil_none(struct vt_header *h) { h->slots = 0; }
static void spoil_id(struct vt_header *h) { memset(h->id, 0, sizeof(h->id)); }
static void spoil_zero0(struct vt_header *h) { h->zero0[2] = 1; }
static void spoil_zero1(struct vt_header *h) { h->zero1[4] = 1ull << 63; }
static void spoil_zero2(struct vt_header *h) { h->zero2[6] = 1; }

static const struct {
	const char *what;
	void (*spoil)(struct vt_header *h);
	enum vt_fault fault;
} bad_headers[] = {
	{"magic", spoil_magic, VT_NO_TABLE},
	{"layout", spoil_layout, VT_OTHER},
	{"header's size", spoil_page, VT_OTHER},
	{"odd slots", spoil_slots, VT_BAD_SLOTS},
	{"more slots than bytes", spoil_more, VT_BAD_SIZE},
	{"slots that overflow", spoil_most, VT_BAD_SLOTS},
	{"no slots", spoil_none, VT_BAD_SLOTS},
	{"no id", spoil_id, VT_BAD_ID},
	{"beside the slots", spoil_zero0, VT_NOT_ZERO},
	{"beside the epoch", spoil_zero1, VT_NOT_ZERO},
	{"beside the watcher", spoil_zero2, VT_NOT_ZERO},
};

static void test_headers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_headers); i++) {
		struct vt_header good, bad, after;
		struct vtable_view v;
		int fd;

		make_file("t");
		fd = open("t", O_RDWR);
		assert_int_equal(pread(fd, &good, sizeof(good), 0), sizeof(good));
		assert_int_equal(vt_examine(&good, vt_size(SLOTS)), VT_GOOD);
		bad = good;
		bad_headers[i].spoil(&bad);
		if (vt_examine(&bad, vt_size(SLOTS)) != bad_headers[i].fault)
			fail_msg("%s: not noticed", bad_headers[i].what);
		assert_int_equal(pwrite(fd, &bad, sizeof(bad), 0), sizeof(bad));
		assert_int_equal(try_open("t"), -EINVAL);
		assert_int_equal(vtable_view_map(&v, fd, bad.id, true), -EINVAL);
		assert_null(v.map);
		/* Perhaps it is precious to somebody. */
		assert_int_equal(pread(fd, &after, sizeof(after), 0), sizeof(after));
		assert_memory_equal(&bad, &after, sizeof(bad));
		close(fd);
		assert_int_equal(unlink("t"), 0);
	}
}

static void test_sizes(void **state)
{
	const off_t sizes[] = {0, 1, VT_HEADER_SIZE - 1, VT_HEADER_SIZE, (off_t)vt_used(SLOTS),
		(off_t)vt_size(SLOTS) - 1, (off_t)vt_size(SLOTS) + 1, (off_t)vt_size(SLOTS) + 4096,
		(off_t)vt_size(SLOTS) * 2};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vtable_view v;
		struct vt_header head;
		int fd;

		make_file("t");
		fd = open("t", O_RDWR);
		assert_int_equal(pread(fd, &head, sizeof(head), 0), sizeof(head));
		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		assert_int_equal(try_open("t"), -EINVAL);
		assert_int_equal(vtable_view_map(&v, fd, head.id, true), -EINVAL);
		close(fd);
		assert_int_equal(unlink("t"), 0);
	}
}

/* A hole that cannot be filled when somebody marks a slot would be a SIGBUS. */
static void test_holes(void **state)
{
	struct vtable *t;
	struct stat st;
	int fd;

	assert_int_equal(vtable_open(&t, "t", 1 << 12, 0), 0);
	fd = open("t", O_RDWR);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 16384), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 < vt_used(1 << 12));
	assert_int_equal(try_open("t"), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 >= vt_used(1 << 12));
	close(fd);
	vtable_close(t);
}

/* A PCI device can have any table, and no more room than it needs. */
static void test_size_of(void **state)
{
	for (uint64_t slots = 1; slots <= VT_SLOTS_MAX; slots *= 2) {
		uint64_t size = vt_size(slots);

		assert_true(size && !(size & (size - 1)));
		assert_true(size >= vt_used(slots));
		assert_true(size / 2 < vt_used(slots));
	}
}

static void test_owners(void **state)
{
	make_file("t");
	assert_int_equal(chmod("t", 0620), 0);
	assert_int_equal(try_open("t"), -EPERM);
	assert_int_equal(chmod("t", 0602), 0);
	assert_int_equal(try_open("t"), -EPERM);
	assert_int_equal(chmod("t", 0644), 0);
	assert_int_equal(try_open("t"), 0);
	assert_int_equal(chmod("t.key", 0640), 0);
	assert_int_equal(try_open("t"), -EPERM);
	assert_int_equal(chmod("t.key", 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown("t", 12345, 0), 0);
		assert_int_equal(try_open("t"), -EPERM);
		assert_int_equal(chown("t", 0, 0), 0);
		assert_int_equal(chown("t.key", 12345, 0), 0);
		assert_int_equal(try_open("t"), -EPERM);
	}
}

static void test_things(void **state)
{
	assert_int_equal(try_open("no-such-folder/t"), -ENOENT);
	assert_int_equal(try_open("/proc/t"), -EXDEV);
	assert_int_equal(symlink("elsewhere", "s"), 0);
	assert_int_equal(try_open("s"), -ELOOP);
	assert_int_equal(symlink("elsewhere", "k.key"), 0);
	assert_int_equal(try_open("k"), -ELOOP);
	assert_int_equal(access("elsewhere", F_OK), -1);
	/* A pipe that nobody writes to does not hold us up. */
	assert_int_equal(mkfifo("p", 0600), 0);
	assert_int_equal(try_open("p"), -EPERM);
	assert_int_equal(mkfifo("q.key", 0600), 0);
	assert_int_equal(try_open("q"), -EPERM);
	assert_int_equal(mkdir("d", 0700), 0);
	assert_int_equal(try_open("d"), -EISDIR);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Of a table whose key is only half there: who is alone completes it, by what is remembered; and
 * whatever it has become by the next time, nobody goes on by another. */
static void check_renewal(struct vtable *t)
{
	uint8_t key[HASH_KEY_SIZE];
	uint64_t name = vtable_hash_of_name(t, 1, 2, "n");
	int fd = open("t.key", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	vtable_poison(t);
	assert_int_equal(vtable_renew(t, 0), 0);
	assert_int_equal(pread(fd, key, sizeof(key), 8), sizeof(key));
	assert_memory_equal(key, t->key, sizeof(key));
	key[0] ^= 1;
	assert_int_equal(pwrite(fd, key, sizeof(key), 8), sizeof(key));
	vtable_poison(t);
	assert_int_equal(vtable_renew(t, 0), -EINVAL);
	assert_true(vtable_is_lost(t));
	assert_true(vtable_hash_of_name(t, 1, 2, "n") == name);
	key[0] ^= 1;
	assert_int_equal(pwrite(fd, key, sizeof(key), 8), sizeof(key));
	assert_int_equal(vtable_renew(t, 0), 0);
	assert_false(vtable_is_lost(t));
	close(fd);
}

static void test_keys(void **state)
{
	struct vtable *a, *b;
	uint8_t id[VT_ID_SIZE];

	make_file("t");
	put("t.key", "the letters of a friend");
	assert_int_equal(try_open("t"), -EINVAL);
	put("t.key", "the letters of a friend, and some more of them");
	assert_int_equal(try_open("t"), -EINVAL);
	/* Begun by somebody who died: done anew. Slots of another key are others', so the table
	 * is not the same either. */
	assert_int_equal(unlink("t.key"), 0);
	assert_int_equal(vtable_open(&a, "t", 0, 0), 0);
	memcpy(id, a->id, sizeof(id));
	vtable_close(a);
	assert_int_equal(truncate("t.key", 9), 0);
	assert_int_equal(vtable_open(&a, "t", 0, 0), 0);
	assert_int_equal(a->slots, SLOTS);
	assert_memory_not_equal(a->id, id, sizeof(id));
	/* Not under those who use it. */
	assert_int_equal(truncate("t.key", 9), 0);
	assert_int_equal(vtable_open(&b, "t", 0, 0), -EINVAL);
	check_renewal(a);
	vtable_close(a);
	/* What a server left that died over making a table is in nobody's way. */
	put("t.new", "half of it");
	assert_int_equal(unlink("t"), 0);
	assert_int_equal(try_open("t"), 0);
	assert_int_equal(access("t.new", F_OK), -1);
}

/* A client with a descriptor can read the table, and do nothing else to it. */
static void refuse_client(int fd, bool sealed)
{
	char path[64];
	void *map;
	int again;

	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map, 4096, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(munmap(map, 4096), 0);
	if (!sealed)
		return;
	/* Also when it opens it anew, as only root can in any other way. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	assert_true(again >= 0);
	assert_int_equal(pwrite(again, "x", 1, 0), -1);
	assert_int_equal(ftruncate(again, 0), -1);
	assert_int_equal(ftruncate(again, 1 << 20), -1);
	assert_int_equal(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
	assert_int_equal(fcntl(again, F_ADD_SEALS, F_SEAL_WRITE), -1);
	close(again);
}

static void test_clients(void **state)
{
	struct vtable *t;
	struct vtable_view v;
	struct vt_stamp stamp;
	uint8_t other[VT_ID_SIZE] = {1};

	assert_int_equal(vtable_make(&t, SLOTS), 0);
	refuse_client(t->fd, true);
	assert_int_equal(vtable_view_map(&v, t->fd, other, false), -ESTALE);
	assert_int_equal(vtable_view_map(&v, t->fd, t->id, false), 0);
	assert_true(vtable_look(t, SLOTS - 1, &stamp));
	assert_true(vtable_view_may_keep(&v, &stamp));
	assert_true(vtable_view_trusts(&v, &stamp));
	vtable_pass_on(t, SLOTS - 1);
	assert_false(vtable_view_trusts(&v, &stamp));
	/* A reply that names a slot beyond what is mapped. */
	stamp.slot = SLOTS;
	assert_false(vtable_view_may_keep(&v, &stamp));
	assert_true(vtable_look(t, 0, &stamp) && vtable_view_trusts(&v, &stamp));
	vtable_bump_epoch(t);
	assert_false(vtable_view_trusts(&v, &stamp));
	assert_true(vtable_look(t, 0, &stamp) && vtable_view_trusts(&v, &stamp));
	vtable_poison(t);
	assert_false(vtable_view_trusts(&v, &stamp));
	/* Its own new table too is sealed, and another. */
	assert_int_equal(vtable_renew(t, 0), 0);
	refuse_client(t->fd, true);
	vtable_view_unmap(&v);
	assert_false(vtable_view_may_keep(&v, &stamp));
	assert_int_equal(vtable_view_map(&v, t->fd, t->id, false), 0);
	vtable_view_unmap(&v);
	vtable_close(t);
	/* A file is not sealed: whoever maps it has to know who may truncate it. */
	assert_int_equal(vtable_open(&t, "t", SLOTS, 0), 0);
	refuse_client(t->fd, false);
	assert_int_equal(vtable_view_map(&v, t->fd, t->id, false), -EPERM);
	assert_int_equal(vtable_view_map(&v, t->dir, t->id, true), -EPERM);
	assert_int_equal(vtable_view_map(&v, t->fd, t->id, true), 0);
	vtable_view_unmap(&v);
	vtable_close(t);
}

/* Who watches says so all the time; a word that stands still is nobody's after a while. */
static void test_watched(void **state)
{
	struct vtable *t;
	struct vtable_view v;
	uint64_t now = 1000;

	assert_int_equal(vtable_make(&t, SLOTS), 0);
	assert_int_equal(vtable_view_map(&v, t->fd, t->id, false), 0);
	assert_false(vtable_view_is_watched(&v, now));
	atomic_store(words_head(t, watcher), 7);
	assert_true(vtable_view_is_watched(&v, now));
	assert_true(vtable_view_is_watched(&v, now + VT_LEASE_MS - 1));
	assert_false(vtable_view_is_watched(&v, now + VT_LEASE_MS));
	assert_false(vtable_view_is_watched(&v, now += 9 * VT_LEASE_MS));
	atomic_store(words_head(t, watcher), 8);
	assert_true(vtable_view_is_watched(&v, now));
	assert_true(vtable_view_is_watched(&v, now + VT_LEASE_MS - 1));
	/* Epochs are held back. */
	atomic_store(words_head(t, timed), 1);
	assert_false(vtable_view_is_watched(&v, now));
	atomic_store(words_head(t, timed), 0);
	assert_true(vtable_view_is_watched(&v, now));
	atomic_store(words_head(t, watcher), 0);
	assert_false(vtable_view_is_watched(&v, now));
	vtable_view_unmap(&v);
	vtable_close(t);
}

static void test_numbers(void **state)
{
	struct vtable *t;

	assert_int_equal(vtable_make(&t, 0), -EINVAL);
	assert_int_equal(vtable_make(&t, 3), -EINVAL);
	assert_int_equal(vtable_make(&t, VT_SLOTS_MAX * 2), -EINVAL);
	assert_int_equal(vtable_open(&t, "t", 3, 0), -EINVAL);
	assert_int_equal(access("t", F_OK), -1);
	assert_int_equal(access("t.new", F_OK), -1);
	assert_int_equal(vtable_open(&t, "t", 0, 0), 0);
	assert_int_equal(t->slots, VTABLE_SLOTS);
	vtable_close(t);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_headers),
		CASE(test_sizes),
		CASE(test_holes),
		CASE(test_size_of),
		CASE(test_owners),
		CASE(test_things),
		CASE(test_keys),
		CASE(test_clients),
		CASE(test_watched),
		CASE(test_numbers),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
