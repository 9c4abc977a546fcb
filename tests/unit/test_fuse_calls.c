// SPDX-License-Identifier: BSD-2-Clause
/* What each request becomes at the file system, and each answer at the guest. */
#include "unit.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "fuse_client.h"

#define ROOM 70000

static struct fuse_client c;

static int setup(void **state)
{
	struct fuse_config config = fc_config("auto");

	log_open("test", LOG_OFF);
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	fc_calls();
	c.in.nodeid = 5;
	return 0;
}

static int teardown(void **state)
{
	fc_close(&c);
	return 0;
}

/* Arguments followed by text, which may hold NULs. */
static int call(uint32_t opcode, const void *args, size_t len, const char *text, size_t text_len)
{
	char buf[512];

	memcpy(buf, args, len);
	memcpy(buf + len, text, text_len);
	return fc_send(&c, opcode, buf, len + text_len, ROOM);
}

#define expect(opcode, args, text, calls)                                                          \
	do {                                                                                       \
		assert_true(call(opcode, &(args), sizeof(args), text, sizeof(text) - 1) >= 0);     \
		assert_string_equal(fc_calls(), calls);                                            \
	} while (0)

static void test_names(void **state)
{
	static const char nothing[0];
	struct fuse_mknod_in mknod_in = {
		.mode = S_IFCHR | 0600, .rdev = 0x12345678, .umask = 022};
	struct fuse_mkdir_in mkdir_in = {.mode = 01777, .umask = 077};
	struct fuse_rename_in rename_in = {.newdir = 6};
	struct fuse_rename2_in rename2_in = {.newdir = 6, .flags = 2};
	struct fuse_link_in link_in = {.oldnodeid = 8};

	expect(FUSE_LOOKUP, nothing, "na me\0", "lookup 5 na me;");
	expect(FUSE_SYMLINK, nothing, "name\0to/../x\0",
		"symlink 5 name -> to/../x by 11:22 umask 0;");
	expect(FUSE_MKNOD, mknod_in, "dev\0",
		"mknod 5 dev mode 20600 dev 1110:74616 by 11:22 umask 22;");
	expect(FUSE_MKDIR, mkdir_in, "d\0", "mkdir 5 d mode 1777 by 11:22 umask 77;");
	expect(FUSE_UNLINK, nothing, "n\0", "unlink 5 n;");
	expect(FUSE_RMDIR, nothing, "n\0", "rmdir 5 n;");
	expect(FUSE_RENAME, rename_in, "a\0bb\0", "rename 5 a to 6 bb flags 0;");
	expect(FUSE_RENAME2, rename2_in, "a\0bb\0", "rename 5 a to 6 bb flags 2;");
	expect(FUSE_LINK, link_in, "n\0", "link 8 to 5 n;");
	mkdir_in.umask = UINT32_MAX;
	expect(FUSE_MKDIR, mkdir_in, "d\0", "mkdir 5 d mode 1777 by 11:22 umask 777;");
}

