// SPDX-License-Identifier: BSD-2-Clause
/*
 * busy DIR COUNT [CALLS]: so many processes, each in a directory of its own below DIR, make, write,
 * read, map, list, rename and remove files: until SIGTERM; or until the file system is gone, which
 * is what EIO, ENOTCONN and SIGBUS say; or until they have made so many calls altogether, when they
 * are killed, most of them within a call. What they read has to be what they wrote.
 *
 * "running" is said when each has done a round; how many rounds there were and how many processes
 * found it gone, in the end. The status is 1 where something was wrong.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 64
#define SIZE 50000

static struct shared {
	_Atomic unsigned long rounds, calls;
	_Atomic unsigned int begun, gone;
	_Atomic bool all_there;
	unsigned int count;
	unsigned long most_calls;
	pid_t pids[MOST];
} *shared;

static volatile sig_atomic_t stop;
static sigjmp_buf fault;

static void kill_all(int signal)
{
	for (unsigned int i = 0; i < shared->count; i++)
		if (shared->pids[i] > 0 && shared->pids[i] != getpid())
			kill(shared->pids[i], signal);
}

static void stopped(int signal)
{
	stop = 1;
	kill_all(signal);
}

static void stopped_child(int signal)
{
	(void)signal;
	stop = 1;
}

static void faulted(int signal)
{
	(void)signal;
	siglongjmp(fault, 1);
}

/* Before each call: that of whoever has the last number ends them all. */
static void next_call(void)
{
	if (atomic_fetch_add(&shared->calls, 1) + 1 != shared->most_calls)
		return;
	kill_all(SIGKILL);
	kill(getpid(), SIGKILL);
}

static int fail(const char *what)
{
	const int error = errno;

	if (error == EIO || error == ENOTCONN || stop)
		return error;
	fprintf(stderr, "busy: %s: %s\n", what, strerror(error));
	exit(1);
}

static int compare(const char *got, const char *want, ssize_t n, const char *what)
{
	if (n == SIZE && !memcmp(got, want, SIZE))
		return 0;
	fprintf(stderr, "busy: %s has %zd bytes, which are wrong\n", what, n);
	exit(1);
}

/* By faults, each of which is a request where the pages are not there any more. */
static int look_at(int fd, const char *want)
{
	const char *map;
	int error = 0;

	next_call();
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	next_call();
	map = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return fail("mmap");
	if (sigsetjmp(fault, 1))
		error = EIO;
	else
		error = compare(map, want, SIZE, "what was mapped");
	munmap((void *)map, SIZE);
	return error;
}

static int write_and_read(int fd, unsigned int seed)
{
	static char want[SIZE], got[SIZE];
	struct stat st;
	ssize_t n;

	memset(want, (int)(seed % 251), SIZE);
	next_call();
	errno = EIO; /* of a write that is cut short */
	if (pwrite(fd, want, SIZE, 0) != SIZE)
		return fail("write");
	next_call();
	if (seed % 8 == 0 && fsync(fd))
		return fail("fsync");
	next_call();
	n = pread(fd, got, SIZE, 0);
	if (n < 0)
		return fail("read");
	compare(got, want, n, "what was read");
	next_call();
	if (fstat(fd, &st))
		return fail("fstat");
	return look_at(fd, want);
}

static int list(void)
{
	DIR *dir;
	int error = 0;

	next_call();
	dir = opendir(".");
	if (!dir)
		return fail("opendir");
	do {
		next_call();
		errno = 0;
	} while (readdir(dir));
	if (errno)
		error = fail("readdir");
	closedir(dir);
	return error;
}

/* 0, or the error that says that it is gone. */
static int one_round(unsigned int n)
{
	char name[32], other[32];
	int fd, error;

	snprintf(name, sizeof(name), "f%u", n % 7);
	snprintf(other, sizeof(other), "g%u", n % 5);
	next_call();
	fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail("open");
	error = write_and_read(fd, n);
	next_call();
	if (close(fd) && !error)
		error = fail("close");
	next_call();
	if (!error && rename(name, other))
		error = fail("rename");
	if (!error)
		error = list();
	next_call();
	if (!error && n % 3 == 0 && unlink(other))
		error = fail("unlink");
	return error;
}

static void begun(void)
{
	static const char text[] = "running\n";

	if (atomic_fetch_add(&shared->begun, 1) + 1 == shared->count &&
		write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		exit(2);
}

static void work(const char *dir, unsigned int number)
{
	char path[4096];
	int error = 0;

	while (!atomic_load(&shared->all_there))
		sched_yield();
	snprintf(path, sizeof(path), "%s/%u", dir, number);
	if ((mkdir(path, 0755) && errno != EEXIST) || chdir(path))
		error = fail("mkdir");
	for (unsigned int n = 0; !error && !stop; n++) {
		error = one_round(n);
		if (!error)
			atomic_fetch_add(&shared->rounds, 1);
		if (!error && n == 0)
			begun();
	}
	if (error && !stop)
		atomic_fetch_add(&shared->gone, 1);
}

static void handle(int number, void (*handler)(int))
{
	const struct sigaction act = {.sa_handler = handler};

	sigaction(number, &act, NULL);
}

static void start(const char *dir)
{
	handle(SIGTERM, stopped);
	for (unsigned int i = 0; i < shared->count; i++) {
		const pid_t pid = fork();

		if (pid < 0)
			exit(2);
		if (pid == 0) {
			handle(SIGTERM, stopped_child);
			handle(SIGBUS, faulted);
			work(dir, i);
			_exit(0);
		}
		shared->pids[i] = pid;
	}
	atomic_store(&shared->all_there, true);
}

int main(int argc, char **argv)
{
	const unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	int wrong = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (!count || count > MOST || argc > 4 || shared == MAP_FAILED)
		return 2;
	shared->count = (unsigned int)count;
	shared->most_calls = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	start(argv[1]);
	for (unsigned long left = count; left;) {
		int status;

		if (wait(&status) < 0)
			continue;
		left--;
		wrong |= !(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
			!(shared->most_calls && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	printf("%lu rounds, %u gone\n", atomic_load(&shared->rounds), atomic_load(&shared->gone));
	return wrong ? 1 : 0;
}
