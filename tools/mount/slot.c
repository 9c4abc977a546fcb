// SPDX-License-Identifier: BSD-2-Clause

#include "slot.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

// Where things are in a slot's page.
#define OUT_AT   128u
#define REPLY_AT 192u

// Opcodes that no table has (BMAP, POLL, and what is to come) have small replies.
#define UNKNOWN_ROOM 512u

struct op {
	const char *name;
	uint32_t fixed;
	bool unanswered;
};

static const struct op ops[FUSE_OPCODE_MAX] = {
#define OP(OPCODE, args, names, tail, reply, flags)                                                \
	[FUSE_##OPCODE] = {#OPCODE, sizeof(reply), ((flags) & FUSE_OP_NO_REPLY) != 0},
	FUSE_OPS(OP)
#undef OP
};

// A server need not answer INTERRUPT; one that does not know it says so.
static bool is_interrupt(const struct slot *s)
{
	return s->head.in.opcode == FUSE_INTERRUPT;
}

const char *slot_name(const struct slot *s)
{
	uint32_t op = s->head.in.opcode;

	return op < FUSE_OPCODE_MAX && ops[op].name ? ops[op].name : "an unknown request";
}

bool slot_is_answered(const struct slot *s)
{
	uint32_t op = s->head.in.opcode;

	return op >= FUSE_OPCODE_MAX || !ops[op].unanswered;
}

ssize_t slot_read(struct slot *s, int fuse_fd)
{
	struct iovec iov[2] = {{&s->head, SLOT_HEAD}, {s->payload, s->room}};
	ssize_t n;

	for (;;) {
		n = readv(fuse_fd, iov, 2);
		if (n >= (ssize_t)sizeof(s->head.in))
			break;
		if (n >= 0)
			return -EIO;
		// ENOENT: it was given up while it was read.
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR && errno != ENOENT)
			return -errno;
	}
	s->fuse_fd = fuse_fd;
	s->len = n;
	return n;
}

// What the reply to this request can be.
static void expect(struct slot *s)
{
	const struct slot_head *h = &s->head;
	uint32_t op = h->in.opcode;

	s->fixed = op < FUSE_OPCODE_MAX ? ops[op].fixed : 0;
	s->sized = op < FUSE_OPCODE_MAX && ops[op].name ? 0 : UNKNOWN_ROOM;
	switch (op) {
	case FUSE_INIT:
		s->fixed = sizeof(struct fuse_init_out);
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		s->sized = h->read.size;
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		s->sized = h->getxattr.size;
		// Asked for its length.
		if (!s->sized)
			s->fixed = sizeof(struct fuse_getxattr_out);
		break;
	case FUSE_READLINK:
		s->sized = SLOT_PAGE - 1;
		break;
	case FUSE_IOCTL:
		s->sized = h->ioctl.out_size;
		break;
	default:
		break;
	}
}

int slot_lay_out(struct transport *t, struct slot *s)
{
	struct request *r = &s->request;
	size_t head = s->len < SLOT_HEAD ? s->len : SLOT_HEAD, rest = s->len - head;
	size_t at = (rest + SLOT_PAGE - 1) / SLOT_PAGE * SLOT_PAGE;

	expect(s);
	if (s->sized && (at > s->room || s->sized > s->room - at))
		return -EMSGSIZE;
	s->reply = s->page + REPLY_AT;
	s->bytes = s->payload + at;
	memcpy(s->page, &s->head, head);
	r->nin = r->nout = 0;
	request_add_in(t, r, s->page, sizeof(s->head.in));
	if (head > sizeof(s->head.in))
		request_add_in(t, r, s->page + sizeof(s->head.in), head - sizeof(s->head.in));
	if (rest)
		request_add_in(t, r, s->payload, rest);
	if (!slot_is_answered(s) && !is_interrupt(s))
		return 0;
	request_add_out(t, r, s->page + OUT_AT, sizeof(struct fuse_out_header));
	if (s->fixed)
		request_add_out(t, r, s->reply, s->fixed);
	if (s->sized)
		request_add_out(t, r, s->bytes, s->sized);
	return 0;
}

int slot_check(const struct slot *s, struct fuse_out_header *out, const char **why)
{
	uint32_t written = s->request.written;

	if (s->request.status < 0)
		return s->request.status;
	memcpy(out, s->page + OUT_AT, sizeof(*out));
	if (written < sizeof(*out))
		*why = "it is shorter than its header";
	else if (out->unique != s->head.in.unique)
		*why = "it belongs to another request";
	else if (out->len < sizeof(*out) || out->len > written)
		*why = "its length is not what was written";
	else if (out->error > 0 || out->error <= -512)
		*why = "its error is none";
	else if (out->error < 0 && out->len != sizeof(*out))
		*why = "something follows an error";
	else
		return 0;
	return -EIO;
}

int slot_answer(const struct slot *s, const struct fuse_out_header *out)
{
	size_t len = out->len - sizeof(*out);
	size_t fixed = len < s->fixed ? len : s->fixed;
	struct iovec iov[3] = {{(void *)out, sizeof(*out)}, {s->reply, fixed},
		{s->bytes, len - fixed}};

	return writev(s->fuse_fd, iov, 3) < 0 ? -errno : 0;
}

int slot_refuse(const struct slot *s, int error)
{
	struct fuse_out_header out = {
		.len = sizeof(out), .error = error, .unique = s->head.in.unique};

	return slot_answer(s, &out);
}
