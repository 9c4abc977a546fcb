// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * Files in the window of a client, with a back-end that maps, refuses, lies or sends nonsense; the
 * files are memory that the test shares with it, which is the host's side.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "causeway.h"
#include "client/file.h"
#include "forged_window.h"
#include "forger.h"

#define KIB   1024u
#define MIB   (1024u * KIB)
#define PAGE  4096u
#define FILES 4
#define NODE  100 /* of the first file; its handle is the same number */
#define LATER 3600

enum fault { HONEST, REFUSES, LIES, FULL, UNKNOWN, ALIGNED, NONSENSE };

static struct forger *forger;
static struct causeway *c;
static int files[FILES];
static uint64_t window_size;

static uint32_t calls(uint32_t opcode)
{
	return atomic_load(&forger->requests[opcode]);
}

static uint64_t requests(void)
{
	uint64_t n;

	assert_int_equal(causeway_get(c, "requests", &n), 0);
	return n;
}

#define COST(what)                                                                                 \
	({                                                                                         \
		uint64_t cost_before_ = requests();                                                \
		what;                                                                              \
		requests() - cost_before_;                                                         \
	})

static struct fuse_attr attr_of(uint64_t node)
{
	struct stat st;

	must(fstat(files[node - NODE], &st) == 0);
	return (struct fuse_attr){.ino = node, .mode = S_IFREG | 0644, .nlink = 1,
		.size = (uint64_t)st.st_size, .mtime = (uint64_t)st.st_mtim.tv_sec,
		.mtimensec = (uint32_t)st.st_mtim.tv_nsec};
}

static void forge_attr(struct forged *f, uint64_t node)
{
	const struct fuse_attr_out out = {.attr_valid = LATER, .attr = attr_of(node)};

	forge_reply(f, &out, sizeof(out));
}

static void forge_entry(struct forged *f)
{
	unsigned int i = (unsigned int)(f->args[0] - 'a');
	struct fuse_entry_out out = {.entry_valid = LATER, .attr_valid = LATER};

	if (f->args[1] != '\0' || i >= FILES) {
		forge_error(f, ENOENT);
		return;
	}
	out.nodeid = NODE + i;
	out.attr = attr_of(out.nodeid);
	forge_reply(f, &out, sizeof(out));
}

static void forge_init(struct forger *forged, struct forged *f)
{
	struct fuse_init_out out = {.major = 7, .minor = 45, .max_write = 65536, .max_pages = 16,
		.flags = FUSE_MAX_PAGES | (window_size ? FUSE_MAP_ALIGNMENT : 0),
		.map_alignment = atomic_load(&forged->fault) == ALIGNED ? 30 : 12};

	forge_reply(f, &out, sizeof(out));
}

static void forge_read(struct forged *f, int fd)
{
	const struct fuse_read_in *in = (const void *)f->args;
	char data[FORGER_ROOM];
	ssize_t n = pread(fd, data, in->size, (off_t)in->offset);

	must(n >= 0);
	forge_reply(f, data, (size_t)n);
}

static void forge_write(struct forged *f, int fd)
{
	const struct fuse_write_in *in = (const void *)f->args;
	const struct fuse_write_out out = {.size = in->size};

	must(sizeof(*in) + in->size <= f->args_len);
	must(pwrite(fd, f->args + sizeof(*in), in->size, (off_t)in->offset) == (ssize_t)in->size);
	forge_reply(f, &out, sizeof(out));
}

static void forge_map(struct forger *forged, struct forged *f, int fd)
{
	const struct fuse_setupmapping_in *in = (const void *)f->args;
	struct vu_msg nonsense = {.head = {.request = VU_BACKEND_SHMEM_MAP, .flags = VU_VERSION}};

	switch (atomic_load(&forged->fault)) {
	case REFUSES:
		forge_error(f, EIO);
		return;
	case FULL:
		forge_error(f, ENOSPC);
		return;
	case UNKNOWN:
		forge_error(f, ENOSYS);
		return;
	case LIES:
		return;
	case NONSENSE:
		forged_window_send(&nonsense);
		return;
	default:
		if (forged_window_change(in->moffset, in->len, fd, in->foffset,
			    in->flags & FUSE_SETUPMAPPING_FLAG_WRITE) != 0)
			forge_error(f, EIO);
	}
}

