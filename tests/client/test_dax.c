// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * Files of a real causewayd in the library's window: what one side writes the other sees, at every
 * size, while files change under it, and with more to map than there is room for.
 */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#define KIB  1024
#define MIB  (1024 * KIB)
#define PAGE 4096

/* dax: of both; a file is trusted not to become shorter behind the daemon's back (always), or
 * leased (auto). timeout: of attributes. */
static void begin(void **state, const char *dax, const char *window, const char *timeout)
{
	char size[32], policy[32], attr[32];
	const char *const options[] = {"dax", dax, "cache", "auto", "daemon-option", size,
		"daemon-option", policy, "daemon-option", attr, NULL};

	snprintf(size, sizeof(size), "--dax-window=%s", window);
	snprintf(policy, sizeof(policy), "--dax=%s", dax);
	snprintf(attr, sizeof(attr), "--attr-timeout=%s", timeout);
	*state = (void *)(intptr_t)PEER_CAUSEWAYD;
	assert_int_equal(world_enter(state, options), 0);
}

static uint64_t property(const char *name)
{
	uint64_t n;

	assert_int_equal(causeway_get(peer->c, name, &n), 0);
	return n;
}

#define COST(what)                                                                                 \
	({                                                                                         \
		uint64_t cost_before_ = property("requests");                                      \
		what;                                                                              \
		property("requests") - cost_before_;                                               \
	})

/* A file of the host that has its own offset everywhere. */
static int make(const char *name, size_t size)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	uint32_t words[PAGE / 4];

	assert_true(fd >= 0);
	for (size_t at = 0; at < size; at += PAGE) {
		for (size_t i = 0; i < PAGE / 4; i++)
			words[i] = (uint32_t)((at + 4 * i) * 2654435761u);
		assert_int_equal(pwrite(fd, words, PAGE, (off_t)at), PAGE);
	}
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void same(struct causeway_file *f, int fd, size_t size, off_t offset)
{
	char *ours = malloc(size), *theirs = malloc(size);
	ssize_t n = causeway_pread(f, ours, size, offset);

	assert_good(n);
	assert_int_equal(n, pread(fd, theirs, size, offset));
	assert_memory_equal(ours, theirs, (size_t)n);
	free(ours);
	free(theirs);
}

/* Both sides at once, and nothing is asked. */
static void test_both_sides(void **state)
{
	struct causeway_file *f;
	char buf[16] = "";
	int fd;

	begin(state, "always", "64M", "3600");
	assert_int_equal(property("dax-window"), 64 * MIB);
	fd = make("f", 3 * MIB + 100);
	f = must_open("f", O_RDWR);
	same(f, fd, 3 * MIB + 200, 0);
	assert_true(property("dax-ranges") > 0);
	assert_int_equal(COST(same(f, fd, MIB, 12345)), 0);
	assert_int_equal(pwrite(fd, "of the host", 11, 2 * MIB - 5), 11);
	assert_int_equal(COST(assert_int_equal(causeway_pread(f, buf, 11, 2 * MIB - 5), 11)), 0);
	assert_string_equal(buf, "of the host");
	assert_int_equal(causeway_pwrite(f, "first", 5, 0), 5);
	assert_int_equal(COST(causeway_pwrite(f, "of the guest", 12, PAGE - 6)), 0);
	assert_int_equal(pread(fd, buf, 12, PAGE - 6), 12);
	assert_string_equal(buf, "of the guest");
	same(f, fd, 3 * MIB + 200, 0);
	assert_good(causeway_fsync(f, 0));
	assert_good(causeway_close(f));
	close(fd);
	tear_down(state);
}

