// SPDX-License-Identifier: BSD-2-Clause
/*
 * Small things that every folder uses: scope cleanup, minimum and maximum, whole-buffer I/O.
 */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b) ((type)(a) > (type)(b) ? (type)(a) : (type)(b))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Closes *fd when the variable leaves its scope, keeping errno. */
static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}
#define CLEANUP_FD __attribute__((cleanup(cleanup_close)))

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_ptr)))

/* Takes a descriptor out of a CLEANUP_FD variable: the caller owns the result. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Closes *fd if it is open and marks it closed. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The result of a system call as 0 or a positive value, or -errno. */
#define neg_errno(call)                                                                            \
	({                                                                                         \
		__auto_type neg_errno_r_ = (call);                                                 \
		neg_errno_r_ < 0 ? -errno : neg_errno_r_;                                          \
	})

#endif
