// SPDX-License-Identifier: BSD-2-Clause

#include "session.h"

#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Below this one minor version a reply to INIT has another shape.
#define MINOR_OLDEST 31
#define PAYLOAD_MAX (1u << 20)
#define PAGES_DEFAULT 32

// What Linux 6 offers, but for what would need more of a client than this one has.
#define OFFERED                                                                                    \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_ATOMIC_O_TRUNC |             \
		FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |    \
		FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |                     \
		FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 |                  \
		FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_CACHE_SYMLINKS |             \
		FUSE_SETXATTR_EXT | FUSE_SUBMOUNTS | FUSE_INIT_EXT)

static int init(struct session *s)
{
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_MINOR_NEWEST,
		.max_readahead = PAYLOAD_MAX,
		.flags = (uint32_t)OFFERED,
	};
	struct fuse_init_out out = {.major = 0};
	size_t pages = PAGES_DEFAULT;
	int ret = session_call(s, &(struct request){.opcode = FUSE_INIT,
					  .arguments = {ARGUMENT(in)},
					  .narguments = 1,
					  .reply = &out,
					  .size = sizeof(out),
					  .least = sizeof(out)});

	if (ret < 0) {
		snprintf(s->wire.lost_text, sizeof(s->wire.lost_text), "its reply to INIT: %s",
			strerror(-ret));
		wire_lose(&s->wire, s->wire.lost_text);
		return ret;
	}
	if (out.major != FUSE_KERNEL_VERSION || out.minor < MINOR_OLDEST ||
		(out.flags & ~(uint32_t)OFFERED)) {
		snprintf(s->wire.lost_text, sizeof(s->wire.lost_text),
			"its reply to INIT: FUSE %u.%u with flags %#x", out.major, out.minor,
			out.flags);
		return wire_lose(&s->wire, s->wire.lost_text);
	}
	s->flags = out.flags;
	if (s->flags & FUSE_MAX_PAGES)
		pages = out.max_pages;
	s->max_data = pages * WIRE_PAGE < out.max_write ? pages * WIRE_PAGE : out.max_write;
	return 0;
}

static int make_slots(struct session *s, const struct session_room *room)
{
	s->slots = calloc((size_t)room->queues * room->depth, sizeof(*s->slots));
	if (!s->slots) {
		wire_lose(&s->wire, "out of memory");
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < room->queues * room->depth; i++)
		wire_slot_init(&s->wire, &s->slots[i], room->data);
	s->depth = room->depth;
	wire_slot_init(&s->wire, &s->slot, PAYLOAD_MAX);
	wire_slot_init(&s->wire, &s->beside.slot, BESIDE_DATA);
	s->forgets = wire_memory(&s->wire, WIRE_QUEUE_SIZE * sizeof(*s->forgets));
	for (s->nidle = 0; s->nidle < WIRE_QUEUE_SIZE; s->nidle++)
		s->idle[s->nidle] = (uint16_t)s->nidle;
	return 0;
}

int session_open(struct session *s, int sock, const struct session_room *room)
{
	size_t memory = (size_t)room->queues * room->depth * WIRE_SLOT_BYTES(room->data) +
			WIRE_SLOT_BYTES(PAYLOAD_MAX) + WIRE_SLOT_BYTES(BESIDE_DATA) +
			(WIRE_QUEUE_SIZE * sizeof(struct forget) / WIRE_PAGE + 1) * WIRE_PAGE;
	int ret;

	*s = (struct session){.depth = 0};
	ret = wire_open(&s->wire, sock, room->queues, memory);
	if (ret)
		return ret;
	s->queues = s->wire.fe.nqueues - 1;
	ret = make_slots(s, room);
	if (!ret)
		ret = init(s);
	if (ret)
		session_close(s);
	return ret;
}

void session_close(struct session *s)
{
	wire_close(&s->wire);
	free(s->slots);
	free(s->held);
	s->slots = NULL;
	s->held = NULL;
}

int session_call(struct session *s, const struct request *r)
{
	int ret;

	wire_begin(&s->slot, r->opcode, r->node);
	for (unsigned int i = 0; i < r->narguments; i++)
		wire_argument(&s->slot, r->arguments[i].iov_base, r->arguments[i].iov_len);
	wire_room(&s->slot, r->size, 0);
	ret = wire_call(&s->wire, WIRE_HIGH + 1, &s->slot);
	if (ret)
		return ret;
	ret = wire_reply(&s->slot, r->reply, r->size);
	return ret >= 0 && (size_t)ret < r->least ? -EPROTO : ret;
}

int session_lookup(struct session *s, uint64_t parent, const char *name, uint64_t *node)
{
	struct fuse_entry_out entry;
	int ret = session_call(s, &(struct request){.opcode = FUSE_LOOKUP,
					  .node = parent,
					  .arguments = {NAME(name)},
					  .narguments = 1,
					  .reply = &entry,
					  .size = sizeof(entry),
					  .least = sizeof(entry)});

	if (ret < 0)
		return ret;
	// An entry without a node says that there is none, and that this may be kept.
	if (!entry.nodeid)
		return -ENOENT;
	*node = entry.nodeid;
	return IS_NODE(entry.nodeid) ? 0 : -EPROTO;
}

int session_open_node(struct session *s, uint64_t node, uint32_t flags, uint64_t *fh)
{
	const struct fuse_open_in in = {.flags = flags};
	struct fuse_open_out out;
	int ret = session_call(
		s, &(struct request){.opcode = flags & O_DIRECTORY ? FUSE_OPENDIR : FUSE_OPEN,
			   .node = node,
			   .arguments = {{(void *)&in, sizeof(in)}},
			   .narguments = 1,
			   .reply = &out,
			   .size = sizeof(out),
			   .least = sizeof(out)});

	*fh = ret < 0 ? 0 : out.fh;
	return ret < 0 ? ret : 0;
}

