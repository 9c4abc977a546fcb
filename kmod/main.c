// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * causeway.ko: a virtio-fs guest file system (docs/guest-module.md).
 *
 * The way of a request, file by file: a room that knows what is wanted (dir.c, file.c, data.c, ...)
 * fills in a struct cw_call; request.c makes a message of it; virtio.c hands that to the device.
 */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

#include "main.h"

static const struct {
	int (*begin)(void);
	void (*end)(void);
} parts[] = {
	{ cw_requests_create, cw_requests_destroy },
	{ cw_inodes_create, cw_inodes_destroy },
	{ cw_files_create, cw_files_destroy },
	{ cw_sysfs_create, cw_sysfs_destroy },
	{ cw_virtio_register, cw_virtio_unregister },
	{ cw_super_register, cw_super_unregister },
};

static void end_parts(size_t n)
{
	while (n-- > 0)
		parts[n].end();
}

static int __init causeway_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = parts[i].begin();

		if (r < 0) {
			end_parts(i);
			return r;
		}
	}
	return 0;
}

static void __exit causeway_exit(void)
{
	end_parts(ARRAY_SIZE(parts));
}

module_init(causeway_init);
module_exit(causeway_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_AUTHOR("The Causeway authors");
MODULE_DESCRIPTION("Causeway: a virtio-fs guest file system");
MODULE_VERSION(CW_VERSION);
