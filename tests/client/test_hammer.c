// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,tsan full-builds=asan timeout=900
/*
 * Two clients with cache=shared, each through a daemon of its own, hammer one tree with everything
 * that changes metadata, data and names, and look at it all the time; what they see is checked to
 * be linearizable.
 *
 * A register is something with a number that only grows, and that can be seen again: a length, a
 * time, the name of the only entry of a directory, how often a name came and went. Who changes it
 * says so before (`started`) and after (`done`). Who looks takes down before what was acknowledged,
 * and what anybody has seen, by then; that number or a later one is to be seen, and none that was
 * not even begun when the look was over. For a register with one writer at a time that is all that
 * linearizability asks for. Where only a remainder can be seen, the least number counts that fits.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/xattr.h>
#include <time.h>

#include "peer.h"
#include "proto/version_table.h"

#define CLIENTS 2
#define THREADS 3 /* of each client */
#define OBJECTS 3 /* of each subject */
#define CHANGES 16 /* one step of so many changes something */

#define panic(...)                                                                                 \
	do {                                                                                       \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		abort();                                                                           \
	} while (0)

struct client {
	struct causeway *c;
	unsigned int number;
};

struct reg {
	pthread_mutex_t writer;
	_Atomic uint64_t started, done, seen;
	char path[48];
	/* Of each client, for those that go by handle. */
	struct causeway_file *file[CLIENTS];
};

/* Results are 0 or -errno; those that change bring a register from `to` - 1 to `to`. */
struct subject {
	const char *name;
	uint64_t period; /* what is seen is the number modulo this; 0: the number itself */
	int (*make)(struct client *cl, struct reg *r);
	int (*change)(struct client *cl, struct reg *r, uint64_t to);
	int (*look)(struct client *cl, struct reg *r, uint64_t *seen);
};

/* A name of this thread's own beside a register's. */
static const char *beside(const struct client *cl, const struct reg *r, const char *what)
{
	static _Thread_local char name[64];

	snprintf(name, sizeof(name), "%s.%s%u", r->path, what, cl->number);
	return name;
}

static int make_file(struct client *cl, struct reg *r)
{
	struct causeway_file *f;
	int e = causeway_open(cl->c, NULL, r->path, O_CREAT | O_RDWR, 0644, &f);

	return e < 0 ? e : causeway_close(f);
}

static int make_dir(struct client *cl, struct reg *r)
{
	return causeway_mkdir(cl->c, NULL, r->path, 0755);
}

static int make_nothing(struct client *cl, struct reg *r)
{
	return 0;
}

/* The register's own directory, and those below it. */
static int make_dirs(struct client *cl, struct reg *r, const char *const *below, size_t n)
{
	int e = make_dir(cl, r);

	for (size_t i = 0; e == 0 && i < n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s/%s", r->path, below[i]);
		e = causeway_mkdir(cl->c, NULL, name, 0755);
	}
	return e;
}

static int look_size(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct stat st;
	int e = causeway_stat(cl->c, NULL, r->path, &st, 0);

	*seen = (uint64_t)st.st_size;
	return e;
}

static int look_whether(struct client *cl, const char *path, uint64_t *exists)
{
	struct stat st;
	int e = causeway_stat(cl->c, NULL, path, &st, 0);

	*exists = e == 0;
	return e == -ENOENT ? 0 : e;
}

static int look_exists(struct client *cl, struct reg *r, uint64_t *seen)
{
	return look_whether(cl, r->path, seen);
}

static int change_length(struct client *cl, struct reg *r, uint64_t to)
{
	return causeway_truncate(cl->c, NULL, r->path, (off_t)to);
}

/* By handle. */

static int make_open(struct client *cl, struct reg *r)
{
	return make_file(cl, r);
}

static int look_length(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct stat st;
	int e = causeway_fstat(r->file[cl->number], &st);

	*seen = (uint64_t)st.st_size;
	return e;
}

static int write_at(struct client *cl, struct reg *r, const void *what, size_t size, uint64_t at)
{
	ssize_t n = causeway_pwrite(r->file[cl->number], what, size, (off_t)at);

	return n < 0 ? (int)n : 0;
}

static int change_append(struct client *cl, struct reg *r, uint64_t to)
{
	return write_at(cl, r, "x", 1, to - 1);
}

static int change_data(struct client *cl, struct reg *r, uint64_t to)
{
	return write_at(cl, r, &to, sizeof(to), 0);
}

static int look_data(struct client *cl, struct reg *r, uint64_t *seen)
{
	ssize_t n = causeway_pread(r->file[cl->number], seen, sizeof(*seen), 0);

	if (n == 0)
		*seen = 0;
	return n < 0 ? (int)n : 0;
}

