/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mounts of the host that a share goes over.
 */
#ifndef PASSTHROUGH_MOUNT_H
#define PASSTHROUGH_MOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct passthrough;

/* Whether a file system compares names byte by byte. */
enum pt_names { PT_NAMES_BYTES, PT_NAMES_FOLD, PT_NAMES_ASK /* each directory */ };

/*
 * A mount of the host that nodes were found on; it stays known while there are any, and while it
 * is used. Its descriptors keep the host from unmounting it, as the nodes' own do.
 */
struct pt_mount {
	uint64_t id;
	_Atomic uint32_t users; /* nodes among them; 0 only under the lock of the list */
	int fd; /* a directory there, open for reading: file handles are opened below it; or -1 */
	int path_fd; /* of what was found there first, where there is no fd; or -1 */
	bool in_memory; /* there is nothing to wait for */
	bool local; /* close(2) never fails there: nothing is held back until then */
	_Atomic bool no_leases, replaces_only; /* dax.c; RENAME_NOREPLACE is refused */
	_Atomic uint8_t reads; /* enum pt_reads (data.c) */
	_Atomic bool unwatched; /* what the host's processes change there is not told */
	bool keeps_numbers; /* an inode's is no other's while a descriptor holds it */
	bool timed; /* what changes there need not be told to this machine, or not by number */
	bool born; /* local, and inodes have times of birth: what is found need not be opened */
	enum pt_names names; /* how they are compared */
	_Atomic uint64_t last_made; /* the number of an inode; or 0: none has been made yet */
	struct pt_mount *next;
};

/* The mount of a descriptor's mount id, used once more; NULL: no memory. */
struct pt_mount *pt_mount_find(struct passthrough *pt, uint64_t id, int fd);
void pt_mount_put(struct passthrough *pt, struct pt_mount *mount);

/* Syncs every mount that is known: 0 or the first error. */
int pt_mounts_sync(struct passthrough *pt);

/* Syncs the one. 0 or -errno. */
int pt_mount_sync(struct passthrough *pt, const struct pt_mount *mount);
void pt_mounts_free(struct passthrough *pt);

/* The file handle of a descriptor (allocated), or NULL where there is none. */
struct file_handle *pt_file_handle(int fd);

#endif
