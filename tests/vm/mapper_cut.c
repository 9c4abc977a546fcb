// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file that somebody else cuts, while programs fault its last pages again and again.
 *
 * learn: asks for the size until it is what the file was cut to, then says so in a word that all of
 * them share. chase: has a page taken from its mapping and faults it, until that word says that the
 * cut is known. The last of these faults may have met the cut half done; what it left behind is
 * looked at then: behind the end is no memory, and a partial page has zeros there, and before it
 * what pread() has, also of what is stored now.
 */
#include "mapper.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 120, PAGE = 4096 };

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static uint64_t *shared_word(const char *slot)
{
	return (uint64_t *)mapped(slot_of(slot), 0, sizeof(uint64_t));
}

void do_learn(struct slot *s, char **argv)
{
	const uint64_t size = number(argv[3]), end = now() + LIMIT_SECONDS;
	uint64_t *word = shared_word(argv[2]);
	struct stat st;

	do {
		if (fstat(s->fd, &st) || now() > end) {
			answer(-1);
			return;
		}
	} while ((uint64_t)st.st_size != size);
	__atomic_store_n(word, size, __ATOMIC_RELEASE);
	fputs("0", stdout);
}

static bool load(volatile char *p, void *arg)
{
	(void)*p;
	return true;
}

static bool store(volatile char *p, void *arg)
{
	*p = 's';
	return true;
}

struct partial {
	struct slot *slot;
	uint64_t at;
	size_t n, mine; /* bytes of the file in the page; the one that is stored */
};

/* What is wrong with a partial page, or nothing. */
static bool look_at(volatile char *p, void *arg)
{
	struct partial *part = arg;
	char file[PAGE];

	p[part->mine] = 'm';
	for (size_t i = part->n; i < PAGE; i++)
		if (p[i]) {
			printf("%#x behind the end, at %zu", p[i], i);
			return false;
		}
	if (pread(part->slot->fd, file, PAGE, (off_t)part->at) != (ssize_t)part->n) {
		fputs("pread() has another size", stdout);
		return false;
	}
	for (size_t i = part->n < 64 ? 0 : part->n - 64; i < part->n; i++)
		/* What others store they may store between the two. */
		if ((i == part->mine || i + 8 < part->n) && p[i] != file[i]) {
			printf("%#x in memory, %#x in the file, at %zu", p[i], file[i], i);
			return false;
		}
	return true;
}

void do_chase(struct slot *s, char **argv)
{
	const uint64_t size = number(argv[3]), at = number(argv[4]), me = number(argv[5]);
	const uint64_t *word = shared_word(argv[2]), end = now() + LIMIT_SECONDS;
	struct partial part = {.slot = s, .at = at, .n = size > at ? size - at : 0};
	volatile char *page = mapped(s, at, PAGE);
	unsigned long faults = 0;

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != size) {
		if (madvise((void *)page, PAGE, MADV_DONTNEED) || now() > end) {
			answer(-1);
			return;
		}
		may_fault(me % 2 ? store : load, page, NULL);
		faults++;
	}
	part.mine = part.n - 1 - me;
	if (!part.n && !may_fault(load, page, NULL))
		printf("SIGBUS");
	else if (!part.n)
		printf("%#x behind the end, after %lu faults", *page, faults);
	else if (may_fault(look_at, page, &part))
		fputs("0", stdout);
}
