// SPDX-License-Identifier: BSD-2-Clause

#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name, *mount;
	bool table;
} ways[] = {
	{MODULE, "fstype=causeway", false},
	{MODULE "-shared", "fstype=causeway,cache=shared", true},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

int module_choose(const struct bench_options *o, struct target *targets)
{
	AUTO_FREE char *folder = shared_table_folder();

	if (access(o->module, R_OK)) {
		say("bench: --module: %s: %s", o->module, strerror(errno));
		return -1;
	}
	for (size_t i = 0; i < WAYS; i++) {
		struct target *t = &targets[i];

		snprintf(t->name, sizeof(t->name), "%s", ways[i].name);
		t->mount = ways[i].mount;
		if (target_ours(t, o))
			return -1;
		if (ways[i].table)
			words_addf(&t->command, "--version-table=%s/table", folder);
	}
	return WAYS;
}

int module_start(const struct bench_options *o)
{
	AUTO_FREE char *folder = shared_table_folder();

	if (!o->module || !mkdir(folder, 0700))
		return 0;
	say("bench: cannot make %s: %s", folder, strerror(errno));
	return -1;
}

void module_stop(const struct bench_options *o)
{
	AUTO_FREE char *folder = shared_table_folder();

	if (o->module)
		ground_remove_all(folder);
}

void module_words(const struct bench_options *o, struct words *argv)
{
	AUTO_FREE char *folder = shared_table_folder();

	if (!o->module)
		return;
	words_add(argv, "--module");
	words_add(argv, o->module);
	words_add(argv, "--version-table");
	words_addf(argv, "%s/table", folder);
}
