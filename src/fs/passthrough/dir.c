// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings. Offsets are the host's own (d_off), so a listing may go on anywhere, also after
 * entries came and went.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"

/* What getdents64(2) returns. */
struct host_dirent {
	uint64_t ino;
	uint64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Makes pos point at the entry at an offset, unless the buffer ends there. */
static int seek_to(struct pt_handle *handle, uint64_t offset)
{
	struct pt_dir *dir = handle->dir;

	if (offset == dir->offset)
		return 0;
	/* Where the host refuses to go, the buffer stays right. */
	if (lseek(handle->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	dir->pos = dir->end = 0;
	dir->offset = offset;
	return 0;
}

/* 1 when there is an entry at pos, 0 at the end, or -errno. */
static int refill(struct pt_handle *handle)
{
	struct pt_dir *dir = handle->dir;
	long n;

	if (dir->pos < dir->end)
		return 1;
	dir->pos = dir->end = 0;
	n = syscall(SYS_getdents64, handle->fd, dir->buffer, sizeof(dir->buffer));
	if (n < 0)
		return -errno;
	dir->end = (size_t)n;
	return n > 0;
}

/* Looks up a listed name. What cannot be looked up is listed all the same, without a node. */
static void find_entry(struct passthrough *pt, struct pt_handle *handle,
	struct fs_dirent *d, struct fs_entry *entry)
{
	if (is_dots(d->name) ||
		pt_enter(pt, handle->node, handle->fd, d->name, entry) < 0) {
		entry->node = 0;
		return;
	}
	d->type = IFTODT(entry->attr.stx_mode);
}

static void add(struct passthrough *pt, struct pt_handle *handle,
	const struct host_dirent *host, size_t name_len, struct fs_listing *listing)
{
	struct fs_dirent d = {
		.name = host->name,
		.name_len = name_len,
		.ino = host->ino,
		.next = host->off,
		.type = host->type,
	};
	struct fs_entry entry;

	if (listing->with_entries)
		find_entry(pt, handle, &d, &entry);
	listing->add(listing, &d, listing->with_entries ? &entry : NULL);
}

/* Fills the listing; the directory's lock is held. */
static int list(struct passthrough *pt, struct pt_handle *handle, struct fs_listing *listing)
{
	struct pt_dir *dir = handle->dir;
	bool some = false;
	int r;

	while ((r = refill(handle)) > 0) {
		const struct host_dirent *host = (const void *)(dir->buffer + dir->pos);
		size_t name_len = strlen(host->name);

		if (!handle->node->barred || is_dots(host->name)) {
			if (listing->cost(listing, name_len) > listing->left)
				return some ? 0 : -EINVAL;
			add(pt, handle, host, name_len, listing);
			some = true;
		}
		dir->pos += host->reclen;
		dir->offset = host->off;
	}
	return some ? 0 : r;
}

static int readdir_open(struct passthrough *pt, const struct fs_target *t, uint64_t offset,
	struct fs_listing *listing, uint64_t *next)
{
	PT_HANDLE struct pt_handle_ref open = pt_handle_ref(pt, t);
	int r;

	if (!open.handle)
		return open.error;
	if (!open.handle->dir)
		return -ENOTDIR;
	cred_be_daemon();
	pthread_mutex_lock(&open.handle->dir->lock);
	r = seek_to(open.handle, offset);
	if (r == 0)
		r = list(pt, open.handle, listing);
	*next = open.handle->dir->offset;
	pthread_mutex_unlock(&open.handle->dir->lock);
	return r;
}

int pt_readdir(struct fs *fs, const struct fs_target *t, uint64_t offset,
	struct fs_listing *listing)
{
	struct passthrough *pt = pt_of(fs);
	struct fs_target own = {.node = t->node, .has_handle = true};
	uint64_t next = offset;
	size_t left;
	int r;

	if (t->has_handle)
		return readdir_open(pt, t, offset, listing, &next);
	left = listing->left;
	r = pt_stream_take(pt, t->node, offset, &own.handle);
	if (r < 0)
		return r;
	r = readdir_open(pt, &own, offset, listing, &next);
	/* At the end nobody goes on. */
	if (r == 0 && listing->left < left)
		pt_stream_keep(pt, t->node, next, own.handle);
	else
		pt_release(fs, own.handle);
	return r;
}
