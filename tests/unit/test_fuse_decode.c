// SPDX-License-Identifier: BSD-2-Clause
/*
 * Requests of every opcode: how long each may be and how much room its reply needs, what is
 * refused when, and what arrives at the file system.
 */
#include "unit.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fuse_client.h"

#define ROOM 4096

enum { CHANGES = 1, SILENT = 2, DATA = 4 };

/* Written down from the protocol's description, apart from proto/fuse_ops.h. */
static const struct shape {
	uint32_t opcode;
	uint32_t fixed; /* bytes of arguments before names */
	uint32_t names;
	uint32_t reply; /* bytes that a good answer has */
	int flags;
} shapes[] = {
	{1 /* LOOKUP */, 0, 1, 128, 0}, {2 /* FORGET */, 8, 0, 0, SILENT},
	{3 /* GETATTR */, 16, 0, 104, 0}, {4 /* SETATTR */, 88, 0, 104, CHANGES},
	{5 /* READLINK */, 0, 0, 0, 0}, {6 /* SYMLINK */, 0, 2, 128, CHANGES},
	{8 /* MKNOD */, 16, 1, 128, CHANGES}, {9 /* MKDIR */, 8, 1, 128, CHANGES},
	{10 /* UNLINK */, 0, 1, 0, CHANGES}, {11 /* RMDIR */, 0, 1, 0, CHANGES},
	{12 /* RENAME */, 8, 2, 0, CHANGES}, {13 /* LINK */, 8, 1, 128, CHANGES},
	{14 /* OPEN */, 8, 0, 16, 0}, {15 /* READ */, 40, 0, 0, 0},
	{16 /* WRITE */, 40, 0, 8, CHANGES | DATA}, {17 /* STATFS */, 0, 0, 80, 0},
	{18 /* RELEASE */, 24, 0, 0, 0}, {20 /* FSYNC */, 16, 0, 0, 0},
	{22 /* GETXATTR */, 8, 1, 8, 0}, {23 /* LISTXATTR */, 8, 0, 8, 0},
	{24 /* REMOVEXATTR */, 0, 1, 0, CHANGES},
	{25 /* FLUSH */, 24, 0, 0, 0}, {27 /* OPENDIR */, 8, 0, 16, 0},
	{28 /* READDIR */, 40, 0, 0, 0}, {29 /* RELEASEDIR */, 24, 0, 0, 0},
	{30 /* FSYNCDIR */, 16, 0, 0, 0}, {31 /* GETLK */, 48, 0, 40 - 16, 0},
	{32 /* SETLK */, 48, 0, 0, 0}, {33 /* SETLKW */, 48, 0, 0, 0},
	{34 /* ACCESS */, 8, 0, 0, 0},
	{35 /* CREATE */, 16, 1, 144, CHANGES}, {36 /* INTERRUPT */, 8, 0, 0, SILENT},
	{38 /* DESTROY */, 0, 0, 0, 0}, {42 /* BATCH_FORGET */, 8, 0, 0, SILENT | DATA},
	{43 /* FALLOCATE */, 32, 0, 0, CHANGES}, {44 /* READDIRPLUS */, 40, 0, 0, 0},
	{45 /* RENAME2 */, 16, 2, 0, CHANGES}, {46 /* LSEEK */, 24, 0, 8, 0},
	{47 /* COPY_FILE_RANGE */, 56, 0, 8, CHANGES}, {50 /* SYNCFS */, 8, 0, 0, 0},
	{51 /* TMPFILE */, 16, 1, 144, CHANGES},
	{52 /* STATX */, 24, 0, 288, 0}, {53 /* COPY_FILE_RANGE_64 */, 56, 0, 8, CHANGES},
};

static struct fuse_client c;

