// SPDX-License-Identifier: BSD-2-Clause
/*
 * The device: between the rings (vhost/) and FUSE. Each chain of a ring is a request, and its
 * worker is FUSE's. With a recorder, requests and replies are recorded as they pass.
 */
#ifndef DAEMON_DEVICE_H
#define DAEMON_DEVICE_H

#include "fuse/session.h"
#include "trace/record.h"
#include "vhost/backend.h"

struct device {
	struct fuse_session *session;
	struct vhost_backend *backend;
	struct fuse_deferral deferral;
	struct recorder *recorder; /* or NULL */
	/* What the thread of each ring is serving. */
	struct recorded current[VHOST_QUEUES_MAX];
};

/* Lets the session's requests wait by way of the back-end; both outlive the device. */
void device_init(struct device *d, struct fuse_session *session, struct vhost_backend *backend,
	struct recorder *recorder);

/* For struct vhost_device, opaque being the device. */
void *device_start_worker(void *opaque, unsigned int queue);
void device_stop_worker(void *worker);
uint32_t device_request(void *worker, const struct virtq_chain *chain);
void device_end_waits(void *worker);

#endif
