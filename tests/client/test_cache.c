// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * What the client keeps in each mode: how many requests something takes, whose changes are seen
 * when, and that it never shows what is not so.
 */
#include "world.h"

#include <errno.h>
#include <sys/resource.h>

#define KIB   1024
#define LARGE (1024 * KIB)

/* A case is run with a server and these options; timeouts are causewayd's. */
static void begin_with(void **state, enum peer_kind kind, const char *mode, const char *timeout,
	const char *more, const char *value)
{
	char attr[40], entry[40];
	const char *const options[] = {"cache", mode, "daemon-option", attr, "daemon-option", entry,
		more, value, NULL};

	snprintf(attr, sizeof(attr), "--attr-timeout=%s", timeout);
	snprintf(entry, sizeof(entry), "--entry-timeout=%s", timeout);
	*state = (void *)(intptr_t)kind;
	assert_int_equal(world_enter(state, options), 0);
}

static void begin(void **state, const char *mode, const char *timeout, const char *more,
	const char *value)
{
	begin_with(state, PEER_CAUSEWAYD, mode, timeout, more, value);
}

static uint64_t requests(void)
{
	uint64_t n;

	assert_int_equal(causeway_get(peer->c, "requests", &n), 0);
	return n;
}

/* How many requests something takes. */
#define COST(what)                                                                                 \
	({                                                                                         \
		uint64_t cost_before_ = requests();                                                \
		what;                                                                              \
		requests() - cost_before_;                                                         \
	})

static int stat_of(const char *path)
{
	struct stat st;

	return causeway_stat(peer->c, NULL, path, &st, AT_SYMLINK_NOFOLLOW);
}

static nlink_t links_of(struct causeway_file *f)
{
	struct stat st;

	assert_int_equal(causeway_fstat(f, &st), 0);
	return st.st_nlink;
}

static void test_names(void **state)
{
	begin(state, "auto", "3600", NULL, NULL);
	assert_int_equal(mkdir("d", 0755), 0);
	put("d/f", "text");
	assert_int_equal(stat_of("d/f"), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/f"), 0)), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/none"), -ENOENT)), 1);
	assert_int_equal(COST(assert_int_equal(stat_of("d/none"), -ENOENT)), 0);
	/* What we do ourselves is seen at once. */
	assert_int_equal(causeway_mkdir(peer->c, NULL, "d/none", 0755), 0);
	assert_int_equal(stat_of("d/none"), 0);
	assert_int_equal(causeway_unlink(peer->c, NULL, "d/none", AT_REMOVEDIR), 0);
	assert_int_equal(stat_of("d/none"), -ENOENT);
	assert_int_equal(causeway_rename(peer->c, NULL, "d/f", NULL, "d/g", 0), 0);
	assert_int_equal(stat_of("d/f"), -ENOENT);
	assert_int_equal(stat_of("d/g"), 0);
	/* What the host does is not, for so long. */
	put("d/host", "");
	assert_int_equal(stat_of("d/host"), 0);
	assert_int_equal(unlink("d/host"), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("d/host"), 0)), 0);
	/* But a name that the host has made is not made again, and then known. */
	assert_int_equal(stat_of("d/made"), -ENOENT);
	put("d/made", "");
	assert_int_equal(open_result("d/made", O_CREAT | O_EXCL | O_RDWR), -EEXIST);
	assert_int_equal(open_result("d/made", O_CREAT | O_RDWR), 0);
	tear_down(state);

	begin(state, "auto", "0", NULL, NULL);
	put("f", "");
	assert_int_equal(stat_of("f"), 0);
	assert_int_equal(unlink("f"), 0);
	assert_int_equal(stat_of("f"), -ENOENT);
	tear_down(state);

	begin(state, "none", "3600", NULL, NULL);
	put("f", "");
	assert_int_equal(stat_of("f"), 0);
	assert_true(COST(assert_int_equal(stat_of("f"), 0)) > 0);
	assert_int_equal(unlink("f"), 0);
	assert_int_equal(stat_of("f"), -ENOENT);
	tear_down(state);

	begin(state, "always", "0", NULL, NULL);
	put("f", "");
	assert_int_equal(stat_of("f"), 0);
	assert_int_equal(stat_of("g"), -ENOENT);
	assert_int_equal(rename("f", "g"), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("f"), 0)), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("g"), -ENOENT)), 0);
	tear_down(state);
}

