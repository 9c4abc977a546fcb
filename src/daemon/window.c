// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/window.h"

#include "mem/mem.h"
#include "vhost/backend.h"

/* Each piece is a memory region to front-ends, of which they have as many as we do, for all that
 * the guest has: its own memory and the windows of other devices. QEMU 11.1 ends where there are
 * more; some are left for what others, who see the same number, map at the same time. */
#define PIECES (MEM_REGIONS_MAX - 61)

static void apply(void *opaque, struct dax_change *changes, unsigned int n)
{
	struct vhost_shmem_change out[DAX_BATCH];

	for (unsigned int i = 0; i < n; i++)
		out[i] = (struct vhost_shmem_change){
			.at = changes[i].at,
			.len = changes[i].len,
			.fd = changes[i].fd,
			.offset = changes[i].offset,
			.writable = changes[i].writable,
		};
	vhost_shmem_apply(opaque, out, n);
	for (unsigned int i = 0; i < n; i++)
		changes[i].result = out[i].result;
}

static unsigned int room(void *opaque)
{
	const struct vhost_backend *backend = opaque;
	size_t n = backend->mem.nregions;

	return n < PIECES ? (unsigned int)(PIECES - n) : 0;
}

struct dax_window *window_new(struct vhost_backend *backend, uint64_t size)
{
	const struct dax_frontend frontend = {.apply = apply, .room = room, .opaque = backend};

	return dax_window_new(size, PIECES, &frontend);
}
