// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Finding the version table: in the virtio device's own shared memory region 1, or as BAR 2 of one
 * of the machine's ivshmem devices, of which there may be several, for other purposes too. The one
 * whose id the server has named is taken.
 *
 * What is there is somebody else's memory and may change at any time: the header is copied, the
 * copy is examined, and of the mapping nothing is read after that but words, below the number of
 * slots that was examined.
 */
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "conn.h"
#include "table.h"

#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110
#define IVSHMEM_BAR    2

#define TABLE_REGION 1

/* Whether a table of this id and size begins there. `exact`: and nothing else is there. */
static bool is_there(phys_addr_t start, size_t room, bool exact, const u8 *id, u64 slots)
{
	struct vt_header *copy;
	void *map;
	bool good = false;

	if (room < VT_HEADER_SIZE || room < vt_size(slots) || !PAGE_ALIGNED(start))
		return false;
	copy = kmalloc(sizeof(*copy), GFP_KERNEL);
	map = memremap(start, PAGE_ALIGN(VT_HEADER_SIZE), MEMREMAP_WB);
	if (copy && map) {
		memcpy(copy, map, sizeof(*copy));
		good = vt_examine(copy, exact ? room : vt_size(slots)) == VT_GOOD &&
		       copy->slots == slots && !memcmp(copy->id, id, VT_ID_SIZE);
	}
	if (map)
		memunmap(map);
	kfree(copy);
	return good;
}

static struct cw_table *map_table(phys_addr_t start, u64 slots)
{
	struct cw_table *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return ERR_PTR(-ENOMEM);
	t->head = memremap(start, vt_used(slots), MEMREMAP_WB);
	if (!t->head) {
		kfree(t);
		return ERR_PTR(-ENOMEM);
	}
	t->slots = slots;
	return t;
}

/* Nobody has enabled such a device, for no driver takes it. */
static struct cw_table *of_pci(struct pci_dev *pdev, const u8 *id, u64 slots)
{
	struct cw_table *t = ERR_PTR(-ENOENT);

	if (!(pci_resource_flags(pdev, IVSHMEM_BAR) & IORESOURCE_MEM) ||
	    pci_enable_device_mem(pdev))
		return t;
	if (is_there(pci_resource_start(pdev, IVSHMEM_BAR), pci_resource_len(pdev, IVSHMEM_BAR),
		     true, id, slots))
		t = map_table(pci_resource_start(pdev, IVSHMEM_BAR), slots);
	if (IS_ERR(t))
		pci_disable_device(pdev);
	else
		t->pci = pci_dev_get(pdev);
	return t;
}

struct cw_table *cw_table_find(struct cw_dev *dev, const u8 id[VT_ID_SIZE], u64 slots)
{
	struct cw_table *t = ERR_PTR(-ENOENT);
	struct pci_dev *pdev = NULL;
	phys_addr_t start;
	size_t size;

	if (dev && cw_dev_region(dev, TABLE_REGION, &start, &size) &&
	    is_there(start, size, false, id, slots))
		return map_table(start, slots);
	while ((pdev = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, pdev))) {
		t = of_pci(pdev, id, slots);
		if (t != ERR_PTR(-ENOENT))
			break;
	}
	pci_dev_put(pdev);
	return t;
}

void cw_table_put(struct cw_table *t)
{
	if (!t)
		return;
	memunmap((void *)t->head);
	if (t->pci) {
		pci_disable_device(t->pci);
		pci_dev_put(t->pci);
	}
	kfree(t);
}