/* Length that comes without data, or from another file of one byte. */
static int change_space(struct client *cl, struct reg *r, uint64_t to)
{
	return causeway_fallocate(r->file[cl->number], 0, (off_t)to - 1, 1);
}

static int change_copied(struct client *cl, struct reg *r, uint64_t to)
{
	struct causeway_file *f;
	ssize_t n = causeway_open(cl->c, NULL, beside(cl, r, "from"), O_CREAT | O_RDWR, 0644, &f);

	if (n < 0)
		return (int)n;
	n = causeway_pwrite(f, "x", 1, 0);
	if (n == 1)
		n = causeway_copy_file_range(f, 0, r->file[cl->number], (off_t)to - 1, 1);
	causeway_close(f);
	return n == 1 ? 0 : n < 0 ? (int)n : -EIO;
}

/* Data that goes, and the length with it or not. */
static int change_emptied(struct client *cl, struct reg *r, uint64_t to)
{
	struct causeway_file *f;
	int e;

	if (to % 2)
		return causeway_truncate(cl->c, NULL, r->path, 1);
	e = causeway_open(cl->c, NULL, r->path, O_WRONLY | O_TRUNC, 0, &f);
	return e < 0 ? e : causeway_close(f);
}

static int change_punched(struct client *cl, struct reg *r, uint64_t to)
{
	return to % 2 ? write_at(cl, r, "x", 1, 0) :
		causeway_fallocate(r->file[cl->number],
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);
}

static int look_punched(struct client *cl, struct reg *r, uint64_t *seen)
{
	char byte = 0;
	ssize_t n = causeway_pread(r->file[cl->number], &byte, 1, 0);

	*seen = byte != 0;
	return n < 0 ? (int)n : 0;
}

/* What the end of a file says: written at its end, so in a page that was there in part. */
static int change_tail(struct client *cl, struct reg *r, uint64_t to)
{
	return write_at(cl, r, &to, sizeof(to), (to - 1) * sizeof(to));
}

static int look_tail(struct client *cl, struct reg *r, uint64_t *seen)
{
	uint64_t words[512];
	struct stat st;
	ssize_t n;
	int e = causeway_fstat(r->file[cl->number], &st);

	if (e < 0)
		return e;
	*seen = 0;
	n = st.st_size < (off_t)sizeof(words) ? 0 : st.st_size - (off_t)sizeof(words);
	n = causeway_pread(r->file[cl->number], words, sizeof(words), n);
	if (n > 0)
		*seen = words[(size_t)n / sizeof(*words) - 1];
	return n < 0 ? (int)n : 0;
}

/* Attributes. */

static int change_time(struct client *cl, struct reg *r, uint64_t to)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)to}};

	return causeway_utimens(cl->c, NULL, r->path, times, 0);
}

/* A file at which a change has brought the register to 0. */
static int make_at_zero(struct client *cl, struct reg *r,
	int (*change)(struct client *cl, struct reg *r, uint64_t to))
{
	int e = make_file(cl, r);

	return e < 0 ? e : change(cl, r, 0);
}

static int make_time(struct client *cl, struct reg *r)
{
	return make_at_zero(cl, r, change_time);
}

static int look_time(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct stat st;
	int e = causeway_stat(cl->c, NULL, r->path, &st, 0);

	*seen = (uint64_t)st.st_mtim.tv_sec;
	return e;
}

static int change_mode(struct client *cl, struct reg *r, uint64_t to)
{
	return causeway_chmod(cl->c, NULL, r->path, (mode_t)(to & 0777), 0);
}

static int make_mode(struct client *cl, struct reg *r)
{
	return make_at_zero(cl, r, change_mode);
}

static int look_mode(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct stat st;
	int e = causeway_stat(cl->c, NULL, r->path, &st, 0);

	*seen = st.st_mode & 0777;
	return e;
}

static int change_xattr(struct client *cl, struct reg *r, uint64_t to)
{
	return causeway_setxattr(cl->c, NULL, r->path, "user.v", &to, sizeof(to), 0, 0);
}

static int look_xattr(struct client *cl, struct reg *r, uint64_t *seen)
{
	ssize_t n = causeway_getxattr(cl->c, NULL, r->path, "user.v", seen, sizeof(*seen), 0);

	if (n == -ENODATA)
		*seen = 0;
	return n < 0 && n != -ENODATA ? (int)n : 0;
}

static int change_has_xattr(struct client *cl, struct reg *r, uint64_t to)
{
	return to % 2 ? causeway_setxattr(cl->c, NULL, r->path, "user.h", "", 0, 0, 0)
		      : causeway_removexattr(cl->c, NULL, r->path, "user.h", 0);
}

