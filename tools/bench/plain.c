// SPDX-License-Identifier: BSD-2-Clause

#include "plain.h"

#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int result(long r)
{
	return r < 0 ? -errno : 0;
}

int plain_open(struct plain *p, const struct ground *g, unsigned int parts)
{
	*p = (struct plain){.ground = g, .dir = -1, .file = -1};
	if (!(parts & PART_FILES))
		return 0;
	p->dir = openat(g->fd, GROUND_FILES_DIR, O_DIRECTORY | O_CLOEXEC);
	return result(p->dir);
}

// A guest could not forget a file that is open for nothing.
static int file_of(struct plain *p)
{
	if (p->file < 0)
		p->file = openat(p->dir, ground_files[0], O_RDWR | O_CLOEXEC);
	return p->file;
}

void plain_close(struct plain *p)
{
	close_fd(&p->file);
	close_fd(&p->dir);
}

static const char *next_name(struct plain *p)
{
	return ground_files[p->turn++ % GROUND_FILES];
}

int plain_getattr(struct plain *p)
{
	struct statx stx;
	struct stat st;

	if (file_of(p) < 0)
		return -errno;
	if (p->force)
		return result(statx(
			p->file, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx));
	return result(fstat(p->file, &st));
}

int plain_lookup(struct plain *p)
{
	struct stat st;

	return result(fstatat(p->dir, next_name(p), &st, AT_SYMLINK_NOFOLLOW));
}

int plain_missing(struct plain *p)
{
	struct stat st;

	if (!fstatat(p->dir, "missing", &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	return errno == ENOENT ? 0 : -errno;
}

static int open_and_close(struct plain *p, const char *name, int flags)
{
	int fd = openat(p->dir, name, flags | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : result(close(fd));
}

int plain_hold(struct plain *p)
{
	return open_and_close(p, next_name(p), O_PATH | O_NOFOLLOW);
}

int plain_open_close(struct plain *p)
{
	return open_and_close(p, next_name(p), O_RDONLY);
}

int plain_create(struct plain *p)
{
	int ret = open_and_close(p, GROUND_NEW, O_CREAT | O_EXCL | O_RDWR);

	return ret ? ret : result(unlinkat(p->dir, GROUND_NEW, 0));
}

int plain_mkdir(struct plain *p)
{
	if (mkdirat(p->dir, GROUND_NEW, 0755))
		return -errno;
	return result(unlinkat(p->dir, GROUND_NEW, AT_REMOVEDIR));
}

int plain_rename(struct plain *p)
{
	const char *from = p->turned ? GROUND_RENAMED : ground_files[0];
	const char *to = p->turned ? ground_files[0] : GROUND_RENAMED;

	p->turned = !p->turned;
	return result(renameat(p->dir, from, p->dir, to));
}

// A directory's entries with their attributes; what is below it too, where that is wanted.
static int list(int at, const char *name, bool deep)
{
	int fd = openat(at, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), ret = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		ret = -errno;
		close_fd(&fd);
		return ret;
	}
	while (!ret && (errno = 0, e = readdir(dir))) {
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		ret = result(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
		if (!ret && deep && S_ISDIR(st.st_mode))
			ret = list(dirfd(dir), e->d_name, true);
	}
	if (!ret)
		ret = -errno;
	closedir(dir);
	return ret;
}

int plain_list(struct plain *p)
{
	return list(p->ground->fd, GROUND_LIST_DIR, false);
}

int plain_long_list(struct plain *p)
{
	return list(p->ground->fd, GROUND_LONG_LIST_DIR, false);
}

int plain_walk(struct plain *p)
{
	return list(p->ground->fd, GROUND_WALK_DIR, true);
}

int plain_find(struct plain *p)
{
	return list(p->ground->fd, GROUND_FIND_DIR, true);
}

int plain_small_file(struct plain *p)
{
	AUTO_CLOSE int fd = openat(p->dir, next_name(p), O_RDONLY | O_CLOEXEC);
	char data[GROUND_FILE_SIZE];
	ssize_t n = fd < 0 ? -1 : pread(fd, data, sizeof(data), 0);

	return n < 0 ? -errno : n == sizeof(data) ? 0 : -EIO;
}

int plain_status(struct plain *p)
{
	int ret = 0;

	for (int i = 0; i < GROUND_FILES && !ret; i++)
		ret = plain_lookup(p);
	return ret ? ret : list(p->ground->fd, GROUND_FILES_DIR, false);
}

int plain_compile(struct plain *p)
{
	int ret = 0;

	for (int i = 0; i < OPS_HEADERS && !ret; i++) {
		ret = plain_missing(p);
		if (!ret)
			ret = plain_small_file(p);
	}
	return ret ? ret : plain_create(p);
}

int plain_fsync(struct plain *p)
{
	static const char data[GROUND_FILE_SIZE];

	if (file_of(p) < 0 || pwrite(p->file, data, sizeof(data), 0) < 0)
		return -errno;
	return result(fsync(p->file));
}

int plain_getxattr(struct plain *p)
{
	char value[GROUND_XATTR_SIZE];

	if (file_of(p) < 0)
		return -errno;
	return result(fgetxattr(p->file, GROUND_XATTR, value, sizeof(value)));
}

int plain_setxattr(struct plain *p)
{
	char value[GROUND_XATTR_SIZE];

	if (file_of(p) < 0)
		return -errno;
	memset(value, 'a' + (int)(p->turn++ % 26), sizeof(value));
	return result(fsetxattr(p->file, GROUND_XATTR, value, sizeof(value), 0));
}
