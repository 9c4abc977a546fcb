// SPDX-License-Identifier: BSD-2-Clause
#include "coherence/door.h"

#include <errno.h>
#include <time.h>

/* Each thread has a number, from which its shard follows. */
static _Atomic unsigned int threads;
static _Thread_local unsigned int number;

static _Atomic unsigned int *my_shard(struct door *d)
{
	if (number == 0)
		number = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
	return &d->shards[number % DOOR_SHARDS].inside;
}

void door_init(struct door *d)
{
	pthread_condattr_t attr;

	for (unsigned int i = 0; i < DOOR_SHARDS; i++)
		atomic_init(&d->shards[i].inside, 0);
	atomic_init(&d->closed, false);
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->left, &attr);
	pthread_cond_init(&d->opened, &attr);
	pthread_condattr_destroy(&attr);
}

void door_destroy(struct door *d)
{
	pthread_cond_destroy(&d->opened);
	pthread_cond_destroy(&d->left);
	pthread_mutex_destroy(&d->lock);
}

/* Count first, then look: who closes does it the other way round, so that one of the two sees the
 * other. (Both are sequentially consistent for that.) */
void door_leave(struct door *d)
{
	atomic_fetch_sub(my_shard(d), 1);
	if (!atomic_load(&d->closed))
		return;
	pthread_mutex_lock(&d->lock);
	pthread_cond_signal(&d->left);
	pthread_mutex_unlock(&d->lock);
}

void door_enter(struct door *d)
{
	for (;;) {
		atomic_fetch_add(my_shard(d), 1);
		if (!atomic_load(&d->closed))
			return;
		door_leave(d);
		pthread_mutex_lock(&d->lock);
		while (atomic_load(&d->closed))
			pthread_cond_wait(&d->opened, &d->lock);
		pthread_mutex_unlock(&d->lock);
	}
}

static bool is_empty(struct door *d)
{
	for (unsigned int i = 0; i < DOOR_SHARDS; i++) {
		if (atomic_load(&d->shards[i].inside) > 0)
			return false;
	}
	return true;
}

int door_close(struct door *d, int patience)
{
	struct timespec end;
	bool empty;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += patience % 1000 * 1000000L;
	end.tv_sec += patience / 1000 + end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	pthread_mutex_lock(&d->lock);
	atomic_store(&d->closed, true);
	while (!(empty = is_empty(d)) && r == 0)
		r = pthread_cond_timedwait(&d->left, &d->lock, &end);
	pthread_mutex_unlock(&d->lock);
	if (!empty)
		door_open(d);
	return empty ? 0 : -EAGAIN;
}

void door_open(struct door *d)
{
	pthread_mutex_lock(&d->lock);
	atomic_store(&d->closed, false);
	pthread_cond_broadcast(&d->opened);
	pthread_mutex_unlock(&d->lock);
}
