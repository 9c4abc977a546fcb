// SPDX-License-Identifier: BSD-2-Clause
/*
 * One watcher of a table leads: it has the lock on the second byte of FILE.key.
 *
 * Each watcher has the lock of a byte of its own besides. So whoever takes over knows whom it has
 * to hear first: as long as one has not told all that its server shows, the word in the header
 * stands still.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "coherence/words.h"
#include "watch/inner.h"

/* #syscalls(watcher): fcntl:1=F_OFD_SETLK fcntl:1=F_OFD_GETLK accept4 unlinkat close */

#define LEADER_AT 1

static struct flock byte_at(off_t at, short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
}

static int take_byte(const struct watcher *w, off_t at, short type)
{
	struct flock lock = byte_at(at, type);

	return neg_errno(fcntl(w->locks, F_OFD_SETLK, &lock));
}

int lead_take_member(struct watcher *w)
{
	int r = 0;

	w->member = 0;
	if (w->in_memory)
		return 0;
	for (int i = 0; i < MEMBERS; i++) {
		r = take_byte(w, MEMBER_AT(i), F_WRLCK);
		if (r == 0) {
			w->member = i;
			return 0;
		}
	}
	log_error("host processes are not watched: %d servers share the table already (%s)",
		MEMBERS, strerror(-r));
	return -EUSERS;
}

static bool has_told(const struct watcher *w, int member)
{
	for (size_t i = 1; i < MEMBERS; i++) {
		if (w->peers[i].sock >= 0 && w->peers[i].member == member)
			return true;
	}
	return false;
}

static bool have_all_told(const struct watcher *w)
{
	for (int i = 0; !w->in_memory && i < MEMBERS; i++) {
		struct flock lock = byte_at(MEMBER_AT(i), F_WRLCK);

		if (i == w->member || has_told(w, i))
			continue;
		/* Locks that this process has are not in its way. */
		if (fcntl(w->locks, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK)
			return false;
	}
	return true;
}

bool lead_try(struct watcher *w)
{
	const struct watch_message recent = {.op = WATCH_RECENT};
	int r;

	if (!w->in_memory && take_byte(w, LEADER_AT, F_WRLCK) < 0)
		return false;
	if (!w->in_memory)
		w->listener = follow_socket(w, true);
	if (!w->in_memory && w->listener < 0) {
		log_debug("watcher: no socket for others: %s", strerror(-w->listener));
		w->listener = -1;
		take_byte(w, LEADER_AT, F_UNLCK);
		return false;
	}
	w->role = ROLE_LEADING;
	w->beating = false;
	w->round_ms = w->caught_up_ms = clock_ms();
	w->round_events = 0;
	r = place_mark_all(w);
	if (r == 0)
		r = message_send(w->peers[0].sock, &recent, w->recent_fd, MSG_DONTWAIT);
	/* The server has gone already: so do we. */
	if (r == -EPIPE || r == -ECONNRESET) {
		lead_end(w);
		_exit(0);
	}
	if (r < 0) {
		log_error("host processes are not watched any more: %s", strerror(-r));
		_exit(1);
	}
	return true;
}

static struct peer *free_peer(struct watcher *w)
{
	for (size_t i = 1; i < MEMBERS; i++) {
		if (w->peers[i].sock < 0)
			return &w->peers[i];
	}
	return NULL;
}

void lead_accept(struct watcher *w)
{
	CLEANUP_FD int sock = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer = free_peer(w);

	if (sock >= 0 && peer && follow_trusts(sock))
		peer->sock = steal_fd(&sock);
}

static void beat(struct watcher *w)
{
	vtable_word *word = words_head(w->t, watcher);
	uint64_t next = atomic_load(word) + 1;

	atomic_store(word, next ? next : 1);
}

void lead_go_on(struct watcher *w, uint64_t now)
{
	if (!w->beating) {
		if (!have_all_told(w))
			return;
		/* All is marked; what happened while nobody looked is not known. */
		vtable_distrust(w->t);
		log_debug("watcher: host processes are watched");
		w->beating = true;
		w->beat_ms = 0;
	}
	if (now - w->beat_ms < VT_BEAT_MS)
		return;
	/* What is older than a beat has been passed on, or guests had better not count on us. */
	if (w->caught_up_ms + VT_BEAT_MS < now)
		return;
	/* One that we did not answer in time has been lost, with its marks. */
	if (!have_all_told(w)) {
		w->beating = false;
		return;
	}
	w->beat_ms = now;
	beat(w);
}

void lead_end(struct watcher *w)
{
	if (w->role != ROLE_LEADING)
		return;
	atomic_store(words_head(w->t, watcher), 0);
	if (w->listener >= 0)
		unlinkat(w->t->dir, w->socket_name, 0);
}
