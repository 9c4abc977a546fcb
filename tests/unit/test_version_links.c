// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * Two servers with one table make, link, rename, exchange and remove a few names at once, and each
 * remembers what it has seen. When all is quiet, what a guest may still trust of what it was told
 * is what the host says: which inode a name leads to, and how many links that has.
 *
 * Such rounds are short and many, each with servers of its own: a name at which two have met is
 * believed no more, and what is to be seen is what becomes of those that are.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"

#define SERVERS  2
#define CHANGERS 2 /* of each server */
#define NAMES    6
#define TURNS    24
#define ROUNDS   800
#define SLOTS    (1u << 14)

static const struct fs_caller me = {.umask = 022};

/* What a guest was told of a name. */
struct kept {
	unsigned int name;
	bool found;
	struct vt_look word, attr;
	uint64_t epoch, ino;
	uint32_t links;
};

struct party {
	struct fs *fs;
	uint32_t random;
	pthread_t thread;
	unsigned int n;
	struct kept kept[TURNS];
};

static struct vtable *t;
static pthread_barrier_t ready;
static unsigned long believed, distrusted;

static void name_of(char name[16], unsigned int i)
{
	snprintf(name, 16, "name%u", i);
}

static int look_up(struct party *p, unsigned int i, struct fs_entry *e)
{
	struct kept *k = &p->kept[p->n++];
	struct vtable_request v;
	char name[16];
	int r;

	name_of(name, i);
	vtable_request_begin(&v, t, true);
	r = p->fs->ops->lookup(p->fs, FS_ROOT, name, e);
	vtable_request_end(&v);
	must(r == 0 || r == -ENOENT);
	*k = (struct kept){
		.name = i,
		.found = r == 0,
		.epoch = v.epoch,
		.word = v.look[__builtin_ctz(VT_NAME)],
	};
	if (r < 0)
		return r;
	k->attr = v.look[__builtin_ctz(VT_CHILD_ATTR)];
	k->ino = e->attr.stx_ino;
	k->links = e->attr.stx_nlink;
	return 0;
}

static void make(struct party *p, const char *name)
{
	struct fs_entry e;
	uint64_t handle;

	if (p->fs->ops->create(p->fs, &me, FS_ROOT, name, 0644, O_RDWR, false, &e, &handle) == 0)
		p->fs->ops->release(p->fs, handle);
}

/* One of them at once; whether it can be is the others' doing. */
static void change(struct party *p, uint32_t random)
{
	static const unsigned int flags[] = {0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	struct vtable_request v;
	struct fs_entry e = {0};
	char from[16], to[16];
	bool links = random % 6 == 1;

	name_of(from, random / 64 % NAMES);
	name_of(to, random / 1024 % NAMES);
	if (links && look_up(p, random / 64 % NAMES, &e) < 0)
		return;
	vtable_request_begin(&v, t, true);
	if (links)
		p->fs->ops->link(p->fs, e.node, FS_ROOT, to, &e);
	else if (random % 6 == 0)
		make(p, from);
	else if (random % 6 == 2)
		p->fs->ops->unlink(p->fs, FS_ROOT, from);
	else
		p->fs->ops->rename(p->fs, FS_ROOT, from, FS_ROOT, to, flags[random % 6 - 3]);
	vtable_request_end(&v);
}

static void *work(void *arg)
{
	struct party *p = arg;
	struct fs_entry e;

	for (unsigned int i = 0; i < NAMES; i++)
		look_up(p, i, &e);
	pthread_barrier_wait(&ready);
	while (p->n < TURNS) {
		uint32_t random = unit_random(&p->random);

		if (random / 8 % 2)
			look_up(p, random / 64 % NAMES, &e);
		else
			change(p, random);
	}
	return NULL;
}

static bool is_trusted(const struct kept *k, const struct vt_look *look)
{
	const struct vt_header *head = (const struct vt_header *)t->map;
	struct vt_stamp now;

	vtable_look(t, look->slot, &now);
	return look->flags & VT_KEEP && now.word == look->word && now.epoch == k->epoch &&
		head->timed == 0;
}

/* The links that an inode has: none, where no name leads to it any more. */
static uint32_t links_of(uint64_t ino, const struct stat *names)
{
	for (unsigned int i = 0; i < NAMES; i++) {
		if (names[i].st_nlink > 0 && names[i].st_ino == ino)
			return (uint32_t)names[i].st_nlink;
	}
	return 0;
}

static void check_kept(const struct kept *k, const struct stat *names)
{
	const struct stat *st = &names[k->name];

	if (is_trusted(k, &k->word)) {
		must(k->found ? st->st_ino == k->ino : st->st_nlink == 0);
		believed++;
	}
	if (k->found && is_trusted(k, &k->attr)) {
		must(links_of(k->ino, names) == k->links);
		believed++;
	}
}

static void check_all(const struct party *parties, unsigned int n)
{
	struct stat names[NAMES];
	char path[32], name[16];

	for (unsigned int i = 0; i < NAMES; i++) {
		name_of(name, i);
		snprintf(path, sizeof(path), "export/%s", name);
		if (lstat(path, &names[i]) < 0)
			names[i] = (struct stat){.st_nlink = 0};
	}
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int k = 0; k < parties[i].n; k++)
			check_kept(&parties[i].kept[k], names);
	}
}

static void play(unsigned int round)
{
	const struct passthrough_config config = {.table = t};
	struct party parties[SERVERS * CHANGERS];
	struct vt_header *head = (struct vt_header *)t->map;
	struct fs *servers[SERVERS];
	uint64_t epoch;

	/* In each round the epoch may move, not only once a second. */
	head->timed = 0;
	atomic_store(&t->moved_ms, 0);
	epoch = head->epoch;
	for (unsigned int i = 0; i < SERVERS; i++)
		assert_int_equal(passthrough_new("export", &config, &servers[i]), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(parties); i++) {
		parties[i] = (struct party){
			.fs = servers[i % SERVERS],
			.random = 1 + round * (unsigned int)ARRAY_SIZE(parties) + i,
		};
		assert_int_equal(pthread_create(&parties[i].thread, NULL, work, &parties[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(parties); i++)
		pthread_join(parties[i].thread, NULL);
	distrusted += head->epoch != epoch;
	check_all(parties, ARRAY_SIZE(parties));
	for (unsigned int i = 0; i < SERVERS; i++)
		passthrough_free(servers[i]);
}

static void test_links(void **state)
{
	char directory[64];

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	assert_int_equal(vtable_make(&t, SLOTS), 0);
	pthread_barrier_init(&ready, NULL, SERVERS * CHANGERS);
	for (unsigned int i = 0; i < ROUNDS; i++)
		play(i);
	pthread_barrier_destroy(&ready);
	vtable_close(t);
	unit_leave_directory(directory);
	print_message("%lu believed; %lu of %d rounds ended in another epoch\n", believed,
		distrusted, ROUNDS);
	assert_int_not_equal(believed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
