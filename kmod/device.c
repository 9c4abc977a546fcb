// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Virtio devices with file systems: found by their tags, opened by one connection each, and gone
 * when their owner says so.
 *
 * A connection holds the struct cw_dev, not the device: that may be removed while it is mounted, or
 * stopped because its server is given up. It begins anew when it is opened again.
 *
 * cw_devices_lock: what a struct cw_dev says is locked, their list, starts and stops of rings.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>

#include "conn.h"
#include "main.h"
#include "virtio.h"

#define QUEUES_MAX 1025

LIST_HEAD(cw_devices);
DEFINE_MUTEX(cw_devices_lock);

void cw_dev_put(struct cw_dev *dev)
{
	if (!refcount_dec_and_test(&dev->refs))
		return;
	kfree(dev->queues);
	kfree(dev->of_cpu);
	kfree(dev);
}

/* ---- the driver ---------------------------------------------------------------------------- */

/* Ends the connection before the rings are taken away: nothing new comes after that. */
static void stop_locked(struct cw_dev *dev)
{
	if (dev->conn)
		WRITE_ONCE(dev->conn->dead, true);
	if (!dev->stopped)
		cw_rings_stop(dev);
	dev->stopped = true;
}

static void needs_reset(struct work_struct *work)
{
	struct cw_dev *dev = container_of(work, struct cw_dev, needs_reset);

	pr_err("causeway: the device of '%s' cannot go on\n", dev->tag);
	mutex_lock(&cw_devices_lock);
	stop_locked(dev);
	mutex_unlock(&cw_devices_lock);
}

static int read_config(struct cw_dev *dev)
{
	struct virtio_device *vdev = dev->vdev;
	u32 requests;

	virtio_cread_bytes(vdev, offsetof(struct virtio_fs_config, tag), dev->tag,
			   sizeof(dev->tag) - 1);
	virtio_cread_le(vdev, struct virtio_fs_config, num_request_queues, &requests);
	if (!dev->tag[0]) {
		dev_err(&vdev->dev, "the device has no tag to be mounted by\n");
		return -EINVAL;
	}
	if (requests == 0) {
		dev_err(&vdev->dev, "'%s' has no request queue\n", dev->tag);
		return -EINVAL;
	}
	/* More than there are processors are of no use. */
	dev->nqueues = 1 + min3(requests, (u32)nr_cpu_ids, (u32)QUEUES_MAX - 1);
	return 0;
}

static struct cw_dev *dev_new(struct virtio_device *vdev)
{
	struct cw_dev *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	refcount_set(&dev->refs, 1);
	INIT_LIST_HEAD(&dev->entry);
	init_waitqueue_head(&dev->closed);
	init_waitqueue_head(&dev->drained);
	INIT_WORK(&dev->needs_reset, needs_reset);
	dev->vdev = vdev;
	return dev;
}

static int dev_fill(struct cw_dev *dev)
{
	unsigned int i;
	int r = read_config(dev);

	if (r < 0)
		return r;
	dev->queues = kcalloc(dev->nqueues, sizeof(*dev->queues), GFP_KERNEL);
	dev->of_cpu = kcalloc(nr_cpu_ids, sizeof(*dev->of_cpu), GFP_KERNEL);
	if (!dev->queues || !dev->of_cpu)
		return -ENOMEM;
	for (i = 0; i < dev->nqueues; i++) {
		spin_lock_init(&dev->queues[i].lock);
		init_waitqueue_head(&dev->queues[i].room);
	}
	return cw_rings_start(dev);
}

static int probe(struct virtio_device *vdev)
{
	struct cw_dev *dev = dev_new(vdev), *other;
	int r;

	if (!dev)
		return -ENOMEM;
	vdev->priv = dev;
	r = dev_fill(dev);
	if (r < 0) {
		vdev->priv = NULL;
		cw_dev_put(dev);
		return r;
	}
	virtio_device_ready(vdev);
	mutex_lock(&cw_devices_lock);
	list_for_each_entry(other, &cw_devices, entry)
		if (!strcmp(other->tag, dev->tag))
			dev_warn(&vdev->dev, "the tag '%s' is another device's, too\n", dev->tag);
	list_add_tail(&dev->entry, &cw_devices);
	mutex_unlock(&cw_devices_lock);
	return 0;
}

static void remove(struct virtio_device *vdev)
{
	struct cw_dev *dev = vdev->priv;

	mutex_lock(&cw_devices_lock);
	list_del_init(&dev->entry);
	stop_locked(dev);
	dev->vdev = NULL;
	mutex_unlock(&cw_devices_lock);
	vdev->priv = NULL;
	cancel_work_sync(&dev->needs_reset);
	cw_dev_put(dev);
}

