// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway bench`: how fast servers are, measured as a guest would use them, but without one.
//
// Theory of operation. The other end of a server is this process: wire.c has the virtqueues,
// session.c the FUSE requests of a stock guest, ops.c, tree.c and data.c the operations that are
// made of them, plain.c the same by system calls.
//
//   options.c, cells.c, targets.c   what is measured: operations × clients, and on which servers
//   beside.c                        one of them beside another request
//   awake.c                         processors that do not idle
//   ground.c                        one tree, which all servers share and plain system calls use
//   server.c                        the servers' processes: started once, idle but for their turns
//   bench.c                         rounds: each operation on each server in turn
//   measure.c                       one turn
//   guest.c, inside.c               the same in a guest, by plain.c's system calls
//   asked.c                         how many requests the guest has sent
//   ninep.c                         9p in that guest
//   module.c                        causeway.ko in it, beside Linux's driver
//   client.c                        libcauseway as the client, instead of session.c
//   dax.c                           it with a window, and without
//   shared.c, shared_ops.c          it with its caches, and what a version table costs
//   ablation.c, counters.c          causewayd with all that makes it fast, and without each of that
//   digest.c, text.c, json.c, plot.c   what came of it
//
// Whatever else the machine does changes from second to second, so servers are compared within a
// round, where their turns follow each other, and the order changes with every round. A server that
// refuses an operation has no number for it; one that ends is left out from then on.

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_STOPPED 130

_Atomic bool bench_stop;
uint32_t bench_uid, bench_gid, bench_pid;

uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void on_signal(int sig)
{
	bench_stop = true;
}

