// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings without a handle: each READDIR names a directory and where to go on. A handle of our
 * own stays behind it, for the READDIR that goes on there: a host's directory may not be entered
 * in the middle again, and need not.
 */
#ifndef PASSTHROUGH_STREAM_H
#define PASSTHROUGH_STREAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Those that can be gone on with. */
#define PT_STREAMS 64

struct pt_streams {
	pthread_mutex_t lock;
	_Atomic uint32_t kept; /* places that are taken; read without the lock too */
	uint64_t clock;
	struct pt_stream {
		uint64_t node, offset; /* who goes on here wants it */
		uint64_t handle;       /* 0: a free place */
		uint64_t used;         /* when, by the clock */
	} s[PT_STREAMS];
};

#endif
