// SPDX-License-Identifier: BSD-2-Clause
/*
 * The DAX window: files of the host as memory of the guest (FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING).
 *
 * The window is a range of guest memory that the front-end keeps for us, and maps files into as we
 * ask. This folder knows what is there: it is exact, also about what the guest believes to be
 * there.
 *
 * Claims and pieces. A claim is what a guest was promised: this place of the window is that range
 * of that file, until it gives the place back. A piece is what the front-end really has mapped. For
 * every claim, whatever becomes of the file:
 *   - whole pages of the file below its end are mapped from the file itself, while the file is safe
 *     (nobody can truncate it behind our back, or the administrator takes the risk);
 *   - the partial page at its end, and every page of a file that is not safe, is a copy: memory of
 *     ours that the guest may change. What it has changed there, told by a second copy of what was
 *     there before, is written back at FLUSH, FSYNC, RELEASE and when the claim or the copy ends;
 *   - pages beyond its end have nothing.
 * dax_settle() makes pieces what claims, size and safety ask for; all else is a reason to call it.
 *
 * What front-ends cannot do. QEMU 11.1 refuses to map over what is mapped, and takes away only what
 * was mapped in exactly one request. So pieces never overlap, what is split is taken away whole and
 * its rest mapped anew. Where something is to be replaced, mapping over it is tried first: for a
 * front-end that can, there is no moment without. A front-end has room for so many pieces; beyond
 * it -ENOSPC. Where a front-end refuses a file, or read-only memory, its pages are copies.
 *
 * Threads. Two locks. `change` orders those who talk to the front-end, and is held while they wait
 * for it: never by a ring's thread, which would hold up the front-end's own messages. `state`
 * covers lists, claims, pieces and copies; nothing waits for a front-end inside it. Functions that
 * say "waits" take `change`; all others may be called from anywhere.
 *
 * Nothing here touches mapped memory of a file: copies are read and written by system calls.
 */
#ifndef DAX_DAX_H
#define DAX_DAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define DAX_PAGE 4096u

/* One change of what the front-end has mapped, in whole pages. */
struct dax_change {
	uint64_t at, len; /* in the window, bytes */
	int fd;           /* to be mapped there, or -1: what is there, exactly, goes */
	uint64_t offset;  /* in fd */
	bool writable;
	int result; /* out: 0; -EINTR where nobody knows whether it was, or will be, made; else why
		     * it was not made */
};

#define DAX_BATCH 64 /* changes that are asked for at once, at most */

struct dax_frontend {
	/* Has the changes made in their order and returns when the guest sees them. Sets each
	 * result. Called with `change` held, by one thread at a time. */
	void (*apply)(void *opaque, struct dax_change *changes, unsigned int n);
	/* How many more pieces it has room for now, which others may take too; never waits. */
	unsigned int (*room)(void *opaque);
	void *opaque;
};

struct dax_window;
struct dax_file;

/* size: a power of two. pieces: how many there may be at most. NULL: no memory. */
struct dax_window *dax_window_new(uint64_t size, unsigned int pieces,
	const struct dax_frontend *frontend);

/* No file is left. */
void dax_window_free(struct dax_window *w);

/* The front-end has gone, or has dropped everything by itself (a reset device): claims and pieces
 * are forgotten without a word, after what copies hold was written back. */
void dax_window_dropped(struct dax_window *w);

/* A guest starts over (INIT, DESTROY): claims end. What the front-end still has is taken away when
 * it is in the way, or by the next dax_settle_all(); it may have dropped it itself. */
void dax_window_reset(struct dax_window *w);

/* Waits: takes away what a reset left. */
void dax_settle_all(struct dax_window *w);

/* Whether a descriptor is of a file or a copy that is mapped, or is about to be: memory regions of
 * such files may vanish below us. */
bool dax_window_has(struct dax_window *w, const struct stat *st);

struct dax_count {
	size_t claims, pieces, copied_bytes, mapped_bytes;
	uint64_t maps, unmaps, refused, replaced; /* since the start */
};
void dax_window_count(struct dax_window *w, struct dax_count *count);