/* The device says that it cannot go on (virtio 1.2, section 2.1.2). Interrupts that say only that
 * its configuration changed mean nothing to us. */
static void config_changed(struct virtio_device *vdev)
{
	struct cw_dev *dev = vdev->priv;

	if (dev && vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET)
		schedule_work(&dev->needs_reset);
}

/* A device that was stopped, as if it had just come: with the features that are agreed. */
static int start_again(struct cw_dev *dev)
{
	struct virtio_device *vdev = dev->vdev;
	int r;

	virtio_reset_device(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	r = vdev->config->finalize_features(vdev);
	if (r == 0) {
		virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
		if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
			r = -ENODEV;
	}
	if (r == 0)
		r = cw_rings_start(dev);
	if (r < 0) {
		virtio_add_status(vdev, VIRTIO_CONFIG_S_FAILED);
		return r;
	}
	virtio_device_ready(vdev);
	dev->stopped = false;
	return 0;
}

/* ---- the module's ---------------------------------------------------------------------------- */

static const struct virtio_device_id ids[] = { { VIRTIO_ID_FS, VIRTIO_DEV_ANY_ID }, { 0 } };
MODULE_DEVICE_TABLE(virtio, ids);

static struct virtio_driver driver = {
	.driver = { .name = "causeway", .owner = THIS_MODULE },
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	.config_changed = config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = cw_suspend,
	.restore = cw_resume,
#endif
};

int cw_virtio_register(void)
{
	int r = register_virtio_driver(&driver);

	if (r == 0) {
		r = cw_suspend_register();
		if (r < 0)
			unregister_virtio_driver(&driver);
	}
	return r;
}

void cw_virtio_unregister(void)
{
	cw_suspend_unregister();
	unregister_virtio_driver(&driver);
}

/* ---- for connections ------------------------------------------------------------------------ */

struct cw_dev *cw_dev_find(const char *tag)
{
	struct cw_dev *dev, *found = NULL;

	mutex_lock(&cw_devices_lock);
	list_for_each_entry(dev, &cw_devices, entry)
		if (!strcmp(dev->tag, tag)) {
			refcount_inc(&dev->refs);
			found = dev;
			break;
		}
	mutex_unlock(&cw_devices_lock);
	return found ?: ERR_PTR(-ENODEV);
}

int cw_dev_open(struct cw_dev *dev, struct cw_conn *c)
{
	int r = wait_event_killable(dev->closed, !READ_ONCE(dev->closing));

	if (r < 0)
		return -EINTR;
	mutex_lock(&cw_devices_lock);
	if (!dev->vdev)
		r = -ENODEV;
	else if (dev->conn)
		r = -EBUSY;
	else if (dev->stopped)
		r = start_again(dev);
	if (r == 0)
		dev->conn = c;
	mutex_unlock(&cw_devices_lock);
	return r;
}

void cw_dev_stop(struct cw_dev *dev, const struct cw_conn *c)
{
	mutex_lock(&cw_devices_lock);
	if (dev->conn == c)
		stop_locked(dev);
	mutex_unlock(&cw_devices_lock);
}

void cw_dev_closing(struct cw_dev *dev)
{
	WRITE_ONCE(dev->closing, true);
}

void cw_dev_close(struct cw_dev *dev, unsigned int ms)
{
	unsigned long limit = ms ? msecs_to_jiffies(ms) : MAX_SCHEDULE_TIMEOUT;

	/* What nobody waits for may still be written to. */
	if (!wait_event_timeout(dev->drained, atomic_read(&dev->in_flight) == 0, limit))
		cw_dev_stop(dev, dev->conn);
	mutex_lock(&cw_devices_lock);
	dev->conn = NULL;
	mutex_unlock(&cw_devices_lock);
	WRITE_ONCE(dev->closing, false);
	wake_up_all(&dev->closed);
}

bool cw_dev_region(struct cw_dev *dev, u8 id, phys_addr_t *start, size_t *size)
{
	struct virtio_shm_region region = {};
	bool there;

	mutex_lock(&cw_devices_lock);
	there = dev->vdev && virtio_get_shm_region(dev->vdev, &region, id) && region.len > 0;
	mutex_unlock(&cw_devices_lock);
	*start = region.addr;
	*size = region.len;
	return there;
}

int cw_dev_in_flight(const struct cw_dev *dev)
{
	return atomic_read(&dev->in_flight);
}

const char *cw_dev_tag(const struct cw_dev *dev)
{
	return dev->tag;
}
