// SPDX-License-Identifier: BSD-2-Clause

#include "session.h"

#include "../tool.h"
#include "carry.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#define ANSWER_MS 10000
// The least that the kernel reads into.
#define READ_MIN 8192u
// What requests carry where nobody says FUSE_MAX_PAGES, and attributes in any case.
#define PAGES_DEFAULT 32u
#define XATTR_MAX     65536u

int64_t session_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static int wait_readable(struct pollfd *fds, int n, int64_t until)
{
	int64_t left = until - session_now_ms();

	return poll(fds, n, left > 0 ? (int)left : 0);
}

// Sends a request and waits for its reply. A back-end that gives none is lost.
static void exchange(struct transport *t, struct slot *s, int64_t until)
{
	struct pollfd fds[2] = {{.fd = t->fe.queues[1].call_fd, .events = POLLIN},
		{.fd = t->fe.sock, .events = POLLIN | POLLRDHUP}};

	s->request.finished = NULL;
	s->request.status = transport_submit(t, 1, &s->request);
	if (s->request.status < 0)
		return;
	for (;;) {
		transport_reap_one(t, 1);
		if (atomic_load(&s->request.done))
			return;
		if (wait_readable(fds, 2, until) == 0)
			transport_lose(t, "the back-end does not answer");
		else if (fds[1].revents)
			transport_look(t);
	}
}

static int fail_lost(struct transport *t)
{
	char why[sizeof(t->why)];

	transport_why(t, why, sizeof(why));
	say("mount: INIT: %s", why);
	return -1;
}

static int get_memory(struct slot *s, struct transport *t)
{
	void *memory;
	int ret;

	*s = (struct slot){.room = READ_MIN};
	ret = arena_alloc(&t->arena, SLOT_PAGE + s->room, false, &memory);
	if (ret < 0) {
		say("mount: no memory for a request: %s", strerror(-ret));
		return -1;
	}
	s->page = memory;
	s->payload = s->page + SLOT_PAGE;
	return 0;
}

static int read_init(struct slot *s, int fuse_fd)
{
	struct pollfd fd = {.fd = fuse_fd, .events = POLLIN};
	ssize_t n = 0;

	if (wait_readable(&fd, 1, session_now_ms() + ANSWER_MS) > 0)
		n = slot_read(s, fuse_fd);
	if (n > 0 && s->head.in.opcode == FUSE_INIT)
		return 0;
	say("mount: the kernel does not begin with INIT: %s",
		n < 0 ? strerror((int)-n) : slot_name(s));
	return -1;
}

// The one thing that the kernel may offer and that cannot be carried: requests that come in other
// ways than reads of /dev/fuse. Whatever else is agreed on is between the kernel and the back-end.
static void mask(uint32_t *flags2)
{
	*flags2 &= ~(uint32_t)(FUSE_OVER_IO_URING >> 32);
}

static int check_reply(struct session_init *i)
{
	const struct fuse_init_out *out = &i->out;
	const char *why = "it is too short";
	int ret = slot_check(&i->slot, &i->head, &why);
	size_t len = i->head.len - sizeof(i->head);

	if (ret == 0 && i->head.error < 0) {
		say("mount: the back-end refuses INIT: %s", strerror(-i->head.error));
		return -1;
	}
	if (ret < 0 || len < 2 * sizeof(uint32_t)) {
		say("mount: the back-end's reply to INIT is malformed: %s", why);
		return -1;
	}
	memcpy(&i->out, i->slot.reply, len < sizeof(i->out) ? len : sizeof(i->out));
	if (out->major == FUSE_KERNEL_VERSION)
		return 0;
	say("mount: the back-end speaks FUSE %u.%u, the kernel FUSE %d", out->major, out->minor,
		FUSE_KERNEL_VERSION);
	return -1;
}

// The largest payload, which the reply is made to agree with where it is beyond what slots have
// room for.
static size_t limit_payload(struct fuse_init_out *out)
{
	size_t pages = out->flags & FUSE_MAX_PAGES ? out->max_pages : PAGES_DEFAULT;
	size_t payload = pages * SLOT_PAGE > XATTR_MAX ? pages * SLOT_PAGE : XATTR_MAX;

	if (out->max_write > payload)
		payload = out->max_write;
	if (payload <= CARRY_PAYLOAD_MAX)
		return payload;
	if (out->max_write > CARRY_PAYLOAD_MAX)
		out->max_write = CARRY_PAYLOAD_MAX;
	if (out->max_pages > CARRY_PAYLOAD_MAX / SLOT_PAGE)
		out->max_pages = CARRY_PAYLOAD_MAX / SLOT_PAGE;
	return CARRY_PAYLOAD_MAX;
}

int session_ask(struct session_init *i, struct transport *t, int fuse_fd, size_t *payload)
{
	struct slot *s = &i->slot;

	memset(i, 0, sizeof(*i));
	if (get_memory(s, t) || read_init(s, fuse_fd))
		return -1;
	mask(&s->head.init.flags2);
	if (slot_lay_out(t, s)) {
		say("mount: the kernel's INIT is too long");
		return -1;
	}
	exchange(t, s, session_now_ms() + ANSWER_MS);
	if (s->request.status < 0)
		return fail_lost(t);
	if (check_reply(i))
		return -1;
	mask(&i->out.flags2);
	*payload = limit_payload(&i->out);
	return 0;
}

int session_answer(struct session_init *i, struct transport *t)
{
	struct iovec iov[2] = {
		{&i->head, sizeof(i->head)}, {&i->out, i->head.len - sizeof(i->head)}};

	if (writev(i->slot.fuse_fd, iov, 2) < 0) {
		say("mount: the kernel does not take the reply to INIT: %s", strerror(errno));
		return -1;
	}
	arena_free(&t->arena, i->slot.page, SLOT_PAGE + i->slot.room, false);
	return 0;
}

void session_end(struct transport *t, int64_t until)
{
	struct slot s;

	if (get_memory(&s, t))
		return;
	s.head.in = (struct fuse_in_header){
		.opcode = FUSE_DESTROY, .len = sizeof(s.head.in), .unique = UINT64_MAX - 1};
	s.len = sizeof(s.head.in);
	slot_lay_out(t, &s);
	exchange(t, &s, until);
	arena_free(&t->arena, s.page, SLOT_PAGE + s.room, false);
}
