// SPDX-License-Identifier: BSD-2-Clause
/*
 * `causeway bench` with servers that answer what they should not: each operation, with each fault
 * that its replies can have, fails with an error and the session goes on; where the ring is broken
 * or nobody answers, the connection is lost with a reason. And that they succeed with a good one.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"
#include "bench/ground.h"
#include "bench/ops.h"
#include "bench/session.h"
#include "bench/stats.h"
#include "forger.h"

#define LOAD_SIZE 65536
#define ROOM ((struct session_room){.queues = 1, .depth = 4, .data = LOAD_SIZE})

enum fault {
	GOOD,
	SHORT,	    /* a byte less than there must be */
	UNIQUE,	    /* the reply to another request */
	LENGTH,	    /* longer in its header than what was written */
	NO_HEADER,  /* shorter than a header */
	POSITIVE,   /* an error above 0 */
	NO_ERRNO,   /* an error that is none */
	NODE_ZERO,  /* entries without a node */
	NODE_ROOT,  /* ... that are the root */
	NODE_OTHER, /* ... that are others than before */
	NAME_LONG,  /* a name that goes on behind the listing */
	NAME_HUGE,
	NAME_EMPTY,
	ENTRY_CUT, /* a listing that ends within an entry */
	FEW,	   /* a listing that ends early */
	ENDLESS,   /* ... never */
	DOTS,	   /* ... of nothing but "." */
	COUNT,	   /* another count of bytes than was written */
	CLAIM,	   /* more than there was room for */
	LEAVE,
	SILENT,
	FAULTS
};

/* Nodes of the file system that is made up: directories that operations work in have small
 * numbers; files follow. */
enum { FILES_NODE = 2, LIST_NODE, WALK_NODE, DATA_NODE, FIRST_FILE = 100, FIRST_ENTRY = 1000 };

static const struct {
	const char *name;
	uint64_t node;
} names[] = {
	{GROUND_FILES_DIR, FILES_NODE},
	{GROUND_LIST_DIR, LIST_NODE},
	{GROUND_WALK_DIR, WALK_NODE},
	{GROUND_DATA_FILE, DATA_NODE},
};

/* Directories of the walk are numbered by their level, so that what is in one follows from its
 * number: WALK_NODE, then 10 to 17, then 20 to 83. */
static unsigned int entries_of(uint64_t dir, bool *of_dirs)
{
	*of_dirs = dir == WALK_NODE || (dir >= 10 && dir < 20);
	if (dir == FILES_NODE)
		return GROUND_FILES;
	return dir == LIST_NODE ? GROUND_LIST : *of_dirs ? GROUND_WALK : 2 * GROUND_WALK;
}

static uint64_t child_of(uint64_t dir, bool of_dirs, unsigned int i)
{
	if (!of_dirs)
		return FIRST_ENTRY + dir * 100 + i;
	return dir == WALK_NODE ? 10 + i : 20 + (dir - 10) * GROUND_WALK + i;
}

static uint64_t lookup(const char *name)
{
	int number;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i].name) == 0)
			return names[i].node;
	}
	return sscanf(name, "f%d", &number) == 1 ? FIRST_FILE + (uint64_t)number : 0;
}

static void reply_entry(enum fault fault, struct forged *f, uint64_t node, size_t size)
{
	struct fuse_create_out out = {.entry = {.nodeid = node}, .open = {.fh = 9}};

	if (fault == NODE_ZERO)
		out.entry.nodeid = 0;
	if (fault == NODE_ROOT)
		out.entry.nodeid = FUSE_ROOT_ID;
	if (fault == NODE_OTHER)
		out.entry.nodeid += 1;
	forge_reply(f, &out, size);
}

static size_t put_entry(enum fault fault, char *at, uint64_t node, uint64_t off, bool dir)
{
	struct fuse_direntplus e = {.entry_out = {.nodeid = node},
		.dirent = {.ino = 7, .off = off, .namelen = 8, .type = dir ? 4 : 8}};
	size_t size = FUSE_DIRENTPLUS_SIZE(&e);

	if (fault == NODE_ROOT)
		e.entry_out.nodeid = FUSE_ROOT_ID;
	if (fault == NAME_LONG)
		e.dirent.namelen = 200;
	if (fault == NAME_HUGE)
		e.dirent.namelen = UINT32_MAX;
	if (fault == NAME_EMPTY)
		e.dirent.namelen = 0;
	memset(at, 0, size);
	memcpy(at, &e, FUSE_NAME_OFFSET_DIRENTPLUS);
	memcpy(at + FUSE_NAME_OFFSET_DIRENTPLUS, "eightlet", 8);
	if (fault == DOTS) {
		((struct fuse_direntplus *)at)->dirent.namelen = 1;
		at[FUSE_NAME_OFFSET_DIRENTPLUS] = '.';
	}
	return size;
}

