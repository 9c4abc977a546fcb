// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/util.h"

/* #syscalls: accept4 poll ppoll unlink unlinkat */

#define fail(...) (snprintf(error, size, __VA_ARGS__), -1)

static int bind_private(int fd, const struct sockaddr_un *addr)
{
	mode_t old = umask(0077);
	int r = neg_errno(bind(fd, (const struct sockaddr *)addr, sizeof(*addr)));

	umask(old);
	return r;
}

/* Whether path is a socket that its listener has left behind. */
static bool is_stale(const struct sockaddr_un *addr)
{
	/* A listener whose queue is full is alive. */
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	return fd >= 0 && lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 &&
		errno == ECONNREFUSED;
}

/* Before listen(), so that nobody connects to a socket that is not as it will be. */
static int admit_group(const char *path, const char *name, char *error, size_t size)
{
	struct group *group = getgrnam(name);

	if (!group)
		return fail("--socket-group: there is no group '%s'", name);
	if (lchown(path, (uid_t)-1, group->gr_gid) < 0 || chmod(path, 0660) < 0)
		return fail("--socket-group: cannot give '%s' to '%s': %s", path, name,
			strerror(errno));
	return 0;
}

int listener_open(struct listener *l, const struct listener_place *place, char *error, size_t size)
{
	const char *option = place->option, *path = place->path;
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int r;

	if (*path == '\0')
		return fail("--%s: an empty name is none", option);
	if (strlen(path) >= sizeof(addr.sun_path))
		return fail("--%s: '%s' is longer than the %zu bytes of a socket's name", option,
			path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	r = fd < 0 ? -errno : bind_private(fd, &addr);
	if (r == -EADDRINUSE && is_stale(&addr)) {
		unlink(path);
		r = bind_private(fd, &addr);
	}
	if (r == -EADDRINUSE)
		return fail("--%s: '%s' is in use", option, path);
	if (r == 0 && place->group && admit_group(path, place->group, error, size) < 0) {
		unlink(path);
		return -1;
	}
	if (r == 0 && listen(fd, place->backlog) < 0)
		r = -errno;
	if (r < 0)
		return fail("--%s: cannot listen on '%s': %s", option, path, strerror(-r));
	*l = (struct listener){.fd = steal_fd(&fd), .path = path};
	return 0;
}

int listener_adopt(struct listener *l, int fd, char *error, size_t size)
{
	int type = 0, listening = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return fail("--fd: descriptor %d is no socket: %s", fd, strerror(errno));
	if (type != SOCK_STREAM)
		return fail("--fd: descriptor %d is no stream socket", fd);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	*l = (struct listener){.fd = fd, .connected = !listening};
	return 0;
}

int listener_next(struct listener *l, int stop_fd)
{
	if (l->connected)
		return steal_fd(&l->fd);
	for (;;) {
		struct pollfd fds[2] = {
			{.fd = l->fd, .events = POLLIN},
			{.fd = stop_fd, .events = POLLIN},
		};
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -EINTR;
		if (!fds[0].revents)
			continue;
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 || (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN))
			return neg_errno(fd);
	}
}

void listener_close(struct listener *l)
{
	if (l->path)
		unlink(l->path);
	l->path = NULL;
	close_fd(&l->fd);
}
