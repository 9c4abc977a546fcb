// SPDX-License-Identifier: BSD-2-Clause

#include "decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tool.h"
#include "base/log.h"
#include "trace/fields.h"
#include "trace/print.h"

struct decoding {
	struct decode_options options;
	struct summary *summary; // or NULL: lines
};

// Payload that was recorded, quoted; begins where structures and names end.
static void print_data(const char *what, const char *bytes, size_t len, size_t from, size_t most)
{
	size_t n = len > from ? len - from : 0;
	char *quoted;

	if (n > most)
		n = most;
	if (n == 0)
		return;
	quoted = malloc(4 * n + 1);
	if (!quoted)
		return;
	printf("    %s \"%s\"%s\n", what, log_quote(quoted, 4 * n + 1, bytes + from, n),
		len - from > n ? "..." : "");
	free(quoted);
}

// Where the payload of a reply begins: words of the version table may come before it.
static size_t payload_at(const struct exchange *x)
{
	size_t words = trace_words_size(x->request.opcode), head = sizeof(struct fuse_out_header);

	return x->reply.kind == RECORD_REPLY_WORDS && x->reply.size >= head + words ? head + words
										    : head;
}

static void print_words(const struct exchange *x, size_t end)
{
	struct vt_reply words;

	if (end < sizeof(struct fuse_out_header) + sizeof(words))
		return;
	memcpy(&words, x->out + sizeof(struct fuse_out_header), sizeof(words));
	printf(", words of epoch %#llx", (unsigned long long)words.epoch);
}

static void print_exchange(const struct decoding *d, const struct exchange *x)
{
	const struct trace_shape shape = trace_shape(x->request.opcode);
	const size_t in_head = sizeof(struct fuse_in_header);
	const size_t out_head = payload_at(x);
	struct fuse_in_header in = exchange_in(x);
	struct fuse_out_header out = exchange_out(x);
	char asked[TRACE_TEXT_MAX], came[TRACE_TEXT_MAX];
	size_t args = x->request.size > in_head ? x->request.size - in_head : 0;
	size_t payload = x->reply.size > out_head ? x->reply.size - out_head : 0;

	trace_print_request(asked, sizeof(asked), &in, x->in + (args ? in_head : 0), args);
	printf("%12.6f q%u %s", (double)x->request.time_ns / 1e9, x->request.queue, asked);
	if (x->reply.kind) {
		trace_print_reply(came, sizeof(came), x->request.opcode, out.error,
			x->reply.length > out_head ? x->reply.length - out_head : 0,
			x->out + (payload ? out_head : 0), payload);
		printf(": %s, in %.1f us", came, (double)exchange_latency_ns(x) / 1000);
		print_words(x, out_head);
	} else if (exchange_is_answered(x)) {
		printf(": no reply");
	}
	printf("\n");
	if (d->options.data && shape.tail == FUSE_TAIL_DATA)
		print_data("sent", x->in, x->request.size,
			in_head + trace_request_size(x->request.opcode), d->options.data);
	if (d->options.data && x->reply.kind && out.error == 0)
		print_data("came", x->out, x->reply.size,
			out_head + trace_reply_size(x->request.opcode), d->options.data);
}

static void each(void *opaque, const struct exchange *x)
{
	struct decoding *d = opaque;

	if (!decode_wants(&d->options, x))
		return;
	if (d->summary)
		summary_add(d->summary, x);
	else
		print_exchange(d, x);
}

int cmd_decode(int argc, char **argv)
{
	struct decoding d;
	int r = decode_options_parse(&d.options, argc, argv);

	if (r != 0)
		return r < 0 ? EXIT_USAGE : 0;
	d.summary = d.options.summary ? summary_new() : NULL;
	r = recording_read(d.options.file, each, &d);
	if (d.summary)
		summary_print(d.summary);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		say("cannot write the output");
		return 1;
	}
	return r < 0 ? 1 : 0;
}
