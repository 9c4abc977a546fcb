// SPDX-License-Identifier: BSD-2-Clause
//
// Lanes made, started, stopped and freed.

#include "carry.h"

#include "../tool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SLOTS_MAX 64u
// Descriptors of the longest chain, where the back-end has no indirect ones.
#define CHAIN_MAX 6u

static unsigned int least(size_t a, size_t b)
{
	return a < b ? a : b;
}

// How many slots a lane has: what there is memory for, and so few that all of them, what is parked
// and the INTERRUPTs of both fit into the ring of its queue, and the slots of all lanes into that
// of FORGETs.
static void divide(struct carrier *c, size_t payload)
{
	bool indirect = c->t->fe.features & 1ull << VIRTIO_F_INDIRECT_DESC_BIT;
	unsigned int ring = indirect ? CARRY_QUEUE_SIZE : CARRY_QUEUE_SIZE / CHAIN_MAX;

	c->room = SLOT_ROOM(payload);
	c->nslots = least(CARRY_QUEUE_MEMORY / (c->room + SLOT_PAGE), SLOTS_MAX);
	c->nslots = least(c->nslots, least(ring / 4, ring / c->nlanes));
	c->parked_max = ring / 2 - c->nslots;
}

// Each lane has a device of its own; where that cannot be had, all read from one.
static int clone_device(int fuse_fd)
{
	uint32_t from = fuse_fd;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && !ioctl(fd, FUSE_DEV_IOC_CLONE, &from))
		return fd;
	if (fd >= 0)
		close(fd);
	return fcntl(fuse_fd, F_DUPFD_CLOEXEC, 3);
}

static int give_slots(struct lane *l)
{
	const struct carrier *c = l->c;
	void *memory;
	int ret = 0;

	l->slots = calloc(c->nslots, sizeof(*l->slots));
	if (!l->slots)
		return -ENOMEM;
	for (unsigned int i = 0; ret == 0 && i < c->nslots; i++) {
		struct slot *s = &l->slots[i];

		ret = arena_alloc(&c->t->arena, SLOT_PAGE + c->room, false, &memory);
		if (ret == 0) {
			s->lane = l;
			s->page = memory;
			s->payload = s->page + SLOT_PAGE;
			s->room = c->room;
			s->next = l->free;
			l->free = s;
		}
	}
	return ret;
}

static int open_lane(struct lane *l, int fuse_fd)
{
	l->fuse_fd = l->queue == 1 ? fcntl(fuse_fd, F_DUPFD_CLOEXEC, 3) : clone_device(fuse_fd);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->tell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->fuse_fd < 0 || l->epoll_fd < 0 || l->tell_fd < 0)
		return -errno;
	return give_slots(l);
}

int carry_open(struct carrier *c, struct transport *t, int fuse_fd, size_t payload)
{
	unsigned int n = t->fe.nqueues - 1;
	int ret = 0;

	*c = (struct carrier){.t = t, .news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	c->lanes = calloc(n, sizeof(*c->lanes));
	if (c->news_fd < 0 || !c->lanes)
		return -errno;
	for (c->nlanes = 0; c->nlanes < n; c->nlanes++) {
		struct lane *l = &c->lanes[c->nlanes];

		l->c = c;
		l->queue = 1 + c->nlanes;
		l->fuse_fd = l->epoll_fd = l->tell_fd = -1;
		pthread_mutex_init(&l->lock, NULL);
	}
	divide(c, payload);
	for (unsigned int i = 0; ret == 0 && i < n; i++)
		ret = open_lane(&c->lanes[i], fuse_fd);
	for (unsigned int i = 0; ret == 0 && i < n; i++)
		ret = lane_watch(&c->lanes[i]);
	return ret;
}

int carry_start(struct carrier *c)
{
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < c->nlanes; i++) {
		struct lane *l = &c->lanes[i];

		ret = -pthread_create(&l->thread, NULL, lane_run, l);
		l->started = ret == 0;
	}
	return ret;
}

void carry_stop(struct carrier *c)
{
	atomic_store(&c->stop, true);
	for (unsigned int i = 0; i < c->nlanes; i++)
		carry_tell(c->lanes[i].tell_fd);
	for (unsigned int i = 0; i < c->nlanes; i++) {
		if (c->lanes[i].started)
			pthread_join(c->lanes[i].thread, NULL);
		c->lanes[i].started = false;
		close_fd(&c->lanes[i].fuse_fd);
		c->lanes[i].fuse_fd = -1;
	}
}

void carry_close(struct carrier *c)
{
	for (unsigned int i = 0; i < c->nlanes; i++) {
		struct lane *l = &c->lanes[i];

		close_fd(&l->fuse_fd);
		close_fd(&l->epoll_fd);
		close_fd(&l->tell_fd);
		free(l->slots);
		pthread_mutex_destroy(&l->lock);
	}
	free(c->lanes);
	close_fd(&c->news_fd);
	c->lanes = NULL;
	c->nlanes = 0;
}