static void test_attributes(void **state)
{
	static const char nothing[0];
	struct fuse_getattr_in get = {.fh = 9};
	struct fuse_statx_in sx = {.fh = 9};
	struct fuse_access_in access_in = {.mask = 5};
	struct fuse_setattr_in set = {.fh = 9, .size = 1ull << 40, .atime = 100, .mtime = 200,
		.atimensec = 1, .mtimensec = 999999999, .mode = S_IFREG | 04755, .uid = 1,
		.gid = 2};
	static const struct {
		uint32_t valid;
		const char *calls;
	} sets[] = {
		{0, "setattr 5;"},
		{FATTR_MODE, "setattr 5 mode 4755;"},
		{FATTR_UID, "setattr 5 uid 1;"},
		{FATTR_GID, "setattr 5 gid 2;"},
		{FATTR_SIZE | FATTR_FH, "setattr 5/9 size 1099511627776;"},
		{FATTR_SIZE | FATTR_KILL_SUIDGID, "setattr 5 size 1099511627776 kill;"},
		{FATTR_ATIME, "setattr 5 atime 100.000000001;"},
		{FATTR_MTIME, "setattr 5 mtime 200.999999999;"},
		{FATTR_ATIME | FATTR_ATIME_NOW, "setattr 5 atime now;"},
		{FATTR_MTIME | FATTR_MTIME_NOW | FATTR_ATIME,
			"setattr 5 atime 100.000000001 mtime now;"},
		{FATTR_CTIME | FATTR_LOCKOWNER | FATTR_KILL_SUIDGID, "setattr 5;"},
	};

	expect(FUSE_GETATTR, get, "", "getattr 5;");
	get.getattr_flags = FUSE_GETATTR_FH;
	expect(FUSE_GETATTR, get, "", "getattr 5/9;");
	expect(FUSE_STATX, sx, "", "getattr 5;");
	sx.getattr_flags = FUSE_GETATTR_FH;
	expect(FUSE_STATX, sx, "", "getattr 5/9;");
	expect(FUSE_ACCESS, access_in, "", "access 5 5 by 11:22 umask 0;");
	expect(FUSE_STATFS, nothing, "", "statfs 5;");
	expect(FUSE_READLINK, nothing, "", "readlink 5;");
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		set.valid = sets[i].valid;
		expect(FUSE_SETATTR, set, "", sets[i].calls);
	}
	set.mtimensec = 1000000000;
	set.valid = FATTR_MTIME;
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &set, sizeof(set), ROOM), -EINVAL);
	/* UTIME_NOW and UTIME_OMIT are no nanoseconds. */
	set.atimensec = UTIME_OMIT;
	set.valid = FATTR_ATIME;
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &set, sizeof(set), ROOM), -EINVAL);
	assert_string_equal(fc_calls(), "");
}

/* A guest that did not agree to say whether a truncation clears: it is who asks that counts. */
static void test_kill_untold(void **state)
{
	struct fuse_open_in in = {.flags = O_WRONLY | O_TRUNC};
	struct fuse_config config = fc_config("none");

	config.killpriv = false;
	fc_close(&c);
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	fc_calls();
	assert_false(atomic_load(&c.se.flags) & FUSE_HANDLE_KILLPRIV_V2);
	c.in.nodeid = 5;
	expect(FUSE_OPEN, in, "", "open 5 flags 0x201 kill;");
	c.in.uid = 0;
	expect(FUSE_OPEN, in, "", "open 5 flags 0x201;");
}

