// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "watch_world.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "coherence/words.h"

#define PATIENCE_S 60

bool world_wait(bool (*is_so)(void *opaque), void *opaque)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PATIENCE_S;
	do {
		if (is_so(opaque))
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	return is_so(opaque);
}

static void mount_at(const char *place, const char *name, char path[96])
{
	snprintf(path, 96, "%s/%s", place, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("none", path, "tmpfs", 0, "size=64m"), 0);
}

const char *world_make(struct world *w)
{
	char path[96];

	if (geteuid() != 0)
		return "watching file systems takes root";
	if (unshare(CLONE_NEWNS) < 0)
		return "there is no mount namespace to be had";
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	setenv("TMPDIR", "/dev/shm", 1);
	unit_enter_directory(w->place);
	mount_at(w->place, "other", path);
	mount_at(w->place, "share", path);
	assert_int_equal(chdir(path), 0);
	w->before = calloc(WORLD_SLOTS, sizeof(*w->before));
	assert_non_null(w->before);
	return NULL;
}

void world_end(struct world *w)
{
	static const char *const names[] = {"share", "other"};

	if (chdir(w->place) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		umount2(names[i], MNT_DETACH);
	unit_leave_directory(w->place);
	free(w->before);
}

static void show(struct world *w, const char *path, uint64_t id)
{
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(watch_add(w->watch, fd, id), 0);
}

void world_watch(struct world *w, const char *path)
{
	struct watch_config config = {.path = path};

	if (path)
		assert_int_equal(vtable_open(&w->table, path, WORLD_SLOTS, 30000), 0);
	else
		assert_int_equal(vtable_make(&w->table, WORLD_SLOTS), 0);
	config.table = w->table;
	assert_int_equal(watch_start(&w->watch, &config), 0);
	assert_int_equal(watch_join(w->watch), 0);
	show(w, ".", 1);
	show(w, "../other", 2);
}

void world_unwatch(struct world *w)
{
	pid_t leader = world_leader();
	CLEANUP_FD int fd = leader > 0 ? (int)syscall(SYS_pidfd_open, leader, 0) : -1;
	struct pollfd end = {.fd = fd, .events = POLLIN};

	watch_end(w->watch);
	vtable_close(w->table);
	w->watch = NULL;
	w->table = NULL;
	if (fd >= 0)
		assert_int_equal(poll(&end, 1, PATIENCE_S * 1000), 1);
}

const char *world_make_watched(struct world *w, const char *table)
{
	const char *why = world_make(w);

	if (why)
		print_message("%s\n", why);
	else
		world_watch(w, table);
	return why;
}

void world_end_watched(struct world *w)
{
	world_unwatch(w);
	world_end(w);
}

void world_stranger(int (*act)(void *opaque), void *opaque)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(act(opaque) & 0xff);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static uint64_t word_of(const struct world *w, uint32_t slot)
{
	return atomic_load(words_slot(w->table, slot));
}

struct slot_wait {
	struct world *w;
	uint32_t slot;
	uint64_t word;
};

static bool has_moved(void *opaque)
{
	const struct slot_wait *s = opaque;

	return word_of(s->w, s->slot) != s->word;
}

static int make_name(void *opaque)
{
	return mknod(opaque, S_IFREG | 0600, 0);
}

static int make_some(void *opaque)
{
	char path[96];

	/* When the second name is seen, the first file has been passed on whole. */
	snprintf(path, sizeof(path), "%s-", (const char *)opaque);
	return make_name(opaque) | make_name(path);
}

/* Events come in the order of what happened: once the last is seen, all are. */
void world_sync(struct world *w)
{
	struct slot_wait s = {.w = w};
	char path[64], name[72];
	struct stat st;

	snprintf(path, sizeof(path), "../other/sync-%d-%u", getpid(), w->syncs++);
	snprintf(name, sizeof(name), "%s-", path + strlen("../other/"));
	assert_int_equal(stat("../other", &st), 0);
	s.slot = vtable_slot_of_name(w->table, st.st_dev, st.st_ino, name);
	s.word = word_of(w, s.slot);
	world_stranger(make_some, path);
	assert_true(world_wait(has_moved, &s));
}

void world_note(struct world *w)
{
	world_sync(w);
	for (uint32_t i = 0; i < WORLD_SLOTS; i++)
		w->before[i] = word_of(w, i);
	w->n_expected = 0;
}

static void expect(struct world *w, uint32_t slot)
{
	assert_true(w->n_expected < WORLD_PASSED);
	w->expected[w->n_expected++] = slot;
}

static void expect_kind(struct world *w, enum vtable_kind kind, const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	expect(w, vtable_slot(w->table, kind, st.st_dev, st.st_ino));
}

void world_expect_attr(struct world *w, const char *path)
{
	expect_kind(w, VTABLE_ATTR, path);
}

void world_expect_data(struct world *w, const char *path)
{
	expect_kind(w, VTABLE_DATA, path);
}

void world_expect_list(struct world *w, const char *path)
{
	expect_kind(w, VTABLE_LIST, path);
}

void world_expect_name(struct world *w, const char *dir, const char *name)
{
	struct stat st;

	assert_int_equal(stat(dir, &st), 0);
	expect(w, vtable_slot_of_name(w->table, st.st_dev, st.st_ino, name));
}

static bool is_expected(const struct world *w, uint32_t slot)
{
	for (unsigned int i = 0; i < w->n_expected; i++) {
		if (w->expected[i] == slot)
			return true;
	}
	return false;
}

/* What world_sync() itself moves. */
static void expect_sync(struct world *w, unsigned int sync)
{
	char path[64], name[72];

	world_expect_attr(w, "../other");
	world_expect_list(w, "../other");
	snprintf(path, sizeof(path), "../other/sync-%d-%u", getpid(), sync);
	snprintf(name, sizeof(name), "%s-", path);
	world_expect_attr(w, path);
	world_expect_attr(w, name);
	world_expect_name(w, "../other", path + strlen("../other/"));
	world_expect_name(w, "../other", name + strlen("../other/"));
}

void world_compare(struct world *w, const char *what)
{
	unsigned int wrong = 0, n = w->n_expected;

	world_sync(w);
	for (unsigned int i = 0; i < n; i++) {
		if (word_of(w, w->expected[i]) == w->before[w->expected[i]]) {
			print_error("%s: what was expected as number %u has not moved\n", what, i);
			wrong++;
		}
	}
	/* Of the one before, the last word may have moved after it was noted. */
	expect_sync(w, w->syncs - 1);
	expect_sync(w, w->syncs - 2);
	for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
		uint64_t word = word_of(w, i);

		if (word == w->before[i])
			continue;
		if (!is_expected(w, i) || !vt_is_quiet(word)) {
			print_error("%s: slot %u was not to move\n", what, i);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static int serve(struct world *w, const char *path, int sock)
{
	char c = 1;

	/* What belongs to the process that we came from. */
	watch_end(w->watch);
	vtable_close(w->table);
	world_watch(w, path);
	while (write(sock, &c, 1) == 1 && read(sock, &c, 1) == 1) {
		must(mkdir("served", 0755) == 0);
		must(chmod("served", 0700) == 0);
		must(rmdir("served") == 0);
	}
	watch_end(w->watch);
	vtable_close(w->table);
	return 0;
}

static void hear(int sock)
{
	char c;

	assert_int_equal(read(sock, &c, 1), 1);
}

struct world_server world_server_start(struct world *w, const char *path)
{
	struct world_server s;
	int socks[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks), 0);
	s.sock = socks[0];
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0) {
		close(socks[0]);
		_exit(serve(w, path, socks[1]));
	}
	close(socks[1]);
	hear(s.sock);
	return s;
}

void world_server_act(const struct world_server *s)
{
	assert_int_equal(write(s->sock, "x", 1), 1);
	hear(s->sock);
}

void world_server_kill(struct world_server *s)
{
	int status;

	assert_int_equal(kill(s->pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	close(s->sock);
}

uint64_t world_epoch(const struct world *w)
{
	return atomic_load(words_head(w->table, epoch)) + atomic_load(words_head(w->table, timed));
}

uint64_t world_beat(const struct world *w)
{
	return atomic_load(words_head(w->table, watcher));
}

bool world_is_stopped(void *pid)
{
	char path[32], text[128] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(pid_t *)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strstr(text, ") T ");
}

pid_t world_leader(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "../t.watch"};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -1;
	return cred.pid;
}
