// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files that are kept open for the guest (proto/causeway_wire.h, pins).
 *
 * What is kept is a handle, the one that an open made, by one more reference each for reading and
 * for writing: RELEASE leaves it then, FORGET of the node takes it. It may be asked for with a
 * FORGET at the same time: a number in node->kept is written under the lock of the node's shard,
 * where it also shows whether the node is known still; it is read without, and finds the handle, or
 * one that has gone, and so nothing.
 *
 * Nothing is kept where that would be seen: on file systems of servers, which revalidate a file
 * when it is opened and tell when it is closed what became of writes; of a file that may be in the
 * DAX window, for a second description would end its lease; for writing what may be executed, which
 * the host could not (ETXTBSY). A file becomes executable after it has been written, usually: then
 * what was kept for writing rests, as PT_KEPT_REST, and is opened again for each request. So it is
 * with files that become immutable or append-only, which the host says when they are opened. A
 * handle whose flags do more than the guest's next open may want, is not kept either.
 *
 * Whose request it is, is not asked, as it is not when a file is opened: the guest's kernel judges
 * by mode and ACL who may open what, each time, and with a pin no less than without.
 */
#include <errno.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/keep.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"
#include "metrics/tally.h"

/* #syscalls: statx geteuid */

/* In place of a handle's number, of which 0 is none either. */
#define PT_KEPT_REST 1

static struct pt_handle *handle_of(struct idslot *slot)
{
	return container_of(slot, struct pt_handle, slot);
}

/* Which of the two an open's flags are for. */
static unsigned int access_of(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return FS_KEPT_READ;
	case O_WRONLY:
		return FS_KEPT_WRITE;
	case O_RDWR:
		return FS_KEPT_ANY;
	default:
		return 0; /* 3: for neither, whoever may do both */
	}
}

/* Whether the host may have something against its being open for writing. */
static bool is_barred(int fd)
{
	struct statx st;

	return pt_stat(fd, &st) < 0 || st.stx_mode & 0111 ||
		st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND);
}

bool pt_is_kept_unheard(struct passthrough *pt, const struct pt_node *node)
{
	if (node->type != S_IFREG || !node->mount->local)
		return false;
	return !pt->dax || atomic_load(&node->dax_told) == PT_DAX_NOT;
}

/* What of a handle may be kept. */
static unsigned int may_keep(struct passthrough *pt, const struct pt_handle *h, int flags)
{
	unsigned int access = access_of(flags);

	if (!pt_is_kept_unheard(pt, h->node) || h->dax ||
		flags & (O_DIRECT | O_SYNC | O_DSYNC | O_NOATIME))
		return 0;
	/* Of a handle that is for both, reading alone cannot be kept. */
	return access & FS_KEPT_WRITE && is_barred(h->fd) ? 0 : access;
}

/* Whether there may be one more. */
static bool reserve(struct passthrough *pt)
{
	if (atomic_fetch_add(&pt->kept, 1) < pt->config.keeps)
		return true;
	atomic_fetch_sub(&pt->kept, 1);
	return false;
}

/* The lock of the shard is held, and the node known. What is open for both is kept for reading only
 * beside writing, for that is what will rest. */
static void keep(struct passthrough *pt, struct pt_node *node, enum pt_kept which,
	struct pt_handle *h, unsigned int wanted)
{
	uint64_t id = idtab_id(&h->slot);

	if (which == PT_KEPT_READ && wanted & FS_KEPT_WRITE &&
		atomic_load(&node->kept[PT_KEPT_WRITE]) != id)
		return;
	if (atomic_load(&node->kept[which]) != 0 || !reserve(pt))
		return;
	/* We have a reference: it is found. */
	idtab_get(pt->handles, id);
	atomic_store(&node->kept[which], id);
}

unsigned int pt_keep(struct fs *fs, uint64_t node_id, uint64_t handle, int flags)
{
	struct passthrough *pt = pt_of(fs);
	struct fs_target t = {.node = node_id, .handle = handle, .has_handle = true};
	PT_HANDLE struct pt_handle_ref ref = pt_handle_ref(pt, &t);
	unsigned int wanted = 0, have = 0;
	struct pt_shard *shard;
	struct pt_node *node;

	if (!ref.handle)
		return 0;
	cred_be_daemon();
	node = ref.handle->node;
	wanted = may_keep(pt, ref.handle, flags);
	shard = pt_node_shard(pt, node);
	pthread_mutex_lock(&shard->lock);
	for (unsigned int i = PT_KEPT; i-- > 0;) {
		if (wanted & 1u << i && atomic_load(&node->lookups) > 0)
			keep(pt, node, (enum pt_kept)i, ref.handle, wanted);
		if (atomic_load(&node->kept[i]) != 0)
			have |= 1u << i;
	}
	pthread_mutex_unlock(&shard->lock);
	/* Since it was looked at, by who found nothing to let rest. */
	if (wanted & FS_KEPT_WRITE && is_barred(ref.handle->fd))
		pt_kept_rest(pt, node);
	return have;
}

