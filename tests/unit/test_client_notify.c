// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * What a back-end says unasked: the client forgets what it is about, and nothing that makes no
 * sense does harm.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "causeway.h"
#include "forger.h"

#define NODE  100
#define LATER 3600
#define SECONDS 60

/* What STATFS makes the back-end say. */
enum fault { NOTHING, NAME, NAME_ELSEWHERE, INODE, ATTRIBUTES, DELETED, STORED, EPOCH, UNKNOWN,
	NO_NAME, LONG_NAME, CUT, NOT_UNASKED, EMPTY, TOO_LONG };

static struct forger *forger;
static struct causeway *c;

static void say(struct forged *f, int kind, const void *out, size_t len, const char *name)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + len + strlen(name)), .error = kind};

	memcpy(f->notification, &head, sizeof(head));
	memcpy(f->notification + sizeof(head), out, len);
	memcpy(f->notification + sizeof(head) + len, name, strlen(name));
	f->notification_len = head.len;
}

static void say_name(struct forged *f, uint64_t parent, uint32_t len)
{
	const struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = len};

	say(f, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out), "f");
}

static void notify(enum fault fault, struct forged *f)
{
	const struct fuse_notify_inval_inode_out inode = {
		.ino = NODE, .off = fault == ATTRIBUTES ? -1 : 0};
	const struct fuse_notify_delete_out deleted = {
		.parent = FUSE_ROOT_ID, .child = NODE, .namelen = 1};
	const struct fuse_notify_store_out stored = {.nodeid = NODE, .size = 10};
	struct fuse_out_header *head = (void *)f->notification;

	switch (fault) {
	case NAME:
		say_name(f, FUSE_ROOT_ID, 1);
		break;
	case NAME_ELSEWHERE:
		say_name(f, 12345, 1);
		break;
	case NO_NAME:
		say_name(f, FUSE_ROOT_ID, 200);
		break;
	case LONG_NAME:
		say_name(f, FUSE_ROOT_ID, UINT32_MAX);
		break;
	case INODE:
	case ATTRIBUTES:
		say(f, FUSE_NOTIFY_INVAL_INODE, &inode, sizeof(inode), "");
		break;
	case DELETED:
		say(f, FUSE_NOTIFY_DELETE, &deleted, sizeof(deleted), "f");
		break;
	case STORED:
		say(f, FUSE_NOTIFY_STORE, &stored, sizeof(stored), "");
		break;
	case EPOCH:
		say(f, FUSE_NOTIFY_INC_EPOCH, "", 0, "");
		break;
	case UNKNOWN:
		say(f, 77, &inode, sizeof(inode), "");
		break;
	case CUT:
		say(f, FUSE_NOTIFY_INVAL_INODE, &inode, 7, "");
		break;
	case NOT_UNASKED:
		say_name(f, FUSE_ROOT_ID, 1);
		head->unique = 5;
		break;
	case TOO_LONG:
		say_name(f, FUSE_ROOT_ID, 1);
		head->len = 5000;
		break;
	case EMPTY:
		f->notification_len = 1;
		break;
	default:
		break;
	}
}

static void forge(struct forger *fr, struct forged *f)
{
	struct fuse_attr attr = {.ino = NODE, .mode = S_IFREG | 0644, .nlink = 1, .size = 5};
	struct fuse_entry_out entry = {
		.nodeid = NODE, .entry_valid = LATER, .attr_valid = LATER, .attr = attr};
	struct fuse_attr_out out = {.attr_valid = LATER, .attr = attr};

	if (f->in.opcode == FUSE_STATFS) {
		notify((enum fault)atomic_load(&fr->fault), f);
		forge_reply(f, &(struct fuse_statfs_out){.st = {.bsize = 512}},
			sizeof(struct fuse_statfs_out));
	} else if (f->in.opcode == FUSE_LOOKUP) {
		forge_reply(f, &entry, sizeof(entry));
	} else if (f->in.opcode == FUSE_GETATTR) {
		forge_reply(f, &out, sizeof(out));
	} else if (f->in.opcode == FUSE_READ) {
		forge_reply(f, "hello", 5);
	} else if (f->in.opcode == FUSE_OPEN) {
		forge_reply(f, &(struct fuse_open_out){.open_flags = FOPEN_KEEP_CACHE},
			sizeof(struct fuse_open_out));
	} else {
		forge_default(f);
	}
}

