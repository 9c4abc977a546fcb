// SPDX-License-Identifier: BSD-2-Clause
/*
 * check: timeout=300
 *
 * Watchers of servers that share a table: one leads, another takes over when it dies; none beats
 * while something that a server shows is not watched, or changes wait to be passed on.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "coherence/words.h"
#include "watch_world.h"

#define TABLE "../t"

static struct world world;
static const char *no_world;

static int setup(void **state)
{
	no_world = world_make(&world);
	if (no_world)
		print_message("%s\n", no_world);
	else
		assert_int_equal(mkdir("dir", 0755), 0);
	return 0;
}

/* A watcher that a test has stopped: it hears of no end. */
static int stopped = -1;

static int teardown(void **state)
{
	if (stopped >= 0)
		syscall(SYS_pidfd_send_signal, stopped, SIGKILL, NULL, 0);
	if (!no_world)
		world_end(&world);
	return 0;
}

static int act_chmod(void *opaque)
{
	return chmod("dir", 0700);
}

static void check_strangers(const char *what)
{
	struct world *w = &world;

	world_note(w);
	world_expect_attr(w, "dir");
	world_expect_list(w, "dir");
	world_stranger(act_chmod, NULL);
	world_compare(w, what);
}

static bool beats(void *opaque)
{
	uint64_t beat = world_beat(&world);

	/* 0 is the end of one who led. */
	return beat && beat != *(uint64_t *)opaque;
}

static void wait_for_beat(void)
{
	uint64_t beat = world_beat(&world);

	assert_true(world_wait(beats, &beat));
}

static bool epoch_moved(void *opaque)
{
	return world_epoch(&world) != *(uint64_t *)opaque;
}

static bool has_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 60000) == 1;
}

/* A descriptor of the process that leads. */
static int open_leader(void)
{
	pid_t pid = world_leader();
	int fd;

	assert_true(pid > 0);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(fd >= 0);
	return fd;
}

static void signal_process(int pidfd, int sig)
{
	assert_int_equal(syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0), 0);
}

/* What servers change has been marked, whoever's watcher leads. */
static void test_servers(void **state)
{
	struct world *w = &world;
	struct world_server other;

	if (no_world)
		skip();
	world_watch(w, TABLE);
	wait_for_beat();
	other = world_server_start(w, TABLE);
	world_note(w);
	world_server_act(&other);
	assert_int_equal(mkdir("served", 0755) | rmdir("served"), 0);
	world_compare(w, "changes of servers");
	check_strangers("beside two servers");
	world_server_kill(&other);
	check_strangers("after the other server's end");
	world_unwatch(w);
}

/* With its server, a watcher ends; another one goes on. */
static void test_server_dies(void **state)
{
	struct world *w = &world;
	struct world_server first;
	uint64_t epoch;

	if (no_world)
		skip();
	first = world_server_start(w, TABLE);
	world_watch(w, TABLE);
	wait_for_beat();
	check_strangers("the other server's watcher leads");
	epoch = world_epoch(w);
	world_server_kill(&first);
	assert_true(world_wait(epoch_moved, &epoch));
	wait_for_beat();
	check_strangers("ours has taken over");
	watch_tick(w->watch);
	assert_false(watch_is_lost(w->watch));
	world_unwatch(w);
}

static bool is_lost(void *opaque)
{
	/* It says so once. */
	if (watch_tick(world.watch)) {
		assert_true(watch_is_lost(world.watch));
		assert_false(watch_tick(world.watch));
		return true;
	}
	return false;
}

/* A watcher dies alone: its server learns of it, and another takes over. */
static void test_watcher_dies(void **state)
{
	struct world *w = &world;
	struct world_server other;
	CLEANUP_FD int share = open(".", O_PATH | O_CLOEXEC);
	CLEANUP_FD int leader = -1;
	uint64_t epoch;

	if (no_world)
		skip();
	world_watch(w, TABLE);
	wait_for_beat();
	other = world_server_start(w, TABLE);
	leader = open_leader();
	epoch = world_epoch(w);
	signal_process(leader, SIGKILL);
	assert_true(world_wait(is_lost, NULL));
	assert_true(world_wait(epoch_moved, &epoch));
	assert_int_equal(watch_add(w->watch, share, 9), -EPIPE);
	wait_for_beat();
	/* The other's watcher leads, and our number is a stranger's to it. */
	check_strangers("the other has taken over");
	world_server_kill(&other);
	world_unwatch(w);
}

/* What was changed while nobody watched. */
struct unseen {
	uint64_t beat, epoch, word;
	uint32_t slot;
};

/* Whoever sees that somebody watches again can trust nothing from before. */
static bool beats_again(void *opaque)
{
	const struct unseen *u = opaque;

	if (world_beat(&world) == u->beat)
		return false;
	assert_true(world_epoch(&world) != u->epoch);
	assert_true(atomic_load(words_slot(world.table, u->slot)) != u->word);
	return true;
}

