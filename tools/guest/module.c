// SPDX-License-Identifier: BSD-2-Clause

#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULES "/modules"

static int is_module(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

// The host wrote the modules in the order in which they depend on each other, numbered.
void load_modules(struct guest *g)
{
	struct dirent **list;
	int n = scandir(MODULES, &list, is_module, alphasort);

	for (int i = 0; i < n; i++) {
		char path[512];
		int fd;

		snprintf(path, sizeof(path), MODULES "/%s", list[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			die(g, "cannot load the module %s: %s", list[i]->d_name, strerror(errno));
		close(fd);
		unlink(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}
