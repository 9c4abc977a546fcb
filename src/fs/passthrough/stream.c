// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings of directories that the guest did not open.
 *
 * A listing is found again by its directory and the offset that the next READDIR goes on from, so
 * readers of one directory do not meet; who starts at 0 has a new one, as rewinddir(3) asks. What
 * is not gone on with makes place for others, oldest first: whoever comes back to it has the host
 * seek in a directory that is opened anew.
 */
#include <errno.h>

#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"

/* The lock is held. */
static uint64_t vacate(struct pt_streams *streams, struct pt_stream *s)
{
	uint64_t handle = s->handle;

	if (handle != 0)
		atomic_fetch_sub(&streams->kept, 1);
	s->handle = 0;
	return handle;
}

/* Whether an offset is in what a stream listed last, as a program whose own buffer was full asks
 * for it. The lock is held. */
static bool holds(struct passthrough *pt, const struct pt_stream *s, uint64_t offset)
{
	struct idslot *slot = idtab_get(pt->handles, s->handle);
	bool held;

	if (!slot)
		return false;
	held = pt_dir_holds(container_of(slot, struct pt_handle, slot)->dir, offset);
	idtab_put(pt->handles, slot);
	return held;
}

/* The stream that a listing goes on with, or NULL: one that stands there rather than one that was
 * there, and of several the last, for the others may have been left, and know what the directory
 * held then. The lock is held. */
static struct pt_stream *find(struct passthrough *pt, uint64_t node, uint64_t offset)
{
	struct pt_streams *streams = &pt->streams;
	struct pt_stream *best = NULL;

	for (int exact = 1; exact >= 0 && !best; exact--) {
		for (size_t i = 0; i < PT_STREAMS; i++) {
			struct pt_stream *s = &streams->s[i];

			if (s->handle == 0 || s->node != node || (best && s->used < best->used))
				continue;
			if (exact ? s->offset == offset : holds(pt, s, offset))
				best = s;
		}
	}
	return best;
}

int pt_stream_take(struct passthrough *pt, uint64_t node, uint64_t offset, uint64_t *handle)
{
	struct pt_streams *streams = &pt->streams;
	struct pt_stream *s;
	struct idslot *slot = NULL;

	*handle = 0;
	pthread_mutex_lock(&streams->lock);
	s = offset != 0 ? find(pt, node, offset) : NULL;
	if (s)
		*handle = vacate(streams, s);
	pthread_mutex_unlock(&streams->lock);
	/* One from before the last INIT is closed by now. */
	if (*handle != 0)
		slot = idtab_get(pt->handles, *handle);
	if (!slot)
		return pt_opendir(&pt->fs, node, handle);
	idtab_put(pt->handles, slot);
	return 0;
}

/* A free place, or the one that nobody went on with for longest. */
static struct pt_stream *place(struct pt_streams *streams)
{
	struct pt_stream *oldest = &streams->s[0];

	for (size_t i = 0; i < PT_STREAMS; i++) {
		struct pt_stream *s = &streams->s[i];

		if (s->handle == 0)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	return oldest;
}

void pt_stream_keep(struct passthrough *pt, uint64_t node, uint64_t offset, uint64_t handle)
{
	struct pt_streams *streams = &pt->streams;
	struct pt_stream *s;
	uint64_t old;

	pthread_mutex_lock(&streams->lock);
	s = place(streams);
	old = vacate(streams, s);
	atomic_fetch_add(&streams->kept, 1);
	*s = (struct pt_stream){
		.node = node, .offset = offset, .handle = handle, .used = ++streams->clock};
	pthread_mutex_unlock(&streams->lock);
	if (old != 0)
		pt_release(&pt->fs, old);
}

void pt_streams_forget(struct passthrough *pt, uint64_t id)
{
	struct pt_streams *streams = &pt->streams;
	struct pt_node *node;

	if (atomic_load_explicit(&streams->kept, memory_order_relaxed) == 0)
		return;
	node = id ? pt_node_get(pt, id) : NULL;
	if (node) {
		pt_node_put(pt, node);
		return;
	}
	for (size_t i = 0; i < PT_STREAMS; i++) {
		struct pt_stream *s = &streams->s[i];
		uint64_t handle = 0;

		pthread_mutex_lock(&streams->lock);
		if (id == 0 || s->node == id)
			handle = vacate(streams, s);
		pthread_mutex_unlock(&streams->lock);
		if (handle != 0)
			pt_release(&pt->fs, handle);
	}
}
