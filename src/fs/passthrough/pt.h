// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the files of passthrough/ share.
 */
#ifndef PASSTHROUGH_PT_H
#define PASSTHROUGH_PT_H

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fs/fs.h"
#include "fs/passthrough/dirbuf.h"
#include "fs/passthrough/idtab.h"
#include "fs/passthrough/lock.h"
#include "fs/passthrough/mount.h"
#include "fs/passthrough/ops.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/seen.h"
#include "fs/passthrough/shard.h"
#include "fs/passthrough/stream.h"

/* Most handles that one guest may have. */
#define PT_HANDLES_MAX (1u << 20)

/* Descriptors that are left to everything but nodes and handles, which share the others. */
#define PT_FDS_RESERVED 96

/* A node's share of tables, beside struct pt_node and what that points to. */
#define PT_NODE_MORE 24

/* What tells the inode of a cold node without file handle from a later one with its number. */
enum pt_proof {
	PT_PROOF_NONE,   /* nothing: it is not found again */
	PT_PROOF_BIRTH,  /* the time of its birth */
	PT_PROOF_CHANGE, /* its time of change, where the file system keeps no birth times */
};

/* What is kept of a file: handles that outlive their RELEASE, by what they are open for. */
enum pt_kept { PT_KEPT_READ, PT_KEPT_WRITE, PT_KEPT };

/*
 * An inode that the guest knows.
 *
 * References (slot): one while the guest counts lookups, one for each open handle, one for each
 * operation that runs, one for each node that it is the parent of. lookups is changed under the
 * lock of the node's shard; a node whose count came to 0 has left the shard and is found by
 * nobody any more.
 *
 * fd belongs to whoever has the node pinned; what is cold has none (pin.c).
 */
struct pt_node {
	struct idslot slot;
	struct pt_key key;
	int fd;             /* O_PATH, or open for reading; or -1 */
	_Atomic uint32_t pins; /* users of fd, open handles among them; and PT_COLD */
	_Atomic bool used;  /* since the search for cold nodes last passed */
	_Atomic bool readable; /* fd is open for reading (file.c) */
	_Atomic uint8_t dax_told; /* enum pt_dax_told (dax.h): what the guest was told */
	bool barred;        /* on a file system that is never entered */
	bool lost;          /* another inode has its key: the host's file is gone */
	_Atomic bool unopened; /* cold since it was found */
	uint8_t proof_kind; /* enum pt_proof; of a cold node */
	_Atomic bool spare_listed, spare_used; /* spare.c */
	mode_t type;        /* S_IFMT bits */
	_Atomic int spare;  /* a descriptor for the next OPEN plus 1; or 0 (spare.h) */
	_Atomic int64_t opened_ctime; /* ns, as last opened; 0: none, or too new to tell (file.c) */
	_Atomic uint64_t lookups;
	struct pt_node *next; /* in the shard's bucket */
	struct pt_mount *mount;
	struct pt_dax_file *_Atomic dax; /* while it may be mapped (dax.h) */
	struct file_handle *file_handle; /* of a cold node, where its mount has them */
	/* Where its mount has no file handles, or it is unopened, the name that it was last found
	 * by (way.c); under the lock of the shard. */
	struct pt_node *parent; /* referenced */
	char *name;
	int64_t proof; /* ns */
	_Atomic int64_t inside_until_ns; /* a directory's, CLOCK_MONOTONIC_COARSE (inside.c) */
	_Atomic uint64_t folds; /* a directory's; 0: not asked yet (version.c) */
	_Atomic uint64_t kept[PT_KEPT]; /* of files; written under the shard's lock (keep.c) */
};

#define PT_COLD (1u << 31)

/* PLAIN: opened for reading and nothing else (spare.h). APPEND: of what is for appending only. */
enum pt_handle_kind { PT_HANDLE_FILE, PT_HANDLE_PLAIN, PT_HANDLE_APPEND, PT_HANDLE_DIR };