/* Counts of links, and times, of what a change of names is about. */
static void test_links(void **state)
{
	struct causeway_file *f;

	begin(state, "always", "0", NULL, NULL);
	put("f", "1");
	put("g", "2");
	assert_int_equal(link("f", "h"), 0);
	f = must_open("f", O_RDONLY);
	assert_int_equal(links_of(f), 2);
	assert_int_equal(causeway_unlink(peer->c, NULL, "h", 0), 0);
	assert_int_equal(links_of(f), 1);
	assert_int_equal(causeway_link(peer->c, NULL, "f", NULL, "h"), 0);
	assert_int_equal(links_of(f), 2);
	assert_int_equal(causeway_rename(peer->c, NULL, "g", NULL, "h", 0), 0);
	assert_int_equal(links_of(f), 1);
	causeway_close(f);
	tear_down(state);
}

static void test_bounded_names(void **state)
{
	char name[16];

	begin(state, "always", "0", "cache-entries", "10");
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		put(name, "");
		assert_int_equal(stat_of(name), 0);
	}
	assert_int_equal(COST(assert_int_equal(stat_of("f49"), 0)), 0);
	assert_int_equal(COST(assert_int_equal(stat_of("f40"), 0)), 0);
	assert_true(COST(assert_int_equal(stat_of("f0"), 0)) > 0);
	tear_down(state);
}

static void test_symlinks(void **state)
{
	char target[64];

	begin(state, "always", "0", NULL, NULL);
	assert_int_equal(symlink("target", "l"), 0);
	assert_int_equal(causeway_readlink(peer->c, NULL, "l", target, sizeof(target)), 6);
	assert_int_equal(COST(assert_int_equal(
		causeway_readlink(peer->c, NULL, "l", target, sizeof(target)), 6)), 0);
	assert_memory_equal(target, "target", 6);
	assert_int_equal(causeway_unlink(peer->c, NULL, "l", 0), 0);
	assert_int_equal(causeway_symlink(peer->c, "other", NULL, "l"), 0);
	assert_int_equal(causeway_readlink(peer->c, NULL, "l", target, sizeof(target)), 5);
	tear_down(state);
}

static void test_listings(void **state)
{
	struct causeway_dirent e;
	struct causeway_file *d;
	struct stat st;
	char name[64];
	int plus = 0;

	begin(state, "always", "0", NULL, NULL);
	assert_int_equal(mkdir("d", 0755), 0);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "d/a-name-that-is-long-enough-for-pieces-%d", i);
		put(name, "");
	}
	d = must_open("d", O_RDONLY);
	assert_int_equal(peer_list(d), 2002);
	assert_int_equal(COST(assert_int_equal(peer_list(d), 2002)), 0);
	put("d/by-the-host", "");
	assert_int_equal(COST(assert_int_equal(peer_list(d), 2002)), 0);
	assert_int_equal(causeway_mkdir(peer->c, d, "ours", 0755), 0);
	assert_int_equal(peer_list(d), 2004);
	assert_int_equal(COST(assert_int_equal(peer_list(d), 2004)), 0);
	/* With attributes from the names and what is known of them. */
	causeway_seekdir(d, 0);
	while (causeway_readdirplus(d, &e, &st) == 1)
		plus += e.name[0] != '.' ? (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) : 1;
	assert_int_equal(plus, 2004);
	causeway_close(d);
	tear_down(state);

	/* Attributes that are asked for tell that the host has changed it. */
	begin(state, "auto", "0", NULL, NULL);
	assert_int_equal(mkdir("d", 0755), 0);
	put("d/one", "");
	d = must_open("d", O_RDONLY);
	assert_int_equal(peer_list(d), 3);
	/* One GETATTR a piece, the end's among them, and no READDIR. */
	assert_int_equal(COST(assert_int_equal(peer_list(d), 3)), 2);
	put("d/two", "");
	assert_int_equal(peer_list(d), 4);
	causeway_close(d);
	tear_down(state);
}

static void fill_with(char *bytes, size_t len, unsigned int seed)
{
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)unit_random(&state);
}

