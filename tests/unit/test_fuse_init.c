// SPDX-License-Identifier: BSD-2-Clause
/* INIT: versions, flags by caching mode, FOPEN flags, timeouts; what INIT and DESTROY drop. */
#include "unit.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fuse_client.h"

#define ROOM 4096

/* Flags that every configuration offers. */
#define BASE                                                                                       \
	(FUSE_HAS_IOCTL_DIR | FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES |           \
		FUSE_DONT_MASK | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |          \
		FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP)
/* Where names are kept. */
#define KEPT (FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT)
#define PLUS (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)

static const struct mode {
	const char *name;
	bool writeback, readdirplus;
	uint64_t flags; /* beside BASE */
	uint32_t open_file, open_dir;
	uint64_t seconds; /* that names and attributes are trusted */
} modes[] = {
	{"none", false, true, PLUS, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0, 0},
	{"never", false, true, PLUS, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0, 0},
	/* Where nothing is cached there is nothing to hold back. */
	{"none", true, true, PLUS, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0, 0},
	{"auto", false, true, PLUS | FUSE_AUTO_INVAL_DATA, 0, 0, 1},
	{"auto", true, true, PLUS | FUSE_AUTO_INVAL_DATA | FUSE_WRITEBACK_CACHE, 0, 0, 1},
	{"auto", false, false, FUSE_AUTO_INVAL_DATA, 0, 0, 1},
	{"always", false, true, PLUS | KEPT, FOPEN_KEEP_CACHE,
		FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, 86400},
	{"always", true, true, PLUS | KEPT | FUSE_WRITEBACK_CACHE,
		FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, 86400},
	{"metadata", false, true, PLUS | KEPT,
		FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
		FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, 86400},
	{"metadata", true, true, PLUS | KEPT,
		FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
		FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, 86400},
};

static struct fuse_client c;

static void begin(const struct mode *m)
{
	struct fuse_config config = fc_config(m->name);

	log_open("test", LOG_OFF);
	config.writeback = m->writeback;
	config.readdirplus = m->readdirplus;
	fc_open(&c, fc_recorder(), &config);
}

static struct fuse_init_out init(uint32_t major, uint32_t minor, uint64_t flags, int *result)
{
	struct fuse_init_in in = {.major = major, .minor = minor, .max_readahead = 12345,
		.flags = (uint32_t)flags, .flags2 = (uint32_t)(flags >> 32)};
	struct fuse_init_out out = {0};

	*result = fc_send(&c, FUSE_INIT, &in, sizeof(in), ROOM);
	if (*result > 0) {
		assert_int_equal(*result, sizeof(out));
		memcpy(&out, c.payload, sizeof(out));
	}
	return out;
}

static uint64_t flags_of(const struct fuse_init_out *out)
{
	return out->flags | (uint64_t)out->flags2 << 32;
}

static void test_flags(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		uint64_t all = BASE | modes[i].flags;
		struct fuse_init_out out;
		int r;

		begin(&modes[i]);
		out = init(7, 45, UINT64_MAX, &r);
		assert_int_equal(flags_of(&out), all);
		/* A guest that wants none gets none, and one of each kind that one alone. */
		out = init(7, 45, 0, &r);
		assert_int_equal(flags_of(&out), 0);
		for (int bit = 0; bit < 64; bit++) {
			uint64_t wanted = 1ull << bit | (bit < 32 ? 0 : FUSE_INIT_EXT);

			out = init(7, 45, wanted, &r);
			assert_int_equal(flags_of(&out), all & wanted);
		}
		/* The upper half counts only where the lower one says that it is there. */
		out = init(7, 45, UINT64_MAX & ~(uint64_t)FUSE_INIT_EXT, &r);
		assert_int_equal(out.flags2, 0);
		fc_close(&c);
	}
}

