// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Suspend to memory, and the refusal of hibernation.
 *
 * Programs are frozen before the driver is told, none of them within a request (request.c). What
 * still asks for something is the kernel. In this order:
 *
 *   1. Nothing is mapped into the DAX window any more, and all that is there is taken out: QEMU may
 *      not be found with it when it resets its device.
 *   2. Requests are held up; those that the device has are waited for.
 *   3. The server is told (CW_SLEEP, proto/causeway_wire.h), if it wants to know: without that, one
 *      that hears of the reset ends the session, with all that is open and locked in it.
 *   4. The rings are taken from the device, which is reset.
 *
 * When the machine wakes up, it has reset the device as well: rings are there again, the server is
 * told, requests go, and the window fills by faults. If anything is in the way before step 4, all
 * is as it was, and the machine does not sleep.
 */
#include <linux/dmi.h>
#include <linux/suspend.h>
#include <linux/virtio_config.h>

#include "conn.h"
#include "dax.h"
#include "virtio.h"

#define SECONDS 15 /* for what is under way, and for an answer to CW_SLEEP */

static struct cw_conn *conn_of(struct cw_dev *dev)
{
	struct cw_conn *c;

	mutex_lock(&cw_devices_lock);
	c = dev->conn;
	if (c && !refcount_inc_not_zero(&c->refs))
		c = NULL;
	mutex_unlock(&cw_devices_lock);
	return c;
}

static int say(struct cw_conn *c, bool asleep)
{
	const struct cw_sleep_in in = { .asleep = asleep };
	struct cw_call call = {
		.opcode = CW_SLEEP,
		.nin = 1,
		.in[0] = { &in, sizeof(in) },
		.as_kernel = true,
		.nofail = true,
		.through = true,
		.limit = SECONDS * HZ,
	};

	if (!(c->extensions & CW_EXT_SLEEP) || READ_ONCE(c->dead))
		return 0;
	return min(cw_call(c, &call), 0);
}

/* ---- before ---------------------------------------------------------------------------------- */

static int prepare(struct cw_dev *dev, struct cw_conn *c)
{
	int r = c ? cw_dax_away(c) : 0;

	if (r < 0) {
		pr_err("causeway: '%s': pages of the DAX window are in use: no suspend\n",
		       dev->tag);
		return r;
	}
	if (!cw_rings_pause(dev, SECONDS * HZ)) {
		pr_err("causeway: '%s': %d requests are not answered: no suspend\n", dev->tag,
		       atomic_read(&dev->in_flight));
		return -EBUSY;
	}
	r = c ? say(c, true) : 0;
	if (r < 0)
		pr_err("causeway: '%s': the server does not keep what it has open: error %d: no "
		       "suspend\n", dev->tag, -r);
	return r;
}

static void go_on(struct cw_dev *dev, struct cw_conn *c)
{
	cw_rings_resume(dev);
	if (!c)
		return;
	cw_dax_back(c);
	cw_conn_put(c);
}

int cw_suspend(struct virtio_device *vdev)
{
	struct cw_dev *dev = vdev->priv;
	struct cw_conn *c = conn_of(dev);
	int r = prepare(dev, c);

	if (r < 0) {
		go_on(dev, c);
		return r;
	}
	/* Were it the last reference, it would have something to say when it is put. */
	dev->asleep = c;
	mutex_lock(&cw_devices_lock);
	if (!dev->stopped)
		cw_rings_stop(dev);
	mutex_unlock(&cw_devices_lock);
	return 0;
}

/* ---- after ----------------------------------------------------------------------------------- */

static int start(struct cw_dev *dev, struct virtio_device *vdev)
{
	int r = 0;

	mutex_lock(&cw_devices_lock);
	if (!dev->stopped) {
		r = cw_rings_start(dev);
		if (r < 0)
			dev->stopped = true;
		else
			virtio_device_ready(vdev);
	}
	if (r < 0 && dev->conn)
		WRITE_ONCE(dev->conn->dead, true);
	mutex_unlock(&cw_devices_lock);
	return r;
}

int cw_resume(struct virtio_device *vdev)
{
	struct cw_dev *dev = vdev->priv;
	struct cw_conn *c = dev->asleep;
	int r = start(dev, vdev), err;

	dev->asleep = NULL;
	err = r == 0 && c ? say(c, false) : 0;
	if (err < 0) {
		pr_err("causeway: '%s': the server has lost what was open: error %d: given up\n",
		       dev->tag, -err);
		cw_conn_abort(c);
	}
	go_on(dev, c);
	return r;
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Whether the session may be lost: QEMU tells of resets since 8.2, and most servers end the session
 * then (virtiofsd 1.14 does). The type of a machine is seldom older than what runs it. */
static bool is_fatal(const struct cw_conn *c)
{
	const char *vendor = dmi_get_system_info(DMI_SYS_VENDOR);
	const char *type = dmi_get_system_info(DMI_PRODUCT_VERSION);
	unsigned int major, minor;

	if ((c->extensions & CW_EXT_SLEEP) || READ_ONCE(c->dead))
		return false;
	if (!vendor || strcmp(vendor, "QEMU") || !type)
		return false;
	type = strrchr(type, '-');
	if (!type || sscanf(type, "-%u.%u", &major, &minor) != 2)
		return false;
	return major > 8 || (major == 8 && minor >= 2);
}

/* After a hibernation there may be another server, which knows nothing of what is open here. */
static bool is_in_the_way(const struct cw_dev *dev, unsigned long event)
{
	if (!dev->conn)
		return false;
	if (event == PM_HIBERNATION_PREPARE)
		pr_err("causeway: '%s' is mounted: no hibernation\n", dev->tag);
	else if (is_fatal(dev->conn))
		pr_err("causeway: '%s': its server may lose what is open in a sleep: no suspend\n",
		       dev->tag);
	else
		return false;
	return true;
}

static int power_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct cw_dev *dev;
	int r = NOTIFY_OK;

	if (event != PM_HIBERNATION_PREPARE && event != PM_SUSPEND_PREPARE)
		return NOTIFY_DONE;
	mutex_lock(&cw_devices_lock);
	list_for_each_entry(dev, &cw_devices, entry) {
		if (!is_in_the_way(dev, event))
			continue;
		r = notifier_from_errno(-EBUSY);
		break;
	}
	mutex_unlock(&cw_devices_lock);
	return r;
}

static struct notifier_block power = { .notifier_call = power_event };

int cw_suspend_register(void)
{
	return register_pm_notifier(&power);
}

void cw_suspend_unregister(void)
{
	unregister_pm_notifier(&power);
}
