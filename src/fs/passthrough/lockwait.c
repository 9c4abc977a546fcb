// SPDX-License-Identifier: BSD-2-Clause
/*
 * Waiting for locks, each wait on a thread of its own; see lock.h.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/log.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/lock.h"
#include "fs/passthrough/pt.h"

/* Enough for a system call, and for what sanitizers put on top of it. */
#define STACK_SIZE (256 * 1024)

/* How long whoever ends a wait gives the signal, before the next one. */
#define SIGNAL_AGAIN_NS 1000000
#define SECOND_NS       1000000000

struct pt_waiter {
	struct pt_waiter *next; /* in the list; under the table's lock as what follows */
	bool ended;
	bool started;           /* thread is known */
	bool over;              /* it waits no more, and is about to say so */
	unsigned int search;    /* the last one that came by */
	pthread_t thread;

	struct passthrough *pt;
	struct pt_lock_owner *owner; /* used; or NULL: flock(2) */
	struct pt_handle *handle;    /* referenced */
	struct range change;
	struct fs_wait *wait; /* until done() is called */
	const void *origin;
	uint64_t id;
};

/* Which waits to end. */
struct choice {
	bool all;
	const struct pt_handle *handle;
	const void *origin;
	uint64_t id;
};

/* It only has to end system calls. */
static void on_signal(int number)
{
}