/* What attributes and ACLs add; a guest that cannot do what must be is refused. */
static void test_attribute_flags(void **state)
{
	static const struct {
		bool xattr;
		enum fuse_when acl, label;
		uint64_t more, needs;
	} cases[] = {
		{true, FUSE_WHEN_NEVER, FUSE_WHEN_NEVER, FUSE_SETXATTR_EXT, 0},
		{true, FUSE_WHEN_AUTO, FUSE_WHEN_NEVER, FUSE_SETXATTR_EXT | FUSE_POSIX_ACL, 0},
		{true, FUSE_WHEN_ALWAYS, FUSE_WHEN_NEVER, FUSE_SETXATTR_EXT | FUSE_POSIX_ACL,
			FUSE_POSIX_ACL},
		{true, FUSE_WHEN_NEVER, FUSE_WHEN_AUTO, FUSE_SETXATTR_EXT | FUSE_SECURITY_CTX, 0},
		{true, FUSE_WHEN_NEVER, FUSE_WHEN_ALWAYS, FUSE_SETXATTR_EXT | FUSE_SECURITY_CTX,
			FUSE_SECURITY_CTX},
	};
	struct fuse_init_out out;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(&modes[0]);
		c.se.config.xattr = cases[i].xattr;
		c.se.config.posix_acl = cases[i].acl;
		c.se.config.security_label = cases[i].label;
		out = init(7, 38, UINT64_MAX, &r);
		assert_int_equal(flags_of(&out), BASE | PLUS | cases[i].more);
		init(7, 38, UINT64_MAX & ~(uint64_t)FUSE_POSIX_ACL, &r);
		assert_int_equal(r, cases[i].needs == FUSE_POSIX_ACL ? -EPROTO : 64);
		init(7, 38, UINT64_MAX & ~(uint64_t)FUSE_SECURITY_CTX, &r);
		assert_int_equal(r, cases[i].needs == FUSE_SECURITY_CTX ? -EPROTO : 64);
		fc_close(&c);
	}
}

/* --allow-mmap counts where data is not cached; elsewhere guests map files anyway. */
static void test_allow_mmap(void **state)
{
	static const struct {
		const char *mode;
		uint64_t flag;
	} cases[] = {{"none", FUSE_DIRECT_IO_ALLOW_MMAP}, {"metadata", FUSE_DIRECT_IO_ALLOW_MMAP},
		{"auto", 0}, {"always", 0}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fuse_config config = fc_config(cases[i].mode);

		config.allow_mmap = true;
		assert_int_equal(fuse_init_offer(&config) & FUSE_DIRECT_IO_ALLOW_MMAP,
			cases[i].flag);
	}
}

/* Opens without a message, where a guest that knows of them may do without; what names handle 0
 * then names none. */
static void test_no_open(void **state)
{
	static const struct {
		const char *mode;
		bool readonly, no_open, no_opendir;
	} cases[] = {{"none", true, false, false}, {"auto", true, false, false},
		{"metadata", true, false, true}, {"metadata", false, false, true},
		{"always", false, false, true}, {"always", true, true, true}};
	const struct fuse_open_in open_in = {.flags = O_RDONLY};
	const struct fuse_flush_in flush_in = {.fh = 0};
	const struct fuse_read_in read_in = {.fh = 0, .size = 500};
	const struct fuse_fsync_in fsync_in = {.fh = 0};
	const struct fuse_getattr_in get = {.getattr_flags = FUSE_GETATTR_FH};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		bool wanted = i >= ARRAY_SIZE(cases);
		bool no_open = wanted && cases[i % ARRAY_SIZE(cases)].no_open;
		bool no_opendir = wanted && cases[i % ARRAY_SIZE(cases)].no_opendir;
		struct fuse_config config = fc_config(cases[i % ARRAY_SIZE(cases)].mode);
		uint64_t flags = FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT;
		struct fuse_init_out out;
		int r;

		config.readonly = cases[i % ARRAY_SIZE(cases)].readonly;
		fc_open(&c, fc_recorder(), &config);
		out = init(7, 45, FUSE_ATOMIC_O_TRUNC | (wanted ? flags : 0), &r);
		assert_int_equal(flags_of(&out) & flags,
			(no_open ? FUSE_NO_OPEN_SUPPORT : 0) |
				(no_opendir ? FUSE_NO_OPENDIR_SUPPORT : 0));
		/* The two together lose O_TRUNC. */
		assert_false(no_open && flags_of(&out) & FUSE_ATOMIC_O_TRUNC);
		fc_calls();
		c.in.nodeid = 5;
		assert_int_equal(fc_send(&c, FUSE_OPEN, &open_in, sizeof(open_in), ROOM),
			no_open ? -ENOSYS : 16);
		assert_int_equal(fc_send(&c, FUSE_OPENDIR, &open_in, sizeof(open_in), ROOM),
			no_opendir ? -ENOSYS : 16);
		assert_int_equal(fc_send(&c, FUSE_FLUSH, &flush_in, sizeof(flush_in), ROOM),
			no_open ? -ENOSYS : 0);
		fc_calls();
		fc_send(&c, FUSE_READ, &read_in, sizeof(read_in), 16 + 7);
		assert_string_equal(fc_calls(), no_open ? "read 5 7 at 0;" : "read 5/0 7 at 0;");
		fc_send(&c, FUSE_FSYNC, &fsync_in, sizeof(fsync_in), ROOM);
		assert_string_equal(fc_calls(), no_open ? "fsync 5;" : "fsync 5/0;");
		fc_send(&c, FUSE_GETATTR, &get, sizeof(get), ROOM);
		assert_string_equal(fc_calls(), no_open ? "getattr 5;" : "getattr 5/0;");
		fc_send(&c, FUSE_READDIR, &read_in, sizeof(read_in), ROOM);
		assert_string_equal(fc_calls(),
			no_opendir ? "readdir 5 500 at 0;" : "readdir 5/0 500 at 0;");
		fc_send(&c, FUSE_FSYNCDIR, &fsync_in, sizeof(fsync_in), ROOM);
		assert_string_equal(fc_calls(), no_opendir ? "fsync 5;" : "fsync 5/0;");
		fc_close(&c);
	}
}