static void forge_unmap(struct forger *forged, struct forged *f)
{
	const struct fuse_removemapping_in *in = (const void *)f->args;
	struct fuse_removemapping_one one;

	/* A request that is given up may change while it is read. */
	if (atomic_load(&forged->fault) == NONSENSE)
		return;
	must(sizeof(*in) + in->count * sizeof(one) == f->args_len);
	for (uint32_t i = 0; i < in->count; i++) {
		/* They are not aligned there. */
		memcpy(&one, f->args + sizeof(*in) + i * sizeof(one), sizeof(one));
		must(forged_window_change(one.moffset, one.len, -1, 0, false) == 0);
	}
}

static void forge_setattr(struct forged *f)
{
	const struct fuse_setattr_in *in = (const void *)f->args;
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
	int fd = files[f->in.nodeid - NODE];

	if (in->valid & FATTR_SIZE)
		must(ftruncate(fd, (off_t)in->size) == 0);
	if (in->valid & FATTR_MTIME_NOW)
		must(futimens(fd, now) == 0);
	forge_attr(f, f->in.nodeid);
}

static void forge(struct forger *forged, struct forged *f)
{
	int fd = f->in.nodeid >= NODE && f->in.nodeid < NODE + FILES ?
		files[f->in.nodeid - NODE] : -1;
	const struct fuse_open_out opened = {.open_flags = FOPEN_KEEP_CACHE};

	switch (f->in.opcode) {
	case FUSE_INIT:
		forge_init(forged, f);
		break;
	case FUSE_LOOKUP:
		forge_entry(f);
		break;
	case FUSE_GETATTR:
		forge_attr(f, f->in.nodeid);
		break;
	case FUSE_SETATTR:
		forge_setattr(f);
		break;
	case FUSE_OPEN:
		forge_reply(f, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		forge_read(f, fd);
		break;
	case FUSE_WRITE:
		forge_write(f, fd);
		break;
	case FUSE_SETUPMAPPING:
		forge_map(forged, f, fd);
		break;
	case FUSE_REMOVEMAPPING:
		forge_unmap(forged, f);
		break;
	case FUSE_FSYNC:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		break;
	default:
		must(forge_default(f));
	}
}

static int between(struct forger *forged, int sock)
{
	return forged_window_start(sock, window_size);
}

/* What a file has at an offset, which no other has there. */
static uint32_t word_at(unsigned int file, uint64_t offset)
{
	return (uint32_t)(offset / 4 * 2654435761u) ^ (file + 1) * 0x01010101u;
}

static void fill(unsigned int file, uint64_t size)
{
	static uint32_t words[MIB / 4];

	files[file] = memfd_create("file", MFD_CLOEXEC);
	for (uint64_t at = 0; at < size; at += sizeof(words)) {
		for (unsigned int i = 0; i < MIB / 4; i++)
			words[i] = word_at(file, at + 4 * i);
		assert_int_equal(pwrite(files[file], words, sizeof(words), (off_t)at),
			sizeof(words));
	}
	assert_int_equal(ftruncate(files[file], (off_t)size), 0);
}

static void start(enum fault fault)
{
	forger = forger_new();
	forger->forge = forge;
	forger->between = window_size ? between : NULL;
	forger->fault = fault;
	c = causeway_new();
}

static void begin(uint64_t window, const char *dax, const char *cache, uint64_t size)
{
	int sock;

	window_size = window;
	for (unsigned int i = 0; i < FILES; i++)
		fill(i, size);
	start(HONEST);
	assert_int_equal(causeway_set(c, "dax", dax), 0);
	assert_int_equal(causeway_set(c, "cache", cache), 0);
	sock = forger_start(forger);
	if (causeway_connect_fd(c, sock) < 0)
		fail_msg("%s", causeway_error(c));
	close(sock);
}

static void end(void)
{
	causeway_free(c);
	forger_end(forger);
	for (unsigned int i = 0; i < FILES; i++)
		close(files[i]);
}

static struct causeway_file *must_open(const char *name, int flags)
{
	struct causeway_file *f;

	if (causeway_open(c, NULL, name, flags, 0, &f) < 0)
		fail_msg("%s: %s", name, causeway_error(c));
	return f;
}

static uint64_t mapped(void)
{
	uint64_t n;

	assert_int_equal(causeway_get(c, "dax-ranges", &n), 0);
	return n;
}

/* Reads and compares with what the host has. */
static void check_read(struct causeway_file *f, unsigned int file, size_t size, off_t offset)
{
	char *ours = malloc(size), *theirs = malloc(size);
	ssize_t n = causeway_pread(f, ours, size, offset);

	if (n < 0)
		fail_msg("%s", causeway_error(c));
	assert_int_equal(n, pread(files[file], theirs, size, offset));
	assert_memory_equal(ours, theirs, (size_t)n);
	free(ours);
	free(theirs);
}

/* The second use maps, and then nothing is asked; both sides see what the other does at once. */
static void test_maps(void **state)
{
	struct causeway_file *f;
	char buf[8];

	begin(64 * MIB, "auto", "auto", 4 * MIB);
	f = must_open("a", O_RDWR);
	check_read(f, 0, PAGE, 0);
	assert_int_equal(calls(FUSE_SETUPMAPPING), 0);
	check_read(f, 0, PAGE, 8 * PAGE);
	assert_int_equal(calls(FUSE_SETUPMAPPING), 1);
	assert_int_equal(COST(check_read(f, 0, MIB, 123456)), 0);
	assert_int_equal(pwrite(files[0], "host", 4, 77777), 4);
	assert_int_equal(COST(check_read(f, 0, PAGE, 77700)), 0);
	/* The first write is a request, as it takes capabilities off. */
	assert_int_equal(causeway_pwrite(f, "one", 3, 5), 3);
	assert_int_equal(COST(assert_int_equal(causeway_pwrite(f, "guest", 5, 99999), 5)), 0);
	assert_int_equal(pread(files[0], buf, 5, 99999), 5);
	assert_memory_equal(buf, "guest", 5);
	check_read(f, 0, 200000, 0);
	assert_int_equal(causeway_close(f), 0);
	end();
}

/* Every size around pages and ranges; all of it through the window but for the tail. */
static void test_sizes(void **state)
{
	static const uint64_t edges[] = {64 * KIB, 2 * MIB, 4 * MIB};

	begin(64 * MIB, "always", "auto", 5 * MIB);
	for (unsigned int i = 0; i < ARRAY_SIZE(edges); i++) {
		for (int64_t d = -(int64_t)PAGE; d <= PAGE; d += PAGE / 2 - 1) {
			uint64_t size = (uint64_t)((int64_t)edges[i] + d);
			struct causeway_file *f = must_open("a", O_RDWR);

			assert_int_equal(causeway_ftruncate(f, (off_t)size), 0);
			check_read(f, 0, 5 * MIB, 0);
			check_read(f, 0, 5 * MIB, (off_t)(size - 100));
			check_read(f, 0, 10, (off_t)(size - 1));
			check_read(f, 0, 10, (off_t)size);
			check_read(f, 0, 10, (off_t)(size / PAGE * PAGE - 5));
			assert_int_equal(causeway_pwrite(f, "0123456789", 10, (off_t)size - 3), 10);
			check_read(f, 0, 5 * MIB, 0);
			assert_int_equal(causeway_ftruncate(f, 5 * MIB), 0);
			check_read(f, 0, 5 * MIB, 0);
			assert_int_equal(causeway_close(f), 0);
		}
	}
	assert_true(calls(FUSE_SETUPMAPPING) > 0);
	end();
}

/* The host makes a file shorter that is mapped: requests say the rest. */
static void test_shorter(void **state)
{
	struct causeway_file *f;

	begin(64 * MIB, "always", "auto", 4 * MIB);
	f = must_open("a", O_RDWR);
	check_read(f, 0, 4 * MIB, 0);
	assert_int_equal(causeway_pwrite(f, "x", 1, 0), 1);
	assert_int_equal(causeway_pwrite(f, "x", 1, 0), 1);
	assert_int_equal(mapped(), 2);
	assert_int_equal(ftruncate(files[0], MIB), 0);
	check_read(f, 0, PAGE, 3 * MIB);
	check_read(f, 0, PAGE, MIB);
	check_read(f, 0, 2 * PAGE, MIB - PAGE);
	/* What the library wanted to store there is written. */
	assert_int_equal(ftruncate(files[0], 0), 0);
	assert_int_equal(causeway_pwrite(f, "again", 5, 3), 5);
	check_read(f, 0, 100, 0);
	assert_int_equal(causeway_close(f), 0);
	end();
}

/* One that says it has mapped, and has not; one that refuses: asked less and less. */
static void test_liars(void **state)
{
	static const enum fault faults[] = {LIES, REFUSES, FULL, UNKNOWN};
	static const uint32_t most[] = {40, 6, 400, 1};

	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
		struct causeway_file *f;

		begin(64 * MIB, "always", "none", MIB);
		atomic_store(&forger->fault, faults[i]);
		f = must_open("a", O_RDWR);
		for (unsigned int j = 0; j < 200; j++)
			check_read(f, 0, 10, j * 1000);
		assert_true(calls(FUSE_SETUPMAPPING) >= 1);
		assert_true(calls(FUSE_SETUPMAPPING) <= most[i]);
		assert_int_equal(causeway_close(f), 0);
		end();
	}
}