static int setup(void **state)
{
	struct fuse_config config = fc_config("auto");

	config.xattr = true;
	config.posix_lock = true;
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

/* Arguments of zeros with the names "a" and "b" behind them. */
static size_t arguments(const struct shape *s, char *args)
{
	memset(args, 0, 256);
	memcpy(args + s->fixed, "a\0b", 4);
	return s->fixed + 2 * s->names;
}

/* Whether the last request was refused before it came to the file system. */
static void refused(int result, int error, const struct shape *s)
{
	assert_string_equal(fc_calls(), "");
	assert_int_equal(result, s->flags & SILENT ? -EPROTO : error);
}

static void accepted(int result, const struct shape *s)
{
	const char *calls = fc_calls();

	/* Nothing to do for a list of nothing. */
	if (s->opcode != FUSE_BATCH_FORGET)
		assert_string_not_equal(calls, "");
	assert_int_equal(result, s->flags & SILENT ? -EPROTO : (int)s->reply);
	if (s->opcode == FUSE_DESTROY) {
		fc_init(&c);
		fc_calls();
	}
}

/* Zero sized listings find no room for an entry; asked for here as the error they must be. */
static bool is_listing(uint32_t opcode)
{
	return opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS;
}

static void test_lengths(void **state)
{
	char args[256];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		size_t good = arguments(s, args);

		for (size_t len = 0; len <= good + 9; len++) {
			int r = fc_send(&c, s->opcode, args, len, ROOM);

			if (len != good && !(s->flags & DATA && len >= good))
				refused(r, -EINVAL, s);
			else if (!is_listing(s->opcode))
				accepted(r, s);
			fc_calls();
		}
	}
}

/* The header's own length must be the length that came. */
static void test_header_length(void **state)
{
	char args[256];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		size_t good = arguments(s, args);
		const uint32_t wrong[] = {0, 39, 40 + (uint32_t)good - 1, 40 + (uint32_t)good + 1,
			UINT32_MAX};

		c.in.opcode = s->opcode;
		for (size_t w = 0; w < ARRAY_SIZE(wrong); w++) {
			c.in.len = wrong[w];
			refused(fc_send_raw(&c, args, good, ROOM), -EIO, s);
		}
		c.in.len = 40 + (uint32_t)good;
		if (!is_listing(s->opcode))
			accepted(fc_send_raw(&c, args, good, ROOM), s);
		fc_calls();
	}
}

/* A request shorter than a header, of any opcode that it seems to have. */
static void test_short_header(void **state)
{
	char in[sizeof(struct fuse_in_header)] = {0}, out[64];
	struct iovec in_iov = {in, 0}, out_iov = {out, sizeof(out)};

	for (size_t len = 0; len < sizeof(in); len++) {
		for (uint32_t opcode = 0; opcode < 66; opcode++) {
			struct fuse_in_header h = {.len = (uint32_t)len, .opcode = opcode};
			struct virtq_chain chain = {.in = &in_iov, .in_len = len,
				.out = &out_iov, .out_len = sizeof(out)};
			uint32_t n;

			memcpy(in, &h, sizeof(h));
			in_iov.iov_len = len;
			n = fuse_serve(c.worker, &chain);
			assert_true(n == 0 || n == sizeof(struct fuse_out_header));
			if (n > 0)
				assert_true(((struct fuse_out_header *)(void *)out)->error < 0);
		}
	}
	assert_string_equal(fc_calls(), "");
}

/* Too little room: no call, an error where that fits, nothing where it does not. */
static void test_reply_room(void **state)
{
	char args[256];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		size_t good = arguments(s, args);

		for (size_t room = 0; room <= 16 + s->reply; room++) {
			int r;

			if (is_listing(s->opcode))
				continue;
			r = fc_send(&c, s->opcode, args, good, room);
			if (s->flags & SILENT) {
				assert_int_equal(c.written, 0);
			} else if (room < 16) {
				assert_int_equal(c.written, 0);
				assert_string_equal(fc_calls(), "");
			} else if (room < 16 + s->reply) {
				refused(r, -EINVAL, s);
			} else if (s->opcode != FUSE_READLINK) {
				accepted(r, s);
			}
			fc_calls();
		}
	}
}

/* Names: ended within the request, nothing behind them, none missing. */
static void test_names(void **state)
{
	char args[256];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		size_t good = arguments(s, args);

		if (s->names == 0)
			continue;
		args[good - 1] = 'x';
		refused(fc_send(&c, s->opcode, args, good, ROOM), -EINVAL, s);
		memset(args, 0, sizeof(args));
		accepted(fc_send(&c, s->opcode, args, s->fixed + s->names, ROOM), s);
		refused(fc_send(&c, s->opcode, args, s->fixed + s->names + 1, ROOM), -EINVAL, s);
	}
}

