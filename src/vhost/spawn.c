// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/util.h"

/* Where the child finds its end of the connection. */
#define CHILD_FD 3
#define OPTIONS_MAX 64

/* Nothing of ours is left in the child: neither descriptors nor a signal mask, and a ^C at our
 * terminal is ours to act on. */
static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, int theirs)
{
	sigset_t none, all;
	int r = posix_spawn_file_actions_adddup2(actions, theirs, CHILD_FD);

	sigemptyset(&none);
	sigfillset(&all);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FD + 1);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (r == 0)
		r = posix_spawnattr_setpgroup(attr, 0);
	if (r == 0)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
			POSIX_SPAWN_SETPGROUP);
	return -r;
}

static int spawn(struct vhost_captive *captive, const char *program, char **argv, int theirs)
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r = -posix_spawn_file_actions_init(&actions);

	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attr);
	if (r == 0) {
		r = prepare(&actions, &attr, theirs);
		if (r == 0)
			r = -posix_spawnp(&captive->pid, program, &actions, &attr, argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int vhost_spawn(struct vhost_captive *captive, const char *program, const char *dir,
	char *const *options, int *sock, char *error, size_t size)
{
	/* posix_spawn() takes pointers that are not const, and changes nothing. */
	const char *argv[OPTIONS_MAX + 8] = {program, "--log-level", "warn", "--shared-dir",
		dir, "--fd", "3"};
	int pair[2], n = 7, r;

	captive->pid = 0;
	for (int i = 0; options && options[i]; i++) {
		if (i == OPTIONS_MAX) {
			snprintf(error, size, "more than %d options for %s", OPTIONS_MAX, program);
			return -E2BIG;
		}
		argv[n++] = options[i];
	}
	r = neg_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	if (r == 0) {
		r = spawn(captive, program, (char **)argv, pair[1]);
		close(pair[1]);
		if (r < 0)
			close(pair[0]);
	}
	if (r < 0) {
		captive->pid = 0;
		snprintf(error, size, "cannot start '%s' to share '%s': %s", program, dir,
			strerror(-r));
		return r;
	}
	*sock = pair[0];
	return 0;
}

int vhost_spawn_end(struct vhost_captive *captive, int seconds)
{
	struct pollfd fd = {.events = POLLIN};
	int status = 0;

	if (captive->pid == 0)
		return 0;
	fd.fd = (int)syscall(SYS_pidfd_open, captive->pid, 0);
	if (fd.fd >= 0) {
		if (poll(&fd, 1, seconds * 1000) == 0)
			kill(captive->pid, SIGKILL);
		close(fd.fd);
	}
	/* Where the program ignores its children's ends there is nothing to wait for. */
	while (waitpid(captive->pid, &status, 0) < 0 && errno == EINTR)
		;
	captive->pid = 0;
	return status;
}
