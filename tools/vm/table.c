// SPDX-License-Identifier: BSD-2-Clause
//
// The version table of a guest (docs/coherence.md): its daemons attach to a file, and the guest has
// that file as the memory of a PCI device. We attach to it as well, for as long as it takes to
// start QEMU: so the file is there, is a table and has its size before anybody is told of it. Not
// for longer, for a poisoned table is replaced only when everybody has left it.

#include "vm.h"

#include "base/log.h"
#include "coherence/table.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// Servers look for poison once a second and leave the table then.
#define PATIENCE_MS 2500

// A folder of ours on a tmpfs: other users can neither use what is in it nor put something there.
static bool is_runtime_dir(const char *path)
{
	struct statfs fs;
	struct stat st;

	return path && *path == '/' && !stat(path, &st) && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && !statfs(path, &fs) && fs.f_type == TMPFS_MAGIC;
}

// Anybody can have made what is there in /dev/shm.
static int make_private(const char *folder)
{
	struct stat st;

	if (mkdir(folder, 0700) && errno != EEXIST) {
		say("--version-table: %s: %s", folder, strerror(errno));
		return -1;
	}
	if (lstat(folder, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & 077)) {
		say("--version-table: %s is not a directory that nobody but you can use; remove "
		    "it, or name a FILE elsewhere",
			folder);
		return -1;
	}
	return 0;
}

// The same one for each guest of a user, whenever it starts: they are to know of each other.
static char *users_table(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	AUTO_FREE char *folder = is_runtime_dir(runtime)
					 ? format("%s/causeway", runtime)
					 : format("/dev/shm/causeway-%u", (unsigned int)geteuid());

	return make_private(folder) ? NULL : format("%s/versions", folder);
}

int vm_table_choose(struct vm_options *o)
{
	if (!o->version_table || strcmp(o->version_table, "auto"))
		return 0;
	o->version_table = users_table();
	return o->version_table ? 0 : -1;
}

int vm_table_open(struct vm_table *t, const char *file)
{
	*t = (struct vm_table){.fd = -1};
	if (!file)
		return 0;
	log_open("causeway", LOG_ERROR);
	if (vtable_open(&t->attached, file, 0, PATIENCE_MS))
		return -1;
	t->fd = t->attached->fd;
	t->size = vt_size(t->attached->slots);
	if (vtable_is_poisoned(t->attached))
		say("the version table %s has been given up, and somebody who uses it does not "
		    "leave it: the guest has to do without",
			file);
	return 0;
}

void vm_table_close(struct vm_table *t)
{
	vtable_close(t->attached);
	*t = (struct vm_table){.fd = -1};
}
