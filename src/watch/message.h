// SPDX-License-Identifier: BSD-2-Clause
/*
 * What servers, their watchers and the leader say to each other, over SOCK_SEQPACKET sockets. They
 * trust each other: whoever can write to the table can make guests trust what is old.
 */
#ifndef WATCH_MESSAGE_H
#define WATCH_MESSAGE_H

#include <stdint.h>
#include <sys/types.h>

enum watch_op {
	WATCH_READY,  /* watcher: it has started; value: the step that failed */
	WATCH_JOIN,   /* server: who it is; follower: a pidfd of its server */
	WATCH_ADD,    /* a descriptor on a file system, id */
	WATCH_DROP,   /* id; no answer */
	WATCH_SYNC,   /* follower: all that its server shows has been added; value: its number */
	WATCH_LOOK,   /* server: the table is poisoned; no answer */
	WATCH_TABLE,  /* server: the memory of the table that follows, to be mapped before it is
		       * sealed */
	WATCH_RECENT, /* memory with what changed lately; no answer */
};

/* An answer has the op of what it answers, and a result. */
struct watch_message {
	uint32_t op;
	int32_t result;
	uint64_t id, value;
};

/* What comes with a message. */
struct watch_extra {
	int fd;    /* -1: none; received: the caller's */
	pid_t pid; /* received, where SO_PASSCRED is set: whose it is */
};

/* 0 or -errno; -EAGAIN: there is no room, or nothing there, without waiting (MSG_DONTWAIT). */
int message_send(int sock, const struct watch_message *m, int fd, int flags);

/* 0, -EPIPE at the end, or -errno; a message of another size is -EPROTO. */
int message_receive(int sock, struct watch_message *m, struct watch_extra *extra, int flags);

/* Sends, and waits for the answer up to some milliseconds. What else is received meanwhile is given
 * to other(), with its descriptor, or dropped where that is NULL. The answer's result. */
struct watch_call {
	int sock, fd, patience;
	void (*other)(void *opaque, const struct watch_message *m, int fd);
	void *opaque;
};
int message_call(const struct watch_call *call, struct watch_message *m);

#endif
