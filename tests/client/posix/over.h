// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the functions of posix.h have in common: the process's connection, and its descriptors.
 */
#ifndef TESTS_CLIENT_OVER_H
#define TESTS_CLIENT_OVER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "causeway.h"
#include "posix.h"

/* An open file, or a working directory. */
struct over {
	bool used;
	char *path; /* from the root on, for who opens it again */
	int flags;
	struct causeway_file *f; /* NULL where it could not be opened again */
};

/* The connection: made if there is none. (process.c) */
struct causeway *over_connection(void);

/* The file of a descriptor, or NULL with EBADF. */
struct causeway_file *over_file(int fd);
struct over *over_slot(int fd);

/* Where a relative path begins for AT_FDCWD or a descriptor: 0, or -1 with EBADF. */
int over_start(int at, struct causeway_file **start);

/* A descriptor for a handle just opened by a path: takes the handle over. -1 with EMFILE. */
int over_install(struct causeway_file *f, int at, const char *path, int flags);

/* Makes it the working directory: takes the handle over. */
void over_enter(struct causeway_file *f, int at, const char *path);

/* The open file that a path of /proc/self/fd means, or NULL. */
struct causeway_file *over_proc(const char *path);

/* Drops the locks that this process has of a file, where it has taken any as a process. (lock.c) */
void over_drop_locks(struct causeway_file *f);

/* A mode as the process's umask leaves it; the library has none. */
mode_t over_masked(mode_t mode);

/* What a function of the library returned, as system calls do it. */
static inline long over_result(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

/* A call of the library with the connection c and with where the path begins. */
#define OVER_AT(at, c, start, call)                                                                \
	({                                                                                         \
		struct causeway *c __attribute__((unused)) = over_connection();                    \
		struct causeway_file *start;                                                       \
		over_start(at, &start) ? -1 : over_result(call);                                   \
	})

#endif