static void take_signals(void)
{
	static const int ends[] = {SIGHUP, SIGINT, SIGTERM};
	const struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

// All turns there will be, for the progress line.
struct course {
	const struct bench *b;
	struct plain plain;
	struct histogram latency; // of one turn
	uint64_t start_ns, done, all;
	bool failed; // something went wrong that is no server's right
};

static void show_progress(struct course *c, unsigned int cell, unsigned int target)
{
	const struct bench *b = c->b;
	double passed = (double)(bench_now_ns() - c->start_ns) / (double)NS_PER_S;
	double left = c->done ? passed / (double)c->done * (double)(c->all - c->done) : 0;

	progress("round %llu of %ld, %.0f s left: %s, %s %s, %s",
		(unsigned long long)(c->done / ((uint64_t)b->ncells * b->ntargets)) + 1,
		b->o->rounds, left, b->cells[cell].name, bench_ways(b->o)->what,
		bench_ways(b->o)->names[b->cells[cell].way], b->targets[target].name);
}

// An operation that did not succeed: some servers do not have it, and some have limits that others
// do not have. That is a result; what makes no sense, or is no server's doing, is not.
static void note_error(struct course *c, unsigned int cell, const struct target *t, int error)
{
	if (error == -EPROTO || t->plain || t->lost)
		c->failed = true;
	if (error == -ENOSYS || error == -EOPNOTSUPP || t->lost)
		return;
	say("bench: %s on %s (%s): %s", c->b->cells[cell].name, t->name,
		bench_ways(c->b->o)->titles[c->b->cells[cell].way], strerror(-error));
}

// A guest takes with it all that it has mounted.
static void lose_all(struct course *c)
{
	for (unsigned int i = 0; i < c->b->ntargets; i++)
		if (c->b->targets[i].up)
			target_fail(&c->b->targets[i], "the guest has ended");
	c->failed = true;
}

static int measure_one(
	struct course *c, struct target *t, const struct cell *cell, struct sample *sample)
{
	const struct bench *b = c->b;
	const double seconds = b->o->seconds;

	if (b->guest)
		return guest_measure(b->guest, t, cell, seconds, sample, &c->latency);
	if (t->way)
		return dax_measure(t, b->ground, cell, seconds, sample, &c->latency);
	if (t->shared)
		return shared_measure(b, t, cell, seconds, sample, &c->latency);
	return measure(t, &c->plain, cell, seconds, sample, &c->latency);
}

static void one_turn(struct course *c, unsigned int round, unsigned int cell, unsigned int target)
{
	const struct bench *b = c->b;
	struct target *t = &b->targets[target];
	struct result *r = result_of(b, cell, target);
	int error;

	if (t->up) {
		show_progress(c, cell, target);
		c->latency = (struct histogram){0};
		error = measure_one(c, t, &b->cells[cell], &r->samples[round]);
		if (!error)
			histogram_merge(&r->latency, &c->latency);
		if (error && !bench_stop) {
			if (error != r->error)
				note_error(c, cell, t, error);
			r->error = error;
		}
		if (t->lost)
			target_lost(t);
		if (b->guest && guest_lost(b->guest))
			lose_all(c);
	}
	c->done++;
}

// Rounds until all are done, or it is to stop. How many were done.
static unsigned int run_rounds(struct course *c)
{
	const struct bench *b = c->b;
	unsigned int round;

	for (round = 0; round < (unsigned long)b->o->rounds && !bench_stop; round++)
		for (unsigned int cell = 0; cell < b->ncells; cell++)
			for (unsigned int i = 0; i < b->ntargets && !bench_stop; i++)
				one_turn(c, round, cell, (i + round) % b->ntargets);
	progress(NULL);
	return bench_stop && round ? round - 1 : round;
}

static int report_to(
	const struct bench *b, const char *file, void (*report)(const struct bench *b, FILE *f))
{
	FILE *f = file ? fopen(file, "we") : stdout;
	int ret = 0;

	if (!f) {
		say("bench: %s: %s", file, strerror(errno));
		return -1;
	}
	report(b, f);
	if (fflush(f) || ferror(f)) {
		say("bench: %s: %s", file ? file : "the report", strerror(errno));
		ret = -1;
	}
	if (file)
		fclose(f);
	return ret;
}

static int report(const struct bench *b)
{
	const struct bench_options *o = b->o;
	int ret = report_to(b, NULL,
		o->ablation   ? report_ablation
		: o->markdown ? report_markdown
			      : report_text);

	if (o->json && report_to(b, o->json, report_json))
		ret = -1;
	if (o->plot && report_to(b, o->plot, report_plot))
		ret = -1;
	return ret;
}

// Without a guest --dax has files of its own, and so has --shared.
static unsigned int parts_of(const struct bench *b)
{
	return b->o->shared || (b->o->dax && !b->o->guest) ? 0 : cells_parts(b->cells, b->ncells);
}

// Measures all there is to measure, on a tree that is there.
static int run(struct bench *b, const char *socket_dir)
{
	const struct session_room room = cells_room(b->cells, b->ncells);
	struct course c = {.b = b, .all = (uint64_t)b->o->rounds * b->ncells * b->ntargets};
	int ret = plain_open(&c.plain, b->ground, parts_of(b));

	if (ret)
		say("bench: %s: %s", b->ground->path, strerror(-ret));
	else if (b->o->guest)
		ret = (b->guest = guest_start(b, socket_dir)) ? 0 : -1;
	else if (b->o->shared)
		ret = shared_start(b, socket_dir);
	else if (b->o->ablation)
		ret = ablation_start(b->ground);
	for (unsigned int i = 0; i < b->ntargets && !ret && !bench_stop; i++) {
		struct target *t = &b->targets[i];

		progress("starting %s", t->name);
		if (!t->plain && !b->guest)
			target_start(t, b->ground, socket_dir, &room);
		c.failed = c.failed || !t->up;
	}
	c.start_ns = bench_now_ns();
	if (!ret)
		b->rounds = run_rounds(&c);
	if (b->guest) {
		guest_stop(b->guest);
		module_stop(b->o);
	}
	if (b->o->ablation)
		ablation_count(b);
	for (unsigned int i = 0; i < b->ntargets; i++)
		target_end(&b->targets[i]);
	if (b->o->shared)
		shared_stop(b);
	plain_close(&c.plain);
	if (bench_stop)
		say("bench: stopped after %u round%s", b->rounds, b->rounds == 1 ? "" : "s");
	if (b->rounds && report(b))
		ret = -1;
	guest_free(b->guest);
	return bench_stop ? EXIT_STOPPED : ret || c.failed ? EXIT_FAILED : 0;
}

static struct result *make_results(const struct bench *b)
{
	size_t n = (size_t)b->ncells * b->ntargets;
	struct result *results = calloc(n, sizeof(*results));
	struct sample *samples = calloc(n * (size_t)b->o->rounds, sizeof(*samples));

	if (!results || !samples) {
		say("out of memory");
		free(results);
		free(samples);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		results[i].samples = samples + i * (size_t)b->o->rounds;
	return results;
}

// Everything that is there for the time of the run: sockets, the tree.
static int run_on_ground(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");
	AUTO_FREE char *sockets = format("%s/causeway-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	struct ground ground;
	struct awake awake = {.n = 0};
	int status = EXIT_FAILED;
	bool ready;

	if (!mkdtemp(sockets)) {
		say("bench: cannot make %s: %s", sockets, strerror(errno));
		return EXIT_FAILED;
	}
	take_signals();
	ready = !b->o->awake || !awake_start(&awake);
	if (ready && !ground_make(&ground, b->o->dir, parts_of(b))) {
		b->ground = &ground;
		if (!b->o->dax || b->o->guest || !dax_make_files(&ground, b->o->dax))
			status = run(b, sockets);
		ground_remove(&ground);
	}
	awake_stop(&awake);
	// Some servers put a file beside their socket.
	ground_remove_all(sockets);
	return status;
}

// What cannot be written later would be a waste of the time until then.
static int check_files(const struct bench_options *o)
{
	const char *files[] = {o->json, o->plot};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = files[i] ? open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;

		if (files[i] && fd < 0) {
			say("bench: %s: %s", files[i], strerror(errno));
			return -1;
		}
		close_fd(&fd);
	}
	return 0;
}

static int choose_and_run(const struct bench_options *o)
{
	struct target *targets = calloc(BENCH_TARGETS_MAX, sizeof(*targets));
	struct bench b = {.o = o, .targets = targets};
	struct cell *cells = targets ? cells_choose(o, &b.ncells) : NULL;
	int status = EXIT_USAGE, n = cells ? targets_choose(o, targets) : -1;

	b.cells = cells;
	b.ntargets = n > 0 ? (unsigned int)n : 0;
	if (n > 0 && !check_files(o)) {
		b.results = make_results(&b);
		status = b.results ? run_on_ground(&b) : EXIT_FAILED;
	}
	if (b.results)
		free(b.results[0].samples);
	free(b.results);
	if (targets)
		targets_free(targets);
	free(targets);
	free(cells);
	return status;
}

int cmd_bench(int argc, char **argv)
{
	struct bench_options o;
	int status;

	bench_uid = geteuid();
	bench_gid = getegid();
	bench_pid = (uint32_t)getpid();
	if (!bench_options_parse(&o, argc, argv, &status)) {
		status = 0;
		if (o.inside)
			status = guest_inside(&o);
		else if (o.list)
			cells_list(&o);
		else
			status = choose_and_run(&o);
	}
	bench_options_free(&o);
	return status;
}