static int look_has_xattr(struct client *cl, struct reg *r, uint64_t *seen)
{
	char list[256];
	ssize_t n = causeway_listxattr(cl->c, NULL, r->path, list, sizeof(list), 0);

	*seen = n > 0 && memmem(list, (size_t)n, "user.h", sizeof("user.h"));
	return n < 0 ? (int)n : 0;
}

/* Names. */

static int change_over(struct client *cl, struct reg *r, uint64_t to)
{
	const char *other = beside(cl, r, "new");
	struct causeway_file *f;
	int e = causeway_open(cl->c, NULL, other, O_CREAT | O_RDWR | O_EXCL, 0644, &f);

	if (e == 0) {
		e = causeway_ftruncate(f, (off_t)to);
		causeway_close(f);
	}
	return e < 0 ? e : causeway_rename(cl->c, NULL, other, NULL, r->path, 0);
}

static int change_exists(struct client *cl, struct reg *r, uint64_t to)
{
	struct causeway_file *f;
	int e;

	if (to % 2 == 0)
		return causeway_unlink(cl->c, NULL, r->path, 0);
	e = causeway_open(cl->c, NULL, r->path, O_CREAT | O_RDWR | O_EXCL, 0644, &f);
	return e < 0 ? e : causeway_close(f);
}

/* A file that had no name before. */
static int change_nameless(struct client *cl, struct reg *r, uint64_t to)
{
	struct causeway_file *f;
	int e;

	if (to % 2 == 0)
		return causeway_unlink(cl->c, NULL, r->path, 0);
	e = causeway_open(cl->c, NULL, ".", O_TMPFILE | O_RDWR, 0644, &f);
	if (e == 0) {
		e = causeway_flink(f, NULL, r->path);
		causeway_close(f);
	}
	return e;
}

/* From one directory to another. */
static int change_moved(struct client *cl, struct reg *r, uint64_t to)
{
	char here[64], there[64];

	snprintf(here, sizeof(here), "%s/here/name", r->path);
	snprintf(there, sizeof(there), "%s/there/name", r->path);
	return to % 2 ? causeway_rename(cl->c, NULL, there, NULL, here, RENAME_NOREPLACE) :
		causeway_rename(cl->c, NULL, here, NULL, there, RENAME_NOREPLACE);
}

static int make_moved(struct client *cl, struct reg *r)
{
	static const char *const below[] = {"here", "there", "there/name"};

	return make_dirs(cl, r, below, ARRAY_SIZE(below));
}

static int look_moved(struct client *cl, struct reg *r, uint64_t *seen)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/here/name", r->path);
	return look_whether(cl, name, seen);
}

static int change_directory(struct client *cl, struct reg *r, uint64_t to)
{
	return to % 2 ? causeway_mkdir(cl->c, NULL, r->path, 0755) :
		causeway_unlink(cl->c, NULL, r->path, AT_REMOVEDIR);
}

static int change_symlink(struct client *cl, struct reg *r, uint64_t to)
{
	const char *other = beside(cl, r, "new");
	char target[32];
	int e;

	snprintf(target, sizeof(target), "%" PRIu64, to);
	e = causeway_symlink(cl->c, target, NULL, other);
	return e < 0 ? e : causeway_rename(cl->c, NULL, other, NULL, r->path, 0);
}

static int make_symlink(struct client *cl, struct reg *r)
{
	return causeway_symlink(cl->c, "0", NULL, r->path);
}

static int look_symlink(struct client *cl, struct reg *r, uint64_t *seen)
{
	char target[32] = "";
	ssize_t n = causeway_readlink(cl->c, NULL, r->path, target, sizeof(target) - 1);

	*seen = strtoull(target, NULL, 10);
	return n < 0 ? (int)n : 0;
}

static int change_links(struct client *cl, struct reg *r, uint64_t to)
{
	char other[64];

	snprintf(other, sizeof(other), "%s.link", r->path);
	return to % 2 ? causeway_link(cl->c, NULL, r->path, NULL, other) :
		causeway_unlink(cl->c, NULL, other, 0);
}

/* A link that is lost since another file takes its name. */
static int change_replaced(struct client *cl, struct reg *r, uint64_t to)
{
	const char *other = beside(cl, r, "new");
	char name[64];
	int e;

	snprintf(name, sizeof(name), "%s.name", r->path);
	if (to % 2) {
		e = causeway_link(cl->c, NULL, r->path, NULL, other);
	} else {
		struct causeway_file *f;

		e = causeway_open(cl->c, NULL, other, O_CREAT | O_RDWR | O_EXCL, 0644, &f);
		if (e == 0)
			causeway_close(f);
	}
	return e < 0 ? e : causeway_rename(cl->c, NULL, other, NULL, name, 0);
}

