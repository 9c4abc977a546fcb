// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a hostile server may put into replies, operation by operation: the client says that they
 * are malformed, and works on.
 */
#include "unit.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "causeway.h"
#include "forger.h"

enum fault {
	GOOD,
	SHORT,       /* structures a byte too short */
	NO_NODE,     /* entries without a node */
	NO_TYPE,     /* ... without a type */
	OTHER_TYPE,  /* a node that changes its type */
	MORE_WRITTEN,
	NAME_LONG,   /* of a directory's entry: longer than the listing */
	NAME_HUGE,
	NAME_EMPTY,
	NAME_SLASH,
	NAME_CUT,    /* the listing ends in an entry's header */
	MANY_NAMES,
	SIZE_HUGE,   /* of an attribute's value */
	LIST_OPEN,   /* a list of attributes without its last NUL */
	LIST_EMPTY,  /* ... with an empty name */
	COPIED_MORE, /* than there was to copy */
	NO_COPY_64,  /* COPY_FILE_RANGE_64 is not known */
	SOUGHT_BACK,
	SOUGHT_FAR,  /* to where no offset is */
	UNKNOWN,     /* -ENOSYS */
	LINK_EMPTY,
	LINK_NUL,
	LINK_LOOP,   /* every name is a symlink to itself */
	RANDOM,
};

static struct fuse_attr attr_of(mode_t mode)
{
	return (struct fuse_attr){.ino = 7, .mode = mode, .nlink = 1, .size = 10};
}

static void reply_entry(struct forger *forger, struct forged *f, mode_t type)
{
	struct fuse_create_out out = {
		.entry = {.nodeid = 5, .attr_valid = 1000, .attr = attr_of(type | 0644)}};
	bool opens = f->in.opcode == FUSE_CREATE || f->in.opcode == FUSE_TMPFILE;
	size_t len = opens ? sizeof(out) : sizeof(out.entry);

	if (forger->fault == NO_NODE)
		out.entry.nodeid = 0;
	if (forger->fault == NO_TYPE)
		out.entry.attr.mode = 0644;
	if (forger->fault == OTHER_TYPE)
		out.entry.attr.mode = S_IFCHR;
	forge_reply(f, &out, forger->fault == SHORT ? len - 1 : len);
	if (f->in.opcode == FUSE_TMPFILE && forger->fault == UNKNOWN)
		forge_error(f, ENOSYS);
}

/* Bytes of an entry whose name has four, with attributes or without. */
#define ENTRY (FUSE_NAME_OFFSET + 8)
#define PLUS  (sizeof(struct fuse_entry_out) + ENTRY)
#define MANY  128

static void reply_listing(struct forger *forger, struct forged *f)
{
	const struct fuse_read_in *in = (const void *)f->args;
	bool plus = f->in.opcode == FUSE_READDIRPLUS;
	size_t size = plus ? PLUS : ENTRY, n = forger->fault == MANY_NAMES ? MANY : 2;
	char listing[MANY * PLUS] = "";

	if (in->offset > 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct fuse_entry_out *e = (void *)(listing + i * size);
		struct fuse_dirent *d = (void *)(listing + (i + 1) * size - ENTRY);

		if (plus)
			*e = (struct fuse_entry_out){
				.nodeid = 100 + i, .attr = attr_of(S_IFREG | 0644)};
		if (plus && forger->fault == NO_TYPE)
			e->attr.mode = 0;
		*d = (struct fuse_dirent){.ino = 7, .off = 1, .namelen = 4, .type = DT_REG};
		memcpy(d->name, "name", 4);
		if (forger->fault == NAME_LONG)
			d->namelen = (uint32_t)(size * (n - i) - size + 9);
		if (forger->fault == NAME_HUGE)
			d->namelen = UINT32_MAX;
		if (forger->fault == NAME_EMPTY)
			d->namelen = 0;
		if (forger->fault == NAME_SLASH)
			d->name[1] = '/';
	}
	forge_reply(f, listing, forger->fault == NAME_CUT ? size - 9 : n * size);
}

static void count_forgets(struct forger *forger, const struct forged *f)
{
	const struct fuse_batch_forget_in *in = (const void *)f->args;
	const struct fuse_forget_one *ones = (const void *)(in + 1);

	for (uint32_t i = 0; f->in.opcode == FUSE_BATCH_FORGET && i < in->count; i++)
		atomic_fetch_add(&forger->noted, ones[i].nlookup);
}

