// SPDX-License-Identifier: BSD-2-Clause
//
// Modules of the guest's kernel: from names to files in loading order, by modules.dep and
// modules.builtin.

#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static FILE *open_index(const struct vm_kernel *k, const char *name)
{
	AUTO_FREE char *path = format("%s/%s", k->modules, name);

	return fopen(path, "re");
}

// "kernel/fs/fuse/virtiofs.ko.xz" is the module virtiofs; '-' and '_' are one.
static bool is_module(const char *path, size_t len, const char *name)
{
	size_t i;

	for (i = len; i > 0 && path[i - 1] != '/'; i--)
		;
	path += i;
	len -= i;
	for (i = 0; name[i]; i++)
		if (i >= len || (path[i] == '-' ? '_' : path[i]) != name[i])
			return false;
	return len - i >= 3 && !strncmp(path + i, ".ko", 3);
}

static bool builtin(const struct vm_kernel *k, const char *name)
{
	__attribute__((cleanup(close_file))) FILE *f = open_index(k, "modules.builtin");
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		if (is_module(line, strcspn(line, "\n"), name))
			return true;
	return false;
}

static void add_once(struct words *files, const char *path)
{
	for (unsigned int i = 0; i < files->n; i++)
		if (!strcmp(files->v[i], path))
			return;
	words_add(files, path);
}

// "a.ko: b.ko c.ko": c comes first, then b, then a.
static void add_line(const struct vm_kernel *k, char *line, struct words *files)
{
	char *end = line + strcspn(line, "\n");

	while (end > line) {
		char *start;

		*end = 0;
		for (start = end; start > line && start[-1] != ' '; start--)
			;
		if (*start) {
			AUTO_FREE char *path = NULL;

			start[strcspn(start, ":")] = 0;
			path = format("%s/%s", k->modules, start);
			add_once(files, path);
		}
		end = start > line ? start - 1 : line;
	}
}

static int find_one(const struct vm_kernel *k, const char *name, struct words *files)
{
	__attribute__((cleanup(close_file))) FILE *f = open_index(k, "modules.dep");
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	if (!f) {
		say("%s/modules.dep: %s (depmod makes it)", k->modules, strerror(errno));
		return -1;
	}
	while (getline(&line, &size, f) > 0)
		if (is_module(line, strcspn(line, ":"), name)) {
			add_line(k, line, files);
			return 0;
		}
	say("Linux %s has no module %s (in %s)", k->version, name, k->modules);
	return -1;
}

int vm_modules_find(const struct vm_kernel *k, const char *const *names, struct words *files)
{
	// A kernel without a module tree may have everything built in; if not, the guest says what
	// is missing.
	for (; k->modules && *names; names++)
		if (!builtin(k, *names) && find_one(k, *names, files))
			return -1;
	return 0;
}
