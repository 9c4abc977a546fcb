// SPDX-License-Identifier: BSD-2-Clause
/*
 * The files of a version table: made, checked before they are trusted, locked.
 */
#ifndef COHERENCE_FILE_H
#define COHERENCE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "coherence/table.h"

/* Maps the table that a descriptor is open on and takes over what it says of itself. 0, or -errno
 * and why not. */
int file_map(struct vtable *t, int fd, const char **why);
void file_unmap(struct vtable *t);

/* Fills an empty file with a new table and maps it. */
int file_fill(struct vtable *t, int fd, uint64_t slots);

/* Opens the table in the folder and maps it. -ENOENT where there is none. */
int file_attach(struct vtable *t, const char **why);

/* Makes a table, which takes the place of the one in the folder in one step, and maps it. The lock
 * is held exclusively. */
int file_replace(struct vtable *t, const char **why);

/* Opens the folder of a path and the key file in it, which is made where it is not there. */
int file_find(struct vtable *t, const char *path, const char **why);

/* Reads the key, which is to be the one that we have had, if any; with fresh, which needs the
 * exclusive lock, makes one where there is none: *fresh then says so. */
int file_read_key(struct vtable *t, bool *fresh, const char **why);

/* Takes, changes or gives up (F_UNLCK) the lock, without waiting: -EAGAIN where others are in the
 * way. */
int file_lock(struct vtable *t, short type);

/* The process that has the exclusive lock; 0 where that cannot be found out. Reads all of /proc.
 * (holder.c) */
pid_t file_find_holder(const struct vtable *t);

/* Fills memory with random bytes. */
int file_random(void *out, size_t size);

#endif
