// SPDX-License-Identifier: BSD-2-Clause
//
// Both ends of the command's three streams, the same code on the host and in the guest. A source
// reads a descriptor and sends DATA as far as it has credit; a sink keeps what came until its
// descriptor takes it, and gives credit back. stdin has its source on the host and its sink in the
// guest, stdout and stderr the other way round.

#ifndef CAUSEWAY_TOOLS_STREAM_H
#define CAUSEWAY_TOOLS_STREAM_H

#include "frame.h"

#include <poll.h>

#define LINK_OUT_MAX (256 * 1024u)

// The port, seen from one end.
struct link {
	int fd; // non-blocking
	struct bytes in, out;
};

// Reads what is there. 0, -EPIPE at the end, or -errno.
int link_fill(struct link *l);
// Writes what can be written now. 0 or -errno.
int link_flush(struct link *l);

struct source {
	int fd; // not owned; -1: never, or no more
	unsigned int stream;
	size_t credit;
};

struct sink {
	int fd; // not owned; -1: never, or closed
	unsigned int stream;
	bool close_fd; // close the descriptor once everything before EOF is written
	bool eof;
	size_t owed; // taken, but not credited yet
	struct bytes held;
};

// The event to poll for: POLLIN, POLLOUT or 0.
short source_wants(const struct source *s, const struct link *l);
short sink_wants(const struct sink *s);

// Called when poll reported anything for the descriptor. 0, or -errno of the link (not of the
// stream).
int source_ready(struct source *s, struct link *l);
int sink_ready(struct sink *s, struct link *l);

// A DATA, EOF or CREDIT frame for this stream.
int sink_frame(struct sink *s, struct link *l, const struct frame *f);
void source_frame(struct source *s, const struct frame *f);

#endif