static void reply_link(struct forger *forger, struct forged *f)
{
	if (forger->fault == LINK_EMPTY)
		forge_reply(f, "", 0);
	else if (forger->fault == LINK_NUL)
		forge_reply(f, "a\0b", 3);
	else
		forge_reply(f, "name", 4);
}

static void reply_attribute(struct forger *forger, struct forged *f)
{
	const struct fuse_getxattr_in *in = (const void *)f->args;
	struct fuse_getxattr_out out = {.size = forger->fault == SIZE_HUGE ? UINT32_MAX : 8};

	if (in->size == 0)
		forge_reply(f, &out, forger->fault == SHORT ? sizeof(out) - 1 : sizeof(out));
	else if (forger->fault == LIST_EMPTY)
		forge_reply(f, "user.a\0", 8);
	else
		forge_reply(f, "user.a\0b", forger->fault == LIST_OPEN ? 8 : 7);
}

static void reply_space(struct forger *forger, struct forged *f)
{
	struct fuse_copy_file_range_out wide = {.bytes_copied = 4};
	struct fuse_write_out narrow = {.size = 4};
	struct fuse_lseek_out sought = {.offset = 8};
	struct fuse_statfs_out statfs = {.st = {.bsize = 512, .blocks = 3}};
	size_t less = forger->fault == SHORT;

	if (forger->fault == COPIED_MORE)
		wide.bytes_copied = narrow.size = 5;
	if (forger->fault == SOUGHT_BACK)
		sought.offset = 3;
	if (forger->fault == SOUGHT_FAR)
		sought.offset = 1ull << 63;
	if (f->in.opcode == FUSE_COPY_FILE_RANGE_64)
		forge_reply(f, &wide, sizeof(wide) - less);
	else if (f->in.opcode == FUSE_COPY_FILE_RANGE)
		forge_reply(f, &narrow, sizeof(narrow) - less);
	else if (f->in.opcode == FUSE_LSEEK)
		forge_reply(f, &sought, sizeof(sought) - less);
	else
		forge_reply(f, &statfs, sizeof(statfs) - less);
	if (forger->fault == UNKNOWN ||
		(forger->fault == NO_COPY_64 && f->in.opcode == FUSE_COPY_FILE_RANGE_64))
		forge_error(f, ENOSYS);
}

static void reply_random(struct forged *f)
{
	static _Thread_local uint32_t seed = 99;
	uint32_t bytes[1024];

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
		bytes[i] = unit_random(&seed) & (i % 3 ? UINT32_MAX : 0xffff);
	forge_reply(f, bytes, unit_random(&seed) % 300);
	if (unit_random(&seed) % 8 == 0)
		forge_error(f, (int)(unit_random(&seed) % 200));
}

static void forge(struct forger *forger, struct forged *f)
{
	struct fuse_attr_out attr = {.attr_valid = 1000, .attr = attr_of(S_IFREG | 0644)};
	struct fuse_statx_out statx = {.stat = {.mask = STATX_BASIC_STATS, .size = 10}};
	struct fuse_write_out written = {.size = 4};
	struct fuse_open_out open = {.fh = 3};
	size_t less = forger->fault == SHORT;

	count_forgets(forger, f);
	if (forge_default(f))
		return;
	if (forger->fault == RANDOM) {
		reply_random(f);
		return;
	}
	switch (f->in.opcode) {
	case FUSE_LOOKUP:
		reply_entry(forger, f, strcmp(f->args, "link") && forger->fault != LINK_LOOP ?
				S_IFREG : S_IFLNK);
		break;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_LINK:
		reply_entry(forger, f, f->in.opcode == FUSE_MKDIR ? S_IFDIR : S_IFREG);
		break;
	case FUSE_STATX:
		statx.stat.mode = forger->fault == OTHER_TYPE ? S_IFDIR : S_IFREG;
		forge_reply(f, &statx, sizeof(statx) - less);
		if (forger->fault == UNKNOWN)
			forge_error(f, ENOSYS);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		if (forger->fault == OTHER_TYPE)
			attr.attr.mode = S_IFDIR;
		forge_reply(f, &attr, sizeof(attr) - less);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		forge_reply(f, &open, sizeof(open) - less);
		break;
	case FUSE_WRITE:
		if (forger->fault == MORE_WRITTEN)
			written.size = 5;
		forge_reply(f, &written, sizeof(written) - less);
		break;
	case FUSE_COPY_FILE_RANGE:
	case FUSE_COPY_FILE_RANGE_64:
	case FUSE_LSEEK:
	case FUSE_STATFS:
	case FUSE_FALLOCATE:
	case FUSE_SYNCFS:
	case FUSE_ACCESS:
		reply_space(forger, f);
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		reply_attribute(forger, f);
		break;
	case FUSE_READLINK:
		reply_link(forger, f);
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		reply_listing(forger, f);
		break;
	default:
		break;
	}
}

