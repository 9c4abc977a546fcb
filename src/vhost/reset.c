// SPDX-License-Identifier: BSD-2-Clause
/*
 * The device's status, and its ways back to the beginning.
 *
 * Two messages look alike and are not. SET_STATUS 0 is what QEMU's code sends when it stops a
 * device: for a guest that resets it, but also for a machine that is only paused or saved, whose
 * guest goes on afterwards as if nothing had been; and the rings may be asked for their bases after
 * it. (QEMU 7.2 and 10.0 spare vhost-user-fs this message; they set FEATURES_OK only.) So rings
 * stop, with everything answered, and keep their positions; the guest's session goes on until
 * the guest begins another. RESET_DEVICE comes when the driver or the machine was reset: then the
 * guest's state goes too, unless it has said that it sleeps (fuse/sleep.h).
 *
 * Neither touches what a front-end gives once for the whole connection: memory, the call and error
 * descriptors, the channel for our requests, the protocol features.
 */
#include <errno.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/handlers.h"

int vhost_get_status(struct vhost_backend *dev, struct vu_msg *msg)
{
	msg->body.u64 = dev->status;
	return sizeof(msg->body.u64);
}

int vhost_set_status(struct vhost_backend *dev, struct vu_msg *msg)
{
	uint64_t status = msg->body.u64;

	if (status > UINT8_MAX)
		return vhost_bad(dev, "%#llx is no device status", (unsigned long long)status);
	/* The driver reads back whether the features are good: without VERSION_1 they are not. Of
	 * the other bits rings need none; a driver that is not OK yet does not kick. */
	if ((status & VIRTIO_STATUS_FEATURES_OK) &&
		!(dev->features & (1ull << VIRTIO_F_VERSION_1_BIT))) {
		log_warn("the driver's features are refused: it does not speak virtio 1");
		status &= ~VIRTIO_STATUS_FEATURES_OK;
	}
	dev->status = (uint8_t)status;
	if (status == 0) {
		for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++)
			vhost_queue_halt(&dev->queues[i]);
	}
	return 0;
}

int vhost_reset_device(struct vhost_backend *dev, struct vu_msg *msg)
{
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++)
		vhost_queue_forget(&dev->queues[i]);
	dev->features = 0;
	dev->status = 0;
	if (dev->device->reset)
		dev->device->reset(dev->device->opaque);
	return 0;
}
