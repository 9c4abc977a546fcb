// SPDX-License-Identifier: BSD-2-Clause
/*
 * A directory of the host as a file system (fs/fs.h).
 *
 * Nodes (node.c) are inodes that the guest knows, those in use held by O_PATH descriptors. Every
 * name is resolved one component at a time from such a descriptor, with openat2(2) forbidding
 * symlinks, magic links and "..": the guest cannot name anything outside the directory. Only
 * regular files and directories are ever opened further, through /proc/self/fd.
 *
 * Each operation says whose credentials it needs (cred.h). The guest's kernel has checked
 * permissions already, as virtio-fs guests do: the daemon checks none itself.
 */
#ifndef PASSTHROUGH_PASSTHROUGH_H
#define PASSTHROUGH_PASSTHROUGH_H

#include "fs/fs.h"
#include "fs/passthrough/xattrmap.h"

/* Whether nodes without a descriptor are found again by a file handle of the host's
 * (name_to_handle_at(2)); where they are not, their names lead back to them. */
enum pt_file_handles {
	PT_FILE_HANDLES_PREFER, /* where the file system and our privileges allow */
	PT_FILE_HANDLES_NEVER,
	PT_FILE_HANDLES_MANDATORY, /* or do not serve the directory at all */
};

/* Which files guests map in a DAX window (dax.h). */
enum pt_dax_policy {
	PT_DAX_NEVER,
	PT_DAX_AUTO,   /* those that cannot change behind our back */
	PT_DAX_ALWAYS, /* all: who truncates one on the host may end the VMM */
};

struct dax_window;
struct vtable;
struct watch;

/* Files that are kept open for a guest, where nobody says how many. */
#define PT_KEEPS 1024

/* Descriptors that are left for the next OPEN, where nobody says how many. */
#define PT_SPARES 1024

/* Longer than a write(2) takes. */
#define PT_SETTLE_MS 60000

struct passthrough_config {
	enum pt_file_handles file_handles;
	const struct xattrmap *xattrmap; /* outlives the file system; or NULL */
	size_t node_bytes; /* what the nodes of a guest may take, or 0 for a default */
	size_t dir_bytes; /* what its listings may keep, or 0 for a default */
	unsigned int settle_ms; /* a time of change older than this shows whether a file changed */
	unsigned int keeps; /* files at most (fs_ops.keep), and an eighth of the descriptors */
	unsigned int spares; /* for the next OPEN of a file at most (spare.h), and an eighth */
	bool locks; /* will be asked for: descriptors are left to them */
	bool has_proc_fd; /* below; else /proc/self/fd is opened */
	int proc_fd;      /* of a proc that has this process; taken, also on failure */
	bool rooted; /* the directory is the root that this process has, by a mount of its own */
	struct dax_window *window; /* outlives the file system; or NULL */
	enum pt_dax_policy dax;
	struct vtable *table; /* for what changes without a request; outlives it too; or NULL */
	struct watch *watch; /* hears of file systems before they are shown; outlives it; or NULL */
	bool readonly; /* nothing will be asked to change */
	bool no_open;  /* guests may use files without opening them */
	/* What makes the rest fast, left out (daemon/without.c). */
	bool keeps_no_descriptors; /* of nodes, once nobody uses them */
	bool starts_hot;           /* each node, which is opened when it is found */
	bool keeps_no_rights;      /* of callers, from one request to the next */
	bool opens_names;          /* of what the guest knows, too, when they are looked up */
	bool believes_nothing;     /* of where directories were just now (inside.c) */
	bool preserve_noatime; /* O_NOATIME or EPERM; else without it where it is refused */
};

/*
 * Opens a directory as a file system. 0 or -errno: what opening it says, -ENOTDIR, -EINVAL for a
 * file system that is never entered (proc and its like), -EOPNOTSUPP where file handles are
 * mandatory and cannot be had.
 */
int passthrough_new(const char *path, const struct passthrough_config *config, struct fs **fs);
void passthrough_free(struct fs *fs);

/* Starts the threads that a DAX window needs, before the first request. They have the calling
 * thread's privileges. 0 or -errno. */
int passthrough_start(struct fs *fs);

/* dax_window_dropped(): what copies hold is written back. */
void passthrough_drop_window(struct fs *fs);

/* The watch is lost: nothing that is shown from now on is kept but by time. */
void passthrough_watch_lost(struct fs *fs);

#endif