/* Nonsense on the channel ends the connection, and is the reason. */
static void test_nonsense(void **state)
{
	struct causeway_file *f;
	char byte;
	int r;

	begin(64 * MIB, "always", "none", MIB);
	f = must_open("a", O_RDWR);
	atomic_store(&forger->fault, NONSENSE);
	do {
		r = (int)causeway_pread(f, &byte, 1, 0);
	} while (r == 1);
	assert_int_equal(r, -ENOTCONN);
	assert_non_null(strstr(causeway_error(c), "request 9 on its channel is malformed"));
	causeway_close(f);
	end();
}

/* Without a window, and with one that has other alignments. */
static void test_none(void **state)
{
	struct causeway_file *f;
	void *at;
	int sock;

	begin(0, "auto", "auto", MIB);
	f = must_open("a", O_RDONLY);
	for (unsigned int i = 0; i < 10; i++)
		check_read(f, 0, PAGE, i * PAGE);
	assert_int_equal(causeway_map(f, PAGE, PROT_READ, 0, &at), -ENODEV);
	assert_null(at);
	assert_int_equal(calls(FUSE_SETUPMAPPING), 0);
	causeway_close(f);
	end();
	for (window_size = 0; window_size <= 64 * MIB; window_size += 64 * MIB) {
		start(ALIGNED);
		assert_int_equal(causeway_set(c, "dax", "always"), 0);
		sock = forger_start(forger);
		assert_int_equal(causeway_connect_fd(c, sock),
			window_size ? -EPROTO : -EOPNOTSUPP);
		assert_non_null(strstr(causeway_error(c),
			window_size ? "multiples of 2^30 bytes" : "causewayd has one"));
		close(sock);
		causeway_free(c);
		forger_end(forger);
	}
	c = causeway_new();
	assert_int_equal(causeway_set(c, "dax", "perhaps"), -EINVAL);
	causeway_free(c);
}