/* Submounts are announced to those who know what they are, and where the options say so. */
static void test_submounts(void **state)
{
	const struct fuse_entry_out *entry = (void *)c.payload;
	struct fuse_read_in read_in = {.fh = 9, .size = 1000};

	for (int i = 0; i < 4; i++) {
		bool wanted = i & 1, offered = i & 2;
		struct fuse_config config = fc_config("auto");
		int r;

		config.announce_submounts = offered;
		fc_open(&c, fc_recorder(), &config);
		init(7, 45, wanted ? FUSE_SUBMOUNTS : 0, &r);
		fc_recorder_submount = true;
		assert_int_equal(fc_send(&c, FUSE_LOOKUP, "d", 2, ROOM), sizeof(*entry));
		assert_int_equal(entry->attr.flags, wanted && offered ? FUSE_ATTR_SUBMOUNT : 0);
		assert_true(fc_send(&c, FUSE_READDIRPLUS, &read_in, sizeof(read_in), ROOM) > 0);
		assert_int_equal(entry->attr.flags, wanted && offered ? FUSE_ATTR_SUBMOUNT : 0);
		fc_recorder_submount = false;
		assert_int_equal(fc_send(&c, FUSE_LOOKUP, "d", 2, ROOM), sizeof(*entry));
		assert_int_equal(entry->attr.flags, 0);
		/* A guest that sees one file system syncs it as one. */
		fc_calls();
		c.in.nodeid = 5;
		assert_int_equal(fc_send(&c, FUSE_SYNCFS, &(struct fuse_syncfs_in){0},
					 sizeof(struct fuse_syncfs_in), ROOM), 0);
		assert_string_equal(fc_calls(), wanted && offered ? "syncfs 5;" : "syncfs 5 all;");
		fc_close(&c);
	}
}

static void test_limits(void **state)
{
	struct fuse_init_out out;
	int r;

	begin(&modes[0]);
	out = init(7, 38, UINT64_MAX, &r);
	assert_int_equal(out.max_readahead, 12345);
	assert_true(out.max_write >= 1 << 20);
	assert_true((uint64_t)out.max_pages * 4096 >= out.max_write);
	assert_int_equal(out.time_gran, 1);
	assert_true(out.max_background > 0);
	assert_true(out.congestion_threshold > 0);
	assert_true(out.congestion_threshold <= out.max_background);
	assert_int_equal(out.map_alignment, 0);
	fc_close(&c);
}