struct pt_handle {
	struct idslot slot;
	struct pt_node *node; /* referenced */
	uint64_t node_id;     /* as the guest opened it */
	int fd;
	_Atomic bool open;  /* not released yet */
	_Atomic bool locked; /* locks were asked for through it */
	enum pt_handle_kind kind;
	struct pt_dir *dir; /* NULL for a file */
	struct pt_dax_file *dax; /* whose description it shares, or NULL (dax.h) */
};

struct passthrough {
	struct fs fs;
	int proc_fd; /* /proc/self/fd */
	struct pt_node *root;
	struct idtab *nodes;
	struct idtab *handles;
	struct pt_shard shards[PT_SHARDS];
	struct passthrough_config config;
	char capability[XATTR_NAME_MAX + 1]; /* --xattrmap's of security's; "": the host knows it */
	bool labels_by_kernel; /* the host's SELinux sets its labels itself (label.c) */
	struct pt_streams streams;
	_Atomic bool goes_direct; /* some handle has, or had, O_DIRECT (direct.c) */
	struct pt_dir_pool dirs;
	struct pt_guesses *guesses; /* NULL: there is no version table, or no memory */
	struct pt_told *told;       /* told.h; or NULL */
	pthread_mutex_t mount_lock; /* of the list */
	struct pt_mount *mounts;

	/* Held shared while the guest renames, so that exclusively no name changes (way.c); taken
	 * before the others. */
	pthread_rwlock_t rename_lock;

	_Atomic uint32_t cooled;   /* cold nodes that had a descriptor once */
	_Atomic uint32_t unopened; /* ... and those that had none yet */
	_Atomic size_t node_extra; /* bytes of names and file handles */

	uint32_t fds;             /* descriptors that nodes, handles and spares may have together */
	uint32_t hot_max;         /* nodes that may be hot while others are idle */
	pthread_mutex_t hot_lock; /* of what follows; taken before a shard's */
	uint64_t *hot;            /* ids of the nodes that have a descriptor, in a ring */
	_Atomic uint32_t hot_len; /* read without the lock too */
	uint32_t hot_room;
	struct pt_locks locks; /* lock.h */
	_Atomic uint32_t kept; /* handles that are (keep.c) */
	struct pt_spares *spares; /* spare.h; or NULL */
	struct pt_dax *dax;    /* dax.h; NULL: no window */
	struct pt_known *known; /* known.h; or NULL */
	struct pt_seen seen;    /* seen.h; or no bits: nodes start with a descriptor */
	uint32_t hand; /* where in the ring the search for a node to cool goes on */
};

static inline struct passthrough *pt_of(struct fs *fs)
{
	return container_of(fs, struct passthrough, fs);
}

/* Room for a descriptor's number, as a name in proc_fd. */
struct pt_fdname {
	char s[12];
};
struct pt_fdname pt_fdname(int fd);

/* node.c */

/* Finds a node that the guest knows, and references it; NULL: -ESTALE. Its fd may not be used. */
struct pt_node *pt_node_get(struct passthrough *pt, uint64_t id);
void pt_node_put(struct passthrough *pt, struct pt_node *node);
uint64_t pt_node_id(const struct passthrough *pt, const struct pt_node *node);

/* The node of an O_PATH descriptor (taken, also on failure) with attributes attr, its lookup
 * count raised by one. Known inodes keep their node. parent and name: where it was found, or
 * NULL. */
int pt_node_found(struct passthrough *pt, int fd, const struct statx *attr,
	struct pt_node *parent, const char *name, uint64_t *id);

/* The same without a descriptor, for what is no directory and on its parent's mount, which has
 * times of birth. What is known and hot is pinned instead, and not counted: the name is to be
 * looked at again. -EAGAIN: it has to be opened. */
int pt_node_seen(struct passthrough *pt, const struct statx *attr, struct pt_node *parent,
	const char *name, struct pt_node **hot, uint64_t *id);

/* References and pins the node of an inode, if it is known and hot: 0; else 1 where it is cold,
 * -ESTALE where there is none. */
int pt_node_hold(struct passthrough *pt, const struct statx *attr, struct pt_node **node);

