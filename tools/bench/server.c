// SPDX-License-Identifier: BSD-2-Clause

#include "bench.h"

#include "../vm/vm.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 5
#define END_MS 5000
#define EXPLAIN_MS 5000
#define LISTENS (1u << 16) // __SO_ACCEPTCON

// A connection or 0, or -errno; -ENOENT and -ECONNREFUSED: not yet.
typedef int (*server_reach)(const char *socket, char *error, size_t size);

// How it ended by itself, where it has.
static bool has_ended(const struct server *s, char *text, size_t size)
{
	siginfo_t info = {.si_pid = 0};

	// It stays a zombie, so that its pid stays its own.
	if (!s->pid || waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
		!info.si_pid)
		return false;
	if (info.si_code == CLD_EXITED)
		snprintf(text, size, "it ended with status %d", info.si_status);
	else
		snprintf(text, size, "it was killed by signal %d (%s)", info.si_status,
			strsignal(info.si_status));
	return true;
}

// Whether somebody listens there, found out without a connection: some servers end with their
// first. -ENOENT: not yet.
static int find_listener(const char *socket, char *error, size_t size)
{
	FILE *f = fopen("/proc/net/unix", "re");
	int ret = f ? -ENOENT : -errno;
	AUTO_FREE char *line = NULL;
	size_t room = 0;

	if (!f)
		snprintf(error, size, "/proc/net/unix: %s", strerror(errno));
	while (f && ret && getline(&line, &room, f) > 0) {
		unsigned int flags;
		int at = 0;

		// "Num RefCount Protocol Flags Type St Inode Path"
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%*s %*x %*x %x %*x %*x %*u %n", &flags, &at) == 1 && at &&
			(flags & LISTENS) && !strcmp(line + at, socket))
			ret = 0;
	}
	if (f)
		fclose(f);
	return ret;
}

// Until `reach` finds it.
static int wait_for(
	struct server *s, server_reach reach, const char *socket, char *error, size_t size)
{
	const uint64_t end = bench_now_ns() + SERVER_START_SECONDS * NS_PER_S;
	struct pollfd p = {.fd = s->pidfd, .events = POLLIN};

	for (;;) {
		int fd = reach(socket, error, size);

		if (fd >= 0)
			return fd;
		// A socket is there before it listens.
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			return fd;
		if (bench_stop)
			return -EINTR;
		if (has_ended(s, error, size))
			return -ECHILD;
		if (bench_now_ns() > end) {
			snprintf(error, size, "it takes no connection at its socket within %d s",
				SERVER_START_SECONDS);
			return -ETIMEDOUT;
		}
		// Its end wakes us.
		poll(&p, 1, RETRY_MS);
	}
}

static int start(struct server *s, char **argv, server_reach reach, const char *socket, char *error,
	size_t size)
{
	int fd;

	s->pidfd = -1;
	s->pid = vm_spawn(argv, NULL, -1);
	if (s->pid < 0) {
		fd = s->pid;
		s->pid = 0;
		snprintf(error, size, "it cannot be started: %s", strerror(-fd));
		return fd;
	}
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	fd = wait_for(s, reach, socket, error, size);
	if (fd < 0)
		server_end(s);
	return fd;
}

int server_start(struct server *s, char **argv, const char *socket, char *error, size_t size)
{
	return start(s, argv, vhost_connect, socket, error, size);
}

int server_listen(struct server *s, char **argv, const char *socket, char *error, size_t size)
{
	return start(s, argv, find_listener, socket, error, size);
}

void server_explain(const struct server *s, const char *seen, char *text, size_t size)
{
	struct pollfd p = {.fd = s->pidfd, .events = POLLIN};
	char how[128];

	// Its connection ends before it does.
	if (p.fd >= 0)
		poll(&p, 1, EXPLAIN_MS);
	if (has_ended(s, how, sizeof(how)))
		snprintf(text, size, "%s; %s", seen, how);
	else
		snprintf(text, size, "%s", seen);
}

