// SPDX-License-Identifier: BSD-2-Clause
/*
 *   hammer make DIR                             what is hammered, once
 *   hammer run DIR MEMORY CLIENT SEED STEPS     changes and looks, as client 0 to 3
 *   hammer look DIR MEMORY CLIENT SEED          looks only, until all clients before it have ended
 *   hammer total MEMORY                         the sum of all changes that were made
 *
 * MEMORY is a file, of zeros at first, that all map: on the host the file itself, in a guest the
 * memory of a device (tests/vm/test_kmod_shared.py).
 *
 * A register is something with a number that only grows, and that can be seen again. Who changes
 * it says so before (`started`) and after (`done`). Who looks takes down before what was
 * acknowledged, and what anybody has seen, by then; that number or a later one is to be seen, and
 * none that was not even begun when the look was over. For a register with one writer at a time
 * that is all that linearizability asks for. Where only a remainder can be seen, the least number
 * counts that fits.
 */
#include "hammer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHANGES 16 /* one step of so many changes something */
#define MOST_SUBJECTS 32

struct reg {
	_Atomic uint64_t writer; /* somebody changes it */
	_Atomic uint64_t started, done, seen;
};

struct memory {
	_Atomic uint64_t failed; /* somebody has seen what may not be: all stop */
	_Atomic uint64_t ready;	 /* clients that have opened all files */
	_Atomic uint64_t begun;	 /* all are ready: who came first would be done before the last */
	_Atomic uint64_t ended;	 /* clients that have made all their steps */
	struct reg regs[MOST_SUBJECTS][HAMMER_OBJECTS];
};

struct hand {
	struct memory *memory;
	struct place places[MOST_SUBJECTS][HAMMER_OBJECTS];
	uint64_t seed;
};

_Noreturn static void give_up(struct memory *m, const char *what, const char *which)
{
	fprintf(stderr, "hammer: %s: %s: %s\n", which, what, strerror(errno));
	if (m)
		atomic_store(&m->failed, 1);
	exit(1);
}

static uint64_t dice(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
	uint64_t now = atomic_load(at);

	while (now < value && !atomic_compare_exchange_weak(at, &now, value))
		;
}

static void change(struct memory *m, const struct subject *s, const struct place *p, struct reg *r)
{
	uint64_t to;

	if (atomic_exchange(&r->writer, 1))
		return;
	to = atomic_load(&r->done) + 1;
	atomic_store(&r->started, to);
	if (s->change(p, to))
		give_up(m, "changing it", p->path);
	atomic_store(&r->done, to);
	atomic_store(&r->writer, 0);
}

static void look(struct memory *m, const struct subject *s, const struct place *p, struct reg *r)
{
	const uint64_t done = atomic_load(&r->done), seen = atomic_load(&r->seen);
	const uint64_t least = done > seen ? done : seen;
	uint64_t now, most;

	if (s->look(p, &now))
		give_up(m, "looking at it", p->path);
	most = atomic_load(&r->started);
	if (s->period)
		now = least + (now + s->period - least % s->period) % s->period;
	if (now < least || now > most) {
		fprintf(stderr,
			"hammer: %s: client %u saw %" PRIu64 "; %" PRIu64 " was done and %" PRIu64
			" seen before, %" PRIu64 " begun after\n",
			p->path, p->client, now, done, seen, most);
		atomic_store(&m->failed, 1);
		exit(1);
	}
	raise_to(&r->seen, now);
}

static struct memory *map_memory(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct memory *m;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof(*m))
		give_up(NULL, "open", path);
	m = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		give_up(NULL, "mmap", path);
	close(fd);
	return m;
}

static void name_places(struct hand *h, unsigned int client)
{
	for (size_t n = 0; n < nsubjects * HAMMER_OBJECTS; n++) {
		const size_t subject = n / HAMMER_OBJECTS, object = n % HAMMER_OBJECTS;
		struct place *p = &h->places[subject][object];

		snprintf(p->path, sizeof(p->path), "%s-%zu", subjects[subject].name, object);
		p->client = client;
		p->file = -1;
	}
}

