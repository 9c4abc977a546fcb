// SPDX-License-Identifier: BSD-2-Clause
/*
 * dozer DIR COUNT: so many processes, each with a file of its own in DIR, by its number, of some
 * MiB, which it has in memory: it stores and loads there, reads and writes, all over the file, and
 * has pages taken out of its memory, so that they come back by faults. What is there has to be what
 * it put there, each time. Until SIGTERM; then each writes what its file should be to NUMBER.want.
 *
 * "running" is said when each has done a round, and how many rounds there were in the end. The
 * status is 1 where something was wrong.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB   6
#define SIZE  ((size_t)MIB << 20)
#define WORDS (SIZE / sizeof(uint64_t))
#define PAGE  4096
#define STEPS 64 /* of a round */
#define MOST  16

static struct shared {
	_Atomic unsigned long rounds;
	_Atomic unsigned int begun;
} *shared;

static volatile sig_atomic_t stop;
static pid_t pids[MOST];

struct file {
	unsigned int number;
	int fd;
	_Atomic uint64_t *map;
	uint64_t *want;
	uint64_t chance;
};

static void stopped(int signal)
{
	(void)signal;
	stop = 1;
}

static void fail(const struct file *f, const char *what)
{
	fprintf(stderr, "dozer %u: %s: %m\n", f->number, what);
	exit(1);
}

static void compare(const struct file *f, size_t i, uint64_t got, const char *how)
{
	if (got == f->want[i])
		return;
	fprintf(stderr, "dozer %u: word %zu is %#llx by %s, not %#llx\n", f->number, i,
		(unsigned long long)got, how, (unsigned long long)f->want[i]);
	exit(1);
}

static uint64_t chance(struct file *f)
{
	f->chance ^= f->chance << 13;
	f->chance ^= f->chance >> 7;
	f->chance ^= f->chance << 17;
	return f->chance;
}

static void load(struct file *f, size_t i)
{
	uint64_t got;

	compare(f, i, atomic_load(&f->map[i]), "a load");
	if (pread(f->fd, &got, sizeof(got), (off_t)(i * sizeof(got))) != sizeof(got))
		fail(f, "pread");
	compare(f, i, got, "pread");
}

static void store(struct file *f, size_t i)
{
	f->want[i] = chance(f);
	if (f->want[i] % 4)
		atomic_store(&f->map[i], f->want[i]);
	else if (pwrite(f->fd, &f->want[i], sizeof(f->want[i]),
			 (off_t)(i * sizeof(f->want[i]))) != sizeof(f->want[i]))
		fail(f, "pwrite");
}

/* What was stored last may be looked at by the other way just then, too. */
static void one_round(struct file *f)
{
	size_t page = chance(f) % (SIZE / PAGE) * PAGE;

	for (unsigned int n = 0; n < STEPS; n++) {
		size_t i = chance(f) % WORDS;

		store(f, i);
		load(f, i);
		load(f, chance(f) % WORDS);
	}
	if (madvise((char *)f->map + page, PAGE, MADV_DONTNEED))
		fail(f, "madvise");
	load(f, page / sizeof(uint64_t));
	if (f->chance % 64 == 0 && fsync(f->fd))
		fail(f, "fsync");
}

static void put(const struct file *f, const char *name)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	for (size_t done = 0; done < SIZE;) {
		const ssize_t n = write(fd, (const char *)f->want + done, SIZE - done);

		if (n <= 0)
			fail(f, name);
		done += (size_t)n;
	}
	close(fd);
}

static void work(struct file *f)
{
	char name[32], other[40];
	void *map;

	snprintf(name, sizeof(name), "%u", f->number);
	snprintf(other, sizeof(other), "%s.want", name);
	f->want = malloc(SIZE);
	if (!f->want)
		fail(f, "malloc");
	for (size_t i = 0; i < WORDS; i++)
		f->want[i] = i ^ chance(f);
	put(f, name);
	f->fd = open(name, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (map == MAP_FAILED)
		fail(f, "mmap");
	f->map = map;
	for (bool first = true; !stop; first = false) {
		one_round(f);
		atomic_fetch_add(&shared->rounds, 1);
		if (first)
			atomic_fetch_add(&shared->begun, 1);
	}
	munmap(map, SIZE);
	close(f->fd);
	put(f, other);
}

static void handle(void)
{
	struct sigaction sa = {.sa_handler = stopped};

	sigaction(SIGTERM, &sa, NULL);
}

int main(int argc, char **argv)
{
	const unsigned int count = argc == 3 ? (unsigned int)atoi(argv[2]) : 0;
	struct timespec moment = {.tv_nsec = 10000000};
	unsigned int left = count;
	bool said = false, told = false;
	int status, wrong = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (!count || count > MOST || shared == MAP_FAILED || chdir(argv[1]))
		return 2;
	handle();
	for (unsigned int i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			work(&(struct file){.number = i, .chance = i * 7919 + 1});
			_exit(0);
		}
	}
	while (left > 0) {
		while (waitpid(-1, &status, WNOHANG) > 0) {
			left--;
			wrong |= status;
		}
		if (!said && atomic_load(&shared->begun) == count) {
			puts("running");
			fflush(stdout);
			said = true;
		}
		for (unsigned int i = 0; stop && !told && i < count; i++)
			kill(pids[i], SIGTERM);
		told = stop;
		nanosleep(&moment, NULL);
	}
	printf("%lu rounds\n", atomic_load(&shared->rounds));
	return wrong ? 1 : 0;
}
