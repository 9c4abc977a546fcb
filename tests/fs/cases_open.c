// SPDX-License-Identifier: BSD-2-Clause
/* Opening and creating: flags, errors, files without a name. */
#include <sys/statfs.h>

#include "fscases.h"

static void create(void)
{
	char buf[8];
	int fd;

	FD(open("f", O_WRONLY));
	fd = FD(open("f", O_CREAT | O_EXCL | O_WRONLY, 0640));
	R(write(fd, "text", 4));
	FD(open("f", O_CREAT | O_EXCL | O_WRONLY, 0640));
	FD(open("f", O_CREAT | O_WRONLY, 0600));
	show("f");
	FD(open("f", O_CREAT | O_RDWR | O_TRUNC, 0600));
	show("f");
	fd = FD(open("secret", O_CREAT | O_RDWR, 0));
	R(write(fd, "abc", 3));
	R(pread(fd, buf, 3, 0));
	show("secret");
	umask(0);
	close(FD(open("all", O_CREAT | O_WRONLY, 07777)));
	show("all");
	umask(0777);
	close(FD(open("none", O_CREAT | O_WRONLY, 0777)));
	show("none");
	umask(022);
	FD(creat("f", 0644));
	FD(open("", O_RDONLY));
	FD(open("missing/f", O_CREAT | O_WRONLY, 0644));
	FD(open("f/g", O_CREAT | O_WRONLY, 0644));
	FD(open("f/", O_RDONLY));
	FD(open("new/", O_CREAT | O_WRONLY, 0644));
	R(mkdir("d", 0755));
	FD(open("d", O_CREAT | O_WRONLY, 0644));
	FD(open("d", O_CREAT | O_EXCL | O_WRONLY, 0644));
}

