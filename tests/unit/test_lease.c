// SPDX-License-Identifier: BSD-2-Clause
/* check: builds=plain,asan,tsan
 *
 * Leases: another process opens and truncates files, and waits until it may. The files are memfds:
 * on every host they can be leased. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "dax/lease.h"

/* What hangs ends so; the kernel takes a lease away by itself after 45 seconds. */
#define LIMIT 40

/* The other process: does what it is told, and answers. */
struct order {
	char what; /* 'o' open, 't' truncate, 'n' open without waiting */
	int flags;
	int fd; /* as we know it */
};
static int orders, answers;
static pid_t other;

static int obey(const struct order *order)
{
	char path[64];
	int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getppid(), order->fd);
	if (order->what == 't')
		return truncate(path, order->flags) < 0 ? -errno : 0;
	fd = open(path, order->flags | O_CLOEXEC | (order->what == 'n' ? O_NONBLOCK : 0));
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static _Noreturn void be_other(int in, int out)
{
	struct order order;

	while (read(in, &order, sizeof(order)) == sizeof(order)) {
		int r;

		alarm(LIMIT);
		r = obey(&order);
		alarm(0);
		if (write(out, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

/* Before the first thread. */
static void start_other(void)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		abort();
	other = fork();
	if (other == 0) {
		close(in[1]);
		be_other(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	orders = in[1];
	answers = out[0];
}

static void tell(char what, int flags, int fd)
{
	const struct order order = {.what = what, .flags = flags, .fd = fd};

	assert_int_equal(write(orders, &order, sizeof(order)), sizeof(order));
}

static int answer(void)
{
	int r;

	assert_int_equal(read(answers, &r, sizeof(r)), sizeof(r));
	return r;
}

static bool has_answered(int patience)
{
	struct pollfd fd = {.fd = answers, .events = POLLIN};

	return poll(&fd, 1, patience) > 0;
}

/* A file, and what became of its lease. */
struct leased {
	struct leases *leases;
	int fd;
	atomic_uint broken;
	int patience;      /* milliseconds */
	bool was_answered; /* before broken() had returned */
	bool was_ended;    /* the same */
	atomic_bool begun, ended;
	pthread_mutex_t *gate;
};

static void on_broken(void *opaque)
{
	struct leased *l = opaque;

	atomic_store(&l->begun, true);
	if (l->gate) {
		pthread_mutex_lock(l->gate);
		pthread_mutex_unlock(l->gate);
	}
	/* Whoever waits gets no answer meanwhile; one that is wrong would come within this time. */
	l->was_answered |= has_answered(l->patience);
	l->was_ended |= atomic_load(&l->ended);
	atomic_fetch_add(&l->broken, 1);
}

static struct leased make(struct leases *leases)
{
	CLEANUP_FD int memory = memfd_create("leased", MFD_CLOEXEC);
	struct leased l = {.leases = leases};
	char path[64];

	assert_int_equal(ftruncate(memory, 8192), 0);
	/* The kernel counts only what was opened by a path. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	l.fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(l.fd >= 0);
	return l;
}

static struct leases *start(void)
{
	struct leases *leases = NULL;

	assert_int_equal(leases_start(&leases), 0);
	return leases;
}

static void test_opens_and_truncations_wait(void **state)
{
	static const struct order orders_[] = {
		{.what = 'o', .flags = O_RDONLY},
		{.what = 'o', .flags = O_RDWR},
		{.what = 'o', .flags = O_WRONLY | O_TRUNC},
		{.what = 't', .flags = 100},
	};
	struct leases *leases = start();

	for (size_t i = 0; i < ARRAY_SIZE(orders_); i++) {
		struct leased l = make(leases);

		l.patience = 20;
		assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
		tell(orders_[i].what, orders_[i].flags, l.fd);
		assert_int_equal(answer(), 0);
		assert_int_equal(atomic_load(&l.broken), 1);
		assert_false(l.was_answered);
		/* It may be had again. */
		assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
		tell(orders_[i].what, orders_[i].flags, l.fd);
		assert_int_equal(answer(), 0);
		assert_int_equal(atomic_load(&l.broken), 2);
		assert_false(l.was_answered);
		lease_end(leases, l.fd);
		close(l.fd);
	}
	leases_stop(leases);
}

static void test_read_leases(void **state)
{
	struct leases *leases = start();
	struct leased l = make(leases);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", l.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* We have it open for writing ourselves. */
	assert_int_equal(lease_take(leases, fd, on_broken, &l), -EAGAIN);
	close(l.fd);
	assert_int_equal(lease_take(leases, fd, on_broken, &l), 0);
	tell('o', O_RDONLY, fd);
	assert_int_equal(answer(), 0);
	assert_int_equal(atomic_load(&l.broken), 0);
	tell('o', O_RDWR, fd);
	assert_int_equal(answer(), 0);
	assert_int_equal(atomic_load(&l.broken), 1);
	close(fd);
	leases_stop(leases);
}

static void test_what_cannot_be_had(void **state)
{
	struct leases *leases = start();
	struct leased l = make(leases);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", l.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(lease_take(leases, l.fd, on_broken, &l), -EAGAIN);
	close(fd);
	/* Our own duplicates are the same description. */
	fd = fcntl(l.fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
	close(fd);
	lease_end(leases, l.fd);
	assert_int_equal(lease_take(leases, answers, on_broken, &l), -EINVAL);
	assert_int_equal(lease_take(leases, -1, on_broken, &l), -EBADF);
	close(l.fd);
	leases_stop(leases);
}

static void test_given_back(void **state)
{
	struct leases *leases = start();
	struct leased l = make(leases);

	assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
	lease_end(leases, l.fd);
	lease_end(leases, l.fd);
	assert_int_equal(fcntl(l.fd, F_GETLEASE), F_UNLCK);
	tell('o', O_RDWR, l.fd);
	assert_int_equal(answer(), 0);
	assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
	leases_stop(leases);
	assert_int_equal(fcntl(l.fd, F_GETLEASE), F_UNLCK);
	tell('o', O_RDWR, l.fd);
	assert_int_equal(answer(), 0);
	assert_int_equal(atomic_load(&l.broken), 0);
	close(l.fd);
}

static void *end_lease(void *opaque)
{
	struct leased *l = opaque;

	lease_end(l->leases, l->fd);
	atomic_store(&l->ended, true);
	return NULL;
}

/* The end of a lease waits for a broken() that runs. */
static void test_end_waits(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct leases *leases = start();
	struct leased l = make(leases);
	pthread_t ending;

	l.gate = &gate;
	for (unsigned int i = 0; i < 50; i++) {
		atomic_store(&l.begun, false);
		atomic_store(&l.ended, false);
		assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
		pthread_mutex_lock(&gate);
		tell('o', O_RDWR, l.fd);
		while (!atomic_load(&l.begun))
			sched_yield();
		assert_int_equal(pthread_create(&ending, NULL, end_lease, &l), 0);
		for (unsigned int turns = 0; turns < 100; turns++)
			sched_yield();
		pthread_mutex_unlock(&gate);
		pthread_join(ending, NULL);
		assert_int_equal(atomic_load(&l.broken), i + 1);
		assert_false(l.was_ended);
		assert_int_equal(answer(), 0);
	}
	close(l.fd);
	leases_stop(leases);
}

/* Somebody opens at every moment while leases are taken: no break is lost, which would have him
 * wait until the kernel loses patience. */
static void test_breaks_while_taken(void **state)
{
	struct leases *leases = start();
	struct leased l = make(leases);
	unsigned int taken = 0;

	while (taken < 300) {
		int r;

		tell('o', O_RDWR, l.fd);
		do
			r = lease_take(leases, l.fd, on_broken, &l);
		while (r == -EAGAIN && !has_answered(0));
		taken += r == 0;
		assert_int_equal(answer(), 0);
		lease_end(leases, l.fd);
	}
	assert_true(atomic_load(&l.broken) <= taken);
	close(l.fd);
	leases_stop(leases);
}

/* A signal that is read late may be of a lease that was given back since, and had again. */
static void test_signal_of_a_former_lease(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct leases *leases = start();
	struct leased busy = make(leases), l = make(leases);

	busy.gate = &gate;
	pthread_mutex_lock(&gate);
	assert_int_equal(lease_take(leases, busy.fd, on_broken, &busy), 0);
	tell('n', O_RDWR, busy.fd);
	assert_int_equal(answer(), -EWOULDBLOCK);
	while (!atomic_load(&busy.begun))
		sched_yield();
	assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
	tell('n', O_RDWR, l.fd);
	assert_int_equal(answer(), -EWOULDBLOCK);
	lease_end(leases, l.fd);
	assert_int_equal(lease_take(leases, l.fd, on_broken, &l), 0);
	pthread_mutex_unlock(&gate);
	/* Signals are read in their order: by this one the former has been. */
	lease_end(leases, busy.fd);
	assert_int_equal(lease_take(leases, busy.fd, on_broken, &busy), 0);
	tell('o', O_RDWR, busy.fd);
	assert_int_equal(answer(), 0);
	assert_int_equal(atomic_load(&busy.broken), 2);
	assert_int_equal(atomic_load(&l.broken), 0);
	leases_stop(leases);
	close(busy.fd);
	close(l.fd);
}

/* More breaks than signals fit into the queue, while nobody reads them. */
static void test_overflow(void **state)
{
	enum { FILES = 64, QUEUE = 8 };
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct leases *leases = start();
	struct leased files[FILES];
	struct rlimit before, few;

	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &before), 0);
	few = before;
	few.rlim_cur = QUEUE;
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &few), 0);
	pthread_mutex_lock(&gate);
	for (unsigned int i = 0; i < FILES; i++) {
		files[i] = make(leases);
		files[i].gate = &gate;
		assert_int_equal(lease_take(leases, files[i].fd, on_broken, &files[i]), 0);
	}
	for (unsigned int i = 0; i < FILES; i++) {
		tell('n', O_RDWR, files[i].fd);
		assert_int_equal(answer(), -EWOULDBLOCK);
	}
	pthread_mutex_unlock(&gate);
	for (unsigned int i = 0; i < FILES; i++) {
		tell('o', O_RDWR, files[i].fd);
		assert_int_equal(answer(), 0);
		lease_end(leases, files[i].fd);
		assert_int_equal(atomic_load(&files[i].broken), 1);
		close(files[i].fd);
	}
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &before), 0);
	leases_stop(leases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_and_truncations_wait),
		cmocka_unit_test(test_read_leases),
		cmocka_unit_test(test_what_cannot_be_had),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_end_waits),
		cmocka_unit_test(test_breaks_while_taken),
		cmocka_unit_test(test_signal_of_a_former_lease),
		cmocka_unit_test(test_overflow),
	};
	int r;

	start_other();
	leases_block_signals();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	close(orders);
	waitpid(other, NULL, 0);
	return r;
}
