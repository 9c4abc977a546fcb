// SPDX-License-Identifier: BSD-2-Clause
/*
 * A captive back-end: a causewayd for one directory, on one end of a socket pair. It serves that
 * one connection and ends with it, so it also ends when we are killed.
 */
#ifndef VHOST_SPAWN_H
#define VHOST_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

struct vhost_captive {
	pid_t pid; /* 0: there is none */
};

/*
 * Starts program (found in PATH when it has no slash) with --shared-dir DIR, --fd and, behind
 * --log-level=warn, the options: a NULL-terminated list. 0 and our end of the connection in *sock,
 * or -errno with text in error. A program that starts and ends at once is noticed when the
 * connection is used.
 */
int vhost_spawn(struct vhost_captive *captive, const char *program, const char *dir,
	char *const *options, int *sock, char *error, size_t size);

/* Waits for its end, which closing the connection brings; after seconds it is killed. Returns its
 * wait(2) status, 0 when there was none to wait for. */
int vhost_spawn_end(struct vhost_captive *captive, int seconds);

#endif
