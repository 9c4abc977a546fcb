// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Waiting for locks: granted, ended, refused, not heard; and all of it at once from several
 * threads.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>

#include "base/log.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define OWNERS 5
#define ROUNDS 150

/* Somebody who waits, and what came of it. */
struct waiter {
	struct fs_wait wait;
	sem_t done;
	_Atomic bool begun;
	int result;
	bool heard; /* what done() returns */
};

static const struct passthrough_config config = {.locks = true};
static struct fs *fs;
static char directory[64];
static int fds_before;
static struct fs_target file;

static struct fs_target open_file(const char *name, int flags)
{
	struct fs_entry entry;
	struct fs_target t = {.has_handle = true};
	struct fs_opened opened = {0};

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, name, &entry), 0);
	t.node = entry.node;
	assert_int_equal(fs->ops->open(fs, t.node, flags, false, &t.handle, &opened), 0);
	return t;
}

static int setup(void **state)
{
	int fd;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	fd = open("export/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	fds_before = unit_open_fds();
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	file = open_file("file", O_RDWR);
	return 0;
}

static int teardown(void **state)
{
	passthrough_free(fs);
	assert_int_equal(unit_open_fds(), fds_before);
	unit_leave_directory(directory);
	return 0;
}

static bool begin(struct fs_wait *wait)
{
	container_of(wait, struct waiter, wait)->begun = true;
	return true;
}

static bool done(struct fs_wait *wait, int result)
{
	struct waiter *w = container_of(wait, struct waiter, wait);
	bool heard = w->heard;

	w->result = result;
	sem_post(&w->done);
	return heard;
}

static void prepare(struct waiter *w, uint64_t id, const void *origin)
{
	*w = (struct waiter){
		.wait = {.begin = begin, .done = done, .id = id, .origin = origin},
		.heard = true,
	};
	sem_init(&w->done, 0, 0);
}

static int set(uint64_t owner, int type, uint64_t start, uint64_t end, struct waiter *w)
{
	struct fs_lock lock = {.type = type, .owner = owner, .start = start, .end = end, .pid = 7};

	return fs->ops->setlk(fs, &file, &lock, w ? &w->wait : NULL);
}

static int set_flock(const struct fs_target *t, int type, struct waiter *w)
{
	struct fs_lock lock = {.flock = true, .type = type, .end = INT64_MAX};

	return fs->ops->setlk(fs, t, &lock, w ? &w->wait : NULL);
}

static int result(struct waiter *w)
{
	sem_wait(&w->done);
	return w->result;
}

static bool is_free(void)
{
	struct fs_lock lock = {.type = F_WRLCK, .owner = 99999, .end = INT64_MAX};

	assert_int_equal(fs->ops->getlk(fs, &file, &lock), 0);
	return lock.type == F_UNLCK;
}

/* Nothing is locked, nobody waits, and the threads that did are gone. */
static bool is_empty(void)
{
	struct pt_locks *locks = &pt_of(fs)->locks;
	bool empty;

	pthread_mutex_lock(&locks->lock);
	empty = locks->owners == 0 && locks->ranges == 0 && locks->waits == 0;
	pthread_mutex_unlock(&locks->lock);
	return empty;
}

static void yield_until(bool (*condition)(void))
{
	while (!condition())
		sched_yield();
}

static void test_granted(void **state)
{
	struct waiter w;

	prepare(&w, 1, NULL);
	assert_int_equal(set(1, F_WRLCK, 0, 9, &w), 0);
	assert_false(w.begun);
	assert_int_equal(set(2, F_WRLCK, 5, 5, NULL), -EAGAIN);
	assert_int_equal(set(2, F_WRLCK, 5, 5, &w), FS_WAITS);
	assert_true(w.begun);
	assert_int_equal(set(1, F_UNLCK, 0, 4, NULL), 0);
	assert_int_equal(sem_trywait(&w.done), -1);
	assert_int_equal(set(1, F_UNLCK, 5, 5, NULL), 0);
	assert_int_equal(result(&w), 0);
	assert_int_equal(set(1, F_WRLCK, 5, 5, NULL), -EAGAIN);
	assert_int_equal(set(1, F_WRLCK, 6, 9, NULL), 0);
}

/* Signals that come for nobody end no wait. */
static void test_stray_signals(void **state)
{
	struct waiter w;

	prepare(&w, 1, NULL);
	assert_int_equal(set(1, F_WRLCK, 0, 9, NULL), 0);
	assert_int_equal(set(2, F_WRLCK, 0, 9, &w), FS_WAITS);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(kill(getpid(), PT_LOCK_SIGNAL), 0);
		sched_yield();
	}
	assert_int_equal(sem_trywait(&w.done), -1);
	assert_int_equal(set(1, F_UNLCK, 0, 9, NULL), 0);
	assert_int_equal(result(&w), 0);
}

