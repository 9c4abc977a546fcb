// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * The client's connection and requests, against a back-end whose replies are made up: forged
 * replies are told from good ones, a lost back-end fails every call, and threads share queues.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "causeway.h"
#include "forger.h"

struct world {
	struct forger *forger;
	struct causeway *c;
	int before;
};

static void forge_plain(struct forger *forger, struct forged *f)
{
	forge_default(f);
}

/* A client that is connected to a forger, with options as pairs of words, or not yet. */
static struct world *prepare(void (*forge)(struct forger *, struct forged *),
	const char *const *options)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->before = unit_open_fds();
	w->forger = forger_new();
	w->forger->forge = forge;
	w->c = causeway_new();
	for (; options && *options; options += 2)
		assert_int_equal(causeway_set(w->c, options[0], options[1]), 0);
	return w;
}

static int connect_world(struct world *w)
{
	int sock = forger_start(w->forger);
	int r = causeway_connect_fd(w->c, sock);

	close(sock);
	return r;
}

static struct world *start(void (*forge)(struct forger *, struct forged *),
	const char *const *options)
{
	struct world *w = prepare(forge, options);

	assert_int_equal(connect_world(w), 0);
	return w;
}

static void finish(struct world *w)
{
	causeway_free(w->c);
	forger_end(w->forger);
	assert_int_equal(unit_open_fds(), w->before);
	free(w);
}

/* A GETATTR by hand. */
static int getattr(struct causeway *c, unsigned int queue, unsigned int flags, uint32_t *written)
{
	struct {
		struct fuse_in_header head;
		struct fuse_getattr_in args;
	} in = {.head = {.len = sizeof(in), .opcode = FUSE_GETATTR, .unique = 4242, .nodeid = 1}};
	struct fuse_out_header out;
	char reply[128];
	struct iovec out_iov[2] = {{&out, sizeof(out)}, {reply, sizeof(reply)}};
	struct causeway_raw raw = {
		.in = &(struct iovec){&in, sizeof(in)},
		.nin = 1,
		.out = out_iov,
		.nout = 2,
		.queue = queue,
		.flags = flags,
	};
	int r = causeway_raw(c, &raw);

	if (written)
		*written = raw.written;
	return r;
}

