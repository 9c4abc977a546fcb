// SPDX-License-Identifier: BSD-2-Clause
//
// The half of `causeway bench --guest` that runs on the host: `causeway vm` with the servers'
// sockets, 9p (ninep.c) on the same tree, and our own program from a share of its own, which the
// guest runs whatever it sees of this machine's directories. It sits between two pipes.

#include "bench.h"

#include "../vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A share that no server can be called as.
#define PROGRAM_TAG "bench@host"
#define MOUNTED "/mnt"
// Emulated guests are slow; what takes longer has stopped.
#define BOOT_SECONDS 300
#define ANSWER_SECONDS 600
#define POLL_MS 500
#define END_MS 20000
#define LINE_MAX (1u << 20)

struct guest {
	pid_t vm, qemu;
	int in, out; // its standard input and output
	bool lost;
	char kernel[80];
	struct bytes read; // what it said that was not looked at
	char *line;
};

static void make_command(struct words *argv, const struct bench *b, const char *socket_dir)
{
	AUTO_FREE char *self = realpath("/proc/self/exe", NULL);
	AUTO_FREE char *kernel = ninep_kernel(b->o);
	const char *slash = self ? strrchr(self, '/') : NULL;

	words_add(argv, self ? self : "causeway");
	words_add(argv, "vm");
	// The first share is where the command runs.
	words_add(argv, "--share");
	words_addf(argv, "%.*s:" PROGRAM_TAG ":ro", slash ? (int)(slash - self) : 0, self);
	if (kernel) {
		words_add(argv, "--kernel");
		words_add(argv, kernel);
	}
	if (b->o->dax) {
		words_add(argv, "--dax");
		words_addf(argv, "%lluM", (unsigned long long)b->o->dax >> 20);
	}
	module_words(b->o, argv);
	for (unsigned int i = 0; i < b->ntargets; i++) {
		const struct target *t = &b->targets[i];

		if (t->ninep) {
			ninep_words(argv, b->ground->path);
		} else if (t->up) {
			words_add(argv, "--socket");
			words_addf(argv, "%s/%s:%s%s%s", socket_dir, t->name, t->name,
				t->mount ? ":" : "", t->mount ? t->mount : "");
		}
	}
	words_add(argv, "--");
	words_addf(argv, "./%s", slash ? slash + 1 : "causeway");
	words_add(argv, "bench");
	words_add(argv, "--inside");
	words_add(argv, MOUNTED);
}

static int spawn(struct guest *g, char **argv)
{
	AUTO_CLOSE int in = -1;
	AUTO_CLOSE int out = -1;
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		return -errno;
	in = p[0];
	g->in = p[1];
	if (pipe2(p, O_CLOEXEC))
		return -errno;
	g->out = p[0];
	out = p[1];
	g->vm = vm_spawn_between(argv, in, out);
	return g->vm < 0 ? (int)g->vm : 0;
}

static int give_up(struct guest *g, int error, const char *why)
{
	if (!g->lost && !bench_stop)
		say("bench: the guest %s", why);
	g->lost = true;
	return error;
}

// Moves the first line of what was read to g->line, where there is a whole one.
static bool take_line(struct guest *g)
{
	char *text = (char *)bytes_head(&g->read);
	char *end = g->read.len ? memchr(text, '\n', g->read.len) : NULL;

	if (!end)
		return false;
	free(g->line);
	*end = 0;
	g->line = format("%s", text);
	bytes_drop(&g->read, (size_t)(end + 1 - text));
	return true;
}

// The rest of the next line, which has to begin with that word. -errno is what the guest says, or
// that it is lost.
static int hear(struct guest *g, const char *word, unsigned int seconds, const char **rest)
{
	const uint64_t end = bench_now_ns() + seconds * NS_PER_S;
	size_t n = strlen(word);

	while (!take_line(g)) {
		struct pollfd p = {.fd = g->out, .events = POLLIN};
		char text[4096];
		ssize_t got;

		if (bench_stop)
			return give_up(g, -EINTR, "is stopped");
		if (bench_now_ns() > end)
			return give_up(g, -ETIMEDOUT, "does not answer");
		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		got = read(g->out, text, sizeof(text));
		if (got == 0)
			return give_up(g, -ENOTCONN, "has ended");
		if (got > 0 && (g->read.len > LINE_MAX || bytes_add(&g->read, text, (size_t)got)))
			return give_up(g, -EPROTO, "says too much");
	}
	if (!strncmp(g->line, word, n) && (!g->line[n] || g->line[n] == ' ')) {
		*rest = g->line + n;
		return 0;
	}
	if (sscanf(g->line, "error %zu", &n) == 1 && n > 0 && n < 4096)
		return -(int)n;
	return give_up(g, -EPROTO, "says what makes no sense");
}

static int tell(struct guest *g, const char *line)
{
	size_t n = strlen(line);

	// Less than a pipe holds, and it reads before it answers.
	if (write(g->in, line, n) != (ssize_t)n)
		return give_up(g, -ENOTCONN, "has ended");
	return 0;
}

static uint64_t cpu_ns(const struct guest *g, const struct target *t)
{
	return t->ninep ? ninep_cpu_ns(g->qemu) : server_cpu_ns(&t->server);
}

static int ask(struct guest *g, const char *what, const char *tag)
{
	AUTO_FREE char *line = format("%s %s\n", what, tag);
	const char *rest;
	int ret = tell(g, line);

	return ret ? ret : hear(g, "ok", ANSWER_SECONDS, &rest);
}

