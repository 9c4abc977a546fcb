// SPDX-License-Identifier: BSD-2-Clause
#include "tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static char top[64], export_path[80], secret_path[80];
static struct stat top_stat, secret_stat;
static pid_t owner;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	/* Whoever is not root needs the rights that the fuzzer may have taken away. */
	if (type == FTW_D || type == FTW_DNR)
		chmod(path, 0700);
	if (ftw->level == 0)
		return 0;
	return remove(path);
}

static void empty(const char *path)
{
	/* The second round enters what could not be read in the first. */
	for (int i = 0; i < 2; i++)
		nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static void close_tree(void)
{
	/* A thread or child of the fuzzer's engine may pass here too. */
	if (getpid() != owner)
		return;
	empty(top);
	rmdir(top);
}

void tree_open(void)
{
	const char *base = getenv("TMPDIR");

	if (!base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(top, sizeof(top), "%s/fuzz-XXXXXX", base);
	must(mkdtemp(top));
	owner = getpid();
	atexit(close_tree);
	snprintf(export_path, sizeof(export_path), "%s/export", top);
	snprintf(secret_path, sizeof(secret_path), "%s/secret", top);
	must(mkdir(export_path, 0755) == 0);
	must(mkdir(secret_path, 0700) == 0);
	must(stat(top, &top_stat) == 0 && stat(secret_path, &secret_stat) == 0);
}

const char *tree_export(void)
{
	return export_path;
}

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", export_path, name);
	f = fopen(path, "w");
	must(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

void tree_fill(void)
{
	char path[128];

	put_file("a", "some text in a file\n");
	snprintf(path, sizeof(path), "%s/d", export_path);
	must(mkdir(path, 0755) == 0);
	put_file("d/b", "more\n");
	snprintf(path, sizeof(path), "%s/d/e", export_path);
	must(mkdir(path, 0755) == 0);
	/* Ways out, for whoever follows them. */
	snprintf(path, sizeof(path), "%s/l", export_path);
	must(symlink("../secret", path) == 0);
	snprintf(path, sizeof(path), "%s/p", export_path);
	must(mkfifo(path, 0644) == 0);
}

void tree_clear(void)
{
	struct stat st;

	empty(export_path);
	chmod(export_path, 0755);
	must(stat(secret_path, &st) == 0);
	must(st.st_mode == secret_stat.st_mode && st.st_uid == secret_stat.st_uid);
	must(st.st_mtim.tv_sec == secret_stat.st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == secret_stat.st_mtim.tv_nsec);
	must(st.st_ctim.tv_sec == secret_stat.st_ctim.tv_sec &&
		st.st_ctim.tv_nsec == secret_stat.st_ctim.tv_nsec);
}

int tree_is_secret(uint64_t ino)
{
	return ino == top_stat.st_ino || ino == secret_stat.st_ino;
}
