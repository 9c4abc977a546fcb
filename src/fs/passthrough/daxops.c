// SPDX-License-Identifier: BSD-2-Clause
/*
 * What operations do with files that may be in the DAX window.
 */
#include <errno.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"

/* #syscalls: ftruncate fcntl:1=F_DUPFD_CLOEXEC faccessat faccessat2 */

/* A scoped reference with its lock. */
static struct pt_dax_file *take_locked(struct passthrough *pt, struct pt_node *node)
{
	struct pt_dax_file *d = pt_dax_take(pt, node);

	if (d)
		pthread_mutex_lock(&d->change);
	return d;
}

static void unlock_put(struct pt_dax_file *d)
{
	pthread_mutex_unlock(&d->change);
	pt_dax_put(d);
}

static struct dax_file *file_of(struct pt_dax_file *d)
{
	return d ? atomic_load(&d->file) : NULL;
}

int pt_setup_mapping(struct fs *fs, uint64_t node_id, const struct fs_mapping *m)
{
	struct passthrough *pt = pt_of(fs);
	PT_INSIDE struct pt_inside in = pt_enter_table(pt);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node_id);
	struct pt_dax_file *d;
	int r;

	if (!ref.node)
		return ref.error;
	if (ref.node->type != S_IFREG)
		return ref.node->type == S_IFDIR ? -EISDIR : -EINVAL;
	d = take_locked(pt, ref.node);
	if (!d)
		return -ENOMEM;
	r = pt_dax_describe(d);
	if (r == 0) {
		if (d->idle)
			r = pt_dax_renew(d);
		else
			pt_dax_make_room(d, false);
		if (!dax_file_is_claimed(file_of(d)))
			pt_dax_lease(d);
		for (bool try = r == 0; try; try = r == -ENOSPC && pt_dax_make_room(d, true))
			r = dax_map(file_of(d), m->at, m->len, m->offset, m->write);
		pt_dax_note_claims(pt);
	}
	unlock_put(d);
	return r;
}

/* Which files the range belongs to, only the window knows. */
int pt_remove_mapping(struct fs *fs, uint64_t at, uint64_t len)
{
	struct passthrough *pt = pt_of(fs);
	PT_INSIDE struct pt_inside in = pt_enter_table(pt);
	int r;

	cred_be_daemon();
	r = dax_unmap(pt->dax->window, at, len);
	pt_dax_note_claims(pt);
	return r;
}

bool pt_opens_late(struct fs *fs, uint64_t node_id)
{
	struct passthrough *pt = pt_of(fs);
	struct pt_node *node = pt_node_get(pt, node_id);
	bool late = node && pt_dax_opens_late(pt, node);

	if (node)
		pt_node_put(pt, node);
	return late;
}

/* The file of a node that is named by its number, with a reference, or NULL. It holds the node. */
static struct pt_dax_file *get_by_id(struct passthrough *pt, uint64_t node_id)
{
	struct pt_node *node = pt_node_get(pt, node_id);
	struct pt_dax_file *d = node ? pt_dax_get(pt, node) : NULL;

	if (node)
		pt_node_put(pt, node);
	return d;
}

bool pt_is_unsettled(struct fs *fs, uint64_t node_id)
{
	struct pt_dax_file *d = get_by_id(pt_of(fs), node_id);
	struct dax_file *file = file_of(d);
	bool unsettled = d && file && !d->idle && dax_is_unsettled(file);

	pt_dax_put(d);
	return unsettled;
}

void pt_settle(struct fs *fs, uint64_t node_id)
{
	struct pt_dax_file *d = get_by_id(pt_of(fs), node_id);

	if (!d)
		return;
	PT_INSIDE struct pt_inside in = pt_enter_table(pt_of(fs));
	pthread_mutex_lock(&d->change);
	cred_be_daemon();
	if (file_of(d) && !d->idle)
		dax_settle(file_of(d));
	unlock_put(d);
}

void pt_unmap_all(struct fs *fs)
{
	PT_INSIDE struct pt_inside in = pt_enter_table(pt_of(fs));

	dax_settle_all(pt_of(fs)->dax->window);
}

/* Before a file is changed so that it may end at size, and after it was: its bytes from offset on
 * are others. file->change is held. */
static int begin_change(struct pt_dax_file *d, uint64_t size)
{
	return dax_shrink(file_of(d), &d->shrink, size);
}

static void end_change(struct pt_dax_file *d, uint64_t offset)
{
	dax_wrote(file_of(d), offset, (uint64_t)INT64_MAX - offset);
	dax_shrunk(file_of(d), &d->shrink);
}

