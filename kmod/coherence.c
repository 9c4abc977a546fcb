// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Validity: what is kept here is believed until a time, or while a word of the shared version table
 * is what it was. Which of the two, and how long, is decided in this file, from the mode of
 * caching.
 *
 * Reading takes no lock: conn->table is had under rcu_read_lock(), its words by acquire loads; who
 * puts it there is agree.c.
 *
 * Tables are of different sizes, and a struct cw_valid may be older than the table that is there: a
 * slot is compared with the size at each use. That its word is another table's is seen by the
 * epoch.
 */
#include <linux/jiffies.h>
#include <linux/rcupdate.h>

#include "coherence.h"
#include "conn.h"
#include "table.h"

/* How long words are trusted that nobody watches, where no option says. */
#define TIMED_MS 1000

/* ---- until a time ------------------------------------------------------------------------- */

static u64 after(u64 sec, u32 nsec)
{
	struct timespec64 ts = { .tv_nsec = min_t(u32, nsec, NSEC_PER_SEC - 1) };
	unsigned long j;

	if (!sec && !nsec)
		return 0;
	/* What is longer than anybody waits is for ever. */
	ts.tv_sec = min_t(u64, sec, S32_MAX);
	j = timespec64_to_jiffies(&ts);
	return sec > S32_MAX || j >= MAX_JIFFY_OFFSET ? U64_MAX : get_jiffies_64() + j;
}

static unsigned int told_ms(const struct cw_conn *c, enum cw_what what)
{
	switch (what) {
	case CW_ATTR:
		return c->opt.attr_ms;
	case CW_ENTRY:
		return c->opt.entry_ms;
	case CW_NEGATIVE:
		return c->opt.negative_ms;
	default:
		return CW_UNSET;
	}
}

static u64 after_ms(unsigned int ms)
{
	return after(ms / MSEC_PER_SEC, ms % MSEC_PER_SEC * NSEC_PER_MSEC);
}

struct cw_valid cw_valid_for(const struct cw_conn *c, enum cw_what what, u64 sec, u32 nsec)
{
	const unsigned int told = told_ms(c, what);
	struct cw_valid v = { .until = 0 };

	if (c->opt.cache == CW_CACHE_SHARED)
		return v;
	if (told != CW_UNSET)
		v.until = after_ms(told);
	else if (c->opt.cache == CW_CACHE_ALWAYS)
		v.until = U64_MAX;
	else if (c->opt.cache == CW_CACHE_AUTO)
		v.until = what == CW_DATA ? U64_MAX : after(sec, nsec);
	return v;
}

/* ---- while a word stands ------------------------------------------------------------------ */

unsigned int cw_words_size(const struct cw_conn *c, u32 opcode)
{
	return READ_ONCE(c->words) ? vt_row_size(vt_row(opcode)) : 0;
}

static bool have(const struct cw_words *w)
{
	return w && w->came;
}

static u64 epoch_of(const struct cw_words *w)
{
	struct vt_reply head;

	memcpy(&head, w->bytes, sizeof(head));
	return head.epoch;
}

/* What a look of a reply lets be kept. */
static struct cw_valid by_look(const struct cw_conn *c, const struct cw_words *w,
			       const struct vt_look *look, enum cw_what what)
{
	const struct vt_stamp stamp = {
		.epoch = epoch_of(w),
		.word = look->word,
		.slot = look->slot,
	};
	const unsigned int told = told_ms(c, what);
	struct cw_valid v = { .until = 0 };
	const struct cw_table *t;
	bool keep;

	rcu_read_lock();
	t = rcu_dereference(c->table);
	keep = t && (look->flags & VT_KEEP) && vt_may_keep(&stamp, t->slots);
	rcu_read_unlock();
	if (!keep)
		return v;
	return (struct cw_valid){
		.until = after_ms(told == CW_UNSET ? TIMED_MS : told),
		.value = stamp.word,
		.epoch = stamp.epoch,
		.slot = stamp.slot,
		.by_word = true,
		.timed = look->flags & VT_TIMED,
	};
}

