// SPDX-License-Identifier: BSD-2-Clause
/*
 * Locks through the library: of owners, of handles, against the host; waited for, interrupted,
 * dropped. QEMU's daemon does not wait for locks, and does not tell who has one.
 */
#include "world.h"

#include <pthread.h>
#include <signal.h>
#include <sys/file.h>

static const char *const with_locks[] = {
	"daemon-option", "--posix-lock", "daemon-option", "--flock", "queues", "2", NULL};

static int set_up_locks(void **state)
{
	int r = world_enter(state, with_locks);

	put("f", "hello, world");
	return r;
}

static struct flock range(int type, off_t start, off_t len)
{
	return (struct flock){
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int lock(struct causeway_file *f, uint64_t owner, int type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);

	return causeway_setlk(f, owner, &l);
}

/* Whether the host, through a description of its own, could lock for writing. */
static bool host_may_lock(off_t start, off_t len)
{
	struct flock l = range(F_WRLCK, start, len);
	CLEANUP_FD int fd = open("f", O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_GETLK, &l), 0);
	return l.l_type == F_UNLCK;
}

static void test_owners(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR), *g = must_open("f", O_RDWR);
	struct flock l;

	assert_good(lock(f, 1, F_WRLCK, 10, 10));
	assert_int_equal(lock(f, 2, F_WRLCK, 19, 1), -EAGAIN);
	assert_int_equal(lock(g, 2, F_RDLCK, 0, 0), -EAGAIN);
	assert_good(lock(g, 2, F_WRLCK, 20, 0));
	assert_false(host_may_lock(10, 1));
	assert_false(host_may_lock(1 << 20, 1));
	assert_true(host_may_lock(0, 10));
	assert_good(lock(f, 1, F_UNLCK, 10, 5));
	assert_true(host_may_lock(10, 5));
	assert_false(host_may_lock(15, 1));
	l = range(F_WRLCK, 12, 100);
	assert_good(causeway_getlk(g, 3, &l));
	assert_int_equal(l.l_type, F_WRLCK);
	if (peer->kind == PEER_CAUSEWAYD) {
		assert_int_equal(l.l_start, 15);
		assert_int_equal(l.l_len, 5);
		assert_int_equal(l.l_pid, getpid());
	}
	l = range(F_RDLCK, 0, 15);
	assert_good(causeway_getlk(g, 3, &l));
	assert_int_equal(l.l_type, F_UNLCK);
	causeway_close(f);
	/* The owner that used this handle has no locks on the file any more; the other one has. */
	assert_true(host_may_lock(0, 20));
	assert_false(host_may_lock(20, 1));
	causeway_close(g);
	assert_true(host_may_lock(0, 0));
}

static void test_ranges(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR);
	struct flock l = range(F_WRLCK, 0, 0);

	/* The file has 12 bytes: 10 and 11. */
	l.l_whence = SEEK_END;
	l.l_start = -2;
	l.l_len = 2;
	assert_good(causeway_setlk(f, 1, &l));
	assert_true(host_may_lock(0, 10) && host_may_lock(12, 0));
	assert_false(host_may_lock(10, 1));
	assert_false(host_may_lock(11, 1));
	/* From the position backwards: 2 to 4. */
	assert_int_equal(causeway_lseek(f, 5, SEEK_SET), 5);
	l.l_whence = SEEK_CUR;
	l.l_start = 0;
	l.l_len = -3;
	assert_good(causeway_setlk(f, 1, &l));
	assert_true(host_may_lock(0, 2) && host_may_lock(5, 5));
	assert_false(host_may_lock(2, 1));
	assert_false(host_may_lock(4, 1));
	l.l_len = -6;
	assert_int_equal(causeway_setlk(f, 1, &l), -EINVAL);
	l = range(F_WRLCK, INT64_MAX, 2);
	assert_int_equal(causeway_setlk(f, 1, &l), -EOVERFLOW);
	assert_int_equal(lock(f, 1, F_WRLCK, -1, 0), -EINVAL);
	assert_int_equal(lock(f, 1, 77, 0, 0), -EINVAL);
	assert_int_equal(lock(f, 0, F_WRLCK, 0, 0), -EINVAL);
	l = range(F_WRLCK, 0, 0);
	l.l_whence = 77;
	assert_int_equal(causeway_setlk(f, 1, &l), -EINVAL);
	causeway_close(f);
	f = must_open("f", O_RDONLY);
	assert_int_equal(lock(f, 1, F_WRLCK, 0, 0), -EBADF);
	assert_good(lock(f, 1, F_RDLCK, 0, 0));
	assert_false(host_may_lock(0, 1));
	causeway_close(f);
	assert_true(host_may_lock(0, 0));
	f = must_open("f", O_PATH);
	assert_int_equal(lock(f, 1, F_RDLCK, 0, 0), -EBADF);
	assert_int_equal(causeway_flock(f, LOCK_SH, NULL), -EBADF);
	causeway_close(f);
}

