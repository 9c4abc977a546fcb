// SPDX-License-Identifier: BSD-2-Clause
/*
 * The process outside the sandbox: what the user started, sends signals to and waits for. It sees
 * nothing that comes from a guest.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/isolation.h"

#define SIGNAL_FDS_MAX 4

static void pass_on(pid_t child, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		kill(child, (int)info.ssi_signo);
}

/* #syscalls(monitor): pidfd_open poll ppoll read kill wait4 waitid unlink close write sendto
 * #syscalls(monitor): rt_sigprocmask rt_sigaction rt_sigreturn getpid gettid tgkill exit_group
 * #syscalls(monitor): brk mmap:2&PROT_EXEC=0 munmap futex restart_syscall clock_gettime */
int monitor_run(pid_t child, const int *fds, size_t n)
{
	struct pollfd polls[1 + SIGNAL_FDS_MAX];
	int status = 0;

	for (size_t i = 0; i < n; i++)
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	/* The child's end interrupts nothing: a descriptor of it is waited for. */
	polls[n] = (struct pollfd){.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
	do {
		if (polls[n].fd < 0 || (poll(polls, n + 1, -1) < 0 && errno != EINTR))
			break;
		for (size_t i = 0; i < n; i++) {
			if (polls[i].revents)
				pass_on(child, fds[i]);
		}
	} while (!polls[n].revents);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	close_fd(&polls[n].fd);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_error("the serving process made a system call that is not in its profile: "
			  "please report it; --seccomp log lets it go on and the kernel's log "
			  "say which");
	else if (WIFSIGNALED(status))
		log_error("the serving process was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	return status;
}

void monitor_end_like(int status)
{
	sigset_t set;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(WTERMSIG(status));
	_exit(128 + WTERMSIG(status));
}
