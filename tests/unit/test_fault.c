// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * Copies that survive memory that goes away, and a SIGBUS of others, which goes where it went.
 */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "client/fault.h"

#define PAGE 4096

static char *file;
static int fd;

static int set_up(void **state)
{
	fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(file, MAP_FAILED);
	memset(file, 'x', 4 * PAGE);
	return 0;
}

static int tear_down(void **state)
{
	munmap(file, 4 * PAGE);
	close(fd);
	return 0;
}

static void test_copies(void **state)
{
	char buf[4 * PAGE];

	/* Here, as cmocka sets handlers of its own for each test. */
	assert_int_equal(fault_begin(), 0);
	/* More often than once: nothing stays blocked. */
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
		memset(file, 'x', 4 * PAGE);
		assert_true(fault_copy(buf, file, 4 * PAGE, file));
		assert_int_equal(buf[4 * PAGE - 1], 'x');
		assert_int_equal(ftruncate(fd, PAGE), 0);
		assert_true(fault_copy(buf, file, PAGE, file));
		assert_false(fault_copy(buf, file, 4 * PAGE, file));
		assert_false(fault_copy(buf, file + PAGE, 1, file + PAGE));
		assert_false(fault_copy(file + 3 * PAGE, buf, 10, file + 3 * PAGE));
		assert_true(fault_copy(file + 7, "0123456789", 10, file + 7));
		assert_memory_equal(file + 7, "0123456789", 10);
	}
	fault_end();
}

/* Mappings that come and go below threads that copy. */
static void *copier(void *arg)
{
	char buf[3 * PAGE + 100];

	for (unsigned int i = 0; i < 2000; i++)
		fault_copy(buf, file, sizeof(buf), file);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[3];

	assert_int_equal(fault_begin(), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, copier, NULL), 0);
	for (unsigned int i = 0; i < 300; i++)
		assert_int_equal(ftruncate(fd, i % 5 * PAGE), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	fault_end();
}

static void says_7(int signal_nr)
{
	_exit(7);
}

static void says_8(int signal_nr, siginfo_t *info, void *context)
{
	_exit(info->si_addr == file ? 8 : 9);
}

/* How a process ends that touches what is not there, outside of such a copy. */
static int end_of(const struct sigaction *before, bool in_other_copy)
{
	const struct rlimit no_core = {0};
	char byte;
	int status;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		sigaction(SIGBUS, before, NULL);
		must(fault_begin() == 0);
		if (in_other_copy)
			fault_copy(file, &byte, 1, &byte);
		else
			*(volatile char *)file = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_others(void **state)
{
	const struct sigaction none = {.sa_handler = SIG_DFL}, seven = {.sa_handler = says_7};
	const struct sigaction eight = {.sa_sigaction = says_8, .sa_flags = SA_SIGINFO};

	assert_int_equal(ftruncate(fd, 0), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(end_of(&none, i), -SIGBUS);
		assert_int_equal(end_of(&seven, i), 7);
		assert_int_equal(end_of(&eight, i), 8);
	}
}

/* The last one puts back what was there, unless that is another's by then. */
static void test_restores(void **state)
{
	const struct sigaction seven = {.sa_handler = says_7};
	struct sigaction now;

	assert_int_equal(sigaction(SIGBUS, &seven, NULL), 0);
	assert_int_equal(fault_begin(), 0);
	assert_int_equal(fault_begin(), 0);
	fault_end();
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_ptr_not_equal(now.sa_handler, says_7);
	fault_end();
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, says_7);
	assert_int_equal(fault_begin(), 0);
	assert_int_equal(sigaction(SIGBUS, &seven, NULL), 0);
	fault_end();
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, says_7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restores, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