/* #syscalls: rt_sigaction rt_sigprocmask */
void pt_locks_init(struct passthrough *pt, unsigned int owners_max)
{
	struct sigaction action = {.sa_handler = on_signal};
	pthread_condattr_t attr;
	sigset_t set;

	pt->locks.owners_max = owners_max;
	pthread_mutex_init(&pt->locks.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pt->locks.gone, &attr);
	pthread_condattr_destroy(&attr);
	sigemptyset(&set);
	sigaddset(&set, PT_LOCK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(PT_LOCK_SIGNAL, &action, NULL);
}

void pt_locks_destroy(struct passthrough *pt)
{
	pthread_cond_destroy(&pt->locks.gone);
	pthread_mutex_destroy(&pt->locks.lock);
}

/* Waits of an owner, if any, that this search has not seen; they are found one after the other. */
static struct pt_waiter *unseen_wait(struct pt_locks *locks, uint64_t owner)
{
	struct pt_waiter *w;

	for (w = locks->waiters; w; w = w->next) {
		if (w->owner && !w->over && w->owner->owner == owner &&
			w->search != locks->search)
			break;
	}
	if (w)
		w->search = locks->search;
	return w;
}

/*
 * Whether somebody who is in the way of a wait waits, himself or through others, for the owner who
 * would wait. Each wait is looked at once; they are at most PT_LOCK_WAITS_MAX. The table's lock is
 * held.
 */
static bool is_deadlock(struct pt_locks *locks, struct pt_waiter *first)
{
	struct pt_waiter *todo[PT_LOCK_WAITS_MAX + 1] = {first}, *next;
	size_t n = 1;

	locks->search++;
	while (n > 0) {
		const struct pt_waiter *w = todo[--n];
		const struct pt_lock_owner *mine = w->owner;
		struct pt_lock_owner *o = *pt_lock_bucket(locks, mine->dev, mine->ino);

		for (; o; o = o->next) {
			if (o == mine || o->ino != mine->ino || o->dev != mine->dev ||
				!ranges_conflict(&o->ranges, &w->change))
				continue;
			if (o->owner == first->owner->owner)
				return true;
			while ((next = unseen_wait(locks, o->owner)))
				todo[n++] = next;
		}
	}
	return false;
}

/* Whether the wait was ended before it began. */
static bool ended_early(const struct pt_locks *locks, uint64_t id)
{
	for (size_t i = 0; i < PT_LOCK_EARLY; i++) {
		if (id != 0 && locks->early[i] == id)
			return true;
	}
	return false;
}

/* Puts a waiter into the list, if it may wait. */
static int enlist(struct pt_locks *locks, struct pt_waiter *w)
{
	int r = 0;

	pthread_mutex_lock(&locks->lock);
	if (locks->waits == PT_LOCK_WAITS_MAX)
		r = -ENOLCK;
	else if (!atomic_load(&w->handle->open))
		r = -EBADF;
	else if (ended_early(locks, w->id))
		r = -EINTR;
	else if (w->owner && is_deadlock(locks, w))
		r = -EDEADLK;
	if (r == 0) {
		w->next = locks->waiters;
		locks->waiters = w;
		locks->waits++;
		idtab_get(w->pt->handles, idtab_id(&w->handle->slot));
		if (w->owner) {
			w->owner->users++;
			w->owner->waiters++;
		}
	}
	pthread_mutex_unlock(&locks->lock);
	return r;
}

/* Before the guest hears of it: what it asks then finds nobody who waits. */
static void stop_waiting(struct pt_waiter *w)
{
	pthread_mutex_lock(&w->pt->locks.lock);
	w->over = true;
	if (w->owner)
		w->owner->waiters--;
	pthread_mutex_unlock(&w->pt->locks.lock);
}

/* Leaves the list, as the last thing that touches the file system. */
static void leave(struct pt_waiter *w)
{
	struct passthrough *pt = w->pt;
	struct pt_locks *locks = &pt->locks;
	struct pt_waiter **at = &locks->waiters;
	struct pt_lock_owner *owner = w->owner;
	struct pt_handle *handle = w->handle;

	pthread_mutex_lock(&locks->lock);
	w->owner = NULL;
	w->handle = NULL;
	pthread_mutex_unlock(&locks->lock);
	if (owner)
		pt_lock_owner_put(locks, owner);
	idtab_put(pt->handles, &handle->slot);
	pthread_mutex_lock(&locks->lock);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	locks->waits--;
	pthread_cond_broadcast(&locks->gone);
	pthread_mutex_unlock(&locks->lock);
	free(w);
}

static bool is_ended(struct pt_waiter *w)
{
	bool ended;

	pthread_mutex_lock(&w->pt->locks.lock);
	ended = w->ended;
	pthread_mutex_unlock(&w->pt->locks.lock);
	return ended;
}

/* Sleeps in the kernel until the lock is there, or a signal comes.
 * #syscalls: fcntl:1=F_OFD_SETLKW flock */
static int block(struct pt_waiter *w)
{
	struct pt_lock_owner *o = w->owner;
	int fd;

	if (is_ended(w))
		return -EINTR;
	if (!o)
		return (int)neg_errno(flock(w->handle->fd, pt_flock_op(w->change.type)));
	pthread_mutex_lock(&o->busy);
	fd = o->fd;
	pthread_mutex_unlock(&o->busy);
	return pt_ofd_lock(fd, F_OFD_SETLKW, &w->change);
}

/* Makes the lock that the kernel has granted the guest's, unless its handle was closed. */
static int take(struct pt_waiter *w)
{
	if (w->owner)
		return pt_lock_change(w->pt, w->owner, w->handle, &w->change, true);
	if (atomic_load(&w->handle->open))
		return 0;
	pt_lock_give_back(w->pt, NULL, w->handle, &w->change);
	return -EBADF;
}

static int wait_for_lock(struct pt_waiter *w)
{
	int r;

	do {
		r = block(w);
		if (r == 0)
			r = take(w);
		/* Dropped again by another request of the owner's, or a signal for nobody. */
	} while (r == -EAGAIN || (r == -EINTR && !is_ended(w)));
	return is_ended(w) && r < 0 ? -EINTR : r;
}

static void *wait_thread(void *arg)
{
	struct pt_waiter *w = arg;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, PT_LOCK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pthread_setname_np(pthread_self(), "lock wait");
	pthread_mutex_lock(&w->pt->locks.lock);
	w->thread = pthread_self();
	w->started = true;
	pthread_mutex_unlock(&w->pt->locks.lock);
	r = wait_for_lock(w);
	stop_waiting(w);
	if (!w->wait->done(w->wait, r) && r == 0)
		pt_lock_give_back(w->pt, w->owner, w->handle, &w->change);
	leave(w);
	return NULL;
}

/* The thread begins with the credentials of this one. */
static int start_thread(struct pt_waiter *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	cred_be_daemon();
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	r = pthread_create(&thread, &attr, wait_thread, w);
	pthread_attr_destroy(&attr);
	return r == 0 ? 0 : -ENOLCK;
}

int pt_lock_wait(struct passthrough *pt, struct pt_lock_owner *o, struct pt_handle *handle,
	const struct range *change, struct fs_wait *wait)
{
	struct pt_waiter *w = calloc(1, sizeof(*w));
	int r;

	if (!w || !wait->begin(wait)) {
		free(w);
		return -ENOLCK;
	}
	*w = (struct pt_waiter){
		.pt = pt,
		.owner = o,
		.handle = handle,
		.change = *change,
		.wait = wait,
		.origin = wait->origin,
		.id = wait->id,
	};
	r = enlist(&pt->locks, w);
	if (r < 0) {
		free(w);
		wait->done(wait, r);
		return FS_WAITS;
	}
	r = start_thread(w);
	if (r < 0) {
		stop_waiting(w);
		wait->done(wait, r);
		leave(w);
	}
	return FS_WAITS;
}

static bool is_chosen(const struct pt_waiter *w, const struct choice *which)
{
	if (which->all)
		return true;
	if (which->handle)
		return w->handle == which->handle;
	if (which->origin)
		return w->origin == which->origin;
	return w->id == which->id;
}

/* How many are told to end and not gone yet; sends them the signal. */
static unsigned int count_ended(const struct pt_locks *locks, bool signal)
{
	unsigned int n = 0;

	for (struct pt_waiter *w = locks->waiters; w; w = w->next) {
		if (!w->ended)
			continue;
		n++;
		if (signal && w->started)
			pthread_kill(w->thread, PT_LOCK_SIGNAL);
	}
	return n;
}

/* Returns when all who were told to end are gone. The table's lock is held. */
static void see_them_end(struct pt_locks *locks)
{
	while (count_ended(locks, true) > 0) {
		struct timespec until;
		int r = 0;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += SIGNAL_AGAIN_NS;
		if (until.tv_nsec >= SECOND_NS) {
			until.tv_nsec -= SECOND_NS;
			until.tv_sec++;
		}
		while (r == 0 && count_ended(locks, false) > 0)
			r = pthread_cond_timedwait(&locks->gone, &locks->lock, &until);
	}
}

static void end_waits(struct pt_locks *locks, const struct choice *which)
{
	bool any = false;

	pthread_mutex_lock(&locks->lock);
	for (struct pt_waiter *w = locks->waiters; w; w = w->next) {
		if (is_chosen(w, which))
			any = w->ended = true;
	}
	if (any)
		see_them_end(locks);
	else if (which->id != 0)
		locks->early[locks->next_early++ % PT_LOCK_EARLY] = which->id;
	/* Another guest begins with the same numbers. */
	if (which->all)
		memset(locks->early, 0, sizeof(locks->early));
	pthread_mutex_unlock(&locks->lock);
}

void pt_lock_end_waits(struct passthrough *pt, const struct pt_handle *handle)
{
	end_waits(&pt->locks, &(struct choice){.all = !handle, .handle = handle});
}

void pt_end_waits(struct fs *fs, const void *origin, uint64_t id)
{
	end_waits(&pt_of(fs)->locks, &(struct choice){.origin = origin, .id = origin ? 0 : id});
}