static void put_bytes(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* Reads all of a file in pieces and compares. */
static void expect_bytes(struct causeway_file *f, const char *bytes, size_t len, size_t piece)
{
	char *back = malloc(piece);

	assert_non_null(back);
	for (size_t at = 0; at < len; at += piece) {
		size_t want = min_t(size_t, piece, len - at);

		assert_int_equal(causeway_pread(f, back, piece, (off_t)at), want);
		assert_memory_equal(back, bytes + at, want);
	}
	assert_int_equal(causeway_pread(f, back, piece, (off_t)len), 0);
	free(back);
}

static void test_data(void **state)
{
	char *bytes = malloc(LARGE), *other = malloc(LARGE);
	struct causeway_file *f;

	fill_with(bytes, LARGE, 1);
	fill_with(other, LARGE, 2);
	begin(state, "auto", "3600", NULL, NULL);
	put_bytes("f", bytes, LARGE - 100);
	f = must_open("f", O_RDWR);
	/* Read ahead: 4 KiB at a time are few requests. */
	assert_in_range(COST(expect_bytes(f, bytes, LARGE - 100, 4 * KIB)), 1, 16);
	assert_int_equal(COST(expect_bytes(f, bytes, LARGE - 100, 4 * KIB)), 0);
	assert_int_equal(COST(expect_bytes(f, bytes, LARGE - 100, 1000)), 0);
	/* What we write is what we read, the rest stays. */
	memcpy(bytes + 100000, "ours", 4);
	assert_int_equal(causeway_pwrite(f, "ours", 4, 100000), 4);
	expect_bytes(f, bytes, LARGE - 100, 64 * KIB);
	/* Beyond the end, which moves. */
	memset(bytes + LARGE - 100, 0, 50);
	memcpy(bytes + LARGE - 50, "tail", 4);
	assert_int_equal(causeway_pwrite(f, "tail", 4, LARGE - 50), 4);
	expect_bytes(f, bytes, LARGE - 46, 8 * KIB);
	assert_int_equal(causeway_ftruncate(f, 5000), 0);
	expect_bytes(f, bytes, 5000, KIB);
	assert_int_equal(causeway_ftruncate(f, 6000), 0);
	memset(bytes + 5000, 0, 1000);
	expect_bytes(f, bytes, 6000, KIB);
	/* Another program's change is seen by the next open, whatever the attributes are. */
	put_bytes("f", other, 6000);
	causeway_close(f);
	f = must_open("f", O_RDONLY);
	expect_bytes(f, other, 6000, KIB);
	causeway_close(f);
	tear_down(state);

	/* Without timeouts it is seen at once. */
	begin(state, "auto", "0", NULL, NULL);
	put_bytes("f", bytes, 6000);
	f = must_open("f", O_RDONLY);
	expect_bytes(f, bytes, 6000, KIB);
	put_bytes("f", other, 6000);
	expect_bytes(f, other, 6000, KIB);
	causeway_close(f);
	tear_down(state);

	free(bytes);
	free(other);
}

static void test_data_for_ever(void **state)
{
	char *bytes = malloc(6000), *other = malloc(6000);
	struct causeway_file *f;

	fill_with(bytes, 6000, 1);
	fill_with(other, 6000, 2);
	begin(state, "always", "0", NULL, NULL);
	put_bytes("f", bytes, 6000);
	f = must_open("f", O_RDONLY);
	expect_bytes(f, bytes, 6000, KIB);
	put_bytes("f", other, 6000);
	causeway_close(f);
	f = must_open("f", O_RDONLY);
	assert_int_equal(COST(expect_bytes(f, bytes, 6000, KIB)), 0);
	causeway_close(f);
	/* Who wants to know for sure goes past it, or has it forgotten. */
	f = must_open("f", O_RDONLY | O_DIRECT);
	expect_bytes(f, other, 6000, 6000);
	causeway_close(f);
	causeway_drop_caches(peer->c);
	f = must_open("f", O_RDONLY);
	expect_bytes(f, other, 6000, KIB);
	causeway_close(f);
	tear_down(state);

	begin(state, "none", "3600", NULL, NULL);
	put_bytes("f", bytes, 6000);
	f = must_open("f", O_RDONLY);
	assert_int_equal(COST(expect_bytes(f, bytes, 6000, 6000)), 2);
	assert_int_equal(COST(expect_bytes(f, bytes, 6000, 6000)), 2);
	causeway_close(f);
	tear_down(state);
	free(bytes);
	free(other);
}

static void test_bounded_data(void **state)
{
	char *bytes = malloc(LARGE);
	struct causeway_file *f;

	fill_with(bytes, LARGE, 3);
	begin(state, "always", "0", "cache-memory", "262144");
	put_bytes("f", bytes, LARGE);
	f = must_open("f", O_RDONLY);
	expect_bytes(f, bytes, LARGE, 16 * KIB);
	assert_true(COST(expect_bytes(f, bytes, LARGE, 16 * KIB)) >= 6);
	/* The last four pages are there. */
	expect_bytes(f, bytes, LARGE, LARGE);
	causeway_close(f);
	tear_down(state);
	free(bytes);
}

static void test_writeback(void **state)
{
	struct causeway_file *f, *g;
	struct stat st;
	char text[16];

	begin(state, "auto", "3600", "writeback", "1");
	f = must_open("f", O_RDWR | O_CREAT);
	g = must_open("f", O_RDWR);
	assert_int_equal(COST(for (int i = 0; i < 1000; i++)
		assert_int_equal(causeway_pwrite(f, "0123456789", 10, 10 * i), 10)), 0);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_size, 0);
	/* Whoever could see that it waits has it sent. */
	assert_int_equal(causeway_fstat(g, &st), 0);
	assert_int_equal(st.st_size, 10000);
	assert_int_equal(causeway_pwrite(f, "end", 3, 10000), 3);
	assert_int_equal(causeway_pread(g, text, 16, 9995), 8);
	assert_memory_equal(text, "56789end", 8);
	assert_int_equal(causeway_pwrite(f, "a", 1, 0), 1);
	assert_int_equal(causeway_pwrite(g, "b", 1, 0), 1);
	assert_int_equal(causeway_fsync(g, 0), 0);
	assert_int_equal(causeway_pwrite(f, "c", 1, 1), 1);
	assert_int_equal(causeway_syncfs(peer->c), 0);
	assert_int_equal(causeway_pwrite(f, "d", 1, 2), 1);
	assert_int_equal(causeway_close(f), 0);
	causeway_close(g);
	f = must_open("f", O_WRONLY | O_APPEND);
	assert_int_equal(COST(assert_int_equal(causeway_write(f, "x", 1), 1)), 2);
	causeway_close(f);
	{
		char head[4];
		int fd = open("f", O_RDONLY);

		assert_int_equal(read(fd, head, 4), 4);
		assert_memory_equal(head, "bcd3", 4);
		assert_int_equal(lseek(fd, 0, SEEK_END), 10004);
		close(fd);
	}
	tear_down(state);
}