static void test_dax(void **state)
{
	const uint64_t flags = FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX;
	struct fuse_config config = fc_config("auto");
	struct fuse_init_out out;
	int r;

	config.dax = true;
	fc_open(&c, fc_recorder(), &config);
	out = init(7, 45, UINT64_MAX, &r);
	assert_int_equal(out.map_alignment, 12);
	assert_int_equal((out.flags | (uint64_t)out.flags2 << 32) & flags, flags);
	fc_close(&c);
}

static void test_versions(void **state)
{
	static const struct {
		uint32_t major, minor;
		int result;
		uint32_t answer;
		bool ready;
	} cases[] = {
		{7, 0, -EPROTO, 0, false}, {7, 26, -EPROTO, 0, false}, {6, 45, -EPROTO, 0, false},
		{0, 0, -EPROTO, 0, false}, {7, 27, 64, 27, true}, {7, 31, 64, 31, true},
		{7, 38, 64, 38, true}, {7, 45, 64, 45, true}, {7, 46, 64, 45, true},
		{7, UINT32_MAX, 64, 45, true}, {8, 0, 64, 45, false},
		{UINT32_MAX, UINT32_MAX, 64, 45, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fuse_init_out out;
		int r;

		begin(&modes[0]);
		out = init(cases[i].major, cases[i].minor, UINT64_MAX, &r);
		assert_int_equal(r, cases[i].result);
		if (r > 0) {
			assert_int_equal(out.major, 7);
			assert_int_equal(out.minor, cases[i].answer);
		}
		assert_int_equal(fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM),
			cases[i].ready ? 128 : -EIO);
		fc_close(&c);
	}
}

/* Before 7.36 the request has 16 bytes; newer ones may grow beyond what is known. */
static void test_lengths(void **state)
{
	char in[256] = {0};

	begin(&modes[3]);
	memcpy(in, &(struct fuse_init_in){.major = 7, .minor = 31, .flags = UINT32_MAX},
		sizeof(struct fuse_init_in));
	for (size_t len = 0; len < sizeof(in); len++) {
		int r = fc_send(&c, FUSE_INIT, in, len, ROOM);

		assert_int_equal(r, len < 16 ? -EINVAL : 64);
	}
	for (size_t room = 0; room < 16 + 64; room++) {
		fuse_session_reset(&c.se);
		assert_true(fc_send(&c, FUSE_INIT, in, 16, room) < 0);
		/* A refused INIT changes nothing. */
		assert_int_equal(fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM), -EIO);
	}
	fc_close(&c);
}

/* INIT, again at any time, and DESTROY drop what the guest held; a refused INIT does not. */
static void test_resets(void **state)
{
	int r;

	begin(&modes[3]);
	init(7, 45, 0, &r);
	assert_string_equal(fc_calls(), "reset;");
	init(7, 45, 0, &r);
	assert_string_equal(fc_calls(), "reset;");
	init(7, 26, 0, &r);
	init(8, 0, 0, &r);
	assert_string_equal(fc_calls(), "");
	assert_int_equal(fc_send(&c, FUSE_DESTROY, "", 0, ROOM), 0);
	assert_string_equal(fc_calls(), "reset;");
	assert_int_equal(fc_send(&c, FUSE_GETATTR, "0123456789abcdef", 16, ROOM), -EIO);
	init(7, 45, 0, &r);
	assert_int_equal(fc_send(&c, FUSE_GETATTR, "0123456789abcdef", 16, ROOM), 104);
	fc_close(&c);
}

