// SPDX-License-Identifier: BSD-2-Clause
//
// A turn opens its file, goes through all of it once, which maps what can be mapped and is not
// counted, and then does its operation for its time. What `dax` and `mmap` differ in is then what
// finding a place in the window costs, not who took more page faults.
//
// Of a file that fits the time is the median of a turn, which a machine that does something else
// meanwhile hardly changes. Of one that exceeds the window some operations find what they want
// there and others do not: there it is the average.

#include "dax.h"

#include "bench.h"
#include "causeway.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Of all that warms up, besides the one pass.
#define WARM_UP 10
#define PASS_BLOCK (1u << 20)

static const char *const file_names[] = {"fits", "exceeds"};

struct turn {
	struct target *t;
	const struct ground *ground;
	const struct load *load;
	const char *name; // of the file
	uint64_t size;
	bool exceeds; // the window
	struct causeway_file *file;
	int fd;
	void *memory; // the file's
	char *data;   // the program's
	uint64_t next, random;
};

struct dax_way {
	const char *name;
	bool window; // its causewayd has one
	// Of libcauseway; NULL: there is no server. What is in the window is in no other cache, but
	// how long a file is has to be kept: without that each use of the window would be a
	// request.
	const char *cache;
	bool in_guest; // it is measured there, too
	int (*open)(struct turn *turn);
	int (*move)(struct turn *turn, size_t size, uint64_t offset); // one operation
	void (*close)(struct turn *turn);
};

static int open_file(struct turn *turn)
{
	return causeway_open(turn->t->client, NULL, turn->name,
		turn->load->writes ? O_RDWR : O_RDONLY, 0, &turn->file);
}

static int move_file(struct turn *turn, size_t size, uint64_t offset)
{
	ssize_t n = turn->load->writes
			    ? causeway_pwrite(turn->file, turn->data, size, (off_t)offset)
			    : causeway_pread(turn->file, turn->data, size, (off_t)offset);

	return n < 0 ? (int)n : (size_t)n == size ? 0 : -EPROTO;
}

static void close_file(struct turn *turn)
{
	if (turn->file)
		causeway_close(turn->file);
}