/* A file larger than the window: all of it is read right, what is used often gets its place, and
 * what is not leaves the window alone. */
static void test_larger(void **state)
{
	struct causeway_file *f;
	uint32_t seed = 7, setups;

	begin(2 * MIB, "auto", "none", 16 * MIB);
	f = must_open("a", O_RDONLY);
	assert_int_equal(mapped(), 0);
	causeway_close(f);
	end();

	begin(2 * MIB, "auto", "auto", 16 * MIB);
	f = must_open("a", O_RDONLY);
	for (unsigned int i = 0; i < 3000; i++)
		check_read(f, 0, PAGE, unit_random(&seed) % (4 * KIB) * PAGE);
	assert_int_equal(mapped(), 32);
	setups = calls(FUSE_SETUPMAPPING);
	/* 32 of the 256 ranges are there: others do not take their place for a use or two. */
	assert_true(setups < 200);
	for (off_t at = 0; at < 16 * MIB; at += 64 * KIB)
		check_read(f, 0, 64 * KIB, at);
	assert_true(calls(FUSE_SETUPMAPPING) - setups < 40);
	for (unsigned int i = 0; i < 2000; i++)
		check_read(f, 0, 100, 15 * MIB + unit_random(&seed) % (64 * KIB - 100));
	assert_int_equal(COST(check_read(f, 0, PAGE, 15 * MIB)), 0);
	causeway_close(f);
	end();
}

