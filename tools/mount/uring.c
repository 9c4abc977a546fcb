// SPDX-License-Identifier: BSD-2-Clause
//
// The entries of FUSE over io_uring: registered, filled, answered. uring_setup.c has the rings.

#include "uring.h"

#include "carry.h"
#include "uring_entry.h"

#include "../tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Puts a command about an entry into the submission ring, which has room for one of each.
static void queue_command(struct lane *l, struct uring_entry *e, unsigned int command)
{
	struct uring *u = &l->uring;
	unsigned int tail = *u->sq_tail, at = tail & u->sq_mask;
	struct io_uring_sqe *sqe = &u->sqes[2 * at];
	struct fuse_uring_cmd_req req = {.commit_id = e->commit_id, .qid = e->qid};

	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = l->fuse_fd;
	sqe->cmd_op = command;
	sqe->addr = (uintptr_t)e->iov;
	sqe->len = 2;
	sqe->user_data = (uintptr_t)e;
	memcpy(sqe->cmd, &req, sizeof(req));
	u->sq_array[at] = at;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	u->unsent++;
}

static void submit(struct lane *l)
{
	struct uring *u = &l->uring;
	char why[96];

	while (u->unsent) {
		long n = syscall(SYS_io_uring_enter, u->fd, u->unsent, 0, 0, NULL, 0);

		if (n > 0) {
			u->unsent -= n;
		} else if (n == 0 || (errno != EINTR && errno != EAGAIN && errno != EBUSY)) {
			// Who asked would wait for ever.
			snprintf(why, sizeof(why), "io_uring_enter: %s", strerror(n ? errno : EIO));
			transport_lose(l->c->t, why);
			return;
		}
	}
}

// An entry that the kernel does not have any more is a slot as any other.
static void retire(struct lane *l, struct uring_entry *e, int error)
{
	bool ended = error == -ENOTCONN || error == -ECONNABORTED || error == -ECANCELED;
	struct slot *s = e->slot;

	if (!ended && !l->uring.told) {
		l->uring.told = true;
		say("mount: FUSE over io_uring: %s; what comes by it may go by /dev/fuse now",
			strerror(-error));
	}
	e->slot = NULL;
	s->entry = NULL;
	s->answer = NULL;
	lane_put_slot(s);
}

// The kernel takes structures of their length only, and would tell who asked EINVAL for others;
// over /dev/fuse it is EIO.
static bool fits(const struct slot *s, const struct fuse_out_header *out, size_t len)
{
	return out->error || (len >= s->fixed && (s->sized || len == s->fixed));
}

// Puts the reply where the kernel looks for it: behind each other at the payload's start. Bytes of
// requests that carried nothing there are in place already.
static int answer(const struct slot *s, const struct fuse_out_header *out)
{
	struct uring_entry *e = s->entry;
	struct lane *l = s->lane;
	struct fuse_out_header head = *out;
	size_t len = out->len - sizeof(*out);
	int ret = fits(s, out, len) ? 0 : -EINVAL;

	if (ret < 0) {
		head.error = -EIO;
		head.len = sizeof(head);
		len = 0;
	}
	if (len > s->fixed && s->bytes != s->payload + s->fixed)
		memmove(s->payload + s->fixed, s->bytes, len - s->fixed);
	if (len && s->fixed)
		memcpy(s->payload, s->reply, s->fixed);
	memcpy(e->header.in_out, &head, sizeof(head));
	e->header.ring_ent_in_out.payload_sz = len;
	pthread_mutex_lock(&l->lock);
	e->next = l->uring.answered;
	l->uring.answered = e;
	pthread_mutex_unlock(&l->lock);
	if (!pthread_equal(pthread_self(), l->self))
		carry_tell(l->tell_fd);
	return ret;
}

// Makes of what the kernel wrote what a read of /dev/fuse gives, but that the first structure and
// what follows it are apart. The kernel does not say how long the structure is.
static bool receive(struct uring_entry *e)
{
	const struct fuse_uring_ent_in_out *ring = &e->header.ring_ent_in_out;
	struct slot *s = e->slot;
	size_t args;

	e->commit_id = ring->commit_id;
	memcpy(&s->head.in, e->header.in_out, sizeof(s->head.in));
	args = s->head.in.len - sizeof(s->head.in) - ring->payload_sz;
	if (s->head.in.len < sizeof(s->head.in) || ring->payload_sz > s->room || args > SLOT_OP)
		return false;
	memcpy(s->head.args, e->header.op_in, args);
	s->front = sizeof(s->head.in) + args;
	s->rest = ring->payload_sz;
	return true;
}

void uring_register(struct lane *l)
{
	struct uring *u = &l->uring;

	for (unsigned int i = 0; i < u->nentries; i++) {
		struct slot *s = u->entries[i].slot;

		s->entry = &u->entries[i];
		s->answer = answer;
		queue_command(l, s->entry, FUSE_IO_URING_CMD_REGISTER);
	}
	submit(l);
}

void uring_take(struct lane *l)
{
	struct uring *u = &l->uring;
	unsigned int head, tail;

	if (u->fd < 0)
		return;
	head = *u->cq_head;
	tail = __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE);
	while (head != tail) {
		const struct io_uring_cqe *cqe = &u->cqes[head & u->cq_mask];
		struct uring_entry *e = (struct uring_entry *)(uintptr_t)cqe->user_data;

		if (cqe->res < 0)
			retire(l, e, cqe->res);
		else if (receive(e))
			lane_pass(l, e->slot);
		else
			slot_refuse(e->slot, -EIO);
		// Only now, so that at each moment it is seen here or with the back-end.
		__atomic_store_n(u->cq_head, ++head, __ATOMIC_RELEASE);
	}
}

void uring_send(struct lane *l)
{
	struct uring_entry *e;

	if (l->uring.fd < 0)
		return;
	pthread_mutex_lock(&l->lock);
	e = l->uring.answered;
	l->uring.answered = NULL;
	pthread_mutex_unlock(&l->lock);
	for (; e; e = e->next)
		queue_command(l, e, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
	submit(l);
}

bool uring_is_quiet(const struct carrier *c)
{
	for (unsigned int i = 0; i < c->nlanes; i++) {
		const struct uring *u = &c->lanes[i].uring;

		if (u->fd >= 0 && __atomic_load_n(u->cq_head, __ATOMIC_ACQUIRE) !=
					  __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}
