// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * The gates of src/mem: a change waits for readers, readers wait for a change, and busy readers
 * do not starve one. Under ThreadSanitizer also: what a reader uses and a changer frees is
 * ordered by the gates alone.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "mem/mem.h"

#define PAGE    4096u
#define READERS 4
#define CHANGES 300

struct reader {
	struct world *world;
	struct mem_gate gate;
	pthread_t thread;
	_Atomic unsigned long rounds;
	bool beside; /* has no gate of its own */
};

struct world {
	struct mem mem;
	int fd;
	_Atomic bool stop;
	bool changing; /* plain: only the gates order it */
	_Atomic bool closed;
	struct reader readers[READERS];
};

static struct mem_region_desc region_at(uint64_t gpa)
{
	return (struct mem_region_desc){.gpa = gpa, .size = PAGE, .uva = gpa, .offset = 0};
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	mem_init(&w->mem);
	w->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->fd, PAGE), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mem_destroy(&w->mem);
	close(w->fd);
	free(w);
	return 0;
}

/* Translates and uses memory, with hardly a pause between two visits. */
static void *read_busily(void *arg)
{
	struct reader *r = arg;
	struct world *w = r->world;

	while (!atomic_load(&w->stop)) {
		struct iovec iov;

		if (r->beside)
			mem_enter_beside(&w->mem);
		else
			mem_enter(&w->mem, &r->gate);
		must(!w->changing);
		if (mem_translate(&w->mem, 0, PAGE, &iov, 1) != 1)
			must(mem_translate(&w->mem, 2 * PAGE, PAGE, &iov, 1) == 1);
		((volatile char *)iov.iov_base)[r - w->readers] = 1;
		if (r->beside)
			mem_leave_beside(&w->mem);
		else
			mem_leave(&r->gate);
		atomic_fetch_add(&r->rounds, 1);
	}
	return NULL;
}

static void start_readers(struct world *w)
{
	for (int i = 0; i < READERS; i++) {
		w->readers[i].world = w;
		w->readers[i].beside = i % 2;
		mem_gate_add(&w->mem, &w->readers[i].gate);
		assert_int_equal(pthread_create(&w->readers[i].thread, NULL, read_busily,
					 &w->readers[i]), 0);
	}
	for (int i = 0; i < READERS; i++)
		while (atomic_load(&w->readers[i].rounds) == 0)
			sched_yield();
}

static void stop_readers(struct world *w)
{
	atomic_store(&w->stop, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(w->readers[i].thread, NULL);
		mem_gate_remove(&w->mem, &w->readers[i].gate);
	}
	assert_null(w->mem.gates);
}

/* Memory moves to and fro under busy readers; the test's time limit is the check on starving. */
static void test_changes_under_readers(void **state)
{
	struct world *w = *state;

	assert_int_equal(mem_add(&w->mem, &(struct mem_region_desc){.size = PAGE}, w->fd), 0);
	start_readers(w);
	for (int i = 0; i < CHANGES; i++) {
		struct mem_region_desc now = region_at(i % 2 ? 2 * PAGE : 0);
		struct mem_region_desc next = region_at(i % 2 ? 0 : 2 * PAGE);

		mem_close_gates(&w->mem);
		w->changing = true;
		assert_int_equal(mem_remove(&w->mem, &now), 0);
		assert_int_equal(mem_add(&w->mem, &next, w->fd), 0);
		w->changing = false;
		mem_open_gates(&w->mem);
	}
	stop_readers(w);
}

/* A thread that says when it has all gates, or one gate, closed. */
static void *close_gates(void *arg)
{
	struct world *w = arg;

	mem_close_gates(&w->mem);
	atomic_store(&w->closed, true);
	mem_open_gates(&w->mem);
	return NULL;
}

static void *close_first(void *arg)
{
	struct world *w = arg;

	mem_close_gate(&w->mem, &w->readers[0].gate);
	atomic_store(&w->closed, true);
	mem_open_gate(&w->mem, &w->readers[0].gate);
	return NULL;
}