static int look_links(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct stat st;
	int e = causeway_stat(cl->c, NULL, r->path, &st, 0);

	*seen = st.st_nlink - 1;
	return e;
}

static int change_listing(struct client *cl, struct reg *r, uint64_t to)
{
	char from[64], name[64];

	snprintf(from, sizeof(from), "%s/%" PRIu64, r->path, to - 1);
	snprintf(name, sizeof(name), "%s/%" PRIu64, r->path, to);
	return causeway_rename(cl->c, NULL, from, NULL, name, 0);
}

static int make_listing(struct client *cl, struct reg *r)
{
	char name[64];
	int e = make_dir(cl, r);

	snprintf(name, sizeof(name), "%s/0", r->path);
	return e < 0 ? e : causeway_mknod(cl->c, NULL, name, S_IFREG | 0644, 0);
}

static int look_listing(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct causeway_file *d;
	struct causeway_dirent entry;
	unsigned int n = 0;
	int e = causeway_open(cl->c, NULL, r->path, O_RDONLY | O_DIRECTORY, 0, &d);

	if (e < 0)
		return e;
	while ((e = causeway_readdir(d, &entry)) > 0) {
		if (entry.name[0] == '.')
			continue;
		*seen = strtoull(entry.name, NULL, 10);
		n++;
	}
	causeway_close(d);
	return e < 0 ? e : n == 1 ? 0 : -EUCLEAN;
}

/* Attributes that a listing brings. */
static int change_listed(struct client *cl, struct reg *r, uint64_t to)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/0", r->path);
	return causeway_truncate(cl->c, NULL, name, (off_t)to);
}

static int look_listed(struct client *cl, struct reg *r, uint64_t *seen)
{
	struct causeway_dirent entry;
	struct causeway_file *d;
	struct stat st;
	int e = causeway_open(cl->c, NULL, r->path, O_RDONLY | O_DIRECTORY, 0, &d);

	if (e < 0)
		return e;
	do
		e = causeway_readdirplus(d, &entry, &st);
	while (e > 0 && strcmp(entry.name, "0") != 0);
	causeway_close(d);
	*seen = (uint64_t)st.st_size;
	return e < 0 ? e : e == 1 ? 0 : -EUCLEAN;
}

/* A directory above what is looked at moves away and back. */
static int change_above(struct client *cl, struct reg *r, uint64_t to)
{
	char here[64], there[64];

	snprintf(here, sizeof(here), "%s/here", r->path);
	snprintf(there, sizeof(there), "%s/there", r->path);
	return to % 2 ? causeway_rename(cl->c, NULL, here, NULL, there, 0) :
		causeway_rename(cl->c, NULL, there, NULL, here, 0);
}

static int make_above(struct client *cl, struct reg *r)
{
	static const char *const below[] = {"here", "here/below"};

	return make_dirs(cl, r, below, ARRAY_SIZE(below));
}

static int look_above(struct client *cl, struct reg *r, uint64_t *seen)
{
	char name[64];
	uint64_t exists;
	int e;

	snprintf(name, sizeof(name), "%s/here/below", r->path);
	e = look_whether(cl, name, &exists);
	*seen = !exists;
	return e;
}

/* Two names of different lengths change places. */
static int change_exchange(struct client *cl, struct reg *r, uint64_t to)
{
	char other[64];

	snprintf(other, sizeof(other), "%s.other", r->path);
	return causeway_rename(cl->c, NULL, other, NULL, r->path, RENAME_EXCHANGE);
}

static int make_exchange(struct client *cl, struct reg *r)
{
	struct reg other;
	int e = make_file(cl, r);

	snprintf(other.path, sizeof(other.path), "%.32s.other", r->path);
	if (e == 0)
		e = make_file(cl, &other);
	return e < 0 ? e : causeway_truncate(cl->c, NULL, other.path, 1);
}

