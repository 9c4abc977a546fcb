// SPDX-License-Identifier: BSD-2-Clause
/*
 * Eight threads of mixed operations on one connection, partly on the same names, in each mode of
 * caching.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "peer.h"

#define ROUNDS 60

struct mixer {
	struct causeway *c;
	enum peer_kind kind;
	unsigned int number;
	pthread_t thread;
};

/* What others do at the same time may be in the way, but nothing else. */
static void tolerate(struct mixer *m, int r)
{
	if (r >= 0 || r == -ENOENT || r == -EEXIST)
		return;
	/* QEMU's daemon says EIO of a name that has gone, where it changes one. */
	if (r == -EIO && m->kind == PEER_VIRTIOFSD)
		return;
	fprintf(stderr, "%s\n", causeway_error(m->c));
	abort();
}

static void own_file(struct mixer *m, unsigned int round)
{
	char path[32], text[32], back[32] = "";
	struct causeway_file *f;
	struct stat st;
	size_t len;

	snprintf(path, sizeof(path), "own-%u", m->number);
	len = (size_t)snprintf(text, sizeof(text), "%u of %u", round, m->number);
	must(causeway_open(m->c, NULL, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f) == 0);
	must(causeway_pwrite(f, text, len, 0) == (ssize_t)len);
	must(causeway_fstat(f, &st) == 0 && (size_t)st.st_size == len);
	must(causeway_pread(f, back, sizeof(back), 0) == (ssize_t)len);
	must(strcmp(text, back) == 0);
	must(causeway_close(f) == 0);
	must(causeway_unlink(m->c, NULL, path, 0) == 0);
}

static void shared_names(struct mixer *m, unsigned int round)
{
	char from[16], to[16];
	struct causeway_file *f;
	struct stat st;

	snprintf(from, sizeof(from), "shared-%u", round % 3);
	snprintf(to, sizeof(to), "shared-%u", (round + m->number) % 3);
	tolerate(m, causeway_open(m->c, NULL, from, O_RDWR | O_CREAT, 0600, &f));
	causeway_close(f);
	tolerate(m, causeway_rename(m->c, NULL, from, NULL, to, 0));
	tolerate(m, causeway_stat(m->c, NULL, to, &st, 0));
	tolerate(m, causeway_unlink(m->c, NULL, from, 0));
}

static void *mix(void *arg)
{
	struct mixer *m = arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct causeway_dirent e;
		struct causeway_file *d;
		int r;

		own_file(m, i);
		shared_names(m, i);
		must(causeway_open(m->c, NULL, "/", O_RDONLY, 0, &d) == 0);
		while ((r = causeway_readdir(d, &e)) == 1)
			;
		must(r == 0);
		causeway_close(d);
	}
	return NULL;
}

static void mix_all(const char *cache, const char *writeback)
{
	const char *const options[] = {"queues", "3", "queue-size", "16", "memory", "1048576",
		"cache", cache, "writeback", writeback, "cache-entries", "20", NULL};

	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		struct mixer mixers[8];
		struct peer *p;

		if (!peer_exists(kind))
			continue;
		p = peer_start(kind, options);
		for (unsigned int i = 0; i < ARRAY_SIZE(mixers); i++) {
			mixers[i] = (struct mixer){p->c, kind, i, 0};
			assert_int_equal(pthread_create(&mixers[i].thread, NULL, mix, &mixers[i]),
				0);
		}
		for (unsigned int i = 0; i < ARRAY_SIZE(mixers); i++)
			pthread_join(mixers[i].thread, NULL);
		peer_finish(p);
	}
}

static void test_nothing_kept(void **state)
{
	mix_all("none", "0");
}

static void test_kept_for_a_time(void **state)
{
	mix_all("auto", "1");
}

static void test_kept_for_ever(void **state)
{
	mix_all("always", "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_kept),
		cmocka_unit_test(test_kept_for_a_time),
		cmocka_unit_test(test_kept_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