static void test_open_flags(void **state)
{
	const struct fuse_open_out *out = (void *)c.payload;
	const struct fuse_create_out *create = (void *)c.payload;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct fuse_create_in create_in = {.flags = O_RDWR};
		char args[sizeof(create_in) + 2] = {0};
		struct fuse_open_in in = {.flags = 0};

		begin(&modes[i]);
		init(7, 45, UINT64_MAX & ~(uint64_t)FUSE_NO_OPENDIR_SUPPORT, &r);
		assert_int_equal(fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM), sizeof(*out));
		assert_int_equal(out->open_flags, modes[i].open_file);
		assert_int_equal(out->fh, 55);
		/* What did not change may be kept where else it would be dropped. */
		fc_recorder_unchanged = true;
		assert_int_equal(fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM), sizeof(*out));
		assert_int_equal(out->open_flags, modes[i].open_file ? modes[i].open_file
								     : FOPEN_KEEP_CACHE);
		fc_recorder_unchanged = false;
		/* What is closed in silence needs no FLUSH; a guest that holds back writes does. */
		fc_recorder_local = true;
		assert_int_equal(fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM), sizeof(*out));
		assert_int_equal(out->open_flags, modes[i].open_file |
				(fuse_config_writeback(&c.se.config) ? 0 : FOPEN_NOFLUSH));
		fc_recorder_local = false;
		assert_int_equal(fc_send(&c, FUSE_OPENDIR, &in, sizeof(in), ROOM), sizeof(*out));
		assert_int_equal(out->open_flags, modes[i].open_dir);
		memcpy(args, &create_in, sizeof(create_in));
		args[sizeof(create_in)] = 'n';
		assert_int_equal(fc_send(&c, FUSE_CREATE, args, sizeof(args), ROOM),
			sizeof(*create));
		assert_int_equal(create->open.open_flags, modes[i].open_file);
		fc_recorder_local = true;
		assert_int_equal(fc_send(&c, FUSE_CREATE, args, sizeof(args), ROOM),
			sizeof(*create));
		assert_int_equal(create->open.open_flags, modes[i].open_file |
				(fuse_config_writeback(&c.se.config) ? 0 : FOPEN_NOFLUSH));
		fc_close(&c);
	}
}

static void create_with(uint32_t flags)
{
	struct {
		struct fuse_create_in in;
		char name[2];
	} request = {{.flags = flags}, "n"};

	assert_int_equal(fc_send(&c, FUSE_CREATE, &request, sizeof(request.in) + 2, ROOM),
		sizeof(struct fuse_create_out));
}

/* What the recorder says of a CREATE with the flags of an OPEN. */
static const char *created(const char *opened)
{
	static char text[80];
	const char *flags = strstr(opened, "flags ");

	snprintf(text, sizeof(text), "%.*s by 11:22 umask 0;", (int)strcspn(flags, ";"), flags);
	return text;
}

/* Under writeback a guest reads around partial pages, and knows itself where a file ends. */
static void test_writeback(void **state)
{
	static const struct {
		uint32_t flags;
		const char *held_back, *through;
	} cases[] = {
		{O_RDONLY, "open 1 flags 0;", "open 1 flags 0;"},
		{O_WRONLY, "open 1 flags 0x2;", "open 1 flags 0x1;"},
		{O_RDWR, "open 1 flags 0x2;", "open 1 flags 0x2;"},
		{O_WRONLY | O_APPEND, "open 1 flags 0x2;", "open 1 flags 0x401;"},
		{O_WRONLY | O_TRUNC, "open 1 flags 0x202;", "open 1 flags 0x201;"},
	};
	struct fuse_write_in write_in = {.fh = 9, .flags = O_WRONLY | O_APPEND};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fuse_open_in in = {.flags = cases[i].flags};
		int r;

		begin(&modes[4]);
		init(7, 45, UINT64_MAX, &r);
		fc_calls();
		fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM);
		assert_string_equal(fc_calls(), cases[i].held_back);
		create_with(cases[i].flags);
		assert_string_equal(strstr(fc_calls(), "flags "),
			created(cases[i].held_back));
		fc_send(&c, FUSE_WRITE, &write_in, sizeof(write_in), ROOM);
		assert_string_equal(fc_calls(), "write 1/9 0 at 0 how 0 \"\";");
		/* Asked for, but the guest does not want it. */
		init(7, 45, FUSE_HANDLE_KILLPRIV_V2, &r);
		fc_calls();
		fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM);
		assert_string_equal(fc_calls(), cases[i].through);
		fc_send(&c, FUSE_WRITE, &write_in, sizeof(write_in), ROOM);
		assert_string_equal(fc_calls(), "write 1/9 0 at 0 how 1 \"\";");
		fc_close(&c);
	}
}

