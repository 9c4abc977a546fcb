// SPDX-License-Identifier: BSD-2-Clause
/* Modes, owners, and what another user may do. Needs root to say anything. */
#include "fscases.h"

enum { USER = 1234, GROUP = 1235, EXTRA = 1236 };

static void modes(void)
{
	static const mode_t bits[] = {0, 0777, 0644, 0400, 0222, 04755, 02755, 01755, 07777, 06000};
	int fd;

	put("f", "");
	R(mkdir("d", 0755));
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		R(chmod("f", bits[i]));
		show("f");
		R(chmod("d", bits[i]));
		show("d");
	}
	fd = FD(open("f", O_RDWR));
	R(fchmod(fd, 0640));
	show_fd("fstat", fd);
	R(fchmodat(AT_FDCWD, "f", 0600, 0));
	show("f");
}

static void owners(void)
{
	put("f", "");
	R(chown("f", USER, GROUP));
	show("f");
	R(chown("f", -1, 0));
	show("f");
	R(chown("f", 0, -1));
	show("f");
	R(chmod("f", 06755));
	R(chown("f", USER, -1));
	show("f");
	R(chmod("f", 02644));
	R(chown("f", -1, GROUP));
	show("f");
	R(mkdir("d", 02755));
	R(chmod("d", 06755));
	R(chown("d", USER, GROUP));
	show("d");
	R(chown("f", -1, -1));
	show("f");
}

static void inherit(void)
{
	R(mkdir("d", 0755));
	R(chown("d", 0, GROUP));
	R(chmod("d", 02775));
	put("d/f", "");
	show("d/f");
	R(mkdir("d/e", 0755));
	show("d/e");
	R(symlink("x", "d/s"));
	show("d/s");
	R(mknod("d/p", S_IFIFO | 0644, 0));
	show("d/p");
	close(FD(open("d/g", O_CREAT | O_WRONLY, 02755)));
	show("d/g");
	R(mkdir("d/e/deeper", 0700));
	show("d/e/deeper");
}

static void other_user(void *arg)
{
	struct stat st;

	FD(open("root-only", O_RDONLY));
	FD(open("readable", O_RDONLY));
	FD(open("readable", O_WRONLY));
	FD(open("of-group", O_RDONLY));
	FD(open("of-extra", O_RDONLY));
	FD(open("write-only", O_WRONLY));
	FD(open("write-only", O_RDONLY));
	FD(open("new", O_CREAT | O_WRONLY, 0644));
	R(mkdir("new", 0755));
	R(stat("passable/f", &st));
	FD(open("passable", O_RDONLY | O_DIRECTORY));
	R(stat("closed/f", &st));
	FD(open("closed/f", O_RDONLY));
	R(unlink("readable"));
	R(chmod("readable", 0777));
	R(chown("readable", USER, GROUP));
	R(truncate("readable", 0));
	R(utimensat(AT_FDCWD, "readable", NULL, 0));
	R(utimensat(AT_FDCWD, "write-only", NULL, 0));
	R(utimensat(AT_FDCWD, "write-only", (struct timespec[2]){{1, 1}, {1, 1}}, 0));
	R(access("readable", R_OK));
	R(access("readable", W_OK));
	R(access("readable", X_OK));
	R(rename("readable", "mine/stolen"));
	FD(open("mine/f", O_CREAT | O_RDWR, 0600));
	show("mine/f");
	R(mkdir("mine/d", 0755));
	show("mine/d");
	R(symlink("x", "mine/s"));
	show("mine/s");
	R(chown("mine/f", -1, EXTRA));
	R(chown("mine/f", -1, 0));
	R(chown("mine/f", 0, -1));
	R(chmod("mine/f", 02777));
	show("mine/f");
	R(mknod("mine/null", S_IFCHR | 0644, 0x103));
	R(mknod("mine/fifo", S_IFIFO | 0644, 0));
	show("mine/fifo");
}

static void another_user(void)
{
	put("root-only", "");
	R(chmod("root-only", 0600));
	put("readable", "text");
	put("of-group", "");
	R(chmod("of-group", 0640));
	R(chown("of-group", 0, GROUP));
	put("of-extra", "");
	R(chmod("of-extra", 0640));
	R(chown("of-extra", 0, EXTRA));
	put("write-only", "");
	R(chmod("write-only", 0222));
	R(mkdir("passable", 0711));
	put("passable/f", "");
	R(mkdir("closed", 0700));
	put("closed/f", "");
	R(mkdir("mine", 0755));
	R(chown("mine", USER, GROUP));
	as_user(USER, GROUP, EXTRA, other_user, NULL);
	show("readable");
}

static void in_sticky(void *arg)
{
	R(unlink("roots"));
	R(rename("roots", "x"));
	R(rename("mine", "roots"));
	R(unlink("mine"));
	close(FD(open("new", O_CREAT | O_WRONLY | O_EXCL, 0644)));
	R(rename("new", "newer"));
	R(unlink("newer"));
	R(rmdir("roots-dir"));
}

static void sticky(void)
{
	R(mkdir("t", 0755));
	R(chmod("t", 01777));
	R(chdir("t"));
	put("roots", "");
	put("mine", "");
	R(chown("mine", USER, GROUP));
	R(mkdir("roots-dir", 0777));
	as_user(USER, GROUP, 0, in_sticky, NULL);
	show("roots");
}

static void change_suid(void *arg)
{
	int fd;

	fd = FD(open("write", O_WRONLY));
	R(write(fd, "x", 1));
	close(fd);
	show("write");
	R(truncate("truncate", 0));
	show("truncate");
	fd = FD(open("trunc-open", O_WRONLY | O_TRUNC));
	close(fd);
	show("trunc-open");
	R(chown("chown", -1, EXTRA));
	show("chown");
}

/* Ways to change content that are no write(). */
static void change_suid_otherwise(void *arg)
{
	int in = FD(open("ftruncate", O_RDWR)), fd;

	R(ftruncate(in, 2));
	show("ftruncate");
	fd = FD(open("fallocate", O_WRONLY));
	R(fallocate(fd, 0, 0, 100));
	show("fallocate");
	close(fd);
	fd = FD(open("copy", O_WRONLY));
	R(copy_file_range(in, (loff_t[]){0}, fd, (loff_t[]){0}, 2, 0));
	show("copy");
	close(fd);
	fd = FD(open("append", O_WRONLY | O_APPEND));
	R(write(fd, "x", 1));
	show("append");
	close(fd);
	close(in);
}

static void drop_suid(void)
{
	static const char *const names[] = {"write", "truncate", "trunc-open", "chown",
		"ftruncate", "fallocate", "copy", "append"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		put(names[i], "text");
		R(chown(names[i], USER, GROUP));
		R(chmod(names[i], 06775));
	}
	as_user(USER, GROUP, EXTRA, change_suid, NULL);
	as_user(USER, GROUP, EXTRA, change_suid_otherwise, NULL);
	put("by-root", "text");
	R(chmod("by-root", 06775));
	put("by-root", "other");
	show("by-root");
}

const struct fs_case owner_cases[] = {{"modes", modes}, {"owners", owners},
	{"setgid-directory", inherit}, {"another-user", another_user}, {"sticky", sticky},
	{"drop-suid", drop_suid}, {NULL, NULL}};
