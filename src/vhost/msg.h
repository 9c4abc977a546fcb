// SPDX-License-Identifier: BSD-2-Clause
/*
 * One vhost-user message with the descriptors beside it: received, checked for shape, sent.
 */
#ifndef VHOST_MSG_H
#define VHOST_MSG_H

#include "proto/vhost_user.h"

#define VU_FDS_MAX VU_MEM_TABLE_MAX

struct vu_msg {
	struct vu_header head;
	union vu_payload body; /* head.size bytes of it came */
	int fds[VU_FDS_MAX];
	unsigned int nfds;
};

/*
 * Receives one message. Waits until it is whole, or until stop_fd becomes readable.
 * Returns 1, 0 at the end of the stream (between messages), -EINTR for stop_fd, -EBADMSG for a
 * header of another version, a payload longer than any message has, a stream that ends inside a
 * message or too many descriptors, or what the socket says. The descriptors that came are the
 * caller's, to be released with vu_msg_close(); none remain open after an error.
 */
int vu_msg_recv(int sock, int stop_fd, struct vu_msg *msg);

/* The same for the front-end's side: receives a reply. */
int vu_msg_recv_reply(int sock, int stop_fd, struct vu_msg *msg);

/* Sends a message with the nfds descriptors beside it, which stay the caller's. 0 or -errno. */
int vu_msg_send(int sock, const struct vu_msg *msg);

/* Sends a reply to msg: the first size bytes of its body. 0 or -errno. */
int vu_msg_reply(int sock, struct vu_msg *msg, uint32_t size);

/* Takes one descriptor out of the message: the caller owns it. */
int vu_msg_take_fd(struct vu_msg *msg, unsigned int i);

/* Closes the descriptors that nobody took. */
void vu_msg_close(struct vu_msg *msg);

#endif
