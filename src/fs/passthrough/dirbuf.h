// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an open directory listed last.
 *
 * A guest goes on where its program stopped, which is often before the end of what it was given;
 * and the offsets of some file systems (network ones, FUSE, stacked ones) lead to the right place
 * only while nothing is created or unlinked. So the last two pieces that getdents64(2) gave are
 * kept, and an offset in them is found there, whatever happened to the directory. One reply never
 * goes over more than two pieces. Offset 0 reads the directory anew, as rewinddir(3) asks.
 *
 * Pieces are as large as what is in them, and all of them together are bounded: where they would
 * be more, the directory that was read longest ago loses its own, and goes on by its offset.
 */
#ifndef PASSTHROUGH_DIRBUF_H
#define PASSTHROUGH_DIRBUF_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/version_table.h"

/* What getdents64(2) returns. */
struct pt_dirent {
	uint64_t ino;
	uint64_t off; /* of the next one */
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* The most that is read at once. */
#define PT_DIR_PIECE 32768

struct pt_dir_piece {
	uint64_t start; /* offset of the first entry */
	uint64_t serial;
	struct vt_stamp stamp; /* of the listing, before it was read */
	size_t len;
	char data[] __attribute__((aligned(8)));
};

struct pt_dir {
	pthread_mutex_t lock; /* of what follows: one listing at a time */
	uint64_t offset;      /* of the entry at pos */
	uint64_t host_offset; /* where the host goes on */
	uint64_t serial;      /* of the newest piece */
	struct vt_stamp next; /* for a piece that is read now; the caller's */
	struct pt_dir_piece *piece[2]; /* the last one is piece[1]; NULL where there is none */
	unsigned int at;               /* the piece that pos is in */
	size_t pos;

	struct pt_dir *older, *newer; /* in the pool, whose lock this is under */
	bool pooled;
};

/* The directories that have pieces. */
struct pt_dir_pool {
	pthread_mutex_t lock; /* of what follows; taken after that of a directory */
	struct pt_dir *oldest, *newest;
	size_t bytes, max;
};

void pt_dir_pool_init(struct pt_dir_pool *pool, size_t max);
size_t pt_dir_pool_bytes(struct pt_dir_pool *pool);

struct pt_dir *pt_dir_new(void);
void pt_dir_free(struct pt_dir_pool *pool, struct pt_dir *dir);

/* The lock of the directory is held in these; fd is its descriptor. */

/* Makes the entry at an offset the next one: 0 or -errno. */
int pt_dir_seek(struct pt_dir_pool *pool, struct pt_dir *dir, int fd, uint64_t offset);

/* Points at the next entry, or NULL at the end. One that is in none of the pieces since *first
 * (set by the first call; 0 before) may be read if that keeps the first one: else NULL too. */
int pt_dir_next(struct pt_dir_pool *pool, struct pt_dir *dir, int fd, uint64_t *first,
	const struct pt_dirent **entry);
void pt_dir_step(struct pt_dir *dir);

/* That one and those behind it in the same piece, up to max of them; how many. */
unsigned int pt_dir_ahead(const struct pt_dir *dir, const struct pt_dirent **entries,
	unsigned int max);

/* Whether pt_dir_next() will point into what is there, and not read. */
bool pt_dir_has_next(const struct pt_dir *dir);

/* What the piece of that entry was read with. */
static inline const struct vt_stamp *pt_dir_stamp(const struct pt_dir *dir)
{
	return &dir->piece[dir->at]->stamp;
}

/* Whether an offset is found without the host; the lock is not held. */
bool pt_dir_holds(struct pt_dir *dir, uint64_t offset);

#endif