static void test_timeouts(void **state)
{
	const struct fuse_entry_out *entry = (void *)c.payload;
	const struct fuse_attr_out *attr = (void *)c.payload;
	const struct fuse_statx_out *sx = (void *)c.payload;
	const char zeros[24] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		begin(&modes[i]);
		fc_init(&c);
		fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM);
		assert_int_equal(entry->entry_valid, modes[i].seconds);
		assert_int_equal(entry->attr_valid, modes[i].seconds);
		/* Each on its own, fractions included. */
		c.se.config.attr_ns = 2500000000;
		c.se.config.entry_ns = 1;
		fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM);
		assert_int_equal(entry->nodeid, 99);
		assert_int_equal(entry->attr.ino, 1234);
		assert_int_equal(entry->entry_valid, 0);
		assert_int_equal(entry->entry_valid_nsec, 1);
		assert_int_equal(entry->attr_valid, 2);
		assert_int_equal(entry->attr_valid_nsec, 500000000);
		fc_send(&c, FUSE_GETATTR, zeros, 16, ROOM);
		assert_int_equal(attr->attr_valid, 2);
		assert_int_equal(attr->attr_valid_nsec, 500000000);
		fc_send(&c, FUSE_STATX, zeros, 24, ROOM);
		assert_int_equal(sx->attr_valid, 2);
		assert_int_equal(sx->attr_valid_nsec, 500000000);
		fc_close(&c);
	}
}

/* Every flag up to protocol 7.45 has one line with a reason, offered or not, and only one. */
static void test_tables(void **state)
{
	uint64_t seen = 0;

	for (size_t i = 0; fuse_init_flag_at(i); i++) {
		const struct fuse_flag_info *f = fuse_init_flag_at(i);

		assert_int_equal(f->flag & (f->flag - 1), 0);
		assert_int_equal(seen & f->flag, 0);
		assert_non_null(f->name);
		assert_true(strlen(f->why) > 0);
		seen |= f->flag;
	}
	/* All bits up to the newest but bit 31, FUSE_INIT_RESERVED. */
	assert_int_equal(seen, ((FUSE_REQUEST_TIMEOUT << 1) - 1) & ~(1ull << 31));
	seen = 0;
	for (size_t i = 0; fuse_open_flag_at(i); i++) {
		const struct fuse_flag_info *f = fuse_open_flag_at(i);

		assert_int_equal(f->flag & (f->flag - 1), 0);
		assert_int_equal(seen & f->flag, 0);
		assert_non_null(f->name);
		assert_true(strlen(f->why) > 0);
		seen |= f->flag;
	}
	assert_int_equal(seen, (FOPEN_PASSTHROUGH << 1) - 1);
}

static void test_policies(void **state)
{
	assert_null(cache_policy_find("nothing"));
	assert_null(cache_policy_find(""));
	assert_null(cache_policy_find("Auto"));
	assert_ptr_equal(cache_policy_find("never"), cache_policy_find("none"));
	for (size_t i = 0; cache_policy_at(i); i++)
		assert_ptr_equal(cache_policy_find(cache_policy_at(i)->name), cache_policy_at(i));
}

/* Locks are offered where they are taken on the host, each kind by itself. */
static void test_lock_flags(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct fuse_config config = fc_config("auto");

		config.posix_lock = i & 1;
		config.flock = i & 2;
		assert_int_equal(!!(fuse_init_offer(&config) & FUSE_POSIX_LOCKS), !!(i & 1));
		assert_int_equal(!!(fuse_init_offer(&config) & FUSE_FLOCK_LOCKS), !!(i & 2));
	}
}

/* --killpriv-v2, --no-killpriv-v2 */
static void test_killpriv(void **state)
{
	struct fuse_config config = fc_config("auto");

	assert_true(fuse_init_offer(&config) & FUSE_HANDLE_KILLPRIV_V2);
	config.killpriv = false;
	assert_false(fuse_init_offer(&config) & FUSE_HANDLE_KILLPRIV_V2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_attribute_flags),
		cmocka_unit_test(test_allow_mmap),
		cmocka_unit_test(test_submounts),
		cmocka_unit_test(test_lock_flags),
		cmocka_unit_test(test_killpriv),
		cmocka_unit_test(test_no_open),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_dax),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_open_flags),
		cmocka_unit_test(test_writeback),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