/* The one that leads is stopped for so long that another gives it up, but cannot take its place;
 * then it goes on, without what the other has shown meanwhile. */
static void test_leader_stalls(void **state)
{
	CLEANUP_FD int leader = -1, share = open(".", O_PATH | O_CLOEXEC);
	struct world *w = &world;
	struct world_server first;
	struct unseen u;
	uint64_t epoch;
	struct stat st;
	pid_t pid;

	if (no_world)
		skip();
	first = world_server_start(w, TABLE);
	world_watch(w, TABLE);
	wait_for_beat();
	pid = world_leader();
	leader = open_leader();
	world_sync(w);
	assert_int_equal(stat("dir", &st), 0);
	signal_process(leader, SIGSTOP);
	assert_true(world_wait(world_is_stopped, &pid));
	u = (struct unseen){.beat = world_beat(w), .epoch = world_epoch(w)};
	u.slot = vtable_slot(w->table, VTABLE_ATTR, st.st_dev, st.st_ino);
	u.word = atomic_load(words_slot(w->table, u.slot));
	world_stranger(act_chmod, NULL);
	/* Ours asks it in vain, and looks for another. */
	assert_int_equal(watch_add(w->watch, share, 9), 0);
	world_stranger(act_chmod, NULL);
	assert_int_equal(world_leader(), pid);
	assert_true(world_beat(w) == u.beat);
	signal_process(leader, SIGCONT);
	assert_true(world_wait(beats_again, &u));
	wait_for_beat();
	assert_int_equal(world_leader(), pid);
	check_strangers("after it was stopped");
	epoch = world_epoch(w);
	world_server_kill(&first);
	assert_true(world_wait(epoch_moved, &epoch));
	wait_for_beat();
	check_strangers("after its end");
	world_unwatch(w);
}

static bool is_watcher(pid_t pid, ino_t mounts)
{
	char path[64], comm[32] = "";
	CLEANUP_FD int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &st) < 0 || st.st_ino != mounts)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0 &&
	       strcmp(comm, "causeway-watch\n") == 0;
}

/* The watcher in this world that does not lead. */
static pid_t find_follower(void)
{
	pid_t leader = world_leader(), found = 0;
	DIR *dir = opendir("/proc");
	struct dirent *e;
	struct stat mine;

	assert_true(dir && stat("/proc/self/ns/mnt", &mine) == 0);
	while ((e = readdir(dir))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && pid != leader && is_watcher(pid, mine.st_ino))
			found = pid;
	}
	closedir(dir);
	return found;
}

/* A process with a number of our choice changes something. False: we may not choose. */
static bool change_as(pid_t number)
{
	struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number,
		.set_tid_size = 1};
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	int status;

	if (child < 0)
		return false;
	if (child == 0)
		_exit(act_chmod(NULL) != 0);
	assert_int_equal(child, number);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return true;
}

/* A server has ended, and its number is a stranger's, before the one that leads hears of that: the
 * server's own watcher, which would hang up, is stopped. */
static void test_number_again(void **state)
{
	struct world *w = &world;
	struct world_server other;
	bool again;
	pid_t pid;

	if (no_world)
		skip();
	world_watch(w, TABLE);
	wait_for_beat();
	other = world_server_start(w, TABLE);
	world_note(w);
	world_server_act(&other);
	world_compare(w, "the server's");
	pid = find_follower();
	stopped = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(stopped >= 0);
	signal_process(stopped, SIGSTOP);
	assert_true(world_wait(world_is_stopped, &pid));
	world_server_kill(&other);
	world_note(w);
	again = change_as(other.pid);
	if (again) {
		world_expect_attr(w, "dir");
		world_expect_list(w, "dir");
	}
	world_compare(w, "the stranger's with its number");
	signal_process(stopped, SIGKILL);
	close_fd(&stopped);
	world_unwatch(w);
	if (!again)
		skip();
}

static int make_many(void *opaque)
{
	unsigned int n = *(unsigned int *)opaque;
	char name[32];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "many-%u", i);
		if (mknod(name, S_IFREG | 0600, 0) < 0)
			return 1;
	}
	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "many-%u", i);
		if (unlink(name) < 0)
			return 1;
	}
	return 0;
}

static void test_overflow(void **state)
{
	struct world *w = &world;
	CLEANUP_FD int leader = -1;
	unsigned int n = 16384;
	uint64_t epoch, beat;
	FILE *f;

	if (no_world)
		skip();
	f = fopen("/proc/sys/fs/fanotify/max_queued_events", "re");
	if (f) {
		assert_int_equal(fscanf(f, "%u", &n), 1);
		fclose(f);
	}
	world_watch(w, TABLE);
	wait_for_beat();
	leader = open_leader();
	world_sync(w);
	epoch = world_epoch(w);
	signal_process(leader, SIGSTOP);
	world_stranger(make_many, &n);
	beat = world_beat(w);
	assert_true(world_epoch(w) == epoch);
	signal_process(leader, SIGCONT);
	assert_true(world_wait(epoch_moved, &epoch));
	assert_true(world_wait(beats, &beat));
	check_strangers("after too many");
	world_unwatch(w);
}

