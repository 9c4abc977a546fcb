/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What differs between kernels for virtio.c. */
#ifndef KMOD_COMPAT_VIRTIO_H
#define KMOD_COMPAT_VIRTIO_H

#include <linux/interrupt.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "compat.h"

/* Queues by number: the first is "hiprio", the others "requests", whose interrupts are spread over
 * the processors. 6.11: what is said of each stands in one structure. */
static inline int cw_find_vqs(struct virtio_device *vdev, unsigned int n, struct virtqueue **vqs,
			      vq_callback_t *done)
{
	struct irq_affinity spread = { .pre_vectors = 1 };
	unsigned int i;
	int r = -ENOMEM;
#if CW_KERNEL(6, 11)
	struct virtqueue_info *infos = kcalloc(n, sizeof(*infos), GFP_KERNEL);

	if (!infos)
		return r;
	for (i = 0; i < n; i++)
		infos[i] = (struct virtqueue_info){ .name = i ? "requests" : "hiprio",
						    .callback = done };
	r = virtio_find_vqs(vdev, n, vqs, infos, &spread);
	kfree(infos);
#else
	const char **names = kcalloc(n, sizeof(*names), GFP_KERNEL);
	vq_callback_t **callbacks = kcalloc(n, sizeof(*callbacks), GFP_KERNEL);

	for (i = 0; names && callbacks && i < n; i++) {
		names[i] = i ? "requests" : "hiprio";
		callbacks[i] = done;
	}
	if (names && callbacks)
		r = virtio_find_vqs(vdev, n, vqs, callbacks, names, &spread);
	kfree(callbacks);
	kfree(names);
#endif
	return r;
}

#endif
