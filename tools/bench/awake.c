// SPDX-License-Identifier: BSD-2-Clause
//
// To wake a processor that idles takes longer the deeper it sleeps, and in a virtual machine it has
// to leave that: a client that sleeps has steps of some microseconds in its times, and which one it
// is on hangs on a fraction of one. A process of SCHED_IDLE has it awake, and steps aside at once.

#include "awake.h"

#include "../tool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_REFUSED 1

// Runs where and when nothing else does, until it is killed; writes a byte when it does.
static void stay_awake(int cpu, pid_t parent, int started)
{
	const struct sched_param none = {0};
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || sched_setaffinity(0, sizeof(one), &one) ||
		sched_setscheduler(0, SCHED_IDLE, &none) || write(started, "", 1) != 1)
		_exit(EXIT_REFUSED);
	for (;;)
		__asm__ volatile("");
}

static int start_one(struct awake *a, int cpu)
{
	pid_t parent = getpid(), pid;
	int fds[2];
	ssize_t got;
	char byte;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (pid == 0)
		stay_awake(cpu, parent, fds[1]);
	close(fds[1]);
	if (pid > 0)
		a->pids[a->n++] = pid;
	do
		got = pid > 0 ? read(fds[0], &byte, 1) : -1;
	while (got < 0 && pid > 0 && errno == EINTR);
	close(fds[0]);
	return got == 1 ? 0 : -EPERM;
}

int awake_start(struct awake *a)
{
	cpu_set_t all;
	int r = sched_getaffinity(0, sizeof(all), &all) ? -errno : 0;

	a->n = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && !r; cpu++)
		if (CPU_ISSET(cpu, &all))
			r = start_one(a, cpu);
	if (!r)
		return 0;
	say("bench: --awake: no process that keeps a processor awake: %s", strerror(-r));
	awake_stop(a);
	return -1;
}

void awake_stop(struct awake *a)
{
	for (unsigned int i = 0; i < a->n; i++)
		kill(a->pids[i], SIGKILL);
	for (unsigned int i = 0; i < a->n; i++)
		while (waitpid(a->pids[i], NULL, 0) < 0 && errno == EINTR)
			;
	a->n = 0;
}
