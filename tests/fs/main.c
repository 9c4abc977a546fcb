// SPDX-License-Identifier: BSD-2-Clause
/*
 * fscases DIR [--only NAME,...] | --list: perform the file semantics cases under DIR and print
 * what happened. See fscases.h for the form of the transcript.
 */
#include <ftw.h>

#include "fscases.h"

enum { CASE_SECONDS = 120 };

static const struct fs_case *const tables[] = {data_cases, space_cases, map_cases, open_cases,
	rename_cases, link_cases, path_cases, dir_cases, attr_cases, owner_cases, node_cases,
	lock_cases, race_cases};

struct run {
	const char *dir, *only;
	bool list;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 64, FTW_DEPTH | FTW_PHYS);
}

static int run_case(const char *dir, const struct fs_case *c)
{
	char path[PATH_MAX];
	int status;
	pid_t pid;

	current_case = c->name;
	snprintf(path, sizeof(path), "%s/%s", dir, c->name);
	remove_tree(path);
	if (mkdir(path, 0755)) {
		report("make the case's directory", -1);
		return 1;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(CASE_SECONDS);
		if (way_enter(dir, c->name))
			_exit(1);
		c->run();
		fflush(stdout);
		_exit(way_leave() ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	if (status)
		say("end", "status %#x", status);
	remove_tree(path);
	report("remove the case's directory", access(path, F_OK) ? 0 : -1);
	return status != 0;
}

static bool chosen(const char *only, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = only; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		if (!strncmp(p, name, len) && (p[len] == 0 || p[len] == ','))
			return true;
	}
	return !only;
}

/* What the command line says; whether it says enough. */
static bool parse(int argc, char **argv, struct run *run)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list"))
			run->list = true;
		else if (argv[i][0] != '-' && !run->dir)
			run->dir = argv[i];
		else if (i + 1 == argc)
			return false;
		else if (!strcmp(argv[i], "--only"))
			run->only = argv[++i];
		else if (!way_option(argv[i], argv[i + 1]))
			return false;
		else
			i++;
	}
	return run->dir || run->list;
}

int main(int argc, char **argv)
{
	struct run run = {.dir = NULL};
	bool known = false;
	int failed = 0;

	/* What the case of programs runs. */
	if (argc == 2 && !strcmp(argv[1], "--true"))
		return 0;
	own_program = realpath("/proc/self/exe", NULL);
	umask(022);
	if (!parse(argc, argv, &run)) {
		fprintf(stderr, "usage: %s DIR [--only NAME,...]%s | --list\n", argv[0], way_usage);
		return 2;
	}
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct fs_case *c = tables[t]; c->name; c++) {
			if (!chosen(run.only, c->name))
				continue;
			known = true;
			if (run.list)
				puts(c->name);
			else
				failed |= run_case(run.dir, c);
		}
	}
	return known ? failed : 2;
}
