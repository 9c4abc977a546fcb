// SPDX-License-Identifier: BSD-2-Clause
/*
 * Handles: files and directories that the guest has open.
 *
 * A handle holds its node, so that a FORGET that overtakes a RELEASE on another queue leaves the
 * handle whole; and pins it: whatever becomes of the names of an open file, it is found.
 */
#include <errno.h>

#include "fs/passthrough/dax.h"
#include "fs/passthrough/keep.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/spare.h"

/* #syscalls: close */

/* Takes the descriptor, and of what it is: a listing, or a shared description. */
static int new_handle(struct passthrough *pt, struct pt_node *node, uint64_t node_id, int taken_fd,
	enum pt_handle_kind kind, struct pt_dir *dir, struct pt_dax_file *dax, uint64_t *id)
{
	CLEANUP_FD int fd = taken_fd;
	struct idslot *slot, *held;
	struct pt_handle *handle;

	held = idtab_get(pt->nodes, idtab_id(&node->slot));
	slot = held ? idtab_take(pt->handles) : NULL;
	if (!slot) {
		pt_dir_free(&pt->dirs, dir);
		pt_dax_put(dax);
		if (held)
			pt_node_put(pt, node);
		return held ? -ENFILE : -ESTALE;
	}
	handle = container_of(slot, struct pt_handle, slot);
	handle->node = node;
	handle->node_id = node_id;
	handle->fd = steal_fd(&fd);
	handle->kind = kind;
	handle->dir = dir;
	handle->dax = dax;
	atomic_store(&handle->open, true);
	/* The caller has it pinned, so it is not cold. */
	atomic_fetch_add(&node->pins, 1);
	idtab_publish(slot);
	*id = idtab_id(slot);
	pt_make_room(pt);
	return 0;
}

int pt_handle_new(struct passthrough *pt, struct pt_node *node, uint64_t node_id, int fd,
	enum pt_handle_kind kind, uint64_t *id)
{
	struct pt_dir *dir = kind == PT_HANDLE_DIR ? pt_dir_new() : NULL;

	if (kind == PT_HANDLE_DIR && !dir) {
		close(fd);
		return -ENOMEM;
	}
	return new_handle(pt, node, node_id, fd, kind, dir, NULL, id);
}

int pt_handle_share(struct passthrough *pt, struct pt_node *node, uint64_t node_id, int fd,
	struct pt_dax_file *dax, uint64_t *id)
{
	return new_handle(pt, node, node_id, fd, PT_HANDLE_FILE, NULL, dax, id);
}

void pt_handle_destroy(void *opaque, struct idslot *slot)
{
	struct passthrough *pt = opaque;
	struct pt_handle *handle = container_of(slot, struct pt_handle, slot);

	if (handle->kind == PT_HANDLE_PLAIN && !atomic_load(&handle->locked))
		pt_spare_leave(pt, handle->node, handle->fd);
	else
		close(handle->fd);
	/* A later open is not to be told by fsync(2) what went wrong with earlier writes, and was
	 * told: that is as old as its descriptor. */
	if (handle->kind == PT_HANDLE_FILE || handle->kind == PT_HANDLE_APPEND)
		pt_spare_drop(handle->node);
	pt_dax_put(handle->dax);
	pt_dir_free(&pt->dirs, handle->dir);
	pt_unpin(handle->node);
	pt_node_put(pt, handle->node);
}

/* The target's handle with a reference, or NULL where there is none, or of another node. */
static struct pt_handle *get_handle(struct passthrough *pt, const struct fs_target *t, int *error)
{
	struct idslot *slot = t->has_handle ? idtab_get(pt->handles, t->handle) : NULL;
	struct pt_handle *handle = NULL;

	if (t->kept)
		*error = pt_kept_get(pt, t, &handle);
	if (!slot)
		return handle;
	handle = container_of(slot, struct pt_handle, slot);
	if (atomic_load(&handle->open) && handle->node_id == t->node)
		return handle;
	idtab_put(pt->handles, slot);
	return NULL;
}

struct pt_handle_ref pt_handle_ref(struct passthrough *pt, const struct fs_target *t)
{
	struct pt_handle_ref ref = {.pt = pt, .error = -EBADF};
	struct pt_node *node;

	ref.handle = get_handle(pt, t, &ref.error);
	if (ref.handle)
		return ref;
	node = pt_node_get(pt, t->node);
	if (node)
		pt_node_put(pt, node);
	else
		ref.error = -ESTALE;
	return ref;
}

void pt_cleanup_handle(struct pt_handle_ref *ref)
{
	if (ref->handle)
		idtab_put(ref->pt->handles, &ref->handle->slot);
}

bool pt_handle_close(struct passthrough *pt, struct pt_handle *handle)
{
	bool was_open = atomic_exchange(&handle->open, false);

	if (was_open)
		idtab_put(pt->handles, &handle->slot);
	return was_open;
}

int pt_release(struct fs *fs, uint64_t id)
{
	struct passthrough *pt = pt_of(fs);
	struct idslot *slot = idtab_get(pt->handles, id);
	bool closed;

	if (!slot)
		return -EBADF;
	closed = pt_handle_close(pt, container_of(slot, struct pt_handle, slot));
	if (closed)
		pt_locks_release(pt, container_of(slot, struct pt_handle, slot));
	/* Where close is silent, there was no FLUSH. */
	if (closed)
		pt_dax_flush(pt, container_of(slot, struct pt_handle, slot)->node);
	idtab_put(pt->handles, slot);
	return closed ? 0 : -EBADF;
}

static void close_any(void *opaque, struct idslot *slot)
{
	pt_handle_close(opaque, container_of(slot, struct pt_handle, slot));
}

void pt_handles_reset(struct passthrough *pt)
{
	idtab_each(pt->handles, close_any, pt);
}
