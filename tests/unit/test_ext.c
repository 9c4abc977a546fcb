// SPDX-License-Identifier: BSD-2-Clause
/* Extensions of requests that create: groups and labels, honest and forged. */
#include "unit.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fuse_client.h"

#define ROOM  4096
#define BOTH  (FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP)
#define LABEL "security.selinux"

static struct fuse_client c;

/* A request in the making: names, then extensions. */
static char bytes[16384];
static size_t used, names;

static int setup(void **state)
{
	struct fuse_config config = fc_config("auto");

	config.xattr = true;
	config.security_label = FUSE_WHEN_AUTO;
	log_open("test", LOG_OFF);
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	assert_string_equal(fc_calls(), "reset;");
	return 0;
}

static int teardown(void **state)
{
	fc_close(&c);
	return 0;
}

static void put(const void *p, size_t len)
{
	assert_true(used + len <= sizeof(bytes));
	memcpy(bytes + used, p, len);
	used += len;
}

static void put32(uint32_t value)
{
	put(&value, sizeof(value));
}

/* Starts a request with these bytes of names. */
static void begin(const char *text, size_t len)
{
	used = 0;
	put(text, len);
	names = used;
}

static void head(uint32_t size, uint32_t type)
{
	put32(size);
	put32(type);
}

static void pad(void)
{
	while ((used - names) % 8)
		put("", 1);
}

static void groups(uint32_t n, const uint32_t *list)
{
	head((uint32_t)FUSE_REC_ALIGN(8 + 4 + 4 * n), FUSE_EXT_GROUPS);
	put32(n);
	put(list, 4 * n);
	pad();
}

/* One label; size is what the structure says of the value. */
static void label(const char *name, const char *value, uint32_t size)
{
	head(size, 0);
	put(name, strlen(name) + 1);
	put(value, strlen(value));
	pad();
}

/* A header whose size is known only at the end; where it stands. */
static size_t open_labels(uint32_t n)
{
	size_t at = used;

	head(0, n);
	return at;
}

static void close_labels(size_t at)
{
	uint32_t size = (uint32_t)(used - at);

	memcpy(bytes + at, &size, sizeof(size));
}

static int send(uint32_t opcode, uint16_t total_extlen)
{
	int r;

	c.in.total_extlen = total_extlen;
	r = fc_send(&c, opcode, bytes, used, ROOM);
	c.in.total_extlen = 0;
	return r;
}

/* With the length that there is. */
static int send_all(uint32_t opcode)
{
	return send(opcode, (uint16_t)((used - names) / 8));
}

/* SYMLINK, which has no structure before its names, and room for the longest of them. */
#define SYMLINK(text) begin(text, sizeof(text))
#define accepted(result, calls)                                                                    \
	do {                                                                                       \
		assert_int_equal(result, sizeof(struct fuse_entry_out));                           \
		assert_string_equal(fc_calls(), calls);                                            \
	} while (0)
#define refused(result)                                                                            \
	do {                                                                                       \
		assert_int_equal(result, -EINVAL);                                                 \
		assert_string_equal(fc_calls(), "");                                               \
	} while (0)

static void test_groups(void **state)
{
	static const uint32_t many[FS_GROUPS_MAX + 1] = {1, 2, 3, UINT32_MAX};

	SYMLINK("n\0to");
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0;");
	groups(1, many + 1);
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0 +2;");
	SYMLINK("n\0to");
	groups(0, many);
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0;");
	SYMLINK("n\0to");
	groups(4, many);
	accepted(send_all(FUSE_SYMLINK),
		"symlink 1 n -> to by 11:22 umask 0 +1 +2 +3 +4294967295;");
	/* What one request says is gone with it. */
	SYMLINK("n\0to");
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0;");
	SYMLINK("n\0to");
	groups(FS_GROUPS_MAX, many);
	assert_true(send_all(FUSE_SYMLINK) > 0);
	fc_calls();
	SYMLINK("n\0to");
	groups(FS_GROUPS_MAX + 1, many);
	refused(send_all(FUSE_SYMLINK));
}

