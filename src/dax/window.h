// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the files of this folder share: the mirror of the window.
 *
 * Every function here wants `state` held; those that say "change" want both locks. Whoever has
 * `change` leaves `state` while the front-end works. Meanwhile a reset may end claims: no pointer
 * to a claim outlives that, only pieces that are on their way do. Files do, as dax_file_free()
 * takes `change`.
 */
#ifndef DAX_WINDOW_H
#define DAX_WINDOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "dax/dax.h"

/* A claim may have no piece, where its file is bare. So there are more of them than pieces: one for
 * so many bytes of the window besides. Guests claim 2 MiB at a time. */
#define DAX_CLAIM_BYTES (512u << 10)

/* Bytes of a file that are compared at once; whole pages. */
#define DAX_CHUNK 65536u

/* What the pages of a piece are. */
enum dax_kind { DAX_PAGES, DAX_COPY, DAX_KINDS };

/* On its way: the front-end is being asked. */
enum dax_way { DAX_STAYS, DAX_COMES, DAX_LEAVES };

/*
 * What the front-end has mapped in one request, or may have. One that nobody claims is a stray: it
 * goes with the next change; or, in doubt, when it is in the way or when all shall go. Pieces that
 * are not in doubt do not overlap any other.
 */
struct dax_piece {
	TAILQ_ENTRY(dax_piece) link;  /* in the claim's, or among the strays */
	LIST_ENTRY(dax_piece) copied; /* in the file's copies, while is_filled */
	struct dax_claim *claim;      /* NULL: a stray */
	struct dax_file *file;        /* while it has a claim, is on its way, or is filled */
	uint64_t at, len, offset;
	dev_t dev; /* of what is mapped: it may outlive our file */
	ino_t ino;
	enum dax_kind kind;
	enum dax_way way;
	bool is_doubtful; /* whether it is mapped is not known */
	bool is_lost;     /* the window was dropped while it was on its way */
	bool is_filled;   /* a copy that has the file's bytes */
	bool is_replaced; /* it leaves as others are mapped over it */
	bool replaces;    /* it comes over such a one */
	int result;
};
TAILQ_HEAD(dax_pieces, dax_piece);

struct dax_claim {
	LIST_ENTRY(dax_claim) of_file;
	LIST_ENTRY(dax_claim) of_unsettled;
	bool is_unsettled;
	struct dax_file *file;
	uint64_t at, len, offset;
	struct dax_pieces pieces; /* in their order; may have holes */
};
LIST_HEAD(dax_claims, dax_claim);

struct dax_file {
	LIST_ENTRY(dax_file) link;
	struct dax_window *w;
	int fd;
	bool writable;
	dev_t dev;
	ino_t ino;
	struct dax_claims claims;
	atomic_uint nclaims;

	bool safe;
	bool bare;              /* nothing is to be mapped */
	bool refused;           /* the front-end takes copies of it, but not its pages */
	bool taken[DAX_KINDS];  /* the front-end has taken pages, copies */
	bool unsettled;         /* something could not be had: dax_settle() tries again */
	uint64_t size;           /* as it was when claims were settled */
	uint64_t end[DAX_KINDS]; /* where the pages end that are mapped, and copies after them */
	LIST_HEAD(, dax_shrink) shrinks;

	/* Copies have the offsets of the file. The front-end maps the first memfd; the second has
	 * what was there before the guest changed it, where the file is writable. */
	int copy, before;
	dev_t copy_dev;
	ino_t copy_ino;
	uint64_t copy_size;
	LIST_HEAD(, dax_piece) copies; /* which of their pages are valid; may overlap */
	atomic_uint ncopies;
	struct dax_watch watch;
	bool is_written; /* the watch has been told so */
};

struct dax_window {
	pthread_mutex_t change, state; /* in this order */
	uint64_t size;
	unsigned int pieces_max, npieces;
	struct dax_frontend frontend;
	bool maps_over;     /* as far as is known */
	unsigned int epoch; /* how often claims have ended without change */

	LIST_HEAD(, dax_file) files;
	struct dax_claim **claims; /* in the order of the window, not overlapping */
	unsigned int nclaims, claims_max;
	struct dax_claims unsettled;
	struct dax_pieces strays;
	struct dax_count count;
	char chunks[3][DAX_CHUNK];
};

static inline void dax_lock(struct dax_window *w)
{
	pthread_mutex_lock(&w->change);
	pthread_mutex_lock(&w->state);
}