static void mount_9p(struct guest *g, struct target *t)
{
	int ret;

	g->qemu = ninep_server(g->vm);
	ret = ask(g, "mount", NINEP);
	t->up = !ret;
	if (ret && !g->lost)
		target_fail(t, strerror(-ret));
}

// What one target can't have counted, no other can, as it is the guest's kernel that counts.
static void count_requests(struct guest *g, const struct bench *b)
{
	int ret = 0;

	for (unsigned int i = 0; i < b->ntargets && !ret && !g->lost; i++) {
		struct target *t = &b->targets[i];

		if (!t->up)
			continue;
		ret = ask(g, "count", t->name);
		t->counted = !ret;
	}
	if (ret && !g->lost)
		say("bench: requests are not counted: no kprobe events in the guest's kernel, or "
		    "no histograms of them: %s",
			strerror(-ret));
}

static int greet(struct guest *g, const struct bench *b)
{
	const char *rest;
	int ret = hear(g, "hello", BOOT_SECONDS, &rest);

	if (!ret && sscanf(rest, " %79s", g->kernel) != 1)
		ret = give_up(g, -EPROTO, "does not say which kernel it has");
	for (unsigned int i = 0; i < b->ntargets && !ret && !g->lost; i++)
		if (b->targets[i].ninep)
			mount_9p(g, &b->targets[i]);
	if (!ret && !g->lost)
		count_requests(g, b);
	return ret ? ret : g->lost ? -ENOTCONN : 0;
}

struct guest *guest_start(const struct bench *b, const char *socket_dir)
{
	struct guest *g = calloc(1, sizeof(*g));
	AUTO_WORDS struct words argv = {0};
	int ret;

	if (!g)
		return NULL;
	g->in = g->out = -1;
	if (module_start(b->o)) {
		guest_free(g);
		return NULL;
	}
	for (unsigned int i = 0; i < b->ntargets && !bench_stop; i++) {
		struct target *t = &b->targets[i];
		AUTO_FREE char *socket = format("%s/%s", socket_dir, t->name);

		progress("starting %s", t->name);
		if (!t->ninep)
			target_listen(t, b->ground, socket);
	}
	progress("starting the guest");
	make_command(&argv, b, socket_dir);
	ret = spawn(g, argv.v);
	if (ret)
		say("bench: cannot start the guest: %s", strerror(-ret));
	else
		ret = greet(g, b);
	progress(NULL);
	if (!ret)
		return g;
	guest_stop(g);
	guest_free(g);
	module_stop(b->o);
	return NULL;
}

const char *guest_kernel(const struct guest *g)
{
	return g->kernel;
}

bool guest_lost(const struct guest *g)
{
	return g->lost;
}

static bool take_cell(const char *text, struct histogram *h, int *n)
{
	unsigned long long count;
	unsigned int cell;

	*n = 0;
	if (sscanf(text, " %u:%llu%n", &cell, &count, n) != 2 || cell >= HISTOGRAM_CELLS)
		return false;
	h->cells[cell] += count;
	h->count += count;
	return true;
}

static int take_sample(struct guest *g, const char *text, struct sample *s, struct histogram *h)
{
	unsigned long long operations, ns, max, requests;
	int n = 0;

	if (sscanf(text, "%llu %llu %llu %llu%n", &operations, &ns, &max, &requests, &n) != 4)
		return give_up(g, -EPROTO, "says no numbers");
	s->operations = operations;
	s->requests = requests;
	s->ns = ns;
	h->max = max;
	for (text += n; *text; text += n)
		if (!take_cell(text, h, &n))
			return give_up(g, -EPROTO, "says no numbers");
	return operations && h->count == operations ? 0
						    : give_up(g, -EPROTO, "has counted wrongly");
}

// Reading ahead makes most of the reads nothing and some of them long, so loads have their average.
static double time_of(const struct cell *c, const struct sample *s, const struct histogram *h)
{
	if (c->op)
		return (double)histogram_value(h, 0.5);
	return (double)s->ns / (double)s->operations;
}

int guest_measure(struct guest *g, struct target *t, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency)
{
	AUTO_FREE char *turn = format("turn %s %s %s %llu\n", t->name, c->name,
		c->way ? "warm" : "cold", (unsigned long long)(seconds * (double)NS_PER_S));
	uint64_t before = 0, after;
	const char *rest;
	int ret = tell(g, turn);

	if (!ret)
		ret = hear(g, "ready", ANSWER_SECONDS, &rest);
	if (!ret) {
		before = cpu_ns(g, t);
		ret = tell(g, "go\n");
	}
	if (!ret)
		ret = hear(g, "done", ANSWER_SECONDS, &rest);
	after = cpu_ns(g, t);
	if (!ret)
		ret = take_sample(g, rest, sample, latency);
	if (ret) {
		sample->operations = 0;
		return ret;
	}
	sample->time_ns = time_of(c, sample, latency);
	sample->cpu_ns = after > before ? after - before : 0;
	sample->memory = t->ninep ? 0 : server_memory(&t->server);
	return 0;
}

// Without anything to read its program ends, and the guest with that.
void guest_stop(struct guest *g)
{
	close_fd(&g->in);
	close_fd(&g->out);
	if (g->vm > 0)
		vm_reap(g->vm, g->lost || bench_stop, END_MS);
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	bytes_free(&g->read);
	free(g->line);
	free(g);
}
