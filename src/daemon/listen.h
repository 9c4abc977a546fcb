// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where the front-end comes from: a Unix socket that we make, or a descriptor that we are given.
 */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

struct listener {
	int fd;
	bool connected;   /* fd is a connection already */
	const char *path; /* the socket that we made, or NULL */
};

/* A socket at path, which only this user may use, and this group where it is not NULL. option: what
 * asked for it; backlog: how many may wait to be taken. */
struct listener_place {
	const char *option, *path, *group;
	int backlog;
};

/* Makes it; one that nobody listens on any more is replaced. 0, or -1 with one line in error. */
int listener_open(struct listener *l, const struct listener_place *place, char *error,
	size_t size);

/* Takes a descriptor as it is: a listening or a connected stream socket. 0, or -1 and error. */
int listener_adopt(struct listener *l, int fd, char *error, size_t size);

/* The next connection, which the caller closes, or -errno; -EINTR when stop_fd is readable. */
int listener_next(struct listener *l, int stop_fd);

void listener_close(struct listener *l);

#endif