static void test_files(void **state)
{
	struct fuse_open_in open_in = {.flags = O_WRONLY | O_APPEND};
	struct fuse_create_in create_in = {.flags = O_RDWR | O_EXCL, .mode = 0640, .umask = 2};
	struct fuse_release_in release_in = {.fh = 9};
	struct fuse_flush_in flush_in = {.fh = 9, .lock_owner = 12};
	struct fuse_fsync_in fsync_in = {.fh = 9};
	struct fuse_fallocate_in fallocate_in = {
		.fh = 9, .offset = 1, .length = 2, .mode = 3};
	struct fuse_lseek_in lseek_in = {.fh = 9, .offset = 4, .whence = SEEK_HOLE};
	struct fuse_copy_file_range_in copy_in = {.fh_in = 9, .off_in = 1, .nodeid_out = 6,
		.fh_out = 10, .off_out = 2, .len = 3};
	struct fuse_syncfs_in syncfs_in = {0};

	fc_close(&c);
	struct fuse_config config = fc_config("none");
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	fc_calls();
	c.in.nodeid = 5;
	expect(FUSE_OPEN, open_in, "", "open 5 flags 0x401;");
	/* O_DIRECT goes no further than the options say. */
	open_in.flags |= O_DIRECT;
	expect(FUSE_OPEN, open_in, "", "open 5 flags 0x401;");
	c.se.config.direct_io = true;
	expect(FUSE_OPEN, open_in, "", "open 5 flags 0x4401;");
	c.se.config.direct_io = false;
	open_in.open_flags = FUSE_OPEN_KILL_SUIDGID;
	expect(FUSE_OPEN, open_in, "", "open 5 flags 0x401 kill;");
	expect(FUSE_OPENDIR, open_in, "", "opendir 5;");
	expect(FUSE_CREATE, create_in, "n\0",
		"create 5 n mode 640 flags 0x82 by 11:22 umask 2;");
	create_in.open_flags = FUSE_OPEN_KILL_SUIDGID;
	expect(FUSE_CREATE, create_in, "n\0",
		"create 5 n mode 640 flags 0x82 by 11:22 umask 2 kill;");
	expect(FUSE_TMPFILE, create_in, "/\0",
		"create 5 - mode 640 flags 0x82 by 11:22 umask 2 kill;");
	assert_int_equal(fc_send(&c, FUSE_TMPFILE, &create_in, sizeof(create_in), ROOM), -EINVAL);
	expect(FUSE_RELEASE, release_in, "", "release 9;");
	expect(FUSE_RELEASEDIR, release_in, "", "release 9;");
	expect(FUSE_FLUSH, flush_in, "", "flush 5/9 owner 12;");
	expect(FUSE_FSYNC, fsync_in, "", "fsync 5/9;");
	fsync_in.fsync_flags = FUSE_FSYNC_FDATASYNC;
	expect(FUSE_FSYNC, fsync_in, "", "fsync 5/9 data;");
	expect(FUSE_FSYNCDIR, fsync_in, "", "fsync 5/9 data;");
	expect(FUSE_FALLOCATE, fallocate_in, "", "fallocate 5/9 mode 3 2 at 1 kill;");
	/* The guest's root keeps set-id bits where it writes. */
	c.in.uid = 0;
	expect(FUSE_FALLOCATE, fallocate_in, "", "fallocate 5/9 mode 3 2 at 1;");
	expect(FUSE_COPY_FILE_RANGE, copy_in, "", "copy 3 from 5/9 at 1 to 6/10 at 2;");
	c.in.uid = 11;
	expect(FUSE_LSEEK, lseek_in, "", "lseek 5/9 4 whence 4;");
	expect(FUSE_COPY_FILE_RANGE, copy_in, "", "copy 3 from 5/9 at 1 to 6/10 at 2 kill;");
	copy_in.len = UINT64_MAX;
	expect(FUSE_COPY_FILE_RANGE, copy_in, "",
		"copy 4294963200 from 5/9 at 1 to 6/10 at 2 kill;");
	fc_recorder_result = 1 << 30;
	expect(FUSE_COPY_FILE_RANGE_64, copy_in, "",
		"copy 9223372036854771712 from 5/9 at 1 to 6/10 at 2 kill;");
	assert_int_equal(c.payload_len, sizeof(struct fuse_copy_file_range_out));
	assert_int_equal(((struct fuse_copy_file_range_out *)(void *)c.payload)->bytes_copied,
		1 << 30);
	fc_recorder_result = 0;
	copy_in.flags = 1;
	assert_int_equal(fc_send(&c, FUSE_COPY_FILE_RANGE_64, &copy_in, sizeof(copy_in), ROOM),
		-EINVAL);
	assert_int_equal(fc_send(&c, FUSE_COPY_FILE_RANGE, &copy_in, sizeof(copy_in), ROOM),
		-EINVAL);
	expect(FUSE_SYNCFS, syncfs_in, "", "syncfs 5 all;");
}

static int send_ioctl(const struct fuse_ioctl_in *in, const void *data, size_t len, size_t room)
{
	char buf[256];

	memcpy(buf, in, sizeof(*in));
	memcpy(buf + sizeof(*in), data, len);
	return fc_send(&c, FUSE_IOCTL, buf, sizeof(*in) + len, room);
}

