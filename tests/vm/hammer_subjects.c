// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is hammered: lengths, data, times, modes, attributes, names, listings. The working directory
 * is the tree.
 */
#include "hammer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Names beside a register's: of everybody, and of one client alone. */
static const char *beside(const struct place *p, const char *what)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s%s", p->path, what);
	return name;
}

static const char *own_name(const struct place *p)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s.new%u", p->path, p->client);
	return name;
}

static int make_name(const char *name, int flags)
{
	int fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC | flags, 0644);

	return fd < 0 ? -1 : close(fd);
}

static int make_file(const struct place *p)
{
	return make_name(p->path, 0);
}

static int make_dir(const struct place *p)
{
	return mkdir(p->path, 0755);
}

static int make_nothing(const struct place *p)
{
	(void)p;
	return 0;
}

static int look_size(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = stat(p->path, &st);

	*seen = ret ? 0 : (uint64_t)st.st_size;
	return ret;
}

static int look_exists(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = lstat(p->path, &st);

	*seen = ret == 0;
	return ret && errno == ENOENT ? 0 : ret;
}

static int change_length(const struct place *p, uint64_t to)
{
	return truncate(p->path, (off_t)to);
}

/* By descriptor. */

static int look_length(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = fstat(p->file, &st);

	*seen = ret ? 0 : (uint64_t)st.st_size;
	return ret;
}

static int write_at(const struct place *p, const void *what, size_t size, uint64_t at)
{
	return pwrite(p->file, what, size, (off_t)at) == (ssize_t)size ? 0 : -1;
}

static int change_append(const struct place *p, uint64_t to)
{
	return write_at(p, "x", 1, to - 1);
}

static int change_data(const struct place *p, uint64_t to)
{
	return write_at(p, &to, sizeof(to), 0);
}

static int look_data(const struct place *p, uint64_t *seen)
{
	ssize_t n = pread(p->file, seen, sizeof(*seen), 0);

	if (n == 0)
		*seen = 0;
	return n < 0 ? -1 : 0;
}

/* What the end of a file says: written at its end, so in a page that was there in part. */
static int change_tail(const struct place *p, uint64_t to)
{
	return write_at(p, &to, sizeof(to), (to - 1) * sizeof(to));
}

static int look_tail(const struct place *p, uint64_t *seen)
{
	uint64_t words[512];
	off_t at;
	struct stat st;
	ssize_t n;

	if (fstat(p->file, &st))
		return -1;
	at = st.st_size < (off_t)sizeof(words) ? 0 : st.st_size - (off_t)sizeof(words);
	n = pread(p->file, words, sizeof(words), at);
	*seen = n > 0 ? words[(size_t)n / sizeof(*words) - 1] : 0;
	return n < 0 ? -1 : 0;
}

/* Attributes. */

static int change_time(const struct place *p, uint64_t to)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)to}};

	return utimensat(AT_FDCWD, p->path, times, 0);
}

static int make_time(const struct place *p)
{
	return make_file(p) ? -1 : change_time(p, 0);
}

static int look_time(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = stat(p->path, &st);

	*seen = ret ? 0 : (uint64_t)st.st_mtim.tv_sec;
	return ret;
}

static int change_mode(const struct place *p, uint64_t to)
{
	return chmod(p->path, (mode_t)(to & 0777));
}

static int make_mode(const struct place *p)
{
	return make_file(p) ? -1 : change_mode(p, 0);
}

static int look_mode(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = stat(p->path, &st);

	*seen = ret ? 0 : st.st_mode & 0777;
	return ret;
}

static int change_xattr(const struct place *p, uint64_t to)
{
	return setxattr(p->path, "user.v", &to, sizeof(to), 0);
}

static int look_xattr(const struct place *p, uint64_t *seen)
{
	if (getxattr(p->path, "user.v", seen, sizeof(*seen)) >= 0)
		return 0;
	*seen = 0;
	return errno == ENODATA ? 0 : -1;
}

static int change_has_xattr(const struct place *p, uint64_t to)
{
	return to % 2 ? setxattr(p->path, "user.h", "", 0, 0) : removexattr(p->path, "user.h");
}

static int look_has_xattr(const struct place *p, uint64_t *seen)
{
	char list[256];
	ssize_t n = listxattr(p->path, list, sizeof(list));

	*seen = n > 0 && memmem(list, (size_t)n, "user.h", sizeof("user.h"));
	return n < 0 ? -1 : 0;
}

/* Names. */

static int change_over(const struct place *p, uint64_t to)
{
	const char *other = own_name(p);

	if (make_name(other, O_EXCL) || truncate(other, (off_t)to))
		return -1;
	return rename(other, p->path);
}

static int change_exists(const struct place *p, uint64_t to)
{
	return to % 2 ? make_name(p->path, O_EXCL) : unlink(p->path);
}

static int change_directory(const struct place *p, uint64_t to)
{
	return to % 2 ? mkdir(p->path, 0755) : rmdir(p->path);
}

static int change_symlink(const struct place *p, uint64_t to)
{
	const char *other = own_name(p);
	char target[32];

	snprintf(target, sizeof(target), "%" PRIu64, to);
	return symlink(target, other) ? -1 : rename(other, p->path);
}

