// SPDX-License-Identifier: BSD-2-Clause
//
// A request's way through a lane: out of /dev/fuse, to the right queue, and its reply back.

#include "carry.h"

#include "../tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void carry_tell(int fd)
{
	const uint64_t one = 1;

	// A full counter has its reader awake already.
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void lane_put_slot(struct slot *s)
{
	struct lane *l = s->lane;
	bool starves;

	pthread_mutex_lock(&l->lock);
	s->next = l->free;
	l->free = s;
	starves = l->starves;
	l->starves = false;
	pthread_mutex_unlock(&l->lock);
	if (starves)
		carry_tell(l->tell_fd);
}

bool lane_has_slot(struct lane *l)
{
	bool has;

	pthread_mutex_lock(&l->lock);
	has = l->free;
	l->starves = !has;
	pthread_mutex_unlock(&l->lock);
	return has;
}

struct slot *lane_get_slot(struct lane *l)
{
	struct slot *s;

	pthread_mutex_lock(&l->lock);
	s = l->free;
	if (s)
		l->free = s->next;
	pthread_mutex_unlock(&l->lock);
	return s;
}

// Says once what is wrong with the back-end; a hostile one must not be able to fill the log.
static void complain(struct carrier *c, const struct slot *s, const char *why)
{
	if (!atomic_exchange(&c->told, true))
		say("mount: the back-end's reply to %s is malformed: %s. Who asked gets EIO",
			slot_name(s), why);
}

static void answer(struct carrier *c, const struct slot *s)
{
	struct fuse_out_header out;
	const char *why = NULL;
	int ret = slot_check(s, &out, &why);

	if (why)
		complain(c, s, why);
	if (ret < 0)
		slot_refuse(s, ret);
	else if (slot_answer(s, &out) == -EINVAL)
		// The kernel itself ends the request with EIO then.
		complain(c, s, "its length cannot be");
}

static void came_back(struct carrier *c)
{
	if (atomic_fetch_sub(&c->in_flight, 1) == 1 && atomic_load(&c->ending))
		carry_tell(c->news_fd);
}

static void list(struct lane *l, struct slot *s)
{
	s->prev = NULL;
	s->next = l->sent;
	if (s->next)
		s->next->prev = s;
	l->sent = s;
}

static void unlist(struct lane *l, struct slot *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		l->sent = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

static void request_finished(struct request *r)
{
	struct slot *s = (struct slot *)r;
	struct lane *l = s->lane;
	struct carrier *c = l->c;
	// With its answer it is the kernel's again.
	bool entry = s->entry;

	pthread_mutex_lock(&l->lock);
	unlist(l, s);
	l->parked -= s->parked;
	pthread_mutex_unlock(&l->lock);
	answer(c, s);
	if (entry) {
		came_back(c);
		return;
	}
	if (s->parked) {
		arena_free(&c->t->arena, s->page, SLOT_PAGE, false);
		free(s);
	} else {
		lane_put_slot(s);
	}
	came_back(c);
}

static void forget_finished(struct request *r)
{
	struct slot *s = (struct slot *)r;
	struct carrier *c = s->lane->c;

	lane_put_slot(s);
	came_back(c);
}

static void interrupt_finished(struct request *r)
{
	struct slot *s = (struct slot *)r;
	struct carrier *c = s->lane->c;

	pthread_mutex_lock(&s->about->lock);
	s->about->interrupts--;
	pthread_mutex_unlock(&s->about->lock);
	// A server need not answer it.
	if (r->status == 0 && r->written > 0)
		answer(c, s);
	forget_finished(r);
}

static int submit(struct carrier *c, unsigned int queue, struct slot *s,
	void (*finished)(struct request *r))
{
	int ret;

	s->request.finished = finished;
	atomic_fetch_add(&c->in_flight, 1);
	ret = transport_submit(c->t, queue, &s->request);
	if (ret < 0)
		came_back(c);
	return ret;
}

static int submit_listed(struct lane *l, struct slot *s)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = submit(l->c, l->queue, s, request_finished);
	if (ret == 0) {
		list(l, s);
		l->parked += s->parked;
	}
	pthread_mutex_unlock(&l->lock);
	return ret;
}

static void pass_request(struct lane *l, struct slot *s)
{
	int ret = slot_lay_out(l->c->t, s);

	if (ret == 0)
		ret = submit_listed(l, s);
	if (ret < 0) {
		slot_refuse(s, ret == -EMSGSIZE ? -EIO : ret);
		if (!s->entry)
			lane_put_slot(s);
	}
}

static void pass_forget(struct lane *l, struct slot *s)
{
	if (slot_lay_out(l->c->t, s) || submit(l->c, 0, s, forget_finished))
		lane_put_slot(s);
}

// A copy in a page of its own.
static struct slot *park(struct lane *l, const struct slot *s)
{
	struct slot *copy;
	bool full;
	void *page;

	pthread_mutex_lock(&l->lock);
	full = l->parked == l->c->parked_max;
	pthread_mutex_unlock(&l->lock);
	copy = full ? NULL : malloc(sizeof(*copy));
	if (!copy)
		return NULL;
	if (s->rest > SLOT_PAGE / 2 || arena_alloc(&l->c->t->arena, SLOT_PAGE, false, &page)) {
		free(copy);
		return NULL;
	}
	*copy = *s;
	copy->parked = true;
	copy->page = page;
	copy->payload = copy->page + SLOT_PAGE / 2;
	copy->room = SLOT_PAGE / 2;
	memcpy(copy->payload, s->payload, s->rest);
	return copy;
}

static void pass_waiting(struct lane *l, struct slot *s)
{
	struct slot *copy = park(l, s);
	int ret = copy ? slot_lay_out(l->c->t, copy) : -ENOLCK;

	if (ret == 0)
		ret = submit_listed(l, copy);
	if (ret < 0)
		slot_refuse(s, ret);
	if (ret < 0 && copy) {
		arena_free(&l->c->t->arena, copy->page, SLOT_PAGE, false);
		free(copy);
	}
	lane_put_slot(s);
}

// Sends an INTERRUPT behind its request, if that is on this lane.
static bool interrupt_on(struct lane *l, struct slot *s)
{
	const struct carrier *c = l->c;
	struct slot *found;
	bool sent = false;

	pthread_mutex_lock(&l->lock);
	for (found = l->sent; found; found = found->next)
		if (found->head.in.unique == s->head.interrupt.unique)
			break;
	// There are as many at most as requests, unless the back-end keeps those that it has
	// answered; then this one is lost on it too.
	if (found && l->interrupts < c->nslots + c->parked_max) {
		s->about = l;
		s->fuse_fd = l->fuse_fd;
		sent = submit(l->c, l->queue, s, interrupt_finished) == 0;
		l->interrupts += sent;
	}
	pthread_mutex_unlock(&l->lock);
	if (found && !sent)
		lane_put_slot(s);
	return found;
}

static void pass_interrupt(struct lane *l, struct slot *s)
{
	struct carrier *c = l->c;

	if (slot_lay_out(c->t, s) == 0)
		for (unsigned int i = 0; i < c->nlanes; i++)
			if (interrupt_on(&c->lanes[i], s))
				return;
	// The lane that has read it knows it (another one answers that there is no such request):
	// it is about to be sent, or its reply about to be written.
	for (unsigned int i = 0; i < c->nlanes; i++) {
		s->fuse_fd = c->lanes[i].fuse_fd;
		slot_refuse(s, -EAGAIN);
	}
	lane_put_slot(s);
}

void lane_pass(struct lane *l, struct slot *s)
{
	atomic_fetch_add(s->entry ? &l->c->by_uring : &l->c->by_device, 1);
	if (s->head.in.opcode == FUSE_WRITE && s->head.write.write_flags & FUSE_WRITE_CACHE)
		atomic_fetch_add(&l->c->written_back, 1);
	// Of the kinds below none comes by it.
	if (s->entry) {
		pass_request(l, s);
		return;
	}
	switch (s->head.in.opcode) {
	case FUSE_INTERRUPT:
		pass_interrupt(l, s);
		break;
	case FUSE_SETLKW:
		pass_waiting(l, s);
		break;
	default:
		if (slot_is_answered(s))
			pass_request(l, s);
		else
			pass_forget(l, s);
		break;
	}
}
