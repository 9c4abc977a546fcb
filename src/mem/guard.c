// SPDX-License-Identifier: BSD-2-Clause
#include "mem/guard.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* #syscalls: mmap:2&PROT_EXEC=0 write rt_sigaction */

static struct mem *guarded;

/* Runs on the thread that touched the memory, which is inside its gate: the table is stable. */
static void on_sigbus(int signal_nr, siginfo_t *info, void *context)
{
	static const char lost[] = "causewayd: warn: the front-end took guest memory away\n";
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	const char *at = info->si_addr;

	for (size_t i = 0; guarded && i < guarded->nregions; i++) {
		const struct mem_region *r = &guarded->regions[i];
		const char *map = r->map;

		if (at < map || at >= map + r->map_size)
			continue;
		if (mmap(r->map, r->map_size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
			break;
		if (write(STDERR_FILENO, lost, sizeof(lost) - 1) < 0)
			return;
		return;
	}
	/* Not ours: the access is repeated without a handler. */
	signal(signal_nr, SIG_DFL);
}

void mem_guard(struct mem *mem)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	guarded = mem;
	if (!mem)
		action = (struct sigaction){.sa_handler = SIG_DFL};
	sigaction(SIGBUS, &action, NULL);
}
