// SPDX-License-Identifier: BSD-2-Clause
/*
 * A small file system in a forged back-end (forger.h) which has a version table and puts words into
 * its replies. It lies in memory that the test shares with it: the test changes it as another
 * server would, between the marks of other_begin() and other_end(), and counts requests.
 */
#ifndef TESTS_UNIT_SHARED_WORLD_H
#define TESTS_UNIT_SHARED_WORLD_H

#include <pthread.h>
#include <stdatomic.h>

#include "causeway.h"
#include "coherence/request.h"
#include "forger.h"

#define WORLD_BYTES 60000
#define HELD        UINT32_MAX

/* Inodes, whose numbers are those of their nodes. */
enum { ROOT = FUSE_ROOT_ID, DIR_D, FILE_F, FILE_G, LINK_L, FREE_INODE, INODES = 16 };

/* What a hostile back-end makes of words, or of the table's name. */
enum world_fault {
	WORLD_GOOD,
	NO_HELLO,     /* ENOSYS */
	OTHER_ID,     /* names a table that is not there */
	BAD_WIRE,
	BAD_SLOTS,    /* names a table of no slots */
	BEGIN_OTHER,  /* agrees to another one */
	WORDS_SHORT,  /* replies end in their words */
	SLOT_BEYOND,  /* looks and moves at slots that the table has not */
	FALSE_ALONE,  /* changes that say they were alone, and were not */
	TWO_STATES,   /* the pieces of a listing are of two states, the first of today's */
	USE_ONCE,     /* what is said may not be kept */
	ENTRY_SHORT,  /* an entry of a listing ends before its name does */
	ALL_TIMED,    /* all looks are good by time only */
	NO_ACCESS,    /* ENOSYS */
	FINDS_ANYWAY, /* not hostile: finds names in directories that ACCESS refuses */
	OVERLAP,      /* not hostile: a name is made while the right to search is taken away */
};

struct world_inode {
	uint32_t mode;
	uint64_t size;
	char bytes[WORLD_BYTES];
	char xattr[16]; /* user.a; empty: it has none */
};

struct world_name {
	char name[16]; /* empty: none */
	uint64_t dir, ino;
};

struct shared_world {
	struct forger *forger;
	struct causeway *c;
	char dir[40], path[60]; /* of the table */

	/* In memory that both have. */
	struct {
		_Atomic int fault;
		_Atomic uint64_t served; /* requests that are none of forgetting */
		/* An opcode: the next such request is served, and its reply held back (HELD) until
		 * this is 0. */
		_Atomic uint32_t hold;
		struct world_inode inodes[INODES];
		struct world_name names[INODES];
	} *both;
	struct vtable *t; /* the test's: another server's */

	/* Plays the watcher. */
	pthread_t watcher;
	_Atomic bool ends;
	bool watched;
};

/* Has the back-end serve a world. (shared_server.c) */
void shared_serve_world(struct shared_world *w);

/* A table of so many slots, and a back-end; the client is not connected. */
void world_make(struct shared_world *w, uint64_t slots);
/* Starts the back-end, and connects: what causeway_connect_fd() says. */
int world_connect(struct shared_world *w);
void world_end(struct shared_world *w);

/* Another server's change of these things: marks; then the test changes `both`; then settles. */
struct vtable_change other_begin(struct shared_world *w, unsigned int n, const uint32_t *slots);
void other_end(struct shared_world *w, struct vtable_change *change);
uint32_t slot_of(struct shared_world *w, enum vtable_kind kind, uint64_t ino);
uint32_t slot_of_name(struct shared_world *w, uint64_t dir, const char *name);

#define OTHER(w, slots, ...)                                                                       \
	do {                                                                                       \
		struct vtable_change other_ =                                                      \
			other_begin(w, sizeof(slots) / sizeof(*(slots)), slots);                   \
		__VA_ARGS__;                                                                       \
		other_end(w, &other_);                                                             \
	} while (0)

/* How many requests something takes, in a test whose world is `w`. */
#define COST(what)                                                                                 \
	({                                                                                         \
		uint64_t cost_before_ = w.both->served;                                            \
		what;                                                                              \
		w.both->served - cost_before_;                                                     \
	})

/* Has names beat, so that words are good without a limit of time; or stops that. */
void world_watch(struct shared_world *w);
void world_unwatch(struct shared_world *w);

#endif
