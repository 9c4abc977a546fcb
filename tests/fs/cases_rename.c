// SPDX-License-Identifier: BSD-2-Clause
/* Renaming, with and without flags. */
#include "fscases.h"

static void files(void)
{
	char buf[16] = "";
	int fd;

	put("a", "A");
	put("b", "B");
	fd = FD(open("b", O_RDONLY));
	R(rename("a", "b"));
	show("a");
	show_content("b");
	R(read(fd, buf, sizeof(buf)));
	say("replaced but open", "%s", buf);
	show_fd("fstat of the replaced", fd);
	R(rename("b", "b"));
	R(link("b", "c"));
	R(rename("b", "c"));
	show("b");
	show("c");
	R(rename("missing", "b"));
	show("b");
	R(rename("b", "missing/x"));
	R(rename("b", "c/x"));
	R(rename("b", ""));
	R(rename("b", "new/"));
	R(symlink("b", "s"));
	R(rename("s", "t"));
	show("t");
	R(rename("t", "b"));
	show("b");
	show("c");
}

static void dirs(void)
{
	R(mkdir("a", 0755));
	R(mkdir("a/sub", 0755));
	put("a/f", "in a");
	R(mkdir("b", 0755));
	R(mkdir("full", 0755));
	put("full/f", "in full");
	put("file", "");
	R(rename("a", "full"));
	R(rename("a", "file"));
	R(rename("file", "a"));
	R(rename("a", "a/sub/x"));
	R(rename("a", "a"));
	R(rename("a", "b"));
	show("a");
	show("b");
	show_content("b/f");
	R(rename("b/sub", "up"));
	show("b");
	show(".");
	R(rename("up", "full/down"));
	show("full");
	show("full/down");
	R(rename("full/f", "moved"));
	show_content("moved");
	R(rename(".", "x"));
	R(rename("full/..", "x"));
	R(rename("b", "."));
	R(rename("b/", "c/"));
	show("c");
	show(".");
}

static void no_replace(void)
{
	put("a", "A");
	put("b", "B");
	R(mkdir("d", 0755));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_NOREPLACE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "e", RENAME_NOREPLACE));
	R(symlink("missing", "s"));
	R(renameat2(AT_FDCWD, "b", AT_FDCWD, "s", RENAME_NOREPLACE));
	show("a");
	show_content("b");
	show_content("c");
}

static void exchange(void)
{
	put("a", "A");
	put("b", "B");
	R(mkdir("d", 0755));
	put("d/inside", "I");
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
	show_content("a");
	show_content("b");
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
	show("a");
	show_content("a/inside");
	show_content("d");
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "a/inside", RENAME_EXCHANGE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "missing", RENAME_EXCHANGE));
	R(renameat2(AT_FDCWD, "missing", AT_FDCWD, "a", RENAME_EXCHANGE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
	R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x80));
	show(".");
}

static void open_files(void)
{
	char buf[32] = "";
	int fd, dir;

	R(mkdir("d", 0755));
	R(mkdir("e", 0755));
	fd = FD(open("d/f", O_CREAT | O_RDWR, 0644));
	dir = FD(open("d", O_RDONLY | O_DIRECTORY));
	R(rename("d/f", "e/g"));
	R(write(fd, "after the move", 14));
	show_content("e/g");
	R(rename("e", "d/e"));
	R(pread(fd, buf, sizeof(buf), 0));
	say("text", "%.14s", buf);
	R(rename("d", "z"));
	FD(openat(dir, "e/g", O_RDONLY));
	FD(openat(dir, "new", O_CREAT | O_WRONLY, 0644));
	show("z/new");
	show("d");
	R(fchmod(fd, 0600));
	show("z/e/g");
	R(fchdir(dir));
	R(rename("../z", "../y"));
	show("new");
	show("../y/new");
}

const struct fs_case rename_cases[] = {{"rename-files", files}, {"rename-directories", dirs},
	{"rename-no-replace", no_replace}, {"rename-exchange", exchange},
	{"rename-open", open_files}, {NULL, NULL}};