static const struct subject subjects[] = {
	{"length", 0, make_file, change_length, look_size},
	{"append", 0, make_open, change_append, look_length},
	{"data", 0, make_open, change_data, look_data},
	{"tail", 0, make_open, change_tail, look_tail},
	{"space", 0, make_open, change_space, look_length},
	{"copied", 0, make_open, change_copied, look_length},
	{"emptied", 2, make_file, change_emptied, look_size},
	{"punched", 2, make_open, change_punched, look_punched},
	{"time", 0, make_time, change_time, look_time},
	{"mode", 01000, make_mode, change_mode, look_mode},
	{"xattr", 0, make_file, change_xattr, look_xattr},
	{"has-xattr", 2, make_file, change_has_xattr, look_has_xattr},
	{"over", 0, make_file, change_over, look_size},
	{"exists", 2, make_nothing, change_exists, look_exists},
	{"nameless", 2, make_nothing, change_nameless, look_exists},
	{"moved", 2, make_moved, change_moved, look_moved},
	{"directory", 2, make_nothing, change_directory, look_exists},
	{"symlink", 0, make_symlink, change_symlink, look_symlink},
	{"links", 2, make_file, change_links, look_links},
	{"replaced", 2, make_file, change_replaced, look_links},
	{"listing", 0, make_listing, change_listing, look_listing},
	{"listed", 0, make_listing, change_listed, look_listed},
	{"above", 2, make_above, change_above, look_above},
	{"exchange", 2, make_exchange, change_exchange, look_size},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

struct world {
	char dir[64], table[80];
	const char *slots; /* of the table, or NULL */
	struct client clients[CLIENTS];
	struct reg regs[SUBJECTS][OBJECTS];
	uint64_t steps; /* of each thread */
	unsigned int first; /* object that they change and look at */
	_Atomic bool stop;  /* they do so until then, however many steps that is */
	uint64_t before;    /* requests */
	struct hand {
		struct world *w;
		struct client *cl;
		uint64_t seed;
		pthread_t thread;
	} hands[CLIENTS * THREADS];
};

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
	uint64_t now = atomic_load(at);

	while (now < value && !atomic_compare_exchange_weak(at, &now, value))
		;
}

static void change(struct client *cl, const struct subject *s, struct reg *r)
{
	uint64_t to;
	int e;

	if (pthread_mutex_trylock(&r->writer))
		return;
	to = atomic_load(&r->done) + 1;
	atomic_store(&r->started, to);
	e = s->change(cl, r, to);
	if (e < 0)
		panic("%s to %" PRIu64 " by client %u: %s", r->path, to, cl->number, strerror(-e));
	atomic_store(&r->done, to);
	pthread_mutex_unlock(&r->writer);
}

static void look(struct client *cl, const struct subject *s, struct reg *r)
{
	uint64_t done = atomic_load(&r->done), seen = atomic_load(&r->seen), now, most;
	uint64_t least = done > seen ? done : seen;
	int e = s->look(cl, r, &now);

	most = atomic_load(&r->started);
	if (e < 0)
		panic("looking at %s by client %u: %s", r->path, cl->number, strerror(-e));
	if (s->period)
		now = least + (now + s->period - least % s->period) % s->period;
	if (now < least || now > most)
		panic("%s: client %u saw %" PRIu64 "; %" PRIu64 " was done and %" PRIu64
		      " seen before, %" PRIu64 " begun after",
			r->path, cl->number, now, done, seen, most);
	raise_to(&r->seen, now);
}

static uint64_t dice(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void *work(void *arg)
{
	struct hand *h = arg;

	for (uint64_t i = 0; i < h->w->steps && !atomic_load(&h->w->stop); i++) {
		uint64_t d = dice(&h->seed);
		size_t n = d % SUBJECTS;
		unsigned int first = h->w->first;
		struct reg *r = &h->w->regs[n][first + d / 64 % (OBJECTS - first)];

		if (d / 1024 % CHANGES == 0)
			change(h->cl, &subjects[n], r);
		else
			look(h->cl, &subjects[n], r);
	}
	return NULL;
}

/* A daemon and a connection to it; all daemons share the table. */
static void connect_client(struct world *w, unsigned int i, const char *cache)
{
	struct client *cl = &w->clients[i];
	char option[128];

	cl->number = i;
	cl->c = causeway_new();
	snprintf(option, sizeof(option), "--version-table=%s", w->table);
	assert_int_equal(causeway_set(cl->c, "daemon", peer_causewayd()), 0);
	assert_int_equal(causeway_set(cl->c, "daemon-option", "--xattr"), 0);
	if (!getenv("CAUSEWAY_HAMMER_CACHE"))
	assert_int_equal(causeway_set(cl->c, "daemon-option", option), 0);
	snprintf(option, sizeof(option), "--version-slots=%s", w->slots);
	if (w->slots)
		assert_int_equal(causeway_set(cl->c, "daemon-option", option), 0);
	assert_int_equal(causeway_set(cl->c, "cache", cache), 0);
	if (causeway_share(cl->c, w->dir) < 0)
		fail_msg("%s", causeway_error(cl->c));
}

static void make_register(struct world *w, size_t subject, unsigned int object)
{
	const struct subject *s = &subjects[subject];
	struct reg *r = &w->regs[subject][object];
	int e;

	pthread_mutex_init(&r->writer, NULL);
	snprintf(r->path, sizeof(r->path), "%s-%u", s->name, object);
	e = s->make(&w->clients[0], r);
	if (e < 0)
		fail_msg("%s: %s", r->path, causeway_error(w->clients[0].c));
	for (unsigned int i = 0; s->make == make_open && i < CLIENTS; i++)
		assert_int_equal(causeway_open(w->clients[i].c, NULL, r->path, O_RDWR, 0,
			&r->file[i]), 0);
}

static struct world *begin(const char *cache, const char *slots)
{
	struct world *w = calloc(1, sizeof(*w));
	const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";

	assert_non_null(w);
	w->slots = slots;
	snprintf(w->dir, sizeof(w->dir), "%s/hammer-XXXXXX", tmp);
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->table, sizeof(w->table), "/dev/shm/hammer-XXXXXX");
	assert_non_null(mkdtemp(w->table));
	strcat(w->table, "/table");
	umask(0);
	for (unsigned int i = 0; i < CLIENTS; i++)
		connect_client(w, i, cache);
	for (size_t s = 0; s < SUBJECTS; s++) {
		for (unsigned int o = 0; o < OBJECTS; o++)
			make_register(w, s, o);
	}
	return w;
}