/* Under leases: what the host opens it sees, and what it writes is seen when the file is opened. */
static void test_leases(void **state)
{
	struct causeway_file *f;
	int fd;

	begin(state, "auto", "64M", "0");
	close(make("f", 2 * MIB));
	close(make("partial", 2 * MIB + 1));
	f = must_open("partial", O_RDWR);
	for (int i = 0; i < 4; i++) {
		char byte;

		assert_int_equal(causeway_pread(f, &byte, 1, i), 1);
	}
	assert_int_equal(property("dax-ranges"), 0);
	assert_good(causeway_close(f));

	f = must_open("f", O_RDWR);
	for (int i = 0; i < 4; i++) {
		uint32_t word;

		assert_int_equal(causeway_pread(f, &word, 4, i * PAGE), 4);
		assert_int_equal(word, (uint32_t)i * PAGE * 2654435761u);
	}
	assert_int_equal(property("dax-ranges"), 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(causeway_pwrite(f, "guest", 5, i * 10000), 5);
	/* This breaks the lease, and what is mapped becomes a copy. */
	fd = open("f", O_RDWR);
	assert_true(fd >= 0);
	same(f, fd, 2 * MIB, 0);
	assert_int_equal(causeway_pwrite(f, "copied", 6, 20000), 6);
	assert_good(causeway_fsync(f, 0));
	same(f, fd, 2 * MIB, 0);
	assert_good(causeway_close(f));
	assert_int_equal(pwrite(fd, "host", 4, 40000), 4);
	f = must_open("f", O_RDONLY);
	same(f, fd, 2 * MIB, 0);
	assert_good(causeway_close(f));
	close(fd);
	tear_down(state);
}

/* Operations of both sides in turn, on one file, at places and sizes around pages and ranges. */
static void test_model(void **state)
{
	struct causeway_file *f;
	char data[9000];
	uint32_t seed = 20;
	int fd;

	begin(state, "always", "4M", "0");
	fd = make("f", MIB);
	f = must_open("f", O_RDWR);
	for (unsigned int i = 0; i < 3000; i++) {
		uint32_t what = unit_random(&seed) % 16;
		struct stat st;
		off_t at = unit_random(&seed) % 300 * 2048 * (unit_random(&seed) % 5);
		size_t len = 1 + unit_random(&seed) % sizeof(data);

		assert_int_equal(fstat(fd, &st), 0);
		at = at > st.st_size ? st.st_size : at;
		memset(data, (int)i, len);
		if (what < 6)
			assert_int_equal(causeway_pwrite(f, data, len, at), len);
		else if (what < 8)
			assert_int_equal(pwrite(fd, data, len, at), len);
		else if (what == 8)
			assert_good(causeway_ftruncate(f, at + (off_t)len));
		else if (what == 9)
			assert_int_equal(ftruncate(fd, at + (off_t)len), 0);
		else if (what == 10)
			assert_good(causeway_fallocate(f,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)len));
		same(f, fd, 3 * len, at > PAGE ? at - PAGE : 0);
		if (i % 100 == 0)
			same(f, fd, 5 * MIB, 0);
	}
	assert_good(causeway_close(f));
	close(fd);
	tear_down(state);
}

static void test_pointers(void **state)
{
	struct causeway_file *f;
	void *at;
	char *p, byte;
	int fd;

	begin(state, "always", "64M", "3600");
	fd = make("f", 5 * MIB + 1);
	f = must_open("f", O_RDWR);
	assert_int_equal(causeway_map(f, 5 * MIB + 1, PROT_READ, 0, &at), -ENXIO);
	assert_good(causeway_map(f, 5 * MIB, PROT_READ | PROT_WRITE, 0, &at));
	p = at;
	for (unsigned int i = 0; i < 5 * MIB; i += PAGE)
		assert_int_equal(*(uint32_t *)(void *)(p + i), i * 2654435761u);
	p[3 * MIB] = '!';
	assert_int_equal(pread(fd, &byte, 1, 3 * MIB), 1);
	assert_int_equal(byte, '!');
	assert_int_equal(pwrite(fd, "?", 1, 4 * MIB), 1);
	assert_int_equal(p[4 * MIB], '?');
	same(f, fd, 6 * MIB, 0);
	assert_good(causeway_fsync(f, 0));
	assert_good(causeway_unmap(peer->c, at, 5 * MIB));
	assert_good(causeway_close(f));
	close(fd);
	tear_down(state);
}

#define THREADS 3

static void *works(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	uint32_t seed = 1 + (uint32_t)me, want[64], got[64];

	for (unsigned int i = 0; i < 300; i++) {
		char name[2] = {(char)('a' + (int)(unit_random(&seed) % 3)), '\0'};
		off_t at = unit_random(&seed) % 1000 * PAGE + (off_t)me * 1024;
		struct causeway_file *f;

		must(causeway_open(peer->c, NULL, name, O_RDWR, 0, &f) == 0);
		for (unsigned int j = 0; j < 6; j++) {
			for (unsigned int k = 0; k < 64; k++)
				want[k] = unit_random(&seed);
			must(causeway_pwrite(f, want, sizeof(want), at) == sizeof(want));
			must(causeway_pread(f, got, sizeof(got), at) == sizeof(got));
			must(memcmp(want, got, sizeof(got)) == 0);
		}
		must(causeway_close(f) == 0);
	}
	return NULL;
}

/* Three files in a window that has not room for one, from several threads. */
static void test_small_window(void **state)
{
	pthread_t threads[THREADS];

	begin(state, "always", "2M", "3600");
	for (char name[2] = "a"; name[0] <= 'c'; name[0]++)
		close(make(name, 4 * MIB));
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, works, (void *)i), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(property("dax-ranges") > 0);
	tear_down(state);
}

/* A file that is written to, and is not kept open, goes from the disk when it is removed. */
static void test_removed(void **state)
{
	struct causeway_file *f;
	int fd;

	begin(state, "always", "64M", "3600");
	fd = make("f", 2 * MIB);
	f = must_open("f", O_RDWR);
	same(f, fd, 2 * MIB, 0);
	close(fd);
	assert_int_equal(property("dax-ranges"), 1);
	assert_good(causeway_unlink(peer->c, NULL, "f", 0));
	assert_int_equal(property("dax-ranges"), 1);
	assert_good(causeway_close(f));
	assert_int_equal(property("dax-ranges"), 0);
	tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides),
		cmocka_unit_test(test_leases),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_small_window),
		cmocka_unit_test(test_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
