// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who tells the watcher of file systems: its server, and watchers that follow it. And which
 * processes are servers, so that their changes, which have been marked, are not passed on.
 *
 * A process' number tells that an event is a server's. Numbers are used again, but not while a
 * process is there: so the process was ours if it is still there after the event has been read, and
 * if we have known it from a moment on when nothing older was in the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/util.h"
#include "watch/inner.h"

/* #syscalls(watcher): pidfd_open openat read poll ppoll close */

static bool has_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

void peer_bury(struct watcher *w)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		struct peer *peer = &w->peers[i];

		if (peer->pid && has_ended(peer->pidfd))
			peer->pid = 0;
	}
}

void peer_settle(struct watcher *w)
{
	for (size_t i = 0; i < MEMBERS; i++)
		w->peers[i].known = w->peers[i].pid != 0;
}

bool peer_has_pid(const struct watcher *w, pid_t pid)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		if (w->peers[i].known && w->peers[i].pid == pid)
			return true;
	}
	return false;
}

void peer_drop(struct watcher *w, struct peer *peer)
{
	place_drop_all(w, peer);
	close_fd(&peer->sock);
	close_fd(&peer->pidfd);
	*peer = (struct peer){.sock = -1, .pidfd = -1, .member = -1};
}

/* The number of a process as this process' proc has it: what events have. 0: it has none here. */
static pid_t number_of(int pidfd)
{
	char path[48], text[512];
	CLEANUP_FD int fd = -1;
	const char *at;
	ssize_t n;
	long pid;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "\nPid:");
	pid = at ? strtol(at + 5, NULL, 10) : 0;
	return pid > 0 ? (pid_t)pid : 0;
}

int peer_join(struct watcher *w, struct peer *peer, int pidfd)
{
	if (pidfd < 0)
		return -EBADF;
	close_fd(&peer->pidfd);
	peer->pidfd = pidfd;
	peer->pid = number_of(pidfd);
	peer->known = false;
	/* What is in the queue by now is not yet its. */
	event_read(w, EVENT_ROUNDS);
	return 0;
}

/* The process that the message came from; it waits for our answer, so if it still can after it has
 * been opened, it was this one. */
static int join_server(struct watcher *w, struct peer *peer, pid_t pid)
{
	struct pollfd end = {.fd = peer->sock};
	int r, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return -errno;
	if (poll(&end, 1, 0) != 0) {
		close(pidfd);
		return -EPIPE;
	}
	r = peer_join(w, peer, pidfd);
	if (r == 0)
		r = lead_take_member(w);
	if (r < 0)
		return r;
	/* What the server shows already is marked before it goes on. */
	w->role = ROLE_SEEKING;
	process_settle(w);
	return 0;
}

static bool is_own(const struct watcher *w, const struct peer *peer)
{
	return peer == w->peers;
}

static int do_add(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra)
{
	return extra->fd < 0 ? -EBADF : place_add(w, peer, m->id, steal_fd(&extra->fd));
}

static int do_join(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra)
{
	return is_own(w, peer) ? join_server(w, peer, extra->pid)
			       : peer_join(w, peer, steal_fd(&extra->fd));
}

static int do_sync(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra)
{
	const struct watch_message recent = {.op = WATCH_RECENT, .value = process_mounts()};

	if (m->value >= MEMBERS)
		return -EINVAL;
	peer->member = (int)m->value;
	return message_send(peer->sock, &recent, w->recent_fd, MSG_DONTWAIT);
}

static int do_drop(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra)
{
	place_drop(w, peer, m->id);
	if (w->role == ROLE_FOLLOWING)
		follow_drop(w, m->id);
	return 0;
}

/* It looks before it waits again. */
static int do_look(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra)
{
	w->look_ms = 0;
	return 0;
}

/* What is passed on from now on is so in the next table; of what was before it has no words. */
static int do_table(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra)
{
	int r = is_own(w, peer) && w->in_memory ? vtable_adopt(w->t, extra->fd) : -EINVAL;

	if (r == 0)
		w->beating = false;
	return r;
}

static int (*const actions[])(struct watcher *w, struct peer *peer, const struct watch_message *m,
	struct watch_extra *extra) = {
	[WATCH_JOIN] = do_join,
	[WATCH_ADD] = do_add,
	[WATCH_DROP] = do_drop,
	[WATCH_SYNC] = do_sync,
	[WATCH_LOOK] = do_look,
	[WATCH_TABLE] = do_table,
};

/* A server that ends takes its watcher with it. */
static void hang_up(struct watcher *w, struct peer *peer)
{
	if (is_own(w, peer)) {
		lead_end(w);
		_exit(0);
	}
	peer_drop(w, peer);
}

void peer_hear(struct watcher *w, struct peer *peer)
{
	struct watch_message m;
	struct watch_extra extra;
	int r = message_receive(peer->sock, &m, &extra, MSG_DONTWAIT);

	if (r == -EAGAIN)
		return;
	if (r == 0 && (m.op >= ARRAY_SIZE(actions) || !actions[m.op]))
		r = -EPROTO;
	if (r == 0) {
		m.result = actions[m.op](w, peer, &m, &extra);
		close_fd(&extra.fd);
		if (m.op != WATCH_DROP && m.op != WATCH_LOOK)
			r = message_send(peer->sock, &m, -1, MSG_DONTWAIT);
	}
	if (r < 0)
		hang_up(w, peer);
}
