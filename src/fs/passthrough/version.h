// SPDX-License-Identifier: BSD-2-Clause
/*
 * What operations do with the shared version table (docs/coherence.md; coherence/request.h is how).
 *
 * Each operation looks, by the bits that proto/version_ops.h has for it, before it reads what its
 * reply shows; marks before the system call that changes anything; and settles after the last one
 * where it has something to read again. What it does not settle is settled when it returns. Where
 * this thread has no request at the table all of this costs one load.
 *
 * Slots are found by the device and inode of a node's key. On mounts where nobody could tell of
 * changes made elsewhere, or where numbers are not the same for all, looks are VT_TIMED (mount.c).
 */
#ifndef PASSTHROUGH_VERSION_H
#define PASSTHROUGH_VERSION_H

#include "coherence/request.h"
#include "fs/passthrough/guess.h"
#include "fs/passthrough/pt.h"

/* An inode, by what slots are found by. */
struct pt_inode {
	dev_t dev;
	ino_t ino;
	bool timed;
};

struct pt_inode pt_inode_of(const struct pt_node *node);

/* Whether looks at what is on a mount are VT_TIMED. */
static inline bool pt_mount_is_timed(const struct pt_mount *mount)
{
	return mount->timed || atomic_load_explicit(&mount->unwatched, memory_order_relaxed);
}

/* The same of one that may be new: what was read before it was watched is kept by time. */
bool pt_is_found_timed(struct passthrough *pt, uint64_t id, int fd);

/* None of the mounts is watched any more. */
void pt_mounts_watch_lost(struct passthrough *pt);

/* What pt_look() and pt_mark() do where there is somebody to do it for. */
void pt_look_node(struct vtable_request *v, const struct pt_node *node, unsigned int bits);
void pt_mark_node(struct vtable_request *v, const struct pt_node *node, unsigned int bits);
void pt_mark_inode(struct vtable_request *v, const struct pt_inode *inode, unsigned int bits);

/* Before something of a node is read. Bits: all but those of names. */
static inline void pt_look(const struct pt_node *node, unsigned int bits)
{
	struct vtable_request *v = vtable_request_now();

	if (v && v->words)
		pt_look_node(v, node, bits);
}

/* Before it is changed. */
static inline void pt_mark(const struct pt_node *node, unsigned int bits)
{
	struct vtable_request *v = vtable_request_now();

	if (v)
		pt_mark_node(v, node, bits);
}

static inline bool pt_is_listed(enum pt_as as)
{
	return as >= PT_LISTED && as <= PT_LISTED_FIRST;
}

/* The hash of a name in a directory (pt_known_hash()), which this thread's request mostly has. bit:
 * which of its names, VT_NAME or VT_TO_NAME. */
uint64_t pt_hash_of(const struct passthrough *pt, const struct pt_node *dir, const char *name,
	unsigned int bit);

/* Before a name is looked up (VT_NAME). "." and ".." are told by the listing of the directory,
 * which a move of it changes. */
void pt_look_name(struct passthrough *pt, struct pt_node *dir, const char *name);

static inline bool pt_is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Whether a directory has names that are not compared byte by byte; and the slot of a name in it,
 * by the hash of its spelling, whose slot may be another one. */
bool pt_folds(struct passthrough *pt, const struct vtable_request *v, struct pt_node *dir);
uint32_t pt_slot_of_name(const struct vtable_request *v, const struct pt_inode *dir, bool folds,
	const char *name, uint64_t hash);

/*
 * Entries of a listing, which says of which inode each name is. pt_look_ahead() looks at what is in
 * `entry`, of one directory, and what the names stood for last; pt_tell_ahead() has the request go
 * on with the next of them, and tells of its name; pt_is_as_listed() tells of what was found, if it
 * is the inode that the listing has said, as it mostly is: whatever the name may have led to
 * before. In ahead.c.
 */
#define PT_AHEAD (VTABLE_LOOKS / 2) /* two looks at each */
struct pt_ahead {
	unsigned int at, n; /* the next one, of how many */
	const struct pt_dirent *entry[PT_AHEAD];
	uint64_t hash[PT_AHEAD]; /* of the name */
	struct vt_look look[2 * PT_AHEAD]; /* at each name, and at its inode's attributes */
	struct pt_guess guess[PT_AHEAD]; /* slot PT_NO_SLOT: of nothing that the guest knows */
};
void pt_look_ahead(struct passthrough *pt, struct pt_node *dir, struct pt_ahead *ahead);
const struct pt_guess *pt_tell_ahead(struct pt_ahead *ahead, struct fs_entry *entry);
bool pt_is_as_listed(const struct vtable_request *v, const struct pt_node *parent,
	struct fs_entry *entry);

/*
 * Whether attributes of entries that were listed before are to be told again, as far as they are
 * still good, in a listing of a directory (told.h). After pt_tell_ahead(): whether those of a name
 * are, and the entry has been filled in as pt_enter() would; or else whether the guest knows what
 * the name stood for last (guess). And what has been found is noted.
 */
enum pt_met { PT_UNMET, PT_MET, PT_MET_AND_TOLD };
bool pt_may_recall(const struct passthrough *pt, const struct pt_node *dir);
enum pt_met pt_meet_listed(struct passthrough *pt, struct pt_node *dir, const char *name,
	const struct pt_guess *guess, bool recalls, struct fs_entry *entry);
void pt_note_told(struct passthrough *pt, const struct fs_entry *entry);

/* Before a name is made, removed or moved: its directory, and the name; both of a rename. A new
 * name is that of an inode that is made, too. May take the daemon's credentials. */