/* As long as one that watches for its server has not come to the one that leads, nobody trusts. */
static void test_untold(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 64 + 7,
		.l_len = 1};
	CLEANUP_FD int key = -1;
	struct world *w = &world;
	uint64_t beat;

	if (no_world)
		skip();
	world_watch(w, TABLE);
	wait_for_beat();
	world_unwatch(w);
	key = open(TABLE ".key", O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(key, F_OFD_SETLK, &lock), 0);
	world_watch(w, TABLE);
	beat = world_beat(w);
	/* It goes about its work meanwhile. */
	world_sync(w);
	world_sync(w);
	assert_true(world_beat(w) == beat);
	lock.l_type = F_UNLCK;
	assert_int_equal(fcntl(key, F_OFD_SETLK, &lock), 0);
	assert_true(world_wait(beats, &beat));
	world_unwatch(w);
}

static bool no_beat(void *opaque)
{
	return world_beat(&world) == 0;
}

/* A server that ends in good order says that nobody watches, and leaves no process. */
static void test_end(void **state)
{
	struct world *w = &world;
	CLEANUP_FD int leader = -1;

	if (no_world)
		skip();
	world_watch(w, TABLE);
	wait_for_beat();
	leader = open_leader();
	watch_end(w->watch);
	w->watch = NULL;
	assert_true(has_ended(leader));
	assert_true(world_wait(no_beat, NULL));
	assert_int_equal(access(TABLE ".watch", F_OK), -1);
	vtable_close(w->table);
}

/* How often a process has a table mapped, also one whose file has gone. */
static unsigned int tables_mapped(pid_t pid)
{
	char path[32], line[512];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "/t\n") || strstr(line, "/t (deleted)") ||
			strstr(line, "/t.new (deleted)");
	fclose(f);
	return n;
}

static void test_renewed(void **state)
{
	struct world *w = &world;

	if (no_world)
		skip();
	world_watch(w, TABLE);
	wait_for_beat();
	vtable_poison(w->table);
	assert_int_equal(vtable_renew(w->table, 30000), 0);
	wait_for_beat();
	check_strangers("in another table");
	/* The memory of the old one is nobody's. */
	assert_int_equal(tables_mapped(world_leader()), 1);
	world_unwatch(w);
}

static void test_memory(void **state)
{
	struct world *w = &world;

	if (no_world)
		skip();
	world_watch(w, NULL);
	wait_for_beat();
	check_strangers("in memory");
	w->table->share = watch_share;
	w->table->opaque = w->watch;
	for (int i = 0; i < 3; i++) {
		vtable_poison(w->table);
		assert_int_equal(vtable_renew(w->table, 30000), 0);
		wait_for_beat();
		check_strangers("in other memory");
		assert_false(watch_tick(w->watch));
	}
	world_unwatch(w);
}

static void share_nothing(void *opaque, int fd)
{
	watch_share(opaque, -1);
}

/* A watcher that has not got the next table is lost, and no word beats in that. */
static void test_memory_not_shared(void **state)
{
	struct world *w = &world;

	if (no_world)
		skip();
	world_watch(w, NULL);
	wait_for_beat();
	w->table->share = share_nothing;
	w->table->opaque = w->watch;
	vtable_poison(w->table);
	assert_int_equal(vtable_renew(w->table, 30000), 0);
	assert_true(watch_tick(w->watch));
	assert_true(watch_is_lost(w->watch));
	assert_true(world_beat(w) == 0);
	world_unwatch(w);
}

static int start_unprivileged(void *opaque)
{
	struct watch_config config = {0};
	struct watch *watch;
	int r;

	if (setgid(65534) < 0 || setuid(65534) < 0 ||
		vtable_make(&config.table, 64) < 0)
		return 1;
	r = watch_start(&watch, &config);
	if (r != -EPERM || !watch || !watch_is_lost(watch) || watch_tick(watch))
		return 2;
	watch_end(watch);
	vtable_close(config.table);
	return 0;
}

static void test_unprivileged(void **state)
{
	if (no_world)
		skip();
	world_stranger(start_unprivileged, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_server_dies),
		cmocka_unit_test(test_watcher_dies),
		cmocka_unit_test(test_leader_stalls),
		cmocka_unit_test(test_number_again),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_untold),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_not_shared),
		cmocka_unit_test(test_unprivileged),
	};

	log_open("test_watch_lead", getenv("WATCH_DEBUG") ? LOG_DEBUG : LOG_OFF);
	return cmocka_run_group_tests(tests, setup, teardown);
}
