// SPDX-License-Identifier: BSD-2-Clause
/* The options of the DAX window. */
#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "daemon/parse.h"

/* Less than a guest's smallest range (Linux: 2 MiB) is of no use. */
#define WINDOW_LEAST (2ull << 20)
#define WINDOW_MOST  (1ull << 40)

static const struct {
	char letter;
	unsigned int shift;
} units[] = {{'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};

/* A number with a unit of 1024's powers; 0: it is none. */
static uint64_t parse_size(const char *arg)
{
	unsigned int shift = 0;
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9')
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (*end && (*end & ~0x20) == units[i].letter) {
			shift = units[i].shift;
			end++;
			break;
		}
	}
	return *end || n > UINT64_MAX >> shift ? 0 : n << shift;
}

int set_dax_window(struct parse *p, const char *arg)
{
	uint64_t size = parse_size(arg);

	if (size < WINDOW_LEAST || size > WINDOW_MOST || size & (size - 1))
		return fail(p, "--dax-window: '%s' is not a size from 2M to 1T that is a power of "
			       "two, as in 512M", arg);
	p->o->dax_window = size;
	return 0;
}

int set_dax(struct parse *p, const char *arg)
{
	static const char *const words[] = {
		[PT_DAX_NEVER] = "never",
		[PT_DAX_AUTO] = "auto",
		[PT_DAX_ALWAYS] = "always",
	};
	int which = one_of(p, arg, words, ARRAY_SIZE(words));

	if (which < 0)
		return which;
	p->o->passthrough.dax = (enum pt_dax_policy)which;
	p->o->has_dax = true;
	return 0;
}

int check_dax(struct parse *p)
{
	struct options *o = p->o;

	if (o->has_dax && o->passthrough.dax != PT_DAX_NEVER && o->dax_window == 0)
		return fail(p, "--dax needs --dax-window: how large is the window to be?");
	if (o->dax_window && !o->has_dax)
		o->passthrough.dax = PT_DAX_AUTO;
	if (o->passthrough.dax == PT_DAX_NEVER)
		o->dax_window = 0;
	o->passthrough.readonly = o->fuse.readonly;
	o->passthrough.no_open = fuse_config_no_open(&o->fuse);
	if (o->dax_window == 0)
		return 0;
	if (o->thread_pool_size == 0)
		return fail(p, "--dax-window and --thread-pool-size 0 exclude each other: those "
			       "threads map files");
	/* A lock has an open description of its own, and a lease ends with another one. */
	if (o->passthrough.dax == PT_DAX_AUTO && (o->fuse.posix_lock || o->fuse.flock))
		return fail(p, "--dax=auto and --%s exclude each other: locks open files again, "
			       "which ends the leases that auto maps under; --dax=always goes",
			o->fuse.posix_lock ? "posix-lock" : "flock");
	o->fuse.dax = true;
	o->isolation.dax = true;
	o->isolation.leases = o->passthrough.dax == PT_DAX_AUTO;
	return 0;
}