/* A range that was mapped to be read, and is then to be written. */
static void test_upgrade(void **state)
{
	struct causeway_file *r, *w;

	begin(64 * MIB, "auto", "auto", 2 * MIB);
	r = must_open("a", O_RDONLY);
	check_read(r, 0, PAGE, 0);
	check_read(r, 0, PAGE, 0);
	assert_int_equal(mapped(), 1);
	w = must_open("a", O_RDWR);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(causeway_pwrite(w, &i, sizeof(i), i * PAGE + 1), sizeof(i));
	assert_int_equal(calls(FUSE_SETUPMAPPING), 2);
	assert_int_equal(COST(causeway_pwrite(w, "!", 1, 0)), 0);
	check_read(r, 0, 2 * MIB, 0);
	causeway_close(w);
	causeway_close(r);
	end();
}

/* Pages that were kept before a range was mapped are not shown after it. */
static void test_no_stale(void **state)
{
	struct causeway_file *f, *other;

	begin(2 * MIB, "auto", "always", 4 * MIB);
	f = must_open("a", O_RDWR);
	other = must_open("b", O_RDONLY);
	check_read(f, 0, 64 * KIB, 0);
	check_read(f, 0, 64 * KIB, 0);
	assert_int_equal(mapped(), 1);
	/* Not in the page that is kept. */
	assert_int_equal(causeway_pwrite(f, "first", 5, 100000), 5);
	/* A store of the host too: it is the same memory. */
	assert_int_equal(COST(causeway_pwrite(f, "second", 6, 200)), 0);
	assert_int_equal(pwrite(files[0], "third", 5, 300), 5);
	check_read(f, 0, 64 * KIB, 0);
	/* The range is wanted for others. */
	for (unsigned int i = 0; i < 100; i++) {
		for (off_t at = 0; at < 2 * MIB; at += 64 * KIB)
			check_read(other, 1, 100, at);
	}
	assert_true(COST(check_read(f, 0, 64 * KIB, 0)) > 0);
	causeway_close(other);
	causeway_close(f);
	end();
}

/* What has no more handles and names leaves the window. */
static void test_leaves(void **state)
{
	struct causeway_file *f;

	begin(64 * MIB, "always", "none", 4 * MIB);
	f = must_open("a", O_RDONLY);
	check_read(f, 0, 4 * MIB, 0);
	assert_int_equal(mapped(), 2);
	causeway_close(f);
	assert_int_equal(mapped(), 0);
	assert_int_equal(calls(FUSE_REMOVEMAPPING), 1);
	end();
}

static struct timespec host_time(unsigned int file)
{
	struct stat st;

	assert_int_equal(fstat(files[file], &st), 0);
	return st.st_mtim;
}

/* A write in the window is one to who looks at the times. */
static void test_times(void **state)
{
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct causeway_file *f;
	struct stat st;

	begin(64 * MIB, "always", "auto", MIB);
	f = must_open("a", O_RDWR);
	assert_int_equal(causeway_pwrite(f, "x", 1, 0), 1);
	assert_int_equal(futimens(files[0], old), 0);
	assert_int_equal(causeway_pwrite(f, "y", 1, 0), 1);
	assert_int_equal(causeway_fstat(f, &st), 0);
	assert_true(st.st_mtim.tv_sec > 1000);
	assert_true(host_time(0).tv_sec > 1000);
	assert_int_equal(COST(causeway_fstat(f, &st)), 0);
	assert_int_equal(futimens(files[0], old), 0);
	assert_int_equal(causeway_pwrite(f, "z", 1, 0), 1);
	assert_int_equal(causeway_fsync(f, 0), 0);
	assert_true(host_time(0).tv_sec > 1000);
	assert_int_equal(futimens(files[0], old), 0);
	assert_int_equal(causeway_pwrite(f, "z", 1, 0), 1);
	assert_int_equal(causeway_close(f), 0);
	assert_true(host_time(0).tv_sec > 1000);
	end();
}