static inline void dax_unlock(struct dax_window *w)
{
	pthread_mutex_unlock(&w->state);
	pthread_mutex_unlock(&w->change);
}

static inline uint64_t dax_page_down(uint64_t n)
{
	return n & ~(uint64_t)(DAX_PAGE - 1);
}

static inline uint64_t dax_page_up(uint64_t n)
{
	return dax_page_down(n + DAX_PAGE - 1);
}

/* claim.c */

/* The claim that ends after at and is the first to, or NULL. */
struct dax_claim *dax_claim_after(struct dax_window *w, uint64_t at);

/* A new claim where nothing is claimed. NULL: no memory. */
struct dax_claim *dax_claim_add(struct dax_file *f, uint64_t at, uint64_t len, uint64_t offset);

/* Ends claims, or their parts, between at and at + len, and begins `more`. -ENOSPC or -ENOMEM where
 * there would be too many; then nothing has changed. Their pieces are strays. */
int dax_claims_end(struct dax_window *w, uint64_t at, uint64_t len, unsigned int more);

void dax_claim_unsettle(struct dax_claim *c);
void dax_claim_free(struct dax_claim *c);

struct dax_piece *dax_piece_new(struct dax_claim *c, enum dax_kind kind, uint64_t offset,
	uint64_t len);
void dax_piece_free(struct dax_window *w, struct dax_piece *p);

/* Takes it out of its claim. */
void dax_piece_stray(struct dax_window *w, struct dax_piece *p, bool is_doubtful);

/* settle.c */

/* Which strays are to go that are in doubt and in nobody's way. */
struct dax_sweep {
	bool all;
	const struct dax_file *of; /* those that map this file itself */
};

/* Change: has the front-end make what unsettled claims ask for, and takes strays away. 0 or the
 * first -errno; claims that have not got all leave their files unsettled. */
int dax_settle_claims(struct dax_window *w, const struct dax_sweep *sweep);

/* layout.c */

/* Change: looks at the size of the file, and says what is to be mapped of it. Its claims are
 * unsettled where that has changed, or where something is missing. */
int dax_layout(struct dax_file *f);

/* The same by the size that is known. */
void dax_layout_ends(struct dax_file *f);

/* The size that counts: what the file has, or less while it is being truncated. Or -errno. */
int dax_file_size(const struct dax_file *f, uint64_t *size);

/* plan.c */

/* What the front-end is asked for in one go. */
struct dax_plan {
	struct dax_window *w;
	struct dax_piece **leave, **come; /* come: in no two places at once */
	unsigned int nleave, ncome; /* one that has left is NULL */
	unsigned int most; /* pieces that there may be */
	struct dax_change *changes; /* to be asked for next */
	struct dax_piece **changed;
	unsigned int nchanges;
	bool in_steps; /* nothing may come before it is known what has left */
	bool in_doubt; /* something of which nobody knows whether it has left */
	int error;     /* the first that kept something from being planned */
};

/* Change: plans for claims that are unsettled; they are no longer. */
int dax_plan_make(struct dax_plan *plan, struct dax_window *w, const struct dax_sweep *sweep);
void dax_plan_free(struct dax_plan *plan);

/* Decides what leaves by being replaced, and whether it takes two steps. */
void dax_plan_order(struct dax_plan *plan, bool replace);

/* Bytes that two pieces share. */
uint64_t dax_overlap(const struct dax_piece *a, const struct dax_piece *b);

/* copy.c */

/* Gives a piece that is to be mapped the bytes of the file, where no other copy has them. */
int dax_copy_fill(struct dax_piece *p);

/* The piece is mapped no more, or nobody knows: writes back what the guest has changed, and lets go
 * of its pages. careful: the guest may have stored in the file itself meanwhile: what differs there
 * is left. */
void dax_copy_end(struct dax_piece *p, bool careful);

/* Writes back what the guest has changed. */
int dax_copy_flush(struct dax_file *f);

/* The file's bytes between from and to go into copies, whatever those have. */
void dax_copy_renew(struct dax_file *f, uint64_t from, uint64_t to);

/* What was changed in the file alone goes into the copies between from and to. */
void dax_copy_refresh(struct dax_file *f, uint64_t from, uint64_t to);

/* Change: frees the memory of copies that are no more. */
void dax_copy_trim(struct dax_file *f);

#endif
