// SPDX-License-Identifier: BSD-2-Clause
/* Names and paths: lengths, bytes, depth, dots. */
#include "fscases.h"

static void long_names(void)
{
	char name[300];

	for (int len = 253; len <= 257; len++) {
		memset(name, 'n', len);
		name[len] = 0;
		say("length", "%d", len);
		close(FD(open(name, O_CREAT | O_WRONLY, 0644)));
		R(mkdir(name, 0755));
		name[0] = 'm';
		R(mkdir(name, 0755));
		name[0] = 's';
		R(symlink("x", name));
		name[0] = 'n';
		R(rename(name, "short"));
		R(rename("short", name));
		R(link(name, "linked"));
		R(unlink("linked"));
		R(unlink(name));
		name[0] = 'm';
		R(rmdir(name));
	}
}

static void odd_names(void)
{
	char name[256];
	int made = 0, found = 0, listed = 0;
	DIR *dir;
	struct dirent *e;

	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		snprintf(name, sizeof(name), "x%c", c);
		put(name, "");
		made++;
	}
	for (int c = 1; c < 256; c++) {
		snprintf(name, sizeof(name), "x%c", c);
		found += c != '/' && !access(name, F_OK);
	}
	dir = opendir(".");
	while ((e = readdir(dir)))
		listed += e->d_name[0] == 'x' && strlen(e->d_name) == 2;
	closedir(dir);
	say("made, found, listed", "%d %d %d", made, found, listed);
	put("...", "three dots");
	put(" ", "a space");
	put("-rf", "a dash");
	put("name", "lower");
	put("NAME", "upper");
	put("\xc3\xa9", "one code point");
	put("e\xcc\x81", "two code points");
	show_content("...");
	show_content(" ");
	show_content("name");
	show_content("NAME");
	show_content("\xc3\xa9");
	show_content("e\xcc\x81");
}

/* A name of this many bytes, none of which is ASCII, and which are not UTF-8 either. */
static char *raw_name(char *name, int len, int seed)
{
	for (int i = 0; i < len; i++)
		name[i] = (char)(0x80 + (i * 7 + seed) % 0x80);
	name[len] = 0;
	return name;
}

static void raw_names(void)
{
	char old[300], a[300], b[300], c[300], target[300];
	int seen = 0, right = 0;
	struct dirent *d;
	DIR *dir;

	put(raw_name(old, 255, 1), "first");
	report("mkdir of 255 bytes", mkdir(raw_name(b, 255, 2), 0755));
	report("open of 256 bytes", open(raw_name(c, 256, 3), O_CREAT | O_WRONLY, 0644));
	report("mknod of one byte", mknod("\xff", S_IFREG | 0644, 0));
	report("link", link(old, raw_name(c, 255, 3)));
	report("rename", rename(old, raw_name(a, 255, 4)));
	report("symlink", symlink(c, "s"));
	memset(target, 0, sizeof(target));
	report("readlink", readlink("s", target, sizeof(target)));
	say("target", "%d", strcmp(target, c));
	report("access through it", access("s", R_OK));
	report("access by the old name", access(old, F_OK));
	dir = opendir(".");
	while (dir && (d = readdir(dir))) {
		seen++;
		right += !strcmp(d->d_name, a) || !strcmp(d->d_name, b) || !strcmp(d->d_name, c);
	}
	say("listed, and of the long ones", "%d %d", seen, right);
	closedir(dir);
	report("unlink", unlink(a));
	report("rmdir", rmdir(b));
	show_content("s");
}

static void long_paths(void)
{
	static char path[PATH_MAX + 200];
	char name[255];
	int depth = 0;

	memset(name, 'p', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	/* 15 names of 254 bytes with a slash each: 3825 bytes, under PATH_MAX in one path. */
	for (int i = 0; i < 15; i++) {
		if (i)
			strcat(path, "/");
		strcat(path, name);
		depth += !mkdir(path, 0755);
	}
	say("depth", "%d", depth);
	strcat(path, "/");
	while (strlen(path) < PATH_MAX - 1)
		strcat(path, strlen(path) % 2 ? "/" : ".");
	say("length", "%zu", strlen(path));
	R(access(path, F_OK));
	strcat(path, "/");
	R(access(path, F_OK));
}

static void deep(void)
{
	char at[32] = "";
	int depth = 0, up = 0;

	for (int i = 0; i < 50; i++) {
		if (mkdir("d", 0755) || chdir("d"))
			break;
		depth++;
	}
	put("bottom", "deep down");
	for (int i = 0; i < depth; i++)
		up += !chdir("..");
	say("down and up", "%d %d", depth, up);
	show("d/d/d/d");
	show("d/d/../../d/./d/.././d//d");
	for (int i = 0; i < depth; i++)
		up -= !chdir("d");
	snprintf(at, sizeof(at), "%d", up);
	say("and down again", "%s", at);
	show_content("bottom");
}

static void dots(void)
{
	struct stat here, there;

	R(mkdir("a", 0755));
	R(mkdir("a/b", 0755));
	R(stat(".", &here));
	R(stat("a/b/../..", &there));
	say("the same directory", "%d", here.st_ino == there.st_ino && here.st_dev == there.st_dev);
	R(stat("a/.", &here));
	R(stat("a/b/..", &there));
	say("the same directory", "%d", here.st_ino == there.st_ino && here.st_dev == there.st_dev);
	R(rmdir("a/."));
	R(rmdir("a/b/.."));
	R(mkdir(".", 0755));
	R(mkdir("a/..", 0755));
	R(unlink("."));
	R(rename("a/b", "a/.."));
	R(chdir("a/b"));
	R(rename("../b", "../c"));
	R(stat("..", &there));
	say("still the parent", "%d", here.st_ino == there.st_ino);
	R(rmdir("../c"));
	show(".");
	R(mkdir("x", 0755));
	FD(open("y", O_CREAT | O_WRONLY, 0644));
	R(access("..", F_OK));
}

const struct fs_case path_cases[] = {{"long-names", long_names}, {"odd-names", odd_names},
	{"raw-names", raw_names}, {"long-paths", long_paths}, {"deep-paths", deep},
	{"dots", dots}, {NULL, NULL}};
