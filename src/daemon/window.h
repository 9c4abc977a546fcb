// SPDX-License-Identifier: BSD-2-Clause
/*
 * The DAX window between what knows files (dax/dax.h) and what talks to the front-end
 * (vhost/shmem.h).
 */
#ifndef DAEMON_WINDOW_H
#define DAEMON_WINDOW_H

#include "dax/dax.h"
#include "vhost/shmem.h"

/* A window of size bytes whose changes backend asks its front-end for. NULL: no memory. */
struct dax_window *window_new(struct vhost_backend *backend, uint64_t size);

#endif