/* Inode flags, in the forms that guests send them in; no other ioctl goes any further. */
static void test_ioctl(void **state)
{
	static const struct fsxattr set = {.fsx_xflags = 0x8, .fsx_projid = 7};
	static const unsigned int refused[] = {0, 0x5401, FIFREEZE, FITRIM, FITHAW,
		FICLONE, FS_IOC_GETVERSION, FS_IOC_GETFSLABEL, _IOR('f', 1, short),
		FS_IOC_GETFLAGS & 0xffff, UINT32_MAX};
	static const struct {
		unsigned int get, set;
	} forms[] = {{FS_IOC_GETFLAGS, FS_IOC_SETFLAGS}, {FS_IOC32_GETFLAGS, FS_IOC32_SETFLAGS}};
	const struct fuse_ioctl_out *out = (void *)c.payload;
	const uint64_t flags = 0xffffffff00000010;
	struct fuse_ioctl_in in = {.fh = 9};
	struct fsxattr x;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		for (uint32_t size = 4; size <= 8; size += 4) {
			in.cmd = forms[i].get;
			in.in_size = 0;
			in.out_size = size;
			assert_int_equal(send_ioctl(&in, "", 0, ROOM), sizeof(*out) + 4);
			assert_string_equal(fc_calls(), "get_fileattr 5/9 0;");
			assert_memory_equal(c.payload + sizeof(*out), "\x44\x33\x22\x11", 4);
			assert_memory_equal(out, &(struct fuse_ioctl_out){0}, sizeof(*out));
			in.cmd = forms[i].set;
			in.in_size = size;
			in.out_size = 0;
			assert_int_equal(send_ioctl(&in, &flags, size, ROOM), sizeof(*out));
			assert_string_equal(fc_calls(), "set_fileattr 5/9 0x10;");
			assert_int_equal(send_ioctl(&in, &flags, 3, ROOM), -EINVAL);
			in.in_size = 3;
			assert_int_equal(send_ioctl(&in, &flags, size, ROOM), -EINVAL);
		}
	}
	in = (struct fuse_ioctl_in){.fh = 9, .cmd = FS_IOC_FSGETXATTR, .out_size = sizeof(x),
		.flags = FUSE_IOCTL_DIR};
	assert_int_equal(send_ioctl(&in, "", 0, ROOM), sizeof(*out) + sizeof(x));
	memcpy(&x, c.payload + sizeof(*out), sizeof(x));
	assert_int_equal(x.fsx_xflags, 0x11223344);
	assert_int_equal(x.fsx_projid, 99);
	assert_int_equal(send_ioctl(&in, "", 0, 16 + sizeof(*out) + sizeof(x) - 1), -EINVAL);
	in.out_size--;
	assert_int_equal(send_ioctl(&in, "", 0, ROOM), -EINVAL);
	in = (struct fuse_ioctl_in){.fh = 9, .cmd = FS_IOC_FSSETXATTR, .in_size = sizeof(x)};
	fc_calls();
	assert_int_equal(send_ioctl(&in, &set, sizeof(set), ROOM), sizeof(*out));
	assert_string_equal(fc_calls(), "set_fileattr 5/9 x 0x8 project 7;");
	in.flags = FUSE_IOCTL_UNRESTRICTED;
	assert_int_equal(send_ioctl(&in, &set, sizeof(set), ROOM), -ENOTTY);
	in.flags = 0;
	c.se.config.readonly = true;
	assert_int_equal(send_ioctl(&in, &set, sizeof(set), ROOM), -EROFS);
	c.se.config.readonly = false;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		in.cmd = refused[i];
		in.in_size = in.out_size = 64;
		assert_int_equal(send_ioctl(&in, &set, sizeof(set), ROOM), -ENOTTY);
	}
	assert_string_equal(fc_calls(), "");
}

/* A session that serves attributes, with these INIT flags. */
static void with_xattr(uint32_t flags)
{
	struct fuse_config config = fc_config("none");
	struct fuse_init_in in = {.major = 7, .minor = 38, .flags = flags};

	fc_close(&c);
	config.xattr = true;
	config.posix_acl = FUSE_WHEN_AUTO;
	fc_open(&c, fc_recorder(), &config);
	assert_true(fc_send(&c, FUSE_INIT, &in, sizeof(in), ROOM) > 0);
	fc_calls();
	c.in.nodeid = 5;
}

