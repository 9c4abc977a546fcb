// SPDX-License-Identifier: BSD-2-Clause
/* A front-end that shortens the file behind guest memory: who touches it reads zeros and lives. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "mem/guard.h"

#define PAGE 4096u

static int shared_file(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	return fd;
}

static void *touch(void *arg)
{
	const volatile char *p = arg;

	return (void *)(uintptr_t)(p[0] + p[PAGE]);
}

static void test_shortened(void **state)
{
	struct mem_region_desc a = {.gpa = 0, .size = 2 * PAGE, .uva = 0};
	struct mem_region_desc b = {.gpa = 4 * PAGE, .size = PAGE, .uva = 4 * PAGE};
	int fd = shared_file(), other = shared_file();
	struct iovec iov_a, iov_b;
	struct mem mem;
	pthread_t thread;
	void *result;

	mem_init(&mem);
	assert_int_equal(mem_add(&mem, &a, fd), 0);
	assert_int_equal(mem_add(&mem, &b, other), 0);
	assert_int_equal(mem_translate(&mem, 0, 2 * PAGE, &iov_a, 1), 1);
	assert_int_equal(mem_translate(&mem, 4 * PAGE, PAGE, &iov_b, 1), 1);
	memset(iov_a.iov_base, 1, 2 * PAGE);
	memset(iov_b.iov_base, 2, PAGE);
	mem_guard(&mem);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	/* On another thread than the one that asked for the guard, as ring threads are. */
	assert_int_equal(pthread_create(&thread, NULL, touch, iov_a.iov_base), 0);
	pthread_join(thread, &result);
	assert_true((uintptr_t)result <= 1);
	/* Writable from now on; other regions are as they were. */
	memset(iov_a.iov_base, 3, 2 * PAGE);
	assert_int_equal(((char *)iov_a.iov_base)[2 * PAGE - 1], 3);
	assert_int_equal(((char *)iov_b.iov_base)[0], 2);
	assert_int_equal(mem_remove(&mem, &a), 0);
	mem_guard(NULL);
	mem_destroy(&mem);
	close(fd);
	close(other);
}

/* A SIGBUS that has nothing to do with guest memory is as deadly as ever. */
static void test_elsewhere(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = shared_file();
		volatile char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		struct mem mem;

		mem_init(&mem);
		mem_guard(&mem);
		if (ftruncate(fd, 0) == 0)
			_exit(p[0]);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shortened),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