/* The last faulty entry of a reply is the faulty one, so that nothing behind it hides the fault. */
static void reply_listing(enum fault fault, struct forged *f)
{
	const struct fuse_read_in *in = (const void *)f->args;
	static char listing[4096];
	uint64_t i = in->offset;
	unsigned int entries;
	bool of_dirs;
	size_t len = 0;

	entries = entries_of(f->in.nodeid, &of_dirs);
	if (fault == FEW)
		entries--;
	for (; (i < entries || fault == ENDLESS || fault == DOTS) && len + 200 < in->size; i++) {
		bool last = i + 1 == entries || len + 400 >= in->size;

		len += put_entry(last || fault == DOTS ? fault : GOOD, listing + len,
			child_of(f->in.nodeid, of_dirs, (unsigned int)i), i + 1, of_dirs);
	}
	if (fault == ENTRY_CUT && len > 0)
		len -= 8;
	forge_reply(f, listing, len);
}

static void reply_count(enum fault fault, struct forged *f)
{
	const struct fuse_write_in *in = (const void *)f->args;
	struct fuse_write_out out = {.size = in->size - (fault == COUNT)};

	forge_reply(f, &out, sizeof(out));
}

static void reply_good(enum fault fault, struct forged *f)
{
	static char bytes[LOAD_SIZE];
	const struct fuse_read_in *read = (const void *)f->args;
	struct fuse_open_out open = {.fh = 9};
	struct fuse_attr_out attr = {.attr = {.mode = 0100644}};
	uint64_t node;

	switch (f->in.opcode) {
	case FUSE_LOOKUP:
		node = lookup(f->args);
		if (node)
			reply_entry(fault, f, node, sizeof(struct fuse_entry_out));
		else
			forge_error(f, ENOENT);
		break;
	case FUSE_MKDIR:
		reply_entry(fault, f, 90, sizeof(struct fuse_entry_out));
		break;
	case FUSE_CREATE:
		reply_entry(fault, f, 90, sizeof(struct fuse_create_out));
		break;
	case FUSE_GETATTR:
		forge_reply(f, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		forge_reply(f, &open, sizeof(open));
		break;
	case FUSE_READ:
		forge_reply(f, bytes, read->size - (fault == COUNT));
		break;
	case FUSE_WRITE:
		reply_count(fault, f);
		break;
	case FUSE_GETXATTR:
		forge_reply(f, bytes, GROUND_XATTR_SIZE);
		break;
	case FUSE_READDIRPLUS:
		reply_listing(fault, f);
		break;
	default:
		forge_default(f);
	}
}

/* Faults of the reply as a whole. */
static void spoil(enum fault fault, struct forged *f, struct forger *forger)
{
	switch (fault) {
	case SHORT:
		f->reply_len -= f->reply_len > 0;
		f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
		break;
	case UNIQUE:
		f->out.unique++;
		break;
	case LENGTH:
		f->out.len++;
		break;
	case NO_HEADER:
		f->reply_len = 0;
		f->cut = 1;
		break;
	case POSITIVE:
		forge_error(f, -EIO);
		break;
	case NO_ERRNO:
		forge_error(f, 4000);
		break;
	case CLAIM:
		f->claim = LOAD_SIZE;
		break;
	case LEAVE:
		forger_leave(forger);
		break;
	case SILENT:
		f->keep = true;
		break;
	default:
		break;
	}
}

static void forge(struct forger *forger, struct forged *f)
{
	enum fault fault = (enum fault)atomic_load(&forger->fault);

	if (f->in.opcode == FUSE_FORGET)
		return;
	reply_good(fault, f);
	if (f->in.opcode != FUSE_INIT || fault != SILENT)
		spoil(fault, f, forger);
}

static struct forger *forger;
static struct session session;
/* Of what is shared the host sees one empty file. */
static struct ground ground;

static int make_ground(void **state)
{
	ground.path = strdup("ground.XXXXXX");
	if (!mkdtemp(ground.path))
		return -1;
	ground.fd = open(ground.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ground.fd < 0 ? -1 : ground_write_file(ground.fd, GROUND_DATA_FILE, 0);
}

static int remove_ground(void **state)
{
	ground_remove(&ground);
	return 0;
}

static void connect_session(bool polls)
{
	forger = forger_new();
	forger->forge = forge;
	assert_int_equal(session_open(&session, forger_start(forger), &ROOM), 0);
	session.wire.polls = polls;
	session.ground = &ground;
}

static void end_session(void)
{
	session_close(&session);
	forger_end(forger);
	bench_stop = false;
}

static int load(const struct load *load, uint64_t *operations)
{
	static struct histogram h;
	struct load_run run = {.load = load, .limit_ns = 1, .latency = &h};
	int r = load_run(&session, &run);

	*operations = run.operations;
	return r;
}

static const struct load loads[] = {
	{.size = 4096, .depth = 1, .queues = 1},
	{.random = true, .size = LOAD_SIZE, .depth = 4, .queues = 1},
	{.writes = true, .size = 4096, .depth = 4, .queues = 1},
};

static const struct operation *operation(const char *name)
{
	for (unsigned int i = 0; i < noperations; i++) {
		if (strcmp(operation_table[i].name, name) == 0)
			return &operation_table[i];
	}
	fail_msg("no operation %s", name);
	return NULL;
}

static void test_good(void **state)
{
	uint64_t done;

	for (int polls = 0; polls < 2; polls++) {
		connect_session(polls);
		for (unsigned int i = 0; i < noperations; i++) {
			const struct operation *op = &operation_table[i];

			/* It takes long, and is one that is there with less. */
			if (op->cold)
				continue;
			assert_true(op->prepare(&session) >= 0);
			for (int n = 0; n < 3; n++) {
				int r = op->before ? op->before(&session) : 0;

				if (r >= 0)
					r = op->step(&session);
				if (r < 0)
					fail_msg("%s: %s", op->name, strerror(-r));
			}
			assert_int_equal(session_let_go(&session), 0);
		}
		for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
			assert_int_equal(load_prepare(&session, &loads[i]), 0);
			assert_int_equal(load(&loads[i], &done), 0);
			assert_true(done >= loads[i].depth);
			assert_int_equal(session_let_go(&session), 0);
		}
		assert_null(session.wire.lost);
		end_session();
	}
}

/* What has no room for a fault succeeds with it. */
static const struct {
	const char *op;
	enum fault first, last;
} faults[] = {
	{"getattr", SHORT, NO_ERRNO},
	{"getattr-fsync", SHORT, NO_ERRNO},
	{"getattr-read", SHORT, NO_ERRNO},
	{"lookup", SHORT, NODE_OTHER},
	{"lookup-forget", SHORT, NODE_ROOT},
	{"open-release", SHORT, NO_ERRNO},
	{"create-unlink", SHORT, NODE_ROOT},
	{"mkdir-rmdir", SHORT, NODE_ROOT},
	{"rename", UNIQUE, NO_ERRNO},
	{"list-2000", UNIQUE, NO_ERRNO},
	{"list-2000", NODE_ROOT, NODE_ROOT},
	{"list-2000", NAME_LONG, DOTS},
	{"walk", NODE_ROOT, NODE_ROOT},
	{"walk", NAME_LONG, DOTS},
	{"small-file", SHORT, NODE_OTHER},
	{"small-file", COUNT, COUNT},
	{"fsync", SHORT, NO_ERRNO},
	{"fsync", COUNT, COUNT},
	{"getxattr", SHORT, NO_ERRNO},
	{"setxattr", UNIQUE, NO_ERRNO},
};

static void one_fault(const struct operation *op, enum fault fault)
{
	int r;

	atomic_store(&forger->fault, GOOD);
	assert_true(op->prepare(&session) >= 0);
	atomic_store(&forger->fault, fault);
	r = op->step(&session);
	/* Without a node LOOKUP says that there is nothing. */
	if (r != -EPROTO && (fault != NODE_ZERO || r != -ENOENT))
		fail_msg("%s with fault %d: %d", op->name, fault, r);
	atomic_store(&forger->fault, GOOD);
	assert_int_equal(session_let_go(&session), 0);
	assert_null(session.wire.lost);
}

static void test_faults(void **state)
{
	connect_session(false);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		for (enum fault fault = faults[i].first; fault <= faults[i].last; fault++)
			one_fault(operation(faults[i].op), fault);
	}
	end_session();
}

