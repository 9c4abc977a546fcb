// SPDX-License-Identifier: BSD-2-Clause
/*
 * The server of a process: a captive causewayd, or QEMU's C virtiofsd, as options of the program
 * say. One process has one at a time.
 */
#ifndef TESTS_CLIENT_SERVER_H
#define TESTS_CLIENT_SERVER_H

#include <sys/types.h>

struct causeway;

/* Starts a server for a directory, and connects as a user; ends the program where that fails. */
struct causeway *server_connect(const char *dir, uid_t uid, gid_t gid);

/* Ends the connection and waits for the server, whose status must be 0: 0, or -1 after a message.
 */
int server_disconnect(struct causeway *c);

/* In a child: the server is the parent's. */
void server_leave_to_parent(void);

#endif
