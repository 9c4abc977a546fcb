// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extended attributes that other operations have to do with: labels of what is made, file
 * capabilities.
 */
#ifndef PASSTHROUGH_XATTR_H
#define PASSTHROUGH_XATTR_H

#include "fs/passthrough/pt.h"

/* label.c */

/* Whether labels of the host's SELinux can be set by the kernel, as inodes are made. */
bool pt_labels_by_kernel(const struct passthrough *pt);

/*
 * Around the system call that makes an inode for who: begin takes who's credentials, end sets who's
 * labels on the new inode, of which fd is any descriptor, or the -errno of why it was not made.
 * Where a label cannot be set, its name (NULL: it has none) is removed. Both return 0 or -errno;
 * after a begin that succeeded there must be an end.
 */
int pt_begin_making(const struct passthrough *pt, const struct fs_caller *who);
int pt_end_making(struct passthrough *pt, const struct fs_caller *who, int dir_fd,
	const char *name, int fd);

/* xattr.c */

/* The host's name for an attribute of the guest's: 0, or as xattrmap_client(). */
int pt_xattr_host_name(const struct passthrough *pt, const char *name,
	struct xattrmap_name *host);

/* Notes under which name file capabilities are kept. */
void pt_note_capability(struct passthrough *pt);

/* Takes a file's capabilities away, as the host does at a write where it knows them; for writes,
 * before which a guest does not always do so itself. 0 or -errno. */
int pt_clear_capability(const struct passthrough *pt, int fd);

#endif
