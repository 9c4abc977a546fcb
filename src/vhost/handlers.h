// SPDX-License-Identifier: BSD-2-Clause
/*
 * The handlers of vhost-user messages, for the table in messages.c.
 *
 * A handler returns 0 when done, the size of a reply that it left in msg->body (or
 * VHOST_EMPTY_REPLY), or -errno: the request could not be carried out (told to a front-end that
 * asked for an acknowledgement, the end of the connection for one that did not). vhost_bad() is
 * for messages that break the protocol: they end the connection.
 */
#ifndef VHOST_HANDLERS_H
#define VHOST_HANDLERS_H

#include <limits.h>

#include "vhost/backend.h"

#define VHOST_EMPTY_REPLY INT_MAX

/* Notes what is wrong with a message, for the log line. Returns -EPROTO. */
int vhost_bad(struct vhost_backend *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

int vhost_set_vring_num(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_vring_addr(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_vring_base(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_get_vring_base(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_vring_kick(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_vring_call(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_vring_err(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_vring_enable(struct vhost_backend *dev, struct vu_msg *msg);

/* Takes the channel for our requests, in place of the one before. 0 or -errno. (shmem.c) */
int vhost_shmem_channel(struct vhost_backend *dev, int fd);

int vhost_get_status(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_set_status(struct vhost_backend *dev, struct vu_msg *msg);
int vhost_reset_device(struct vhost_backend *dev, struct vu_msg *msg);

#endif
