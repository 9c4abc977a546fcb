// SPDX-License-Identifier: BSD-2-Clause
/*
 * DAX: files in this process's window (vhost/window.h), where data is read and written without a
 * request and without a second copy in memory.
 *
 * Ranges. The window is divided into ranges of one length (2 MiB; less in a small window). A range
 * holds the part of a file that begins at a multiple of that length, or the beginning of that:
 * whole pages below the file's end, as far as it was known. The rest of a file, and all that makes
 * it longer, goes by requests, so that every file can be here in part. FUSE_SETUPMAPPING has the
 * back-end map a range, FUSE_REMOVEMAPPING gives it back.
 *
 * What is shown. What lies in a range that is mapped is read there and nowhere else: of pages that
 * were kept (pages.h) those are dropped when it is mapped, and again when it is given back, with
 * all that was asked for before. A file's length is what its attributes say, while they are
 * believed. Where a file has become shorter behind our back, loads fail (fault.h) and requests tell
 * the rest.
 *
 * When it pays. Mapping costs two round trips and page faults, so with dax=auto a range is mapped
 * when it is used a second time; once the window is full, when it was used so much more often than
 * another one that this makes good for the change (heat.h). Otherwise requests go on as without a
 * window: a file larger than the window is not slower for it. A back-end that says which files are
 * safe to be mapped (FUSE_ATTR_DAX) is heeded; dax=always maps whatever it is given.
 *
 * Finding a range takes no lock: a table of hints says where it may be, a pin keeps it there, and
 * then its name is compared. Who wants a range for something else takes its name away first and
 * then looks for pins. Both are in one order (seq_cst), so one of the two sees the other.
 *
 * One lock for all that follows `lock`; it comes before those of pages and nodes, and is not held
 * while a request waits. A range that is being mapped or given back is busy: of nobody.
 */
#ifndef CLIENT_WINDOW_H
#define CLIENT_WINDOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/heat.h"
#include "mem/cursor.h"

#define WINDOW_RANGE_MAX (2u << 20)
#define WINDOW_PAGE      4096u

struct causeway;
struct causeway_file;
struct fuse_attr;
struct node;

enum dax_mode { DAX_NEVER, DAX_AUTO, DAX_ALWAYS };

enum range_state {
	RANGE_FREE,   /* perhaps still mapped, with nothing that anybody needs */
	RANGE_BUSY,   /* somebody waits for the back-end */
	RANGE_LIVE,
	RANGE_DOOMED, /* not found any more; to be given back when no pin is left */
};

struct range {
	_Atomic uint64_t serial; /* of the node; 0: not to be found */
	_Atomic uint64_t index;
	_Atomic uint32_t len;
	_Atomic bool writable;
	_Atomic uint32_t pins; /* copies that are being made, and looks at it */
	_Atomic uint32_t uses; /* of late; see heat.h */

	enum range_state state;
	struct node *node; /* whose it is, or is to be */
	uint32_t mapped;   /* bytes that the back-end may have mapped here */
	unsigned int maps; /* of the program (map.c) */
	bool linked;       /* in a bucket */
	uint32_t next;     /* in that, or of those that are free: number + 1 */
};

struct map;

struct window {
	char *base;
	unsigned int shift, n; /* ranges of 1 << shift bytes; none where there is no window */
	enum dax_mode mode;
	_Atomic uint32_t *hints; /* number + 1 of the range that was found there last */
	uint64_t mask;
	bool guarded; /* fault_begin() was called */

	pthread_mutex_t lock; /* of what follows, and of the ranges but for what is atomic */
	struct range *ranges;
	uint32_t *buckets;
	uint32_t free;       /* the first of those that were given back, number + 1 */
	unsigned int unused; /* from here on none was ever used */
	_Atomic unsigned int nlive;
	unsigned int room; /* how many the back-end maps for us at a time, as far as is known */
	unsigned int hand; /* where the search for one to give up goes on */
	struct heat heat;
	struct map *maps;
	bool unknown; /* the back-end does not know SETUPMAPPING */
};

/* After INIT, which said that offsets must be multiples of 1 << alignment: 0 or -errno. */
int window_open(struct causeway *c, unsigned int alignment);

