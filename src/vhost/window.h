// SPDX-License-Identifier: BSD-2-Clause
/*
 * The front-end's side of a shared memory region of the device: a window in this process into which
 * the back-end has files mapped (vhost-user SHMEM_MAP and SHMEM_UNMAP; virtio 1.2, section
 * 5.11.6.5: the DAX window of a file system device is region 0).
 *
 * The window is address space that is reserved for as long as it is open. Where nothing is mapped
 * there is a file of no bytes, so that all that can go wrong with a load or a store in the window,
 * whatever the back-end does, is the same thing: SIGBUS. (client/fault.h survives it.)
 *
 * Region 1 is for the version table (docs/coherence.md), which is read-only and mapped as a whole
 * by whoever wants it. So nothing is mapped here: of what the back-end has mapped there the
 * descriptor is kept.
 *
 * Trust. What the back-end asks for is checked: nothing is ever mapped outside of the window, not
 * even for a moment and not by pages of another size, and a window is cut into so many parts at
 * most, so that the process keeps mappings for itself. A request that is well-formed and cannot be
 * done is refused by the answer. One that makes no sense ends the connection, by shutting down its
 * socket, and vhost_window_why() says what it was.
 *
 * Threads. One of ours serves the channel, with all signals blocked. It takes no locks of others,
 * and nobody who waits for an answer of the back-end keeps it from its work.
 */
#ifndef VHOST_WINDOW_H
#define VHOST_WINDOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHOST_WINDOW_PAGE 4096u
#define VHOST_WINDOW_MAX  (1ull << 40)
#define VHOST_WINDOW_CUTS 16384u /* that the window is cut into parts by, at most */

struct vhost_window {
	char *base; /* NULL: there is none */
	uint64_t size;
	int nothing; /* a file of no bytes */
	int sock;    /* of the connection; not ours */
	int channel, stop;
	bool serving;
	pthread_t thread;

	_Atomic unsigned int turns; /* see vhost_window_order() */

	/* Of the thread that serves. */
	uint64_t *cuts; /* a set bit: another mapping may begin at that page */
	unsigned int ncuts;
	bool lost; /* a part of it may be somebody else's memory */

	uint64_t table_size; /* of region 1; 0: there is none. Set before it is opened */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t told;
	int table; /* what region 1 has at its beginning, or -1 */
	char why[160];
};

/* Before anything else, so that the others can be called whatever happens. */
void vhost_window_init(struct vhost_window *w);

/* Reserves a window of so many bytes, whole pages (0: there is none, but for region 1), and serves
 * it. theirs is the back-end's end of the channel, the caller's to close. 0 or -errno. */
int vhost_window_open(struct vhost_window *w, uint64_t size, int sock, int *theirs);

/*
 * Before a change is asked for, and after the answer: orders what this thread did and does in the
 * window with what the channel's thread does. (It is in order, by way of the back-end, but nothing
 * that looks at this program alone can know that.)
 */
static inline void vhost_window_order(struct vhost_window *w)
{
	atomic_fetch_add(&w->turns, 1);
}

/* What the back-end has mapped in region 1: a descriptor of its own, the caller's, or -ENOENT where
 * nothing has come in so many milliseconds. It is not examined. */
int vhost_window_table(struct vhost_window *w, int patience_ms);

/* Why the connection was ended, if it was: copies the text and returns true. */
bool vhost_window_why(struct vhost_window *w, char *text, size_t size);

/* Ends the service and gives the address space back: nobody uses it any more. */
void vhost_window_close(struct vhost_window *w);

#endif
