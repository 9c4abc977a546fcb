// SPDX-License-Identifier: BSD-2-Clause
/*
 * Locks that a guest takes on the host, so that they exclude other guests and the host's processes.
 *
 * Locks of fcntl(2). The kernel has two kinds: those of a process, which would all be the daemon's,
 * and those of an open file description. So each pair of a file and an owner (the guest's number
 * for a process or an open file) that has locks gets an open file description of its own here,
 * which the kernel takes for one owner: owners of one guest exclude each other as they exclude
 * everybody else. It is opened for writing only where the guest's handle is, since files that are
 * open for writing cannot be executed, and watchers hear of it; where an owner's first lock was for
 * reading only, a later one for writing replaces the description (reopen() in lockowner.c). What is
 * locked is noted in ranges.h: to bound it, to name the guest's process to who asks, and to find
 * deadlocks. Foreign holders have process 0: numbers of host processes are not the guest's affair.
 *
 * Locks of flock(2) are locks of an open file; a handle is one, and its descriptor takes them.
 *
 * Waiting (lockwait.c). A lock that cannot be had at once is waited for by a thread of its own,
 * blocked in the system call, so that neither a queue nor a lock of ours is held meanwhile. When
 * the call returns, the lock is taken once more without waiting, under busy, and noted: another
 * request of the same owner may have dropped it in between. Ending a wait: set ended under the
 * table's lock, then send the thread a signal, again and again until it is gone from the list, for
 * the first may come before the thread is in the system call. A thread whose lock came first has
 * it. Either way it calls done() and only then leaves the list: whoever ends waits returns after
 * the answers. The signal (PT_LOCK_SIGNAL) is blocked everywhere else.
 *
 * Deadlocks: before an owner waits, the table is searched for a chain of owners, each of which
 * waits for the next, that leads back to it. What others hold and wait for (daemons, processes) is
 * not known here.
 *
 * The end of a lock. FLUSH drops those of its owner on its file. RELEASE drops those that were
 * last changed through its handle (the guest's kernel unlocks nothing for open file descriptions
 * that go). Resets drop all. A change that runs meanwhile looks at the handle under the table's
 * lock before it notes the lock, and finds it closed or is found by them.
 *
 * Order of locks: an owner's busy, then the table's. System calls are made under busy alone, so
 * that a slow file system holds up one owner only.
 */
#ifndef PASSTHROUGH_LOCK_H
#define PASSTHROUGH_LOCK_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"
#include "fs/passthrough/ranges.h"

#define PT_LOCK_OWNERS_MAX 4096  /* pairs of a file and an owner, each with a descriptor */
#define PT_LOCK_RANGES_MAX 16384 /* of all of them */
#define PT_LOCK_WAITS_MAX  256   /* threads */
#define PT_LOCK_BUCKETS    256
#define PT_LOCK_EARLY      16
#define PT_LOCK_SIGNAL     SIGRTMIN

struct passthrough;
struct pt_handle;
struct pt_node;
struct pt_waiter;

struct pt_lock_owner {
	struct pt_lock_owner *next; /* in its bucket */
	uint64_t dev, ino;          /* the file, which fd keeps from becoming another */
	uint64_t owner;
	unsigned int users;   /* who has a pointer; under the table's lock */
	unsigned int waiters; /* of them; fd is not replaced while any waits in the kernel */

	pthread_mutex_t busy; /* held during a change */
	int fd;               /* or -1; changed under busy */
	int access;           /* O_RDONLY, O_WRONLY or O_RDWR, of fd */

	/* Changed under busy and the table's lock, read under either. */
	struct ranges ranges;
	uint64_t handle; /* through which they were last changed */
};

struct pt_locks {
	unsigned int owners_max;
	pthread_mutex_t lock; /* of all that follows */
	struct pt_lock_owner *buckets[PT_LOCK_BUCKETS];
	_Atomic unsigned int owners;
	size_t ranges; /* noted, or about to be */

	struct pt_waiter *waiters;
	unsigned int waits;
	pthread_cond_t gone;      /* a waiter has left the list */
	uint64_t early[PT_LOCK_EARLY]; /* ids whose wait was ended before it began */
	unsigned int next_early;
	unsigned int search; /* number of the last search for a deadlock */
};

/* owners_max: how many descriptors locks may take. Once, before threads start. */
void pt_locks_init(struct passthrough *pt, unsigned int owners_max);
/* All locks were dropped by then. */
void pt_locks_destroy(struct passthrough *pt);

/* Fills in what of the counts is about locks. */
void pt_locks_count(struct passthrough *pt, struct fs_count *count);

/* After handles were closed: ends waits and drops locks. */
void pt_locks_reset(struct passthrough *pt);
void pt_locks_release(struct passthrough *pt, struct pt_handle *handle);
void pt_locks_flush(struct passthrough *pt, const struct pt_node *node, uint64_t owner);

int pt_getlk(struct fs *fs, const struct fs_target *t, struct fs_lock *lock);
int pt_setlk(struct fs *fs, const struct fs_target *t, const struct fs_lock *lock,
	struct fs_wait *wait);
void pt_end_waits(struct fs *fs, const void *origin, uint64_t id);

/* Between lock.c, lockowner.c and lockwait.c. */

struct pt_lock_owner **pt_lock_bucket(struct pt_locks *locks, uint64_t dev, uint64_t ino);

/* Finds an owner of a file's locks, or makes it where there may be one more; or NULL. */
struct pt_lock_owner *pt_lock_owner_get(struct pt_locks *locks, const struct pt_node *node,
	uint64_t owner, bool make);
void pt_lock_owner_put(struct pt_locks *locks, struct pt_lock_owner *o);

/* Changes a lock without waiting, and notes it: 0 or -errno. granted: after a wait the kernel has
 * it already; on an error it is put back. */
int pt_lock_change(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change, bool granted);

/* Drops all locks of an owner. */
void pt_lock_drop(struct pt_locks *locks, struct pt_lock_owner *o);

/* Takes a lock back that was granted to a waiter whom nobody hears; owner NULL: flock(2)'s. */
void pt_lock_give_back(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change);

/* Waits for a lock, which owner NULL means flock(2): FS_WAITS or -ENOLCK. */
int pt_lock_wait(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change, struct fs_wait *wait);

/* Ends the waits through a handle; NULL: all. */
void pt_lock_end_waits(struct passthrough *pt, const struct pt_handle *handle);

/* The operation of flock(2) for a type of lock. */
int pt_flock_op(int type);

/* A range as fcntl(2) has it, and the call: 0 or -errno. */
struct flock pt_to_flock(const struct range *change);
int pt_ofd_lock(int fd, int cmd, const struct range *change);

#endif
