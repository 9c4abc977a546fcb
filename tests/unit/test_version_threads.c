// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=600
/*
 * Two servers with one table share a tree; their guests change it in all ways at once, and keep
 * what replies let them keep. Whoever uses what it has kept sees no less than was acknowledged
 * before: a file's size, which only grows, and what a name stands for.
 *
 * Sizes: each writer appends, and says afterwards how large the file is at least. Names: each
 * generation of a name is an inode of its own, told by its size; movers count generations up.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"

#define SERVERS 2
#define CHANGERS 2 /* of each server */
#define READERS 2  /* the same */
#define FILES   4
#define NAMES   3
#define TURNS   800

static const struct fs_caller me = {.umask = 022};

struct server {
	struct fs *fs;
	uint64_t file[FILES];
	struct fs_target open[FILES];
};

static char directory[64];
static struct vtable *t;
static struct server servers[SERVERS];
static _Atomic uint64_t size_of[FILES], generation[NAMES]; /* at least, as is acknowledged */
static pthread_mutex_t naming[NAMES]; /* whoever changes a name knows which is the next */
static _Atomic unsigned int changers;
static _Atomic unsigned long hits, fetched;

struct party {
	struct server *server;
	uint32_t random;
	pthread_t thread;
};

static void raise_to(_Atomic uint64_t *least, uint64_t to)
{
	uint64_t now = atomic_load(least);

	while (now < to && !atomic_compare_exchange_weak(least, &now, to))
		;
}

static void name_of(char *name, unsigned int i)
{
	snprintf(name, 16, "name%u", i);
}

static void append(struct server *s, unsigned int i)
{
	struct iovec iov = {(char *)"x", 1};
	struct vtable_request v;
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "export/file%u", i);
	vtable_request_begin(&v, t, true);
	must(s->fs->ops->write(s->fs, &s->open[i], &iov, 1, 0, FS_WRITE_APPEND) == 1);
	vtable_request_end(&v);
	must(stat(path, &st) == 0);
	raise_to(&size_of[i], (uint64_t)st.st_size);
}

/* The next inode of a name, by a rename onto it, or by making it where it was removed. */
static void replace(struct server *s, unsigned int i, uint32_t random)
{
	const uint64_t next = atomic_load(&generation[i]) + 1;
	char name[16], made[16];
	struct vtable_request v;
	struct fs_entry e;
	uint64_t handle;

	name_of(name, i);
	snprintf(made, sizeof(made), "new%u", i);
	if (random & 1) {
		vtable_request_begin(&v, t, true);
		must(s->fs->ops->unlink(s->fs, FS_ROOT, name) == 0);
		vtable_request_end(&v);
		strcpy(made, name);
	}
	vtable_request_begin(&v, t, true);
	must(s->fs->ops->create(s->fs, &me, FS_ROOT, made, 0644, O_RDWR, false, &e, &handle) == 0);
	vtable_request_end(&v);
	vtable_request_begin(&v, t, true);
	must(s->fs->ops->fallocate(s->fs, &(struct fs_target){e.node, handle, true, 0}, 0, 0, next,
		     false) == 0);
	vtable_request_end(&v);
	s->fs->ops->release(s->fs, handle);
	s->fs->ops->forget(s->fs, e.node, 1);
	if (!(random & 1)) {
		vtable_request_begin(&v, t, true);
		must(s->fs->ops->rename(s->fs, FS_ROOT, made, FS_ROOT, name, 0) == 0);
		vtable_request_end(&v);
	}
	raise_to(&generation[i], next);
}

static void *change(void *arg)
{
	struct party *p = arg;

	for (int n = 0; n < TURNS; n++) {
		uint32_t random = unit_random(&p->random);
		unsigned int i = random / 16 % NAMES;

		if (random % 8 < 5) {
			append(p->server, random / 16 % FILES);
			continue;
		}
		pthread_mutex_lock(&naming[i]);
		replace(p->server, i, random / 1024);
		pthread_mutex_unlock(&naming[i]);
	}
	atomic_fetch_sub(&changers, 1);
	return NULL;
}

struct kept {
	bool there;
	bool found; /* a name: there is such a file */
	struct vt_stamp name, attr;
	uint64_t size;
};

static bool is_trusted(const struct vt_stamp *s)
{
	struct vt_stamp now;

	vtable_look(t, (uint32_t)s->slot, &now);
	return now.epoch == s->epoch && now.word == s->word;
}

/* Takes over what a reply said that may be kept. */
static bool keep(const struct vtable_request *v, unsigned int bit, struct vt_stamp *stamp)
{
	const struct vt_look *look = &v->look[__builtin_ctz(bit)];

	*stamp = (struct vt_stamp){v->epoch, look->word, look->slot};
	return v->looked & bit && look->flags & VT_KEEP;
}

static bool is_name_trusted(const struct kept *k)
{
	return k->there && is_trusted(&k->name) && (!k->found || is_trusted(&k->attr));
}

/* A file that is being made has no size yet: it is to be of the next generation. */
static void check_generation(const struct kept *k, uint64_t least)
{
	if (k->found && k->size > 0)
		must(k->size >= least);
}

