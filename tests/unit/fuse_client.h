// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest's side of a FUSE session, for tests: builds requests, serves them, takes replies apart;
 * and a file system that writes down what it was called with, as text.
 */
#ifndef TESTS_UNIT_FUSE_CLIENT_H
#define TESTS_UNIT_FUSE_CLIENT_H

#include "fuse/session.h"
#include "proto/fuse_ops.h"

struct fuse_client {
	struct fuse_session se;
	struct fuse_worker *worker;
	struct fuse_in_header in; /* of the next request; len is set by fc_send */

	/* The last reply. */
	uint32_t written;
	struct fuse_out_header out;
	char payload[1 << 17];
	size_t payload_len;
};

void fc_open(struct fuse_client *c, struct fs *fs, const struct fuse_config *config);
void fc_close(struct fuse_client *c);

/* A configuration of the cache mode of this name, with its timeouts. */
struct fuse_config fc_config(const char *mode);

/* What fc_send() returns for a request that is answered later; nothing was written then. */
#define FC_DEFERRED 0x7ffffff0

/* Sends the header (with opcode and in.len set) and len bytes; room bytes wait for the reply.
 * Returns the reply's error, or its length of payload; -EPROTO when there was no reply. */
int fc_send(struct fuse_client *c, uint32_t opcode, const void *args, size_t len, size_t room);

/* The same with the header as it is and every piece of the chain one byte long. */
int fc_send_raw(struct fuse_client *c, const void *args, size_t len, size_t room);

/* INIT with the newest version and all flags. */
void fc_init(struct fuse_client *c);

/* Calls that were made to the recording file system since this was last called, "" for none. */
const char *fc_calls(void);
struct fs *fc_recorder(void);

/* What the recorder's calls return: 0, or -errno. */
extern int fc_recorder_result;
/* What open says of a file: not changed since it was last opened. */
extern bool fc_recorder_unchanged;
extern bool fc_recorder_local;
extern bool fc_recorder_submount;
/* Who waits for a lock. */
extern struct fs_wait *fc_recorder_wait;

#endif
