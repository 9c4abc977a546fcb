// SPDX-License-Identifier: BSD-2-Clause
/*
 * The file systems that servers show, and which inode a file handle stands for.
 *
 * Events name inodes by file handles. A handle is opened to learn the number, but not where it is
 * known to hold the number itself: that is quicker, and it still says which inode it was when the
 * inode has gone, as it often has by the time that we hear of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "watch/inner.h"

/* #syscalls(watcher): openat fstat newfstatat fstatfs name_to_handle_at open_by_handle_at close */

/* Of handles that NFS clients keep for years: they do not change. Whoever else has one of these
 * types in one of these file systems is found out by its root. */
static const struct place_form forms[] = {
	{EXT4_SUPER_MAGIC, 1, 8, 0, 0},
	{TMPFS_MAGIC, 1, 12, 4, 8},
	{XFS_SUPER_MAGIC, 1, 8, 0, 0},
	{XFS_SUPER_MAGIC, 0x81, 12, 0, 4},
};

static bool read_number(const struct place_form *form, const struct file_handle *handle, ino_t *ino)
{
	uint32_t low, high = 0;

	if (handle->handle_type != form->type || handle->handle_bytes != form->bytes)
		return false;
	memcpy(&low, handle->f_handle + form->low_at, sizeof(low));
	if (form->high_at)
		memcpy(&high, handle->f_handle + form->high_at, sizeof(high));
	*ino = (ino_t)high << 32 | low;
	return true;
}

/* The form of a file system's handles, as the one of `fd` shows it. */
static const struct place_form *find_form(int fd, uint32_t magic, ino_t expected)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;
	ino_t ino;

	if (name_to_handle_at(fd, "", &h.head, &mount_id, AT_EMPTY_PATH) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (forms[i].magic == magic && read_number(&forms[i], &h.head, &ino))
			return ino == expected ? &forms[i] : NULL;
	}
	return NULL;
}

/* Another form of the same file system. XFS has two, by how large a number is. */
static const struct place_form *form_of(const struct place *p, const struct file_handle *handle)
{
	for (size_t i = 0; p->form && i < ARRAY_SIZE(forms); i++) {
		if (forms[i].magic == p->form->magic && forms[i].type == handle->handle_type)
			return &forms[i];
	}
	return NULL;
}

int place_find(const struct place *p, struct file_handle *handle, struct found *out)
{
	const struct place_form *form = form_of(p, handle);
	CLEANUP_FD int fd = -1;
	struct stat st;

	if (form && read_number(form, handle, &out->ino)) {
		out->dev = p->dev;
		return 0;
	}
	fd = open_by_handle_at(p->fd, handle, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*out = (struct found){st.st_dev, st.st_ino};
	return 0;
}

static bool is_same(const struct place *a, const struct place *b)
{
	return a->dev == b->dev && memcmp(&a->fsid, &b->fsid, sizeof(a->fsid)) == 0;
}

/* One of several places that show the same file system speaks for all. */
static void choose(struct watcher *w)
{
	for (struct place *p = w->places; p; p = p->next) {
		p->repeats = false;
		for (struct place *q = w->places; q != p; q = q->next)
			p->repeats = p->repeats || is_same(p, q);
	}
}

/* Handles are opened by a descriptor that is open for something. */
static int reopen(int fd, mode_t mode)
{
	char path[32];

	if (!S_ISDIR(mode) && !S_ISREG(mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static struct place *new_place(int fd)
{
	struct place *p;
	struct statfs fs;
	struct stat st;
	int again;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->fsid = fs.f_fsid;
	p->dev = st.st_dev;
	p->form = find_form(fd, (uint32_t)fs.f_type, st.st_ino);
	again = reopen(fd, st.st_mode);
	p->fd = again >= 0 ? again : fd;
	if (again >= 0)
		close(fd);
	return p;
}

static int mark(const struct watcher *w, const struct place *p)
{
	int r = event_mark(w, p->fd, true);

	/* That was to see whether it can be done. */
	if (r == 0 && w->role != ROLE_LEADING)
		event_mark(w, p->fd, false);
	return r;
}

int place_add(struct watcher *w, const struct peer *peer, uint64_t id, int fd)
{
	struct place *p = new_place(fd);
	int r = p ? 0 : -errno;

	/* Somebody is to have it marked by the time that it is shown. */
	process_settle(w);
	if (!p) {
		close(fd);
		return r;
	}
	p->peer = peer;
	p->id = id;
	r = mark(w, p);
	if (r == 0 && w->role == ROLE_FOLLOWING)
		r = follow_add(w, p);
	if (r < 0) {
		close(p->fd);
		free(p);
		return r;
	}
	p->next = w->places;
	w->places = p;
	choose(w);
	return 0;
}

/* Takes the place at *at away, and the mark if nobody else shows the file system. */
static void take_away(struct watcher *w, struct place **at)
{
	struct place *p = *at;
	bool shown = false;

	*at = p->next;
	for (struct place *q = w->places; q; q = q->next)
		shown = shown || is_same(p, q);
	if (!shown && w->role == ROLE_LEADING)
		event_mark(w, p->fd, false);
	close(p->fd);
	free(p);
	choose(w);
}

void place_drop(struct watcher *w, const struct peer *peer, uint64_t id)
{
	struct place **at = &w->places;

	while (*at && ((*at)->peer != peer || (*at)->id != id))
		at = &(*at)->next;
	if (*at)
		take_away(w, at);
}

void place_drop_all(struct watcher *w, const struct peer *peer)
{
	struct place **at = &w->places;

	while (*at) {
		if ((*at)->peer == peer)
			take_away(w, at);
		else
			at = &(*at)->next;
	}
}

int place_mark_all(struct watcher *w)
{
	int r = 0;

	for (struct place *p = w->places; r == 0 && p; p = p->next)
		r = event_mark(w, p->fd, true);
	return r;
}
