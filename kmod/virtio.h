/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A device, as device.c (its life) and virtio.c (its rings) share it. */
#ifndef KMOD_VIRTIO_H
#define KMOD_VIRTIO_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_fs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct cw_conn;

struct cw_queue {
	spinlock_t lock;
	struct virtqueue *vq;
	bool open;   /* vq may be used, by whoever has the lock */
	bool paused; /* nothing is added for now */
	wait_queue_head_t room;
} ____cacheline_aligned_in_smp;

/* For what is "locked" here, and the list of all devices; device.c. */
extern struct mutex cw_devices_lock;
extern struct list_head cw_devices;

struct cw_dev {
	refcount_t refs;
	struct list_head entry;     /* of all devices; locked */
	struct virtio_device *vdev; /* NULL after removal; locked */
	char tag[sizeof_field(struct virtio_fs_config, tag) + 1];
	unsigned int nqueues;
	struct cw_queue *queues;
	unsigned int *of_cpu;       /* the request queue of each processor */
	struct cw_conn *conn;       /* whoever has opened it; locked */
	bool closing;               /* conn goes; who would open the device waits */
	bool stopped;               /* has to be started before it is opened again; locked */
	struct cw_conn *asleep;     /* suspend.c: referenced while its rings are away */
	struct work_struct needs_reset;
	wait_queue_head_t closed;
	atomic_t in_flight;         /* requests that the device has */
	wait_queue_head_t drained;
};

/* Finds the queues of a device that has just been reset, and maps processors to them. */
int cw_rings_start(struct cw_dev *dev);

/* Takes the rings from the device, which is reset, so that it writes to our memory no more; ends
 * all that was in them with -ENOTCONN. */
void cw_rings_stop(struct cw_dev *dev);

/* Adds nothing more but what is sent CW_THROUGH, and waits for what the device has: true when that
 * has come back within a time. Who would add something waits for cw_rings_resume(). */
bool cw_rings_pause(struct cw_dev *dev, unsigned long limit);
void cw_rings_resume(struct cw_dev *dev);

/* suspend.c: the driver's, before the machine sleeps and after it; and what is to be told of it. */
#ifdef CONFIG_PM_SLEEP
int cw_suspend(struct virtio_device *vdev);
int cw_resume(struct virtio_device *vdev);
int cw_suspend_register(void);
void cw_suspend_unregister(void);
#else
static inline int cw_suspend_register(void)
{
	return 0;
}

static inline void cw_suspend_unregister(void)
{
}
#endif

#endif
