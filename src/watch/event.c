// SPDX-License-Identifier: BSD-2-Clause
/*
 * The queue of events, and what each means to the table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "proto/version_ops.h"
#include "watch/inner.h"

/* #syscalls(watcher): read fanotify_mark */

/* FAN_REPORT_TARGET_FID: Linux 5.17. Events of names then say of which inode they are. As old is
 * FAN_RENAME, one event of both names instead of one of each. */
#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x1000
#endif
#ifndef FAN_RENAME
#define FAN_RENAME                        0x10000000
#define FAN_EVENT_INFO_TYPE_OLD_DFID_NAME 10
#define FAN_EVENT_INFO_TYPE_NEW_DFID_NAME 12
#endif
#define REPORT (FAN_REPORT_DFID_NAME | FAN_REPORT_FID | FAN_REPORT_TARGET_FID)

#define BUFFER 65536

/*
 * Which slots a change would have been marked in (proto/version_ops.h): of the directory, of the
 * name in it, of the inode. Listings (".." of what moved or went) are those of directories, data
 * that of everything else.
 *
 * What lost a link says so by FAN_ATTRIB, be it by the removal of a name or by a rename over it,
 * and be it a directory; what got one does too. Stores through a mapping show when it is gone and
 * its file is closed. A directory that was just made may be removed by a server that believes its
 * name to be another's still.
 */
#define VT_CHILD_MOVED (VT_MAKES | VT_CHILD_LIST)
#define VT_CHILD_FILE  (VT_CHILD_ATTR | VT_CHILD_DATA)
static const struct {
	uint64_t event;
	unsigned int bits;
} meanings[] = {
	{FAN_CREATE, VT_CHILD_MOVED},
	{FAN_DELETE, VT_CHILD_MOVED},
	{FAN_RENAME, VT_CHILD_MOVED},
	{FAN_ATTRIB, VT_CHILD_ATTR | VT_CHILD_LIST},
	{FAN_MODIFY, VT_CHILD_FILE},
	{FAN_CLOSE_WRITE, VT_CHILD_FILE},
};

/* What an event tells of: handles stay in the buffer. */
struct told {
	fsid_t fsid;
	struct named {
		struct file_handle *dir;
		const char *name;
	} at, to; /* to: of what was renamed */
	struct file_handle *child;
};

static unsigned int queue_size(void)
{
	CLEANUP_FD int fd =
		open("/proc/sys/fs/fanotify/max_queued_events", O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 16384;
	return (unsigned int)strtoul(text, NULL, 10);
}

int event_open(struct watcher *w)
{
	w->queue_size = queue_size();
	w->group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | REPORT,
		O_RDONLY | O_CLOEXEC);
	return w->group < 0 ? -errno : 0;
}

int event_mark(const struct watcher *w, int fd, bool add)
{
	uint64_t mask = FAN_ONDIR;
	char path[32];

	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		mask |= meanings[i].event;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return neg_errno(fanotify_mark(w->group,
		(unsigned int)(add ? FAN_MARK_ADD : FAN_MARK_REMOVE) | FAN_MARK_FILESYSTEM, mask,
		AT_FDCWD, path));
}

static void move_epoch(struct watcher *w, const char *why)
{
	log_debug("version table: the epoch moves: %s", why);
	vtable_distrust(w->t);
}

static struct named named_by(struct file_handle *handle)
{
	return (struct named){handle, (const char *)handle->f_handle + handle->handle_bytes};
}

/* The records of an event. False: it is none that we asked for. */
static bool parse(const struct fanotify_event_metadata *m, const char *event, struct told *told)
{
	const char *at = event + m->metadata_len, *end = event + m->event_len;

	*told = (struct told){0};
	while ((size_t)(end - at) >= sizeof(struct fanotify_event_info_fid)) {
		const struct fanotify_event_info_fid *info = (const void *)at;
		struct file_handle *handle = (struct file_handle *)info->handle;
		unsigned int type = info->hdr.info_type;

		if (info->hdr.len < sizeof(*info) || info->hdr.len > end - at)
			return false;
		memcpy(&told->fsid, &info->fsid, sizeof(told->fsid));
		if (type == FAN_EVENT_INFO_TYPE_DFID_NAME ||
			type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME)
			told->at = named_by(handle);
		else if (type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME)
			told->to = named_by(handle);
		else if (type == FAN_EVENT_INFO_TYPE_FID)
			told->child = handle;
		at += info->hdr.len;
	}
	/* What happens to a directory itself is told as of "." in it. */
	if (!told->child && told->at.dir && strcmp(told->at.name, ".") == 0)
		told->child = told->at.dir;
	if (m->mask & FAN_RENAME && !told->to.dir)
		return false;
	return told->at.dir || told->child;
}

static void pass_on(struct watcher *w, const struct found *f, unsigned int bits)
{
	uint64_t hash = vtable_hash_of_inode(w->t, f->dev, f->ino);

	if (bits & VT_CHILD_ATTR)
		vtable_pass_on(w->t, vtable_slot_of_kind(w->t, hash, VTABLE_ATTR));
	if (bits & VT_CHILD_DATA)
		vtable_pass_on(w->t, vtable_slot_of_kind(w->t, hash, VTABLE_DATA));
	if (bits & VT_CHILD_LIST)
		vtable_pass_on(w->t, vtable_slot_of_kind(w->t, hash, VTABLE_LIST));
	recent_note(w->recent, f->dev, f->ino, clock_ms());
}

