// SPDX-License-Identifier: BSD-2-Clause
//
// One operation after the other, by one thread: also what the other client changes is changed
// between operations, and is no part of their time. So it is known how many requests a change may
// cost, whatever the machine does meanwhile.

#include "shared.h"

#include "bench.h"
#include "causeway.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WARM_UP 10
#define OTHER "other"
// The tree: directories of directories of files.
#define PER_DIR 100
#define DIRS 10
// Of all files that a walk goes through so many were changed, far from each other.
#define WALK_CHANGES 16

// For tables: they are memory that all their servers have.
#define TABLES "/dev/shm"

struct shared_way {
	const char *name;
	const char *cache; // of libcauseway; NULL: plain system calls
	bool table;
	bool keeps; // what it was asked for
};

// `none` has the same server as `always` and `auto`, so that these show for requests how far a
// difference is to be believed.
static const struct shared_way ways[] = {
	{"shared", "shared", true, true},
	{"always", "always", false, true},
	{"auto", "auto", false, true},
	{"none", "none", false, false},
	{"system-calls", NULL, false, false},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))
_Static_assert(WAYS <= BENCH_TARGETS_MAX, "room for each");

char *shared_table_folder(void)
{
	return format(TABLES "/causeway-bench-%d", (int)bench_pid);
}

static int prepare_target(struct target *t, const struct bench_options *o,
	const struct shared_way *way, const char *name)
{
	AUTO_FREE char *folder = shared_table_folder();

	t->shared = way;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->plain = t->up = !way->cache;
	if (way->cache && target_ours(t, o))
		return -1;
	if (way->table)
		words_addf(&t->command, "--version-table=%s/table", folder);
	return 0;
}

int shared_choose(const struct bench_options *o, struct target *targets)
{
	for (size_t i = 0; i < WAYS; i++)
		if (prepare_target(&targets[i], o, &ways[i], ways[i].name))
			return -1;
	return WAYS;
}

int shared_connect(struct target *t, int sock, char *error, size_t size)
{
	// All of the tree is to be kept, however large it is.
	const struct client_option options[] = {{"cache", t->shared->cache},
		{"cache-entries", "16777216"}, {"timeout-ms", "30000"}};
	uint64_t slots = 0;
	int ret =
		client_connect(t, sock, options, sizeof(options) / sizeof(options[0]), error, size);

	if (ret)
		return ret;
	causeway_get(t->client, "table-slots", &slots);
	if (!t->shared->table || slots)
		return 0;
	snprintf(error, size, "it has no version table that can be trusted");
	return -EOPNOTSUPP;
}

static void name_file(char *path, size_t i)
{
	snprintf(path, SHARED_PATH, "tree/%zu/%zu/%zu", i / (PER_DIR * DIRS), i / PER_DIR % DIRS,
		i % PER_DIR);
}

static int make_dir_of(int root, const char *path, size_t length)
{
	char dir[SHARED_PATH];

	snprintf(dir, sizeof(dir), "%.*s", (int)length, path);
	return mkdirat(root, dir, 0755) && errno != EEXIST ? -errno : 0;
}

static int make_file(int root, const char *path)
{
	// Its directories come with the first file in each.
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		int ret = make_dir_of(root, path, (size_t)(slash - path));

		if (ret)
			return ret;
	}
	return mknodat(root, path, S_IFREG | 0644, 0) ? -errno : 0;
}

static int make_tree(struct bench *b)
{
	const size_t n = (size_t)b->o->files;
	int ret = 0;

	progress("making %zu files", n);
	b->paths = calloc(n, sizeof(*b->paths));
	if (!b->paths)
		ret = -ENOMEM;
	for (size_t i = 0; i < n && !ret && !bench_stop; i++) {
		name_file(b->paths[i], i);
		ret = make_file(b->ground->fd, b->paths[i]);
	}
	if (ret)
		say("bench: cannot make %zu files in %s: %s", n, b->ground->path, strerror(-ret));
	return ret ? -1 : 0;
}

int shared_start(struct bench *b, const char *socket_dir)
{
	AUTO_FREE char *folder = shared_table_folder();
	struct target *other = &b->other;

	*other = (struct target){.server.pidfd = -1};
	if (make_tree(b))
		return -1;
	if (mkdir(folder, 0700)) {
		say("bench: cannot make %s: %s", folder, strerror(errno));
		return -1;
	}
	if (prepare_target(other, b->o, &ways[0], OTHER))
		return -1;
	progress("starting the other client's server");
	target_start(other, b->ground, socket_dir, NULL);
	return other->up ? 0 : -1;
}

