// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings. A piece of one is copied whole, then checked entry by entry: lengths and names are the
 * back-end's word.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "client/file.h"

#define LISTING_SIZE 32768u

static int fetch(struct causeway_file *f)
{
	size_t room = min_t(size_t, LISTING_SIZE, f->c->session.max_data);
	struct fuse_read_in in = {.fh = f->fh,
		.offset = f->next,
		.size = (uint32_t)room,
		.flags = (uint32_t)f->flags};
	struct call call = {
		.opcode = FUSE_READDIR,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.ntake = 1,
	};
	struct iovec take;
	int r;

	if (!f->listing)
		f->listing = malloc(LISTING_SIZE);
	if (!f->listing)
		return client_fail(f->c, -ENOMEM, "no memory for a listing");
	take = (struct iovec){f->listing, room};
	call.take = &take;
	r = client_call(f->c, &call);
	f->at = 0;
	f->len = r < 0 ? 0 : call.taken;
	return r;
}

static bool sensible_name(const char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX && !memchr(name, '/', len) && !memchr(name, '\0', len);
}

/* Takes one entry off the listing: 1, or -EPROTO. */
static int take_entry(struct causeway_file *f, struct causeway_dirent *entry)
{
	struct fuse_dirent d;
	size_t left = f->len - f->at;

	if (left < FUSE_NAME_OFFSET)
		return -EPROTO;
	memcpy(&d, f->listing + f->at, FUSE_NAME_OFFSET);
	if (d.namelen > left - FUSE_NAME_OFFSET ||
		!sensible_name(f->listing + f->at + FUSE_NAME_OFFSET, d.namelen))
		return -EPROTO;
	entry->ino = d.ino;
	entry->offset = d.off;
	entry->type = d.type & 15;
	memcpy(entry->name, f->listing + f->at + FUSE_NAME_OFFSET, d.namelen);
	entry->name[d.namelen] = '\0';
	f->at += min_t(size_t, left, FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + (size_t)d.namelen));
	f->next = d.off;
	return 1;
}

EXPORT int causeway_readdir(struct causeway_file *f, struct causeway_dirent *entry)
{
	int r = 0;

	if (f->node->type != S_IFDIR || (f->flags & O_PATH))
		return client_fail(f->c, f->flags & O_PATH ? -EBADF : -ENOTDIR,
			"only an open directory is listed");
	pthread_mutex_lock(&f->lock);
	if (f->at == f->len)
		r = fetch(f);
	if (r == 0 && f->len > 0) {
		r = take_entry(f, entry);
		if (r < 0) {
			f->at = f->len = 0;
			client_fail(f->c, r, "the back-end's reply to READDIR is malformed: "
					     "it holds something that is no name");
		}
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

EXPORT void causeway_seekdir(struct causeway_file *f, uint64_t offset)
{
	pthread_mutex_lock(&f->lock);
	f->at = f->len = 0;
	f->next = offset;
	pthread_mutex_unlock(&f->lock);
}