static void test_flock(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR), *g = must_open("f", O_RDONLY);
	int fd = open("f", O_RDWR);

	assert_true(fd >= 0);
	assert_good(causeway_flock(f, LOCK_SH | LOCK_NB, NULL));
	assert_good(causeway_flock(g, LOCK_SH | LOCK_NB, NULL));
	assert_int_equal(causeway_flock(f, LOCK_EX | LOCK_NB, NULL), -EAGAIN);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_good(causeway_flock(g, LOCK_UN, NULL));
	assert_good(causeway_flock(f, LOCK_EX | LOCK_NB, NULL));
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
	assert_int_equal(causeway_flock(f, 77, NULL), -EINVAL);
	causeway_close(f);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	causeway_close(g);
	close(fd);
}

static void test_not_offered(void **state)
{
	struct causeway_file *f;

	tear_down(state);
	set_up(state);
	put("f", "x");
	f = must_open("f", O_RDWR);
	if (peer->kind == PEER_CAUSEWAYD) {
		assert_int_equal(lock(f, 1, F_WRLCK, 0, 0), -EOPNOTSUPP);
		assert_string_equal(causeway_error(peer->c),
			"the back-end takes no locks of fcntl(2); causewayd does with "
			"--posix-lock");
		assert_int_equal(causeway_flock(f, LOCK_SH, NULL), -EOPNOTSUPP);
	}
	causeway_close(f);
}

/* A thread that waits for a lock. */
struct waiter {
	struct causeway_file *f;
	struct causeway_token *token;
	uint64_t owner; /* 0: the handle */
	pthread_t thread;
	int result;
};

static void *wait_for_lock(void *arg)
{
	struct flock all = range(F_WRLCK, 0, 0);
	struct waiter *w = arg;

	w->result = w->owner ? causeway_setlkw(w->f, w->owner, &all, w->token)
			     : causeway_flock(w->f, LOCK_EX, w->token);
	return NULL;
}

static void start_waiting(struct waiter *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_lock, w), 0);
}

static int end_of(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	return w->result;
}

static bool is_waiter(int pid, const char *thread)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.10s/comm", pid, thread);
	f = fopen(path, "r");
	if (!f)
		return false;
	name[fread(name, 1, sizeof(name) - 1, f)] = '\0';
	fclose(f);
	return strcmp(name, "lock wait\n") == 0;
}

/* Until so many threads of causewayd wait for locks. */
static void await_waiters(unsigned int want)
{
	int pid = peer_serving(peer);
	char path[64];
	unsigned int n;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	for (;;) {
		DIR *dir = opendir(path);
		struct dirent *d;

		assert_non_null(dir);
		for (n = 0; (d = readdir(dir));)
			n += is_waiter(pid, d->d_name);
		closedir(dir);
		if (n == want)
			break;
		usleep(1000);
	}
}