void shared_stop(struct bench *b)
{
	AUTO_FREE char *folder = shared_table_folder();

	target_end(&b->other);
	words_free(&b->other.command);
	// It was chosen when its folder was there.
	if (b->other.shared)
		ground_remove_all(folder);
	free(b->paths);
}

struct run {
	const struct bench *b;
	const struct shared_op *op;
	struct shared_turn turn;
	size_t files; // that come in turn
	size_t next;
	bool changing;
	struct sample *sample;
};

// The other client changes a file's mode. Its failure is no result of what is measured.
static int change(struct run *run, size_t file)
{
	static unsigned int count;

	run->sample->changes++;
	return causeway_chmod(run->b->other.client, NULL, run->b->paths[file],
		       count++ % 2 ? 0644 : 0600, 0)
		       ? -EPROTO
		       : 0;
}

static int change_some(struct run *run)
{
	const size_t n = run->op->walk ? WALK_CHANGES : 1;
	const size_t apart = run->files / n ? run->files / n : 1;
	int ret = 0;

	for (size_t i = 0; i < n && i < run->files && !ret; i++)
		ret = change(run, (run->next + i * apart) % run->files);
	return ret;
}

static int steps(struct run *run, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++) {
		ret = run->op->step(&run->turn, run->next);
		if (++run->next == run->files)
			run->next = 0;
	}
	return ret;
}

static int run_for(struct run *run, uint64_t limit_ns, struct histogram *latency)
{
	const uint64_t end = bench_now_ns() + limit_ns;
	// A change is looked at once; what a walk is about is gone through whenever it is done.
	const unsigned int batch = run->changing ? 1 : run->op->batch;
	const size_t n = run->op->walk ? run->files : batch;
	static struct histogram batches;

	batches = (struct histogram){0};
	*run->sample = (struct sample){.operations = 0};
	do {
		int ret = run->changing ? change_some(run) : 0;
		const uint64_t before = bench_now_ns();
		uint64_t ns;

		if (!ret)
			ret = steps(run, n);
		if (ret)
			return ret;
		ns = bench_now_ns() - before;
		histogram_add(&batches, ns);
		histogram_add(latency, ns / batch);
		run->sample->operations += batch;
		run->sample->ns += ns;
		// The next walk finds others changed.
		run->next = run->op->walk ? (run->next + 1) % run->files : run->next;
	} while (bench_now_ns() < end && !bench_stop);
	run->sample->time_ns = (double)histogram_value(&batches, 0.5) / batch;
	return 0;
}

// What is there to be kept is kept before it counts.
static int warm_up(struct run *run, bool keeps, uint64_t limit_ns)
{
	static struct histogram unused;
	int ret = keeps && !run->op->request ? steps(run, run->files) : 0;

	return ret || run->op->walk ? ret : run_for(run, limit_ns / WARM_UP, &unused);
}

static uint64_t requests(const struct run *run)
{
	uint64_t counted = 0;

	if (run->turn.client)
		causeway_get(run->turn.client, "requests", &counted);
	return counted + run->turn.requests;
}

static int run_counted(
	struct run *run, struct target *t, uint64_t limit_ns, struct histogram *latency)
{
	const uint64_t asked = requests(run), cpu = t->plain ? 0 : server_cpu_ns(&t->server);
	int ret = run_for(run, limit_ns, latency);

	if (ret || t->plain)
		return ret;
	run->sample->requests = requests(run) - asked;
	run->sample->cpu_ns = server_cpu_ns(&t->server) - cpu;
	run->sample->memory = server_memory(&t->server);
	return 0;
}

int shared_measure(const struct bench *b, struct target *t, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency)
{
	const uint64_t limit_ns = (uint64_t)(seconds * (double)NS_PER_S);
	const struct shared_op *op = c->shared;
	const size_t all = (size_t)b->o->files;
	struct run run = {.b = b,
		.op = op,
		.turn = {.client = t->client,
			.words = t->shared->table,
			.root = b->ground->fd,
			.paths = b->paths,
			.fd = -1},
		.files = op->walk || all < SHARED_FEW ? all : SHARED_FEW,
		.changing = c->way,
		.sample = sample};
	int ret;

	snprintf(run.turn.kept, sizeof(run.turn.kept), "kept-%s", t->name);
	snprintf(run.turn.fresh, sizeof(run.turn.fresh), "new-%s", t->name);
	// What is open is one.
	if (op->prepare)
		run.files = 1;
	ret = op->prepare ? op->prepare(&run.turn) : 0;
	if (!ret)
		ret = warm_up(&run, t->shared->keeps, limit_ns);
	if (!ret)
		ret = run_counted(&run, t, limit_ns, latency);
	if (op->finish)
		op->finish(&run.turn);
	if (ret)
		sample->operations = 0;
	if (!t->plain)
		client_note_lost(t, ret);
	return ret;
}
