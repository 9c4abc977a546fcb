// SPDX-License-Identifier: BSD-2-Clause
//
// Operations of many requests: listings with the attributes of all entries, each of which the guest
// knows from then on and has to forget again.

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

// What Linux 6.1 asks for at a time.
#define LIST_BYTES 4096
#define DIR_FLAGS (OPEN_FLAGS | O_RDONLY | O_DIRECTORY)
#define NAME_BYTES_MAX 255

// Directories of the walk, and all that is in them.
#define WALK_DIRS (1 + GROUND_WALK + GROUND_WALK * GROUND_WALK)
#define WALK_ENTRIES (WALK_DIRS - 1 + GROUND_WALK * GROUND_WALK * 2 * GROUND_WALK)

#define FIND_ENTRIES (GROUND_FIND_DIRS + GROUND_FIND_DIRS * GROUND_FIND_FILES)
#define DIRS_MAX (1 + GROUND_FIND_DIRS)
_Static_assert(WALK_DIRS <= DIRS_MAX, "room for each");

struct listing {
	struct session *s;
	bool deep;
	unsigned int left;	  // entries that may still come
	unsigned int dots;	  // "." and ".." of the directory that may still come
	uint64_t dirs[DIRS_MAX];  // that were found; to be listed as well
	unsigned int ndirs;
	uint64_t offset; // where the next READDIRPLUS begins
};

static int prepare(struct session *s, const char *name)
{
	uint64_t node;

	return session_find(s, FUSE_ROOT_ID, name, &node);
}

int tree_prepare_list(struct session *s)
{
	return prepare(s, GROUND_LIST_DIR);
}

int tree_prepare_long_list(struct session *s)
{
	return prepare(s, GROUND_LONG_LIST_DIR);
}

int tree_prepare_walk(struct session *s)
{
	return prepare(s, GROUND_WALK_DIR);
}

int tree_prepare_find(struct session *s)
{
	return prepare(s, GROUND_FIND_DIR);
}

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 || len == 2) && !memcmp(name, "..", len);
}

static int take_entry(
	struct listing *l, uint64_t dir, const struct fuse_direntplus *e, const char *name)
{
	uint64_t node = e->entry_out.nodeid;
	char copy[NAME_BYTES_MAX + 1];
	int ret;

	if (is_dots(name, e->dirent.namelen))
		return l->dots-- ? 0 : -EPROTO;
	if (!l->left-- || node == FUSE_ROOT_ID)
		return -EPROTO;
	if (node) {
		ret = session_hold(l->s, node);
	} else if (l->deep && e->dirent.type == S_IFDIR >> 12) {
		// A server may leave it to the guest to ask.
		memcpy(copy, name, e->dirent.namelen);
		copy[e->dirent.namelen] = 0;
		ret = session_find(l->s, dir, copy, &node);
	} else {
		return 0;
	}
	if (!ret && l->deep && e->dirent.type == S_IFDIR >> 12) {
		if (l->ndirs == DIRS_MAX)
			return -EPROTO;
		l->dirs[l->ndirs++] = node;
	}
	return ret;
}

// The entries of one reply. The copy is ours: the server could change what it wrote.
static int take_entries(struct listing *l, uint64_t dir, size_t len)
{
	char reply[LIST_BYTES];
	size_t at = 0;
	int ret = 0;

	if (len > sizeof(reply))
		return -EPROTO;
	memcpy(reply, l->s->slot.data, len);
	while (at < len && !ret) {
		struct fuse_direntplus e;
		size_t size;

		if (len - at < FUSE_NAME_OFFSET_DIRENTPLUS)
			return -EPROTO;
		memcpy(&e, reply + at, FUSE_NAME_OFFSET_DIRENTPLUS);
		if (!e.dirent.namelen || e.dirent.namelen > NAME_BYTES_MAX)
			return -EPROTO;
		size = FUSE_DIRENTPLUS_SIZE(&e);
		if (size > len - at)
			return -EPROTO;
		ret = take_entry(l, dir, &e, reply + at + FUSE_NAME_OFFSET_DIRENTPLUS);
		l->offset = e.dirent.off;
		at += size;
	}
	return ret;
}

static int list_one(struct listing *l, uint64_t dir)
{
	uint64_t fh;
	int ret = session_enter(l->s, dir, DIR_FLAGS, &fh), n;

	if (ret)
		return ret;
	l->offset = 0;
	l->dots = 2;
	do {
		n = session_read(l->s, FUSE_READDIRPLUS, dir, fh, l->offset, LIST_BYTES);
		ret = n < 0 ? n : take_entries(l, dir, (size_t)n);
	} while (n > 0 && !ret);
	n = session_leave(l->s, dir, fh, DIR_FLAGS);
	return ret ? ret : n < 0 ? n : 0;
}

// The listing has to bring so many entries, no more and no less.
static int list(struct session *s, unsigned int entries, bool deep)
{
	struct listing l = {.s = s, .deep = deep, .left = entries, .ndirs = 1};
	int ret = 0, forgotten;

	l.dirs[0] = s->held[0].node;
	for (unsigned int i = 0; i < l.ndirs && !ret; i++)
		ret = list_one(&l, l.dirs[i]);
	if (!ret && l.left)
		ret = -EPROTO;
	if (s->peak)
		s->peak(s->peak_arg);
	forgotten = session_forget_beyond(s, 1);
	return ret ? ret : forgotten;
}

int tree_list(struct session *s)
{
	return list(s, GROUND_LIST, false);
}

int tree_long_list(struct session *s)
{
	return list(s, GROUND_LONG_LIST, false);
}

int tree_walk(struct session *s)
{
	return list(s, WALK_ENTRIES, true);
}

int tree_find(struct session *s)
{
	return list(s, FIND_ENTRIES, true);
}

int tree_list_files(struct session *s)
{
	return list(s, GROUND_FILES, false);
}
