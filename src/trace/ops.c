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
	if (opcode == VT_HELLO)
		return "VT_HELLO";
	if (opcode == CW_HELLO)
		return "CW_HELLO";
	if (opcode == CW_SLEEP)
		return "CW_SLEEP";
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
	if (opcode == VT_HELLO)
		return (struct trace_shape){.fixed = sizeof(struct vt_hello_in)};
	if (opcode == CW_HELLO)
		return (struct trace_shape){.fixed = sizeof(struct cw_hello_in)};
	if (opcode == CW_SLEEP)
		return (struct trace_shape){.fixed = sizeof(struct cw_sleep_in)};
	return opcode < FUSE_OPCODE_MAX ? ops[opcode].shape : (struct trace_shape){0};
}

/* clang-format off */
static const struct {
	unsigned int looks, changes;
} words[FUSE_OPCODE_MAX] = {
#define ROW(op, looks, marks, more, when) [FUSE_##op] = {looks, (marks) | (more)},
	VT_OPS(ROW)
#undef ROW
};
/* clang-format on */

size_t trace_words_size(uint32_t opcode)
{
	if (opcode >= FUSE_OPCODE_MAX)
		return 0;
	return vt_words_size(words[opcode].looks, words[opcode].changes);
}
