// SPDX-License-Identifier: BSD-2-Clause
//
// One turn of one operation on one server: what it works on is looked up, it is done for a while
// that does not count, then for the time that does; then everything is as it was before.

#include "bench.h"

#include <errno.h>

// The part of the time that warming up takes.
#define WARM_UP 10

struct turn {
	struct target *t;
	struct plain *p;
	const struct cell *cell;
	uint64_t limit_ns;
	struct sample *sample;
	struct histogram *latency;
};

static void note_memory(void *arg)
{
	struct turn *turn = arg;

	turn->sample->memory = server_memory(&turn->t->server);
	turn->t->session.peak = NULL;
}

static int step(struct turn *turn)
{
	if (turn->t->plain)
		return turn->cell->op->plain(turn->p);
	return turn->cell->op->step(&turn->t->session);
}

static int before_step(struct turn *turn)
{
	const struct operation *op = turn->cell->op;

	return op->before && !turn->t->plain ? op->before(&turn->t->session) : 0;
}

static int drain(struct turn *turn)
{
	return turn->t->plain ? 0 : session_drain(&turn->t->session);
}

static int warm_up(struct turn *turn)
{
	uint64_t end = bench_now_ns() + turn->limit_ns / WARM_UP;
	int ret = 0;

	if (turn->cell->op->cold)
		return 0;
	do {
		ret = before_step(turn);
		if (ret >= 0)
			ret = step(turn);
	} while (ret >= 0 && bench_now_ns() < end && !bench_stop);
	return ret < 0 ? ret : drain(turn);
}

static int run_steps(struct turn *turn)
{
	uint64_t start = bench_now_ns(), end = start + turn->limit_ns, now = start, aside = 0;
	int ret;

	do {
		uint64_t before = now;

		if (turn->cell->op->before) {
			ret = before_step(turn);
			if (ret < 0)
				return ret;
			before = bench_now_ns();
			aside += before - now;
		}
		ret = step(turn);
		if (ret < 0)
			return ret;
		now = bench_now_ns();
		histogram_add(turn->latency, now - before);
		turn->sample->operations++;
	} while (now < end && !bench_stop);
	// What was sent without waiting is part of it.
	ret = drain(turn);
	turn->sample->ns = bench_now_ns() - start - aside;
	return ret;
}

static int do_load(struct turn *turn, uint64_t limit_ns, struct histogram *latency)
{
	struct load_run run = {.load = &turn->cell->load, .limit_ns = limit_ns, .latency = latency};
	int ret = turn->t->plain ? load_run_plain(turn->p->ground, &run)
				 : load_run(&turn->t->session, &run);

	turn->sample->operations = run.operations;
	turn->sample->ns = run.ns;
	return ret;
}

// The first step of an operation that holds much says when that is the most.
static int prepare(struct turn *turn)
{
	static struct histogram unused;
	struct session *s = &turn->t->session;
	int ret = 0;

	turn->p->turned = s->turned = false;
	if (!turn->t->plain) {
		s->wire.polls = turn->cell->way;
		s->peak = note_memory;
		s->peak_arg = turn;
		ret = turn->cell->op ? turn->cell->op->prepare(s)
				     : load_prepare(s, &turn->cell->load);
	}
	if (ret < 0)
		return ret;
	ret = turn->cell->op ? warm_up(turn) : do_load(turn, turn->limit_ns / WARM_UP, &unused);
	turn->sample->operations = 0;
	return ret;
}

static int run(struct turn *turn)
{
	struct server *server = &turn->t->server;
	uint64_t cpu = turn->t->plain ? 0 : server_cpu_ns(server), after;
	int ret = turn->cell->op ? run_steps(turn) : do_load(turn, turn->limit_ns, turn->latency);

	if (ret < 0 || turn->t->plain)
		return ret;
	after = server_cpu_ns(server);
	turn->sample->cpu_ns = after > cpu ? after - cpu : 0;
	if (!turn->sample->memory)
		turn->sample->memory = server_memory(server);
	return 0;
}

// One at a time: the median, which a machine that does something else meanwhile hardly changes.
// Several at a time: how long after the one before it one comes back, on average.
static double time_of(const struct turn *turn)
{
	const struct load *load = &turn->cell->load;

	if (turn->cell->op || load->depth * load->queues == 1)
		return (double)histogram_value(turn->latency, 0.5);
	return (double)turn->sample->ns / (double)turn->sample->operations;
}

int measure(struct target *t, struct plain *p, const struct cell *c, double seconds,
	struct sample *sample, struct histogram *latency)
{
	struct turn turn = {.t = t,
		.p = p,
		.cell = c,
		.limit_ns = (uint64_t)(seconds * (double)NS_PER_S),
		.sample = sample,
		.latency = latency};
	int ret, end = 0;

	*sample = (struct sample){.operations = 0};
	ret = prepare(&turn);
	if (ret >= 0)
		ret = run(&turn);
	if (ret >= 0)
		sample->time_ns = time_of(&turn);
	if (!t->plain) {
		end = session_let_go(&t->session);
		t->lost = t->session.wire.lost;
	}
	ground_restore(p->ground);
	if (ret >= 0)
		ret = end;
	if (ret < 0)
		sample->operations = 0;
	return ret < 0 ? ret : 0;
}