static void finish(struct world *w)
{
	for (size_t s = 0; s < SUBJECTS; s++) {
		for (unsigned int i = 0; i < OBJECTS * CLIENTS; i++) {
			struct causeway_file *f = w->regs[s][i / CLIENTS].file[i % CLIENTS];

			if (f)
				causeway_close(f);
		}
	}
	for (unsigned int i = 0; i < CLIENTS; i++)
		causeway_free(w->clients[i].c);
	assert_int_equal(nftw(w->dir, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	*strrchr(w->table, '/') = '\0';
	assert_int_equal(nftw(w->table, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(w);
}

static uint64_t requests(const struct world *w)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < CLIENTS; i++) {
		uint64_t n;

		assert_int_equal(causeway_get(w->clients[i].c, "requests", &n), 0);
		sum += n;
	}
	return sum;
}

static void start_hammering(struct world *w, uint64_t steps)
{
	w->before = requests(w);
	w->steps = steps / (CLIENTS * THREADS);
	for (unsigned int i = 0; i < CLIENTS * THREADS; i++) {
		struct hand *h = &w->hands[i];

		*h = (struct hand){.w = w,
			.cl = &w->clients[i % CLIENTS],
			.seed = 0x9e3779b97f4a7c15ull * (i + 1)};
		assert_int_equal(pthread_create(&h->thread, NULL, work, h), 0);
	}
}

static void end_hammering(struct world *w)
{
	for (unsigned int i = 0; i < CLIENTS * THREADS; i++)
		pthread_join(w->hands[i].thread, NULL);
}

static void hammer(struct world *w, uint64_t steps)
{
	start_hammering(w, steps);
	end_hammering(w);
	printf("%" PRIu64 " steps, %" PRIu64 " requests\n", steps, requests(w) - w->before);
}

static uint64_t how_many(void)
{
	const char *full = getenv("CAUSEWAY_FULL"), *build = getenv("CAUSEWAY_CHECK_BUILD");
	uint64_t n = full && *full ? 2000000 : 400000;

	return !build || strcmp(build, "plain") == 0 ? n : full && *full ? n / 2 : n / 8;
}

static void test_all_that_changes(void **state)
{
	struct world *w = begin("shared", NULL);

	hammer(w, how_many());
	for (size_t s = 0; s < SUBJECTS; s++) {
		uint64_t changes = 0;

		for (unsigned int o = 0; o < OBJECTS; o++) {
			assert_true(atomic_load(&w->regs[s][o].seen) > 0);
			changes += atomic_load(&w->regs[s][o].done);
		}
		printf("%s: %" PRIu64 " changes\n", subjects[s].name, changes);
	}
	finish(w);
}

/* Everything is in one slot, and changes all the time: nothing is ever kept for long, or stale. */
static void test_one_slot(void **state)
{
	struct world *w = begin("shared", "1");

	hammer(w, how_many() / 8);
	finish(w);
}

/* Poisons the table again and again, each time when another has taken the last one's place. */
struct poisoner {
	struct world *w;
	_Atomic bool done;
	_Atomic unsigned int times;
	pthread_t thread;
};

static void *poison(void *arg)
{
	struct poisoner *p = arg;
	struct vt_header head;
	uint8_t last[VT_ID_SIZE] = {0};
	const uint64_t one = 1;

	while (!atomic_load(&p->done)) {
		int fd = open(p->w->table, O_RDWR);

		if (fd >= 0 && pread(fd, &head, sizeof(head), 0) == sizeof(head) &&
			memcmp(head.id, last, sizeof(last)) != 0) {
			must(pwrite(fd, &one, sizeof(one), offsetof(struct vt_header, poison)) ==
				sizeof(one));
			memcpy(last, head.id, sizeof(last));
			p->times++;
		}
		close_fd(&fd);
		usleep(1000);
	}
	return NULL;
}

/* Clients drop what they have and agree again, while all their threads go on. */
static void test_poison(void **state)
{
	struct world *w = begin("shared", NULL);
	struct poisoner p = {.w = w};

	assert_int_equal(pthread_create(&p.thread, NULL, poison, &p), 0);
	do
		hammer(w, how_many() / 8);
	while (atomic_load(&p.times) < 3);
	atomic_store(&p.done, true);
	pthread_join(p.thread, NULL);
	printf("%u tables\n", atomic_load(&p.times));
	finish(w);
}

/*
 * A process of the host changes what both clients have in their caches, while these hammer what is
 * beside it: they see it as soon as the kernel has told the watcher. How long that takes is
 * printed; where there is one it has to be far less than without.
 */
#define HOST_ROUNDS  50
#define HOST_PATIENCE 30 /* seconds */
#define HOST_USUALLY  0.45 /* of the second that things are believed for without a watcher */

static int host_length(int dir, const char *path, uint64_t to)
{
	CLEANUP_FD int fd = openat(dir, path, O_WRONLY);

	return fd < 0 ? -1 : ftruncate(fd, (off_t)to);
}

static int host_append(int dir, const char *path, uint64_t to)
{
	CLEANUP_FD int fd = openat(dir, path, O_WRONLY | O_APPEND);

	return fd < 0 ? -1 : write(fd, "x", 1) == 1 ? 0 : -1;
}

static int host_tail(int dir, const char *path, uint64_t to)
{
	CLEANUP_FD int fd = openat(dir, path, O_WRONLY | O_APPEND);

	return fd < 0 ? -1 : write(fd, &to, sizeof(to)) == sizeof(to) ? 0 : -1;
}

static int host_mode(int dir, const char *path, uint64_t to)
{
	return fchmodat(dir, path, (mode_t)(to & 0777), 0);
}

static int host_data(int dir, const char *path, uint64_t to)
{
	CLEANUP_FD int fd = openat(dir, path, O_WRONLY);

	return fd < 0 ? -1 : pwrite(fd, &to, sizeof(to), 0) == sizeof(to) ? 0 : -1;
}

static int host_time(int dir, const char *path, uint64_t to)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)to}};

	return utimensat(dir, path, times, 0);
}