/* One more of a node that is known, under the lock of its shard. */
static inline void pt_count_lookup(struct pt_node *node)
{
	atomic_store_explicit(&node->used, true, memory_order_relaxed);
	atomic_fetch_add_explicit(&node->lookups, 1, memory_order_relaxed);
}

/* The node of an O_PATH descriptor, referenced and pinned, or NULL where it is not known. A cold
 * one takes the descriptor. */
struct pt_node *pt_node_known(struct passthrough *pt, int *fd, const struct statx *attr);

/* Bytes that the nodes take. */
size_t pt_node_bytes(const struct passthrough *pt);

/* Destroys what a node holds; for its table. */
void pt_node_destroy(void *opaque, struct idslot *slot);

/* Bytes that a piece of memory of this size takes. */
static inline size_t pt_piece(size_t size)
{
	return size <= 24 ? 32 : (size + 8 + 15) & ~(size_t)15;
}

/* Whether the file system below a descriptor is one that is never entered; or -errno. */
int pt_is_barred(int fd);

/* Whether it is one where close(2) has nothing to report. */
bool pt_is_local(int fd);

/* Whether what is kept of it is kept by time only, as others may change it unheard. */
bool pt_is_timed(int fd);

/* All attributes of a descriptor, mount and birth time included. */
#define PT_STATX (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)
int pt_stat(int fd, struct statx *attr);

/* A scoped reference that pins: PT_NODE struct pt_node_ref ref = pt_ref(pt, id); ref.node->fd is
 * open meanwhile. Without one, node is NULL and error says why. */
#define PT_NODE __attribute__((cleanup(pt_cleanup_node)))
struct pt_node_ref {
	struct passthrough *pt;
	struct pt_node *node;
	int error;
};
void pt_cleanup_node(struct pt_node_ref *ref);
struct pt_node_ref pt_ref(struct passthrough *pt, uint64_t id);

/* forget.c */

/* Takes count lookups back; the node leaves when none is left. Too many are all that it has. */
void pt_node_forget(struct passthrough *pt, uint64_t id, uint64_t count);

/* Forgets all nodes but the root. */
void pt_nodes_reset(struct passthrough *pt);

/* pin.c */

/* Makes a node's fd usable until it is unpinned, opening it again where it is cold: 0 or -errno,
 * -ESTALE where the inode is gone. The caller has a reference. */
int pt_pin(struct passthrough *pt, struct pt_node *node);
void pt_unpin(struct pt_node *node);

/* The time of an inode's birth, if no later one with its number can have the same. */
bool pt_has_birth(const struct statx *attr, int64_t *ns);

/* Whether nothing has changed an inode just now, nor given it the name that it was found by. What
 * names lead to for moments only is held from the start, so that it can be used all the same. */
bool pt_is_quiet(const struct statx *attr);

/* Whether a descriptor is the inode of a cold node; the lock of its shard is held. */
bool pt_is_same_inode(const struct pt_node *cold, int fd, const struct statx *attr);

/* Whether a pinned node, of a mount that does not keep numbers, is another inode than the one with
 * its number that was found now. May ask the file system's server. */
bool pt_is_removed(const struct pt_node *hot, int fd, const struct statx *attr);

/* Gives a cold node a descriptor, which it takes; the lock of its shard is held. */
void pt_warm(struct passthrough *pt, struct pt_node *node, int fd);

/* Takes the descriptor of a node that nobody uses; -EBUSY where somebody does, -EAGAIN where the
 * inode is too young to be told from its successor. Without force also -EBUSY where it was used
 * since it was last asked for, and -ESTALE where the inode could not be found again. */
int pt_cool(struct passthrough *pt, struct pt_node *node, bool force);

/* For way.c: pins with at most so many ways more to be gone; alone: rename_lock is held. */
int pt_pin_at(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone);

/* hot.c */

/* A node, by its id, was given a descriptor: another is cooled where there are too many now. No
 * shard's lock is held. */
void pt_node_is_hot(struct passthrough *pt, uint64_t id);

/* A handle was given a descriptor. */
void pt_make_room(struct passthrough *pt);

