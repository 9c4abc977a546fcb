// SPDX-License-Identifier: BSD-2-Clause
/*
 * A front-end of a DAX window that is in this process: it maps what it is asked to into memory that
 * the tests read and write as a guest would. By default it is as particular as QEMU 11.1.
 */
#ifndef TESTS_UNIT_DAX_FRONTEND_H
#define TESTS_UNIT_DAX_FRONTEND_H

#include <pthread.h>

#include "dax/dax.h"
#include "unit.h"

#define DAX_FRONTEND_MAPS 512

struct dax_frontend_map {
	uint64_t at, len, offset;
	dev_t dev;
	ino_t ino;
	bool writable;
};

struct dax_fake {
	struct dax_window *w;
	char *memory;
	uint64_t size;
	unsigned int room; /* maps that it takes */
	unsigned int told; /* how many it says that it takes */
	struct dax_frontend_map maps[DAX_FRONTEND_MAPS];
	unsigned int nmaps;

	bool maps_over;      /* maps over what is mapped, unmaps any range */
	bool takes_readonly; /* descriptors that are not open for writing */
	bool refuses_files;  /* takes nothing but memfds */
	bool is_gone;        /* every answer is -ENOTCONN */

	unsigned int interrupt_after; /* changes that are answered, before others get -EINTR */
	unsigned int interrupt_most;  /* how many those are */
	unsigned int resume_after;    /* calls of apply() after which none are, if not 0 */
	bool interrupted_are_made;

	void (*meanwhile)(void *opaque);  /* called once, before the next changes are made */
	void (*afterwards)(void *opaque); /* the same, after them */
	void *opaque;

	unsigned int applied; /* calls of apply() */
	unsigned int nasked;
	struct dax_change asked[DAX_FRONTEND_MAPS]; /* the first ones since fake_listen() */
	unsigned int refused;
};

struct dax_fake *fake_new(unsigned int pages, unsigned int pieces);
void fake_free(struct dax_fake *fake);

/* Forgets what was asked until now. */
void fake_listen(struct dax_fake *fake);

/* The map at a place, or NULL. */
const struct dax_frontend_map *fake_map_at(const struct dax_fake *fake, uint64_t at);

/* The mirror has the same pieces as the front-end, apart from what is in doubt. */
void fake_check(struct dax_fake *fake);

#endif
