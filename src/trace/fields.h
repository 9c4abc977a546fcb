// SPDX-License-Identifier: BSD-2-Clause
/*
 * The members of the structures of FUSE, for who prints them (<linux/fuse.h> has their meaning).
 */
#ifndef TRACE_FIELDS_H
#define TRACE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

enum trace_format { TRACE_DECIMAL, TRACE_HEX, TRACE_OCTAL, TRACE_SECONDS };

struct trace_field {
	const char *name; /* NULL: after the last one */
	uint16_t offset;
	uint8_t width; /* bytes; numbers are little-endian, as this machine's */
	uint8_t format;
};

/* What an operation carries behind its header, and what its reply does; NULL: nothing with a
 * structure. A message that is shorter than these has the first of them. */
const struct trace_field *trace_request_fields(uint32_t opcode);
const struct trace_field *trace_reply_fields(uint32_t opcode);

/* Bytes of their structures. */
size_t trace_request_size(uint32_t opcode);
size_t trace_reply_size(uint32_t opcode);

#endif