static void test_labels(void **state)
{
	size_t at;

	SYMLINK("n\0to");
	at = open_labels(1);
	label(LABEL, "a:b:c", 5);
	close_labels(at);
	accepted(send_all(FUSE_SYMLINK),
		"symlink 1 n -> to by 11:22 umask 0 security.selinux=a:b:c;");
	/* Before Linux 6.3 the header says nothing of them. */
	accepted(send(FUSE_SYMLINK, 0),
		"symlink 1 n -> to by 11:22 umask 0 security.selinux=a:b:c;");
	/* Beside groups, in either order. */
	groups(1, (uint32_t[]){7});
	accepted(send_all(FUSE_SYMLINK),
		"symlink 1 n -> to by 11:22 umask 0 +7 security.selinux=a:b:c;");
	SYMLINK("n\0to");
	groups(1, (uint32_t[]){7});
	at = open_labels(2);
	label(LABEL, "", 0);
	label("security.x", "12345678", 8);
	close_labels(at);
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0 +7 "
					 "security.selinux= security.x=12345678;");
	/* A module that has none says so. */
	SYMLINK("n\0to");
	head(8, 0);
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0;");
	accepted(send(FUSE_SYMLINK, 0), "symlink 1 n -> to by 11:22 umask 0;");
}

/* As many as the protocol has numbers for. */
static void test_many_labels(void **state)
{
	size_t at;

	for (uint32_t n = FUSE_MAX_NR_SECCTX; n <= FUSE_MAX_NR_SECCTX + 1; n++) {
		SYMLINK("n\0to");
		at = open_labels(n);
		for (uint32_t i = 0; i < n; i++)
			label(LABEL, "value", 5);
		close_labels(at);
		if (n > FUSE_MAX_NR_SECCTX) {
			refused(send_all(FUSE_SYMLINK));
			continue;
		}
		assert_true(send_all(FUSE_SYMLINK) > 0);
		fc_calls();
	}
}

/* Operations with a structure before their names; all that create take extensions. */
static void test_operations(void **state)
{
	static const struct {
		uint32_t opcode;
		size_t fixed;
		const char *calls;
	} creating[] = {
		{FUSE_MKNOD, sizeof(struct fuse_mknod_in),
			"mknod 1 n mode 0 dev 0:0 by 11:22 umask 0 +7;"},
		{FUSE_MKDIR, sizeof(struct fuse_mkdir_in), "mkdir 1 n mode 0 by 11:22 umask 0 +7;"},
		{FUSE_CREATE, sizeof(struct fuse_create_in),
			"create 1 n mode 0 flags 0 by 11:22 umask 0 +7;"},
		{FUSE_TMPFILE, sizeof(struct fuse_create_in),
			"create 1 - mode 0 flags 0 by 11:22 umask 0 +7;"},
	};
	char args[64] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(creating); i++) {
		used = 0;
		put(args, creating[i].fixed);
		put("n", 2);
		names = used;
		groups(1, (uint32_t[]){7});
		assert_true(send_all(creating[i].opcode) > 0);
		assert_string_equal(fc_calls(), creating[i].calls);
	}
	/* Those that do not create have none, whatever they say. */
	begin("n", 2);
	groups(1, (uint32_t[]){7});
	refused(send_all(FUSE_LOOKUP));
	refused(send(FUSE_LOOKUP, 0));
	refused(send_all(FUSE_UNLINK));
	used = names = sizeof(struct fuse_write_in);
	memset(bytes, 0, used);
	groups(1, (uint32_t[]){7});
	refused(send_all(FUSE_WRITE));
	used = sizeof(struct fuse_getattr_in);
	memset(bytes, 0, used);
	refused(send(FUSE_GETATTR, 1));
}

/* Only what INIT agreed to. */
static void test_not_agreed(void **state)
{
	atomic_store(&c.se.flags, FUSE_SECURITY_CTX);
	SYMLINK("n\0to");
	groups(1, (uint32_t[]){7});
	refused(send_all(FUSE_SYMLINK));
	atomic_store(&c.se.flags, FUSE_CREATE_SUPP_GROUP);
	accepted(send_all(FUSE_SYMLINK), "symlink 1 n -> to by 11:22 umask 0 +7;");
	/* What the header does not tell of are labels. */
	refused(send(FUSE_SYMLINK, 0));
	atomic_store(&c.se.flags, BOTH);
	refused(send(FUSE_SYMLINK, 0));
	atomic_store(&c.se.flags, FUSE_CREATE_SUPP_GROUP);
	SYMLINK("n\0to");
	head(8, 0);
	refused(send_all(FUSE_SYMLINK));
	refused(send(FUSE_SYMLINK, 0));
}

