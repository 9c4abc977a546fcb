// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operations on open directories.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "fuse/request.h"

int fuse_do_OPENDIR(struct fuse_req *req)
{
	struct fs *fs = req->se->fs;
	struct fuse_open_out out;
	uint64_t handle;
	int r = fuse_has(req->se, FUSE_NO_OPENDIR_SUPPORT)
			? -ENOSYS
			: fs->ops->opendir(fs, req->in.nodeid, &handle);

	if (r < 0)
		return r;
	fuse_fill_open(req->se, &out, handle, true);
	return fuse_reply(req, &out, sizeof(out));
}

int fuse_do_RELEASEDIR(struct fuse_req *req)
{
	const struct fuse_release_in *in = req->args;

	return req->se->fs->ops->release(req->se->fs, in->fh);
}

/* A listing that is gathered in the worker's buffer. */
struct reply_listing {
	struct fs_listing l;
	const struct fuse_session *se;
	bool words; /* each entry has its own */
	char *buffer;
	size_t used;
};

static size_t entry_cost(const struct fs_listing *l, size_t name_len)
{
	return (l->with_entries ? sizeof(struct fuse_entry_out) : 0) +
		FUSE_DIRENT_ALIGN(sizeof(struct fuse_dirent) + name_len);
}

static void fill_entry(const struct reply_listing *rl, struct fuse_entry_out *out,
	const struct fs_entry *e)
{
	if (e->node == 0)
		memset(out, 0, sizeof(*out));
	else if (rl->words)
		fuse_fill_entry_words(rl->se, out, e);
	else
		fuse_fill_entry(rl->se, out, e);
}

static void add_entry(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	struct reply_listing *rl = container_of(l, struct reply_listing, l);
	struct fuse_dirent head = {
		.ino = d->ino,
		.off = d->next,
		.namelen = (uint32_t)d->name_len,
		.type = d->type,
	};
	size_t cost = entry_cost(l, d->name_len);
	char *p = rl->buffer + rl->used;
	struct fuse_entry_out out;

	rl->used += cost;
	l->left -= cost;
	/* What the name is padded with. */
	memset(p + cost - sizeof(uint64_t), 0, sizeof(uint64_t));
	if (l->with_entries) {
		fill_entry(rl, &out, e);
		memcpy(p, &out, sizeof(out));
		p += sizeof(out);
	}
	memcpy(p, &head, sizeof(head));
	memcpy(p + sizeof(head), d->name, d->name_len);
}

static int list(struct fuse_req *req, bool with_entries)
{
	const struct fuse_read_in *in = req->args;
	struct fs_target t = fuse_dir_target(req, in->fh);
	size_t room = min_t(size_t, min_t(size_t, in->size, req->out.left), FUSE_BUFFER_MAX);
	struct reply_listing rl = {
		.l = {.with_entries = with_entries, .left = room, .cost = entry_cost,
			.add = add_entry},
		.se = req->se,
		.words = with_entries && req->words > 0,
		.buffer = req->w->buffer,
	};
	int r = req->se->fs->ops->readdir(req->se->fs, &t, in->offset, &rl.l);

	return r < 0 ? r : fuse_reply(req, rl.buffer, rl.used);
}

int fuse_do_READDIR(struct fuse_req *req)
{
	return list(req, false);
}

int fuse_do_READDIRPLUS(struct fuse_req *req)
{
	return list(req, true);
}