/* A directory that has gone, and whose number is not known, had names that somebody may remember
 * who is still in it: then all is forgotten. */
static void pass_on_name(struct watcher *w, const struct place *p, const struct named *n)
{
	struct found dir;

	if (!n->dir || place_find(p, n->dir, &dir) < 0) {
		move_epoch(w, "a directory has gone that had one name less or more");
		return;
	}
	pass_on(w, &dir, VT_CHILD_ATTR | VT_CHILD_LIST);
	vtable_pass_on(w->t, vtable_slot_of_name(w->t, dir.dev, dir.ino, n->name));
}

/*
 * A file that has gone had a directory, and a name in it that leads there no more.
 *
 * Names come before what they stand for: where a server has seen no change of a name until it had
 * changed it, what it has changed of that inode is told by us afterwards (tests/model/victim.pml).
 */
static void tell_place(struct watcher *w, const struct place *p, const struct told *told,
	unsigned int bits)
{
	struct found child;
	int r;

	if (bits & VT_NAME)
		pass_on_name(w, p, &told->at);
	if (told->to.dir)
		pass_on_name(w, p, &told->to);
	r = told->child ? place_find(p, told->child, &child) : -ESTALE;
	if (r == 0)
		pass_on(w, &child, bits);
	else if (r != -ESTALE)
		move_epoch(w, "a file cannot be found by its handle");
}

void event_tell(struct watcher *w, const struct fanotify_event_metadata *m, const char *event)
{
	unsigned int bits = 0;
	struct told told;

	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++) {
		if (m->mask & meanings[i].event)
			bits |= meanings[i].bits;
	}
	bits &= m->mask & FAN_ONDIR ? ~VT_CHILD_DATA : ~VT_CHILD_LIST;
	if (!parse(m, event, &told)) {
		move_epoch(w, "an event says not what it is of");
		return;
	}
	if (bits & VT_NAME && told.at.dir)
		echo_note(told.at.dir, told.at.name);
	if (told.to.dir)
		echo_note(told.to.dir, told.to.name);
	/* File systems that were copied as a whole have one id. What is left in the queue of one
	 * that nobody shows any more is nobody's. */
	for (const struct place *p = w->places; p; p = p->next) {
		if (p->repeats || memcmp(&p->fsid, &told.fsid, sizeof(told.fsid)) != 0)
			continue;
		tell_place(w, p, &told, bits);
	}
}

uint64_t event_old_name(const struct fanotify_event_metadata *m, const char *event)
{
	struct told told;

	return parse(m, event, &told) && told.at.dir ? echo_hash(told.at.dir, told.at.name) : 0;
}

/* How far we are: at the end of the queue, or when as many events have been read as it holds. */
static void count(struct watcher *w, unsigned int events, uint64_t began)
{
	w->round_events += events;
	if (events && w->round_events < w->queue_size)
		return;
	w->caught_up_ms = events ? w->round_ms : began;
	w->round_ms = began;
	w->round_events = 0;
	if (!events)
		peer_settle(w);
	echo_settle(w, !events);
}

/* The event at a place in what was read, which is aligned for nothing that has 64 bits. */
static bool next_event(const char *at, const char *end, struct fanotify_event_metadata *m)
{
	if (end - at < (ptrdiff_t)sizeof(*m))
		return false;
	memcpy(m, at, sizeof(*m));
	return FAN_EVENT_OK(m, end - at);
}

/* What a server did has been marked; what it moved may be another inode than the one that was. */
static void hear(struct watcher *w, const struct fanotify_event_metadata *m, const char *event)
{
	if (m->mask & FAN_Q_OVERFLOW)
		move_epoch(w, "changes came faster than they could be told");
	else if (!m->pid || !peer_has_pid(w, m->pid))
		event_tell(w, m, event);
	else if (m->mask & FAN_RENAME)
		echo_hold(w, m, event);
}

/* Reads a buffer of events, and passes on what strangers did; how many there were. */
static unsigned int read_some(struct watcher *w)
{
	static char buffer[BUFFER] __attribute__((aligned(8)));
	uint64_t began = clock_ms();
	ssize_t n = read(w->group, buffer, sizeof(buffer));
	const char *at = buffer, *end = buffer + max_t(ssize_t, n, 0);
	struct fanotify_event_metadata m;
	unsigned int events = 0;

	if (n < 0 && errno != EAGAIN)
		return 0;
	peer_bury(w);
	vtable_enter(w->t);
	for (; next_event(at, end, &m); at += m.event_len) {
		events++;
		hear(w, &m, at);
	}
	count(w, events, began);
	vtable_leave(w->t);
	return events;
}

void event_read(struct watcher *w, unsigned int rounds)
{
	w->crowded = false;
	while (rounds-- && read_some(w))
		w->crowded = true;
}
