/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For how long something that is kept is believed: until a time, or while a word of the shared
 * version table is what it was (docs/coherence.md).
 *
 * Every cache here asks cw_valid_holds(), and gets its struct cw_valid from cw_shown() or
 * cw_valid_for(); which mode of caching is on is known in coherence.c only.
 */
#ifndef KMOD_COHERENCE_H
#define KMOD_COHERENCE_H

#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "proto/version_rows.h"

struct cw_conn;
struct super_block;

struct cw_valid {
	u64 until;  /* get_jiffies_64(); 0: not at all, U64_MAX: for ever */
	u64 value;  /* of the slot, where by_word */
	u64 epoch;
	u32 slot;
	bool by_word; /* until is then for where words alone do not do: */
	bool timed;   /* never; else where the table is timed, or nobody watches */
};

/* One that is read without its writer's lock (RCU walk). Writers have a lock of their own. */
struct cw_kept {
	seqcount_t turn;
	struct cw_valid valid;
};

static inline void cw_kept_init(struct cw_kept *k)
{
	seqcount_init(&k->turn);
	k->valid = (struct cw_valid){};
}

static inline void cw_keep(struct cw_kept *k, const struct cw_valid *v)
{
	write_seqcount_begin(&k->turn);
	k->valid = *v;
	write_seqcount_end(&k->turn);
}

static inline struct cw_valid cw_kept(const struct cw_kept *k)
{
	struct cw_valid v;
	unsigned int turn;

	do {
		turn = read_seqcount_begin(&k->turn);
		v = k->valid;
	} while (read_seqcount_retry(&k->turn, turn));
	return v;
}

/* Words of a reply. */
struct cw_words {
	u32 opcode;
	bool came;
	char bytes[VT_WORDS_MAX] __aligned(8);
};

/* How many bytes of words a successful reply to an opcode has on this connection, now. */
unsigned int cw_words_size(const struct cw_conn *c, u32 opcode);

enum cw_what { CW_ATTR, CW_ENTRY, CW_NEGATIVE, CW_DATA, CW_LIST };

/*
 * What the server says is valid for so long, as the mount options and the mode of caching have it;
 * without words. auto: the server's time, but data for ever (what tells that it is another's work
 * drops it); always: for ever; none, and shared: not at all. What an option says comes before that,
 * but in the mode shared, where it is how long words are trusted that nobody watches.
 */
struct cw_valid cw_valid_for(const struct cw_conn *c, enum cw_what what, u64 sec, u32 nsec);

/* The same where a reply has words: as of the look of a bit (VT_*). Where the mode is shared and no
 * word came, or the word may not be kept: not at all. */
struct cw_valid cw_shown(const struct cw_conn *c, const struct cw_words *w, unsigned int bit,
			 enum cw_what what, u64 sec, u32 nsec);

/* The same of an entry in a listing, which has its words in the place of a time. */
struct cw_valid cw_shown_listed(const struct cw_conn *c, const struct cw_words *w,
				enum cw_what what, u64 valid, u32 nsec);

/* Any context, RCU walk too. Some loads. */
bool cw_valid_holds(const struct cw_conn *c, const struct cw_valid *v);
static inline bool cw_kept_holds(const struct cw_conn *c, const struct cw_kept *k)
{
	const struct cw_valid v = cw_kept(k);

	return cw_valid_holds(c, &v);
}

/* Our own change (docs/coherence.md, "Own changes"): whether what is held under *v, and has the
 * change in it, goes on, *v being moved then; false: it is to be dropped. Under the writer's lock
 * of *v. Where there are no words it goes on as it was. */
bool cw_moves(const struct cw_conn *c, const struct cw_words *w, unsigned int bit,
	      struct cw_valid *v);

/* After INIT: VT_HELLO, and the table. With cache=shared 0 or -errno and a message by fc; the
 * server's id decides which of the places (virtio shared memory region 1, ivshmem BARs) is
 * taken. */
struct fs_context;
int cw_coherence_start(struct cw_conn *c, struct fs_context *fc);
/* After the last request: waits for RCU readers, unmaps. */
void cw_coherence_stop(struct cw_conn *c);
/* Before each request, in any context: where the table is poisoned the next one is looked for, by a
 * work item, once a second at most. */
void cw_coherence_tend(struct cw_conn *c);
/* What is read of the table for /sys/fs/causeway: "none", "good", "timed", "poisoned". */
const char *cw_coherence_state(struct cw_conn *c);

#endif
