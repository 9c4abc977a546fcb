// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings. Offsets are the host's own (d_off), so a listing may go on anywhere, also after
 * entries came and went; dirbuf.h says where that is not enough.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/pt.h"

/* #syscalls: getdents64 lseek */

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
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
	/* A listing cannot wait until the window follows the size that it would tell. */
	if (pt->dax && pt_is_unsettled(&pt->fs, entry->node)) {
		pt_node_forget(pt, entry->node, 1);
		entry->node = 0;
	}
}

static void add(struct passthrough *pt, struct pt_handle *handle,
	const struct pt_dirent *host, size_t name_len, struct fs_listing *listing)
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
	const struct pt_dirent *host;
	uint64_t first = 0;
	bool some = false;
	int r;

	while ((r = pt_dir_next(&pt->dirs, handle->dir, handle->fd, &first, &host)) == 0 && host) {
		size_t name_len = strlen(host->name);

		if (!handle->node->barred || is_dots(host->name)) {
			if (listing->cost(listing, name_len) > listing->left)
				return some ? 0 : -EINVAL;
			add(pt, handle, host, name_len, listing);
			some = true;
		}
		pt_dir_step(handle->dir);
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
	if (pt_is_outside(pt, open.handle->node))
		return -ESTALE;
	cred_be_daemon();
	pthread_mutex_lock(&open.handle->dir->lock);
	r = pt_dir_seek(&pt->dirs, open.handle->dir, open.handle->fd, offset);
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
