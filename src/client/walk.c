// SPDX-License-Identifier: BSD-2-Clause
#include "client/walk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "client/client.h"
#include "client/notify.h"

#define SYMLINKS_MAX 40

/* The directories from the start to where the walk is; ".." goes back on it. */
struct trail {
	struct causeway *c;
	struct node **nodes;
	size_t n, room;
	unsigned int symlinks;
};

/* refused: ACCESS has said that the directory may not be searched. */
static int lookup(struct causeway *c, struct node *parent, const char *name, bool refused,
	struct node **node)
{
	struct fuse_entry_out entry;
	struct call call = {
		.opcode = FUSE_LOOKUP,
		.nodeid = parent->id,
		.args = {CALL_NAME(name)},
		.nargs = 1,
		.out = &entry,
		.out_size = sizeof(entry),
		.out_least = sizeof(entry),
	};
	struct validity valid, search = search_begin(c, parent, refused);
	int r = client_call(c, &call);

	/* An error says nothing of how long it is so. */
	if (r == -ENOENT)
		entry_learn(c, parent, name, NULL, cache_validity(c, &call, VT_NAME, 0, 0),
			call.asof);
	if (r < 0)
		return r;
	search_passed(c, parent, &search);
	valid = cache_validity(c, &call, VT_NAME, entry.entry_valid, entry.entry_valid_nsec);
	/* An entry without a node says that there is none, and for how long. */
	if (entry.nodeid == 0) {
		entry_learn(c, parent, name, NULL, valid, call.asof);
		return -ENOENT;
	}
	r = node_take(c, "LOOKUP", &entry,
		cache_validity(c, &call, VT_CHILD_ATTR, entry.attr_valid, entry.attr_valid_nsec),
		call.asof, node);
	/* What is above a directory is no name in it. */
	if (r == 0 && strcmp(name, "..") != 0)
		entry_learn(c, parent, name, *node, valid, call.asof);
	return r;
}

int walk_lookup(struct causeway *c, struct node *parent, const char *name, struct node **node)
{
	enum entry_state state = entry_find(c, parent, name, node);
	int r = 0;

	if (state == ENTRY_UNKNOWN)
		return lookup(c, parent, name, false, node);
	if (c->options.cache->by_words)
		r = search_check(c, parent);
	if (r < 0 && state == ENTRY_THERE)
		node_put(c, *node);
	/* A back-end that does not tell refuses the LOOKUP, where it must; one that says no may
	 * find the name all the same, for it has other rights than the one who asks. */
	if (r == -ENOSYS || r == -EACCES)
		return lookup(c, parent, name, r == -EACCES, node);
	return r < 0 ? r : state == ENTRY_THERE ? 0 : -ENOENT;
}

int walk_readlink(struct causeway *c, struct node *node, char *target)
{
	struct call call = {
		.opcode = FUSE_READLINK,
		.nodeid = node->id,
		.take = &(struct iovec){target, PATH_MAX - 1},
		.ntake = 1,
	};
	size_t known = node_get_target(c, node, target);
	int r = known > 0 ? 0 : client_call(c, &call);

	if (r < 0 || known > 0)
		return r < 0 ? r : (int)known;
	target[call.taken] = '\0';
	if (call.taken == 0 || memchr(target, '\0', call.taken))
		return client_fail(c, -EPROTO, "the back-end's reply to READLINK is malformed: "
					       "that is no path");
	node_set_target(c, node, target, cache_validity(c, &call, VT_NODE_DATA, 0, 0));
	return (int)call.taken;
}

static int push(struct trail *t, struct node *node)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 16;
		struct node **nodes = realloc(t->nodes, room * sizeof(*nodes));

		if (!nodes) {
			node_put(t->c, node);
			return client_fail(t->c, -ENOMEM, "no memory for a path");
		}
		t->nodes = nodes;
		t->room = room;
	}
	t->nodes[t->n++] = node;
	return 0;
}

static void pop_to(struct trail *t, size_t n)
{
	while (t->n > n)
		node_put(t->c, t->nodes[--t->n]);
}

static struct node *top(const struct trail *t)
{
	return t->nodes[t->n - 1];
}

static int go_up(struct trail *t)
{
	struct node *parent;
	int r;

	if (t->n > 1) {
		pop_to(t, t->n - 1);
		return 0;
	}
	if (top(t)->id == FUSE_ROOT_ID)
		return 0;
	/* Above where the walk began only the back-end knows the way. */
	r = walk_lookup(t->c, top(t), "..", &parent);
	if (r < 0)
		return r;
	pop_to(t, 0);
	return push(t, parent);
}