/* The header's length against what is there. */
static void test_lengths(void **state)
{
	SYMLINK("n\0to");
	groups(1, (uint32_t[]){7});
	for (uint16_t len = 0; len < 6; len++) {
		if (len == 2)
			continue;
		refused(send(FUSE_SYMLINK, len));
	}
	refused(send(FUSE_SYMLINK, UINT16_MAX));
	/* The extension in the names' place. */
	SYMLINK("n\0to");
	refused(send(FUSE_SYMLINK, 1));
	put("xxxxxxx", 7);
	refused(send(FUSE_SYMLINK, 1));
	refused(send(FUSE_SYMLINK, 0));
	put("x", 1);
	refused(send(FUSE_SYMLINK, 1));
	/* Each cut of a good one. */
	SYMLINK("n\0to");
	groups(2, (uint32_t[]){7, 8});
	for (size_t all = used, cut = names + 1; cut < all; cut++) {
		used = cut;
		refused(send_all(FUSE_SYMLINK));
	}
}

static void test_forged_headers(void **state)
{
	static const struct {
		uint32_t size, type;
	} bad[] = {
		{0, FUSE_EXT_GROUPS}, {7, FUSE_EXT_GROUPS}, {8, FUSE_EXT_GROUPS},
		{15, FUSE_EXT_GROUPS}, {24, FUSE_EXT_GROUPS}, {12, FUSE_EXT_GROUPS},
		{UINT32_MAX, FUSE_EXT_GROUPS}, {UINT32_MAX - 7, FUSE_EXT_GROUPS},
		{16, FUSE_EXT_GROUPS + 1}, {16, UINT32_MAX}, {16, 0}, {16, 1}, {16, 31}, {8, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		SYMLINK("n\0to");
		head(bad[i].size, bad[i].type);
		put32(1);
		put32(7);
		refused(send_all(FUSE_SYMLINK));
	}
	/* More groups than there is room for. */
	for (uint32_t n = 2; n < 5; n++) {
		SYMLINK("n\0to");
		head(16, FUSE_EXT_GROUPS);
		put32(n == 4 ? 0x40000001 : n);
		put32(7);
		refused(send_all(FUSE_SYMLINK));
	}
	/* ... and fewer. */
	SYMLINK("n\0to");
	head(24, FUSE_EXT_GROUPS);
	put32(1);
	put("\0\0\0\0\0\0\0\0\0\0\0", 12);
	refused(send_all(FUSE_SYMLINK));
	/* Each kind twice. */
	SYMLINK("n\0to");
	groups(1, (uint32_t[]){7});
	groups(1, (uint32_t[]){7});
	refused(send_all(FUSE_SYMLINK));
	SYMLINK("n\0to");
	head(8, 0);
	head(8, 0);
	refused(send_all(FUSE_SYMLINK));
	/* One that reaches into the next. */
	SYMLINK("n\0to");
	head(24, FUSE_EXT_GROUPS);
	put32(1);
	put32(7);
	head(8, 0);
	refused(send_all(FUSE_SYMLINK));
}

static void test_forged_labels(void **state)
{
	static const struct {
		const char *name, *value;
		uint32_t size;
	} bad[] = {
		{LABEL, "abc", 4 + 8}, {LABEL, "abc", UINT32_MAX}, {LABEL, "abc", UINT32_MAX - 24},
		{LABEL, "0123456789012345", 3}, {"user.x", "abc", 3}, {"security.", "abc", 3},
		{"", "abc", 3}, {"system.posix_acl_access", "abc", 3}, {"securityx", "abc", 3},
	};
	char name[300];
	size_t at;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		SYMLINK("n\0to");
		at = open_labels(1);
		label(bad[i].name, bad[i].value, bad[i].size);
		close_labels(at);
		refused(send_all(FUSE_SYMLINK));
	}
	/* A name without an end, and one that is too long. */
	SYMLINK("n\0to");
	at = open_labels(1);
	head(0, 0);
	put("security.selinux", 16);
	close_labels(at);
	refused(send_all(FUSE_SYMLINK));
	memset(name, 'x', sizeof(name));
	memcpy(name, "security.", 9);
	for (size_t len = 255; len <= 256; len++) {
		name[len] = '\0';
		SYMLINK("n\0to");
		at = open_labels(1);
		label(name, "abc", 3);
		close_labels(at);
		if (len > 255)
			refused(send_all(FUSE_SYMLINK));
		else
			assert_true(send_all(FUSE_SYMLINK) > 0);
		fc_calls();
		name[len] = 'x';
	}
	/* Fewer labels than the header says, and more. */
	for (uint32_t n = 0; n <= 2; n += 2) {
		SYMLINK("n\0to");
		at = open_labels(n);
		label(LABEL, "abc", 3);
		close_labels(at);
		refused(send_all(FUSE_SYMLINK));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_agreed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_labels, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
