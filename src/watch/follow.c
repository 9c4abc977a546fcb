// SPDX-License-Identifier: BSD-2-Clause
/*
 * A watcher that does not lead tells the one that does what its server shows.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/util.h"
#include "watch/inner.h"

/* #syscalls(watcher): socket connect bind listen getsockopt unlinkat close */

#define BACKLOG 64

bool follow_trusts(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
		(cred.uid == geteuid() || cred.uid == 0);
}

int follow_socket(const struct watcher *w, bool make)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct sockaddr *a = (const struct sockaddr *)&addr;

	if (fd < 0)
		return -errno;
	/* The working directory is the table's. */
	if (strlen(w->socket_name) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, w->socket_name);
	if (!make && connect(fd, a, sizeof(addr)) < 0)
		return -errno;
	if (!make && !follow_trusts(fd))
		return -EPERM;
	/* What is there is of one that has died: we have the lock. */
	if (make && unlinkat(w->t->dir, w->socket_name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (make && (bind(fd, a, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0))
		return -errno;
	return steal_fd(&fd);
}

static void stop_following(struct watcher *w)
{
	close_fd(&w->leader);
	w->role = ROLE_SEEKING;
}

/* The leader's memory of what changed lately is for our server. */
static void take_other(void *opaque, const struct watch_message *m, int fd)
{
	struct watcher *w = opaque;

	if (m->op == WATCH_RECENT && fd >= 0) {
		w->same_mounts = m->value == process_mounts();
		message_send(w->peers[0].sock, &(struct watch_message){.op = WATCH_RECENT}, fd,
			MSG_DONTWAIT);
	}
	close_fd(&fd);
}

static int call(struct watcher *w, struct watch_message m, int fd)
{
	const struct watch_call c = {
		.sock = w->leader,
		.fd = fd,
		.patience = CALL_MS,
		.other = take_other,
		.opaque = w,
	};
	int r = message_call(&c, &m);

	/* Answers of the leader are none of these. */
	return r == -ETIMEDOUT || r == -EAGAIN ? -EPIPE : r;
}

static int tell_all(struct watcher *w)
{
	int r = call(w, (struct watch_message){.op = WATCH_JOIN}, w->peers[0].pidfd);

	for (struct place *p = w->places; r == 0 && p; p = p->next)
		r = call(w, (struct watch_message){.op = WATCH_ADD, .id = p->id}, p->fd);
	if (r == 0)
		r = call(w, (struct watch_message){.op = WATCH_SYNC, .value = (uint64_t)w->member},
			-1);
	return r;
}

bool follow_try(struct watcher *w)
{
	int r;

	w->leader = follow_socket(w, false);
	if (w->leader < 0) {
		w->leader = -1;
		return false;
	}
	r = tell_all(w);
	if (r == -EPIPE) {
		stop_following(w);
		return false;
	}
	if (r < 0) {
		/* Our server believes that all of it is watched: our end tells it otherwise. */
		log_error("host processes are not watched any more: the watcher of another server "
			  "cannot: %s", strerror(-r));
		_exit(1);
	}
	/* All is marked; what happened before, nobody told. */
	vtable_enter(w->t);
	vtable_distrust(w->t);
	vtable_leave(w->t);
	w->role = ROLE_FOLLOWING;
	return true;
}

void follow_hear(struct watcher *w)
{
	struct watch_message m;
	struct watch_extra extra;
	int r = message_receive(w->leader, &m, &extra, MSG_DONTWAIT);

	if (r == 0)
		take_other(w, &m, extra.fd);
	else if (r != -EAGAIN)
		stop_following(w);
}

int follow_add(struct watcher *w, const struct place *p)
{
	int r = call(w, (struct watch_message){.op = WATCH_ADD, .id = p->id}, p->fd);

	if (r != -EPIPE)
		return r;
	stop_following(w);
	return 0;
}

void follow_drop(struct watcher *w, uint64_t id)
{
	message_send(w->leader, &(struct watch_message){.op = WATCH_DROP, .id = id}, -1,
		MSG_DONTWAIT);
}
