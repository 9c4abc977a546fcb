// SPDX-License-Identifier: BSD-2-Clause
/*
 * check: timeout=300
 *
 * What a server renames just after a process of the host has changed the old name is passed on like
 * that process' changes, and what else it renames is not. The watcher is stopped meanwhile, so that
 * everything waits for it at once.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "coherence/words.h"
#include "watch_world.h"

static struct world world;
static const char *no_world;
static pid_t leader;

static int setup(void **state)
{
	no_world = world_make_watched(&world, "../t");
	if (no_world)
		return 0;
	leader = world_leader();
	assert_true(leader > 0);
	return 0;
}

static int teardown(void **state)
{
	if (!no_world)
		world_end_watched(&world);
	return 0;
}

static void make(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int move_b_to_a(void *opaque)
{
	return rename("b", "a");
}
static int move_w_to_a(void *opaque)
{
	return rename("w", "a");
}
static int make_a_anew(void *opaque)
{
	return unlink("a") | mknod("a", S_IFREG | 0600, 0);
}

static void move(const char *from, const char *to)
{
	assert_int_equal(rename(from, to), 0);
}

/* Each: what the host's process does, what the server does then, and the names that are told. In
 * all of them the server also renames what nobody else has touched. */

static void do_simple(void)
{
	world_stranger(move_b_to_a, NULL);
	move("a", "new");
}

static void do_anew(void)
{
	world_stranger(make_a_anew, NULL);
	move("a", "dir/new");
}

static void do_chain(void)
{
	world_stranger(move_b_to_a, NULL);
	move("a", "new");
	move("new", "dir/newer");
}

static void do_exchange(void)
{
	world_stranger(move_b_to_a, NULL);
	assert_int_equal(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_EXCHANGE), 0);
}

static void do_over(void)
{
	world_stranger(move_b_to_a, NULL);
	move("a", "c");
}

/* The last rename is put to the first, equal one by the kernel, and so stands before what it
 * follows. */
static void do_merged(void)
{
	move("a", "new");
	move("new", "w");
	world_stranger(move_w_to_a, NULL);
	move("a", "new");
}

/* Of a chain, so that the second one stands first. */
static void do_merged_chain(void)
{
	move("c", "new");
	move("new", "newer");
	move("newer", "w");
	world_stranger(move_w_to_a, NULL);
	move("a", "new");
	move("new", "newer");
}

static void do_directory(void)
{
	world_stranger(move_b_to_a, NULL);
	move("a", "dir/new");
}

#define NAMES 16

/* Which of all names are told. */
static const char *const all[NAMES] = {"a", "b", "c", "w", "new", "newer", "x", "y", "dir/a",
	"dir/b", "dir/c", "dir/w", "dir/new", "dir/newer", "dir/x", "dir/y"};

static const struct {
	const char *what;
	void (*happens)(void);
	bool directories;
	const char *names[5], *moved; /* the inode that is told of by where it is then */
} cases[] = {
	{"another has moved to the old name", do_simple, false, {"b", "a", "new"}, "new"},
	{"another was made there", do_anew, false, {"a", "dir/new"}, "dir/new"},
	{"it moves twice", do_chain, false, {"b", "a", "new", "dir/newer"}, "dir/newer"},
	{"exchange", do_exchange, false, {"b", "a", "c"}, "a"},
	{"over another", do_over, false, {"b", "a", "c"}, "c"},
	{"an equal one waits", do_merged, false, {"w", "a", "new"}, "new"},
	{"two equal ones wait", do_merged_chain, false, {"w", "a", "new", "newer"}, "newer"},
	{"a directory", do_directory, true, {"b", "a", "dir/new"}, "dir/new"},
};

struct slots {
	unsigned int n;
	uint32_t number[NAMES + 2];
	uint64_t word[NAMES + 2];
};

static void add(struct slots *s, uint32_t number)
{
	s->number[s->n] = number;
	s->word[s->n++] = atomic_load(words_slot(world.table, number));
}

static void add_name(struct slots *s, const char *path)
{
	const char *name = strrchr(path, '/');
	struct stat st;

	assert_int_equal(stat(name ? "dir" : ".", &st), 0);
	add(s, vtable_slot_of_name(world.table, st.st_dev, st.st_ino, name ? name + 1 : path));
}