/* The rest of the path, which begins with a slash or is empty, with the link's target before it;
 * the old one is freed. */
static int expand(struct trail *t, struct node *link, char **path, const char *rest)
{
	char target[PATH_MAX], *longer = NULL;
	int r;

	if (++t->symlinks > SYMLINKS_MAX)
		return -ELOOP;
	r = walk_readlink(t->c, link, target);
	if (r < 0)
		return r;
	if (strlen(target) + strlen(rest) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (asprintf(&longer, "%s%s", target, rest) < 0)
		return client_fail(t->c, -ENOMEM, "no memory for a path");
	free(*path);
	*path = longer;
	if (target[0] == '/') {
		pop_to(t, 0);
		return push(t, node_ref(t->c, &t->c->nodes.root));
	}
	return 0;
}

/* Takes one component off *at into name: 1, 0 at the end, -ENAMETOOLONG. */
static int next_component(const char **at, char name[256])
{
	size_t len;

	*at += strspn(*at, "/");
	len = strcspn(*at, "/");
	if (len == 0)
		return 0;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, *at, len);
	name[len] = '\0';
	*at += len;
	return 1;
}

/* One component that is neither "." nor "..". */
static int step(struct trail *t, const char *name, unsigned int flags, char **path, const char **at)
{
	bool last = (*at)[strspn(*at, "/")] == '\0';
	struct node *child;
	int r = walk_lookup(t->c, top(t), name, &child);

	if (r < 0)
		return r;
	if (child->type != S_IFLNK || (last && !(flags & WALK_FOLLOW) && **at == '\0'))
		return push(t, child);
	r = expand(t, child, path, *at);
	node_put(t->c, child);
	*at = *path;
	return r;
}

/* Whether the last component is a symlink, which then has taken its place: 1 or 0. */
static int follow_last(struct trail *t, const char *name, char **path, const char **at)
{
	struct node *child;
	int r = walk_lookup(t->c, top(t), name, &child);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (child->type == S_IFLNK) {
		r = expand(t, child, path, *at);
		*at = *path;
		r = r < 0 ? r : 1;
	}
	node_put(t->c, child);
	return r;
}

static int walk_on(struct trail *t, char **path, unsigned int flags, struct walked *w)
{
	const char *at = *path;
	char name[256];
	int r;

	while ((r = next_component(&at, name)) > 0) {
		bool last = at[strspn(at, "/")] == '\0';
		bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;

		w->slash = *at == '/';
		if (top(t)->type != S_IFDIR)
			return -ENOTDIR;
		if (last && (flags & WALK_PARENT)) {
			strcpy(w->name, name);
			r = flags & WALK_FOLLOW && !dots ? follow_last(t, name, path, &at) : 0;
			if (r <= 0)
				return r;
			continue;
		}
		if (dots)
			r = name[1] ? go_up(t) : 0;
		else
			r = step(t, name, flags, path, &at);
		if (r < 0)
			return r;
	}
	w->name[0] = '\0';
	if (flags & WALK_PARENT)
		return r; /* the root */
	return r == 0 && w->slash && top(t)->type != S_IFDIR ? -ENOTDIR : r;
}

bool walked_to_name(const struct walked *w)
{
	return w->name[0] && strcmp(w->name, ".") != 0 && strcmp(w->name, "..") != 0;
}

int walk(struct causeway *c, struct node *start, const char *path, unsigned int flags,
	struct walked *w)
{
	struct trail t = {.c = c};
	char *rest = NULL;
	size_t len = strlen(path);
	int r;

	client_hear(c);
	w->node = NULL;
	w->slash = len > 0 && path[len - 1] == '/';
	if (!start || path[0] == '/')
		start = &c->nodes.root;
	if (len == 0 && !(flags & WALK_EMPTY))
		r = -ENOENT;
	else if (len >= PATH_MAX)
		r = -ENAMETOOLONG;
	else if (!(rest = strdup(path)))
		r = -ENOMEM;
	else
		r = push(&t, node_ref(c, start));
	if (r == 0)
		r = walk_on(&t, &rest, flags, w);
	if (r == 0)
		w->node = node_ref(c, top(&t));
	pop_to(&t, 0);
	free(t.nodes);
	free(rest);
	/* What the back-end got wrong, and that it has gone, has its own text. */
	if (r < 0 && r != -EPROTO && r != -ENOTCONN)
		client_fail(c, r, "'%.200s': %s", path, strerror(-r));
	return r;
}
