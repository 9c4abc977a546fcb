// SPDX-License-Identifier: BSD-2-Clause
//
// The background: who is started forks, and stays until the mount is ready or has failed. What the
// child and its daemon say goes into one pipe. At first the parent reads it and shows it; once it
// has gone the child reads its own words, and hands them to the system's log. So nobody holds the
// caller's descriptors any more, and what happens years later is said somewhere.

#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>
#include <sys/wait.h>
#include <unistd.h>

// Passes on what is in the pipe.
static void show(int log)
{
	char text[4096];
	ssize_t n;

	while ((n = read(log, text, sizeof(text))) > 0)
		if (write(2, text, n) < 0)
			return;
}

// In the process that was started: its exit status.
static int wait_until_ready(pid_t child, int ready, int log)
{
	struct pollfd fds[2] = {{.fd = ready, .events = POLLIN}, {.fd = log, .events = POLLIN}};
	int status;
	char byte;

	do {
		poll(fds, 2, -1);
		show(log);
	} while (!fds[0].revents);
	if (read(ready, &byte, 1) == 1)
		return 0;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return MOUNT_EXIT_FAILURE;
	show(log);
	if (!WIFEXITED(status)) {
		say("mount: ended by signal %d", WTERMSIG(status));
		return MOUNT_EXIT_FAILURE;
	}
	return WEXITSTATUS(status);
}

static void become_child(int log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	dup2(null, 0);
	dup2(null, 1);
	dup2(log, 2);
	close(log);
	close(null);
	openlog("causeway", LOG_PID, LOG_DAEMON);
}

int background_enter(struct background *b, int *status)
{
	int ready[2], log[2];
	pid_t child;

	if (pipe2(ready, O_CLOEXEC) || pipe2(log, O_CLOEXEC)) {
		say("mount: pipe: %s", strerror(errno));
		return -1;
	}
	// Neither end may keep anybody waiting.
	fcntl(log[0], F_SETFL, O_NONBLOCK);
	fcntl(log[1], F_SETFL, O_NONBLOCK);
	child = fork();
	if (child < 0) {
		say("mount: fork: %s", strerror(errno));
		return -1;
	}
	close(ready[child ? 1 : 0]);
	if (child) {
		close(log[1]);
		*status = wait_until_ready(child, ready[0], log[0]);
		return 1;
	}
	become_child(log[1]);
	*b = (struct background){.ready = ready[1], .log = log[0]};
	return 0;
}

int background_ready(struct background *b)
{
	int ret;

	if (b->ready < 0)
		return 0;
	ret = write(b->ready, "", 1) == 1 ? 0 : -1;
	close(b->ready);
	b->ready = -1;
	return ret;
}

void background_log(const struct background *b)
{
	char text[4096], *line, *rest;
	ssize_t n;

	while (b->log >= 0 && b->ready < 0 && (n = read(b->log, text, sizeof(text) - 1)) > 0) {
		text[n] = 0;
		rest = text;
		while ((line = strsep(&rest, "\n")))
			if (*line)
				syslog(LOG_WARNING, "%s", line);
	}
}