static int make_symlink(const struct place *p)
{
	return symlink("0", p->path);
}

static int look_symlink(const struct place *p, uint64_t *seen)
{
	char target[32] = "";
	ssize_t n = readlink(p->path, target, sizeof(target) - 1);

	*seen = strtoull(target, NULL, 10);
	return n < 0 ? -1 : 0;
}

static int change_links(const struct place *p, uint64_t to)
{
	const char *other = beside(p, ".link");

	return to % 2 ? link(p->path, other) : unlink(other);
}

/* A link that is lost since another file takes its name. */
static int change_replaced(const struct place *p, uint64_t to)
{
	const char *other = own_name(p);

	if (to % 2 ? link(p->path, other) : make_name(other, O_EXCL))
		return -1;
	return rename(other, beside(p, ".name"));
}

static int look_links(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = stat(p->path, &st);

	*seen = ret ? 0 : st.st_nlink - 1;
	return ret;
}

static int change_listing(const struct place *p, uint64_t to)
{
	char from[80], name[80];

	snprintf(from, sizeof(from), "%s/%" PRIu64, p->path, to - 1);
	snprintf(name, sizeof(name), "%s/%" PRIu64, p->path, to);
	return rename(from, name);
}

static int make_listing(const struct place *p)
{
	return make_dir(p) ? -1 : make_name(beside(p, "/0"), O_EXCL);
}

static int look_listing(const struct place *p, uint64_t *seen)
{
	DIR *dir = opendir(p->path);
	const struct dirent *entry;
	unsigned int n = 0;

	if (!dir)
		return -1;
	errno = 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		*seen = strtoull(entry->d_name, NULL, 10);
		n++;
	}
	if (!errno && n != 1)
		errno = EUCLEAN;
	n = (unsigned int)errno;
	closedir(dir);
	errno = (int)n;
	return n ? -1 : 0;
}

/* Attributes that a listing brings. */
static int change_listed(const struct place *p, uint64_t to)
{
	return truncate(beside(p, "/0"), (off_t)to);
}

static int look_listed(const struct place *p, uint64_t *seen)
{
	DIR *dir = opendir(p->path);
	bool there = false;
	struct stat st;
	int ret;

	if (!dir)
		return -1;
	for (const struct dirent *entry; !there && (entry = readdir(dir));)
		there = !strcmp(entry->d_name, "0");
	if (!there)
		errno = EUCLEAN;
	ret = there ? fstatat(dirfd(dir), "0", &st, 0) : -1;
	*seen = ret ? 0 : (uint64_t)st.st_size;
	closedir(dir);
	return ret;
}

/* A directory above what is looked at moves away and back. */
static int change_above(const struct place *p, uint64_t to)
{
	char here[80], there[80];

	snprintf(here, sizeof(here), "%s/here", p->path);
	snprintf(there, sizeof(there), "%s/there", p->path);
	return to % 2 ? rename(here, there) : rename(there, here);
}

static int make_above(const struct place *p)
{
	if (make_dir(p) || mkdir(beside(p, "/here"), 0755))
		return -1;
	return mkdir(beside(p, "/here/below"), 0755);
}

static int look_above(const struct place *p, uint64_t *seen)
{
	struct stat st;
	int ret = stat(beside(p, "/here/below"), &st);

	*seen = ret && errno == ENOENT;
	return *seen ? 0 : ret;
}

/* Two names of different lengths change places. */
static int change_exchange(const struct place *p, uint64_t to)
{
	(void)to;
	return renameat2(AT_FDCWD, beside(p, ".other"), AT_FDCWD, p->path, RENAME_EXCHANGE);
}

static int make_exchange(const struct place *p)
{
	const char *other = beside(p, ".other");

	return make_file(p) || make_name(other, 0) ? -1 : truncate(other, 1);
}

const struct subject subjects[] = {
	{"length", 0, 0, make_file, change_length, look_size},
	{"append", 0, 1, make_file, change_append, look_length},
	{"data", 0, 1, make_file, change_data, look_data},
	{"tail", 0, 1, make_file, change_tail, look_tail},
	{"time", 0, 0, make_time, change_time, look_time},
	{"mode", 01000, 0, make_mode, change_mode, look_mode},
	{"xattr", 0, 0, make_file, change_xattr, look_xattr},
	{"has-xattr", 2, 0, make_file, change_has_xattr, look_has_xattr},
	{"over", 0, 0, make_file, change_over, look_size},
	{"exists", 2, 0, make_nothing, change_exists, look_exists},
	{"directory", 2, 0, make_nothing, change_directory, look_exists},
	{"symlink", 0, 0, make_symlink, change_symlink, look_symlink},
	{"links", 2, 0, make_file, change_links, look_links},
	{"replaced", 2, 0, make_file, change_replaced, look_links},
	{"listing", 0, 0, make_listing, change_listing, look_listing},
	{"listed", 0, 0, make_listing, change_listed, look_listed},
	{"above", 2, 0, make_above, change_above, look_above},
	{"exchange", 2, 0, make_exchange, change_exchange, look_size},
};
const size_t nsubjects = sizeof(subjects) / sizeof(subjects[0]);
