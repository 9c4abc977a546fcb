// SPDX-License-Identifier: BSD-2-Clause
/*
 * A door that many threads go in and out by all the time, and that is closed once in a while. Going
 * in or out touches a cache line that few other threads do; closing looks at all of them.
 */
#ifndef COHERENCE_DOOR_H
#define COHERENCE_DOOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define DOOR_SHARDS 16 /* threads beyond share them */

struct door {
	struct {
		_Alignas(64) _Atomic unsigned int inside;
	} shards[DOOR_SHARDS];
	_Alignas(64) _Atomic bool closed;
	pthread_mutex_t lock;   /* of waiting: */
	pthread_cond_t left;    /* somebody is inside no more */
	pthread_cond_t opened;
};

void door_init(struct door *d);
void door_destroy(struct door *d);

/* Waits while it is closed. Who is inside does not enter again. */
void door_enter(struct door *d);
void door_leave(struct door *d);

/* Keeps all out and waits until nobody is inside: 0, or after so many milliseconds -EAGAIN, and the
 * door is open again. One at a time closes. */
int door_close(struct door *d, int patience);
void door_open(struct door *d);

#endif
