// SPDX-License-Identifier: BSD-2-Clause
#include "trace/print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "trace/fields.h"

/* Text that is being put together; len may grow beyond what fits. */
struct text {
	char *at;
	size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	size_t room = t->len < t->size ? t->size - t->len : 0;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(room ? t->at + t->len : NULL, room, fmt, args);
	va_end(args);
	t->len += n > 0 ? (size_t)n : 0;
}

static size_t finished(const struct text *t)
{
	return min_t(size_t, t->len, t->size ? t->size - 1 : 0);
}

static uint64_t value_of(const struct trace_field *f, const char *bytes)
{
	uint64_t value = 0;

	memcpy(&value, bytes + f->offset, f->width);
	return value;
}

static void add_fields(struct text *t, const struct trace_field *f, const char *bytes, size_t len)
{
	static const char *const formats[] = {
		[TRACE_DECIMAL] = " %s %" PRIu64,
		[TRACE_HEX] = " %s %#" PRIx64,
		[TRACE_OCTAL] = " %s %#" PRIo64,
		[TRACE_SECONDS] = " %s %" PRId64,
	};

	for (; f && f->name && (size_t)f->offset + f->width <= len; f++) {
		uint64_t value = value_of(f, bytes);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		if (value != 0)
			add(t, formats[f->format], f->name, value);
#pragma GCC diagnostic pop
	}
}

/* Names, each with its terminator; what has none is shown as far as it goes. */
static void add_names(struct text *t, unsigned int n, const char *names, size_t len)
{
	for (; n > 0 && len > 0; n--) {
		size_t one = strnlen(names, len);
		char quoted[1100];

		log_quote(quoted, sizeof(quoted), names, one);
		add(t, " \"%s\"", quoted);
		one = min_t(size_t, one + 1, len);
		names += one;
		len -= one;
	}
}

/* How many names stand behind the structures: SETXATTR's stands in what it takes itself. */
static void find_names(const struct fuse_in_header *in, const void *args, size_t len,
	size_t *fixed, unsigned int *n)
{
	const struct trace_shape shape = trace_shape(in->opcode);
	uint32_t size;

	*fixed = shape.fixed;
	*n = shape.names;
	if (in->opcode != FUSE_SETXATTR || len < sizeof(struct fuse_setxattr_in_oldest))
		return;
	/* With the longer structure (FUSE_SETXATTR_EXT) the message is longer than name and
	 * value make it; which one it is, only INIT tells. */
	memcpy(&size, args, sizeof(size));
	if (len > sizeof(struct fuse_setxattr_in) &&
		((const char *)args)[*fixed] < ' ')
		*fixed = sizeof(struct fuse_setxattr_in);
	*n = 1;
}

size_t trace_print_request(char *text, size_t size, const struct fuse_in_header *in,
	const void *args, size_t len)
{
	struct text t = {text, size, 0};
	const char *name = trace_opcode_name(in->opcode);
	unsigned int names;
	size_t fixed;

	if (name)
		add(&t, "%s", name);
	else
		add(&t, "opcode %" PRIu32, in->opcode);
	add(&t, " %" PRIu64 " node %#" PRIx64 " uid %" PRIu32 " gid %" PRIu32, in->unique,
		in->nodeid, in->uid, in->gid);
	find_names(in, args, len, &fixed, &names);
	add_fields(&t, trace_request_fields(in->opcode), args, len);
	if (len > fixed)
		add_names(&t, names, (const char *)args + fixed, len - fixed);
	return finished(&t);
}

size_t trace_print_reply(char *text, size_t size, uint32_t opcode, int32_t error, size_t bytes,
	const void *payload, size_t len)
{
	struct text t = {text, size, 0};
	const char *name = error < 0 && error > -4096 ? strerrorname_np(-error) : NULL;

	if (name)
		add(&t, "-%s", name);
	else if (error)
		add(&t, "error %" PRId32, error);
	else
		add(&t, "done, %zu bytes", bytes);
	if (error == 0)
		add_fields(&t, trace_reply_fields(opcode), payload, len);
	return finished(&t);
}