static int host_xattr(int dir, const char *path, uint64_t to)
{
	CLEANUP_FD int fd = openat(dir, path, O_RDONLY);

	return fd < 0 ? -1 : fsetxattr(fd, "user.v", &to, sizeof(to), 0);
}

static int host_has_xattr(int dir, const char *path, uint64_t to)
{
	CLEANUP_FD int fd = openat(dir, path, O_RDONLY);

	if (fd < 0)
		return -1;
	return to % 2 ? fsetxattr(fd, "user.h", "", 0, 0) : fremovexattr(fd, "user.h");
}

static int host_over(int dir, const char *path, uint64_t to)
{
	char other[64];
	CLEANUP_FD int fd = -1;

	snprintf(other, sizeof(other), "%s.host", path);
	fd = openat(dir, other, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || ftruncate(fd, (off_t)to) < 0)
		return -1;
	return renameat(dir, other, dir, path);
}

static int host_exists(int dir, const char *path, uint64_t to)
{
	return to % 2 ? mknodat(dir, path, S_IFREG | 0644, 0) : unlinkat(dir, path, 0);
}

static int host_directory(int dir, const char *path, uint64_t to)
{
	return to % 2 ? mkdirat(dir, path, 0755) : unlinkat(dir, path, AT_REMOVEDIR);
}

static int host_symlink(int dir, const char *path, uint64_t to)
{
	char other[64], target[32];

	snprintf(other, sizeof(other), "%s.host", path);
	snprintf(target, sizeof(target), "%" PRIu64, to);
	return symlinkat(target, dir, other) < 0 ? -1 : renameat(dir, other, dir, path);
}

static int host_links(int dir, const char *path, uint64_t to)
{
	char other[64];

	snprintf(other, sizeof(other), "%s.link", path);
	return to % 2 ? linkat(dir, path, dir, other, 0) : unlinkat(dir, other, 0);
}

static int host_replaced(int dir, const char *path, uint64_t to)
{
	char other[64], name[64];

	snprintf(other, sizeof(other), "%s.host", path);
	snprintf(name, sizeof(name), "%s.name", path);
	if (to % 2 && linkat(dir, path, dir, other, 0) < 0)
		return -1;
	if (to % 2 == 0 && mknodat(dir, other, S_IFREG | 0644, 0) < 0)
		return -1;
	return renameat(dir, other, dir, name);
}