/* way.c */

/* Remembers the name of a node that is found by no file handle when it is cold. The lock of its
 * shard is held; what comes back is the reference to the parent before, to be put without it. */
struct pt_node *pt_set_name(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name);

/* Opens a cold node by its name: a descriptor or -errno. */
int pt_open_by_name(struct passthrough *pt, struct pt_node *node, unsigned int ways, bool alone);

/* The node of a name (bit: version.h) that is about to change or go: pinned, so that it outlives
 * its name, and can be told its next one. node: NULL where none is known, or it does not matter. */
struct pt_node_ref pt_hold_named(struct passthrough *pt, struct pt_node *parent,
	const char *name, unsigned int bit);

/* A name of a node (or NULL) has become another, or is gone. */
void pt_node_renamed(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name);
void pt_node_unnamed(struct passthrough *pt, struct pt_node *node, struct pt_node *parent,
	const char *name);

/* handle.c */

/* Makes a handle of an open descriptor (taken, also on failure) of a node that is pinned. */
int pt_handle_new(struct passthrough *pt, struct pt_node *node, uint64_t node_id, int fd,
	enum pt_handle_kind kind, uint64_t *id);

/* The same for a file whose description is shared, which is taken too. */
int pt_handle_share(struct passthrough *pt, struct pt_node *node, uint64_t node_id, int fd,
	struct pt_dax_file *dax, uint64_t *id);

int pt_release(struct fs *fs, uint64_t id);
void pt_handle_destroy(void *opaque, struct idslot *slot);
void pt_handles_reset(struct passthrough *pt);

/* Gives up the reference of being open, once, however many ask; whether it had it. */
bool pt_handle_close(struct passthrough *pt, struct pt_handle *handle);

/* A scoped reference to a handle, which must be of the target's node. Without one, handle is NULL
 * and error says why: -EBADF, or -ESTALE where the node is unknown too. */
#define PT_HANDLE __attribute__((cleanup(pt_cleanup_handle)))
struct pt_handle_ref {
	struct passthrough *pt;
	struct pt_handle *handle;
	int error;
};
void pt_cleanup_handle(struct pt_handle_ref *ref);
struct pt_handle_ref pt_handle_ref(struct passthrough *pt, const struct fs_target *t);

/* inside.c */

/* Whether the host has moved a pinned directory out of the export, as far as that can be told, and
 * 30 ms ago, or a second (security.md). May take the daemon's credentials. */
bool pt_is_outside(struct passthrough *pt, struct pt_node *dir);

/* pt_ref() for a directory in which names are listed or changed: -ESTALE where it is outside. */
struct pt_node_ref pt_dir_ref(struct passthrough *pt, uint64_t id);

/* Whether going up from a directory leads to the root of the export: 0; -ESTALE where it leads past
 * it, -ELOOP where it would take too long. */
int pt_check_below_root(struct passthrough *pt, int dir_fd);

/* Whether two sets of attributes are of one inode. */
bool pt_same_inode(const struct statx *a, const struct statx *b);

/* lookup.c */

/* Refuses what is no name of a single directory entry: 0, -EINVAL or -ENAMETOOLONG. */
int pt_check_name(const char *name);

/* Opens a name in a directory with O_PATH, following nothing. A descriptor or -errno. */
int pt_open_child(int dir_fd, const char *name);

/* What an inode is entered for, and so what becomes of it in the version table (version.h). */
enum pt_as {
	PT_LOOKED_UP,
	PT_LISTED, PT_LISTED_DIRECTORY,
	PT_LISTED_FIRST, /* no directory, and the guest knows no node of that name */
	PT_MADE,   /* or is to be changed now */
	PT_MARKED, /* the same, and it was known before */
};

/* Looks up a name in a directory, of which dir_fd is any descriptor, counting a lookup. */
int pt_enter(struct passthrough *pt, struct pt_node *parent, int dir_fd, const char *name,
	enum pt_as as, struct fs_entry *entry);

int pt_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry);
void pt_forget(struct fs *fs, uint64_t node, uint64_t count);

#endif
