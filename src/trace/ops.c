// SPDX-License-Identifier: BSD-2-Clause
#include "trace/ops.h"

#include <string.h>
#include <strings.h>

/* clang-format off */
static const struct {
	const char *name;
	struct trace_shape shape;
} ops[FUSE_OPCODE_MAX] = {
#define OP(op, fixed, names, tail, reply, flags) \
	[FUSE_##op] = {#op, {sizeof(fixed), names, FUSE_TAIL_##tail, flags}},
	FUSE_OPS(OP)
#undef OP
};
/* clang-format on */

const char *trace_opcode_name(uint32_t opcode)
{
	return opcode < FUSE_OPCODE_MAX ? ops[opcode].name : NULL;
}

uint32_t trace_opcode_of(const char *name, size_t len)
{
	for (uint32_t i = 0; i < FUSE_OPCODE_MAX; i++) {
		if (ops[i].name && strlen(ops[i].name) == len &&
			strncasecmp(ops[i].name, name, len) == 0)
			return i;
	}
	return 0;
}

struct trace_shape trace_shape(uint32_t opcode)
{
	return opcode < FUSE_OPCODE_MAX ? ops[opcode].shape : (struct trace_shape){0};
}
