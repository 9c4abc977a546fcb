// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/isolation.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/stages.h"

/* Of the process that is outside, for its child to look at; -1: nobody is. */
static int outside_fd = -1;

void isolation_close_inherited(int fd)
{
	int first = STDERR_FILENO + 1;

	if (fd >= first) {
		if (fd > first)
			close_range((unsigned int)first, (unsigned int)fd - 1, 0);
		first = fd + 1;
	}
	close_range((unsigned int)first, ~0u, 0);
}

pid_t isolation_split(const struct isolation *config)
{
	pid_t child;

	if (config->sandbox == SANDBOX_NONE)
		return 0;
	outside_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (outside_fd < 0)
		die("--sandbox: pidfd_open: %s", strerror(errno));
	if (userns_is_wanted(config))
		userns_enter(config);
	if (config->sandbox == SANDBOX_NAMESPACE && unshare(CLONE_NEWPID) < 0)
		die("--sandbox namespace: cannot have a pid namespace: %s; --sandbox chroot needs "
		    "fewer privileges, --sandbox none no more", strerror(errno));
	child = fork();
	if (child < 0)
		die("--sandbox: cannot start the process that serves: %s", strerror(errno));
	if (child == 0)
		return 0;
	close_fd(&outside_fd);
	capabilities_forsake();
	capabilities_cut_monitor();
	seccomp_enter_monitor(config);
	return child;
}

/* The kernel forgets this wish when ids change: asked for when they do no more. */
static void die_with_outside(void)
{
	struct pollfd outside = {.fd = outside_fd, .events = POLLIN};

	if (outside_fd < 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may be gone already: its parent id would not tell in another pid namespace. */
	if (poll(&outside, 1, 0) > 0)
		_exit(1);
	close_fd(&outside_fd);
}

void isolation_enter(const struct isolation *config, int share_fd, const char *path,
	struct isolated *where)
{
	where->root = config->sandbox == SANDBOX_NONE ? path : "/";
	switch (config->sandbox) {
	case SANDBOX_NAMESPACE:
		where->proc_fd = root_pivot(config, share_fd, path);
		userns_settle(config);
		break;
	case SANDBOX_CHROOT:
		where->proc_fd = root_chroot(share_fd, path);
		break;
	case SANDBOX_NONE:
		where->proc_fd = root_host_proc();
		break;
	}
	/* Threads that make files have their own. */
	umask(077);
	capabilities_forsake();
	capabilities_cut(config);
	die_with_outside();
}

void isolation_seal(const struct isolation *config, const struct isolated *where)
{
	/* Who wants neither wants to look into the process. */
	if (config->sandbox != SANDBOX_NONE || config->seccomp != SECCOMP_NONE)
		landlock_enter(config, where->root);
	seccomp_enter(config);
}

void isolation_seal_watcher(const struct isolation *config)
{
	capabilities_forsake();
	capabilities_cut_watcher();
	seccomp_enter_watcher(config);
}