void pt_mark_name(struct passthrough *pt, struct pt_node *dir, const char *name);
void pt_mark_new_name(struct passthrough *pt, struct pt_node *dir, const char *name);
void pt_mark_names(struct passthrough *pt, struct pt_node *dir, const char *name,
	struct pt_node *to_dir, const char *to_name);

/* A directory's names are compared in another way from now on. */
void pt_forget_names(void);

/* What pt_meet_inode() does where there is somebody to do it for. */
bool pt_meet_for(struct passthrough *pt, struct vtable_request *v, const struct pt_node *parent,
	int fd, enum pt_as as, struct fs_entry *entry);

/* When attributes of an inode were read that was not known before: looks at it or marks it. True:
 * they are to be read again, as a guest will keep them and they are not good for the word. parent:
 * where it was found, or NULL; fd: the inode's, which may be -1 if it is on its parent's mount. */
static inline bool pt_meet_inode(struct passthrough *pt, const struct pt_node *parent, int fd,
	enum pt_as as, struct fs_entry *entry)
{
	struct vtable_request *v = vtable_request_now();

	return v && pt_meet_for(pt, v, parent, fd, as, entry);
}

/* Marks an inode that was just made, or found and is to be changed, by a descriptor; as soon as it
 * is known, by what is read into *attr. False: it was not, or there is no table. */
bool pt_mark_made(struct passthrough *pt, const struct pt_node *parent, int fd, unsigned int bits,
	struct statx *attr);

/* Whether attributes that were read before what was made was marked are as good as if they had been
 * read after that. */
bool pt_is_good_made(void);

/* What a name stands for, for the next time (guess.h): of one that was found, or looked up in
 * vain; after settling, of one that was made or moved, or (with the id of its directory) is gone;
 * and that somebody else was there together with us. bit: the name's. In guess.c. */
void pt_note_found(struct passthrough *pt, enum pt_as as, const struct fs_entry *entry);
void pt_note_absent(struct passthrough *pt, const struct pt_node *dir);
void pt_note_changed(struct passthrough *pt, unsigned int bit, uint64_t node, bool absent);
void pt_note_disputed(struct passthrough *pt, unsigned int bit);

/* After the last change: whether attributes that were read since the mark go with the words of the
 * reply. Where not, they are looked at now, and are to be read again. bit: of the node's. */
bool pt_settle_attr(const struct pt_node *node, unsigned int bit);

/* The same for an entry that was made or found: VT_NAME and VT_CHILD_ATTR; reads again itself. */
void pt_settle_entry(struct passthrough *pt, struct fs_entry *entry);

/* What is read next of a listing, for the buffer that it stays in. */
struct vt_stamp pt_stamp_listing(const struct pt_node *dir);

/* A listing that was read with such a stamp is shown. */
void pt_recall_listing(const struct pt_node *dir, const struct vt_stamp *stamp);

/* own.c */

/*
 * A change that no request marks: of what a guest has stored in copies of a DAX window, written
 * back. One that this thread's request has marked is the request's. pt_own_end() ends it. -EIO:
 * there is no table to mark it in, so it must not be made, and there is nothing to end.
 */
struct pt_own {
	struct vtable *t; /* NULL: there is nothing to end */
	bool entered;
	struct vtable_change change;
};
int pt_own_begin(struct passthrough *pt, const struct pt_node *node, struct pt_own *own);
void pt_own_end(struct pt_own *own);

/* Inside the table, with a request or without: for what has such changes, before it takes locks
 * that others wait for who are inside. PT_INSIDE struct pt_inside in = pt_enter_table(pt); */
#define PT_INSIDE __attribute__((cleanup(pt_leave_table), unused))
struct pt_inside {
	struct vtable *t;
};
struct pt_inside pt_enter_table(struct passthrough *pt);
void pt_leave_table(struct pt_inside *in);

/* victim.c */

/*
 * The inode that a name stands for, held and marked before the name changes: afterwards it may turn
 * out that it was another one by then.
 */
#define PT_VICTIM __attribute__((cleanup(pt_release_victim)))
struct pt_victim {
	int fd; /* or -1: there is no table, or the name could not be opened */
	struct pt_node_ref held; /* whose the descriptor is, where the inode is known; else ours */
	const struct pt_node *dir;
	unsigned int name; /* the name's bit */
	bool absent;       /* there was none */
	bool known;        /* remembered, not found */
	struct pt_inode inode;
	unsigned int bit; /* of its attributes */
	uint32_t links;   /* of one that was found, and goes, when it was marked */
};

/* After pt_mark_name(), of one of its bits: VT_NAME or VT_TO_NAME. */
enum pt_fate { PT_GOES, PT_MOVES };
struct pt_victim pt_hold_victim(struct passthrough *pt, const struct pt_node *dir,
	unsigned int bit, const char *name, enum pt_fate fate);

/* Of a name that the system call demands to be nobody's. */
struct pt_victim pt_no_victim(void);
void pt_release_victim(struct pt_victim *x);

/* Where a rename begins or ends. */
struct pt_end {
	struct pt_node *parent;
	struct pt_node *node; /* of the name before, or NULL where it is not known */
	const char *name;
	struct pt_victim *victim;
};

/* An end's name is somebody's after all. */
void pt_find_victim(struct passthrough *pt, const struct pt_end *end);

/* After the system call, whose result is r: settles, and has everybody forget what he has where
 * another inode may have been changed than those that were marked. */
void pt_settle_removal(struct passthrough *pt, const struct pt_victim *x, int r);
void pt_settle_rename(struct passthrough *pt, const struct pt_end *from, const struct pt_end *to,
	unsigned int flags, int r);

#endif
