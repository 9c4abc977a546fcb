// SPDX-License-Identifier: BSD-2-Clause
/*
 * The shared version table (docs/coherence.md): where its words are, and what they say.
 *
 * A header page, then slots of 8 bytes. All fields are little-endian. Hosts write the table, guests
 * have it read-only. What is here is arithmetic on words that somebody has loaded: how they are
 * loaded, and in what order, is told where it matters.
 */
#ifndef PROTO_VERSION_TABLE_H
#define PROTO_VERSION_TABLE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#define VT_MAGIC       0x454c424154565743ull /* "CWVTABLE" in memory */
#define VT_LAYOUT      1u
#define VT_HEADER_SIZE 4096u
#define VT_ID_SIZE     16
#define VT_SLOTS_MAX   (1ull << 28)

/*
 * The header page; the rest of it is 0. What each access reads has a cache line to itself, so that
 * neither a slot nor the beat of the watcher takes it away from the readers.
 */
struct vt_header {
	/* The same for the table's life. */
	uint64_t magic;
	uint32_t layout;
	uint32_t header_size;
	uint8_t id[VT_ID_SIZE]; /* random, not all 0 */
	uint64_t slots;         /* a power of two, up to VT_SLOTS_MAX */
	uint64_t zero0[3];

	uint64_t epoch;  /* when it moves, nothing remembered is trusted; begins anywhere */
	uint64_t poison; /* not 0: nothing is trusted any more, another table is to be looked for */
	uint64_t timed;  /* not 0: epochs move too often; what is trusted is so by time only */
	uint64_t zero1[5];

	uint64_t watcher; /* 0: nobody looks after host processes; else counts on, VT_BEAT_MS */
	uint64_t zero2[7];
};

/* The watcher's word moves this often; one that has not moved for the second time is nobody's. */
#define VT_BEAT_MS  250
#define VT_LEASE_MS 2000

/* Bytes of a table that are used. */
static inline uint64_t vt_used(uint64_t slots)
{
	return VT_HEADER_SIZE + slots * 8;
}

/* Bytes of a table, the hole behind its slots included: the smallest power of two that has room,
 * since the whole table, and nothing else, is to be the BAR of a PCI device. */
static inline uint64_t vt_size(uint64_t slots)
{
	return slots * 8 < VT_HEADER_SIZE ? VT_HEADER_SIZE * 2 : slots * 16;
}

/* Where a slot's word is. */
static inline uint64_t vt_slot_at(uint64_t slot)
{
	return VT_HEADER_SIZE + slot * 8;
}

static inline bool vt_are_slots(uint64_t slots)
{
	return slots && slots <= VT_SLOTS_MAX && !(slots & (slots - 1));
}

/* What is wrong with a table. */
enum vt_fault {
	VT_GOOD,
	VT_SHORT,     /* no room for a header */
	VT_NO_TABLE,  /* another magic */
	VT_OTHER,     /* another layout */
	VT_BAD_SLOTS, /* not a power of two, or too many */
	VT_BAD_SIZE,  /* not vt_size() of the slots */
	VT_BAD_ID,    /* all 0 */
	VT_NOT_ZERO,  /* what a later layout may use is used */
	VT_FAULTS
};

/* Examines a copy of a header, of a table of so many bytes: whoever may write the table may do so
 * at any time. The words that move have no wrong values. */
static inline enum vt_fault vt_examine(const struct vt_header *h, uint64_t bytes)
{
	uint64_t zero = 0;
	uint8_t id = 0;

	if (bytes < VT_HEADER_SIZE)
		return VT_SHORT;
	if (h->magic != VT_MAGIC)
		return VT_NO_TABLE;
	if (h->layout != VT_LAYOUT || h->header_size != VT_HEADER_SIZE)
		return VT_OTHER;
	if (!vt_are_slots(h->slots))
		return VT_BAD_SLOTS;
	if (bytes != vt_size(h->slots))
		return VT_BAD_SIZE;
	for (int i = 0; i < VT_ID_SIZE; i++)
		id |= h->id[i];
	if (!id)
		return VT_BAD_ID;
	for (int i = 0; i < 3; i++)
		zero |= h->zero0[i];
	for (int i = 0; i < 5; i++)
		zero |= h->zero1[i];
	for (int i = 0; i < 7; i++)
		zero |= h->zero2[i];
	return zero ? VT_NOT_ZERO : VT_GOOD;
}

/*
 * A slot's word: how many changes have ended (the high 48 bits), and how many are in flight (the
 * low 16). Words are compared for equality and for nothing else: versions go round.
 */
#define VT_IN_FLIGHT_BITS 16
#define VT_IN_FLIGHT      0xffffull
#define VT_BEGIN          1ull                             /* added before the system call */
#define VT_END            ((1ull << VT_IN_FLIGHT_BITS) - 1) /* added after it */

/* With so many in flight the table is given up: one more than fits would make the word look quiet.
 * The rest is room for those who begin before they see it. */
#define VT_CROWD 0x8000u

/* Of a slot in which nothing was ever changed: what was read earlier is good for it too. */
#define VT_UNTOUCHED 0ull

static inline unsigned int vt_in_flight(uint64_t word)
{
	return (unsigned int)(word & VT_IN_FLIGHT);
}

static inline bool vt_is_quiet(uint64_t word)
{
	return !(word & VT_IN_FLIGHT);
}

/* The word when all that is in flight has ended: what it becomes when those who began are dead. */
static inline uint64_t vt_settled(uint64_t word)
{
	return word + (word & VT_IN_FLIGHT) * VT_END;
}

/* Whether a change had the slot to itself: `before` is what its begin found, `after` what its end
 * left. Then, and only then, `after` is `before` with this one change. */
static inline bool vt_is_alone(uint64_t before, uint64_t after)
{
	return vt_is_quiet(before) && after == before + VT_BEGIN + VT_END;
}

/*
 * What an object is believed on. A guest keeps it with the object if the word is quiet. `slot`
 * comes from a reply: it is checked against the mapped table once, when it is kept.
 */
struct vt_stamp {
	uint64_t epoch, word;
	uint64_t slot;
};

static inline bool vt_may_keep(const struct vt_stamp *s, uint64_t slots)
{
	return s->slot < slots && vt_is_quiet(s->word);
}

/* Whether an object is still to be believed, by what the table says now. Each word has to be loaded
 * after the access has begun, and before the object is looked at; timed and the watcher's before
 * the epoch. */
static inline bool vt_is_trusted(const struct vt_stamp *s, uint64_t epoch, uint64_t poison,
	uint64_t word)
{
	return s->word == word && s->epoch == epoch && !poison;
}

#endif