static void test_faults_of_loads(void **state)
{
	static const enum fault wrong[] = {
		SHORT, UNIQUE, LENGTH, NO_HEADER, POSITIVE, NO_ERRNO, COUNT};
	uint64_t done;
	int r;

	connect_session(true);
	for (size_t i = 0; i < ARRAY_SIZE(loads) * ARRAY_SIZE(wrong); i++) {
		const struct load *l = &loads[i / ARRAY_SIZE(wrong)];

		assert_int_equal(load_prepare(&session, l), 0);
		atomic_store(&forger->fault, wrong[i % ARRAY_SIZE(wrong)]);
		r = load(l, &done);
		if (r != -EPROTO)
			fail_msg("load %zu with fault %d: %d", i / ARRAY_SIZE(wrong),
				wrong[i % ARRAY_SIZE(wrong)], r);
		atomic_store(&forger->fault, GOOD);
		assert_int_equal(session_let_go(&session), 0);
	}
	assert_null(session.wire.lost);
	end_session();
}

/* What the session does not survive. */
static void test_lost(void **state)
{
	static const struct {
		enum fault fault;
		const char *words;
	} ends[] = {
		{CLAIM, "more was written than there was room for"},
		{LEAVE, "it ended the connection"},
		{SILENT, "stopped"},
	};
	const struct operation *op = operation("getattr");
	uint64_t done;

	for (size_t i = 0; i < 4 * ARRAY_SIZE(ends); i++) {
		bool with_load = i & 1;
		int r = 0;

		connect_session(i & 2);
		assert_int_equal(with_load ? load_prepare(&session, &loads[1]) :
					     op->prepare(&session), 0);
		atomic_store(&forger->fault, ends[i / 4].fault);
		bench_stop = ends[i / 4].fault == SILENT;
		/* One that leaves may answer before. */
		for (int n = 0; n < 1000000 && r >= 0; n++)
			r = with_load ? load(&loads[1], &done) : op->step(&session);
		assert_true(r < 0);
		assert_non_null(session.wire.lost);
		if (!strstr(session.wire.lost, ends[i / 4].words) && !(with_load && bench_stop))
			fail_msg("'%s' says nothing of '%s'", session.wire.lost, ends[i / 4].words);
		/* Nothing hangs from then on. */
		assert_true(op->step(&session) < 0);
		session_let_go(&session);
		end_session();
	}
}

