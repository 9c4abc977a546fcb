// SPDX-License-Identifier: BSD-2-Clause
//
// io_urings for lanes, and the slots that become their entries.

#include "carry.h"
#include "uring_entry.h"

#include "../tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel has a queue for each processor that there could be, present or not.
static unsigned int possible_cpus(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	unsigned int first, last, n = 0;

	if (!f)
		return 0;
	while (fscanf(f, "%u", &first) == 1) {
		last = first;
		if (fscanf(f, "-%u", &last) == 1 && last < first)
			break;
		n += last - first + 1;
		if (fgetc(f) != ',')
			break;
	}
	fclose(f);
	return n;
}

static int map(struct uring *u, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	char *at;

	u->rings_size = sq > cq ? sq : cq;
	u->rings = mmap(NULL, u->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		IORING_OFF_SQ_RING);
	if (u->rings == MAP_FAILED)
		u->rings = NULL;
	u->sqes_size = p->sq_entries * 2 * sizeof(*u->sqes);
	u->sqes = mmap(
		NULL, u->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQES);
	if (u->sqes == MAP_FAILED)
		u->sqes = NULL;
	if (!u->rings || !u->sqes)
		return -ENOMEM;
	at = u->rings;
	u->sq_tail = (unsigned int *)(at + p->sq_off.tail);
	u->sq_array = (unsigned int *)(at + p->sq_off.array);
	u->sq_mask = p->sq_entries - 1;
	u->cq_head = (unsigned int *)(at + p->cq_off.head);
	u->cq_tail = (unsigned int *)(at + p->cq_off.tail);
	u->cq_mask = p->cq_entries - 1;
	u->cqes = (struct io_uring_cqe *)(at + p->cq_off.cqes);
	return 0;
}

// Takes slots for some entries on each queue of a lane. Where there are more lanes than queues,
// several serve one.
static int take_slots(struct lane *l, unsigned int nqueues, unsigned int each)
{
	struct uring *u = &l->uring;
	unsigned int nlanes = l->c->nlanes, first = (l->queue - 1) % nqueues;
	unsigned int mine = (nqueues - first + nlanes - 1) / nlanes;

	u->entries = calloc((size_t)mine * each, sizeof(*u->entries));
	if (!u->entries)
		return -ENOMEM;
	for (u->nentries = 0; u->nentries < mine * each; u->nentries++) {
		struct uring_entry *e = &u->entries[u->nentries];

		e->slot = lane_get_slot(l);
		if (!e->slot)
			return -ENOBUFS;
		e->qid = first + u->nentries / each * nlanes;
		e->iov[0] = (struct iovec){&e->header, sizeof(e->header)};
		e->iov[1] = (struct iovec){e->slot->payload, e->slot->room};
	}
	return 0;
}

static int open_ring(struct lane *l, unsigned int nqueues, unsigned int each)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SQE128};
	int ret = take_slots(l, nqueues, each);

	if (ret < 0)
		return ret;
	l->uring.fd = (int)syscall(SYS_io_uring_setup, l->uring.nentries, &p);
	if (l->uring.fd < 0)
		return -errno;
	return p.features & IORING_FEAT_SINGLE_MMAP ? map(&l->uring, &p) : -EOPNOTSUPP;
}

int uring_open(struct carrier *c)
{
	unsigned int nqueues = possible_cpus();
	unsigned int of_lane = (nqueues + c->nlanes - 1) / c->nlanes;
	unsigned int each = of_lane ? (c->nslots - c->nslots / 4) / of_lane : 0;
	int ret = each ? 0 : -ENOBUFS;

	// A lane without slots of its own would never hear of FORGETs.
	if (c->nslots < 4)
		ret = -ENOBUFS;
	for (unsigned int i = 0; ret == 0 && i < c->nlanes; i++)
		ret = open_ring(&c->lanes[i], nqueues, each);
	for (unsigned int i = 0; ret < 0 && i < c->nlanes; i++)
		uring_close(&c->lanes[i]);
	return ret;
}

void uring_close(struct lane *l)
{
	struct uring *u = &l->uring;

	for (unsigned int i = 0; i < u->nentries; i++)
		if (u->entries[i].slot)
			lane_put_slot(u->entries[i].slot);
	if (u->rings)
		munmap(u->rings, u->rings_size);
	if (u->sqes)
		munmap(u->sqes, u->sqes_size);
	close_fd(&u->fd);
	free(u->entries);
	*u = (struct uring){.fd = -1};
}
