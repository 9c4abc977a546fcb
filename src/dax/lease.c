// SPDX-License-Identifier: BSD-2-Clause
#include "dax/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* One that is queued with the descriptor it is about. What the queue has no room for is a SIGIO
 * that names none. */
#define LEASE_SIGNAL (SIGRTMIN + 1)

/* Signals that are read at once. */
#define SIGNALS 16

struct lease {
	LIST_ENTRY(lease) link;
	int fd;
	int type;
	bool is_breaking; /* broken() runs */
	void (*broken)(void *opaque);
	void *opaque;
};

struct leases {
	pthread_mutex_t lock; /* of the list, and of F_SETLEASE: a break finds its lease there */
	pthread_cond_t ended; /* a break is over */
	LIST_HEAD(, lease) list;
	int signals, stop;
	pthread_t thread;
};

static void lease_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, LEASE_SIGNAL);
	sigaddset(set, SIGIO);
}

void leases_block_signals(void)
{
	sigset_t set;

	lease_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Whether the kernel wants it back, or has taken it: then the lease is not what it was.
 * #syscalls(dax): fcntl:1=F_GETLEASE */
static bool is_to_end(const struct lease *lease)
{
	return !lease->is_breaking && fcntl(lease->fd, F_GETLEASE) != lease->type;
}

/* Gives a lease back; the lock is held. #syscalls(dax): fcntl:1=F_SETLEASE */
static void give_back(struct lease *lease)
{
	fcntl(lease->fd, F_SETLEASE, F_UNLCK);
	LIST_REMOVE(lease, link);
	free(lease);
}

/* The first lease that is to end: of those that use fd, or of all where it is negative. A signal
 * may be of a lease that has gone since, and fd of another one: so each is looked at. */
static struct lease *next_break(struct leases *leases, int fd)
{
	struct lease *lease;

	LIST_FOREACH(lease, &leases->list, link) {
		if ((fd < 0 || lease->fd == fd) && is_to_end(lease))
			return lease;
	}
	return NULL;
}

static void handle(struct leases *leases, int fd)
{
	struct lease *lease;

	pthread_mutex_lock(&leases->lock);
	while ((lease = next_break(leases, fd))) {
		lease->is_breaking = true;
		pthread_mutex_unlock(&leases->lock);
		lease->broken(lease->opaque);
		pthread_mutex_lock(&leases->lock);
		give_back(lease);
		pthread_cond_broadcast(&leases->ended);
	}
	pthread_mutex_unlock(&leases->lock);
}

/* #syscalls(dax): read poll ppoll */
static void *lease_thread(void *arg)
{
	struct leases *leases = arg;
	struct signalfd_siginfo infos[SIGNALS];
	struct pollfd fds[] = {
		{.fd = leases->stop, .events = POLLIN},
		{.fd = leases->signals, .events = POLLIN},
	};

	pthread_setname_np(pthread_self(), "leases");
	for (;;) {
		ssize_t n;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			return NULL;
		n = read(leases->signals, infos, sizeof(infos));
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(infos[0]); i++) {
			bool names = infos[i].ssi_signo == (uint32_t)LEASE_SIGNAL;

			handle(leases, names ? infos[i].ssi_fd : -1);
		}
	}
}

/* #syscalls(dax): signalfd4 eventfd2 close */
int leases_start(struct leases **out)
{
	struct leases *leases = calloc(1, sizeof(*leases));
	sigset_t set;
	int r = 0;

	if (!leases)
		return -ENOMEM;
	lease_signals(&set);
	pthread_mutex_init(&leases->lock, NULL);
	pthread_cond_init(&leases->ended, NULL);
	leases->stop = eventfd(0, EFD_CLOEXEC);
	leases->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (leases->stop < 0 || leases->signals < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&leases->thread, NULL, lease_thread, leases);
	if (r == 0) {
		*out = leases;
		return 0;
	}
	close_fd(&leases->stop);
	close_fd(&leases->signals);
	pthread_cond_destroy(&leases->ended);
	pthread_mutex_destroy(&leases->lock);
	free(leases);
	return r;
}

/* #syscalls(dax): write */
void leases_stop(struct leases *leases)
{
	const uint64_t one = 1;
	struct lease *lease;

	if (!leases)
		return;
	while (write(leases->stop, &one, sizeof(one)) < 0)
		;
	pthread_join(leases->thread, NULL);
	while ((lease = LIST_FIRST(&leases->list)))
		give_back(lease);
	close_fd(&leases->stop);
	close_fd(&leases->signals);
	pthread_cond_destroy(&leases->ended);
	pthread_mutex_destroy(&leases->lock);
	free(leases);
}

/* The signal is set first, as the lease may break as soon as it is there; who gets it is this
 * process by itself. #syscalls(dax): fcntl:1=F_GETFL fcntl:1=F_SETSIG fcntl:1=F_SETLEASE */
int lease_take(struct leases *leases, int fd, void (*broken)(void *opaque), void *opaque)
{
	struct lease *lease = calloc(1, sizeof(*lease));
	int flags = fcntl(fd, F_GETFL);
	int r = 0;

	if (!lease)
		return -ENOMEM;
	*lease = (struct lease){
		.fd = fd,
		.type = (flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK,
		.broken = broken,
		.opaque = opaque,
	};
	pthread_mutex_lock(&leases->lock);
	if (flags < 0 || fcntl(fd, F_SETSIG, LEASE_SIGNAL) < 0 ||
		fcntl(fd, F_SETLEASE, lease->type) < 0)
		r = -errno;
	else
		LIST_INSERT_HEAD(&leases->list, lease, link);
	pthread_mutex_unlock(&leases->lock);
	if (r < 0)
		free(lease);
	return r;
}

static struct lease *find(struct leases *leases, int fd)
{
	struct lease *lease;

	LIST_FOREACH(lease, &leases->list, link) {
		if (lease->fd == fd)
			return lease;
	}
	return NULL;
}

void lease_end(struct leases *leases, int fd)
{
	struct lease *lease;

	pthread_mutex_lock(&leases->lock);
	while ((lease = find(leases, fd)) && lease->is_breaking)
		pthread_cond_wait(&leases->ended, &leases->lock);
	if (lease)
		give_back(lease);
	pthread_mutex_unlock(&leases->lock);
}