static void test_pointers(void **state)
{
	struct causeway_file *f, *g;
	char *p, *q;
	void *at;

	begin(8 * MIB, "auto", "auto", 4 * MIB);
	f = must_open("a", O_RDWR);
	g = must_open("b", O_RDONLY);
	assert_int_equal(causeway_map(f, 2 * MIB, PROT_READ | PROT_WRITE, MIB + PAGE, &at), 0);
	p = at;
	for (unsigned int i = 0; i < 2 * MIB; i += 4)
		assert_int_equal(*(uint32_t *)(void *)(p + i), word_at(0, MIB + PAGE + i));
	p[5] = '!';
	check_read(f, 0, 2 * MIB, MIB);
	assert_int_equal(COST(check_read(f, 0, PAGE, 2 * MIB)), 0);
	/* A part of it is where it is; and once more is once more to be given back. */
	assert_int_equal(COST(assert_int_equal(causeway_map(f, 100, PROT_READ, 2 * MIB, &at), 0)),
		0);
	q = at;
	assert_ptr_equal(q, p + MIB - PAGE);
	assert_int_equal(causeway_unmap(c, q, 99), -EINVAL);
	assert_int_equal(causeway_unmap(c, q, 100), 0);
	assert_int_equal(causeway_unmap(c, q, 100), -EINVAL);
	/* What cannot be. */
	assert_int_equal(causeway_map(f, 4 * MIB + 1, PROT_READ, 0, &at), -ENXIO);
	assert_int_equal(causeway_map(f, PAGE, PROT_READ, 4 * MIB, &at), -ENXIO);
	assert_int_equal(causeway_map(f, PAGE, PROT_READ, 1, &at), -EINVAL);
	assert_int_equal(causeway_map(f, 0, PROT_READ, 0, &at), -EINVAL);
	assert_int_equal(causeway_map(f, PAGE, PROT_WRITE, 0, &at), -EINVAL);
	assert_int_equal(causeway_map(f, PAGE, PROT_READ | PROT_EXEC, 0, &at), -EINVAL);
	assert_int_equal(causeway_map(f, PAGE, PROT_READ, -(off_t)PAGE, &at), -EINVAL);
	assert_int_equal(causeway_map(f, SIZE_MAX, PROT_READ, 0, &at), -EINVAL);
	assert_int_equal(causeway_map(g, PAGE, PROT_READ | PROT_WRITE, 0, &at), -EACCES);
	assert_null(at);
	/* What is pinned stays, whatever else is wanted. */
	for (unsigned int round = 0; round < 100; round++) {
		for (off_t o = 0; o < 4 * MIB; o += 256 * KIB)
			check_read(g, 1, 100, o);
	}
	assert_int_equal(*(uint32_t *)(void *)(p + 8), word_at(0, MIB + PAGE + 8));
	assert_int_equal(p[5], '!');
	assert_int_equal(causeway_unmap(c, p, 2 * MIB), 0);
	assert_int_equal(causeway_close(f), 0);
	assert_int_equal(causeway_close(g), 0);
	end();
}

/* A window full of what the program holds. */
static void test_pinned_full(void **state)
{
	struct causeway_file *f, *g;
	void *at, *rest, *more;

	begin(8 * MIB, "always", "auto", 4 * MIB);
	f = must_open("a", O_RDONLY);
	g = must_open("b", O_RDONLY);
	check_read(g, 1, 4 * MIB, 0);
	assert_int_equal(causeway_map(f, 4 * MIB, PROT_READ, 0, &at), 0);
	assert_int_equal(causeway_map(g, 4 * MIB - 100, PROT_READ, 0, &rest), 0);
	causeway_close(g);
	g = must_open("c", O_RDONLY);
	assert_int_equal(causeway_map(g, PAGE, PROT_READ, 0, &more), -ENOSPC);
	assert_non_null(strstr(causeway_error(c), "not in use"));
	check_read(g, 2, 4 * MIB, 0);
	check_read(f, 0, 4 * MIB, 0);
	assert_int_equal(*(uint32_t *)rest, word_at(1, 0));
	assert_int_equal(causeway_unmap(c, at, 4 * MIB), 0);
	assert_int_equal(causeway_map(g, PAGE, PROT_READ, 0, &more), 0);
	assert_int_equal(*(uint32_t *)more, word_at(2, 0));
	/* Parts that do not lie side by side: what is mapped of them anew is still right. */
	assert_int_equal(causeway_unmap(c, rest, 4 * MIB - 100), 0);
	assert_int_equal(causeway_map(f, PAGE, PROT_READ, MIB, &at), 0);
	assert_int_equal(causeway_map(f, 3 * MIB, PROT_READ, 0, &rest), 0);
	for (unsigned int i = 0; i < 3 * MIB; i += PAGE)
		assert_int_equal(*(uint32_t *)(void *)((char *)rest + i), word_at(0, i));
	check_read(f, 0, 4 * MIB, 0);
	assert_int_equal(causeway_unmap(c, rest, 3 * MIB), 0);
	check_read(f, 0, 4 * MIB, 0);
	/* What is not given back ends with the connection. */
	causeway_close(f);
	causeway_close(g);
	end();
}