static enum fault init_fault;

static void forge_init(struct forger *of, struct forged *f)
{
	struct fuse_init_out out = {.major = 7, .minor = 45, .max_write = 65536};

	if (init_fault == NO_ERRNO)
		out.major = 8;
	if (init_fault == COUNT)
		out.minor = 30;
	if (init_fault == CLAIM)
		out.flags = FUSE_POSIX_ACL;
	forge_reply(f, &out, init_fault == SHORT ? sizeof(out) - 1 : sizeof(out));
}

static void test_init(void **state)
{
	static const enum fault wrong[] = {SHORT, NO_ERRNO, COUNT, CLAIM};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		init_fault = wrong[i];
		forger = forger_new();
		forger->forge = forge_init;
		assert_true(session_open(&session, forger_start(forger), &ROOM) < 0);
		assert_non_null(strstr(session.wire.lost, "its reply to INIT"));
		forger_end(forger);
	}
}

/* A server that opens nothing is asked once, and read from all the same. */
static void forge_no_open(struct forger *of, struct forged *f)
{
	if (f->in.opcode == FUSE_OPEN || f->in.opcode == FUSE_OPENDIR)
		forge_error(f, ENOSYS);
	else if (f->in.opcode == FUSE_RELEASE || f->in.opcode == FUSE_RELEASEDIR)
		forge_error(f, EBADF);
	else
		forge(of, f);
}

static void test_no_open(void **state)
{
	static const char *const ops[] = {"small-file", "list-2000", "fsync"};

	connect_session(true);
	end_session();
	forger = forger_new();
	forger->forge = forge_no_open;
	assert_int_equal(session_open(&session, forger_start(forger), &ROOM), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		const struct operation *op = operation(ops[i]);

		assert_true(op->prepare(&session) >= 0);
		assert_true(op->step(&session) >= 0);
		assert_true(op->step(&session) >= 0);
		assert_int_equal(session_let_go(&session), 0);
	}
	assert_int_equal(atomic_load(&forger->requests[FUSE_OPEN]), 1);
	assert_int_equal(atomic_load(&forger->requests[FUSE_OPENDIR]), 1);
	assert_int_equal(operation("open-release")->prepare(&session), 0);
	assert_int_equal(operation("open-release")->step(&session), -ENOSYS);
	assert_int_equal(session_let_go(&session), 0);
	end_session();
}

/* More queues or larger requests than a server has are refused before anything is sent. */
static void test_limits(void **state)
{
	const struct load wide = {.size = 4096, .depth = 1, .queues = 17};
	const struct load large = {.size = LOAD_SIZE + 4096, .depth = 1, .queues = 1};

	connect_session(false);
	assert_int_equal(load_prepare(&session, &wide), -EOPNOTSUPP);
	assert_int_equal(load_prepare(&session, &large), -EMSGSIZE);
	assert_int_equal(atomic_load(&forger->requests[FUSE_LOOKUP]), 0);
	end_session();
}

static int set_names(void **state)
{
	for (int i = 0; i < GROUND_FILES; i++)
		snprintf(ground_files[i], sizeof(ground_files[i]), "f%03d", i);
	return 0;
}

static int prepare(void **state)
{
	return set_names(state) ? -1 : make_ground(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_faults_of_loads),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_no_open),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, prepare, remove_ground);
}