static struct forger *forger;
static struct causeway *c;

static int set_up(void **state)
{
	int sock;

	forger = forger_new();
	forger->forge = forge;
	c = causeway_new();
	sock = forger_start(forger);
	assert_int_equal(causeway_connect_fd(c, sock), 0);
	close(sock);
	return 0;
}

static int tear_down(void **state)
{
	causeway_free(c);
	forger_end(forger);
	return 0;
}

static int stat_result(const char *path, int flags)
{
	struct stat st;

	return causeway_stat(c, NULL, path, &st, flags);
}

static int open_result(const char *path, int flags, enum fault fault)
{
	struct causeway_file *f;
	int r;

	forger->fault = (int)fault;
	r = causeway_open(c, NULL, path, flags, 0644, &f);
	forger->fault = GOOD;
	causeway_close(f);
	return r;
}

static void assert_told(const char *why)
{
	if (!strstr(causeway_error(c), why))
		fail_msg("'%s' does not say '%s'", causeway_error(c), why);
}

static void test_entries(void **state)
{
	assert_int_equal(stat_result("f", 0), 0);
	forger->fault = SHORT;
	assert_int_equal(stat_result("f", 0), -EPROTO);
	assert_told("the back-end's reply to LOOKUP is malformed: it is too short");
	/* An entry without a node says that there is none. */
	forger->fault = NO_NODE;
	assert_int_equal(stat_result("f", 0), -ENOENT);
	assert_int_equal(causeway_mkdir(c, NULL, "d", 0755), -EPROTO);
	assert_told("the back-end's reply to MKDIR is malformed: the entry has no node");
	forger->fault = NO_TYPE;
	assert_int_equal(stat_result("f", 0), -EPROTO);
	assert_told("the back-end's reply to LOOKUP is malformed: the entry has no type");
	assert_int_equal(open_result("f", O_RDONLY, SHORT), -EPROTO);
	assert_int_equal(open_result("f", O_RDONLY, GOOD), 0);
}

static void test_types(void **state)
{
	struct causeway_file *f;
	struct stat st;

	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	forger->fault = OTHER_TYPE;
	assert_int_equal(stat_result("f", 0), -EPROTO);
	assert_told("the node is of another type than before");
	/* Attributes hold until a change of ours. */
	assert_int_equal(causeway_fstat(f, &st), 0);
	assert_int_equal(atomic_load(&forger->requests[FUSE_GETATTR]), 0);
	assert_int_equal(causeway_pwrite(f, "abcd", 4, 0), 4);
	assert_int_equal(causeway_fstat(f, &st), -EPROTO);
	assert_told("another type than before");
	forger->fault = GOOD;
	assert_int_equal(causeway_fstat(f, &st), 0);
	causeway_close(f);
}

/* A change that is answered with nonsense, and one that is answered well: then what it says is
 * known, and nobody is asked. */
static void test_changes(void **state)
{
	const struct timespec times[2] = {{1, 2}, {3, 4}};
	unsigned int before;
	struct causeway_file *f;
	struct stat st;

	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	for (int fault = SHORT; fault <= OTHER_TYPE; fault++) {
		if (fault != SHORT && fault != OTHER_TYPE)
			continue;
		forger->fault = fault;
		assert_int_equal(causeway_fchmod(f, 0600), -EPROTO);
		assert_told(fault == SHORT ? "SETATTR is malformed: it is too short" :
			"another type than before");
		assert_int_equal(causeway_fchown(f, 1, 2), -EPROTO);
		assert_int_equal(causeway_ftruncate(f, 3), -EPROTO);
		assert_int_equal(causeway_futimens(f, times), -EPROTO);
		forger->fault = GOOD;
		assert_int_equal(causeway_fstat(f, &st), 0);
	}
	before = atomic_load(&forger->requests[FUSE_GETATTR]);
	assert_int_equal(before, 2);
	assert_int_equal(causeway_fchmod(f, 0600), 0);
	assert_int_equal(causeway_fstat(f, &st), 0);
	assert_int_equal(atomic_load(&forger->requests[FUSE_GETATTR]), before);
	/* Without ATOMIC_O_TRUNC it is a SETATTR that truncates. */
	causeway_close(f);
	before = atomic_load(&forger->requests[FUSE_SETATTR]);
	assert_int_equal(open_result("f", O_WRONLY | O_TRUNC, GOOD), 0);
	assert_int_equal(atomic_load(&forger->requests[FUSE_SETATTR]), before + 1);
}

