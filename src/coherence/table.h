// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table as servers have it (docs/coherence.md): they make it or attach to it, mark what
 * they change in it, and tell their guests what its words were.
 *
 * Where it is. Either a file, FILE, that several servers attach to, with FILE.key beside it; or
 * memory of one server's own, sealed, which is given to clients as a descriptor. FILE.key holds
 * what guests must not know (the key of the hash), and its locks, which the kernel takes from the
 * dead:
 *   byte 0, shared: whoever is attached. Exclusive: who makes or replaces the table, or takes away
 *           the marks that the dead left: all of it only while nobody has a change in flight.
 * A lock falls when the last thread of its process has gone, so with its last system call done;
 * and when no other process has inherited the descriptor: whoever forks closes it.
 *
 * A poisoned table stays attached, and changes go on being marked in it, for as long as a new one
 * is not there; nobody trusts it. A new one is made only when everybody has left the old one with
 * all changes ended: else a change that was marked in the old one only could happen under the new
 * one.
 *
 * Threads. A request that looks at the table or changes anything is between vtable_enter() and
 * vtable_leave(), once; a thread that is inside does not enter again. vtable_renew() waits until
 * nobody is inside.
 */
#ifndef COHERENCE_TABLE_H
#define COHERENCE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "coherence/beat.h"
#include "coherence/door.h"
#include "coherence/hash.h"
#include "proto/version_table.h"

struct vtable {
	struct door inside; /* closed while what follows changes */
	char *map;
	size_t bytes;
	uint64_t slots;
	uint8_t id[VT_ID_SIZE];
	uint8_t key[HASH_KEY_SIZE]; /* the same in each table that we are attached to */
	bool keyed;
	int fd;        /* read-only: for clients */
	bool lost;     /* FILE is attached to no more: see vtable_renew() */
	bool told;     /* the log has said why there is no new one */
	int dir, lock; /* of FILE and FILE.key; -1 for memory of our own */
	int proc;      /* /proc/self/fd, where that name leads elsewhere; or -1. Not ours */
	char *name, *key_name;
	/* Or NULL: who else writes to memory of our own is given each new one here, by a
	 * descriptor, before that is sealed. */
	void (*share)(void *opaque, int fd);
	void *opaque;
	uint64_t wanted; /* slots of a table that we make; 0: as many as the one before had */
	struct vtable_beat beat;        /* of the watcher */
	_Atomic uint64_t moved_ms;      /* when we last moved the epoch (limit.c) */
	uint64_t timed, timed_since_ms; /* as vtable_tick() last saw it */
};

#define VTABLE_SLOTS (1u << 20) /* where nobody says otherwise */

/*
 * Attaches to the table at a path, or makes it with so many slots where there is none. A table
 * that is attached by others keeps the number that it has; 0: any, VTABLE_SLOTS for a new one. The
 * folder is on a tmpfs. Waits for up to `patience` milliseconds for a poisoned table to be
 * replaced; after that it is attached as it is, see vtable_renew(). -EINVAL: the file is no table,
 * or its key no key; -EPERM: others may write to it; -EXDEV: not on a tmpfs; -EBUSY: somebody is
 * making it, and takes several times as long; or what a system call says. The reason has been
 * logged.
 */
int vtable_open(struct vtable **out, const char *path, uint64_t slots, int patience);

/* A table of our own. */
int vtable_make(struct vtable **out, uint64_t slots);

/* In a process that was forked and has closed what it inherited: no descriptor is the table's. */
void vtable_disown_descriptors(struct vtable *t);

/* Has all pages of the table mapped, so that no request has to wait for one (Linux 5.14; else they
 * do). Those that it had when a process was forked the new one has not. */
void vtable_populate(const struct vtable *t);

/* Maps memory that another process has made and shares, in the place of its last one, which had the
 * same key. Nobody is inside. 0, or -errno with the old one as it was. */
int vtable_adopt(struct vtable *t, int fd);

/* Nobody is inside. Leaves the table to the others, and a file where it is. */
void vtable_close(struct vtable *t);

void vtable_enter(struct vtable *t);
void vtable_leave(struct vtable *t);

/* Whether guests still can trust the table. Whoever finds that they cannot calls vtable_renew();
 * each server has a look every second or oftener, also when it has nothing to do. */
bool vtable_is_poisoned(const struct vtable *t);

/* Ends the table: nobody trusts it from now on. */
void vtable_poison(struct vtable *t);

/*
 * Attaches to the table that follows a poisoned one, or makes it. Those who enter wait meanwhile.
 * -EAGAIN: not everybody has left within so many milliseconds (all have to try at once): we
 * are attached to a poisoned one, and may try again. Any other error, where the table is a file: we
 * are attached to none (the old one is still mapped, poisoned), so that nothing may be changed
 * before another call succeeds. Why is logged once.
 */
int vtable_renew(struct vtable *t, int patience);

/* What follows is for those inside. */

