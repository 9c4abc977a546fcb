// SPDX-License-Identifier: BSD-2-Clause
/*
 * Servers for tests of the client: causewayd ($CAUSEWAYD), and QEMU's C virtiofsd, which we did
 * not write. Each shares a fresh directory.
 */
#ifndef TESTS_CLIENT_PEER_H
#define TESTS_CLIENT_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include "causeway.h"

#define PEER_C_VIRTIOFSD "/usr/lib/qemu/virtiofsd"

enum peer_kind { PEER_CAUSEWAYD, PEER_VIRTIOFSD, PEER_KINDS };

struct peer {
	enum peer_kind kind;
	struct causeway *c;
	char dir[64]; /* what is shared */
	char sock[80];
	pid_t pid;
};

/* The daemon to start. */
const char *peer_causewayd(void);

/* Whether that server is installed. */
bool peer_exists(enum peer_kind kind);

/* Starts a server with more options (pairs of words for causeway_set(), NULL-terminated, or
 * NULL) and a connection to it. */
struct peer *peer_start(enum peer_kind kind, const char *const *options);

/* Ends the connection and the server, whose status must be 0, and removes the directory. */
void peer_finish(struct peer *p);

/* How many names there are in a directory, which is listed from the beginning. */
int peer_list(struct causeway_file *d);

/* The process of causewayd that serves: the child of the one that was started. */
pid_t peer_serving(struct peer *p);

#endif