/* What comes of a write that is submitted. */
static ssize_t submitted_result(struct causeway_file *f)
{
	struct pollfd fd = {.fd = causeway_event_fd(c), .events = POLLIN};
	struct causeway_completion done;

	assert_int_equal(causeway_submit_pwrite(f, "abcd", 4, 0, f), 0);
	while (causeway_reap(c, &done, 1) == 0)
		assert_int_equal(poll(&fd, 1, -1), 1);
	assert_ptr_equal(done.user, f);
	return done.result;
}

static void test_data(void **state)
{
	struct causeway_file *f;

	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	forger->fault = MORE_WRITTEN;
	assert_int_equal(causeway_pwrite(f, "abcd", 4, 0), -EPROTO);
	assert_told("it wrote more than it was given");
	forger->fault = SHORT;
	assert_int_equal(causeway_pwrite(f, "abcd", 4, 0), -EPROTO);
	assert_int_equal(submitted_result(f), -EPROTO);
	forger->fault = MORE_WRITTEN;
	assert_int_equal(submitted_result(f), -EPROTO);
	forger->fault = GOOD;
	assert_int_equal(submitted_result(f), 4);
	causeway_close(f);
}

static void test_copies(void **state)
{
	struct causeway_file *f;

	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	assert_int_equal(causeway_copy_file_range(f, 0, f, 50, 4), 4);
	for (int i = 0; i < 2; i++) {
		forger->fault = COPIED_MORE;
		assert_int_equal(causeway_copy_file_range(f, 0, f, 50, 4), -EPROTO);
		assert_told("it copied more than there was to copy");
		forger->fault = SHORT;
		assert_int_equal(causeway_copy_file_range(f, 0, f, 50, 4), -EPROTO);
		/* From now on it is asked the old way. */
		forger->fault = NO_COPY_64;
		assert_int_equal(causeway_copy_file_range(f, 0, f, 50, 4), 4);
		assert_int_equal(atomic_load(&forger->requests[FUSE_COPY_FILE_RANGE_64]), 4);
	}
	forger->fault = UNKNOWN;
	assert_int_equal(causeway_copy_file_range(f, 0, f, 50, 4), -EOPNOTSUPP);
	assert_string_equal(causeway_error(c), "the back-end has no copy_file_range");
	forger->fault = GOOD;
	causeway_close(f);
}

static void test_space(void **state)
{
	struct causeway_file *f;
	struct statvfs st;

	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	assert_int_equal(causeway_lseek(f, 4, SEEK_DATA), 8);
	for (int fault = SOUGHT_BACK; fault <= SOUGHT_FAR; fault++) {
		forger->fault = fault;
		assert_int_equal(causeway_lseek(f, 4, SEEK_DATA), -EPROTO);
		assert_told("the back-end's reply to LSEEK is malformed");
	}
	assert_int_equal(causeway_lseek(f, 0, SEEK_CUR), 8);
	forger->fault = SHORT;
	assert_int_equal(causeway_lseek(f, 4, SEEK_DATA), -EPROTO);
	assert_int_equal(causeway_statvfs(c, NULL, "", &st), -EPROTO);
	assert_int_equal(causeway_statvfs(c, f, "", &st), -EPROTO);
	/* Of a file without holes all 10 bytes are data. */
	forger->fault = UNKNOWN;
	assert_int_equal(causeway_lseek(f, 4, SEEK_DATA), 4);
	assert_int_equal(causeway_lseek(f, 4, SEEK_HOLE), 10);
	assert_int_equal(causeway_lseek(f, 10, SEEK_DATA), -ENXIO);
	assert_int_equal(causeway_fallocate(f, 0, 0, 5), -EOPNOTSUPP);
	assert_int_equal(causeway_syncfs(c), -EOPNOTSUPP);
	/* Without ACCESS the mode 0644 decides, which for root is all but execution. */
	assert_int_equal(causeway_access(c, f, "", R_OK | W_OK, AT_EMPTY_PATH), 0);
	assert_int_equal(causeway_access(c, f, "", X_OK, AT_EMPTY_PATH), -EACCES);
	forger->fault = GOOD;
	assert_int_equal(causeway_statvfs(c, f, "", &st), 0);
	assert_int_equal(st.f_frsize, 512);
	causeway_close(f);
}

