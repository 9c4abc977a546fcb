// SPDX-License-Identifier: BSD-2-Clause
/* Directories and listing them. */
#include <sys/syscall.h>

#include "fscases.h"

enum { MANY = 2000, SOME = 300 };

static void make_many(int n)
{
	char name[32];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "entry-%04d", i);
		put(name, "");
	}
}

/* Index of an entry made by make_many, -1 for others. */
static int number(const char *name)
{
	int i;

	return sscanf(name, "entry-%d", &i) == 1 && i < MANY ? i : -1;
}

/* Read to the end, counting how often each was seen. */
static void tally(DIR *dir, uint8_t *seen)
{
	struct dirent *e;

	errno = 0;
	while ((e = readdir(dir))) {
		if (number(e->d_name) >= 0)
			seen[number(e->d_name)]++;
	}
	if (errno)
		report("readdir", -1);
}

static void say_tally(const char *label, const uint8_t *seen, int n)
{
	int once = 0, never = 0, more = 0;

	for (int i = 0; i < n; i++) {
		once += seen[i] == 1;
		never += seen[i] == 0;
		more += seen[i] > 1;
	}
	say(label, "once %d never %d more %d", once, never, more);
}

static void make_remove(void)
{
	show(".");
	R(mkdir("a", 0777));
	R(mkdir("a/b", 0700));
	R(mkdir("a/c", 01777));
	show("a");
	show("a/b");
	show("a/c");
	R(mkdir("a", 0755));
	R(mkdir("a/", 0755));
	R(mkdir("e/", 0755));
	show(".");
	R(rmdir("a"));
	put("a/f", "");
	R(rmdir("a/b"));
	R(rmdir("a/c/"));
	R(rmdir("a"));
	R(unlink("a/f"));
	show("a");
	R(rmdir("a"));
	R(rmdir("a"));
	show(".");
	umask(0);
	R(mkdir("all", 07777));
	show("all");
}

static void list_small(void)
{
	struct stat st;
	struct dirent *e;
	DIR *dir;

	R(mkdir("empty", 0755));
	R(mkdir("one", 0755));
	put("one/file", "");
	for (int i = 0; i < 2; i++) {
		int dots = 0, others = 0, agree = 0;

		dir = opendir(i ? "one" : "empty");
		while ((e = readdir(dir))) {
			if (e->d_name[0] == '.') {
				dots += e->d_type == DT_DIR;
			} else {
				others++;
				stat("one/file", &st);
				agree += e->d_ino == st.st_ino;
			}
		}
		say("dots, others, inodes that agree", "%d %d %d", dots, others, agree);
		closedir(dir);
	}
	dir = opendir("one");
	e = readdir(dir);
	while (e && strcmp(e->d_name, "."))
		e = readdir(dir);
	stat("one", &st);
	say("inode of . agrees", "%d", e && e->d_ino == st.st_ino);
	closedir(dir);
}

static void list_types(void)
{
	static const char *const names[] = {"file", "dir", "link", "fifo", "sock", "null"};
	struct dirent *e;
	DIR *dir;

	put("file", "");
	R(mkdir("dir", 0755));
	R(symlink("x", "link"));
	R(mknod("fifo", S_IFIFO | 0644, 0));
	R(mknod("sock", S_IFSOCK | 0644, 0));
	R(mknod("null", S_IFCHR | 0644, 0x103));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		dir = opendir(".");
		while ((e = readdir(dir))) {
			if (!strcmp(e->d_name, names[i]))
				say(names[i], "type %d", e->d_type);
		}
		closedir(dir);
	}
}

static void list_many(void)
{
	static uint8_t seen[MANY];
	DIR *dir;

	make_many(MANY);
	dir = opendir(".");
	tally(dir, seen);
	say_tally("first", seen, MANY);
	rewinddir(dir);
	memset(seen, 0, sizeof(seen));
	tally(dir, seen);
	say_tally("rewound", seen, MANY);
	R(unlink("entry-0777"));
	put("entry-new", "");
	rewinddir(dir);
	memset(seen, 0, sizeof(seen));
	tally(dir, seen);
	say_tally("after an unlink", seen, MANY);
	say("the removed one", "%d", seen[777]);
	closedir(dir);
}

static void seek_dir(void)
{
	static long at[SOME + 2];
	static char names[SOME + 2][256];
	struct dirent *e;
	int n = 0, right = 0;
	DIR *dir;

	make_many(SOME);
	dir = opendir(".");
	do {
		at[n] = telldir(dir);
		e = readdir(dir);
		if (e)
			strcpy(names[n++], e->d_name);
	} while (e && n < SOME + 2);
	say("entries", "%d", n);
	for (int i = 0; i < n; i++) {
		int k = (i * 37 + 11) % n;

		seekdir(dir, at[k]);
		e = readdir(dir);
		right += e && !strcmp(e->d_name, names[k]);
	}
	say("found where telldir said", "%d", right);
	closedir(dir);
}

static void list_removing(void)
{
	struct dirent *e;
	int removed = 0;
	DIR *dir;

	make_many(3 * SOME);
	dir = opendir(".");
	while ((e = readdir(dir))) {
		if (number(e->d_name) >= 0)
			removed += !unlink(e->d_name);
	}
	closedir(dir);
	say("removed while listing", "%d", removed);
	R(chdir(".."));
	show("list-removing");
}

static void list_changing(void)
{
	static uint8_t seen[MANY];
	char name[32];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	/* Those that stay are seen once, whatever comes and goes beside them. */
	make_many(SOME);
	dir = opendir(".");
	while ((e = readdir(dir))) {
		if (number(e->d_name) >= 0)
			seen[number(e->d_name)]++;
		snprintf(name, sizeof(name), "other-%d", n++ / 2 * 2);
		if (n < 400 && n % 2)
			put(name, "");
		else
			unlink(name);
	}
	closedir(dir);
	say_tally("those that stay", seen, SOME);
}

static void small_buffers(void)
{
	static char buf[4096];
	int fd, bytes = 0;
	long n;

	make_many(20);
	fd = FD(open(".", O_RDONLY | O_DIRECTORY));
	R(syscall(SYS_getdents64, fd, buf, 8));
	R(lseek(fd, 0, SEEK_SET));
	while ((n = syscall(SYS_getdents64, fd, buf, 48)) > 0)
		bytes += n;
	R(n);
	say("bytes in small pieces", "%d", bytes);
	R(lseek(fd, 0, SEEK_SET));
	R(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	R(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
}

static void removed(void)
{
	char buf[512];
	int fd;

	R(mkdir("d", 0755));
	R(mkdir("d/e", 0755));
	fd = FD(open("d/e", O_RDONLY | O_DIRECTORY));
	R(rmdir("d/e"));
	show_fd("fstat", fd);
	R(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	FD(openat(fd, "new", O_CREAT | O_WRONLY, 0644));
	R(mkdirat(fd, "new", 0755));
	R(mkdir("d/e", 0755));
	show("d/e");
	R(fchmod(fd, 0700));
	show("d/e");
}

const struct fs_case dir_cases[] = {{"make-remove", make_remove}, {"list-small", list_small},
	{"list-types", list_types}, {"list-many", list_many}, {"seek-directory", seek_dir},
	{"list-removing", list_removing}, {"list-changing", list_changing},
	{"small-buffers", small_buffers}, {"removed-directory", removed}, {NULL, NULL}};
