// SPDX-License-Identifier: BSD-2-Clause
//
// A FUSE session with one server, as a stock guest would have it: INIT, and the requests that the
// operations are made of, one at a time on the first request queue.
//
// Functions return 0 or more, the error that the server answered, or -EPROTO for a reply that makes
// no sense; wire.lost is set when there is no connection any more.

#ifndef CAUSEWAY_TOOLS_BENCH_SESSION_H
#define CAUSEWAY_TOOLS_BENCH_SESSION_H

#include "proto/fuse_ops.h"
#include "wire.h"

#include <sys/uio.h>

// Known to the guest: with how many lookups.
struct held {
	uint64_t node, lookups;
};

struct forget {
	struct fuse_in_header head;
	struct fuse_forget_in body;
};

struct ground;

struct session {
	struct wire wire;
	unsigned int queues; // for requests
	struct wire_slot slot;
	struct wire_slot *slots; // `depth` for each queue, for loads
	unsigned int depth;

	uint64_t flags; // that INIT agreed on
	size_t max_data;
	bool no_open, no_opendir; // were refused: it is done without them from then on

	struct held *held; // forgotten by session_let_go()
	size_t nheld, held_room;
	struct forget *forgets;		// guest memory, WIRE_QUEUE_SIZE of them
	uint16_t idle[WIRE_QUEUE_SIZE]; // those that are not in flight
	unsigned int nidle;

	// What an operation keeps between its steps.
	uint64_t turn;
	bool turned;
	struct {
		uint64_t node, fh; // no node: nothing is open
		uint32_t flags;
	} open;			 // closed by session_let_go()
	// Beside the request that is waited for: beside.c.
	struct {
		struct wire_slot slot;
		bool out, back; // it is under way, or has come back
		size_t size;	// of its reply's data
	} beside;
	const struct ground *ground; // what is shared, on the host
	void (*peak)(void *arg); // called by operations when the server holds most
	void *peak_arg;
};

// What Linux adds to the flags of every open on a 64-bit machine.
#define OPEN_FLAGS 0100000u

// What loads need at most: slots of `data` bytes, `depth` for each of `queues` queues.
struct session_room {
	unsigned int queues, depth;
	size_t data;
};

// Over a connected socket, which is the session's from now on. On failure wire.lost says why.
int session_open(struct session *s, int sock, const struct session_room *room);
void session_close(struct session *s);

// Any request without payload: its reply is at least `least` and at most `size` bytes.
struct request {
	uint32_t opcode;
	uint64_t node;
	struct iovec arguments[3];
	unsigned int narguments;
	void *reply;
	size_t size, least;
};
int session_call(struct session *s, const struct request *r);
#define ARGUMENT(s) ((struct iovec){(void *)&(s), sizeof(s)})
#define NAME(s) ((struct iovec){(void *)(s), strlen(s) + 1})

// Whether a number that an entry brought can be a node's.
#define IS_NODE(id) ((id) > FUSE_ROOT_ID)
int session_lookup(struct session *s, uint64_t parent, const char *name, uint64_t *node);
// OPEN and RELEASE, or with O_DIRECTORY those of directories.
int session_open_node(struct session *s, uint64_t node, uint32_t flags, uint64_t *fh);
int session_release(struct session *s, uint64_t node, uint64_t fh, uint32_t flags);
// The same where it is not what is measured: a server that knows no OPEN is asked only once.
int session_enter(struct session *s, uint64_t node, uint32_t flags, uint64_t *fh);
int session_leave(struct session *s, uint64_t node, uint64_t fh, uint32_t flags);
// READ or READDIRPLUS of `size` bytes into slot.data: how many came.
int session_read(struct session *s, uint32_t opcode, uint64_t node, uint64_t fh, uint64_t offset,
	size_t size);
// WRITE of what is in slot.data, all of it.
int session_write(struct session *s, uint64_t node, const struct fuse_write_in *in);

// FORGETs go out without waiting, but for room; session_drain() waits until all are done with.
int session_forget(struct session *s, uint64_t node, uint64_t lookups);
int session_drain(struct session *s);

// Looks up a name and keeps the node until session_let_go(); or keeps one that is there.
int session_find(struct session *s, uint64_t parent, const char *name, uint64_t *node);
int session_hold(struct session *s, uint64_t node);
// Forgets those that are held beyond the first n, and waits for that.
int session_forget_beyond(struct session *s, size_t n);
// Keeps a file open until session_let_go().
int session_keep_open(struct session *s, uint64_t node, uint32_t flags);
int session_let_go(struct session *s);

// beside.c: payload of its slot, and what waits until nothing of it is under way.
#define BESIDE_DATA (1u << 20)
int beside_end(struct session *s);

#endif
