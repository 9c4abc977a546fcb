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
#include "fs/passthrough/version.h"

/* #syscalls: getdents64 lseek */

/* What the pieces of a listing that a reply shows were read with. */
struct stamps {
	bool some, differ;
	struct vt_stamp stamp;
};

static void note_stamp(struct stamps *all, const struct vt_stamp *stamp)
{
	if (all->some && (all->stamp.word != stamp->word || all->stamp.epoch != stamp->epoch))
		all->differ = true;
	all->stamp = *stamp;
	all->some = true;
}

/* A listing that looks up what it lists. */
struct finder {
	bool words;   /* entries have them */
	bool recalls; /* what was told before may be told again */
	struct pt_ahead ahead;
	const struct pt_guess *guess; /* of the entry at hand, if it has words */
};

static struct finder finder(struct passthrough *pt, struct pt_handle *handle, bool with_entries)
{
	const struct vtable_request *v = vtable_request_now();
	struct finder f;

	f.words = with_entries && v && v->words;
	f.recalls = with_entries && pt_may_recall(pt, handle->node);
	f.ahead.at = f.ahead.n = 0;
	f.guess = NULL;
	return f;
}

/* Fills in the words of an entry: those of as many as there may be room for are looked at with the
 * first. */
static void tell_words(struct passthrough *pt, struct pt_handle *handle,
	const struct pt_dirent *host, const struct fs_listing *listing, struct finder *f,
	struct fs_entry *entry)
{
	struct pt_ahead *ahead = &f->ahead;

	if (ahead->at == ahead->n || ahead->entry[ahead->at] != host) {
		size_t room = listing->left / listing->cost(listing, 1);

		ahead->n = pt_dir_ahead(handle->dir, ahead->entry,
			(unsigned int)min_t(size_t, room, PT_AHEAD));
		pt_look_ahead(pt, handle->node, ahead);
	}
	f->guess = pt_tell_ahead(ahead, entry);
}

static bool enter(struct passthrough *pt, struct pt_handle *handle, const struct fs_dirent *d,
	const struct finder *f, struct fs_entry *entry)
{
	enum pt_as as = d->type == DT_DIR ? PT_LISTED_DIRECTORY : PT_LISTED;
	enum pt_met met = PT_MET;

	if (pt_is_dots(d->name))
		return false;
	if (f->words)
		met = pt_meet_listed(pt, handle->node, d->name, f->guess, f->recalls, entry);
	if (met == PT_UNMET && as == PT_LISTED)
		as = PT_LISTED_FIRST;
	return met == PT_MET_AND_TOLD ||
		pt_enter(pt, handle->node, handle->fd, d->name, as, entry) == 0;
}

/* Looks up a listed name. What cannot be looked up is listed all the same, without a node. */
static void find_entry(struct passthrough *pt, struct pt_handle *handle, struct fs_dirent *d,
	const struct finder *f, struct fs_entry *entry)
{
	if (!enter(pt, handle, d, f, entry)) {
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

static void add(struct passthrough *pt, struct pt_handle *handle, const struct pt_dirent *host,
	size_t name_len, struct finder *f, struct fs_listing *listing)
{
	struct fs_dirent d = {
		.name = host->name,
		.name_len = name_len,
		.ino = host->ino,
		.next = host->off,
		.type = host->type,
	};
	struct fs_entry entry = {0};

	if (listing->with_entries) {
		if (f->words)
			tell_words(pt, handle, host, listing, f, &entry);
		find_entry(pt, handle, &d, f, &entry);
	}
	listing->add(listing, &d, listing->with_entries ? &entry : NULL);
}

/* Fills the listing; the directory's lock is held. */
static int list(struct passthrough *pt, struct pt_handle *handle, struct fs_listing *listing)
{
	const struct pt_dirent *host;
	struct stamps stamps = {0};
	struct finder f = finder(pt, handle, listing->with_entries);
	uint64_t first = 0;
	bool some = false;
	int r;

	for (;;) {
		size_t name_len;

		if (!pt_dir_has_next(handle->dir))
			handle->dir->next = pt_stamp_listing(handle->node);
		r = pt_dir_next(&pt->dirs, handle->dir, handle->fd, &first, &host);
		if (r < 0)
			break;
		note_stamp(&stamps, host ? pt_dir_stamp(handle->dir) : &handle->dir->next);
		if (!host)
			break;
		name_len = strlen(host->name);

		if (!handle->node->barred || pt_is_dots(host->name)) {
			if (listing->cost(listing, name_len) > listing->left) {
				r = some ? 0 : -EINVAL;
				break;
			}
			add(pt, handle, host, name_len, &f, listing);
			some = true;
		}
		pt_dir_step(handle->dir);
	}
	if (!stamps.differ)
		pt_recall_listing(handle->node, &stamps.stamp);
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
