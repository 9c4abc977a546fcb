// SPDX-License-Identifier: BSD-2-Clause
/*
 * Leases of the host's kernel (fcntl(2), F_SETLEASE): whoever wants to open or truncate a file that
 * we have leased waits, up to /proc/sys/fs/lease-break-time seconds, until we let go.
 *
 * A lease for writing is had only while ours is the one open description of the file, so every
 * handle of a leased file shares it (dup(2)). One for reading, while nobody has it open for
 * writing.
 *
 * One thread waits for the signals that say that a lease is to end and calls broken() there; when
 * that returns, the lease is given back.
 */
#ifndef DAX_LEASE_H
#define DAX_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct leases;

/* Blocks the signals that leases need, for the calling thread and all that it starts: before the
 * first other thread. */
void leases_block_signals(void);

/* Starts the thread. 0 or -errno. */
int leases_start(struct leases **leases);

/* Ends the thread; no lease is held any more. */
void leases_stop(struct leases *leases);

/*
 * Takes a lease on an open description: for writing where that is open for writing, else for
 * reading. broken(opaque) may be called from now on until lease_end() has returned, once. 0;
 * -EAGAIN while others have the file open; or why it cannot be had at all: -EACCES (not ours, and
 * no CAP_LEASE), -EINVAL or -EOPNOTSUPP (not on this file system).
 */
int lease_take(struct leases *leases, int fd, void (*broken)(void *opaque), void *opaque);

/* Gives it back; waits for broken(), where that runs. Without one it does nothing. */
void lease_end(struct leases *leases, int fd);

#endif
