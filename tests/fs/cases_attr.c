// SPDX-License-Identifier: BSD-2-Clause
/* Times, statfs, statx, extended attributes. */
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <time.h>

#include "fscases.h"

static void say_times(const char *path)
{
	struct stat st;

	if (lstat(path, &st)) {
		report(path, -1);
		return;
	}
	say(path, "atime %lld.%09ld mtime %lld.%09ld", (long long)st.st_atim.tv_sec,
		st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void set_times(void)
{
	struct timespec t[2] = {{1000000000, 123456789}, {1234567890, 987654321}};
	struct timespec omit_a[2] = {{0, UTIME_OMIT}, {77, 7}};
	struct timespec omit_m[2] = {{88, 8}, {0, UTIME_OMIT}};
	struct timespec far[2] = {{1LL << 33, 1}, {-86400, 2}};
	struct timespec bad[2] = {{0, 1000000000}, {0, 0}};
	int fd;

	put("f", "text");
	R(symlink("f", "s"));
	R(mkdir("d", 0755));
	R(utimensat(AT_FDCWD, "f", t, 0));
	say_times("f");
	R(utimensat(AT_FDCWD, "f", omit_a, 0));
	say_times("f");
	R(utimensat(AT_FDCWD, "f", omit_m, 0));
	say_times("f");
	R(utimensat(AT_FDCWD, "s", t, AT_SYMLINK_NOFOLLOW));
	say_times("s");
	say_times("f");
	R(utimensat(AT_FDCWD, "d", far, 0));
	say_times("d");
	R(utimensat(AT_FDCWD, "f", bad, 0));
	R(utimensat(AT_FDCWD, "missing", t, 0));
	fd = FD(open("f", O_RDWR));
	R(write(fd, "more text", 9));
	R(futimens(fd, t));
	R(close(fd));
	say_times("f");
	show("f");
}

static void now_times(void)
{
	struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	struct timespec old[2] = {{1, 0}, {1, 0}};
	struct timespec mixed[2] = {{5, 5}, {0, UTIME_NOW}};
	struct stat st;
	time_t t = time(NULL);

	put("f", "text");
	R(utimensat(AT_FDCWD, "f", old, 0));
	R(utimensat(AT_FDCWD, "f", now, 0));
	R(stat("f", &st));
	say("about now", "%d", st.st_mtime > t - 600 && st.st_mtime < t + 600);
	R(utimensat(AT_FDCWD, "f", mixed, 0));
	R(stat("f", &st));
	say("mixed", "%lld %ld %d", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
		st.st_mtime > t - 600);
	R(utimensat(AT_FDCWD, "f", NULL, 0));
}

struct change {
	const char *what;
	int (*act)(void);
	bool mtime; /* otherwise only the change time moves */
};

static int act_write(void)
{
	int fd = open("f", O_WRONLY), n = write(fd, "x", 1);

	return close(fd) || n != 1;
}

static int act_truncate(void)
{
	return truncate("f", 100);
}

static int act_chmod(void)
{
	return chmod("f", 0600);
}

static int act_link(void)
{
	return link("f", "g");
}

static int act_rename(void)
{
	return rename("g", "h");
}

static int act_unlink(void)
{
	return unlink("h");
}

static void moving_times(void)
{
	static const struct change changes[] = {{"write", act_write, true},
		{"truncate", act_truncate, true}, {"chmod", act_chmod, false},
		{"link", act_link, false}, {"rename", act_rename, false},
		{"unlink", act_unlink, false}};
	struct stat a, b, da, db;

	put("f", "text");
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		stat("f", &a);
		stat(".", &da);
		next_tick();
		report(changes[i].what, changes[i].act());
		stat("f", &b);
		stat(".", &db);
		say("file's mtime, ctime, directory's mtime move", "%d %d %d",
			stamp(&b.st_mtim) > stamp(&a.st_mtim),
			stamp(&b.st_ctim) > stamp(&a.st_ctim),
			stamp(&db.st_mtim) > stamp(&da.st_mtim));
	}
}

static void sizes_seen(void)
{
	struct stat st;
	struct statx x;
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	for (int i = 1; i <= 5; i++) {
		R(write(fd, "0123456789", 10));
		R(stat("f", &st));
		say("stat and fstat", "%lld", (long long)st.st_size);
		show_fd("fstat", fd);
	}
	R(truncate("f", 7));
	show_fd("fstat", fd);
	R(lseek(fd, 0, SEEK_END));
	R(fsync(fd));
	/* A guest that holds writes back has to ask what the host has allocated. */
	R(statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BLOCKS, &x));
	say("blocks counted", "%d", x.stx_blocks > 0);
}

static void file_system(void)
{
	struct statfs s, d;

	R(statfs(".", &s));
	say("block size, name length", "%ld %ld", (long)s.f_bsize, (long)s.f_namelen);
	say("fragment size", "%ld", (long)s.f_frsize);
	say("sane", "%d", s.f_blocks > 0 && s.f_bfree <= s.f_blocks && s.f_bavail <= s.f_bfree);
	R(mkdir("d", 0755));
	R(statfs("d", &d));
	say("the same below", "%d", d.f_blocks == s.f_blocks && d.f_type == s.f_type);
}

static void extended_stat(void)
{
	struct statx x;

	put("f", "text");
	R(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &x));
	say("basic", "%d", (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	say("birth time", "%d", !!(x.stx_mask & STATX_BTIME));
	say("size, links, mode", "%llu %u %o", (unsigned long long)x.stx_size, x.stx_nlink,
		x.stx_mode);
	R(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_SIZE, &x));
	R(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_SIZE, &x));
	say("size", "%llu", (unsigned long long)x.stx_size);
	R(statx(AT_FDCWD, "missing", 0, STATX_SIZE, &x));
	R(statx(AT_FDCWD, "f", 0x80000, STATX_SIZE, &x));
}

static void xattrs(void)
{
	char buf[64] = "";

	put("f", "text");
	R(setxattr("f", "user.one", "value", 5, 0));
	R(getxattr("f", "user.one", buf, sizeof(buf)));
	R(getxattr("f", "user.missing", buf, sizeof(buf)));
	R(listxattr("f", buf, sizeof(buf)) >= 0);
	R(removexattr("f", "user.one"));
}

const struct fs_case attr_cases[] = {{"set-times", set_times}, {"times-now", now_times},
	{"times-move", moving_times}, {"sizes-seen", sizes_seen}, {"statfs", file_system},
	{"statx", extended_stat}, {"xattr", xattrs}, {NULL, NULL}};
