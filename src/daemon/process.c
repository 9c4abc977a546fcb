// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/log.h"

int process_catch(const int *signals, size_t n)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("cannot wait for signals: %s", strerror(errno));
	return fd;
}

void process_limit_descriptors(int wanted)
{
	struct rlimit files;

	if (wanted == 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	if (wanted > 0)
		files.rlim_max = (rlim_t)wanted;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && wanted > 0)
		die("--rlimit-nofile: cannot have %d descriptors: %s", wanted, strerror(errno));
}
