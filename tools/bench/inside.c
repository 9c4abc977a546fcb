// SPDX-License-Identifier: BSD-2-Clause
//
// The half of `causeway bench --guest` that runs in the guest; guest.h has what the two say to each
// other.
//
// Warm caches have what an operation asks for, as far as the server lets them: it was done before.
// For cold ones everything is dropped as often as an operation would find again what it left there;
// only the operations themselves count, not the dropping.

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DROP_CACHES "/proc/sys/vm/drop_caches"
#define DROP_ALL "3"
#define DROP_SILENTLY "4"
// Loads keep to the beginning of the file, so that caches can be warmed in little time.
#define SPAN (8u << 20)
// Dropping takes its time, too: a turn ends after so many times its time.
#define PATIENCE 8
// As much of it as for other turns goes before.
#define WARM_UP 10

struct turn {
	const struct cell *cell;
	struct ground ground;
	struct plain plain;
	int file; // of loads
	char *data;
	int drop;
	bool cold;
	uint64_t limit_ns, steps, random;
	struct sample sample;
	struct histogram latency;
};

static uint64_t next_block(struct turn *t)
{
	return t->cell->load.random ? bench_random(&t->random) : t->steps;
}

static int load_step(struct turn *t, uint64_t block)
{
	const struct load *load = &t->cell->load;
	off_t offset = (off_t)(block % (SPAN / load->size) * load->size);
	ssize_t n = load->writes ? pwrite(t->file, t->data, load->size, offset)
				 : pread(t->file, t->data, load->size, offset);

	return n < 0 ? -errno : (size_t)n == load->size ? 0 : -EIO;
}

static int step(struct turn *t)
{
	return t->cell->op ? t->cell->op->plain(&t->plain) : load_step(t, next_block(t));
}

// Steps until one asks for what an earlier one brought.
static uint64_t pass_of(const struct cell *c)
{
	if (c->op)
		return c->op->pass;
	return c->load.random ? 1 : SPAN / c->load.size;
}

// Linux 6.1 passes by pages that were only just read: they are on a list of the processor's.
// Unmapping something empties that.
static void settle_pages(void)
{
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED)
		munmap(page, size);
}

static int forget(struct turn *t)
{
	settle_pages();
	if (!t->cell->op)
		return -posix_fadvise(t->file, 0, 0, POSIX_FADV_DONTNEED);
	return pwrite(t->drop, DROP_ALL, 1, 0) < 0 ? -errno : 0;
}

static int run_steps(struct turn *t, uint64_t limit_ns)
{
	const uint64_t end = bench_now_ns() + PATIENCE * limit_ns, pass = pass_of(t->cell);
	uint64_t before, after;
	int ret = 0;

	do {
		if (t->cold && pass && t->steps % pass == 0)
			ret = forget(t);
		before = bench_now_ns();
		if (!ret)
			ret = step(t);
		after = bench_now_ns();
		if (ret)
			return ret;
		t->steps++;
		t->sample.operations++;
		t->sample.ns += after - before;
		histogram_add(&t->latency, after - before);
	} while (t->sample.ns < limit_ns && after < end);
	return 0;
}

// What does not count: also that a server, or an emulator, may do something for the first time.
static int warm_up(struct turn *t)
{
	int ret = 0;

	if (t->cell->op && t->cell->op->cold)
		return 0;
	if (!t->cell->op && !t->cold && !t->cell->load.writes)
		for (uint64_t i = 0; i < SPAN / t->cell->load.size && !ret; i++)
			ret = load_step(t, i);
	if (!ret)
		ret = run_steps(t, t->limit_ns / WARM_UP);
	// A whole pass, so that all of it is there.
	while (!ret && !t->cold && t->steps < pass_of(t->cell) && t->cell->op)
		ret = step(t), t->steps++;
	t->steps = 0;
	t->sample = (struct sample){.operations = 0};
	t->latency = (struct histogram){0};
	return ret;
}