struct cw_valid cw_shown(const struct cw_conn *c, const struct cw_words *w, unsigned int bit,
			 enum cw_what what, u64 sec, u32 nsec)
{
	struct vt_look look;
	struct vt_row row;

	if (!have(w))
		return cw_valid_for(c, what, sec, nsec);
	row = vt_row(w->opcode);
	if (!(row.looks & bit))
		return cw_valid_for(c, what, sec, nsec);
	memcpy(&look, w->bytes + vt_look_at(row, bit), sizeof(look));
	return by_look(c, w, &look, what);
}

struct cw_valid cw_shown_listed(const struct cw_conn *c, const struct cw_words *w,
				enum cw_what what, u64 valid, u32 nsec)
{
	const struct vt_look look = vt_entry_look(valid, nsec);

	return have(w) ? by_look(c, w, &look, what) : cw_valid_for(c, what, valid, nsec);
}

bool cw_moves(const struct cw_conn *c, const struct cw_words *w, unsigned int bit,
	      struct cw_valid *v)
{
	struct vt_move move;
	struct vt_row row;

	if (c->opt.cache != CW_CACHE_SHARED)
		return true;
	if (!have(w) || !v->by_word)
		return false;
	row = vt_row(w->opcode);
	if (!(row.changes & bit))
		return false;
	memcpy(&move, w->bytes + vt_move_at(row, bit), sizeof(move));
	/* That the change was alone is not only to be said. */
	if (!(move.flags & VT_ALONE) || !vt_is_alone(move.before, move.after) ||
	    v->slot != move.slot || v->value != move.before || v->epoch != epoch_of(w))
		return false;
	v->value = move.after;
	return true;
}

/* Whether somebody watches the host's processes, so that words alone will do. */
static bool is_watched(struct cw_table *t)
{
	const u64 now = get_jiffies_64();
	const u64 timed = cw_table_head(t, timed);
	const u64 beat = cw_table_head(t, watcher);

	if (!beat || timed)
		return false;
	if (smp_load_acquire(&t->beat) == beat)
		/* Another CPU's moment may be after ours. */
		return (s64)(now - READ_ONCE(t->beat_at)) < (s64)msecs_to_jiffies(VT_LEASE_MS);
	/* In this order: who finds the beat has its time too. */
	WRITE_ONCE(t->beat_at, now);
	smp_store_release(&t->beat, beat);
	return true;
}

/* The loads are after the beginning of the access, and before what is kept is looked at; timed and
 * the watcher's before the epoch, which moves before somebody watches again. */
static bool word_holds(const struct cw_conn *c, const struct cw_valid *v, bool *watched)
{
	struct cw_table *t;
	bool holds = false;

	rcu_read_lock();
	t = rcu_dereference(c->table);
	if (t && v->slot < t->slots) {
		const struct vt_stamp s = { .epoch = v->epoch, .word = v->value, .slot = v->slot };
		u64 word, epoch;

		*watched = !v->timed && is_watched(t);
		word = cw_table_word(t, v->slot);
		epoch = cw_table_head(t, epoch);
		holds = vt_is_trusted(&s, epoch, cw_table_head(t, poison), word);
	}
	rcu_read_unlock();
	return holds;
}

bool cw_valid_holds(const struct cw_conn *c, const struct cw_valid *v)
{
	bool watched = false;

	if (v->by_word && !word_holds(c, v, &watched))
		return false;
	if (watched)
		return true;
	return v->until == U64_MAX || get_jiffies_64() < v->until;
}

const char *cw_coherence_state(struct cw_conn *c)
{
	const char *state = "none";
	struct cw_table *t;

	rcu_read_lock();
	t = rcu_dereference(c->table);
	if (t)
		state = cw_table_head(t, poison) ? "poisoned" : is_watched(t) ? "good" : "timed";
	rcu_read_unlock();
	return state;
}