static int begin(uint32_t notify_size)
{
	int sock, r;

	forger = forger_new();
	forger->forge = forge;
	forger->notify_size = notify_size;
	sock = forger_start(forger);
	c = causeway_new();
	assert_non_null(c);
	assert_int_equal(causeway_set(c, "queues", "2"), 0);
	r = causeway_connect_fd(c, sock);
	close(sock);
	return r;
}

static void end(void)
{
	causeway_free(c);
	forger_end(forger);
}

static unsigned int asked(uint32_t opcode)
{
	return atomic_load(&forger->requests[opcode]);
}

static void look(struct causeway_file *f)
{
	struct stat st;
	char text[8];

	if (causeway_stat(c, NULL, "f", &st, 0) < 0)
		fail_msg("%s", causeway_error(c));
	assert_int_equal(causeway_pread(f, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "hello", 5);
}

/* Has the back-end say something; one STATFS more is answered when it has been said. */
static void hear(enum fault fault)
{
	struct statvfs st;

	atomic_store(&forger->fault, fault);
	if (causeway_statvfs(c, NULL, "/", &st) < 0)
		fail_msg("%s", causeway_error(c));
	atomic_store(&forger->fault, NOTHING);
}

/* What is asked again after it: requests of one opcode, within a limit for a hang. */
static void forgets(struct causeway_file *f, enum fault fault, uint32_t opcode)
{
	unsigned int before;

	look(f);
	before = asked(opcode);
	look(f);
	assert_int_equal(asked(opcode), before);
	hear(fault);
	for (int i = 0; asked(opcode) == before; i++) {
		if (i == SECONDS * 1000)
			fail_msg("notification %d is not heard", fault);
		usleep(1000);
		look(f);
	}
}

static void test_heard(void **state)
{
	struct causeway_file *f;
	uint64_t queues;

	assert_int_equal(begin(96), 0);
	assert_int_equal(causeway_get(c, "queues", &queues), 0);
	assert_int_equal(queues, 2);
	assert_int_equal(causeway_open(c, NULL, "f", O_RDONLY, 0, &f), 0);
	/* More often than there are buffers. */
	for (int i = 0; i < 20; i++) {
		forgets(f, NAME, FUSE_LOOKUP);
		forgets(f, INODE, FUSE_READ);
	}
	forgets(f, ATTRIBUTES, FUSE_GETATTR);
	forgets(f, DELETED, FUSE_LOOKUP);
	forgets(f, STORED, FUSE_READ);
	forgets(f, EPOCH, FUSE_LOOKUP);
	forgets(f, EPOCH, FUSE_READ);
	causeway_close(f);
	end();
}

static void test_nonsense(void **state)
{
	static const enum fault nonsense[] = {NAME_ELSEWHERE, UNKNOWN, NO_NAME, LONG_NAME, CUT,
		NOT_UNASKED, EMPTY, TOO_LONG};
	struct causeway_file *f;
	unsigned int before;

	assert_int_equal(begin(96), 0);
	assert_int_equal(causeway_open(c, NULL, "f", O_RDONLY, 0, &f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		look(f);
		before = asked(FUSE_LOOKUP) + asked(FUSE_READ) + asked(FUSE_GETATTR);
		hear(nonsense[i]);
		look(f);
		/* The next one that makes sense was said after it. */
		assert_int_equal(asked(FUSE_LOOKUP) + asked(FUSE_READ) + asked(FUSE_GETATTR),
			before);
		forgets(f, NAME, FUSE_LOOKUP);
	}
	causeway_close(f);
	end();
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {1, 15, 65537, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(begin(sizes[i]), -EPROTO);
		assert_non_null(strstr(causeway_error(c), "notifications"));
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heard),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