static int open_turn(struct turn *t, const char *path)
{
	int ret = ground_open(&t->ground, path);

	if (ret)
		return ret;
	t->drop = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);
	if (t->drop < 0 || pwrite(t->drop, DROP_SILENTLY, 1, 0) < 0)
		return -errno;
	ret = plain_open(&t->plain, &t->ground, t->cell->op ? t->cell->op->parts : 0);
	t->plain.force = t->cold;
	if (ret || t->cell->op)
		return ret;
	t->file = openat(t->ground.fd, GROUND_DATA_FILE,
		(t->cell->load.writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (t->file < 0)
		return -errno;
	t->data = calloc(1, t->cell->load.size);
	t->random = bench_now_ns() | 1;
	return t->data ? 0 : -ENOMEM;
}

static void close_turn(struct turn *t)
{
	plain_close(&t->plain);
	if (t->ground.fd >= 0)
		ground_restore(&t->ground);
	close_fd(&t->file);
	close_fd(&t->drop);
	free(t->data);
	ground_close(&t->ground);
}

static void print_done(const struct turn *t)
{
	printf("done %llu %llu %llu %llu", (unsigned long long)t->sample.operations,
		(unsigned long long)t->sample.ns, (unsigned long long)t->latency.max,
		(unsigned long long)t->sample.requests);
	for (unsigned int i = 0; i < HISTOGRAM_CELLS; i++)
		if (t->latency.cells[i])
			printf(" %u:%llu", i, (unsigned long long)t->latency.cells[i]);
	printf("\n");
}

// A mount whose requests are counted.
struct counted {
	char tag[40];
	int device;
};

// All that can be asked for.
struct inside {
	const char *dir;
	struct cell *cells;
	unsigned int ncells;
	char *line;
	size_t room;
	bool counting;
	struct counted counted[BENCH_TARGETS_MAX];
	unsigned int ncounted;
};

static const struct cell *find_cell(const struct inside *in, const char *name, bool warm)
{
	for (unsigned int i = 0; i < in->ncells; i++)
		if (!strcmp(in->cells[i].name, name) && in->cells[i].way == warm)
			return &in->cells[i];
	return NULL;
}

// The next line, without its end; NULL: there is none.
static char *next_line(struct inside *in)
{
	fflush(stdout);
	if (getline(&in->line, &in->room, stdin) < 0)
		return NULL;
	in->line[strcspn(in->line, "\n")] = 0;
	return in->line;
}

static const struct counted *find_counted(const struct inside *in, const char *tag)
{
	for (unsigned int i = 0; i < in->ncounted; i++)
		if (!strcmp(in->counted[i].tag, tag))
			return &in->counted[i];
	return NULL;
}

// With cold caches nothing is there before, and nothing after: what operations leave to be
// forgotten is theirs.
static int forget_all(struct turn *t)
{
	return t->cold && t->cell->op ? forget(t) : 0;
}

static int run_counted(struct turn *t, const struct counted *counted)
{
	uint64_t before = 0, after = 0;
	int ret = counted ? asked_count(counted->device, &before) : 0;

	if (!ret)
		ret = run_steps(t, t->limit_ns);
	if (!ret)
		ret = forget_all(t);
	if (!ret && counted)
		ret = asked_count(counted->device, &after);
	t->sample.requests = after - before;
	return ret;
}

static int run_turn(struct inside *in, struct turn *t, const char *tag, const char *path)
{
	const char *line;
	int ret = open_turn(t, path);

	if (!ret)
		ret = warm_up(t);
	if (!ret)
		ret = forget_all(t);
	if (ret)
		return ret;
	printf("ready\n");
	line = next_line(in);
	return line && !strcmp(line, "go") ? run_counted(t, find_counted(in, tag)) : -EPROTO;
}

static int do_turn(struct inside *in, const char *words)
{
	static struct turn t;
	char tag[40], name[40], caches[8];
	AUTO_FREE char *path = NULL;
	unsigned long long ns;
	int ret;

	t = (struct turn){
		.file = -1, .drop = -1, .ground.fd = -1, .plain = {.dir = -1, .file = -1}};
	if (sscanf(words, "%39s %39s %7s %llu", tag, name, caches, &ns) != 4)
		return -EPROTO;
	t.cold = !strcmp(caches, "cold");
	t.cell = find_cell(in, name, !t.cold);
	if (!t.cell)
		return -EPROTO;
	t.limit_ns = ns;
	path = format("%s/%s", in->dir, tag);
	ret = run_turn(in, &t, tag, path);
	close_turn(&t);
	if (!ret)
		print_done(&t);
	return ret;
}

static int do_mount(struct inside *in, const char *tag)
{
	AUTO_FREE char *path = format("%s/%s", in->dir, tag);
	int ret;

	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	ret = ninep_mount(path);
	if (!ret)
		printf("ok\n");
	return ret;
}

static int do_count(struct inside *in, const char *tag)
{
	AUTO_FREE char *path = format("%s/%s", in->dir, tag);
	struct counted *c = &in->counted[in->ncounted];
	int ret = in->counting ? 0 : asked_start();

	if (ret)
		return ret;
	in->counting = true;
	if (in->ncounted == BENCH_TARGETS_MAX || strlen(tag) >= sizeof(c->tag))
		return -EPROTO;
	c->device = asked_device(path);
	if (c->device < 0)
		return c->device;
	snprintf(c->tag, sizeof(c->tag), "%s", tag);
	in->ncounted++;
	printf("ok\n");
	return 0;
}

static int do_line(struct inside *in, const char *line)
{
	static const struct {
		const char *word;
		int (*run)(struct inside *in, const char *rest);
	} commands[] = {{"mount ", do_mount}, {"count ", do_count}, {"turn ", do_turn}};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t n = strlen(commands[i].word);

		if (!strncmp(line, commands[i].word, n)) {
			// The line is read over while it is done.
			AUTO_FREE char *rest = format("%s", line + n);

			return commands[i].run(in, rest);
		}
	}
	return -EPROTO;
}

// One processor does all of it, so that settle_pages() reaches what was read.
static void stay_here(void)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu < 0 ? 0 : (unsigned int)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		say("bench: sched_setaffinity: %s", strerror(errno));
}

int guest_inside(const struct bench_options *o)
{
	struct bench_options all = *o;
	struct inside in = {.dir = o->dir};
	struct utsname system;
	const char *line;

	all.ops = "*";
	in.cells = cells_choose(&all, &in.ncells);
	if (!in.cells)
		return 1;
	stay_here();
	uname(&system);
	printf("hello %s %ld\n", system.release, sysconf(_SC_NPROCESSORS_ONLN));
	while ((line = next_line(&in))) {
		int ret = do_line(&in, line);

		if (ret)
			printf("error %d\n", -ret);
	}
	free(in.line);
	free(in.cells);
	return 0;
}