/* An error is met when what waited is sent, and told then. */
static void test_late_errors(void **state)
{
	static char bytes[256 * KIB];
	struct causeway_file *f;
	static const char *const options[] = {"writeback", "1", "daemon-option", "--sandbox=none",
		NULL};
	const struct rlimit limit = {128 * KIB, 128 * KIB};
	uint64_t pid;

	*state = (void *)(intptr_t)PEER_CAUSEWAYD;
	assert_int_equal(world_enter(state, options), 0);
	assert_int_equal(causeway_get(peer->c, "daemon-pid", &pid), 0);
	assert_int_equal(prlimit((pid_t)pid, RLIMIT_FSIZE, &limit, NULL), 0);
	f = must_open("f", O_RDWR | O_CREAT);
	for (size_t i = 0; i < sizeof(bytes); i += 4 * KIB)
		assert_int_equal(causeway_pwrite(f, bytes + i, 4 * KIB, (off_t)i), 4 * KIB);
	assert_int_equal(causeway_fsync(f, 0), -EFBIG);
	assert_int_equal(causeway_fsync(f, 0), 0);
	for (size_t i = 0; i < sizeof(bytes); i += 4 * KIB)
		causeway_pwrite(f, bytes + i, 4 * KIB, (off_t)i);
	assert_int_equal(causeway_close(f), -EFBIG);
	tear_down(state);
}

/* ---- whatever is done, a file says what a local one says ------------------------------------- */

#define MODEL_SIZE (300 * KIB)

struct model {
	struct causeway_file *f[2];
	int fd;
	uint32_t random;
	char *ours, *theirs;
};

static void compare_reads(struct model *m, off_t at, size_t len)
{
	ssize_t n = causeway_pread(m->f[unit_random(&m->random) % 2], m->ours, len, at);

	assert_int_equal(n, pread(m->fd, m->theirs, len, at));
	assert_memory_equal(m->ours, m->theirs, (size_t)n);
}