unsigned int server_tree(pid_t pid, pid_t *pids, unsigned int n)
{
	AUTO_FREE char *path = format("/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	struct dirent *task;

	if (!tasks || n == SERVER_TREE_MAX) {
		if (tasks)
			closedir(tasks);
		return n;
	}
	pids[n++] = pid;
	while ((task = readdir(tasks))) {
		AUTO_FREE char *list = format("%s/%s/children", path, task->d_name);
		FILE *f = task->d_name[0] == '.' ? NULL : fopen(list, "re");
		int child;

		while (f && fscanf(f, "%d", &child) == 1)
			n = server_tree(child, pids, n);
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return n;
}

// Children that have ended and were waited for count for their parent, in ticks.
static uint64_t waited_for_ns(pid_t pid)
{
	AUTO_FREE char *path = format("/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	unsigned long user = 0, kernel = 0;
	char line[1024], *p = NULL;

	if (f) {
		// The name, in parentheses, may have anything in it; 13 fields later they come.
		if (fgets(line, sizeof(line), f) && (p = strrchr(line, ')')))
			sscanf(p + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu",
				&user, &kernel);
		fclose(f);
	}
	return (uint64_t)(user + kernel) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t server_cpu_ns(const struct server *s)
{
	pid_t pids[SERVER_TREE_MAX];
	unsigned int n = server_tree(s->pid, pids, 0);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct timespec ts;
		clockid_t clock;

		// Of all threads, also those that have ended.
		if (!clock_getcpuclockid(pids[i], &clock) && !clock_gettime(clock, &ts))
			sum += (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
		sum += waited_for_ns(pids[i]);
	}
	return sum;
}

uint64_t server_processors_ns(pid_t pid, unsigned int *n)
{
	AUTO_FREE char *path = format("/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	struct dirent *task;
	uint64_t sum = 0;

	*n = 0;
	while (tasks && (task = readdir(tasks))) {
		AUTO_FREE char *comm = format("%s/%s/comm", path, task->d_name);
		AUTO_FREE char *stat = format("%s/%s/schedstat", path, task->d_name);
		FILE *f = task->d_name[0] == '.' ? NULL : fopen(comm, "re");
		unsigned long long ns;
		char name[32] = "";

		if (!f)
			continue;
		if (!fgets(name, sizeof(name), f))
			name[0] = 0;
		fclose(f);
		if (strncmp(name, "CPU ", 4) || !(f = fopen(stat, "re")))
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		++*n;
		fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return sum;
}

uint64_t server_memory(const struct server *s)
{
	pid_t pids[SERVER_TREE_MAX];
	unsigned int n = server_tree(s->pid, pids, 0);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		AUTO_FREE char *path = format("/proc/%d/smaps_rollup", (int)pids[i]);
		FILE *f = fopen(path, "re");
		unsigned long long kib;
		char line[256];

		// Guest memory is shared memory.
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "Pss_Anon: %llu", &kib) == 1 ||
				sscanf(line, "Pss_File: %llu", &kib) == 1)
				sum += kib << 10;
		if (f)
			fclose(f);
	}
	return sum;
}

void server_end(struct server *s)
{
	pid_t pids[SERVER_TREE_MAX];
	int fds[SERVER_TREE_MAX];
	unsigned int n;

	if (!s->pid)
		return;
	// Descriptors go on naming them when their parents are gone.
	n = server_tree(s->pid, pids, 0);
	for (unsigned int i = 0; i < n; i++)
		fds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
	vm_reap(s->pid, true, END_MS);
	for (unsigned int i = 0; i < n; i++) {
		struct pollfd p = {.fd = fds[i], .events = POLLIN};

		if (fds[i] < 0)
			continue;
		if (poll(&p, 1, END_MS) == 0)
			syscall(SYS_pidfd_send_signal, fds[i], SIGKILL, NULL, 0);
		close(fds[i]);
	}
	close_fd(&s->pidfd);
	*s = (struct server){.pidfd = -1};
}