/* A reader inside holds a change back for as long as it stays, however long that is. */
static void change_waits(struct world *w, void *(*change)(void *))
{
	pthread_t thread;

	mem_gate_add(&w->mem, &w->readers[0].gate);
	mem_enter(&w->mem, &w->readers[0].gate);
	assert_int_equal(pthread_create(&thread, NULL, change, w), 0);
	while (!atomic_load(&w->mem.closing))
		sched_yield();
	for (int i = 0; i < 1000; i++) {
		sched_yield();
		assert_false(atomic_load(&w->closed));
	}
	mem_leave(&w->readers[0].gate);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&w->closed));
	assert_false(atomic_load(&w->mem.closing));
	mem_gate_remove(&w->mem, &w->readers[0].gate);
}

static void test_change_waits(void **state)
{
	change_waits(*state, close_gates);
}

static void test_single_change_waits(void **state)
{
	change_waits(*state, close_first);
}

struct newcomer {
	struct world *world;
	_Atomic pid_t tid; /* set when it is about to enter */
	_Atomic bool inside;
};

static void *enter_second(void *arg)
{
	struct newcomer *n = arg;
	struct mem_gate *gate = &n->world->readers[1].gate;

	atomic_store(&n->tid, gettid());
	mem_enter(&n->world->mem, gate);
	atomic_store(&n->inside, true);
	mem_leave(gate);
	return NULL;
}

/* The state of a thread of ours as the kernel sees it: 'S' while it sleeps. */
static char thread_state(pid_t tid)
{
	char path[64], text[256];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (!f)
		return 'X';
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return strrchr(text, ')')[2];
}

/* While anything is closed, newcomers wait even where their own gate is open: a change that has
 * begun to collect gates is never overtaken for ever. */
static void test_newcomers_wait(void **state)
{
	struct world *w = *state;
	struct newcomer n = {.world = w};
	pthread_t thread;

	mem_gate_add(&w->mem, &w->readers[0].gate);
	mem_gate_add(&w->mem, &w->readers[1].gate);
	mem_close_gate(&w->mem, &w->readers[0].gate);
	assert_int_equal(pthread_create(&thread, NULL, enter_second, &n), 0);
	while (atomic_load(&n.tid) == 0 || thread_state(atomic_load(&n.tid)) != 'S') {
		assert_false(atomic_load(&n.inside));
		sched_yield();
	}
	assert_false(atomic_load(&n.inside));
	mem_open_gate(&w->mem, &w->readers[0].gate);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&n.inside));
	mem_gate_remove(&w->mem, &w->readers[1].gate);
	mem_gate_remove(&w->mem, &w->readers[0].gate);
}

/* While one gate is closed for its owner's things, others may still be inside theirs. */
static void test_single_gate(void **state)
{
	struct world *w = *state;
	struct mem_gate *a = &w->readers[0].gate, *b = &w->readers[1].gate;

	mem_gate_add(&w->mem, a);
	mem_gate_add(&w->mem, b);
	mem_enter(&w->mem, b);
	mem_close_gate(&w->mem, a);
	mem_open_gate(&w->mem, a);
	mem_leave(b);
	mem_gate_remove(&w->mem, b);
	mem_enter(&w->mem, a);
	mem_leave(a);
	mem_close_gates(&w->mem);
	mem_open_gates(&w->mem);
	mem_gate_remove(&w->mem, a);
	assert_null(w->mem.gates);
}

/* With gates closed no reader gets in before they open. */
static void test_readers_wait(void **state)
{
	struct world *w = *state;
	unsigned long before[READERS];

	assert_int_equal(mem_add(&w->mem, &(struct mem_region_desc){.size = PAGE}, w->fd), 0);
	start_readers(w);
	mem_close_gates(&w->mem);
	/* Those that had left before the gates closed may still count that round. */
	for (int i = 0; i < READERS; i++)
		before[i] = atomic_load(&w->readers[i].rounds);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	for (int i = 0; i < READERS; i++)
		assert_true(atomic_load(&w->readers[i].rounds) <= before[i] + 1);
	mem_open_gates(&w->mem);
	for (int i = 0; i < READERS; i++)
		while (atomic_load(&w->readers[i].rounds) < before[i] + 3)
			sched_yield();
	stop_readers(w);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_changes_under_readers),
		CASE(test_change_waits),
		CASE(test_single_change_waits),
		CASE(test_newcomers_wait),
		CASE(test_single_gate),
		CASE(test_readers_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
