// SPDX-License-Identifier: BSD-2-Clause
/*
 * READs that a queue's own thread tries without waiting: what is in memory is read, what is not is
 * left, and where much of it is not, the kernel is not even asked to begin.
 */
#include "unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/newer.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define LARGE (1u << 20)
#define SMALL 4096u
#define FILE_SIZE (4 * LARGE)

static struct fs *fs;
static char directory[64];
static char data[LARGE];
static struct fs_target file;
static unsigned int tries, asked;
static bool refuses; /* to say what is in memory */

/* Instead of the C library's. */
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	tries++;
	return syscall(SYS_preadv2, fd, iov, n, offset, 0L, flags);
}

long syscall(long nr, ...)
{
	static long (*next)(long nr, ...);
	long a[6];
	va_list args;

	va_start(args, nr);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	asked += nr == __NR_cachestat;
	if (nr != __NR_cachestat || !refuses)
		return next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	errno = EPERM;
	return -1;
}

static int start(void **state)
{
	const struct passthrough_config config = {.file_handles = PT_FILE_HANDLES_PREFER};
	struct fs_entry entry;
	int fd;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	fd = open("export/f", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	memset(data, 'x', sizeof(data));
	for (off_t at = 0; at < FILE_SIZE; at += LARGE)
		assert_int_equal(pwrite(fd, data, LARGE, at), LARGE);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "f", &entry), 0);
	file = (struct fs_target){.node = entry.node, .has_handle = true};
	assert_int_equal(fs->ops->open(fs, file.node, O_RDONLY, false, &file.handle, NULL), 0);
	refuses = false;
	return 0;
}

static int finish(void **state)
{
	passthrough_free(fs);
	unit_leave_directory(directory);
	return 0;
}

static ssize_t read_file(size_t size, uint64_t offset, bool at_once)
{
	const struct iovec iov = {.iov_base = data, .iov_len = size};

	tries = asked = 0;
	memset(data, 0, sizeof(data));
	return fs->ops->read(fs, &file, &iov, 1, offset, at_once);
}

/* What is not in memory, or there is nothing to be told of: of memory, and of an old kernel. */
static void need_cold(void)
{
	const struct cachestat_of all = {.offset = 0, .len = 0};
	struct cachestat_is is;
	int fd = open("export/f", O_RDONLY | O_CLOEXEC), r;

	assert_true(fd >= 0);
	r = cachestat_fd(fd, &all, &is);
	close(fd);
	if (r == 0 && is.cached == 0)
		return;
	print_message("the kernel does not say what is in memory, or all of it is\n");
	skip();
}

/* The kernel is not asked to read, be it for the first time or again. */
static void test_cold(void **state)
{
	need_cold();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read_file(LARGE, LARGE, true), -EAGAIN);
		assert_int_equal(tries, 0);
	}
	assert_int_equal(read_file(LARGE, LARGE, false), LARGE);
	assert_int_equal(data[LARGE - 1], 'x');
	/* It is in memory by then, the next one is not. */
	assert_int_equal(read_file(LARGE, LARGE, true), LARGE);
	assert_int_equal(data[LARGE - 1], 'x');
	assert_int_equal(tries, 1);
}

/* For little the kernel is asked at once, which has it begin. */
static void test_small(void **state)
{
	need_cold();
	read_file(SMALL, LARGE, true);
	assert_int_equal(asked, 0);
	assert_true(tries > 0);
}

/* Nothing is not in memory either, but nobody has to wait for it. */
static void test_end(void **state)
{
	need_cold();
	assert_int_equal(read_file(LARGE, FILE_SIZE, true), 0);
	assert_int_equal(read_file(LARGE, FILE_SIZE + LARGE, true), 0);
}

/* Who may not ask tries. */
static void test_refused(void **state)
{
	need_cold();
	refuses = true;
	assert_int_equal(read_file(LARGE, LARGE, true), -EAGAIN);
	assert_int_equal(asked, 1);
	assert_int_equal(tries, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_cold),
		CASE(test_small),
		CASE(test_end),
		CASE(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
