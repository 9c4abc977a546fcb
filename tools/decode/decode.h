// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway decode`: from a recording (trace/record.h) to exchanges, through a filter, to lines or
// a summary.
//
//   read.c     records, paired to exchanges by queue and unique
//   options.c  the command line, and with it the filter
//   summary.c  counts and latencies of each operation
//   decode.c   the sequence, and lines

#ifndef CAUSEWAY_DECODE_H
#define CAUSEWAY_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/ops.h"
#include "trace/record.h"

// A request and what became of it. Bytes may be fewer than the message had.
struct exchange {
	struct record request, reply; // reply.kind 0: there is none
	char *in, *out;               // request.size and reply.size bytes
	struct exchange *next;
};

// What the bytes say, each copied out; zeros where they are too short.
struct fuse_in_header exchange_in(const struct exchange *x);
struct fuse_out_header exchange_out(const struct exchange *x);

// Whether an answer was to come at all.
bool exchange_is_answered(const struct exchange *x);
uint64_t exchange_latency_ns(const struct exchange *x); // 0 without a reply

// Reads a recording and calls each() with its exchanges, in the order of their replies; those
// without one at the end. 0, or -1 after a line of say(): also where the end of the file cuts a
// record off, behind what comes before it.
int recording_read(const char *path, void (*each)(void *opaque, const struct exchange *x),
	void *opaque);

struct decode_options {
	const char *file;
	bool summary;
	size_t data; // bytes of payload to show

	// The filter: all that are given must hold.
	bool opcodes_given, opcodes[FUSE_OPCODE_MAX];
	bool errors_given, any_error, errors[4096];
	bool node_given, queue_given;
	uint64_t node, slower_ns;
	unsigned int queue;
};

// 0, 1 when all is said (--help), or -1 after a line of say().
int decode_options_parse(struct decode_options *o, int argc, char **argv);
bool decode_wants(const struct decode_options *o, const struct exchange *x);

struct summary;
struct summary *summary_new(void);
void summary_add(struct summary *s, const struct exchange *x);
void summary_print(struct summary *s); // and frees it

#endif
