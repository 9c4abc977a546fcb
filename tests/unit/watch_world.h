// SPDX-License-Identifier: BSD-2-Clause
/*
 * A world for tests of the watcher: a mount namespace of its own with a file system that is
 * watched, a table, and strangers who change things.
 */
#ifndef TESTS_UNIT_WATCH_WORLD_H
#define TESTS_UNIT_WATCH_WORLD_H

#include <sys/types.h>

#include "coherence/table.h"
#include "watch/watch.h"

#define WORLD_SLOTS  (1u << 18)
#define WORLD_PASSED 32

struct world {
	char place[64];       /* the folder of the table "t", and of the mounts below */
	struct vtable *table;
	struct watch *watch;  /* of this process as a server */
	uint64_t *before;     /* the slots as they were */
	uint32_t expected[WORLD_PASSED];
	unsigned int n_expected;
	unsigned int syncs;
};

/* Why there can be no world here, or NULL. Mounts file systems at place/share and place/other,
 * and works in the first. */
const char *world_make(struct world *w);
void world_end(struct world *w);

/* The same with a watched share, for a test's setup and teardown; prints why there can be none. */
const char *world_make_watched(struct world *w, const char *table);
void world_end_watched(struct world *w);

/* A table in a file or (NULL) in memory, and a watcher which both file systems are shown to. */
void world_watch(struct world *w, const char *path);

/* Ends the watch and waits for the end of the watcher that leads: the last one, ours. */
void world_unwatch(struct world *w);

/* Runs something in another process; it has to return 0. */
void world_stranger(int (*act)(void *opaque), void *opaque);

/* Waits until what strangers did up to now has been passed on. */
void world_sync(struct world *w);

/* Notes the slots as they are; what is expected to move from now on, by paths; whether just that
 * has moved once what strangers did has been passed on. */
void world_note(struct world *w);
void world_expect_attr(struct world *w, const char *path);
void world_expect_data(struct world *w, const char *path);
void world_expect_list(struct world *w, const char *path);
void world_expect_name(struct world *w, const char *dir, const char *name);
void world_compare(struct world *w, const char *what);

/* Another server, in a process of its own, to which the share is shown too. It changes something
 * when it is told to. */
struct world_server {
	pid_t pid;
	int sock;
};
struct world_server world_server_start(struct world *w, const char *path);
void world_server_act(const struct world_server *s);
void world_server_kill(struct world_server *s);

/* The epoch, or what stands for it where it would have moved too often. */
uint64_t world_epoch(const struct world *w);
uint64_t world_beat(const struct world *w);

/* Waits for something, up to a minute. */
bool world_wait(bool (*is_so)(void *opaque), void *opaque);

/* For that: whether a process, of whose pid_t it is told, has been stopped. */
bool world_is_stopped(void *pid);

/* The process that leads the watchers of the table. */
pid_t world_leader(void);

#endif
