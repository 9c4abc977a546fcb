// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files of the export in the DAX window.
 *
 * A node that is mapped, or that is open and may be, has a struct pt_dax_file: one open
 * description, which the front-end maps and which, with PT_DAX_AUTO, is leased and shared by all
 * the guest's handles of the file; another open(2), also of ours, would end the lease. It lives
 * while somebody uses it: handles that share it, what runs, and one more while a claim is on it.
 *
 * Policies. With PT_DAX_AUTO a file's own pages are mapped only while we hold a lease: nobody
 * truncates it without our leave. Before the lease goes the pages do: where the guest has the file
 * open, copies take their place, otherwise the file is idle: nothing is mapped until the guest
 * opens it again, and by then the lease or copies are back. With PT_DAX_ALWAYS pages are mapped
 * without one.
 *
 * A front-end has room for so many pieces, and slows down with each. So where there are many, files
 * that the guest has not open become idle too, with their lease.
 *
 * Locks. dax->lock: the nodes' pointers, lists and references; short. file->change: what is done to
 * the file's claims, lease and size; held while its owner waits for the front-end, and so taken
 * only where that is allowed (fs/fs.h). Under it, those of dax/dax.h. No open(2) is made under it
 * once the file has its description. Whoever opens a node pins it before looking for a
 * pt_dax_file, so that it is idle only while nobody has it open.
 *
 * Who gives the last reference back may be a ring's thread, while the end of a lease waits for the
 * thread that breaks it, which may wait for the front-end. So a thread of our own, the keeper, ends
 * files.
 */
#ifndef PASSTHROUGH_DAX_H
#define PASSTHROUGH_DAX_H

#include <pthread.h>
#include <stdatomic.h>

#include "dax/dax.h"
#include "dax/lease.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"

/* What PT_DAX_AUTO maps at least: a mapping costs as much as many small reads. */
#define PT_DAX_BYTES_LEAST (64u << 10)

/* Pieces beyond which files become idle: with 64 of them QEMU 11.1 takes 2 ms to map one and to
 * take it away, with 128 of them 6 ms, with 256 of them 30 ms. And how many files do at a time. */
#define PT_DAX_PIECES 100
#define PT_DAX_ROOM   16

struct pt_dax {
	struct dax_window *window;
	struct leases *leases; /* NULL: PT_DAX_ALWAYS */
	bool no_open;          /* the guest has files open that no handle tells of */
	_Atomic bool told;     /* the log has said that leases cannot be had */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;
	struct pt_dax_file *files, *retired;
	bool stop;
	pthread_t keeper;
};

/* Whether a guest is to map a file: decided when it first looks the node up and then kept, for
 * Linux drops an inode whose flag changes when it is closed, and some versions then wait forever
 * (docs/dax.md). */
enum pt_dax_told { PT_DAX_UNDECIDED, PT_DAX_NOT, PT_DAX_MAP };

struct pt_dax_file {
	struct passthrough *pt;
	struct pt_node *node; /* referenced and pinned */
	struct pt_dax_file *next, **link;
	unsigned int refs; /* dax->lock */
	bool claimed;      /* dax->lock: has the reference for its claims */
	pthread_mutex_t change; /* of what follows */
	int fd;                 /* or -1: not opened yet */
	bool writable, leased;
	struct dax_shrink shrink;
	bool shrinking;
	_Atomic bool idle; /* nothing is mapped: what is claimed will be when it is opened */
	struct dax_file *_Atomic file; /* set with fd */
	struct pt_own writing; /* back what its copies hold; under the window's `state` */
};

static inline struct pt_dax *dax_of(const struct pt_dax_file *d)
{
	return d->pt->dax;
}

/* Starts what a window needs; config->dax says which. 0 or -errno. */
int pt_dax_start(struct passthrough *pt);

/* Ends it; no handles are left. */
void pt_dax_stop(struct passthrough *pt);

/* A guest starts over: nothing is claimed. */
void pt_dax_reset(struct passthrough *pt);

/* Sets or clears STATX_ATTR_DAX in a node's attributes. */
void pt_dax_mark(struct passthrough *pt, struct pt_node *node, struct statx *attr);

/* The file of a pinned node, with a reference; NULL where it has none. pt_dax_take() makes one;
 * NULL: no memory. */
struct pt_dax_file *pt_dax_get(struct passthrough *pt, struct pt_node *node);
struct pt_dax_file *pt_dax_take(struct passthrough *pt, struct pt_node *node);
void pt_dax_put(struct pt_dax_file *d);

/* Claims came or went: the reference for them is there exactly while a file has some. */
void pt_dax_note_claims(struct passthrough *pt);

/* Gives it a description where it has none: open for writing too where that can be had. 0 or what
 * opening it says. file->change is held. */
int pt_dax_describe(struct pt_dax_file *d);

/* Takes a lease where that makes the file safe; file->change is held. */
void pt_dax_lease(struct pt_dax_file *d);

/* The guest opens a file: an idle one is mapped again, copies are exchanged for the file's own
 * pages where that can be, and renewed where not. 0 or -errno: then it must not be opened, as the
 * guest would load from where nothing is, without asking again. file->change is held. */
int pt_dax_renew(struct pt_dax_file *d);

/* Makes files idle that are not open, but not d, whose change is held: where there are many pieces,
 * or (needed) where there is no room for another. False where none could be. */
bool pt_dax_make_room(struct pt_dax_file *d, bool needed);

/* Whether opening a node may have to wait. */
bool pt_dax_opens_late(struct passthrough *pt, struct pt_node *node);

/* A descriptor for a handle, which keeps the file that it comes from (*shared, referenced);
 * -EAGAIN: it is to be opened in the ordinary way. Waits. (daxops.c) */
int pt_dax_open(struct passthrough *pt, struct pt_node *node, int flags, bool kill_priv,
	struct pt_dax_file **shared);

/* The same for a file that was found where one was to be made; does not wait, but fails with
 * -ESTALE where it would have to. */
int pt_dax_open_existing(struct passthrough *pt, const struct fs_caller *who, struct pt_node *node,
	int flags, struct pt_dax_file **shared);

/* Around what reads or changes a file by system calls: copies are written back first (0, or the
 * first -errno), and renewed afterwards. Neither waits. */
int pt_dax_flush(struct passthrough *pt, struct pt_node *node);
int pt_dax_flush_all(struct passthrough *pt);
void pt_dax_after_write(struct passthrough *pt, struct pt_node *node, uint64_t offset,
	uint64_t len);

/* Around what may make a file smaller: waits until nothing beyond size is mapped; then has the
 * window follow what became of it. begin's result (NULL without a window) goes to end; error is
 * why the file must not be changed. */
struct pt_dax_file *pt_dax_begin_resize(struct passthrough *pt, struct pt_node *node, uint64_t size,
	int *error);
void pt_dax_end_resize(struct pt_dax_file *d, uint64_t offset);

/* Operations of fs/fs.h. */
int pt_setup_mapping(struct fs *fs, uint64_t node, const struct fs_mapping *m);
int pt_remove_mapping(struct fs *fs, uint64_t at, uint64_t len);
bool pt_opens_late(struct fs *fs, uint64_t node);
bool pt_is_unsettled(struct fs *fs, uint64_t node);
void pt_settle(struct fs *fs, uint64_t node);
void pt_unmap_all(struct fs *fs);

#endif