static void test_xattr(void **state)
{
	static const char nothing[0];
	static char big[sizeof(struct fuse_setxattr_in) + 300 + 70000];
	struct fuse_getxattr_in get = {.size = 10};
	struct fuse_setxattr_in_oldest old = {.size = 3, .flags = 1};
	struct fuse_setxattr_in set = {.size = 3, .flags = 2};

	/* Whoever does not serve them says so, once and for all. */
	assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), ROOM), -ENOSYS);
	assert_int_equal(call(FUSE_GETXATTR, &get, sizeof(get), "user.a", 7), -ENOSYS);
	assert_int_equal(call(FUSE_SETXATTR, &set, sizeof(set), "user.a\0abc", 10), -ENOSYS);
	assert_int_equal(fc_send(&c, FUSE_REMOVEXATTR, "user.a", 7, ROOM), -ENOSYS);
	assert_string_equal(fc_calls(), "");

	with_xattr(0);
	expect(FUSE_GETXATTR, get, "user.a\0", "getxattr 5 user.a 10;");
	assert_memory_equal(c.payload, "vvvvvvvvvv", 10);
	expect(FUSE_REMOVEXATTR, nothing, "user.a\0", "removexattr 5 user.a;");
	expect(FUSE_SETXATTR, old, "user.a\0a\0c", "setxattr 5 user.a \"a\" flags 1;");
	old.size = 0;
	expect(FUSE_SETXATTR, old, "user.a\0", "setxattr 5 user.a \"\" flags 1;");
	/* The room limits an answer; without any, nothing is asked for. */
	assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), 16), -ERANGE);
	assert_string_equal(fc_calls(), "");
	for (get.size = 1; get.size < 14; get.size++)
		assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), ROOM), -ERANGE);
	get.size = UINT32_MAX;
	assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), 16 + 13), -ERANGE);
	assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), 16 + 14), 14);
	assert_memory_equal(c.payload, "user.a\0user.b", 14);
	get.size = 0;
	fc_calls();
	expect(FUSE_LISTXATTR, get, "", "listxattr 5;");
	assert_int_equal(c.payload_len, sizeof(struct fuse_getxattr_out));
	assert_int_equal(((struct fuse_getxattr_out *)(void *)c.payload)->size, 14);
	assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), 16 + 4), -EINVAL);
	assert_string_equal(fc_calls(), "");

	with_xattr(FUSE_SETXATTR_EXT);
	expect(FUSE_SETXATTR, set, "user.a\0abc", "setxattr 5 user.a \"abc\" flags 2;");
	set.setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID;
	expect(FUSE_SETXATTR, set, "user.a\0abc", "setxattr 5 user.a \"abc\" flags 2 kill;");
	for (size_t len = 0; len < sizeof(set) + 10; len++) {
		memcpy(big, &set, sizeof(set));
		memcpy(big + sizeof(set), "user.a\0abc", 10);
		assert_int_equal(fc_send(&c, FUSE_SETXATTR, big, len, ROOM), -EINVAL);
	}
	assert_int_equal(fc_send(&c, FUSE_SETXATTR, big, sizeof(set) + 11, ROOM), -EINVAL);
	/* A name without end, and values of the longest length and beyond. */
	memset(big + sizeof(set), 'x', sizeof(big) - sizeof(set));
	assert_int_equal(fc_send(&c, FUSE_SETXATTR, big, sizeof(set) + 100, ROOM), -EINVAL);
	set.size = 65537;
	memcpy(big, &set, sizeof(set));
	assert_int_equal(fc_send(&c, FUSE_SETXATTR, big, sizeof(big), ROOM), -E2BIG);
	set.size = 65536;
	memcpy(big, &set, sizeof(set));
	big[sizeof(set) + 255] = 0;
	assert_string_equal(fc_calls(), "");
	assert_int_equal(
		fc_send(&c, FUSE_SETXATTR, big, sizeof(set) + 256 + 65537, ROOM), -EINVAL);
	assert_string_equal(fc_calls(), "");
}

/* ACLs are for a guest that enforces them. */
static void test_acl(void **state)
{
	static const char *const names[] = {"system.posix_acl_access", "system.posix_acl_default"};
	struct fuse_getxattr_in get = {.size = 0};
	struct fuse_setxattr_in_oldest set = {.size = 3};
	char value[64];

	for (int acl = 0; acl < 2; acl++) {
		with_xattr(acl ? FUSE_POSIX_ACL : 0);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			size_t len = strlen(names[i]) + 1;

			memcpy(value, names[i], len);
			memcpy(value + len, "acl", 3);
			assert_int_equal(call(FUSE_GETXATTR, &get, sizeof(get), names[i], len),
				acl ? 8 : -EOPNOTSUPP);
			assert_int_equal(call(FUSE_SETXATTR, &set, sizeof(set), value, len + 3),
				acl ? 0 : -EOPNOTSUPP);
			assert_int_equal(fc_send(&c, FUSE_REMOVEXATTR, names[i], len, ROOM),
				acl ? 0 : -EOPNOTSUPP);
		}
		if (!acl)
			assert_string_equal(fc_calls(), "");
		assert_int_equal(fc_send(&c, FUSE_LISTXATTR, &get, sizeof(get), ROOM), 8);
		assert_int_equal(((struct fuse_getxattr_out *)(void *)c.payload)->size,
			acl ? 63 : 14);
	}
}