static void compare_writes(struct model *m, off_t at, size_t len)
{
	fill_with(m->ours, len, unit_random(&m->random));
	assert_int_equal(causeway_pwrite(m->f[unit_random(&m->random) % 2], m->ours, len, at),
		len);
	assert_int_equal(pwrite(m->fd, m->ours, len, at), len);
}

static void reopen(struct model *m)
{
	unsigned int which = unit_random(&m->random) % 2;

	assert_int_equal(causeway_close(m->f[which]), 0);
	m->f[which] = must_open("f", O_RDWR);
}

static void step(struct model *m)
{
	uint32_t r = unit_random(&m->random);
	off_t at = (off_t)(unit_random(&m->random) % MODEL_SIZE);
	size_t len = 1 + unit_random(&m->random) % (r % 16 == 0 ? 150 * KIB : 5000);
	struct stat st, theirs;

	switch (r % 20) {
	case 0:
		assert_int_equal(causeway_ftruncate(m->f[r / 32 % 2], at), 0);
		assert_int_equal(ftruncate(m->fd, at), 0);
		break;
	case 1:
		assert_int_equal(causeway_fstat(m->f[r / 32 % 2], &st), 0);
		assert_int_equal(fstat(m->fd, &theirs), 0);
		assert_int_equal(st.st_size, theirs.st_size);
		break;
	case 2:
		reopen(m);
		break;
	case 3:
		assert_int_equal(causeway_fallocate(m->f[0], FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, at, (off_t)len), 0);
		assert_int_equal(fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			(off_t)len), 0);
		break;
	case 4:
		assert_int_equal(causeway_lseek(m->f[0], 0, SEEK_END), lseek(m->fd, 0, SEEK_END));
		break;
	case 5:
		/* One after another, as programs write. */
		for (int i = 0; i < 20; i++)
			compare_writes(m, at + 100 * i, 100);
		break;
	default:
		if (r % 20 < 12)
			compare_reads(m, at, len);
		else
			compare_writes(m, at, len);
	}
}

static void random_steps(void **state, enum peer_kind kind, const char *mode,
	const char *timeout, const char *writeback, uint32_t seed)
{
	struct model m = {.random = seed, .ours = malloc(LARGE), .theirs = malloc(LARGE)};
	char path[] = "/tmp/model-XXXXXX";
	int fd;

	begin_with(state, kind, mode, timeout, "writeback", writeback);
	m.fd = mkstemp(path);
	assert_true(m.fd >= 0);
	unlink(path);
	m.f[0] = must_open("f", O_RDWR | O_CREAT);
	m.f[1] = must_open("f", O_RDWR);
	for (int i = 0; i < 800; i++)
		step(&m);
	assert_int_equal(causeway_close(m.f[0]) | causeway_close(m.f[1]), 0);
	/* On the host too. */
	fd = open("f", O_RDONLY);
	assert_int_equal(pread(fd, m.ours, LARGE, 0), pread(m.fd, m.theirs, LARGE, 0));
	assert_memory_equal(m.ours, m.theirs, (size_t)lseek(fd, 0, SEEK_END));
	close(fd);
	close(m.fd);
	free(m.ours);
	free(m.theirs);
	tear_down(state);
}

static void test_random(void **state)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		if (!peer_exists(kind))
			continue;
		random_steps(state, kind, "none", "1", "0", 1);
		random_steps(state, kind, "auto", "3600", "0", 2);
		random_steps(state, kind, "auto", "0", "1", 3);
		random_steps(state, kind, "always", "0", "0", 4);
		random_steps(state, kind, "always", "0", "1", 5);
	}
}

static void test_options(void **state)
{
	struct causeway *c = causeway_new();

	assert_int_equal(causeway_set(c, "cache", "some"), -EINVAL);
	assert_non_null(strstr(causeway_error(c), "none, auto, always or shared"));
	assert_int_equal(causeway_set(c, "cache-memory", "1000"), -ERANGE);
	assert_int_equal(causeway_set(c, "cache-entries", "0"), -ERANGE);
	assert_int_equal(causeway_set(c, "writeback", "yes"), -EINVAL);
	causeway_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_bounded_names),
		cmocka_unit_test(test_symlinks),
		cmocka_unit_test(test_listings),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_data_for_ever),
		cmocka_unit_test(test_bounded_data),
		cmocka_unit_test(test_writeback),
		cmocka_unit_test(test_late_errors),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
