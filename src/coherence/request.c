// SPDX-License-Identifier: BSD-2-Clause
#include "coherence/request.h"

#include <string.h>

#include "coherence/words.h"

static _Thread_local struct vtable_request *now;

static unsigned int index_of(unsigned int bit)
{
	return (unsigned int)__builtin_ctz(bit);
}

void vtable_request_begin(struct vtable_request *v, struct vtable *t, bool words)
{
	/* The arrays are as long as the rest of a quick request takes: bits say what is in them. */
	v->t = t;
	v->words = words;
	v->settled = false;
	v->looked = v->touched = v->timed = 0;
	v->change.n = 0;
	v->early.slot = VT_SLOTS_MAX;
	v->listed_ino = 0;
	v->name = v->to_name = 0;
	vtable_enter(t);
	v->epoch = atomic_load_explicit(words_head(t, epoch), memory_order_acquire);
	now = v;
}

void vtable_request_end(struct vtable_request *v)
{
	vtable_request_settle(v);
	now = NULL;
	vtable_leave(v->t);
}

struct vtable_request *vtable_request_now(void)
{
	return now;
}

/* VT_KEEP, or 0, for a quiet word that was loaded after this epoch: all words of a reply are of the
 * epoch that it names. */
static uint32_t keep_of(const struct vtable_request *v, uint64_t epoch)
{
	return epoch == v->epoch && !vtable_is_poisoned(v->t) ? VT_KEEP : 0;
}

static struct vt_look look_of(const struct vtable_request *v, const struct vt_stamp *stamp,
	uint32_t flags)
{
	return (struct vt_look){
		.word = stamp->word,
		.slot = (uint32_t)stamp->slot,
		.flags = flags | (vt_is_quiet(stamp->word) ? keep_of(v, stamp->epoch) : 0),
	};
}

struct vt_look vtable_request_glance(const struct vtable_request *v, uint32_t slot, uint32_t flags)
{
	struct vt_stamp stamp;

	vtable_look(v->t, slot, &stamp);
	return look_of(v, &stamp, flags);
}

void vtable_request_glances(const struct vtable_request *v, const uint32_t *slots, unsigned int n,
	uint32_t flags, struct vt_look *looks)
{
	uint64_t words[VTABLE_LOOKS], epoch = vtable_look_all(v->t, slots, n, words);
	uint32_t keep = keep_of(v, epoch);

	for (unsigned int i = 0; i < n; i++)
		looks[i] = (struct vt_look){
			.word = words[i],
			.slot = slots[i],
			.flags = flags | (vt_is_quiet(words[i]) ? keep : 0),
		};
}

void vtable_request_look(struct vtable_request *v, struct vtable_operand o)
{
	v->look[index_of(o.bit)] = vtable_request_glance(v, o.slot, o.flags);
	v->looked |= o.bit;
}

void vtable_request_expect(struct vtable_request *v, uint32_t slot)
{
	vtable_look(v->t, slot, &v->early);
}

bool vtable_request_found(const struct vtable_request *v, uint32_t slot, uint32_t flags,
	struct vt_look *look)
{
	if (v->early.slot == slot) {
		*look = look_of(v, &v->early, flags);
		return true;
	}
	*look = vtable_request_glance(v, slot, flags);
	return look->word == VT_UNTOUCHED;
}

bool vtable_request_was_expected(const struct vtable_request *v, unsigned int bit)
{
	const struct vtable_touch *touch = vtable_touch_of(&v->change, v->slot[index_of(bit)]);

	return touch->before == VT_UNTOUCHED ||
		(v->early.slot == touch->slot && v->early.word == touch->before);
}

bool vtable_request_look_found(struct vtable_request *v, struct vtable_operand o)
{
	v->looked |= o.bit;
	return vtable_request_found(v, o.slot, o.flags, &v->look[index_of(o.bit)]);
}