static void test_connects(void **state)
{
	static const char *const options[] = {"queues", "5", "regions", "8", NULL};
	struct world *w = start(forge_plain, options);
	uint64_t value;

	assert_int_equal(causeway_get(w->c, "queues", &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(causeway_get(w->c, "minor", &value), 0);
	assert_int_equal(value, 45);
	assert_int_equal(causeway_get(w->c, "max-data", &value), 0);
	assert_int_equal(value, 65536);
	assert_int_equal(causeway_get(w->c, "nothing", &value), -ENOENT);
	assert_string_equal(causeway_error(w->c), "there is no property 'nothing'");
	assert_int_equal(causeway_set(w->c, "queues", "2"), -EISCONN);
	assert_int_equal(causeway_connect(w->c, "/x"), -EISCONN);
	for (unsigned int queue = 0; queue <= 5; queue++)
		assert_int_equal(getattr(w->c, queue, 0, NULL), 0);
	assert_int_equal(getattr(w->c, 6, 0, NULL), -EINVAL);
	assert_string_equal(causeway_error(w->c), "there is no queue 6; the last is 5");
	assert_int_equal(w->forger->requests[FUSE_INIT], 1);
	finish(w);
}

static void test_options(void **state)
{
	static const struct {
		const char *option, *value, *text;
		int r;
	} bad[] = {
		{"queues", "0", "queues=0: it must be from 1 to 64", -ERANGE},
		{"queues", "65", "queues=65: it must be from 1 to 64", -ERANGE},
		{"queues", "two", "queues=two: that is no number", -EINVAL},
		{"queues", "-1", "queues=-1: that is no number", -EINVAL},
		{"queues", "1x", "queues=1x: that is no number", -EINVAL},
		{"queues", "", "queues=: that is no number", -EINVAL},
		{"queue-size", "48", "queue-size=48: it must be a power of two", -EINVAL},
		{"memory", "4096", "memory=4096: it must be from 1048576 to 1099511627776", -ERANGE},
		{"minor", "30", "minor=30: it must be from 31 to 45", -ERANGE},
		{"shape", "round", "there is no option 'shape'", -ENOENT},
	};
	struct causeway *c = causeway_new(), *other = causeway_new();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(causeway_set(c, bad[i].option, bad[i].value), bad[i].r);
		assert_string_equal(causeway_error(c), bad[i].text);
	}
	assert_string_equal(causeway_error(other), "");
	assert_int_equal(getattr(c, 1, 0, NULL), -ENOTCONN);
	assert_string_equal(causeway_error(c), "not connected");
	causeway_free(other);
	causeway_free(c);
	causeway_free(NULL);
}

/* What a back-end may say to INIT that is wrong. */
enum { TOO_OLD, MAJOR_8, INIT_SHORT, INIT_EMPTY, EXTRA_FLAGS, INIT_ERROR, INIT_FAULTS };

static void forge_init(struct forger *forger, struct forged *f)
{
	struct fuse_init_out *out = (void *)f->reply;

	if (!forge_default(f) || f->in.opcode != FUSE_INIT)
		return;
	switch (forger->fault) {
	case TOO_OLD:
		out->minor = 30;
		break;
	case MAJOR_8:
		out->major = 8;
		break;
	case INIT_SHORT:
		forge_reply(f, f->reply, 24);
		break;
	case INIT_EMPTY:
		forge_reply(f, f->reply, 0);
		break;
	case EXTRA_FLAGS:
		out->flags |= FUSE_WRITEBACK_CACHE;
		break;
	default:
		forge_error(f, EPROTO);
	}
}

static void test_init(void **state)
{
	static const char *const texts[INIT_FAULTS] = {
		[TOO_OLD] = "the back-end speaks FUSE 7.30; 7.31 is the oldest that will do",
		[MAJOR_8] = "the back-end speaks FUSE 8.45; 7.31 is the oldest that will do",
		[INIT_SHORT] = "the back-end's reply to INIT is malformed: it is too short",
		[INIT_EMPTY] = "the back-end's reply to INIT is malformed: it is too short",
		[EXTRA_FLAGS] = "the back-end turns on what was not offered: flags 0x10000",
		[INIT_ERROR] = "INIT: Protocol error",
	};

	for (int fault = 0; fault < INIT_FAULTS; fault++) {
		struct world *w = prepare(forge_init, NULL);

		w->forger->fault = fault;
		assert_int_equal(connect_world(w), -EPROTO);
		assert_string_equal(causeway_error(w->c), texts[fault]);
		finish(w);
	}
}

/* What a back-end may do to a reply's header. */
enum { GOOD, UNIQUE, LONG, TINY, POSITIVE, BIG_ERROR, CUT_HEADER, CUT_REPLY, EMPTY, REPLY_FAULTS };

static void forge_header(struct forger *forger, struct forged *f)
{
	if (forge_default(f))
		return;
	forge_reply(f, f->reply, 104);
	switch (forger->fault) {
	case UNIQUE:
		f->out.unique++;
		break;
	case LONG:
		f->out.len++;
		break;
	case TINY:
		f->out.len = 3;
		break;
	case POSITIVE:
		f->out.error = 1;
		break;
	case BIG_ERROR:
		f->out.error = -512;
		break;
	case CUT_HEADER:
		f->cut = 104 + 1;
		break;
	case CUT_REPLY:
		f->cut = 1;
		break;
	case EMPTY:
		f->cut = 104 + sizeof(f->out);
		break;
	default:
		break;
	}
}

static void test_reply_headers(void **state)
{
	struct world *w = start(forge_header, NULL);

	for (int fault = GOOD; fault < REPLY_FAULTS; fault++) {
		uint32_t written;

		w->forger->fault = fault;
		assert_int_equal(getattr(w->c, 1, 0, &written), fault ? -EPROTO : 0);
		/* Whoever sends as it is looks for himself. */
		assert_int_equal(getattr(w->c, 1, CAUSEWAY_RAW_AS_IS, &written), 0);
		assert_int_equal(written, fault == CUT_HEADER ? 15 :
				fault == CUT_REPLY            ? 119 :
				fault == EMPTY                ? 0 :
								      120);
	}
	finish(w);
}

static void forge_seen(struct forger *forger, struct forged *f)
{
	if (forge_default(f))
		return;
	/* The reply is the request's header. */
	forge_reply(f, &f->in, sizeof(f->in));
}

/* Lies of a program reach the back-end as they are, or are mended. */
static void test_strictness(void **state)
{
	struct world *w = start(forge_seen, NULL);
	struct fuse_in_header in = {
		.len = 99, .opcode = 77, .unique = 3, .nodeid = 5, .uid = 6, .gid = 7, .pid = 8};
	struct {
		struct fuse_out_header head;
		struct fuse_in_header seen;
	} out;
	struct causeway_raw raw = {
		.in = &(struct iovec){&in, sizeof(in)},
		.nin = 1,
		.out = &(struct iovec){&out, sizeof(out)},
		.nout = 1,
		.queue = 1,
		.flags = CAUSEWAY_RAW_AS_IS,
	};

	assert_int_equal(causeway_raw(w->c, &raw), 0);
	assert_memory_equal(&out.seen, &in, sizeof(in));
	raw.flags = 0;
	assert_int_equal(causeway_raw(w->c, &raw), 0);
	assert_int_equal(out.seen.len, sizeof(in));
	assert_int_not_equal(out.seen.unique, 3);
	assert_int_equal(out.seen.pid, 8);
	raw.nin = 0;
	assert_int_equal(causeway_raw(w->c, &raw), -EINVAL);
	assert_string_equal(causeway_error(w->c),
		"the first vector has no struct fuse_in_header");
	raw.nin = 16;
	assert_int_equal(causeway_raw(w->c, &raw), -EINVAL);
	finish(w);
}

/* A device that claims more than there was room for has broken its queue, and the connection. */
static void forge_claim(struct forger *forger, struct forged *f)
{
	if (!forge_default(f))
		f->claim = 1000;
}

static void test_broken_ring(void **state)
{
	struct world *w = start(forge_claim, NULL);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(getattr(w->c, i == 1 ? 0 : 1, 0, NULL), -ENOTCONN);
		assert_string_equal(causeway_error(w->c),
			"the back-end broke queue 1: more was written than there was room for");
	}
	finish(w);
}

