// SPDX-License-Identifier: BSD-2-Clause

#include "decode.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../tool.h"

static int set_number(const char *name, const char *arg, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || *arg == '-' || *value > max) {
		say("--%s: '%s' is not a number from 0 to %llu", name, arg,
			(unsigned long long)max);
		return -1;
	}
	return 0;
}

static int set_opcodes(struct decode_options *o, const char *arg)
{
	o->opcodes_given = true;
	for (size_t len; *arg; arg += len + (arg[len] == ',')) {
		uint32_t opcode;

		len = strcspn(arg, ",");
		opcode = trace_opcode_of(arg, len);
		if (opcode == 0) {
			say("--opcode: '%.*s' is no operation of FUSE, such as LOOKUP", (int)len,
				arg);
			return -1;
		}
		o->opcodes[opcode] = true;
	}
	return 0;
}

static int errno_of(const char *name, size_t len)
{
	for (int i = 1; i < 4096; i++) {
		const char *known = strerrorname_np(i);

		if (known && strlen(known) == len && strncasecmp(known, name, len) == 0)
			return i;
	}
	return 0;
}

static int set_errors(struct decode_options *o, const char *arg)
{
	o->errors_given = true;
	o->any_error = strcmp(arg, "any") == 0;
	for (size_t len; *arg && !o->any_error; arg += len + (arg[len] == ',')) {
		int error;

		len = strcspn(arg, ",");
		error = errno_of(arg, len);
		if (error == 0) {
			say("--error: '%.*s' is neither 'any' nor an error such as ENOENT",
				(int)len, arg);
			return -1;
		}
		o->errors[error] = true;
	}
	return 0;
}

static int set_node(struct decode_options *o, const char *arg)
{
	o->node_given = true;
	return set_number("node", arg, UINT64_MAX, &o->node);
}

static int set_slower(struct decode_options *o, const char *arg)
{
	int r = set_number("slower", arg, UINT64_MAX / 1000, &o->slower_ns);

	o->slower_ns *= 1000;
	return r;
}

static int set_queue(struct decode_options *o, const char *arg)
{
	uint64_t queue;
	int r = set_number("queue", arg, UINT16_MAX, &queue);

	o->queue_given = true;
	o->queue = (unsigned int)queue;
	return r;
}

static int set_data(struct decode_options *o, const char *arg)
{
	uint64_t n;
	int r = set_number("data", arg, RECORD_SIZE_MAX, &n);

	o->data = n;
	return r;
}

static int set_summary(struct decode_options *o, const char *arg)
{
	o->summary = true;
	return 0;
}

static const struct {
	const char *name, *arg;
	int (*set)(struct decode_options *o, const char *arg);
	const char *help;
} rows[] = {
	{"summary", NULL, set_summary, "count and time the operations instead of listing requests"},
	{"data", "BYTES", set_data, "show so many bytes of payload, where it was recorded"},
	{"opcode", "NAME,...", set_opcodes, "only these operations"},
	{"node", "ID", set_node, "only what names this node"},
	{"error", "NAME,...", set_errors, "only what failed so; any: all that failed"},
	{"slower", "MICROSECONDS", set_slower, "only what took longer, or has no reply"},
	{"queue", "N", set_queue, "only what came by this queue"},
	{"help", NULL, NULL, "print this and exit"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void help(void)
{
	printf("Usage: causeway decode [OPTION...] FILE\n\nPrints what causewayd --record has "
	       "recorded; - is standard input.\n\nOptions:\n");
	for (size_t i = 0; i < ROWS; i++) {
		char name[48];

		snprintf(name, sizeof(name), "--%s %s", rows[i].name,
			rows[i].arg ? rows[i].arg : "");
		printf("  %-24s %s\n", name, rows[i].help);
	}
}

int decode_options_parse(struct decode_options *o, int argc, char **argv)
{
	struct option longs[ROWS + 1] = {{0}};
	int index, c;

	*o = (struct decode_options){0};
	for (size_t i = 0; i < ROWS; i++)
		longs[i] = (struct option){.name = rows[i].name,
			.has_arg = rows[i].arg ? required_argument : no_argument};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, &index)) != -1) {
		if (c == ':') {
			say("option '%s' needs a value", argv[optind - 1]);
			return -1;
		}
		if (c != 0) {
			say("unknown option '%s'; causeway decode --help lists them",
				argv[optind - 1]);
			return -1;
		}
		if (!rows[index].set) {
			help();
			return 1;
		}
		if (rows[index].set(o, optarg) < 0)
			return -1;
	}
	if (optind != argc - 1) {
		say(optind == argc ? "which recording? causeway decode FILE"
				   : "one recording at a time: causeway decode FILE");
		return -1;
	}
	o->file = argv[optind];
	return 0;
}

// The node that a request is about, or that its reply brought.
static bool names_node(const struct exchange *x, uint64_t node)
{
	struct fuse_entry_out entry;
	bool brings = x->request.opcode == FUSE_LOOKUP ||
		trace_shape(x->request.opcode).flags & FUSE_OP_CREATES;

	if (exchange_in(x).nodeid == node)
		return true;
	if (!brings || x->reply.size < sizeof(struct fuse_out_header) + sizeof(entry))
		return false;
	memcpy(&entry, x->out + sizeof(struct fuse_out_header), sizeof(entry));
	return entry.nodeid == node;
}

static bool has_error(const struct decode_options *o, const struct exchange *x)
{
	int32_t error = exchange_out(x).error;

	if (o->any_error)
		return error != 0;
	return error < 0 && error > -4096 && o->errors[-error];
}

bool decode_wants(const struct decode_options *o, const struct exchange *x)
{
	uint32_t opcode = x->request.opcode;
	bool unanswered = exchange_is_answered(x) && !x->reply.kind;

	if (o->opcodes_given && (opcode >= FUSE_OPCODE_MAX || !o->opcodes[opcode]))
		return false;
	if (o->queue_given && x->request.queue != o->queue)
		return false;
	if (o->node_given && !names_node(x, o->node))
		return false;
	if (o->errors_given && !has_error(o, x))
		return false;
	return o->slower_ns == 0 || unanswered || exchange_latency_ns(x) > o->slower_ns;
}