static void check_file(struct server *s, struct kept *k, unsigned int i)
{
	uint64_t least = atomic_load(&size_of[i]);
	struct vtable_request v;
	struct statx attr;

	if (k->there && is_trusted(&k->attr)) {
		must(k->size >= least);
		atomic_fetch_add_explicit(&hits, 1, memory_order_relaxed);
		return;
	}
	vtable_request_begin(&v, t, true);
	must(s->fs->ops->getattr(s->fs, &(struct fs_target){.node = s->file[i]}, &attr) == 0);
	vtable_request_end(&v);
	must(attr.stx_size >= least);
	k->size = attr.stx_size;
	k->there = keep(&v, VT_NODE_ATTR, &k->attr);
	atomic_fetch_add_explicit(&fetched, 1, memory_order_relaxed);
}

static void check_name(struct server *s, struct kept *k, unsigned int i)
{
	uint64_t least = atomic_load(&generation[i]);
	struct fs_entry e = {0};
	struct vtable_request v;
	char name[16];
	int r;

	if (is_name_trusted(k)) {
		check_generation(k, least);
		atomic_fetch_add_explicit(&hits, 1, memory_order_relaxed);
		return;
	}
	name_of(name, i);
	vtable_request_begin(&v, t, true);
	r = s->fs->ops->lookup(s->fs, FS_ROOT, name, &e);
	vtable_request_end(&v);
	must(r == 0 || r == -ENOENT);
	k->found = r == 0;
	k->size = k->found ? e.attr.stx_size : 0;
	k->there = keep(&v, VT_NAME, &k->name) && (r < 0 || keep(&v, VT_CHILD_ATTR, &k->attr));
	check_generation(k, least);
	if (k->found)
		s->fs->ops->forget(s->fs, e.node, 1);
	atomic_fetch_add_explicit(&fetched, 1, memory_order_relaxed);
}

/* While nobody changes the name, what is kept of it is what the host says. */
static void check_quiet_name(struct server *s, struct kept *k, unsigned int i)
{
	char path[32], name[16];
	struct stat st;

	if (pthread_mutex_trylock(&naming[i]) != 0)
		return;
	name_of(name, i);
	snprintf(path, sizeof(path), "export/%s", name);
	must(stat(path, &st) == 0);
	if (is_name_trusted(k))
		must(k->found && k->size == (uint64_t)st.st_size);
	pthread_mutex_unlock(&naming[i]);
}

static void *guest(void *arg)
{
	struct party *p = arg;
	struct kept files[FILES] = {0}, names[NAMES] = {0};

	while (atomic_load(&changers)) {
		uint32_t random = unit_random(&p->random);
		unsigned int i = random / 16 % NAMES;

		if (random & 1) {
			check_file(p->server, &files[random / 16 % FILES], random / 16 % FILES);
			continue;
		}
		check_name(p->server, &names[i], i);
		check_quiet_name(p->server, &names[i], i);
	}
	return NULL;
}

static void make_file(const char *format, unsigned int i, const char *text)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), format, i);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void start_server(struct server *s)
{
	const struct passthrough_config config = {.table = t};
	struct fs_entry e;
	char name[16];

	assert_int_equal(passthrough_new("export", &config, &s->fs), 0);
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		assert_int_equal(s->fs->ops->lookup(s->fs, FS_ROOT, name, &e), 0);
		s->file[i] = e.node;
		s->open[i] = (struct fs_target){.node = e.node, .has_handle = true};
		assert_int_equal(s->fs->ops->open(s->fs, e.node, O_RDWR, false,
			&s->open[i].handle, NULL), 0);
	}
}

static void run(uint64_t slots)
{
	struct party parties[SERVERS * (CHANGERS + READERS)];

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	for (unsigned int i = 0; i < FILES; i++) {
		make_file("export/file%u", i, "");
		atomic_store(&size_of[i], 0);
	}
	for (unsigned int i = 0; i < NAMES; i++) {
		make_file("export/name%u", i, "x");
		atomic_store(&generation[i], 1);
		pthread_mutex_init(&naming[i], NULL);
	}
	assert_int_equal(vtable_make(&t, slots), 0);
	for (unsigned int i = 0; i < SERVERS; i++)
		start_server(&servers[i]);
	atomic_store(&hits, 0);
	atomic_store(&changers, SERVERS * CHANGERS);
	for (unsigned int i = 0; i < ARRAY_SIZE(parties); i++) {
		parties[i] = (struct party){.server = &servers[i % SERVERS], .random = 4711 + i};
		assert_int_equal(pthread_create(&parties[i].thread, NULL,
			i / SERVERS < CHANGERS ? change : guest, &parties[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(parties); i++)
		pthread_join(parties[i].thread, NULL);
	for (unsigned int i = 0; i < SERVERS; i++)
		passthrough_free(servers[i].fs);
	vtable_close(t);
	assert_int_not_equal(hits, 0);
	assert_int_not_equal(fetched, 0);
	print_message("%lu hits, %lu fetched\n", hits, fetched);
	unit_leave_directory(directory);
}

static void test_many_slots(void **state)
{
	run(1u << 16);
}

/* All things share a few. */
static void test_few_slots(void **state)
{
	run(4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_slots),
		cmocka_unit_test(test_few_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