/* Nobody hears: the lock is not kept. */
static void test_not_heard(void **state)
{
	struct fs_target other = open_file("file", O_RDONLY);
	struct waiter w;

	prepare(&w, 1, NULL);
	w.heard = false;
	assert_int_equal(set(1, F_WRLCK, 0, 9, NULL), 0);
	assert_int_equal(set(2, F_WRLCK, 0, 9, &w), FS_WAITS);
	assert_int_equal(set(1, F_UNLCK, 0, 9, NULL), 0);
	assert_int_equal(result(&w), 0);
	yield_until(is_free);
	prepare(&w, 1, NULL);
	w.heard = false;
	assert_int_equal(set_flock(&other, F_WRLCK, NULL), 0);
	assert_int_equal(set_flock(&file, F_RDLCK, &w), FS_WAITS);
	assert_int_equal(set_flock(&other, F_UNLCK, NULL), 0);
	assert_int_equal(result(&w), 0);
	while (set_flock(&other, F_WRLCK, NULL) != 0)
		sched_yield();
}

/* By its id, by its origin, with its handle, and all; each only those that are meant. */
static void test_ended(void **state)
{
	struct fs_target other = open_file("file", O_RDWR);
	static char here, there;
	struct waiter w[4];

	assert_int_equal(set(1, F_WRLCK, 0, 9, NULL), 0);
	assert_int_equal(set_flock(&file, F_WRLCK, NULL), 0);
	prepare(&w[0], 10, &here);
	prepare(&w[1], 11, &here);
	prepare(&w[2], 12, &there);
	prepare(&w[3], 13, &there);
	for (int i = 0; i < 3; i++)
		assert_int_equal(set(2 + (uint64_t)i, F_RDLCK, 0, 9, &w[i]), FS_WAITS);
	assert_int_equal(set_flock(&other, F_RDLCK, &w[3]), FS_WAITS);
	fs->ops->end_waits(fs, NULL, 11);
	assert_int_equal(sem_trywait(&w[1].done), 0);
	assert_int_equal(w[1].result, -EINTR);
	fs->ops->end_waits(fs, &here, 0);
	assert_int_equal(sem_trywait(&w[0].done), 0);
	assert_int_equal(w[0].result, -EINTR);
	assert_int_equal(sem_trywait(&w[2].done), -1);
	assert_int_equal(fs->ops->release(fs, other.handle), 0);
	assert_int_equal(sem_trywait(&w[3].done), 0);
	assert_int_equal(w[3].result, -EINTR);
	fs->ops->reset(fs);
	assert_int_equal(sem_trywait(&w[2].done), 0);
	assert_int_equal(w[2].result, -EINTR);
	file = open_file("file", O_RDWR);
	assert_true(is_free());
}

/* What ends a wait may come before it; a new guest uses the same numbers again. */
static void test_ended_early(void **state)
{
	struct waiter w;

	fs->ops->end_waits(fs, NULL, 77);
	assert_int_equal(set(1, F_WRLCK, 0, 9, NULL), 0);
	prepare(&w, 77, NULL);
	assert_int_equal(set(2, F_WRLCK, 0, 9, &w), FS_WAITS);
	assert_int_equal(result(&w), -EINTR);
	fs->ops->reset(fs);
	file = open_file("file", O_RDWR);
	assert_int_equal(set(1, F_WRLCK, 0, 9, NULL), 0);
	prepare(&w, 77, NULL);
	assert_int_equal(set(2, F_WRLCK, 0, 9, &w), FS_WAITS);
	assert_int_equal(set(1, F_UNLCK, 0, 9, NULL), 0);
	assert_int_equal(result(&w), 0);
}

