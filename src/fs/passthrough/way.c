// SPDX-License-Identifier: BSD-2-Clause
/*
 * The way back to cold nodes by their names, where the mount has no file handles or they had no
 * descriptor yet.
 *
 * Each such node remembers the directory and the name that it was last found by. A cold one is
 * opened from the nearest directory above it that is hot, by all names in between in one system
 * call, which follows no symlinks; a way that is longer than a path may be is gone in parts. What
 * is found must be the inode that was cooled: whatever happened to the names, the way never
 * leads to another one, and never out of the share.
 *
 * The names are read one after the other, and the guest may be renaming: where they lead nowhere,
 * they are read once more while no rename runs. Changes by the host make nodes -ESTALE until the
 * guest looks their names up again.
 *
 * Renames and unlinks by the guest hold the nodes of their names, so that these know their next
 * name; and so that one whose name goes while it is cold stays within reach.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"

/* Names from one node down to another. */
struct way {
	struct pt_node *from; /* referenced */
	char *path;           /* in room */
	char room[PATH_MAX];
};

static struct pt_node *again(struct passthrough *pt, struct pt_node *node)
{
	return container_of(idtab_get(pt->nodes, idtab_id(&node->slot)), struct pt_node, slot);
}

struct pt_node *pt_set_name(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name)
{
	struct pt_node *before = node->parent;
	char *copy;

	/* Who is forgotten has given up its parent, and must not get another. */
	if (!parent || node == pt->root || atomic_load(&node->lookups) == 0 ||
		(node->mount->fd >= 0 && !atomic_load(&node->unopened)))
		return NULL;
	if (before == parent && strcmp(node->name, name) == 0)
		return NULL;
	copy = strdup(name);
	if (!copy)
		return NULL;
	if (node->name)
		atomic_fetch_sub(&pt->node_extra, pt_piece(strlen(node->name) + 1));
	atomic_fetch_add(&pt->node_extra, pt_piece(strlen(copy) + 1));
	free(node->name);
	node->name = copy;
	node->parent = again(pt, parent);
	return before;
}

/* Copies a node's name and references its parent; false where it has none. */
static bool copy_name(struct passthrough *pt, struct pt_node *node, char *name,
	struct pt_node **parent)
{
	struct pt_shard *shard = pt_node_shard(pt, node);

	*parent = NULL;
	pthread_mutex_lock(&shard->lock);
	if (node->parent) {
		*parent = again(pt, node->parent);
		strcpy(name, node->name);
	}
	pthread_mutex_unlock(&shard->lock);
	return *parent != NULL;
}

/* Whether a way begins above a node, rather than there. */
static bool leads_up(const struct pt_node *node)
{
	return atomic_load(&node->pins) & PT_COLD && node->mount->fd < 0;
}

/* Finds the way to a node, as far up as it is cold and there is room; -ESTALE where there is
 * none. Names in a circle, after changes on the host, end with the room. */
static int find_way(struct passthrough *pt, struct pt_node *node, struct way *way)
{
	way->from = NULL;
	way->path = way->room + sizeof(way->room) - 1;
	*way->path = '\0';
	while (!way->from || leads_up(way->from)) {
		char name[NAME_MAX + 1];
		struct pt_node *up;
		size_t len;

		if (!copy_name(pt, way->from ? way->from : node, name, &up))
			return -ESTALE;
		len = strlen(name);
		if (len + 1 > (size_t)(way->path - way->room)) {
			pt_node_put(pt, up);
			break;
		}
		if (way->from) {
			*--way->path = '/';
			pt_node_put(pt, way->from);
		}
		way->path -= len;
		memcpy(way->path, name, len);
		way->from = up;
	}
	return 0;
}

/* Opens what is at the end of a way. */
static int go(struct passthrough *pt, const struct way *way, unsigned int ways, bool alone)
{
	int fd, r = pt_pin_at(pt, way->from, ways - 1, alone);

	if (r < 0)
		return r;
	fd = pt_open_child(way->from->fd, way->path);
	pt_unpin(way->from);
	/* Names that are gone, or have become something else. */
	return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? -ESTALE : fd;
}

/* Whether a descriptor is the cold node's inode; or nobody needs it any more. */
static bool is_it(struct passthrough *pt, struct pt_node *node, int fd)
{
	struct pt_shard *shard = pt_node_shard(pt, node);
	struct statx attr;
	bool same;

	if (pt_stat(fd, &attr) < 0)
		return false;
	pthread_mutex_lock(&shard->lock);
	same = !(atomic_load(&node->pins) & PT_COLD) ||
		(pt_has_key(&attr, &node->key) && pt_is_same_inode(node, fd, &attr));
	pthread_mutex_unlock(&shard->lock);
	return same;
}

static int try_names(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone)
{
	CLEANUP_FREE struct way *way = malloc(sizeof(*way));
	CLEANUP_FD int fd = -1;

	if (!way)
		return -ENOMEM;
	fd = find_way(pt, node, way);
	if (fd == 0)
		fd = go(pt, way, ways, alone);
	if (way->from)
		pt_node_put(pt, way->from);
	if (fd >= 0 && !is_it(pt, node, fd))
		return -ESTALE;
	return steal_fd(&fd);
}

int pt_open_by_name(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone)
{
	int fd = ways == 0 ? -ESTALE : try_names(pt, node, ways, alone);

	if (fd != -ESTALE || ways == 0 || alone)
		return fd;
	pthread_rwlock_wrlock(&pt->rename_lock);
	fd = try_names(pt, node, ways, true);
	pthread_rwlock_unlock(&pt->rename_lock);
	return fd;
}

struct pt_node_ref pt_hold_named(struct passthrough *pt, struct pt_node *parent, const char *name,
	unsigned int bit)
{
	struct pt_node_ref ref = {.pt = pt};
	CLEANUP_FD int fd = -1;
	struct statx attr;

	/* With file handles names do not matter, and what is hot outlives them. */
	if (parent->mount->fd >= 0) {
		if (pt->cooled == 0 && !pt_seen_has(&pt->seen, pt_hash_of(pt, parent, name, bit)))
			return ref;
		if (statx(parent->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, PT_STATX,
			    &attr) < 0 ||
			pt_node_hold(pt, &attr, &ref.node) <= 0)
			return ref;
	}
	fd = pt_open_child(parent->fd, name);
	if (fd >= 0 && pt_stat(fd, &attr) == 0)
		ref.node = pt_node_known(pt, &fd, &attr);
	return ref;
}

void pt_node_renamed(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name)
{
	struct pt_node *before;
	struct pt_shard *shard;

	if (!node)
		return;
	shard = pt_node_shard(pt, node);
	pthread_mutex_lock(&shard->lock);
	before = pt_set_name(pt, node, parent, name);
	pthread_mutex_unlock(&shard->lock);
	if (before)
		pt_node_put(pt, before);
}

void pt_node_unnamed(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name)
{
	struct pt_node *before = NULL;
	struct pt_shard *shard;

	if (!node)
		return;
	shard = pt_node_shard(pt, node);
	pthread_mutex_lock(&shard->lock);
	/* Another name of the inode may be the one that is known. */
	if (node->parent == parent && strcmp(node->name, name) == 0) {
		before = node->parent;
		node->parent = NULL;
	}
	pthread_mutex_unlock(&shard->lock);
	if (before)
		pt_node_put(pt, before);
}