static void test_data(void **state)
{
	struct fuse_read_in read_in = {.fh = 9, .offset = 100, .size = 10};
	struct fuse_write_in write_in = {.fh = 9, .offset = 100, .size = 5};
	const struct fuse_write_out *out = (void *)c.payload;
	static const struct {
		uint32_t flags, write_flags;
		const char *calls;
	} writes[] = {
		{O_WRONLY, 0, "write 5/9 5 at 100 how 0 \"hello\";"},
		{O_WRONLY | O_APPEND, 0, "write 5/9 5 at 100 how 1 \"hello\";"},
		{O_WRONLY | O_APPEND, FUSE_WRITE_CACHE, "write 5/9 5 at 100 how 0 \"hello\";"},
		{O_WRONLY | O_DSYNC, 0, "write 5/9 5 at 100 how 2 \"hello\";"},
		{O_WRONLY | O_SYNC, 0, "write 5/9 5 at 100 how 4 \"hello\";"},
		{O_WRONLY, FUSE_WRITE_KILL_SUIDGID, "write 5/9 5 at 100 how 8 \"hello\";"},
		{O_WRONLY | O_SYNC | O_APPEND, 0, "write 5/9 5 at 100 how 5 \"hello\";"},
	};

	assert_int_equal(fc_send(&c, FUSE_READ, &read_in, sizeof(read_in), ROOM), 10);
	assert_memory_equal(c.payload, "rrrrrrrrrr", 10);
	assert_string_equal(fc_calls(), "read 5/9 10 at 100;");
	/* The room limits a read as the size does. */
	assert_int_equal(fc_send(&c, FUSE_READ, &read_in, sizeof(read_in), 16 + 7), 7);
	assert_string_equal(fc_calls(), "read 5/9 7 at 100;");
	assert_int_equal(fc_send(&c, FUSE_READ, &read_in, sizeof(read_in), 16), 0);
	read_in.size = UINT32_MAX;
	assert_int_equal(fc_send(&c, FUSE_READ, &read_in, sizeof(read_in), 16 + 9), 9);
	fc_calls();
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		write_in.flags = writes[i].flags;
		write_in.write_flags = writes[i].write_flags;
		expect(FUSE_WRITE, write_in, "hello", writes[i].calls);
		assert_int_equal(out->size, 5);
	}
	/* More data than the size says is left alone, less is refused. */
	write_in.flags = 0;
	write_in.write_flags = 0;
	expect(FUSE_WRITE, write_in, "hello world", "write 5/9 5 at 100 how 0 \"hello\";");
	assert_int_equal(call(FUSE_WRITE, &write_in, sizeof(write_in), "hell", 4), -EINVAL);
	assert_string_equal(fc_calls(), "");
}

/* A chain of more pieces than one system call takes goes on in the next one. */
static void test_many_pieces(void **state)
{
	struct fuse_read_in read_in = {.fh = 9, .offset = 100, .size = 3000};
	struct fuse_write_in write_in = {.fh = 9, .offset = 100, .size = 3000};
	char buf[sizeof(write_in) + 3000];

	c.in.opcode = FUSE_READ;
	c.in.len = sizeof(c.in) + sizeof(read_in);
	assert_int_equal(fc_send_raw(&c, &read_in, sizeof(read_in), 16 + 3000), 3000);
	assert_string_equal(fc_calls(),
		"read 5/9 1024 at 100;read 5/9 1024 at 1124;read 5/9 952 at 2148;");
	memcpy(buf, &write_in, sizeof(write_in));
	memset(buf + sizeof(write_in), 'w', 3000);
	c.in.opcode = FUSE_WRITE;
	c.in.len = sizeof(c.in) + sizeof(buf);
	assert_int_equal(fc_send_raw(&c, buf, sizeof(buf), ROOM), 8);
	assert_int_equal(((struct fuse_write_out *)(void *)c.payload)->size, 3000);
	assert_int_equal(strlen(fc_calls()), 3000 + 3 * strlen("write 5/9 1024 at 1124 how 0 \"\";")
			- 1 /* 100 */ - 1 /* 952 */);
}