/* Two threads of one process: what one of them unlocks, a wait of the other gets again. */
static void test_same_owner(void **state)
{
	struct waiter w;

	prepare(&w, 1, NULL);
	assert_int_equal(set(1, F_WRLCK, 0, 0, NULL), 0);
	assert_int_equal(set(2, F_WRLCK, 0, 9, &w), FS_WAITS);
	assert_int_equal(set(2, F_WRLCK, 5, 9, NULL), 0);
	assert_int_equal(fs->ops->flush(fs, &file, 2), 0);
	assert_int_equal(set(3, F_WRLCK, 5, 9, NULL), 0);
	assert_int_equal(set(1, F_UNLCK, 0, 0, NULL), 0);
	assert_int_equal(sem_trywait(&w.done), -1);
	assert_int_equal(set(3, F_UNLCK, 5, 9, NULL), 0);
	assert_int_equal(result(&w), 0);
	assert_int_equal(set(3, F_RDLCK, 0, 0, NULL), -EAGAIN);
}

static bool is_of_root(const char *status)
{
	char line[200];
	FILE *f = fopen(status, "r");
	bool root = false;

	while (f && fgets(line, sizeof(line), f))
		root = root || strcmp(line, "Uid:\t0\t0\t0\t0\n") == 0;
	if (f)
		fclose(f);
	return root;
}

/* Whoever asked, the thread that waits is the daemon's. */
static void test_credentials(void **state)
{
	struct fs_caller somebody = {.uid = 1234, .gid = 1234, .umask = 077};
	struct dirent *d;
	struct waiter w;
	DIR *tasks;
	int n = 0;

	if (geteuid() != 0)
		skip();
	prepare(&w, 1, NULL);
	assert_int_equal(set(1, F_WRLCK, 0, 0, NULL), 0);
	assert_int_equal(cred_be_caller(&somebody), 0);
	assert_int_equal(set(2, F_WRLCK, 0, 0, &w), FS_WAITS);
	tasks = opendir("/proc/self/task");
	while ((d = readdir(tasks))) {
		char status[300];

		if (d->d_name[0] == '.')
			continue;
		snprintf(status, sizeof(status), "/proc/self/task/%s/status", d->d_name);
		assert_true(is_of_root(status));
		n++;
	}
	closedir(tasks);
	assert_true(n >= 2);
	assert_int_equal(set(1, F_UNLCK, 0, 0, NULL), 0);
	assert_int_equal(result(&w), 0);
}

static _Atomic int inside;
static _Atomic bool racing;
static _Atomic unsigned int ended;

/* Takes the lock, alone, again and again. Each wait has a number that tells the owner. */
static void *lock_and_unlock(void *arg)
{
	uint64_t owner = (uint64_t)(uintptr_t)arg;
	uint32_t seed = (uint32_t)owner * 7919;

	for (int i = 0; i < ROUNDS; i++) {
		struct waiter w;
		int r;

		prepare(&w, owner, &racing);
		r = set(owner, F_WRLCK, 0, unit_random(&seed) % 3, &w);
		if (r == FS_WAITS)
			r = result(&w);
		must(r == 0 || r == -EINTR);
		sem_destroy(&w.done);
		if (r < 0) {
			ended++;
			continue;
		}
		must(atomic_fetch_add(&inside, 1) == 0);
		sched_yield();
		must(atomic_fetch_sub(&inside, 1) == 1);
		must(set(owner, F_UNLCK, 0, INT64_MAX, NULL) == 0);
	}
	return NULL;
}

static void *end_some(void *arg)
{
	uint32_t seed = 99;

	while (racing) {
		uint32_t turn = unit_random(&seed) % 256;

		if (turn == 0)
			fs->ops->end_waits(fs, &racing, 0);
		else if (turn <= OWNERS)
			fs->ops->end_waits(fs, NULL, turn);
		sched_yield();
	}
	return NULL;
}

