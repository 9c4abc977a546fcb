// SPDX-License-Identifier: BSD-2-Clause
#include "coherence/file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/util.h"

#define KEY_MAGIC "CWVTKEY1"

struct key_file {
	char magic[8];
	uint8_t key[HASH_KEY_SIZE];
};

static const char *const faults[VT_FAULTS] = {
	[VT_SHORT] = "it is shorter than a table's header",
	[VT_NO_TABLE] = "it is not a version table",
	[VT_OTHER] = "it has a layout that this version does not know; end the servers that use it, "
		     "then remove it",
	[VT_BAD_SLOTS] = "its number of slots is not a power of two, or too large",
	[VT_BAD_SIZE] = "it has not the size that its slots need",
	[VT_BAD_ID] = "it has no id",
	[VT_NOT_ZERO] = "what is to be zero in its header is not",
};

/* What others could write to, or take bytes from below our feet, is not trusted. */
static int examine_owner(const struct stat *st, mode_t forbidden, const char **why)
{
	if (!S_ISREG(st->st_mode))
		*why = "it is not a regular file";
	else if (st->st_uid != geteuid() && st->st_uid != 0)
		*why = "it belongs to another user";
	else if (st->st_mode & forbidden)
		*why = "its mode lets others use it";
	else
		return 0;
	return -EPERM;
}

int file_map(struct vtable *t, int fd, const char **why)
{
	struct vt_header head = {0};
	enum vt_fault fault;
	struct stat st;
	void *map;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = examine_owner(&st, S_IWGRP | S_IWOTH, why);
	if (r < 0)
		return r;
	if (pread(fd, &head, sizeof(head), 0) < 0)
		return -errno;
	fault = vt_examine(&head, (uint64_t)st.st_size);
	if (fault != VT_GOOD) {
		*why = faults[fault];
		return -EINVAL;
	}
	/* A hole that cannot be filled later would be a SIGBUS then. Nobody goes behind the
	 * slots. */
	r = -posix_fallocate(fd, 0, (off_t)vt_used(head.slots));
	if (r < 0)
		return r;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	t->map = map;
	t->bytes = (size_t)st.st_size;
	t->slots = head.slots;
	vtable_populate(t);
	memcpy(t->id, head.id, sizeof(t->id));
	return 0;
}

void file_unmap(struct vtable *t)
{
	if (t->map)
		munmap(t->map, t->bytes);
	t->map = NULL;
	close_fd(&t->fd);
}

int file_random(void *out, size_t size)
{
	return getrandom(out, size, 0) == (ssize_t)size ? 0 : -EIO;
}

int file_fill(struct vtable *t, int fd, uint64_t slots)
{
	struct vt_header head = {
		.magic = VT_MAGIC,
		.layout = VT_LAYOUT,
		.header_size = VT_HEADER_SIZE,
		.slots = slots,
	};
	const char *why = NULL;
	int r;

	if (!vt_are_slots(slots))
		return -EINVAL;
	r = file_random(head.id, sizeof(head.id));
	/* Words of one table mean nothing in another: an epoch of its own tells them apart. */
	if (r == 0)
		r = file_random(&head.epoch, sizeof(head.epoch));
	if (r == 0)
		r = neg_errno(ftruncate(fd, (off_t)vt_size(slots)));
	if (r == 0)
		r = -posix_fallocate(fd, 0, (off_t)vt_used(slots));
	if (r < 0)
		return r;
	if (pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		return -EIO;
	return file_map(t, fd, &why);
}

int file_find(struct vtable *t, const char *path, const char **why)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *folder =
		slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct statfs fs;
	struct stat st;

	t->name = strdup(slash ? slash + 1 : path);
	if (!folder || !t->name || asprintf(&t->key_name, "%s.key", t->name) < 0)
		return -ENOMEM;
	t->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dir < 0 || fstatfs(t->dir, &fs) < 0) {
		*why = "its folder cannot be opened";
		return -errno;
	}
	if (fs.f_type != TMPFS_MAGIC) {
		*why = "its folder is not on a tmpfs, as /run and /dev/shm are: a table is memory, "
		       "and none of one machine may outlive its boot or be another's too";
		return -EXDEV;
	}
	t->lock = openat(t->dir, t->key_name,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (t->lock < 0 || fstat(t->lock, &st) < 0) {
		*why = "the file of its key cannot be opened";
		return -errno;
	}
	return examine_owner(&st, S_IRWXG | S_IRWXO, why);
}

