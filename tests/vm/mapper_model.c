// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file against a model of it in memory: steps by chance, near the ends of pages and of the 2 MiB
 * that Linux maps at once; after each, what was read has to be what the model has. One mapping of
 * the largest size stays while the file grows and shrinks below it.
 */
#include "mapper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 2 << 20, SECTOR = 512, LONGEST = 1 << 17, LOG = 24, TEXT = 64 };

struct model {
	struct slot *slot;
	int direct; /* the file once more, past the page cache; -1: not asked for */
	bool whole; /* of a partial last page nothing is loaded or stored */
	int mapped; /* what is mapped: the file, or the file for reading, where nothing is stored */
	char *want, *got, *map;
	uint64_t size, most, chance;
	char log[LOG][TEXT];
	uint64_t steps;
};

typedef const char *step_fn(struct model *m);

static uint64_t chance(struct model *m, uint64_t below)
{
	m->chance ^= m->chance << 13;
	m->chance ^= m->chance >> 7;
	m->chance ^= m->chance << 17;
	return below ? (m->chance >> 11) % below : 0;
}

/* Somewhere up to `most`, mostly near an edge. */
static uint64_t place(struct model *m, uint64_t most)
{
	uint64_t edge = chance(m, 3) ? PAGE : PIECE;
	uint64_t at = chance(m, most / edge + 1) * edge;

	if (chance(m, 4) == 0)
		return chance(m, most + 1);
	at += chance(m, 5) * chance(m, 5) % 9;
	at -= at >= 4 ? chance(m, 5) : 0;
	return at < most ? at : most;
}

/* A range within the first `most` bytes; an empty one where there is none. */
static void range(struct model *m, uint64_t most, uint64_t *at, uint64_t *len)
{
	uint64_t a = place(m, most), b;

	b = chance(m, 2) ? place(m, most) : a + chance(m, 64);
	*at = a < b ? a : b;
	*len = (a < b ? b : a) - *at;
	if (*len > LONGEST)
		*len = LONGEST;
	if (*at + *len > most)
		*len = most - *at;
}

static void note(struct model *m, const char *what, uint64_t at, uint64_t len)
{
	snprintf(m->log[m->steps % LOG], TEXT, "%s %llu+%llu", what, (unsigned long long)at,
		(unsigned long long)len);
}

static void invent(struct model *m, uint64_t at, uint64_t len)
{
	pattern(m->got, at, len, chance(m, UINT32_MAX));
}

static const char *compare(struct model *m, const volatile char *is, uint64_t at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (is[i] != m->want[at + i])
			return "reads wrong";
	return NULL;
}

static const char *step_read(struct model *m)
{
	uint64_t at, len;
	ssize_t n;

	range(m, m->most, &at, &len);
	note(m, "read", at, len);
	n = pread(m->slot->fd, m->got, len, (off_t)at);
	if (n != (ssize_t)(at >= m->size ? 0 : at + len > m->size ? m->size - at : len))
		return "has another length";
	return compare(m, m->got, at, (uint64_t)n);
}

/* Where what may be loaded ends, or what may be stored. */
static uint64_t end_of_memory(const struct model *m, bool store)
{
	const uint64_t page = m->size / PAGE * PAGE;

	if (m->whole || page == m->size)
		return page;
	return store ? m->size : page + PAGE;
}

/* To the end of the last page: what is beyond the end of the file reads as zeros. */
static const char *step_load(struct model *m)
{
	uint64_t at, len;

	range(m, end_of_memory(m, false), &at, &len);
	note(m, "load", at, len);
	return compare(m, m->map + at, at, len);
}

static const char *step_store(struct model *m)
{
	uint64_t at, len;

	if (m->mapped != m->slot->fd)
		return NULL;
	range(m, end_of_memory(m, true), &at, &len);
	note(m, "store", at, len);
	invent(m, at, len);
	memcpy(m->map + at, m->got, len);
	memcpy(m->want + at, m->got, len);
	return NULL;
}

static const char *step_write(struct model *m)
{
	uint64_t at, len;

	range(m, m->most, &at, &len);
	note(m, "write", at, len);
	invent(m, at, len);
	if (pwrite(m->slot->fd, m->got, len, (off_t)at) != (ssize_t)len)
		return strerrorname_np(errno);
	memcpy(m->want + at, m->got, len);
	if (len && at + len > m->size)
		m->size = at + len;
	return NULL;
}

static const char *step_truncate(struct model *m)
{
	uint64_t size = place(m, m->most);

	note(m, "truncate", size, 0);
	if (ftruncate(m->slot->fd, (off_t)size))
		return strerrorname_np(errno);
	if (size < m->size)
		memset(m->want + size, 0, m->size - size);
	m->size = size;
	return NULL;
}

static const char *step_punch(struct model *m)
{
	uint64_t at, len;

	range(m, m->size, &at, &len);
	note(m, "punch", at, len);
	if (!len)
		return NULL;
	if (fallocate(m->slot->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
		    (off_t)len))
		return strerrorname_np(errno);
	memset(m->want + at, 0, len);
	return NULL;
}