/* Locks exclude and come to an end while others end waits, and a process of the host joins in. */
static void test_race(void **state)
{
	pthread_t thread[OWNERS], ender;
	int fd = open("export/file", O_RDWR | O_CLOEXEC);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	assert_true(fd >= 0);
	racing = true;
	assert_int_equal(pthread_create(&ender, NULL, end_some, NULL), 0);
	for (uintptr_t i = 0; i < OWNERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, lock_and_unlock,
			(void *)(i + 1)), 0);
	for (int i = 0; i < ROUNDS; i++) {
		l.l_type = F_WRLCK;
		assert_int_equal(fcntl(fd, F_OFD_SETLKW, &l), 0);
		assert_int_equal(atomic_fetch_add(&inside, 1), 0);
		sched_yield();
		assert_int_equal(atomic_fetch_sub(&inside, 1), 1);
		l.l_type = F_UNLCK;
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	}
	for (int i = 0; i < OWNERS; i++)
		pthread_join(thread[i], NULL);
	racing = false;
	pthread_join(ender, NULL);
	close(fd);
	print_message("%u waits of %d were ended\n", ended, OWNERS * ROUNDS);
	assert_true(is_free());
	yield_until(is_empty);
}

/* Resets meet locks that are taken and waited for: nothing is left. */
static void *lock_until_told(void *arg)
{
	uint64_t owner = (uint64_t)(uintptr_t)arg;

	while (racing) {
		struct waiter w;
		int r;

		prepare(&w, owner, &racing);
		r = set(owner, F_WRLCK, 0, 9, &w);
		if (r == FS_WAITS)
			r = result(&w);
		must(r == 0 || r == -EINTR || r == -EBADF || r == -ESTALE);
		sem_destroy(&w.done);
		if (r == 0 && owner % 2 == 0)
			set(owner, F_UNLCK, 0, 9, NULL);
	}
	return NULL;
}

static void test_reset_race(void **state)
{
	for (int i = 0; i < 30; i++) {
		struct fs_target old = file;
		pthread_t thread[OWNERS];

		racing = true;
		for (uintptr_t k = 0; k < OWNERS; k++)
			assert_int_equal(pthread_create(&thread[k], NULL, lock_until_told,
				(void *)(k + 1)), 0);
		while (pt_of(fs)->locks.owners == 0)
			sched_yield();
		if (i % 2)
			fs->ops->release(fs, file.handle);
		else
			fs->ops->reset(fs);
		racing = false;
		for (int k = 0; k < OWNERS; k++)
			pthread_join(thread[k], NULL);
		yield_until(is_empty);
		file = open_file("file", O_RDWR);
		assert_int_not_equal(file.handle, old.handle);
		assert_true(is_free());
	}
}

/* A guest that hears of its lock may ask for more at once, before the thread that waited is
 * gone. */
struct eager {
	struct waiter w;
	struct fs_target reader, writer;
	int then; /* what came of it */
};

static int set_through(const struct fs_target *t, int type, uint64_t start, struct fs_wait *wait)
{
	struct fs_lock lock = {.type = type, .owner = 2, .start = start, .end = start, .pid = 7};

	return fs->ops->setlk(fs, t, &lock, wait);
}

static bool done_and_more(struct fs_wait *wait, int result)
{
	struct eager *e = container_of(wait, struct eager, w.wait);

	/* One for writing, which its description for reading does not allow. */
	e->then = set_through(&e->writer, F_WRLCK, 20, NULL);
	return done(wait, result);
}

static void test_asks_at_once(void **state)
{
	struct eager e;

	prepare(&e.w, 1, NULL);
	e.w.wait.done = done_and_more;
	e.reader = open_file("file", O_RDONLY);
	e.writer = open_file("file", O_RDWR);
	assert_int_equal(set(1, F_WRLCK, 0, 9, NULL), 0);
	assert_int_equal(set_through(&e.reader, F_RDLCK, 5, &e.w.wait), FS_WAITS);
	assert_int_equal(set(1, F_UNLCK, 0, 9, NULL), 0);
	assert_int_equal(result(&e.w), 0);
	assert_int_equal(e.then, 0);
	assert_int_equal(fs->ops->release(fs, e.reader.handle), 0);
	assert_int_equal(fs->ops->release(fs, e.writer.handle), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_asks_at_once),
		CASE(test_granted),
		CASE(test_stray_signals),
		CASE(test_not_heard),
		CASE(test_ended),
		CASE(test_ended_early),
		CASE(test_same_owner),
		CASE(test_credentials),
		CASE(test_race),
		CASE(test_reset_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
