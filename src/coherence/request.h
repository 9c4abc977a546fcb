// SPDX-License-Identifier: BSD-2-Clause
/*
 * What one request has to do with the version table: between src/fuse, which begins and ends it,
 * and the file system, which says what it looks at and what it changes (docs/coherence.md).
 *
 *     src/fuse      vtable_request_begin()
 *     file system   vtable_request_look()      before it reads what the reply shows
 *                   vtable_request_mark()      before it changes anything
 *                   vtable_request_settle()    after its last change
 *     src/fuse      vtable_request_end()
 *                   vtable_request_words()     what stands in the reply
 *
 * A thread has one at a time, and the file system finds it there: what it calls on the way has no
 * argument for it. There is none where there is no table, and for requests that proto/version_ops.h
 * has no bits for. Bits are VT_* of that file, one bit for each call or line.
 */
#ifndef COHERENCE_REQUEST_H
#define COHERENCE_REQUEST_H

#include "coherence/table.h"
#include "proto/version_wire.h"

struct vtable_request {
	struct vtable *t;
	bool words; /* the guest has agreed to them: somebody reads what is looked at */
	bool settled;
	uint64_t epoch;
	unsigned int looked, touched; /* bits that the arrays below have something of */
	unsigned int timed;           /* of those touched: kept by time */
	struct vt_look look[VT_TOUCH_BITS];
	uint32_t slot[VT_TOUCH_BITS];
	struct vt_stamp early; /* of vtable_request_expect(); slot VT_SLOTS_MAX: of none */
	struct vt_look listed; /* of the attributes of what a listing's entry is of, which is: */
	ino_t listed_ino;      /* or 0: there is none */
	/* Hashes of what the file system calls VT_NAME and VT_TO_NAME, or 0. */
	uint64_t name, to_name;
	struct vtable_change change;
};

/* A bit, the slot of what it stands for in this request, and VT_TIMED where it is kept by time. */
struct vtable_operand {
	unsigned int bit;
	uint32_t slot;
	uint32_t flags;
};

/* Is this thread's from now on; enters the table, and loads the epoch. */
void vtable_request_begin(struct vtable_request *v, struct vtable *t, bool words);

/* Settles what is not settled, and leaves the table. */
void vtable_request_end(struct vtable_request *v);

/* This thread's, or NULL. */
struct vtable_request *vtable_request_now(void);

/* The hash of the name with a bit. */
static inline uint64_t vtable_request_name(const struct vtable_request *v, unsigned int bit)
{
	return bit == VT_NAME ? v->name : v->to_name;
}

/* Loads the word of what is read next; once more for a bit replaces the first. */
void vtable_request_look(struct vtable_request *v, struct vtable_operand o);

/* A word of a single thing beside those with bits, of an entry in a listing. */
struct vt_look vtable_request_glance(const struct vtable_request *v, uint32_t slot, uint32_t flags);

/* The same of up to VTABLE_LOOKS things, for less than that many times as much. */
void vtable_request_glances(const struct vtable_request *v, const uint32_t *slots, unsigned int n,
	uint32_t flags, struct vt_look *looks);

/*
 * What is found by what is read has a slot that is known too late: the word must be loaded first.
 * So the word of the slot that it will probably have is, and what has been found says whether what
 * was read since is good for its look. False: it is to be read again. True also where nothing was
 * ever changed in the slot: then its word was the same before.
 */
void vtable_request_expect(struct vtable_request *v, uint32_t slot);
bool vtable_request_found(const struct vtable_request *v, uint32_t slot, uint32_t flags,
	struct vt_look *look);

/* The same of what was found and has been marked since: whether what was read before is good. */
bool vtable_request_was_expected(const struct vtable_request *v, unsigned int bit);

/* The same for the bit of what was found. */
bool vtable_request_look_found(struct vtable_request *v, struct vtable_operand o);

/* A look of an earlier request's, which read what this one's reply shows (a listing, by pieces). */
void vtable_request_recall(struct vtable_request *v, struct vtable_operand o,
	const struct vt_stamp *stamp);

/* Marks; more where they are known only later, but not after settling. */
void vtable_request_mark(struct vtable_request *v, const struct vtable_operand *o, unsigned int n);

/*
 * Takes all marks off. True where the change had the slot of a bit to itself, or that has no mark:
 * then what was read between marking and settling is good for the word after, which a look of
 * the bit becomes. False: it is to be looked at and read again.
 */
void vtable_request_settle(struct vtable_request *v);
bool vtable_request_was_alone(struct vtable_request *v, unsigned int bit);

/* Before that: nothing follows from this change of what anybody holds of the slot of a bit that was
 * marked, as if somebody else had come there. */
void vtable_request_crowd(struct vtable_request *v, unsigned int bit);

/* Before that: whether until now nobody else came to the slot of a bit that was marked. */
bool vtable_request_is_alone(const struct vtable_request *v, unsigned int bit);

/* Whether the epoch has not moved since the request began; and whether, besides, words alone say
 * what can be trusted now. */
bool vtable_request_is_current(const struct vtable_request *v);
bool vtable_request_is_trusted(const struct vtable_request *v);

/* The same where besides somebody watches the host's processes: what a guest would not ask for
 * again is so. */
bool vtable_request_is_watched(const struct vtable_request *v);

/* Writes the words of a reply to `out`, for an operation with these bits; bits without a look or a
 * mark have words that say nothing. Returns vt_words_size(). */
unsigned int vtable_request_words(const struct vtable_request *v, unsigned int looks,
	unsigned int changes, void *out);

#endif