static void test_forgets(void **state)
{
	struct fuse_forget_in forget_in = {.nlookup = 3};
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[3];
	} batch = {.in = {.count = 3}, .one = {{7, 1}, {8, 2}, {9, UINT64_MAX}}};

	assert_int_equal(fc_send(&c, FUSE_FORGET, &forget_in, sizeof(forget_in), 0), -EPROTO);
	assert_string_equal(fc_calls(), "forget 5 3;");
	fc_send(&c, FUSE_BATCH_FORGET, &batch, sizeof(batch), 0);
	assert_string_equal(fc_calls(), "forget 7 1;forget 8 2;forget 9 18446744073709551615;");
	for (uint32_t count = 4; count > 0; count = count == 4 ? 0x10000003 : 0) {
		batch.in.count = count;
		fc_send(&c, FUSE_BATCH_FORGET, &batch, sizeof(batch), 0);
		assert_string_equal(fc_calls(), "");
	}
	batch.in.count = 1;
	fc_send(&c, FUSE_BATCH_FORGET, &batch, sizeof(batch), 0);
	assert_string_equal(fc_calls(), "forget 7 1;");
}

/* Listings of every size: whole entries only, 8-byte aligned, padded with zeros. */
static void listing(uint32_t opcode, size_t entry_head)
{
	struct fuse_read_in in = {.fh = 9};

	for (in.size = 0; in.size < 700; in.size++) {
		size_t at = 0;
		unsigned int n = 0;
		int r = fc_send(&c, opcode, &in, sizeof(in), ROOM);

		fc_calls();
		if (in.size < entry_head + 32) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		assert_true(r > 0 && (size_t)r <= in.size);
		for (n = 0; at < (size_t)r; n++) {
			const struct fuse_entry_out *entry = (void *)(c.payload + at);
			const struct fuse_dirent *d = (void *)(c.payload + at + entry_head);

			if (entry_head)
				assert_int_equal(entry->nodeid, n == 1 ? 0 : 99);
			assert_int_equal(d->ino, 1000 + n);
			assert_int_equal(d->off, n + 1);
			assert_int_equal(d->namelen, n + 1);
			at += entry_head + FUSE_DIRENT_SIZE(d);
			for (const char *p = d->name + d->namelen; p < c.payload + at; p++)
				assert_int_equal(*p, 0);
		}
		assert_int_equal(at, r);
		assert_true(n == 10 || at + entry_head + 32 + 8 > in.size);
	}
	/* The room for the reply limits a listing as its size does. */
	for (int i = 0; i < 2; i++) {
		int r = fc_send(&c, opcode, &in, sizeof(in), 16 + 200);

		assert_true(r > 0 && r <= 200);
		in.size = UINT32_MAX;
	}
}

static void test_listings(void **state)
{
	struct fuse_read_in in = {.fh = 9, .offset = 3, .size = 500};

	fc_send(&c, FUSE_READDIR, &in, sizeof(in), ROOM);
	assert_string_equal(fc_calls(), "readdir 5/9 500 at 3;");
	fc_send(&c, FUSE_READDIRPLUS, &in, sizeof(in), ROOM);
	assert_string_equal(fc_calls(), "readdir 5/9 500 at 3 plus;");
	listing(FUSE_READDIR, 0);
	listing(FUSE_READDIRPLUS, sizeof(struct fuse_entry_out));
}

/* A missing name is remembered by the guest as long as a name is, and not at all without that. */
static void test_missing_name(void **state)
{
	const struct fuse_entry_out *entry = (void *)c.payload;
	struct fuse_config config = fc_config("none");

	fc_recorder_result = -ENOENT;
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM), sizeof(*entry));
	assert_int_equal(entry->nodeid, 0);
	assert_int_equal(entry->entry_valid, 1);
	fc_close(&c);
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	fc_recorder_result = -ENOENT;
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, "a", 2, ROOM), -ENOENT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_names),
		CASE(test_attributes),
		CASE(test_files),
		CASE(test_kill_untold),
		CASE(test_ioctl),
		CASE(test_xattr),
		CASE(test_acl),
		CASE(test_data),
		CASE(test_many_pieces),
		CASE(test_forgets),
		CASE(test_listings),
		CASE(test_missing_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