/* What waits gets its lock when it is free. */
static void test_waiting(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR), *g = must_open("f", O_RDWR);
	struct waiter range_waiter = {.f = g, .owner = 2}, handle_waiter = {.f = g};

	if (peer->kind == PEER_VIRTIOFSD)
		goto out;
	assert_good(lock(f, 1, F_RDLCK, 3, 1));
	assert_good(causeway_flock(f, LOCK_SH, NULL));
	start_waiting(&range_waiter);
	start_waiting(&handle_waiter);
	await_waiters(2);
	/* Others are served meanwhile, on both queues. */
	assert_int_equal(causeway_pwrite(f, "x", 1, 0), 1);
	assert_good(lock(f, 1, F_UNLCK, 0, 0));
	assert_good(end_of(&range_waiter));
	assert_int_equal(lock(f, 1, F_RDLCK, 0, 1), -EAGAIN);
	await_waiters(1);
	/* Closing drops the handle's lock. */
	causeway_close(f);
	f = NULL;
	assert_good(end_of(&handle_waiter));
out:
	causeway_close(f);
	causeway_close(g);
}

static void test_interrupt(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR), *g = must_open("f", O_RDWR);
	struct causeway *other = causeway_new();
	struct causeway_token *token = causeway_token_new(peer->c);
	struct waiter waiters[3] = {{.owner = 2}, {.owner = 3}, {.owner = 0}};

	assert_non_null(token);
	if (peer->kind == PEER_VIRTIOFSD)
		goto out;
	assert_good(lock(f, 1, F_WRLCK, 0, 0));
	assert_good(causeway_flock(f, LOCK_EX, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(waiters); i++) {
		waiters[i].f = g;
		waiters[i].token = token;
		start_waiting(&waiters[i]);
	}
	await_waiters(3);
	causeway_interrupt(token);
	for (size_t i = 0; i < ARRAY_SIZE(waiters); i++)
		assert_int_equal(end_of(&waiters[i]), -EINTR);
	await_waiters(0);
	/* From now on nothing waits with it, but what need not wait is not hurt. */
	start_waiting(&waiters[0]);
	assert_int_equal(end_of(&waiters[0]), -EINTR);
	assert_good(lock(f, 1, F_UNLCK, 0, 0));
	assert_good(lock(g, 2, F_WRLCK, 0, 0));
	causeway_token_free(token);
	token = causeway_token_new(other);
	waiters[0].token = token;
	start_waiting(&waiters[0]);
	assert_int_equal(end_of(&waiters[0]), -EINVAL);
out:
	causeway_token_free(token);
	causeway_free(other);
	causeway_close(f);
	causeway_close(g);
}

/* Interrupted at any moment: before, while it is on the way, when it waits. */
static void test_interrupt_races(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR), *g = must_open("f", O_RDWR);

	if (peer->kind == PEER_CAUSEWAYD)
		assert_good(lock(f, 1, F_WRLCK, 0, 0));
	for (int i = 0; i < 300 && peer->kind == PEER_CAUSEWAYD; i++) {
		struct causeway_token *token = causeway_token_new(peer->c);
		struct waiter w = {.f = g, .owner = 2, .token = token};

		assert_non_null(token);
		start_waiting(&w);
		for (int k = 0; k < i % 50; k++)
			sched_yield();
		causeway_interrupt(token);
		assert_int_equal(end_of(&w), -EINTR);
		causeway_token_free(token);
	}
	causeway_close(f);
	causeway_close(g);
}

/* The daemon goes while a lock is waited for. */
static void test_lost(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR);
	struct waiter w = {.f = f, .owner = 2};
	uint64_t pid;

	if (peer->kind == PEER_CAUSEWAYD) {
		assert_good(lock(f, 1, F_WRLCK, 0, 0));
		start_waiting(&w);
		await_waiters(1);
		assert_int_equal(causeway_get(peer->c, "daemon-pid", &pid), 0);
		assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
		assert_int_equal(end_of(&w), -ENOTCONN);
	}
	causeway_close(f);
}

#define LOCK_CASE(f) cmocka_unit_test_setup_teardown(f, set_up_locks, tear_down)

int main(void)
{
	struct CMUnitTest tests[] = {
		LOCK_CASE(test_owners),
		LOCK_CASE(test_ranges),
		LOCK_CASE(test_flock),
		LOCK_CASE(test_not_offered),
		LOCK_CASE(test_waiting),
		LOCK_CASE(test_interrupt),
		LOCK_CASE(test_interrupt_races),
		LOCK_CASE(test_lost),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
