// SPDX-License-Identifier: BSD-2-Clause
/*
 * The driver's side of a ring of either format, for tests: it owns the guest memory, fills
 * descriptors and indices (also wrongly, when told to), and looks at what the device returns.
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

	bool packed;

	struct ring_desc *desc;
	struct ring_avail *avail;
	struct ring_used *used;
	uint64_t desc_gpa, avail_gpa, used_gpa;

	/* Split: indices. Packed: slots with their wrap counters in bit 15. */
	uint16_t avail_idx; /* the next entry to fill */
	uint16_t seen_used; /* the next entry to collect */

	struct ring_packed_desc *slots;
	struct ring_event *driver_event, *device_event;
	uint16_t *lengths;   /* slots of the chain with this id */
	uint16_t head_flags; /* of a chain that is written and not offered */
	unsigned int written; /* its slots */
};

/* One buffer of a chain. */
struct rd_piece {
	uint64_t gpa;
	uint32_t len;
	bool writable;
};

/* How a chain is laid out: plain descriptors, a table, or some of each. */
enum rd_shape { RD_DIRECT, RD_INDIRECT, RD_MIXED, RD_SHAPES };

/* Makes memory and a resolved queue of size entries whose indices begin at start. A packed one
 * begins at a slot with its wrap counter. */
void rd_open(struct ring_driver *d, unsigned int size, uint16_t start);
void rd_open_packed(struct ring_driver *d, unsigned int size, uint16_t start);
void rd_close(struct ring_driver *d);

#define RD_WRAP 0x8000u

/* Only the memory, for a test that sets up the queue by messages; regions get the three. */
void rd_open_memory(struct ring_driver *d, unsigned int size, bool packed);
void rd_regions(const struct ring_driver *d, struct mem_region_desc regions[3]);

/* The driver's view of a byte of the data area. */
char *rd_at(struct ring_driver *d, uint64_t gpa);

void rd_desc(struct ring_driver *d, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	uint16_t next);

/* What SET_VRING_BASE would say. */
uint32_t rd_base(const struct ring_driver *d);

/* Writes a slot of a packed ring as it is told, flags included; and what the flags of an available
 * descriptor are for a driver at this position. */
void rd_slot(struct ring_driver *d, unsigned int slot, uint64_t gpa, uint32_t len, uint16_t id,
	uint16_t flags);
uint16_t rd_available(uint16_t position);

/* The position that is n slots on. */
uint16_t rd_advance(const struct ring_driver *d, uint16_t position, unsigned int n);

/* Writes the descriptors of a chain: plain ones from ring index head on, a table at RD_TABLE. In a
 * packed ring they go into the next slots, and head is their id; no mixed shape there. */
#define RD_TABLE (RD_DATA_GPA + RD_DATA_HALF - 0x8008) /* over the middle when it is long */
void rd_chain(struct ring_driver *d, enum rd_shape shape, uint16_t head,
	const struct rd_piece *pieces, unsigned int n);

/* Makes head available. */
void rd_offer(struct ring_driver *d, uint16_t head);

/* Takes one used element; false when there is none. */
bool rd_collect(struct ring_driver *d, struct ring_used_elem *elem);

/* Asks for a call when the next element is used (with event index). */
void rd_want_call(struct ring_driver *d);

/* The event index that the driver writes, and the one that it reads; none, where a packed ring
 * does not ask for one. */
#define RD_NO_EVENT 0x7fff
void rd_set_used_event(struct ring_driver *d, uint16_t value);
uint16_t rd_avail_event(const struct ring_driver *d);

/* Whether the driver kicks for what it offered since (with event index). */
bool rd_needs_kick(const struct ring_driver *d, uint16_t since);

/* Takes back what the device did not use, as a driver does that resets its device. */
void rd_restart(struct ring_driver *d);

#endif