static bool take(struct range *r)
{
	bool taken;

	pthread_mutex_lock(&c->window.lock);
	taken = window_take(c, r);
	pthread_mutex_unlock(&c->window.lock);
	return taken;
}

/* A range that is being copied from, or that the program has, is not taken away, however much
 * others want a place. */
static void test_pins(void **state)
{
	struct causeway_file *f, *g;
	struct range *r;
	void *at;

	begin(2 * MIB, "always", "auto", 4 * MIB);
	f = must_open("a", O_RDONLY);
	g = must_open("b", O_RDONLY);
	r = window_get(f, 0, 4 * MIB, false);
	assert_non_null(r);
	assert_false(take(r));
	for (unsigned int i = 0; i < 5; i++)
		check_read(g, 1, 4 * MIB, 0);
	assert_ptr_equal(window_get(f, 0, 4 * MIB, false), r);
	assert_int_equal(*(uint32_t *)(void *)window_address(&c->window, r), word_at(0, 0));
	window_put(r);
	assert_false(take(r));
	window_put(r);
	assert_int_equal(causeway_map(f, 100, PROT_READ, 0, &at), 0);
	assert_ptr_equal(at, window_address(&c->window, r));
	assert_false(take(r));
	assert_int_equal(causeway_unmap(c, at, 100), 0);
	/* Those that are used least go first. */
	for (unsigned int i = 0; i < 5; i++)
		check_read(g, 1, 4 * MIB, 0);
	assert_int_not_equal(atomic_load(&r->serial), f->node->serial);
	causeway_close(g);
	causeway_close(f);
	end();
}

#define THREADS 4
#define ROUNDS  400

/* What is a thread's own in many pages at once, which takes long enough for others to want them. */
static void check_own(struct causeway_file *f, unsigned int file, unsigned int me, off_t at)
{
	static _Thread_local char ours[64 * KIB], theirs[64 * KIB];

	must(causeway_pread(f, ours, sizeof(ours), at) == sizeof(ours));
	must(pread(files[file], theirs, sizeof(theirs), at) == sizeof(theirs));
	for (unsigned int i = me * 1024; i < sizeof(ours); i += PAGE)
		must(memcmp(ours + i, theirs + i, 1024) == 0);
}

/* Each has a part of each file to itself, and all of them share a window that is too small. */
static void *hammer(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;
	uint32_t seed = 1 + me, want[256], got[256];
	struct causeway_file *f[FILES];

	for (unsigned int i = 0; i < FILES; i++) {
		char name[2] = {(char)('a' + (int)i), '\0'};

		must(causeway_open(c, NULL, name, O_RDWR, 0, &f[i]) == 0);
	}
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int file = unit_random(&seed) % FILES;
		off_t at = unit_random(&seed) % (MIB / PAGE) * PAGE + me * 1024;

		for (unsigned int j = 0; j < 256; j++)
			want[j] = unit_random(&seed);
		must(causeway_pwrite(f[file], want, sizeof(want), at) == sizeof(want));
		must(causeway_pread(f[file], got, sizeof(got), at) == sizeof(got));
		must(memcmp(want, got, sizeof(got)) == 0);
		check_own(f[file], file, me, at / (64 * KIB) * (64 * KIB));
		must(pread(files[file], got, sizeof(got), at) == sizeof(got));
		must(memcmp(want, got, sizeof(got)) == 0);
	}
	for (unsigned int i = 0; i < FILES; i++)
		must(causeway_close(f[i]) == 0);
	return NULL;
}

static void test_threads(void **state)
{
	static const char *const modes[] = {"always", "auto"};
	pthread_t threads[THREADS];

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		begin(512 * KIB, modes[i], "always", MIB);
		for (uintptr_t t = 0; t < THREADS; t++)
			assert_int_equal(pthread_create(&threads[t], NULL, hammer, (void *)t), 0);
		for (unsigned int t = 0; t < THREADS; t++)
			pthread_join(threads[t], NULL);
		assert_true(calls(FUSE_SETUPMAPPING) >= 8);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_shorter),
		cmocka_unit_test(test_liars),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_larger),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_no_stale),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_pinned_full),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
