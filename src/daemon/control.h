// SPDX-License-Identifier: BSD-2-Clause
/*
 * The control socket: what `causeway top` and monitoring ask.
 *
 * Protocol: a connection has one request, and ends with its answer.
 *
 *	metrics\n                                all that is counted, as text (metrics/text.h)
 *	GET /metrics HTTP/1.x\r\n ... \r\n\r\n   the same, as HTTP has it
 *
 * Anything else is answered with a line "# error: ..." (HTTP: a status). A text that has all of its
 * lines ends with "# EOF".
 *
 * A thread of its own serves it, which sleeps while nobody asks: not the main thread, for that may
 * wait for a queue whose request waits for a disk, which is when people want to know. Its socket is
 * there for the daemon's own user and root alone, and it does not trust them either: there are
 * CONTROL_CLIENTS connections at a time, each with CONTROL_REQUEST bytes and CONTROL_MS of time.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "daemon/counters.h"
#include "daemon/listen.h"

#define CONTROL_CLIENTS 8
#define CONTROL_REQUEST 4096
#define CONTROL_MS      10000

struct control;

/* Makes its socket; where path is NULL there is none. 0, or -1 with one line in error. */
int control_listen(struct listener *l, const char *path, char *error, size_t size);

/* Starts the thread, where there is a socket; listener and counters outlive it. 0 or -errno. */
int control_start(struct control **out, const struct listener *listener,
	const struct counters *counters);

/* Ends it. Also of NULL. */
void control_stop(struct control *c);

#endif
