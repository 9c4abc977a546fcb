// SPDX-License-Identifier: BSD-2-Clause
//
// A mount whose server was killed stays, and everything in it fails with ENOTCONN. So a process
// stands by that does nothing but wait for our end, and then detaches the mount if it is there.

#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Nothing but the pipe is kept: a descriptor of /dev/fuse here would keep the mount from noticing
// our end, and the connection would keep the back-end.
static _Noreturn void stand_by(int life, const struct point *p)
{
	sigset_t all;
	char byte;
	ssize_t n;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	if (chdir("/"))
		_exit(1);
	dup2(life, 0);
	syscall(SYS_close_range, 1, ~0u, 0);
	for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd < 2;)
		fd = dup(fd);
	do
		n = read(0, &byte, 1);
	while (n < 0 && errno == EINTR);
	point_detach(p);
	_exit(0);
}

int guard_start(struct guard *g, const struct point *p)
{
	int pipe_fds[2], ret;

	*g = (struct guard){.life = -1};
	if (pipe2(pipe_fds, O_CLOEXEC)) {
		ret = -errno;
		say("mount: pipe: %s", strerror(-ret));
		return ret;
	}
	g->pid = fork();
	if (!g->pid)
		stand_by(pipe_fds[0], p);
	ret = g->pid < 0 ? -errno : 0;
	close(pipe_fds[0]);
	g->life = pipe_fds[1];
	if (ret) {
		say("mount: cannot start the process that would unmount: %s", strerror(-ret));
		close(g->life);
		*g = (struct guard){.life = -1};
	}
	return ret;
}

void guard_end(struct guard *g)
{
	if (g->life < 0)
		return;
	close(g->life);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	g->life = -1;
}