static void test_long_names(void **state)
{
	static char args[70000];

	memset(args, 'n', sizeof(args));
	args[8191] = '\0';
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, args, 8192, ROOM), 128);
	assert_int_equal(strlen(fc_calls()), strlen("lookup 1 ;") + 8191);
	args[8192] = '\0';
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, args, 8193, ROOM), -ENAMETOOLONG);
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, args, sizeof(args), ROOM), -ENAMETOOLONG);
	assert_int_equal(fc_send(&c, FUSE_GETATTR, args, sizeof(args), ROOM), -EINVAL);
	assert_string_equal(fc_calls(), "");
}

static void test_before_init(void **state)
{
	char args[256];

	memset(args, 0, sizeof(args));
	fc_send(&c, FUSE_DESTROY, "", 0, ROOM);
	assert_string_equal(fc_calls(), "reset;");
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		size_t good = arguments(&shapes[i], args);

		refused(fc_send(&c, shapes[i].opcode, args, good, ROOM), -EIO, &shapes[i]);
	}
	fc_init(&c);
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM), 128);
	fuse_session_reset(&c.se);
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM), -EIO);
}

static void test_unknown_opcodes(void **state)
{
	/* Those that have more than a fixed structure and names. */
	bool known[70] = {[FUSE_INIT] = true, [FUSE_SETXATTR] = true, [FUSE_IOCTL] = true,
		[FUSE_SETUPMAPPING] = true, [FUSE_REMOVEMAPPING] = true};
	/* Those that belong to other transports and byte orders, and what no table reaches. */
	static const uint32_t foreign[] = {FUSE_NOTIFY_REPLY, CUSE_INIT, CUSE_INIT_BSWAP_RESERVED,
		FUSE_INIT_BSWAP_RESERVED, 0x01000000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		known[shapes[i].opcode] = true;
	for (uint32_t opcode = 0; opcode < ARRAY_SIZE(known); opcode++) {
		if (!known[opcode])
			assert_int_equal(fc_send(&c, opcode, "", 0, ROOM), -ENOSYS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		assert_int_equal(fc_send(&c, foreign[i], "", 0, ROOM), -ENOSYS);
	assert_string_equal(fc_calls(), "");
}

static void test_readonly(void **state)
{
	struct fuse_config config = fc_config("auto");
	static const struct {
		uint32_t flags;
		int result;
	} opens[] = {
		{O_RDONLY, 16}, {O_WRONLY, -EROFS}, {O_RDWR, -EROFS}, {O_ACCMODE, -EROFS},
		{O_RDONLY | O_TRUNC, -EROFS}, {O_RDONLY | O_APPEND, 16},
	};
	char args[256];

	fc_close(&c);
	config.xattr = true;
	config.posix_lock = true;
	config.readonly = true;
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	fc_calls();
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		size_t good = arguments(&shapes[i], args);
		int r = fc_send(&c, shapes[i].opcode, args, good, ROOM);

		if (shapes[i].flags & CHANGES)
			refused(r, -EROFS, &shapes[i]);
		else if (!is_listing(shapes[i].opcode))
			accepted(r, &shapes[i]);
		fc_calls();
	}
	for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
		struct fuse_open_in in = {.flags = opens[i].flags};

		assert_int_equal(fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM), opens[i].result);
	}
}

/* Errors of the file system come back as they are. */
static void test_errors(void **state)
{
	static const uint32_t never_fail[] = {FUSE_FORGET, FUSE_INTERRUPT, FUSE_DESTROY,
		FUSE_BATCH_FORGET};
	char args[256];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		size_t good = arguments(&shapes[i], args);
		bool skip = false;

		for (size_t n = 0; n < ARRAY_SIZE(never_fail); n++)
			skip = skip || shapes[i].opcode == never_fail[n];
		fc_recorder_result = -EDQUOT;
		if (!skip)
			assert_int_equal(fc_send(&c, shapes[i].opcode, args, good, ROOM), -EDQUOT);
		fc_recorder_result = 0;
		assert_int_equal(c.out.unique, 7);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_lengths),
		CASE(test_header_length),
		CASE(test_short_header),
		CASE(test_reply_room),
		CASE(test_names),
		CASE(test_long_names),
		CASE(test_before_init),
		CASE(test_unknown_opcodes),
		CASE(test_readonly),
		CASE(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