static void test_attributes(void **state)
{
	char buf[16];

	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.x", NULL, 0, 0), 8);
	assert_int_equal(causeway_listxattr(c, NULL, "f", NULL, 0, 0), 8);
	assert_int_equal(causeway_listxattr(c, NULL, "f", buf, sizeof(buf), 0), 7);
	assert_string_equal(buf, "user.a");
	for (int fault = LIST_OPEN; fault <= LIST_EMPTY; fault++) {
		forger->fault = fault;
		assert_int_equal(causeway_listxattr(c, NULL, "f", buf, sizeof(buf), 0), -EPROTO);
		assert_told("the back-end's reply to LISTXATTR is malformed: it is no list of "
			    "names");
	}
	forger->fault = SIZE_HUGE;
	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.x", NULL, 0, 0), -EPROTO);
	assert_told("the back-end's reply to GETXATTR is malformed: it is too large");
	assert_int_equal(causeway_listxattr(c, NULL, "f", NULL, 0, 0), -EPROTO);
	forger->fault = GOOD;
	/* More than there is room for does not come in. */
	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.x", buf, 6, 0), -EPROTO);
	assert_told("its length is not what was written");
}

static void test_links(void **state)
{
	char buf[16];

	assert_int_equal(causeway_readlink(c, NULL, "link", buf, sizeof(buf)), 4);
	for (int fault = LINK_EMPTY; fault <= LINK_NUL; fault++) {
		forger->fault = fault;
		assert_int_equal(causeway_readlink(c, NULL, "link", buf, sizeof(buf)), -EPROTO);
		assert_told("the back-end's reply to READLINK is malformed: that is no path");
	}
	forger->fault = LINK_LOOP;
	assert_int_equal(stat_result("any", 0), -ELOOP);
	assert_int_equal(stat_result("any", AT_SYMLINK_NOFOLLOW), 0);
}

static int next_entry(struct causeway_file *d, bool plus, struct causeway_dirent *e)
{
	struct stat st;

	return plus ? causeway_readdirplus(d, e, &st) : causeway_readdir(d, e);
}

static void test_listings(void **state)
{
	struct causeway_dirent e;
	struct causeway_file *d;

	assert_int_equal(causeway_open(c, NULL, "/", O_RDONLY, 0, &d), 0);
	for (int plus = 0; plus < 2; plus++) {
		causeway_seekdir(d, 0);
		assert_int_equal(next_entry(d, plus, &e), 1);
		assert_string_equal(e.name, "name");
		assert_int_equal(next_entry(d, plus, &e), 1);
		assert_int_equal(next_entry(d, plus, &e), 0);
		for (int fault = NAME_LONG; fault <= NAME_CUT; fault++) {
			forger->fault = fault;
			causeway_seekdir(d, 0);
			assert_int_equal(next_entry(d, plus, &e), -EPROTO);
			assert_told("it holds something that is no name");
			assert_told(plus ? "READDIRPLUS" : "READDIR ");
		}
		forger->fault = GOOD;
	}
	forger->fault = NO_TYPE;
	causeway_seekdir(d, 0);
	assert_int_equal(next_entry(d, true, &e), -EPROTO);
	assert_told("READDIRPLUS is malformed: the entry has no type");
	assert_int_equal(next_entry(d, true, &e), -EPROTO);
	forger->fault = GOOD;
	assert_int_equal(next_entry(d, true, &e), 0);
	causeway_close(d);
}

/* Waits until so many lookups were forgotten: they go out together, 64 at a time. */
static void await_forgotten(uint64_t n)
{
	while (atomic_load(&forger->noted) < n)
		sched_yield();
	assert_int_equal(atomic_load(&forger->noted), n);
}