static void forge_silence(struct forger *forger, struct forged *f)
{
	if (!forge_default(f))
		f->keep = true;
}

struct call {
	struct world *w;
	unsigned int queue;
	pthread_t thread;
	int result;
	char text[100];
};

static void *one_call(void *arg)
{
	struct call *call = arg;

	call->result = getattr(call->w->c, call->queue, 0, NULL);
	snprintf(call->text, sizeof(call->text), "%s", causeway_error(call->w->c));
	return NULL;
}

/* The back-end goes while calls wait on every queue, several on each, asleep or polling. */
static void lost(const char *spin)
{
	const char *const options[] = {"queues", "2", "spin-us", spin, NULL};
	struct world *w = start(forge_silence, options);
	struct call calls[9];

	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i] = (struct call){.w = w, .queue = i % 3};
		assert_int_equal(pthread_create(&calls[i].thread, NULL, one_call, &calls[i]), 0);
	}
	while (atomic_load(&w->forger->nkept) < ARRAY_SIZE(calls))
		sched_yield();
	forger_leave(w->forger);
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		pthread_join(calls[i].thread, NULL);
		/* A ring that is stopped returns what it held, empty. */
		assert_true(calls[i].result == -ENOTCONN || calls[i].result == -EPROTO);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(getattr(w->c, 1, 0, NULL), -ENOTCONN);
		assert_string_equal(causeway_error(w->c), "the back-end has ended the connection");
	}
	finish(w);
}

static void test_lost(void **state)
{
	lost("0");
	lost("1000");
	lost("4294967295");
}

/* Threads share queues that are smaller than what they ask, and memory too. */
static void *many_calls(void *arg)
{
	struct call *call = arg;

	for (int i = 0; i < 2000; i++)
		must(getattr(call->w->c, (call->queue + (unsigned int)i) % 3, 0, NULL) == 0);
	return NULL;
}