static bool has_moved(const struct slots *s, unsigned int i)
{
	return atomic_load(words_slot(world.table, s->number[i])) != s->word[i];
}

static bool have_moved(void *opaque)
{
	const struct slots *s = opaque;

	for (unsigned int i = 0; i < s->n; i++) {
		if (!has_moved(s, i))
			return false;
	}
	return true;
}

static bool is_among(uint32_t number, const struct slots *s)
{
	for (unsigned int i = 0; i < s->n; i++) {
		if (s->number[i] == number)
			return true;
	}
	return false;
}

static void prepare(bool directories)
{
	static const char *const names[] = {"a", "b", "c"};

	assert_int_equal(system("rm -rf ./*"), 0);
	assert_int_equal(mkdir("dir", 0755), 0);
	make("x");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (directories)
			assert_int_equal(mkdir(names[i], 0755), 0);
		else
			make(names[i]);
	}
	world_sync(&world);
}

/* Everything waits for the watcher, which has nothing to do before. */
static void while_stopped(void (*happens)(void))
{
	assert_int_equal(kill(leader, SIGSTOP), 0);
	assert_true(world_wait(world_is_stopped, &leader));
	happens();
	move("x", "y");
}

static bool has_beaten(void *opaque)
{
	return world_beat(&world) != *(uint64_t *)opaque;
}

/* Until it has seen that nothing waits. */
static void wait_for_beats(void)
{
	for (int i = 0; i < 2; i++) {
		uint64_t beat = world_beat(&world);

		assert_true(world_wait(has_beaten, &beat));
	}
}

static void run_case(size_t i)
{
	struct slots names = {0}, told = {0};
	struct stat st;

	prepare(cases[i].directories);
	wait_for_beats();
	for (unsigned int n = 0; n < NAMES; n++)
		add_name(&names, all[n]);
	for (unsigned int n = 0; n < ARRAY_SIZE(cases[i].names) && cases[i].names[n]; n++)
		add_name(&told, cases[i].names[n]);
	while_stopped(cases[i].happens);
	assert_int_equal(stat(cases[i].moved, &st), 0);
	add(&told, vtable_slot(world.table, VTABLE_ATTR, st.st_dev, st.st_ino));
	if (cases[i].directories)
		add(&told, vtable_slot(world.table, VTABLE_LIST, st.st_dev, st.st_ino));
	assert_int_equal(kill(leader, SIGCONT), 0);
	if (!world_wait(have_moved, &told))
		fail_msg("%s: something is not told", cases[i].what);
	wait_for_beats();
	for (unsigned int n = 0; n < NAMES; n++) {
		if (has_moved(&names, n) && !is_among(names.number[n], &told))
			fail_msg("%s: %s is told", cases[i].what, all[n]);
	}
}

static void test_doubtful(void **state)
{
	if (no_world)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(i);
}

static void do_late(void)
{
	move("a", "new");
}

/* What was told before is doubtful no more. */
static void test_not_doubtful(void **state)
{
	struct slots names = {0};

	if (no_world)
		skip();
	prepare(false);
	world_stranger(move_b_to_a, NULL);
	world_sync(&world);
	wait_for_beats();
	add_name(&names, "new");
	while_stopped(do_late);
	assert_int_equal(kill(leader, SIGCONT), 0);
	world_sync(&world);
	wait_for_beats();
	assert_false(has_moved(&names, 0));
}

#define MANY 4000

static void do_many(void)
{
	char from[16], to[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(from, sizeof(from), "from%d", i);
		snprintf(to, sizeof(to), "to%d", i);
		move(from, to);
	}
}

/* More than can be held until it is known are told. */
static void test_too_many(void **state)
{
	struct slots first = {0};
	char name[16];

	if (no_world)
		skip();
	prepare(false);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "from%d", i);
		make(name);
	}
	world_sync(&world);
	wait_for_beats();
	add_name(&first, "to0");
	while_stopped(do_many);
	assert_int_equal(kill(leader, SIGCONT), 0);
	assert_true(world_wait(have_moved, &first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_not_doubtful),
		cmocka_unit_test(test_too_many),
	};

	log_open("test_watch_renames", getenv("WATCH_DEBUG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, setup, teardown);
}