int file_lock(struct vtable *t, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

	while (fcntl(t->lock, F_OFD_SETLK, &lock) < 0) {
		if (errno != EINTR)
			return errno == EACCES ? -EAGAIN : -errno;
	}
	return 0;
}

/* Others go by another one from when they start: that would be two tables in one. */
static int take_key(struct vtable *t, const struct key_file *file, const char **why)
{
	if (t->keyed && memcmp(t->key, file->key, sizeof(t->key)) != 0) {
		*why = "the file of its key holds another one than before";
		return -EINVAL;
	}
	if (!t->keyed)
		memcpy(t->key, file->key, sizeof(t->key));
	t->keyed = true;
	return 0;
}

int file_read_key(struct vtable *t, bool *fresh, const char **why)
{
	struct key_file file;
	ssize_t n = pread(t->lock, &file, sizeof(file), 0);
	int r;

	if (n < 0)
		return -errno;
	if (n == sizeof(file) && memcmp(file.magic, KEY_MAGIC, sizeof(file.magic)) == 0)
		return take_key(t, &file, why);
	*why = "the file of its key holds something else";
	/* Shorter: whoever began it did not get to the end. */
	if (n == sizeof(file) || memcmp(file.magic, KEY_MAGIC, min_t(size_t, (size_t)n, 8)) != 0)
		return -EINVAL;
	if (!fresh)
		return -EINVAL;
	memcpy(file.magic, KEY_MAGIC, sizeof(file.magic));
	memcpy(file.key, t->key, sizeof(file.key));
	r = t->keyed ? 0 : file_random(file.key, sizeof(file.key));
	if (r < 0)
		return r;
	if (pwrite(t->lock, &file, sizeof(file), 0) != sizeof(file))
		return -EIO;
	*fresh = true;
	return take_key(t, &file, why);
}

/* The descriptor for clients cannot be made one for writing: it is of an opening of its own. */
static int open_for_clients(struct vtable *t, int fd, const char *name)
{
	struct stat ours, theirs;

	t->fd = openat(t->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0 || fstat(fd, &ours) < 0 || fstat(t->fd, &theirs) < 0)
		return -errno;
	return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev ? 0 : -ESTALE;
}

int file_attach(struct vtable *t, const char **why)
{
	CLEANUP_FD int fd = openat(t->dir, t->name,
		O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = open_for_clients(t, fd, t->name);
	if (r == 0)
		r = file_map(t, fd, why);
	if (r < 0)
		file_unmap(t);
	return r;
}

/* Those whom an administrator let read the old one may read the new one. */
static void keep_mode(struct vtable *t, int fd)
{
	struct stat st;

	if (fstatat(t->dir, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	if (fchown(fd, (uid_t)-1, st.st_gid) == 0 || st.st_gid == getegid())
		(void)!fchmod(fd, st.st_mode & 0644);
}

int file_replace(struct vtable *t, const char **why)
{
	CLEANUP_FREE char *temporary = NULL;
	CLEANUP_FD int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.new", t->name) < 0)
		return -ENOMEM;
	*why = "a new one cannot be made";
	/* Of one who died over it: nobody else is here while we have the lock. */
	if (unlinkat(t->dir, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(t->dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	keep_mode(t, fd);
	r = open_for_clients(t, fd, temporary);
	if (r == 0)
		r = file_fill(t, fd, t->wanted);
	if (r == 0)
		r = neg_errno(renameat(t->dir, temporary, t->dir, t->name));
	if (r < 0) {
		file_unmap(t);
		unlinkat(t->dir, temporary, 0);
	}
	return r;
}