static int protection(const struct turn *turn)
{
	return turn->load->writes ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int open_map(struct turn *turn)
{
	uint64_t window;
	int ret = causeway_get(turn->t->client, "dax-window", &window);

	if (!ret && turn->size > window)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = open_file(turn);
	return ret ? ret : causeway_map(turn->file, turn->size, protection(turn), 0, &turn->memory);
}

static int move_memory(struct turn *turn, size_t size, uint64_t offset)
{
	char *at = (char *)turn->memory + offset;

	if (turn->load->writes)
		memcpy(at, turn->data, size);
	else
		memcpy(turn->data, at, size);
	return 0;
}

static void close_map(struct turn *turn)
{
	if (turn->memory)
		causeway_unmap(turn->t->client, turn->memory, turn->size);
	close_file(turn);
}

static int open_plain(struct turn *turn)
{
	turn->fd = openat(
		turn->ground->fd, turn->name, (turn->load->writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return turn->fd < 0 ? -errno : 0;
}

static int move_plain(struct turn *turn, size_t size, uint64_t offset)
{
	ssize_t n = turn->load->writes ? pwrite(turn->fd, turn->data, size, (off_t)offset)
				       : pread(turn->fd, turn->data, size, (off_t)offset);

	return n < 0 ? -errno : (size_t)n == size ? 0 : -EIO;
}

static void close_plain(struct turn *turn)
{
	close_fd(&turn->fd);
}

static int open_mmap(struct turn *turn)
{
	int ret = open_plain(turn);
	void *memory;

	if (ret)
		return ret;
	memory = mmap(NULL, turn->size, protection(turn), MAP_SHARED, turn->fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	turn->memory = memory;
	return 0;
}

static void close_mmap(struct turn *turn)
{
	if (turn->memory)
		munmap(turn->memory, turn->size);
	close_plain(turn);
}

static const struct dax_way ways[] = {
	{"dax", true, "auto", true, open_file, move_file, close_file},
	{"dax-map", true, "auto", false, open_map, move_memory, close_map},
	{"requests", false, "none", true, open_file, move_file, close_file},
	{"cached", false, "auto", false, open_file, move_file, close_file},
	{"mmap", false, NULL, false, open_mmap, move_memory, close_mmap},
	{"system-calls", false, NULL, false, open_plain, move_plain, close_plain},
};
_Static_assert(sizeof(ways) / sizeof(ways[0]) < BENCH_TARGETS_MAX, "room for each, and 9p");

uint64_t dax_file_size(uint64_t window, unsigned int way)
{
	return way ? 4 * window : window / 2;
}

int dax_make_files(struct ground *g, uint64_t window)
{
	g->window = window;
	for (unsigned int way = 0; way < 2; way++) {
		const uint64_t size = dax_file_size(window, way);
		int ret;

		progress("making a file of %llu MiB", (unsigned long long)size >> 20);
		ret = ground_write_file(g->fd, file_names[way], size);
		if (ret) {
			say("bench: cannot make a file of %llu MiB in %s: %s",
				(unsigned long long)size >> 20, g->path, strerror(-ret));
			return -1;
		}
	}
	return 0;
}

int dax_choose(const struct bench_options *o, struct target *targets)
{
	int n = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct dax_way *way = &ways[i];
		struct target *t = &targets[n];

		if (o->guest && !way->in_guest)
			continue;
		t->way = way;
		snprintf(t->name, sizeof(t->name), "%s", way->name);
		t->plain = t->up = !way->cache;
		if (way->cache && target_ours(t, o))
			return -1;
		// The guest's device asks its back-end what it is called.
		if (o->guest)
			words_addf(&t->command, "--tag=%s", t->name);
		// Several have the file open, which ends leases.
		if (way->window) {
			words_addf(&t->command, "--dax-window=%lluM",
				(unsigned long long)o->dax >> 20);
			words_add(&t->command, "--dax=always");
		}
		n++;
	}
	return n;
}

int dax_connect(struct target *t, int sock, char *error, size_t size)
{
	const struct client_option options[] = {{"cache", t->way->cache},
		{"dax", t->way->window ? "auto" : "never"}, {"timeout-ms", "30000"}};
	uint64_t window = 0;
	int ret =
		client_connect(t, sock, options, sizeof(options) / sizeof(options[0]), error, size);

	if (ret)
		return ret;
	causeway_get(t->client, "dax-window", &window);
	if (!t->way->window || window)
		return 0;
	snprintf(error, size, "it has no window");
	return -EOPNOTSUPP;
}

static uint64_t next_offset(struct turn *turn)
{
	const size_t size = turn->load->size;
	uint64_t block = turn->load->random ? bench_random(&turn->random) : turn->next++;

	return block % (turn->size / size) * size;
}

static int pass(struct turn *turn)
{
	int ret = 0;

	for (uint64_t at = 0; at < turn->size && !ret && !bench_stop; at += PASS_BLOCK)
		ret = turn->t->way->move(turn, PASS_BLOCK, at);
	return ret;
}

static int run(struct turn *turn, uint64_t limit_ns, struct sample *sample, struct histogram *h)
{
	const uint64_t start = bench_now_ns(), end = start + limit_ns;
	uint64_t now = start;

	*sample = (struct sample){.operations = 0};
	do {
		const uint64_t before = now;
		int ret = turn->t->way->move(turn, turn->load->size, next_offset(turn));

		if (ret)
			return ret;
		now = bench_now_ns();
		histogram_add(h, now - before);
		sample->operations++;
	} while (now < end && !bench_stop);
	sample->ns = now - start;
	sample->time_ns = turn->exceeds ? (double)sample->ns / (double)sample->operations
					: (double)histogram_value(h, 0.5);
	return 0;
}

static int warm_up(struct turn *turn, uint64_t limit_ns, struct sample *sample)
{
	static struct histogram unused;
	int ret = pass(turn);

	return ret ? ret : run(turn, limit_ns / WARM_UP, sample, &unused);
}

int dax_measure(struct target *t, const struct ground *g, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency)
{
	const uint64_t limit_ns = (uint64_t)(seconds * (double)NS_PER_S);
	const size_t most = c->load.size > PASS_BLOCK ? c->load.size : PASS_BLOCK;
	struct turn turn = {.t = t,
		.ground = g,
		.load = &c->load,
		.name = file_names[c->way],
		.exceeds = c->way,
		.fd = -1,
		.random = bench_now_ns() | 1};
	uint64_t cpu = 0;
	int ret;

	turn.size = dax_file_size(g->window, c->way);
	turn.data = calloc(1, most);
	ret = turn.data ? t->way->open(&turn) : -ENOMEM;
	if (!ret)
		ret = warm_up(&turn, limit_ns, sample);
	if (!ret && !t->plain)
		cpu = server_cpu_ns(&t->server);
	if (!ret)
		ret = run(&turn, limit_ns, sample, latency);
	if (!ret && !t->plain) {
		sample->cpu_ns = server_cpu_ns(&t->server) - cpu;
		sample->memory = server_memory(&t->server);
	}
	t->way->close(&turn);
	free(turn.data);
	if (ret)
		sample->operations = 0;
	if (!t->plain)
		client_note_lost(t, ret);
	return ret;
}
