// SPDX-License-Identifier: BSD-2-Clause
/*
 * What processes of the host change, in the version table (docs/coherence.md, "Processes of the
 * host").
 *
 * A server starts a process of its own for it, while it still has the privileges: the watcher. It
 * needs what a server must not have (fanotify of whole file systems takes CAP_SYS_ADMIN), and
 * reads nothing that a guest has a say in but the names of files.
 *
 *     server  ──file systems──▶  its watcher  ──file systems──▶  the leader
 *
 * Watchers of servers that share a table agree on one that leads: it has the lock on the second
 * byte of FILE.key, and alone has marks, passes changes on and counts on the word in the header.
 * The others follow: they tell it of the file systems of their servers, and wait for its end, at
 * which one of them takes over. A watcher ends with its server.
 *
 * Thread safety: any thread may call what follows watch_join().
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "coherence/table.h"

struct watch;

struct watch_config {
	struct vtable *table; /* outlives the watch */
	const char *path;     /* of its file; NULL: memory of our own */
	void (*seal)(void *opaque); /* takes from the watcher what it needs no more; or NULL */
	void *opaque;
};

/*
 * Starts the watcher, from a process without other threads. Where it cannot watch, because
 * privileges are missing (-EPERM), fanotify is too old or for what a system call says, that has
 * been logged, and *out is a watch that is lost. NULL: there is no memory.
 */
int watch_start(struct watch **out, const struct watch_config *config);

/* Lets go of the watcher: in the server that ends it, in another process that has forked it does
 * not. Also of NULL. */
void watch_end(struct watch *w);

/* Says that the calling process is the server: what it changes is not passed on. 0, or why the
 * watch is lost. */
int watch_join(struct watch *w);

/*
 * The file system that a descriptor is on is shown from now on. 0: what others change there is
 * passed on. Else it is not, and nothing of it must be trusted but by time: -EOPNOTSUPP, -ENODEV,
 * -EXDEV where file systems cannot be watched, -EPIPE when the watcher is lost. The id is the
 * caller's choice, one that it has not in use.
 */
int watch_add(struct watch *w, int fd, uint64_t id);
void watch_drop(struct watch *w, uint64_t id);

/* The table is poisoned, and is left now: the watcher has to leave it at the same time. */
void watch_leave(struct watch *w);

/* The next table in memory of our own (a struct vtable's share): the watcher goes on in it. Where
 * it does not answer it is lost. opaque: the watch. */
void watch_share(void *opaque, int fd);

/*
 * Once a second at least: finds out whether the watcher is still there. True, once, when it has
 * gone: what guests have by now was given with the promise that somebody watches. So whatever is
 * shown from then on has to be by time only, and the epoch has to move after that.
 */
bool watch_tick(struct watch *w);

/* Whether it is gone: nothing is trusted but by time any more. */
bool watch_is_lost(const struct watch *w);

/* Whether a stranger changed an inode within the last seconds; seldom one that nobody did. */
bool watch_is_restless(const struct watch *w, dev_t dev, ino_t ino);

/* How many changes of strangers the watcher that leads has passed on until now; less when another
 * one has begun to lead. */
uint64_t watch_events(const struct watch *w);

#endif
