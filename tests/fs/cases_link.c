// SPDX-License-Identifier: BSD-2-Clause
/* Hard links and symbolic links. */
#include "fscases.h"

/* Names of one file have one inode number, by every way to ask for it. */
static void one_inode(void)
{
	struct stat a, b, c, other, open_one;
	int fd;

	put("a", "text");
	put("other", "text");
	R(mkdir("d", 0755));
	R(link("a", "b"));
	R(link("a", "d/c"));
	fd = FD(open("d/c", O_RDONLY));
	R(stat("a", &a) | stat("b", &b) | stat("d/c", &c) | stat("other", &other));
	R(fstat(fd, &open_one));
	say("same inode", "%d %d %d", b.st_ino == a.st_ino, c.st_ino == a.st_ino,
		open_one.st_ino == a.st_ino);
	say("another file's", "%d", other.st_ino == a.st_ino);
	R(rename("a", "b"));
	show("a");
	R(rename("d/c", "other"));
	R(stat("other", &other) | stat("b", &b));
	say("same inode after renames", "%d %d", other.st_ino == a.st_ino, b.st_ino == a.st_ino);
	R(link("other", "again"));
	show_fd("links of the open one", fd);
	close(fd);
}

static void hard(void)
{
	char name[16];
	int good = 0, fd;

	put("a", "text");
	R(link("a", "b"));
	show("a");
	show("b");
	R(link("a", "b"));
	R(mkdir("d", 0755));
	R(link("d", "e"));
	R(link("a", "d/c"));
	put("d/c", "changed through another name");
	show_content("a");
	R(chmod("b", 0600));
	show("a");
	R(unlink("a"));
	show("b");
	R(symlink("b", "s"));
	R(link("s", "s2"));
	show("s2");
	R(linkat(AT_FDCWD, "s", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	show("followed");
	fd = FD(open("b", O_RDONLY));
	R(linkat(fd, "", AT_FDCWD, "from-fd", AT_EMPTY_PATH));
	show("from-fd");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		good += !link("b", name);
	}
	say("links made", "%d", good);
	show("b");
	R(unlink("b"));
	R(unlink("d/c"));
	R(unlink("followed"));
	show_fd("fstat", fd);
	show_content("l99");
}

static void symbolic(void)
{
	char buf[64] = "";

	put("f", "text");
	R(symlink("f", "s"));
	show("s");
	R(readlink("s", buf, sizeof(buf)));
	say("target", "%s", buf);
	memset(buf, 0, sizeof(buf));
	show_content("s");
	R(symlink("missing", "dangling"));
	FD(open("dangling", O_RDONLY));
	FD(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0644));
	FD(open("dangling", O_CREAT | O_WRONLY, 0644));
	show("missing");
	R(chmod("s", 0600));
	show("f");
	R(symlink("loop-b", "loop-a"));
	R(symlink("loop-a", "loop-b"));
	FD(open("loop-a", O_RDONLY));
	R(symlink(".", "self"));
	show("self/self/self/f");
	R(symlink("", "empty"));
	R(symlink("f", "s"));
	R(symlink("\xff\xfe of no charset", "odd"));
	R(readlink("odd", buf, sizeof(buf)));
	say("target", "%d %d %s", (unsigned char)buf[0], (unsigned char)buf[1], buf + 2);
	R(lchown("s", 1, 2));
	show("s");
	show("f");
	R(unlink("s"));
	show("f");
}

static void chain(void)
{
	char name[16], target[16];
	int good = 0;

	put("l0", "end of the chain");
	for (int i = 1; i <= 45; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(target, sizeof(target), "l%d", i - 1);
		good += !symlink(target, name);
	}
	say("links made", "%d", good);
	show_content("l40");
	show_content("l41");
}

static void long_targets(void)
{
	static const int lengths[] = {1, 59, 60, 100, 255, 1000, 4000, 4094, 4095, 4096};
	static char target[5000], back[5000];
	char name[16];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ssize_t n;

		memset(target, 'a' + i, lengths[i]);
		target[lengths[i]] = 0;
		snprintf(name, sizeof(name), "s%d", lengths[i]);
		R(symlink(target, name));
		show(name);
		n = R(readlink(name, back, sizeof(back)));
		say("same", "%d", n == lengths[i] && !memcmp(target, back, n));
		R(readlink(name, back, 10));
	}
}

const struct fs_case link_cases[] = {{"hard-links", hard}, {"one-inode", one_inode},
	{"symlinks", symbolic},
	{"symlink-chain", chain}, {"symlink-targets", long_targets}, {NULL, NULL}};