static int host_listing(int dir, const char *path, uint64_t to)
{
	char from[64], name[64];

	snprintf(from, sizeof(from), "%s/%" PRIu64, path, to - 1);
	snprintf(name, sizeof(name), "%s/%" PRIu64, path, to);
	return renameat(dir, from, dir, name);
}

static int host_listed(int dir, const char *path, uint64_t to)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/0", path);
	return host_length(dir, name, to);
}

static int host_exchange(int dir, const char *path, uint64_t to)
{
	char other[64];

	snprintf(other, sizeof(other), "%s.other", path);
	return renameat2(dir, other, dir, path, RENAME_EXCHANGE);
}

static int host_moved(int dir, const char *path, uint64_t to)
{
	char here[64], there[64];

	snprintf(here, sizeof(here), "%s/here/name", path);
	snprintf(there, sizeof(there), "%s/there/name", path);
	return to % 2 ? renameat(dir, there, dir, here) : renameat(dir, here, dir, there);
}

static int host_above(int dir, const char *path, uint64_t to)
{
	char here[64], there[64];

	snprintf(here, sizeof(here), "%s/here", path);
	snprintf(there, sizeof(there), "%s/there", path);
	return to % 2 ? renameat(dir, here, dir, there) : renameat(dir, there, dir, here);
}

static const struct {
	const char *subject;
	int (*change)(int dir, const char *path, uint64_t to);
} by_host[] = {
	{"length", host_length},
	{"append", host_append},
	{"data", host_data},
	{"tail", host_tail},
	{"time", host_time},
	{"mode", host_mode},
	{"xattr", host_xattr},
	{"has-xattr", host_has_xattr},
	{"over", host_over},
	{"exists", host_exists},
	{"moved", host_moved},
	{"directory", host_directory},
	{"symlink", host_symlink},
	{"links", host_links},
	{"replaced", host_replaced},
	{"listing", host_listing},
	{"listed", host_listed},
	{"above", host_above},
	{"exchange", host_exchange},
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How long it takes until every client sees a number. */
static double seen_after(struct world *w, const struct subject *s, struct reg *r, uint64_t to)
{
	double begin = seconds();

	for (unsigned int i = 0; i < CLIENTS; i++) {
		uint64_t now, want = s->period ? to % s->period : to;

		for (;;) {
			assert_int_equal(s->look(&w->clients[i], r, &now), 0);
			if (now == want)
				break;
			if (seconds() - begin > HOST_PATIENCE)
				fail_msg("%s: client %u never saw %" PRIu64, r->path, i, to);
		}
	}
	return seconds() - begin;
}

static const struct subject *subject_of(const char *name, size_t *i)
{
	for (*i = 0; strcmp(subjects[*i].name, name) != 0; ++*i)
		;
	return &subjects[*i];
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Whether the kernel lets us watch, and so the daemons; sanitizers leave these no time to. */
static bool may_watch(const char *dir)
{
	const char *build = getenv("CAUSEWAY_CHECK_BUILD");
	CLEANUP_FD int fd = fanotify_init(FAN_REPORT_DFID_NAME | FAN_REPORT_FID, 0);

	if (fd < 0 || (build && strcmp(build, "plain") != 0))
		return false;
	return fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_ATTRIB, AT_FDCWD,
		       dir) == 0;
}

static void test_a_process_of_the_host(void **state)
{
	struct world *w = begin("shared", NULL);
	int dir = open(w->dir, O_RDONLY | O_DIRECTORY);
	bool watched = may_watch(w->dir);

	w->first = 1;
	start_hammering(w, UINT64_MAX);
	for (size_t n = 0; n < ARRAY_SIZE(by_host); n++) {
		double took[HOST_ROUNDS];
		unsigned int rounds = HOST_ROUNDS;
		size_t i;
		const struct subject *s = subject_of(by_host[n].subject, &i);
		struct reg *r = &w->regs[i][0];

		seen_after(w, s, r, 0);
		for (unsigned int round = 0; round < rounds; round++) {
			assert_int_equal(by_host[n].change(dir, r->path, round + 1), 0);
			took[round] = seen_after(w, s, r, round + 1);
			/* Nobody may watch here: it is seen by time. */
			if (took[round] > 0.5)
				rounds = min_t(unsigned int, rounds, round + 3);
		}
		qsort(took, rounds, sizeof(*took), by_time);
		printf("%-9s seen after %.0f us, at most %.0f\n", s->name,
			took[rounds / 2] * 1e6, took[rounds - 1] * 1e6);
		assert_true(!watched || took[rounds / 2] < HOST_USUALLY);
	}
	atomic_store(&w->stop, true);
	end_hammering(w);
	close(dir);
	finish(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_that_changes),
		cmocka_unit_test(test_one_slot),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_a_process_of_the_host),
	};

	unit_alone_with_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
