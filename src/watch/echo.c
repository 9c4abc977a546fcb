// SPDX-License-Identifier: BSD-2-Clause
/*
 * What servers rename (docs/coherence.md, "The servers' own changes").
 *
 * They have marked it; but a server marks the inode that it remembers of the old name, and does not
 * look at what it has moved. Should a stranger have changed that name just before, the server has
 * moved another inode, and what it says of the new name is wrong. It has not seen the old name's
 * word move until it was done: we had not passed the stranger's change on. So its rename was in the
 * queue by the time that we did, and whoever remembers which names were passed on since the queue
 * was last seen empty knows each that may be such a one, and passes it on like a stranger's
 * (tests/model/move.pml).
 *
 * The stranger's change may also come behind the rename, though it was made before it: the kernel
 * merges an event with an equal one that waits already. So renames are held until nothing waits
 * that was there when they were read.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>

#include "base/clock.h"
#include "watch/inner.h"

/* Names that share a place are taken for each other: what that costs is a fetch. */
#define NOTES 8192

/* Of so many bytes of events: a rename has some 200. Where that is not enough, all is passed on. */
#define HELD 262144

struct held {
	uint64_t since, name;
	uint32_t bytes; /* of the event that follows */
	bool told;
};

static uint64_t noted_ms[NOTES]; /* when a name was last passed on; 0: never */
static size_t used;
static char held[HELD] __attribute__((aligned(8)));

uint64_t echo_hash(const struct file_handle *dir, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (unsigned int i = 0; i < dir->handle_bytes; i++)
		hash = (hash ^ dir->f_handle[i]) * 0x100000001b3ull;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	return hash ^ hash >> 32;
}

void echo_note(const struct file_handle *dir, const char *name)
{
	noted_ms[echo_hash(dir, name) % NOTES] = clock_ms();
}

static size_t room_for(size_t bytes)
{
	return (sizeof(struct held) + bytes + 7) & ~(size_t)7;
}

void echo_hold(struct watcher *w, const struct fanotify_event_metadata *m, const char *event)
{
	struct held h = {w->caught_up_ms, event_old_name(m, event), m->event_len, false};

	if (used + room_for(h.bytes) > sizeof(held))
		echo_settle(w, false);
	memcpy(held + used, &h, sizeof(h));
	memcpy(held + used + sizeof(h), event, h.bytes);
	used += room_for(h.bytes);
}

/* Whether its old name was passed on when it may have been in the queue. */
static bool is_doubtful(const struct held *h)
{
	uint64_t noted = noted_ms[h->name % NOTES];

	return noted && noted >= h->since;
}

/* How many are passed on that were not before. */
static unsigned int settle_some(struct watcher *w, bool sure)
{
	struct fanotify_event_metadata m;
	unsigned int n = 0;
	struct held h;

	for (size_t at = 0; at < used; at += room_for(h.bytes)) {
		memcpy(&h, held + at, sizeof(h));
		if (h.told || (sure && !is_doubtful(&h)))
			continue;
		h.told = true;
		memcpy(held + at, &h, sizeof(h));
		memcpy(&m, held + at + sizeof(h), sizeof(m));
		event_tell(w, &m, held + at + sizeof(h));
		n++;
	}
	return n;
}

/* One that is passed on makes its new name a doubtful old one, be it of one that stands before it.
 */
void echo_settle(struct watcher *w, bool sure)
{
	while (settle_some(w, sure))
		;
	used = 0;
}