static void flags(void)
{
	char buf[8];
	int fd;

	put("f", "text");
	R(mkdir("d", 0755));
	R(symlink("f", "s"));
	R(symlink("d", "sd"));
	FD(open("f", O_RDONLY | O_DIRECTORY));
	FD(open("d", O_RDONLY | O_DIRECTORY));
	FD(open("d", O_WRONLY));
	FD(open("d", O_RDWR));
	fd = FD(open("d", O_RDONLY));
	R(read(fd, buf, 1));
	FD(open("s", O_RDONLY | O_NOFOLLOW));
	FD(open("s", O_RDONLY));
	FD(open("sd", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	FD(open("sd", O_RDONLY | O_DIRECTORY));
	FD(open("f", O_RDONLY | O_NOATIME));
	FD(open("f", O_RDONLY | O_TRUNC));
	fd = FD(open("f", O_RDONLY | O_NONBLOCK));
	R(write(fd, "x", 1));
	R(ftruncate(fd, 0));
	fd = FD(open("f", O_WRONLY));
	R(read(fd, buf, 1));
	R(close(fd));
	R(close(fd));
	R(read(fd, buf, 1));
}

static void path_only(void)
{
	char buf[64], link[64];
	int fd, dir;

	R(mkdir("d", 0755));
	put("d/f", "text");
	R(symlink("d/f", "s"));
	fd = FD(open("d/f", O_PATH));
	show_fd("fstat", fd);
	R(read(fd, buf, 1));
	R(fchmod(fd, 0600));
	R(ftruncate(fd, 0));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	R(unlink("d/f"));
	fd = FD(open(link, O_RDWR));
	R(pread(fd, buf, sizeof(buf), 0));
	show_fd("fstat after unlink", fd);
	dir = FD(open("d", O_PATH | O_DIRECTORY));
	FD(openat(dir, "g", O_CREAT | O_WRONLY, 0644));
	R(fchdir(dir));
	show("g");
	fd = FD(open("../s", O_PATH | O_NOFOLLOW));
	show_fd("fstat of a symlink", fd);
	memset(buf, 0, sizeof(buf));
	R(readlinkat(fd, "", buf, sizeof(buf)));
	say("target", "%s", buf);
}

static void unlinked(void)
{
	char buf[32] = "";
	int fd;

	put("f", "still here");
	fd = FD(open("f", O_RDWR));
	R(unlink("f"));
	show("f");
	show_fd("fstat", fd);
	R(pread(fd, buf, sizeof(buf), 0));
	R(pwrite(fd, " and longer", 11, 10));
	R(ftruncate(fd, 15));
	R(fchmod(fd, 0600));
	R(fsync(fd));
	show_fd("fstat", fd);
	R(pread(fd, buf, sizeof(buf), 0));
	say("text", "%.15s", buf);
	put("f", "another");
	show_content("f");
	R(pread(fd, buf, sizeof(buf), 0));
	say("old text", "%.15s", buf);
	R(close(fd));
	show_content("f");
}

static void nameless(void)
{
	char link[64];
	int fd = FD(open(".", O_TMPFILE | O_RDWR, 0644));

	if (fd < 0)
		return;
	R(write(fd, "text", 4));
	show_fd("fstat", fd);
	R(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
	show_content("named");
	show("named");
	R(unlink("named"));
	R(write(fd, " and more", 9));
	show_fd("fstat after unlink", fd);
	R(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	R(close(fd));
	umask(077);
	fd = FD(open(".", O_TMPFILE | O_WRONLY, 0666));
	show_fd("with a umask", fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	R(linkat(AT_FDCWD, link, AT_FDCWD, "d", AT_SYMLINK_FOLLOW));
	show("d");
	R(linkat(AT_FDCWD, link, AT_FDCWD, "d", AT_SYMLINK_FOLLOW));
	fd = FD(open(".", O_TMPFILE | O_EXCL | O_RDWR, 0644));
	R(linkat(fd, "", AT_FDCWD, "excluded", AT_EMPTY_PATH));
	R(ftruncate(fd, 100));
	show_fd("for ever", fd);
	FD(open(".", O_TMPFILE | O_RDONLY, 0644));
	FD(open("d", O_TMPFILE | O_RDWR, 0644));
}

static void many_handles(void)
{
	enum { N = 300 };
	static int fds[N];
	char name[16], text[16];
	int good = 0, wrong = 0;

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fds[i] = open(name, O_CREAT | O_RDWR, 0644);
		good += fds[i] >= 0 && dprintf(fds[i], "%d", i) > 0;
	}
	for (int i = N - 1; i >= 0; i--) {
		ssize_t n = pread(fds[i], text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = 0;
		wrong += atoi(text) != i;
		if (i % 3 == 0) {
			snprintf(name, sizeof(name), "f%d", i);
			unlink(name);
		}
		wrong += close(fds[i]) != 0;
	}
	say("written", "%d", good);
	say("wrong", "%d", wrong);
}

static void errors(void)
{
	char buf[8];
	struct stat st;
	struct statfs sf;

	put("f", "");
	R(mkdir("d", 0755));
	R(stat("missing", &st));
	R(stat("f/x", &st));
	R(lstat("missing/x", &st));
	R(chmod("missing", 0));
	R(chown("missing", 0, 0));
	R(readlink("f", buf, sizeof(buf)));
	R(readlink("d", buf, sizeof(buf)));
	R(readlink("missing", buf, sizeof(buf)));
	R(unlink("missing"));
	R(unlink("d"));
	R(rmdir("f"));
	R(rmdir("missing"));
	R(mkdir("f", 0755));
	R(mkdir("f/d", 0755));
	R(mkdir("missing/d", 0755));
	R(symlink("x", "f"));
	R(link("f", "d"));
	R(link("missing", "new"));
	R(mknod("f", S_IFIFO | 0644, 0));
	R(access("f", X_OK));
	R(access("f", R_OK | W_OK));
	R(access("missing", F_OK));
	R(chdir("f"));
	R(statfs("missing", &sf));
	R(rename("f", "/proc/self/x"));
	R(link("f", "/proc/self/x"));
	R(opendir("f") != NULL);
	R(ftruncate(-1, 0));
	R(fsync(-1));
}

const struct fs_case open_cases[] = {{"create", create}, {"open-flags", flags},
	{"path-only", path_only}, {"unlinked", unlinked}, {"nameless", nameless},
	{"many-handles", many_handles}, {"errors", errors}, {NULL, NULL}};
