// SPDX-License-Identifier: BSD-2-Clause
/*
 * reread FILE SECONDS: two processes write numbers that grow to pages of a file, each to its own,
 * and say which number they have written; two others read them, one of which opens the file anew
 * each time. Who begins to read after a number was written may not read a smaller one. Says how
 * many did, of how many reads; the status is 1 where some did, or nothing was read or written.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE    4096
#define WRITERS 2
#define READERS 2

static struct shared {
	_Atomic uint64_t written[WRITERS];
	_Atomic uint64_t reads, stale;
	_Atomic bool stop;
} *shared;

static uint64_t page[PAGE / sizeof(uint64_t)];

static _Noreturn void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static int open_file(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		fail(name);
	return fd;
}

static void write_pages(const char *name, int mine)
{
	int fd = open_file(name);

	while (!atomic_load(&shared->stop)) {
		page[0]++;
		if (pwrite(fd, page, PAGE, mine * PAGE) != PAGE)
			fail("pwrite");
		atomic_store(&shared->written[mine], page[0]);
	}
}

static void read_page(int fd, int whose)
{
	uint64_t before = atomic_load(&shared->written[whose]);

	if (pread(fd, page, PAGE, whose * PAGE) != PAGE)
		fail("pread");
	atomic_fetch_add(&shared->stale, page[0] < before);
	atomic_fetch_add(&shared->reads, 1);
}

static void read_pages(const char *name, bool anew)
{
	int fd = open_file(name);

	while (!atomic_load(&shared->stop)) {
		for (int i = 0; i < WRITERS; i++)
			read_page(fd, i);
		if (anew) {
			close(fd);
			fd = open_file(name);
		}
	}
}

static void start(const char *name, int which)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return;
	if (which < WRITERS)
		write_pages(name, which);
	else
		read_pages(name, which > WRITERS);
	_exit(0);
}

int main(int argc, char **argv)
{
	int fd, status, wrong = 0;

	if (argc != 3)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	fd = open_file(argv[1]);
	if (ftruncate(fd, WRITERS * PAGE))
		fail("ftruncate");
	close(fd);
	for (int i = 0; i < WRITERS + READERS; i++)
		start(argv[1], i);
	sleep((unsigned int)atoi(argv[2]));
	atomic_store(&shared->stop, true);
	while (wait(&status) > 0)
		wrong |= status;
	for (int i = 0; i < WRITERS; i++)
		wrong |= !atomic_load(&shared->written[i]);
	printf("%llu of %llu reads are stale\n", (unsigned long long)atomic_load(&shared->stale),
		(unsigned long long)atomic_load(&shared->reads));
	return wrong || !atomic_load(&shared->reads) || atomic_load(&shared->stale);
}
