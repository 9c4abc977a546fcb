// SPDX-License-Identifier: BSD-2-Clause
/*
 * The driver's side of a split ring, for tests: it owns the guest memory, fills descriptors and
 * indices (also wrongly, when told to), and looks at what the device returns.
 *
 * Guest memory is one file with three regions: the rings; then a data area whose two halves are
 * neighbours in the guest but change places in the file, so that a buffer over the middle is two
 * pieces on the host. The driver sees it through a mapping of its own, as a front-end does.
 */
#ifndef TESTS_UNIT_RING_DRIVER_H
#define TESTS_UNIT_RING_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq/virtq.h"

#define RD_RING_GPA 0x1000000ull
#define RD_UVA_BIAS 0x7f0000000000ull /* front-end address minus guest address */
#define RD_DATA_GPA 0x2000000ull
#define RD_DATA_HALF 0x20000u /* bytes of each half of the data area */

struct ring_driver {
	struct mem *mem;
	struct virtq *vq;
	struct mem own_mem; /* where mem and vq point unless the test brings its own */
	struct virtq own_vq;
	int fd;
	char *file;
	size_t file_size, ring_size;
	unsigned int size;

	struct ring_desc *desc;
	struct ring_avail *avail;
	struct ring_used *used;
	uint64_t desc_gpa, avail_gpa, used_gpa;

	uint16_t avail_idx; /* the next entry to fill */
	uint16_t seen_used; /* the next entry to collect */
};

/* One buffer of a chain. */
struct rd_piece {
	uint64_t gpa;
	uint32_t len;
	bool writable;
};

/* How a chain is laid out: plain descriptors, a table, or some of each. */
enum rd_shape { RD_DIRECT, RD_INDIRECT, RD_MIXED, RD_SHAPES };

/* Makes memory and a resolved queue of size entries whose indices begin at start. */
void rd_open(struct ring_driver *d, unsigned int size, uint16_t start);
void rd_close(struct ring_driver *d);

/* Only the memory, for a test that sets up the queue by messages; regions get the three. */
void rd_open_memory(struct ring_driver *d, unsigned int size);
void rd_regions(const struct ring_driver *d, struct mem_region_desc regions[3]);

/* The driver's view of a byte of the data area. */
char *rd_at(struct ring_driver *d, uint64_t gpa);

void rd_desc(struct ring_driver *d, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	uint16_t next);

/* Writes the descriptors of a chain: plain ones from ring index head on, a table at RD_TABLE. */
#define RD_TABLE (RD_DATA_GPA + RD_DATA_HALF - 0x8008) /* over the middle when it is long */
void rd_chain(struct ring_driver *d, enum rd_shape shape, uint16_t head,
	const struct rd_piece *pieces, unsigned int n);

/* Makes head available. */
void rd_offer(struct ring_driver *d, uint16_t head);

/* Takes one used element; false when there is none. */
bool rd_collect(struct ring_driver *d, struct ring_used_elem *elem);

/* The event index that the driver writes, and the one that it reads. */
void rd_set_used_event(struct ring_driver *d, uint16_t value);
uint16_t rd_avail_event(const struct ring_driver *d);

#endif
