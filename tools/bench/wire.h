// SPDX-License-Identifier: BSD-2-Clause
//
// FUSE requests on the queues of a vhost-user connection, with nothing between them and the rings.
//
// A slot is guest memory for one request, laid out once: what is measured is the server, and the
// client's own part is to be small and always the same. Each queue belongs to one thread, so there
// are no locks. A request looks like one of Linux's virtiofs driver: a buffer for the header, one
// for each argument, one for the payload (in one piece, where a guest's may be in many).
//
// Waiting is what the two kinds of client differ in. One that sleeps asks for a call and waits in
// poll(2), as a guest without work does; one that polls looks at the ring all the time and asks for
// no calls, so that no thread of its own has to be woken.
//
// The server is not trusted: replies are copied, then checked; it has WIRE_SECONDS to answer.
// Functions return 0 or -errno; once `lost` says why, the connection is of no use any more.

#ifndef CAUSEWAY_TOOLS_BENCH_WIRE_H
#define CAUSEWAY_TOOLS_BENCH_WIRE_H

#include "vhost/frontend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_QUEUE_SIZE 1024
#define WIRE_BUFFERS 8
#define WIRE_PAGE 4096u
#define WIRE_SECONDS 30
#define WIRE_HIGH 0 // the queue for forgets; request queues follow it

struct wire {
	struct vhost_frontend fe;
	bool polls;
	size_t used;		  // of the guest memory
	const char *_Atomic lost; // or NULL
	char lost_text[192];	  // where `lost` points when the text is not a constant
	struct {
		uint64_t n;
	} __attribute__((aligned(64))) sent[VHOST_FRONTEND_QUEUES_MAX]; // requests of each queue
};

struct wire_slot {
	char *in, *out, *data; // pages for what is sent, what comes back, and the payload
	size_t data_size;
	uint64_t in_gpa, out_gpa, data_gpa;
	struct virtq_buffer buffers[WIRE_BUFFERS];
	unsigned int nin, nout;
	uint32_t in_len;   // of `in` that is used
	uint32_t sent_len; // of the whole request
	uint64_t unique;
	uint32_t written;	  // by the server, when it comes back
	uint64_t sent_ns, offset; // for the owner
};

// Connects over a socket, which is the wire's from now on, to have `queues` request queues at most
// and `memory` bytes for slots. On failure `lost` says why.
int wire_open(struct wire *w, int sock, unsigned int queues, size_t memory);
void wire_close(struct wire *w);

// Guest memory, beginning on a page; it is all there (touched) already. The sum of what is asked
// for was told to wire_open().
void *wire_memory(struct wire *w, size_t bytes);
#define WIRE_SLOT_BYTES(data) (2 * (size_t)WIRE_PAGE + (data))
void wire_slot_init(struct wire *w, struct wire_slot *slot, size_t data);

// A request is begun, gets its arguments in order, then its payload, then room for the reply.
void wire_begin(struct wire_slot *slot, uint32_t opcode, uint64_t node);
void wire_argument(struct wire_slot *slot, const void *p, size_t len);
void wire_payload(struct wire_slot *slot, size_t len);
void wire_room(struct wire_slot *slot, size_t reply, size_t data);

// Sends it, and tells the server if that wants to be told. -ENOSPC: the queue is full.
int wire_submit(struct wire *w, unsigned int queue, struct wire_slot *slot);

// Sends bytes of guest memory that get no reply. The cookie comes back from wire_collect().
int wire_send(struct wire *w, unsigned int queue, const void *p, size_t len, void *cookie);

// Takes one back: 1, or 0 where none is there.
int wire_collect(struct wire *w, unsigned int queue, void **cookie, uint32_t *written);

// Waits until there are so many to take back, of those that are in flight. -EINTR when the bench is
// to stop.
int wire_wait(struct wire *w, unsigned int queue, unsigned int n);

// Sends it and waits; nothing else is in flight on the queue.
int wire_call(struct wire *w, unsigned int queue, struct wire_slot *slot);

// Checks a reply that came back and copies what follows its header, at most `size` bytes: how many
// bytes followed, or the error that the server answered, or -EPROTO.
int wire_reply(const struct wire_slot *slot, void *copy, size_t size);

// The connection is of no use any more; the first reason counts. Returns -ENOTCONN.
int wire_lose(struct wire *w, const char *why);

#endif