int session_release(struct session *s, uint64_t node, uint64_t fh, uint32_t flags)
{
	const struct fuse_release_in in = {.fh = fh, .flags = flags};

	return session_call(
		s, &(struct request){.opcode = flags & O_DIRECTORY ? FUSE_RELEASEDIR : FUSE_RELEASE,
			   .node = node,
			   .arguments = {{(void *)&in, sizeof(in)}},
			   .narguments = 1});
}

int session_enter(struct session *s, uint64_t node, uint32_t flags, uint64_t *fh)
{
	bool *refused = flags & O_DIRECTORY ? &s->no_opendir : &s->no_open;
	int ret = 0;

	*fh = 0;
	if (!*refused)
		ret = session_open_node(s, node, flags, fh);
	if (ret != -ENOSYS)
		return ret;
	*refused = true;
	return 0;
}

int session_leave(struct session *s, uint64_t node, uint64_t fh, uint32_t flags)
{
	if (flags & O_DIRECTORY ? s->no_opendir : s->no_open)
		return 0;
	return session_release(s, node, fh, flags);
}

int session_read(struct session *s, uint32_t opcode, uint64_t node, uint64_t fh, uint64_t offset,
	size_t size)
{
	const struct fuse_read_in in = {.fh = fh, .offset = offset, .size = (uint32_t)size};
	int ret;

	wire_begin(&s->slot, opcode, node);
	wire_argument(&s->slot, &in, sizeof(in));
	wire_room(&s->slot, 0, size);
	ret = wire_call(&s->wire, WIRE_HIGH + 1, &s->slot);
	return ret ? ret : wire_reply(&s->slot, NULL, 0);
}

int session_write(struct session *s, uint64_t node, const struct fuse_write_in *in)
{
	struct fuse_write_out out;
	int ret;

	wire_begin(&s->slot, FUSE_WRITE, node);
	wire_argument(&s->slot, in, sizeof(*in));
	wire_payload(&s->slot, in->size);
	wire_room(&s->slot, sizeof(out), 0);
	ret = wire_call(&s->wire, WIRE_HIGH + 1, &s->slot);
	if (!ret)
		ret = wire_reply(&s->slot, &out, sizeof(out));
	if (ret < 0)
		return ret;
	return (size_t)ret < sizeof(out) || out.size != in->size ? -EPROTO : 0;
}

// Takes back the forgets that are done with.
static int collect_forgets(struct session *s)
{
	uint32_t written;
	void *cookie;
	int ret;

	while ((ret = wire_collect(&s->wire, WIRE_HIGH, &cookie, &written)) > 0)
		s->idle[s->nidle++] = (uint16_t)((struct forget *)cookie - s->forgets);
	return ret;
}

int session_forget(struct session *s, uint64_t node, uint64_t lookups)
{
	int ret = s->nidle ? 0 : collect_forgets(s);
	struct forget *f;

	// One by one each would be woken for. (Linux tries again after a millisecond.)
	while (!ret && !s->nidle) {
		ret = wire_wait(&s->wire, WIRE_HIGH, WIRE_QUEUE_SIZE / 2);
		if (!ret)
			ret = collect_forgets(s);
	}
	if (ret)
		return ret;
	f = &s->forgets[s->idle[--s->nidle]];
	*f = (struct forget){
		.head = {.len = sizeof(*f),
			.opcode = FUSE_FORGET,
			.nodeid = node,
			.uid = bench_uid,
			.gid = bench_gid,
			.pid = bench_pid},
		.body = {.nlookup = lookups},
	};
	return wire_send(&s->wire, WIRE_HIGH, f, sizeof(*f), f);
}

int session_drain(struct session *s)
{
	int ret = collect_forgets(s);

	while (!ret && s->nidle < WIRE_QUEUE_SIZE) {
		ret = wire_wait(&s->wire, WIRE_HIGH, WIRE_QUEUE_SIZE - s->nidle);
		if (!ret)
			ret = collect_forgets(s);
	}
	return ret;
}

int session_hold(struct session *s, uint64_t node)
{
	if (s->nheld == s->held_room) {
		size_t room = s->held_room ? 2 * s->held_room : 512;
		struct held *held = reallocarray(s->held, room, sizeof(*held));

		if (!held)
			return -ENOMEM;
		s->held = held;
		s->held_room = room;
	}
	s->held[s->nheld++] = (struct held){.node = node, .lookups = 1};
	return 0;
}

int session_find(struct session *s, uint64_t parent, const char *name, uint64_t *node)
{
	int ret = session_lookup(s, parent, name, node);

	return ret ? ret : session_hold(s, *node);
}

int session_forget_beyond(struct session *s, size_t n)
{
	int ret = 0;

	while (s->nheld > n && !ret) {
		s->nheld--;
		ret = session_forget(s, s->held[s->nheld].node, s->held[s->nheld].lookups);
	}
	return ret ? ret : session_drain(s);
}

int session_keep_open(struct session *s, uint64_t node, uint32_t flags)
{
	int ret = session_enter(s, node, flags, &s->open.fh);

	if (!ret) {
		s->open.node = node;
		s->open.flags = flags;
	}
	return ret;
}

int session_let_go(struct session *s)
{
	int closed = beside_end(s), ret;

	if (s->open.node && !closed)
		closed = session_leave(s, s->open.node, s->open.fh, s->open.flags);
	s->open.node = 0;
	ret = session_forget_beyond(s, 0);
	s->nheld = 0;
	return closed < 0 ? closed : ret;
}