/* Truncates what is open, with file->change held. */
static int truncate_open(struct pt_dax_file *d, uint64_t size, bool kill_priv)
{
	int r = begin_change(d, size);

	if (r == 0 && kill_priv)
		r = cred_be_unprivileged_writer();
	if (r == 0)
		r = neg_errno(ftruncate(d->fd, (off_t)size));
	cred_be_daemon();
	end_change(d, size);
	return r;
}

/* Another reference to the description, for a handle. */
static int share(struct pt_dax_file *d, struct pt_dax_file **shared)
{
	int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*shared = d;
	return fd;
}

/* Whether handles of a file share its description. */
static bool shares(const struct pt_dax_file *d, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;

	return dax_of(d)->leases && !(flags & O_DIRECT) && (d->writable || !writes);
}

int pt_dax_open(struct passthrough *pt, struct pt_node *node, int flags, bool kill_priv,
	struct pt_dax_file **shared)
{
	struct pt_dax_file *d = pt_dax_opens_late(pt, node) ? take_locked(pt, node) : NULL;
	int r;

	if (!d)
		return -EAGAIN;
	/* Why it cannot be opened so its own open says. */
	if (pt_dax_describe(d) < 0) {
		unlock_put(d);
		return -EAGAIN;
	}
	r = pt_dax_renew(d);
	if (r == -ENOSPC)
		r = -ENFILE;
	if (r == 0 && flags & O_TRUNC && d->writable)
		r = truncate_open(d, 0, kill_priv);
	if (r == 0)
		r = shares(d, flags) ? share(d, shared) : -EAGAIN;
	pthread_mutex_unlock(&d->change);
	if (r < 0)
		pt_dax_put(d);
	return r;
}

static int access_mask(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return R_OK;
	case O_WRONLY:
		return W_OK;
	default:
		return R_OK | W_OK;
	}
}

int pt_dax_open_existing(struct passthrough *pt, const struct fs_caller *who, struct pt_node *node,
	int flags, struct pt_dax_file **shared)
{
	struct pt_dax_file *d = pt_dax_get(pt, node);
	int r;

	/* Without leases nothing is shared; who looks an idle file up again opens its node. */
	if (!file_of(d) || !pt->dax->leases) {
		r = d && d->idle ? -ESTALE : -EAGAIN;
		pt_dax_put(d);
		return r;
	}
	r = cred_be_checked(who);
	if (r == 0)
		r = neg_errno(faccessat(pt->proc_fd, pt_fdname(node->fd).s, access_mask(flags),
			AT_EACCESS));
	cred_be_daemon();
	/* A guest that is told so looks again, and opens it by its node. */
	if (r == 0 && (flags & O_TRUNC || pthread_mutex_trylock(&d->change) != 0))
		r = -ESTALE;
	else if (r == 0) {
		r = d->idle || !shares(d, flags) ? -ESTALE : share(d, shared);
		pthread_mutex_unlock(&d->change);
	}
	if (r < 0)
		pt_dax_put(d);
	return r;
}

int pt_dax_flush(struct passthrough *pt, struct pt_node *node)
{
	struct pt_dax_file *d = pt_dax_get(pt, node);
	int r = 0;

	if (file_of(d)) {
		PT_INSIDE struct pt_inside in = pt_enter_table(pt);

		cred_be_daemon();
		r = dax_flush(file_of(d));
	}
	pt_dax_put(d);
	return r;
}

void pt_dax_after_write(struct passthrough *pt, struct pt_node *node, uint64_t offset,
	uint64_t len)
{
	struct pt_dax_file *d = pt_dax_get(pt, node);

	if (file_of(d))
		dax_wrote(file_of(d), offset, len);
	pt_dax_put(d);
}

struct pt_dax_file *pt_dax_begin_resize(struct passthrough *pt, struct pt_node *node, uint64_t size,
	int *error)
{
	struct pt_dax_file *d;

	*error = 0;
	if (!pt->dax)
		return NULL;
	d = take_locked(pt, node);
	if (!d)
		*error = -ENOMEM;
	else if (file_of(d)) {
		*error = begin_change(d, size);
		/* Afterwards copies are renewed, also beside what is changed; a cut has written
		 * back what is before it. */
		if (*error == 0 && size == INT64_MAX)
			*error = dax_flush(file_of(d));
		d->shrinking = true;
	}
	return d;
}

void pt_dax_end_resize(struct pt_dax_file *d, uint64_t offset)
{
	if (!d)
		return;
	cred_be_daemon();
	if (d->shrinking)
		end_change(d, offset);
	d->shrinking = false;
	unlock_put(d);
}
