// SPDX-License-Identifier: BSD-2-Clause

#include "counters.h"

#include "../top/top.h"

#include <string.h>

const char *const count_names[COUNTS] = {
	[COUNT_REQUESTS] = "requests",
	[COUNT_KICKS] = "kicks",
	[COUNT_CALLS] = "calls",
	[COUNT_CAUGHT] = "polls-caught",
	[COUNT_MISSED] = "polls-missed",
	[COUNT_BORROWED] = "borrowed",
	[COUNT_JOBS] = "pool-jobs",
	[COUNT_BY_HANDLE] = "reopened-by-handle",
	[COUNT_BY_NAME] = "reopened-by-name",
	[COUNT_KNOWN] = "names-not-opened",
	[COUNT_SPARE] = "opens-by-kept",
	[COUNT_LATER] = "names-not-opened-yet",
	[COUNT_SWITCHED] = "rights-switched",
};

// Where docs/top.md has them.
static const struct {
	const char *family, *key, *value;
} sources[COUNTS] = {
	[COUNT_REQUESTS] = {"queue_requests_total", NULL, NULL},
	[COUNT_KICKS] = {"queue_kicks_total", NULL, NULL},
	[COUNT_CALLS] = {"queue_calls_total", NULL, NULL},
	[COUNT_CAUGHT] = {"queue_poll_caught_total", NULL, NULL},
	[COUNT_MISSED] = {"queue_poll_missed_total", NULL, NULL},
	[COUNT_BORROWED] = {"queue_borrowed_total", NULL, NULL},
	[COUNT_JOBS] = {"pool_jobs_total", NULL, NULL},
	[COUNT_BY_HANDLE] = {"node_reopens_total", "by", "handle"},
	[COUNT_BY_NAME] = {"node_reopens_total", "by", "name"},
	[COUNT_KNOWN] = {"names_total", "opened", "no"},
	[COUNT_SPARE] = {"opens_total", "descriptor", "kept"},
	[COUNT_LATER] = {"names_total", "opened", "later"},
	[COUNT_SWITCHED] = {"credentials_total", "switched", "yes"},
};

bool counts_ask(struct counts *c, const char *socket, char *why, size_t size)
{
	struct samples samples = {.n = 0};
	char reason[TOP_WHY] = "";
	char *text = top_ask(socket, reason);

	c->known = text && !samples_add(&samples, text);
	if (text && !c->known)
		snprintf(reason, sizeof(reason), "its counters cannot be read");
	for (int i = 0; i < COUNTS && c->known; i++)
		c->v[i] =
			samples_sum(&samples, sources[i].family, sources[i].key, sources[i].value);
	snprintf(why, size, "%s", reason);
	samples_free(&samples);
	return c->known;
}