static void threads(const char *spin, const char *indirect, const char *event_idx)
{
	const char *const options[] = {"queues", "2", "queue-size", "4", "memory", "1048576",
		"spin-us", spin, "indirect", indirect, "event-idx", event_idx, NULL};
	struct world *w = start(forge_plain, options);
	struct call calls[8];

	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i] = (struct call){.w = w, .queue = i};
		assert_int_equal(pthread_create(&calls[i].thread, NULL, many_calls, &calls[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++)
		pthread_join(calls[i].thread, NULL);
	assert_int_equal(w->forger->requests[FUSE_GETATTR], 8 * 2000);
	finish(w);
}

static void test_threads(void **state)
{
	threads("0", "1", "1");
	threads("0", "0", "0");
	threads("50", "1", "0");
	threads("50", "0", "1");
}

/* Forgets take their time here, so that a DESTROY that does not wait for them is seen to come. */
static void forge_forgetful(struct forger *forger, struct forged *f)
{
	struct fuse_entry_out entry = {.nodeid = 5, .attr = {.ino = 5, .mode = S_IFREG}};

	if (f->in.opcode == FUSE_BATCH_FORGET) {
		forger->noted = 1;
		usleep(100 * 1000);
		forger->noted = 2;
	} else if (f->in.opcode == FUSE_DESTROY) {
		forger->fault = forger->noted == 1;
	} else if (f->in.opcode == FUSE_LOOKUP) {
		forge_reply(f, &entry, sizeof(entry));
	} else if (!forge_default(f)) {
		forge_error(f, ENOSYS);
	}
}

static void test_forgets_before_the_end(void **state)
{
	struct world *w = start(forge_forgetful, NULL);

	/* Forgets gather until they are 64. */
	for (int i = 0; i < 64; i++)
		assert_int_equal(causeway_access(w->c, NULL, "name", F_OK, 0), 0);
	causeway_free(w->c);
	assert_int_equal(w->forger->requests[FUSE_DESTROY], 1);
	assert_int_equal(w->forger->noted, 2);
	assert_int_equal(w->forger->fault, 0);
	w->c = NULL;
	finish(w);
}

/* A name that leads to another node each time that it is asked for; the first so many are gone when
 * they are used. */
static void forge_replaced(struct forger *forger, struct forged *f)
{
	struct fuse_entry_out entry = {.entry_valid = 100, .attr = {.mode = S_IFREG}};

	if (f->in.opcode == FUSE_LOOKUP) {
		entry.nodeid = entry.attr.ino = 5 + atomic_fetch_add(&forger->noted, 1);
		forge_reply(f, &entry, sizeof(entry));
	} else if (f->in.nodeid >= 5 && f->in.nodeid < 5 + (uint64_t)forger->fault &&
		f->in.opcode != FUSE_FORGET && f->in.opcode != FUSE_BATCH_FORGET) {
		forge_error(f, ESTALE);
	} else if (f->in.opcode == FUSE_OPEN) {
		forge_reply(f, &(struct fuse_open_out){.fh = 1}, sizeof(struct fuse_open_out));
	} else if (!forge_default(f)) {
		forge_error(f, f->in.opcode == FUSE_RELEASE ? 0 : ENOSYS);
	}
}

static void test_replaced(void **state)
{
	const char *const always[] = {"cache", "always", NULL};

	for (int gone = 0; gone < 3; gone++) {
		struct world *w = prepare(forge_replaced, always);
		struct causeway_file *file;
		int want = gone < 2 ? 0 : -ESTALE;

		w->forger->fault = gone;
		assert_int_equal(connect_world(w), 0);
		assert_int_equal(causeway_open(w->c, NULL, "name", O_RDONLY, 0, &file), want);
		assert_int_equal(w->forger->requests[FUSE_LOOKUP], gone ? 2 : 1);
		assert_int_equal(w->forger->requests[FUSE_OPEN], gone ? 2 : 1);
		if (file)
			causeway_close(file);
		finish(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connects),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_reply_headers),
		cmocka_unit_test(test_strictness),
		cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_forgets_before_the_end),
		cmocka_unit_test(test_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