/* Each entry of a listing with attributes is forgotten, once, taken or not. */
static void test_listed_nodes(void **state)
{
	struct causeway_dirent e;
	struct causeway_file *d;

	forger->fault = MANY_NAMES;
	assert_int_equal(causeway_open(c, NULL, "/", O_RDONLY, 0, &d), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(next_entry(d, true, &e), 1);
	causeway_seekdir(d, 0);
	await_forgotten(MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(next_entry(d, true, &e), 1);
	assert_int_equal(next_entry(d, true, &e), 0);
	await_forgotten(2 * MANY);
	causeway_seekdir(d, 0);
	assert_int_equal(next_entry(d, true, &e), 1);
	/* A listing of names brings none. */
	assert_int_equal(next_entry(d, false, &e), 0);
	await_forgotten(3 * MANY);
	causeway_seekdir(d, 0);
	assert_int_equal(next_entry(d, true, &e), 1);
	causeway_close(d);
	await_forgotten(4 * MANY);
}

static void test_statx(void **state)
{
	struct causeway_file *f;
	struct statx st;

	assert_int_equal(causeway_open(c, NULL, "f", O_RDWR, 0, &f), 0);
	for (int fault = SHORT; fault <= OTHER_TYPE; fault++) {
		forger->fault = fault;
		if (fault == SHORT || fault == OTHER_TYPE)
			assert_int_equal(causeway_statx(c, f, "", AT_EMPTY_PATH, STATX_BTIME, &st),
				-EPROTO);
	}
	forger->fault = GOOD;
	assert_int_equal(causeway_statx(c, f, "", AT_EMPTY_PATH, STATX_BTIME, &st), 0);
	assert_int_equal(st.stx_size, 10);
	assert_int_equal(atomic_load(&forger->requests[FUSE_STATX]), 3);
	/* What LOOKUP brought will do where nothing else is wanted. */
	assert_int_equal(causeway_statx(c, f, "", AT_EMPTY_PATH, STATX_SIZE, &st), 0);
	assert_int_equal(atomic_load(&forger->requests[FUSE_STATX]), 3);
	/* Where STATX is not known, GETATTR it is from then on. */
	forger->fault = UNKNOWN;
	assert_int_equal(causeway_statx(c, f, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, 0, &st), 0);
	assert_int_equal(st.stx_mask, STATX_BASIC_STATS);
	assert_int_equal(causeway_statx(c, f, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, 0, &st), 0);
	assert_int_equal(atomic_load(&forger->requests[FUSE_STATX]), 4);
	assert_int_equal(atomic_load(&forger->requests[FUSE_GETATTR]), 2);
	forger->fault = GOOD;
	causeway_close(f);
}

static void test_nameless(void **state)
{
	struct causeway_file *f;

	assert_int_equal(open_result("/", O_TMPFILE | O_RDWR, NO_NODE), -EPROTO);
	assert_told("the back-end's reply to TMPFILE is malformed: the entry has no node");
	assert_int_equal(open_result("/", O_TMPFILE | O_RDWR, SHORT), -EPROTO);
	assert_int_equal(open_result("/", O_TMPFILE | O_RDWR, UNKNOWN), -EOPNOTSUPP);
	assert_int_equal(causeway_open(c, NULL, "/", O_TMPFILE | O_RDWR, 0600, &f), 0);
	forger->fault = NO_NODE;
	assert_int_equal(causeway_flink(f, NULL, "name"), -EPROTO);
	assert_int_equal(causeway_mknod(c, NULL, "fifo", S_IFIFO, 0), -EPROTO);
	forger->fault = GOOD;
	causeway_close(f);
}

/* Whatever comes, nothing breaks. */
static void test_random(void **state)
{
	for (int i = 0; i < 3000; i++) {
		struct causeway_file *f = NULL;
		struct causeway_dirent e;
		char buf[100];

		forger->fault = RANDOM;
		stat_result("a/b", 0);
		causeway_mkdir(c, NULL, "a", 0);
		causeway_readlink(c, NULL, "link", buf, sizeof(buf));
		if (causeway_open(c, NULL, i % 2 ? "/" : "f", i % 3 ? O_RDONLY : O_RDWR, 0,
			    &f) == 0) {
			causeway_pread(f, buf, sizeof(buf), 0);
			causeway_pwrite(f, buf, sizeof(buf), 0);
			for (int k = 0; k < 5; k++)
				causeway_readdir(f, &e);
		}
		causeway_close(f);
	}
	forger->fault = GOOD;
	assert_int_equal(open_result("/", O_RDONLY, GOOD), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_types, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_space, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attributes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_listings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_listed_nodes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_statx, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nameless, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
