// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who has the lock of a table's key. Locks of open file descriptions name no process: F_OFD_GETLK
 * says -1. What the kernel shows of each process' descriptors does: "lock:" in /proc/PID/fdinfo/FD.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "coherence/file.h"

#define INFO_BYTES 4096

static void close_folder(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define CLEANUP_FOLDER __attribute__((cleanup(close_folder)))

/* Takes the descriptor, or -1. */
static DIR *read_folder(int fd)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		close_fd(&fd);
	return dir;
}

/* Whether a line of a descriptor tells of a lock for writing on the first byte of a file. */
static bool is_lock(const char *line, const struct stat *file)
{
	const char *type = strncmp(line, "lock:", 5) == 0 ? strstr(line, "WRITE") : NULL;
	unsigned long first, ino;
	unsigned int ma, mi;

	return type && sscanf(type, "WRITE %*d %x:%x:%lu %lu", &ma, &mi, &ino, &first) == 4 &&
		ma == major(file->st_dev) && mi == minor(file->st_dev) && ino == file->st_ino &&
		first == 0;
}

static bool has_lock(char *text, const struct stat *file)
{
	char *save = NULL;

	for (char *at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		if (is_lock(at, file))
			return true;
	}
	return false;
}

static bool process_has_lock(int proc, const char *pid, const struct stat *file)
{
	char path[64], text[INFO_BYTES];
	CLEANUP_FOLDER DIR *infos = NULL;
	const struct dirent *e;

	snprintf(path, sizeof(path), "%.20s/fdinfo", pid);
	infos = read_folder(openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (infos && (e = readdir(infos))) {
		CLEANUP_FD int fd = openat(dirfd(infos), e->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 || e->d_name[0] == '.' ? 0 : read(fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = '\0';
		if (has_lock(text, file))
			return true;
	}
	return false;
}

pid_t file_find_holder(const struct vtable *t)
{
	CLEANUP_FOLDER DIR *proc = read_folder(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *e;
	struct stat st;

	if (fstat(t->lock, &st) < 0)
		return 0;
	while (proc && (e = readdir(proc))) {
		if (isdigit((unsigned char)e->d_name[0]) &&
			process_has_lock(dirfd(proc), e->d_name, &st))
			return (pid_t)atoi(e->d_name);
	}
	return 0;
}