static int make(struct hand *h)
{
	name_places(h, 0);
	for (size_t n = 0; n < nsubjects * HAMMER_OBJECTS; n++) {
		const struct place *p = &h->places[n / HAMMER_OBJECTS][n % HAMMER_OBJECTS];

		if (subjects[n / HAMMER_OBJECTS].make(p))
			give_up(NULL, "making it", p->path);
	}
	return 0;
}

static void rest(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	nanosleep(&pause, NULL);
}

/* Who only looks gives the sign, when all before it are ready. */
static void begin(struct memory *m, bool only_look, uint64_t client)
{
	if (!only_look)
		atomic_fetch_add(&m->ready, 1);
	while (!atomic_load(&m->begun) && !atomic_load(&m->failed)) {
		if (only_look && atomic_load(&m->ready) >= client)
			atomic_store(&m->begun, 1);
		else
			rest();
	}
}

/* Who only looks does so as long as others make changes, and leaves them the processor. */
static bool is_over(struct memory *m, bool only_look, uint64_t client, uint64_t left)
{
	if (!only_look)
		return left == 0;
	rest();
	return atomic_load(&m->ended) >= client;
}

static int hammer(struct hand *h, char **argv)
{
	const bool only_look = !argv[6];
	const uint64_t steps = only_look ? 0 : strtoull(argv[6], NULL, 10);
	const uint64_t client = strtoull(argv[4], NULL, 10);

	h->memory = map_memory(argv[3]);
	h->seed = (strtoull(argv[5], NULL, 10) + 1) * 0x9e3779b97f4a7c15u;
	name_places(h, (unsigned int)client);
	for (size_t n = 0; n < nsubjects * HAMMER_OBJECTS; n++) {
		struct place *p = &h->places[n / HAMMER_OBJECTS][n % HAMMER_OBJECTS];

		if (!subjects[n / HAMMER_OBJECTS].by_file)
			continue;
		p->file = open(p->path, (only_look ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (p->file < 0)
			give_up(h->memory, "open", p->path);
	}
	begin(h->memory, only_look, client);
	for (uint64_t left = steps; !is_over(h->memory, only_look, client, left); left--) {
		const uint64_t d = dice(&h->seed);
		const size_t subject = d % nsubjects, object = d / 64 % HAMMER_OBJECTS;
		const struct place *p = &h->places[subject][object];
		struct reg *r = &h->memory->regs[subject][object];

		if (d / 1024 % CHANGES == 0 && !only_look)
			change(h->memory, &subjects[subject], p, r);
		else
			look(h->memory, &subjects[subject], p, r);
		if (atomic_load(&h->memory->failed))
			return 1;
	}
	atomic_fetch_add(&h->memory->ended, 1);
	return 0;
}

/* Of the subject that was changed least, too: a test that changes nothing shows nothing. */
static int total(const char *path)
{
	struct memory *m = map_memory(path);
	uint64_t sum = 0, least = UINT64_MAX;

	for (size_t s = 0; s < nsubjects; s++) {
		uint64_t here = 0;

		for (size_t o = 0; o < HAMMER_OBJECTS; o++)
			here += atomic_load(&m->regs[s][o].done);
		sum += here;
		least = here < least ? here : least;
	}
	printf("%" PRIu64 " %" PRIu64 "\n", sum, least);
	return 0;
}

int main(int argc, char **argv)
{
	static struct hand h;
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 3 && !strcmp(verb, "total"))
		return total(argv[2]);
	if (argc != (!strcmp(verb, "run") ? 7 : !strcmp(verb, "look") ? 6 : 3)) {
		fputs("hammer make DIR | run DIR MEMORY CLIENT SEED STEPS | "
		      "look DIR MEMORY CLIENT SEED | total MEMORY\n",
			stderr);
		return 2;
	}
	umask(0);
	if (chdir(argv[2]))
		give_up(NULL, "chdir", argv[2]);
	return argc == 3 ? make(&h) : hammer(&h, argv);
}
