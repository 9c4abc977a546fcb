/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcauseway: virtio-fs from a program, without a virtual machine.
 *
 * A connection is to one vhost-user-fs back-end (causewayd, QEMU's virtiofsd, ...), which serves
 * one directory. Functions that can fail return 0 (or a count) or -errno; causeway_error() has
 * the text for it. Every function may be called from any thread, but for causeway_set(),
 * causeway_free() and those that connect. causeway(3) describes each.
 */
#ifndef CAUSEWAY_H
#define CAUSEWAY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct causeway; /* a connection */

const char *causeway_version(void);

/* Connections. */
struct causeway *causeway_new(void);
int causeway_set(struct causeway *c, const char *option, const char *value);
int causeway_connect(struct causeway *c, const char *socket_path);
int causeway_connect_fd(struct causeway *c, int fd);
int causeway_share(struct causeway *c, const char *directory);
int causeway_get(struct causeway *c, const char *property, uint64_t *value);
const char *causeway_tag(struct causeway *c);
const char *causeway_error(struct causeway *c);
void causeway_free(struct causeway *c);

/* Requests that the program writes itself. */
#define CAUSEWAY_RAW_AS_IS    1u /* every byte as it is given, and nothing checked */
#define CAUSEWAY_RAW_NO_REPLY 2u /* one of those that are never answered */

struct causeway_raw {
	const struct iovec *in; /* the request: struct fuse_in_header first */
	unsigned int nin;
	const struct iovec *out; /* room for the reply: struct fuse_out_header first */
	unsigned int nout;
	unsigned int queue; /* 0: the high-priority queue; 1 and up: request queues */
	unsigned int flags; /* CAUSEWAY_RAW_* */
	uint32_t written;   /* how many bytes of out the back-end says it wrote */
};

int causeway_raw(struct causeway *c, struct causeway_raw *raw);

#ifdef __cplusplus
}
#endif

#endif
