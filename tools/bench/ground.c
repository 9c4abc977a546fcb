// SPDX-License-Identifier: BSD-2-Clause

#include "ground.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

char ground_files[GROUND_FILES][8];

int ground_write_file(int dir, const char *name, uint64_t size)
{
	static const char block[1 << 16] = "causeway";
	AUTO_CLOSE int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	while (size > 0) {
		ssize_t n = write(fd, block, size < sizeof(block) ? size : sizeof(block));

		if (n < 0)
			return -errno;
		size -= (size_t)n;
	}
	return 0;
}

static int make_dir(int at, const char *name)
{
	int fd;

	if (mkdirat(at, name, 0755))
		return -errno;
	fd = openat(at, name, O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void name_files(void)
{
	for (int i = 0; i < GROUND_FILES; i++)
		snprintf(ground_files[i], sizeof(ground_files[i]), "f%03d", i);
}

static int make_files(int root)
{
	AUTO_CLOSE int dir = make_dir(root, GROUND_FILES_DIR);
	int ret = dir < 0 ? dir : 0;

	name_files();
	for (int i = 0; i < GROUND_FILES && !ret; i++)
		ret = ground_write_file(dir, ground_files[i], GROUND_FILE_SIZE);
	if (!ret) {
		AUTO_CLOSE int fd = openat(dir, ground_files[0], O_WRONLY | O_CLOEXEC);

		// Where the file system has no such attributes, the operations on them say so.
		if (fsetxattr(fd, GROUND_XATTR, "0123456789abcdef", GROUND_XATTR_SIZE, 0) &&
			errno != EOPNOTSUPP)
			ret = -errno;
	}
	return ret;
}

// mknod(2) makes a file in one call.
static int make_list(int root, const char *name, unsigned int entries)
{
	AUTO_CLOSE int dir = make_dir(root, name);

	if (dir < 0)
		return dir;
	for (unsigned int i = 0; i < entries && !bench_stop; i++) {
		char entry[16];

		snprintf(entry, sizeof(entry), "entry-%06u", i);
		if (mknodat(dir, entry, S_IFREG | 0644, 0))
			return -errno;
	}
	return 0;
}

static int make_short_list(int root)
{
	return make_list(root, GROUND_LIST_DIR, GROUND_LIST);
}

static int make_long_list(int root)
{
	return make_list(root, GROUND_LONG_LIST_DIR, GROUND_LONG_LIST);
}

static int make_walk_level(int at, const char *name, int levels)
{
	AUTO_CLOSE int dir = make_dir(at, name);
	int ret = dir < 0 ? dir : 0;

	for (int i = 0; i < (levels ? GROUND_WALK : 2 * GROUND_WALK) && !ret; i++) {
		char entry[8];

		snprintf(entry, sizeof(entry), "%c%02d", levels ? 'd' : 'f', i);
		if (levels)
			ret = make_walk_level(dir, entry, levels - 1);
		else
			ret = mknodat(dir, entry, S_IFREG | 0644, 0) ? -errno : 0;
	}
	return ret;
}

static int make_walk(int root)
{
	return make_walk_level(root, GROUND_WALK_DIR, 2);
}

static int make_find(int root)
{
	AUTO_CLOSE int dir = make_dir(root, GROUND_FIND_DIR);
	int ret = dir < 0 ? dir : 0;

	for (int i = 0; i < GROUND_FIND_DIRS && !ret && !bench_stop; i++) {
		char entry[8];

		snprintf(entry, sizeof(entry), "d%03d", i);
		ret = make_list(dir, entry, GROUND_FIND_FILES);
	}
	return ret;
}

static int make_data(int root)
{
	return ground_write_file(root, GROUND_DATA_FILE, GROUND_DATA);
}

static const struct {
	unsigned int part;
	int (*make)(int root);
	const char *what;
} makers[] = {
	{PART_FILES, make_files, "small files"},
	{PART_LIST, make_short_list, "a directory of 2,000 entries"},
	{PART_LONG_LIST, make_long_list, "a directory of 100,000 entries"},
	{PART_WALK, make_walk, "directories to walk through"},
	{PART_FIND, make_find, "1,000 directories of 1,000 files"},
	{PART_DATA, make_data, "a file of 64 MiB"},
};

int ground_make(struct ground *g, const char *dir, unsigned int parts)
{
	g->path = format("%s/causeway-bench-XXXXXX", dir);
	g->fd = -1;
	g->window = 0;
	if (!mkdtemp(g->path)) {
		say("bench: cannot make a directory in %s: %s", dir, strerror(errno));
		free(g->path);
		g->path = NULL;
		return -1;
	}
	g->fd = open(g->path, O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		int ret = g->fd < 0 ? -errno : 0;

		if (!ret && !(parts & makers[i].part))
			continue;
		progress("making %s", makers[i].what);
		if (!ret)
			ret = makers[i].make(g->fd);
		if (ret) {
			say("bench: cannot make %s in %s: %s", makers[i].what, g->path,
				strerror(-ret));
			ground_remove(g);
			return -1;
		}
	}
	return 0;
}

int ground_open(struct ground *g, const char *path)
{
	name_files();
	*g = (struct ground){.path = format("%s", path)};
	g->fd = open(path, O_DIRECTORY | O_CLOEXEC);
	return g->fd < 0 ? -errno : 0;
}

void ground_close(struct ground *g)
{
	close_fd(&g->fd);
	free(g->path);
	*g = (struct ground){.fd = -1};
}

void ground_restore(const struct ground *g)
{
	unlinkat(g->fd, GROUND_FILES_DIR "/" GROUND_NEW, 0);
	unlinkat(g->fd, GROUND_FILES_DIR "/" GROUND_NEW, AT_REMOVEDIR);
	renameat(g->fd, GROUND_FILES_DIR "/" GROUND_RENAMED, g->fd, GROUND_FILES_DIR "/f000");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void ground_remove_all(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		say("bench: cannot remove %s: %s", path, strerror(errno));
}

void ground_remove(struct ground *g)
{
	progress("removing %s", g->path);
	ground_remove_all(g->path);
	ground_close(g);
	progress(NULL);
}
