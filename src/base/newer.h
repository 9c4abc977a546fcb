/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls that are newer than the C library's headers may be (Debian 12: Linux 6.1), which a
 * host may have all the same. Their numbers are the same on all architectures.
 */
#ifndef BASE_NEWER_H
#define BASE_NEWER_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.5: what of a range of a file is in memory, in pages. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

struct cachestat_of { /* struct cachestat_range */
	uint64_t offset, len;
};

struct cachestat_is { /* struct cachestat */
	uint64_t cached, dirty, in_writeback, evicted, recently_evicted;
};

static inline int cachestat_fd(int fd, const struct cachestat_of *of, struct cachestat_is *is)
{
	return (int)syscall(__NR_cachestat, fd, of, is, 0);
}

#endif