void vtable_request_recall(struct vtable_request *v, struct vtable_operand o,
	const struct vt_stamp *stamp)
{
	v->look[index_of(o.bit)] = look_of(v, stamp, o.flags);
	v->looked |= o.bit;
}

void vtable_request_mark(struct vtable_request *v, const struct vtable_operand *o, unsigned int n)
{
	uint32_t slots[VT_TOUCH_BITS];

	for (unsigned int i = 0; i < n; i++) {
		slots[i] = o[i].slot;
		v->slot[index_of(o[i].bit)] = o[i].slot;
		v->timed |= o[i].flags & VT_TIMED ? o[i].bit : 0;
		v->touched |= o[i].bit;
	}
	vtable_begin(v->t, &v->change, slots, n);
}

void vtable_request_settle(struct vtable_request *v)
{
	if (v->change.n > 0 && !v->settled)
		vtable_end(v->t, &v->change);
	v->settled = true;
}

void vtable_request_crowd(struct vtable_request *v, unsigned int bit)
{
	vtable_pass_on(v->t, v->slot[index_of(bit)]);
}

static const struct vtable_touch *touch_of(const struct vtable_request *v, unsigned int bit)
{
	if (!(v->touched & bit))
		return NULL;
	return vtable_touch_of(&v->change, v->slot[index_of(bit)]);
}

bool vtable_request_is_alone(const struct vtable_request *v, unsigned int bit)
{
	const struct vtable_touch *touch = touch_of(v, bit);

	return touch && vt_is_quiet(touch->before) &&
		atomic_load_explicit(words_slot(v->t, touch->slot), memory_order_acquire) ==
			touch->before + VT_BEGIN;
}

bool vtable_request_was_alone(struct vtable_request *v, unsigned int bit)
{
	const struct vtable_touch *touch = touch_of(v, bit);
	struct vt_look *look = &v->look[index_of(bit)];

	if (!touch)
		return true;
	if (!touch->alone)
		return false;
	*look = (struct vt_look){
		.word = touch->after,
		.slot = touch->slot,
		.flags = (v->timed & bit ? VT_TIMED : 0) | VT_KEEP,
	};
	v->looked |= bit;
	return true;
}

bool vtable_request_is_current(const struct vtable_request *v)
{
	return atomic_load_explicit(words_head(v->t, epoch), memory_order_acquire) == v->epoch;
}

bool vtable_request_is_trusted(const struct vtable_request *v)
{
	/* In this order: the epoch moves before words are good again. */
	return atomic_load_explicit(words_head(v->t, timed), memory_order_acquire) == 0 &&
		vtable_request_is_current(v) && !vtable_is_poisoned(v->t);
}

bool vtable_request_is_watched(const struct vtable_request *v)
{
	/* Before the epoch, which moves before somebody watches again. */
	return vtable_is_watched(v->t) && vtable_request_is_trusted(v);
}

unsigned int vtable_request_words(const struct vtable_request *v, unsigned int looks,
	unsigned int changes, void *out)
{
	const struct vt_reply head = {.epoch = v->epoch};
	char *p = out;

	if (!looks && !changes)
		return 0;
	memcpy(p, &head, sizeof(head));
	p += sizeof(head);
	for (unsigned int left = looks; left; left &= left - 1) {
		unsigned int bit = left & -left;
		struct vt_look none = {0};

		memcpy(p, v->looked & bit ? &v->look[index_of(bit)] : &none, sizeof(none));
		p += sizeof(none);
	}
	for (unsigned int left = changes; left; left &= left - 1) {
		const struct vtable_touch *touch = touch_of(v, left & -left);
		struct vt_move move = {0};

		if (touch)
			move = (struct vt_move){touch->before, touch->after, touch->slot,
				touch->alone ? VT_ALONE : 0};
		memcpy(p, &move, sizeof(move));
		p += sizeof(move);
	}
	return (unsigned int)(p - (char *)out);
}
