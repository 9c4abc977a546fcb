// SPDX-License-Identifier: BSD-2-Clause
//
// Child processes: started so that none outlives us, ended in bounded time.

#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t vm_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static _Noreturn void exec_child(char **argv, const int *keep, int out, int err, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	// SIGKILL, because it must also hold when we are killed and can do nothing more. getppid
	// closes the race.
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	// Keys on our terminal are for the guest's command, never for the machine below it.
	setpgid(0, 0);
	dup2(null, 0);
	dup2(out, 1);
	if (err != 2)
		dup2(err, 2);
	for (; keep && *keep >= 0; keep++)
		fcntl(*keep, F_SETFD, 0);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

pid_t vm_spawn(char **argv, const int *keep, int err)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		exec_child(argv, keep, err < 0 ? 2 : err, err < 0 ? 2 : err, parent);
	return pid;
}

static bool wait_exit(pid_t pid, int ms)
{
	AUTO_CLOSE int fd = syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t end = vm_now_ms() + ms;
	int left = ms;

	if (fd < 0)
		return errno != ESRCH;
	while (poll(&p, 1, left) < 0 && errno == EINTR)
		left = end > vm_now_ms() ? (int)(end - vm_now_ms()) : 0;
	return p.revents;
}

int vm_reap(pid_t pid, bool soft, int ms)
{
	int status = 0;

	if (soft) {
		kill(pid, SIGTERM);
		kill(pid, SIGCONT);
	}
	if (!wait_exit(pid, ms))
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

char *vm_output_of(char **argv, size_t max, size_t *len)
{
	pid_t parent = getpid(), pid;
	struct bytes out = {0};
	char buf[65536];
	ssize_t n;
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		return NULL;
	pid = fork();
	if (!pid)
		exec_child(argv, NULL, p[1], 2, parent);
	close(p[1]);
	while (pid > 0 && out.len < max && (n = read(p[0], buf, sizeof(buf))) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && bytes_add(&out, buf, n))
			break;
	}
	close(p[0]);
	if (pid < 0 || vm_reap(pid, false, 10000) || bytes_add(&out, "", 1)) {
		bytes_free(&out);
		return NULL;
	}
	if (len)
		*len = out.len - 1;
	return (char *)out.data;
}

bool vm_in_path(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return !access(name, X_OK);
	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");
		AUTO_FREE char *file = format("%.*s/%s", (int)n, p, name);

		if (!access(file, X_OK))
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}
