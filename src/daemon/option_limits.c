// SPDX-License-Identifier: BSD-2-Clause
/* The options that are a number: how much of something there may be. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/util.h"
#include "daemon/parse.h"
#include "vhost/poll.h"

static int set_count(struct parse *p, const char *arg, unsigned long max, int *count)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9' || *end || n > max)
		return fail(p, "--%s: '%s' is not a number from 0 to %lu", p->name, arg, max);
	*count = (int)n;
	return 0;
}

int set_rlimit_nofile(struct parse *p, const char *arg)
{
	return set_count(p, arg, INT_MAX, &p->o->rlimit_nofile);
}

int set_thread_pool_size(struct parse *p, const char *arg)
{
	return set_count(p, arg, INT_MAX, &p->o->thread_pool_size);
}

int set_poll(struct parse *p, const char *arg)
{
	return set_count(p, arg, VHOST_POLL_LIMIT_MAX_NS / 1000, &p->o->poll_us);
}

int set_pins(struct parse *p, const char *arg)
{
	int n, r = set_count(p, arg, INT_MAX, &n);

	if (r == 0)
		p->o->passthrough.keeps = (unsigned int)n;
	return r;
}