/*
 * A file that may be mapped: one for each open description, which is the caller's and must stay
 * open until dax_file_free(); without O_APPEND and O_DIRECT. writable: the description is open for
 * writing too. safe: its pages may be mapped themselves. NULL: no memory, or no file.
 */
struct dax_file *dax_file_new(struct dax_window *w, int fd, bool writable, bool safe);

/* Who wants to know when what a guest has stored in copies is written to a file: before, and after.
 * Called with `state` held, at any time in which a function here runs that may write. before: 0, or
 * -errno where it must not be written now: it stays to be written, and there is no after. */
struct dax_watch {
	int (*before)(void *opaque);
	void (*after)(void *opaque);
	void *opaque;
};
void dax_file_watch(struct dax_file *f, const struct dax_watch *watch);

/* Waits: ends all claims, taking their pieces away, and frees the file. */
void dax_file_free(struct dax_file *f);

/* Whether a claim is on the file. */
bool dax_file_is_claimed(struct dax_file *f);

/*
 * Waits: a claim (SETUPMAPPING). len bytes of the file from offset on are to be at `at`; whole
 * pages, within the window. Whatever claim was there ends; the same claim again costs nothing.
 * write: the guest may store there; where the file is not writable, -EACCES. (What is writable is
 * mapped so in any case, as QEMU keeps no guest from storing.)
 * Errors: -EINVAL, -EACCES, and -ENOSPC where there are too many claims: then nothing has changed.
 * -ENOSPC (no room for more pieces), -ENOMEM, -EINTR (the device is being stopped), -EIO (the
 * front-end refuses), and those of the file: then nothing is claimed there.
 */
int dax_map(struct dax_file *f, uint64_t at, uint64_t len, uint64_t offset, bool write);

/* Waits: ends what is claimed between at and at + len (REMOVEMAPPING), all of a claim or a part of
 * it. 0 also where nothing was. Nothing has changed after -EINVAL (beyond the window), and after
 * -ENOSPC or -ENOMEM where the rest of a claim would make too many; after other errors, of the
 * rest, nothing is claimed there all the same. */
int dax_unmap(struct dax_window *w, uint64_t at, uint64_t len);

/* Waits: makes what is mapped what the file's size (fstat) and safety ask for: after it grew, and
 * after it was truncated. Copies take in what else was changed in the file. 0 or the first -errno;
 * claims stay. */
int dax_settle(struct dax_file *f);

/* Whether dax_settle() would do something, now that the file may have grown. */
bool dax_is_unsettled(struct dax_file *f);

/*
 * Waits: before the file is truncated by us. When it returns 0, nothing at or beyond the page that
 * holds size is mapped from the file, nor will be before dax_shrunk(), which follows in any case:
 * also after an error, and whatever became of the truncation. Several at once are kept apart by
 * what the caller lends.
 */
struct dax_shrink {
	LIST_ENTRY(dax_shrink) link;
	uint64_t size;
};
int dax_shrink(struct dax_file *f, struct dax_shrink *shrink, uint64_t size);

/* Waits: ends that, and settles the file. */
int dax_shrunk(struct dax_file *f, struct dax_shrink *shrink);

/* Waits: the file is no longer safe (its lease is being broken) or is safe again. Returns when no
 * page of it is mapped (safe: false), which it does in any case, if need be by taking away what the
 * guest uses; only a device that stays stopped has -EINTR, and keeps what it has. keep: the guest
 * may be using it now: copies take its place; otherwise nothing does until dax_settle(), a claim or
 * the next safe: true. */
int dax_set_safe(struct dax_file *f, bool safe, bool keep);

/* Writes back what the guest has changed in copies: before what reads the file, and at FLUSH,
 * FSYNC, RELEASE. 0 or the first -errno; then the change stays to be written. */
int dax_flush(struct dax_file *f);

/* The file's bytes were changed by a request: copies of them are renewed; stores of the guest that
 * were not written back lose against it. */
void dax_wrote(struct dax_file *f, uint64_t offset, uint64_t len);

#endif