/* When the connection is to end: the back-end forgets what is mapped by itself. */
void window_close(struct causeway *c);

/* The range with this offset of a handle's file, pinned; or NULL: it is not to be had, or does not
 * pay now. size: the file's, as far as it is known. */
struct range *window_get(struct causeway_file *f, uint64_t offset, uint64_t size, bool write);

static inline void window_put(struct range *r)
{
	atomic_fetch_sub_explicit(&r->pins, 1, memory_order_release);
}

static inline char *window_address(const struct window *w, const struct range *r)
{
	return w->base + ((uint64_t)(r - w->ranges) << w->shift);
}

static inline uint64_t window_hash(uint64_t serial, uint64_t index)
{
	return ((serial * 0x9e3779b97f4a7c15ull + index) * 0x9e3779b97f4a7c15ull) >> 32;
}

static inline _Atomic uint32_t *window_hint(struct window *w, uint64_t serial, uint64_t index)
{
	return &w->hints[window_hash(serial, index) & w->mask];
}

static inline uint32_t window_number(const struct window *w, const struct range *r)
{
	return (uint32_t)(r - w->ranges) + 1;
}

static inline uint32_t window_range_bytes(const struct window *w)
{
	return 1u << w->shift;
}

/* A copy from or to a range failed: nobody is to find it any more. */
void window_broke(struct causeway *c, struct range *r);

/* Gives back the ranges of a node that reach beyond an offset, but for those that are in use. */
void window_drop(struct causeway *c, struct node *node, uint64_t from);

/* Gives back all ranges of a node that nobody refers to any more. */
void window_forget(struct causeway *c, struct node *node);

/* Whole pages of a file of this size. */
static inline uint64_t window_whole(uint64_t size)
{
	return size & ~(uint64_t)(WINDOW_PAGE - 1);
}

/* Whether the window may serve a handle at all, as it was opened. */
bool window_serves(const struct causeway_file *f);

/* Whether the back-end would have a file go through the window, where it says so at all. */
bool window_suits(const struct causeway *c, const struct fuse_attr *attr);

/*
 * For map.c, under the lock but for window_setup() and window_remove().
 */

/* The range of a node with this index, live or busy, or NULL. */
struct range *window_find(struct window *w, const struct node *node, uint64_t index);

/* Takes a range from whom it has, if any: it is busy from now on. false: it is in use. */
bool window_take(struct causeway *c, struct range *r);

/* Says what a busy range is to be; linked: found by that name, of which there is no other. */
void window_name(struct window *w, struct range *r, struct node *node, uint64_t index, bool linked);

/* Makes a busy range live; or free. */
void window_publish(struct causeway *c, struct range *r, uint32_t len, bool writable);
void window_free(struct window *w, struct range *r);

/* The back-end would not map a file, or did not: it is left alone for some misses. */
void window_refused(struct node *node);

/* Takes a range out of what can be found; it goes when it is used no more. */
void window_doom(struct window *w, struct range *r);

/* Has bytes of a file mapped from a range on. */
int window_setup(struct causeway_file *f, const struct range *r, uint64_t offset, uint64_t len,
	bool write);

/* Tells the back-end that n busy ranges are given back. */
void window_remove(struct causeway *c, uint64_t nodeid, struct range *const *ranges,
	unsigned int n);

/* through.c: reads or writes, each part of a file in the window or by requests, which asks() makes.
 * How many bytes, or -errno. */
typedef ssize_t (*window_asks)(struct causeway_file *f, struct cursor *part, off_t offset);

ssize_t window_read(struct causeway_file *f, struct cursor *to, off_t offset, window_asks asks);
ssize_t window_write(struct causeway_file *f, struct cursor *from, off_t offset, window_asks asks);

/* Tells the back-end that a node's content was changed in the window, where it was: its times are
 * then what they must be. Before anything looks at them, and before who wrote is done. */
void window_tell_times(struct causeway *c, struct node *node, struct causeway_file *f);

/* map.c: frees what the program has not given back. */
void window_free_maps(struct causeway *c);

#endif