static const char *step_sync(struct model *m)
{
	bool all = chance(m, 2);

	note(m, all ? "fsync" : "msync", 0, 0);
	if (all ? fsync(m->slot->fd) : msync(m->map, m->most, MS_SYNC))
		return strerrorname_np(errno);
	return NULL;
}

static char *map(const struct model *m)
{
	return mmap(NULL, m->most, m->mapped == m->slot->fd ? PROT_READ | PROT_WRITE : PROT_READ,
		MAP_SHARED, m->mapped, 0);
}

static const char *step_map_again(struct model *m)
{
	note(m, "map", 0, m->most);
	if (munmap(m->map, m->most))
		return strerrorname_np(errno);
	m->map = map(m);
	return m->map == MAP_FAILED ? strerrorname_np(errno) : NULL;
}

/* What both sides of the page cache do to one range has to be in order. */
static void sectors(struct model *m, uint64_t most, uint64_t *at, uint64_t *len)
{
	range(m, most, at, len);
	*len = (*len + *at % SECTOR) / SECTOR * SECTOR;
	*at -= *at % SECTOR;
}

static const char *step_direct_read(struct model *m)
{
	uint64_t at, len, there;
	ssize_t n;

	if (m->direct < 0)
		return NULL;
	sectors(m, m->most, &at, &len);
	note(m, "direct read", at, len);
	there = at >= m->size ? 0 : at + len > m->size ? m->size - at : len;
	n = pread(m->direct, m->got, len, (off_t)at);
	if (n != (ssize_t)there)
		return n < 0 ? strerrorname_np(errno) : "has another length";
	return compare(m, m->got, at, there);
}

static const char *step_direct_write(struct model *m)
{
	uint64_t at, len;

	if (m->direct < 0)
		return NULL;
	sectors(m, m->most, &at, &len);
	note(m, "direct write", at, len);
	invent(m, at, len);
	if (pwrite(m->direct, m->got, len, (off_t)at) != (ssize_t)len)
		return strerrorname_np(errno);
	memcpy(m->want + at, m->got, len);
	if (len && at + len > m->size)
		m->size = at + len;
	return NULL;
}

static int open_again(const struct slot *s, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	return open(path, flags | O_CLOEXEC);
}

static const char *check_size(struct model *m)
{
	struct stat st;

	if (fstat(m->slot->fd, &st))
		return strerrorname_np(errno);
	return (uint64_t)st.st_size == m->size ? NULL : "has another size";
}

/* What is usual is there more often. */
static step_fn *const steps[] = {step_read, step_read, step_read, step_load, step_load, step_load,
	step_store, step_store, step_store, step_write, step_write, step_write, step_truncate,
	step_punch, step_sync, step_map_again, step_direct_read, step_direct_write};

static void tell(const struct model *m, const char *wrong)
{
	printf("step %llu %s, size %llu, after", (unsigned long long)m->steps, wrong,
		(unsigned long long)m->size);
	for (uint64_t i = m->steps < LOG ? 0 : m->steps - LOG + 1; i <= m->steps; i++)
		printf("; %s", m->log[i % LOG]);
}

/* The file is empty at first; in the end it has what the model has. It may also be read and
 * written past the page cache, with mappings that are stored to or loaded only, or be mapped in
 * whole pages only. */
void do_model(struct slot *s, char **argv)
{
	const bool loaded = !strcmp(argv[5], "loaded");
	const bool direct = loaded || !strcmp(argv[5], "direct");
	struct model m = {.slot = s,
		.most = number(argv[3]),
		.chance = number(argv[4]) * 0x9e3779b97f4a7c15u + 1,
		.direct = direct ? open_again(s, O_RDWR | O_DIRECT) : -1,
		.mapped = loaded ? open_again(s, O_RDONLY) : s->fd,
		.whole = !strcmp(argv[5], "whole")};
	const uint64_t count = number(argv[2]);
	const char *wrong = NULL;

	m.want = calloc(1, m.most + PAGE);
	m.got = aligned_alloc(PAGE, (m.most + 2 * PAGE) / PAGE * PAGE);
	m.map = map(&m);
	if (!m.want || !m.got || m.map == MAP_FAILED || (direct && m.direct < 0))
		wrong = strerrorname_np(errno);
	for (; !wrong && m.steps < count; m.steps++) {
		wrong = steps[chance(&m, sizeof(steps) / sizeof(steps[0]))](&m);
		if (!wrong)
			wrong = check_size(&m);
		if (wrong)
			break;
	}
	if (m.direct >= 0)
		close(m.direct);
	if (m.mapped != s->fd)
		close(m.mapped);
	if (wrong)
		tell(&m, wrong);
	else
		fputs("0", stdout);
	if (m.map && m.map != MAP_FAILED)
		munmap(m.map, m.most);
	free(m.want);
	free(m.got);
}
