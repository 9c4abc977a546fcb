// SPDX-License-Identifier: BSD-2-Clause
/*
 * A back-end whose replies a test makes up: a real vhost-user device (vhost/) with a function in
 * the place of the FUSE server. It is a process of its own, as back-ends are (and because
 * ThreadSanitizer would not see that two mappings of the same memory are one); what both sides
 * look at is in struct forger, which they share.
 */
#ifndef TESTS_UNIT_FORGER_H
#define TESTS_UNIT_FORGER_H

#include <stdatomic.h>
#include <sys/types.h>

#include "proto/fuse_ops.h"
#include "vhost/backend.h"
#include "vhost/frontend.h"

#define FORGER_ROOM 65536

struct forger;

/* One request as it came, and the reply to give: reply_len bytes of it are written; the length
 * in its header is taken as it is. */
struct forged {
	unsigned int queue;
	struct fuse_in_header in;
	char args[8192]; /* what came behind the header, up to this much */
	size_t args_len;
	struct fuse_out_header out;
	char reply[FORGER_ROOM];
	size_t reply_len; /* behind the header */
	size_t cut;       /* of header and reply together, bytes not written */
	uint32_t claim;   /* used length claimed beyond what was written */
	bool keep;        /* never answered */
	/* NULL, or called on a thread of its own before the answer, which is short then: it may
	 * wait for the front-end, and change the reply. */
	void (*later)(struct forger *forger, struct forged *f);
	/* What is said unasked then: bytes for the notification queue, where there is one. */
	_Alignas(8) char notification[VHOST_DEFERRED_REPLY];
	uint32_t notification_len;
};

struct forger {
	/* Makes the reply: f->out is a success with the right unique; forge_*() help. */
	void (*forge)(struct forger *forger, struct forged *f);
	_Atomic int fault; /* the test's own, as what follows */
	_Atomic uint64_t noted;

	uint64_t window_size; /* not 0: has a DAX window, a power of two, and shows `config` */
	uint32_t notify_size; /* not 0: has a notification queue, for so many bytes */
	/* NULL, or stands between the front-end and the device: takes the socket, and returns the
	 * one for the device (forged_window.h). */
	int (*between)(struct forger *forger, int sock);
	char config[VHOST_FRONTEND_TAG_MAX + 2 * sizeof(uint32_t)];
	struct vhost_device device;
	struct vhost_backend backend;
	int sock, stop;
	pid_t child;
	_Atomic unsigned int requests[FUSE_OPCODE_MAX];
	struct vhost_deferred *kept[VHOST_DEFERRED_MAX]; /* requests that are never answered */
	_Atomic unsigned int places, nkept;
	/* Buffers for notifications. */
	struct vhost_deferred *_Atomic ears[VHOST_DEFERRED_MAX];
	_Atomic unsigned int nears, said;
};

struct forger *forger_new(void);

/* Starts it; the client's end of the connection. No other thread runs yet. */
int forger_start(struct forger *f);

/* The same on a connection that there is already. The other descriptor is none of its process's. */
void forger_start_on(struct forger *f, int sock, int other);

/* For a back-end that is a program: listens at path, says so ("listening"), and returns the first
 * connection. Nothing is left at path then. */
int forger_accept(const char *path);

/* Waits until its front-end has gone, and frees it. */
void forger_end(struct forger *f);

/* Ends the connection from its side. */
void forger_leave(struct forger *f);

/* Sets the reply to an error or to bytes. */
void forge_error(struct forged *f, int error);
void forge_reply(struct forged *f, const void *bytes, size_t len);

/* What a server would say to INIT, STATFS and whatever needs nothing: true when it did. */
bool forge_default(struct forged *f);

#endif