/* Whether we are attached to no table: what would have to be marked must not happen. */
static inline bool vtable_is_lost(const struct vtable *t)
{
	return t->lost;
}

static inline uint32_t vtable_slot_of_hash(const struct vtable *t, uint64_t hash)
{
	return (uint32_t)(hash & (t->slots - 1));
}

/* Kinds of what an inode has; names have their own function. */
enum vtable_kind {
	VTABLE_ATTR, /* attributes, extended ones, ACLs */
	VTABLE_DATA, /* of a file; the target of a symlink */
	VTABLE_LIST, /* of a directory */
};

/*
 * Hashes may be asked for from outside too, and are the same after vtable_renew().
 *
 * The hash of an inode, and the slots by it. Those of an inode are beside each other, and so are
 * those of inodes whose numbers are, as files that are made one after the other mostly have them:
 * few lines of a cache and few pages have what is made or listed together. The lowest bits of a
 * hash are as good as any, or only a fourth of the table would have attributes.
 */
#define VTABLE_KINDS 4 /* there is room for */
#define VTABLE_GROUP 16
uint64_t vtable_hash_of_inode(const struct vtable *t, dev_t dev, ino_t ino);
static inline uint32_t vtable_slot_of_kind(const struct vtable *t, uint64_t hash,
	enum vtable_kind kind)
{
	return vtable_slot_of_hash(t, hash ^ kind);
}

/* The slot of one of them. */
static inline uint32_t vtable_slot(const struct vtable *t, enum vtable_kind kind, dev_t dev,
	ino_t ino)
{
	return vtable_slot_of_kind(t, vtable_hash_of_inode(t, dev, ino), kind);
}

/* All of the hash of a name in a directory, which no two have together, and the slot by it. Of
 * several in one the hash begins with what is this thread's until it asks for another's. */
const struct hash_begun *vtable_names_of(const struct vtable *t, dev_t dev, ino_t ino);
uint64_t vtable_hash_among(const struct hash_begun *names, const char *name);
uint64_t vtable_hash_of_name(const struct vtable *t, dev_t dev, ino_t ino, const char *name);
uint32_t vtable_slot_of_name(const struct vtable *t, dev_t dev, ino_t ino, const char *name);

/* Soon: a table is larger than a processor's caches, and of several slots all come in the time of
 * one. To be marked, a slot has to come from the caches of those who look at it, too. */
static inline void vtable_will_mark(const struct vtable *t, uint32_t slot)
{
	__builtin_prefetch(t->map + vt_slot_at(slot), 1);
}

/*
 * A stamp for what is about to be read: taken before the state is read, for a slot whose word is
 * loaded after the epoch. False where it may be used but not kept: a change is in flight.
 */
bool vtable_look(const struct vtable *t, uint32_t slot, struct vt_stamp *stamp);

/* The same for up to VTABLE_LOOKS slots: their words, and the epoch that was loaded before any. */
#define VTABLE_LOOKS 32
uint64_t vtable_look_all(const struct vtable *t, const uint32_t *slots, unsigned int n,
	uint64_t *words);

/* Nothing that anybody remembers is trusted any more. */
void vtable_bump_epoch(struct vtable *t);

/*
 * The same because of something that a guest can bring about as often as it likes. Where the epoch
 * moved less than a second ago, words are good by time only from now on instead, until a second has
 * passed without need. vtable_tick() ends that; each server calls it every second, on one thread,
 * for the one that began it may be gone.
 */
void vtable_distrust(struct vtable *t);
void vtable_tick(struct vtable *t);

/* Whether somebody watches the host's processes. vtable_tick() asks, too: a watcher that stops is
 * not believed for long, whoever asks first. */
bool vtable_is_watched(struct vtable *t);

/* A change and the slots that it touches. The most that one operation has: a rename, with two
 * directories (attributes, listing), two names and two inodes (attributes, listing). */
#define VTABLE_TOUCHES 10

struct vtable_touch {
	uint32_t slot;
	uint64_t before, after; /* set by the marks' begin and end */
	bool alone;             /* set at the end: nobody else was at the slot meanwhile */
};

struct vtable_change {
	unsigned int n;
	struct vtable_touch touch[VTABLE_TOUCHES];
};

/*
 * Marks slots, before the system call that changes what they stand for; more of them where it is
 * known only later what else is to be changed. A slot that the change has already is not marked
 * again: two operands may share one.
 */
void vtable_begin(struct vtable *t, struct vtable_change *c, const uint32_t *slots,
	unsigned int n);

/* Takes all marks off, after the last system call of the change. */
void vtable_end(struct vtable *t, struct vtable_change *c);

/* What came of a slot that the change has. */
const struct vtable_touch *vtable_touch_of(const struct vtable_change *c, uint32_t slot);

/* A change that has happened elsewhere already: a host process'. */
void vtable_pass_on(struct vtable *t, uint32_t slot);

#endif
