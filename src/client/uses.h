// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is kept, in the order of its use: those used longest ago go first. Under its owner's lock.
 */
#ifndef CLIENT_USES_H
#define CLIENT_USES_H

#include <stddef.h>

struct use {
	struct use *newer, *older;
};

struct uses {
	struct use *newest, *oldest;
};

static inline void uses_remove(struct uses *uses, struct use *u)
{
	if (u->newer)
		u->newer->older = u->older;
	else
		uses->newest = u->older;
	if (u->older)
		u->older->newer = u->newer;
	else
		uses->oldest = u->newer;
}

static inline void uses_add(struct uses *uses, struct use *u)
{
	u->newer = NULL;
	u->older = uses->newest;
	if (u->older)
		u->older->newer = u;
	else
		uses->oldest = u;
	uses->newest = u;
}

#endif
