// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table of operations (proto/fuse_ops.h), VT_HELLO, CW_HELLO and CW_SLEEP, for who has no
 * handlers: names and shapes.
 */
#ifndef TRACE_OPS_H
#define TRACE_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/causeway_wire.h"
#include "proto/fuse_ops.h"
#include "proto/version_wire.h"

/* The name of an opcode without the prefix, or NULL. */
const char *trace_opcode_name(uint32_t opcode);

/* Its number, or 0. Case does not matter. */
uint32_t trace_opcode_of(const char *name, size_t len);

/* How the operation looks on the wire; all 0 for one that nobody knows. */
struct trace_shape {
	uint16_t fixed; /* bytes of the structure behind the header */
	uint8_t names, tail, flags;
};
struct trace_shape trace_shape(uint32_t opcode);

/* Bytes of the version table's words in a good reply that has them (proto/version_wire.h). */
size_t trace_words_size(uint32_t opcode);

#endif