/* What rests, opened for this once: the caller's reference is the only one. */
static int open_resting(struct passthrough *pt, struct pt_node *node, uint64_t node_id, int flags,
	struct pt_handle **handle)
{
	enum pt_handle_kind kind = PT_HANDLE_FILE;
	int fd = pt_pin(pt, node), r;
	struct idslot *slot;
	uint64_t id;

	if (fd < 0)
		return fd;
	/* As in pt_open(): who opens what the window has may have to wait. */
	if (pt_dax_opens_late(pt, node)) {
		pt_unpin(node);
		return -ESTALE;
	}
	cred_be_daemon();
	/* A WRITE that does not append is refused where that is the only way. */
	fd = pt_open_file(pt, node, flags == O_RDONLY ? flags : flags | O_APPEND, &kind);
	r = fd < 0 ? fd : pt_handle_new(pt, node, node_id, fd, kind, &id);
	pt_unpin(node);
	if (r < 0)
		return r;
	slot = idtab_get(pt->handles, id);
	if (!slot)
		return -EBADF;
	pt_handle_close(pt, handle_of(slot));
	*handle = handle_of(slot);
	return 0;
}

/* The handle that is kept, or NULL, and whether it rests. One that has gone since its number was
 * read rests by now, or was forgotten. */
static struct idslot *look_up(struct passthrough *pt, const struct pt_node *node,
	unsigned int which, bool *rests)
{
	uint64_t gone = 0, id = atomic_load(&node->kept[which]);
	struct idslot *slot = NULL;

	while (!slot && id > PT_KEPT_REST && id != gone) {
		slot = idtab_get(pt->handles, id);
		gone = id;
		id = atomic_load(&node->kept[which]);
	}
	*rests |= id == PT_KEPT_REST;
	return slot;
}

static int get(struct passthrough *pt, struct pt_node *node, const struct fs_target *t,
	struct pt_handle **handle)
{
	bool rests = false;

	for (unsigned int i = 0; i < PT_KEPT; i++) {
		struct idslot *slot = t->kept & 1u << i ? look_up(pt, node, i, &rests) : NULL;

		if (slot) {
			*handle = handle_of(slot);
			tally_add(TALLY_PIN_KEPT, 1);
			return 0;
		}
	}
	if (!rests)
		return -EBADF;
	tally_add(TALLY_PIN_OPENED, 1);
	return open_resting(pt, node, t->node, t->kept & FS_KEPT_READ ? O_RDONLY : O_WRONLY,
		handle);
}

int pt_kept_get(struct passthrough *pt, const struct fs_target *t, struct pt_handle **handle)
{
	struct pt_node *node = pt_node_get(pt, t->node);
	int r;

	if (!node)
		return -ESTALE;
	r = get(pt, node, t, handle);
	pt_node_put(pt, node);
	return r;
}

struct pt_kept_ids pt_kept_take(struct pt_node *node)
{
	struct pt_kept_ids ids;

	for (unsigned int i = 0; i < PT_KEPT; i++)
		ids.id[i] = atomic_exchange(&node->kept[i], 0);
	return ids;
}

void pt_kept_put(struct passthrough *pt, const struct pt_kept_ids *ids)
{
	for (unsigned int i = 0; i < PT_KEPT; i++) {
		struct idslot *slot;

		if (ids->id[i] == 0)
			continue;
		atomic_fetch_sub(&pt->kept, 1);
		slot = ids->id[i] > PT_KEPT_REST ? idtab_get(pt->handles, ids->id[i]) : NULL;
		if (!slot)
			continue;
		/* The one that was kept, and the one of this moment. */
		idtab_put(pt->handles, slot);
		idtab_put(pt->handles, slot);
	}
}

void pt_kept_look(struct passthrough *pt, struct pt_node *node)
{
	if (is_barred(node->fd))
		pt_kept_rest(pt, node);
}

void pt_kept_rest(struct passthrough *pt, struct pt_node *node)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	struct pt_kept_ids ids = {{0}};
	struct statx st;

	/* What a daemon that is not root could not open again stays as it is. */
	if (atomic_load(&node->kept[PT_KEPT_WRITE]) <= PT_KEPT_REST || pt_stat(node->fd, &st) < 0 ||
		(geteuid() != 0 && !(st.stx_mode & S_IWUSR)))
		return;
	pthread_mutex_lock(&shard->lock);
	for (unsigned int i = 0; i < PT_KEPT; i++) {
		uint64_t id = atomic_load(&node->kept[i]);

		/* That for reading may be the same one. */
		if (id <= PT_KEPT_REST || (i != PT_KEPT_WRITE &&
				id != atomic_load(&node->kept[PT_KEPT_WRITE])))
			continue;
		ids.id[i] = id;
		atomic_store(&node->kept[i], PT_KEPT_REST);
		/* It still counts: the promise does. */
		atomic_fetch_add(&pt->kept, 1);
	}
	pthread_mutex_unlock(&shard->lock);
	pt_kept_put(pt, &ids);
}
