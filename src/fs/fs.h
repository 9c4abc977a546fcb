// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file system, as the FUSE layer calls it: one table of operations.
 *
 * An implementation embeds struct fs and is called from many threads at once. Results are 0 (or
 * a count) or -errno. Names are NUL-terminated and come from the guest unchecked: refusing '/',
 * "." and ".." is the file system's duty. Node and handle numbers come from the guest too: an
 * unknown or stale node is -ESTALE, an unknown handle -EBADF.
 *
 * Lookup counts (FUSE's nlookup): each entry that lookup, mknod, mkdir, symlink, link, create
 * or a listing with entries hands out counts one for its node, until forget takes it back.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "proto/version_wire.h"

#define FS_ROOT 1 /* node number of the export's root: always valid, never forgotten */

struct fs;

/* A label that an inode has from its making on: an extended attribute, named as the guest does. */
struct fs_label {
	const char *name; /* "security." and more */
	const void *value;
	size_t size;
};

#define FS_GROUPS_MAX 32

/* Who asks. What follows gid counts only where something is created. */
struct fs_caller {
	uid_t uid;
	gid_t gid;
	mode_t umask;
	unsigned int n_groups, n_labels;
	const gid_t *groups; /* supplementary ones: the directory's, where the caller is in it */
	const struct fs_label *labels;
};

/* A node, and the handle that it was opened with where the guest named one. Where it did not, what
 * reads files and directories, and fsync, work all the same. */
struct fs_target {
	uint64_t node;
	uint64_t handle;
	bool has_handle;
	unsigned int kept; /* not 0: what keep() has kept of the node, for one of these FS_KEPT_* */
};

/* What an open file that is kept is open for. */
#define FS_KEPT_READ  (1u << 0)
#define FS_KEPT_WRITE (1u << 1)
#define FS_KEPT_ANY   (FS_KEPT_READ | FS_KEPT_WRITE)

struct fs_entry {
	uint64_t node;
	struct statx attr;
	bool local; /* of a file that was created: as in fs_opened */
	bool submount; /* a directory of another device or mount than the one it was found in */
	/* Of its name and its attributes, in a listing, where a guest reads words. */
	struct vt_look name_look, attr_look;
};

/* What open() says of a file beside its handle. */
struct fs_opened {
	bool may_wait; /* in: for the front-end, which has to map what is opened */
	bool ask_unchanged; /* in: whether the next one is of interest */
	bool unchanged; /* its data is certainly what it was when this node was last opened */
	bool local; /* closing it never reports what became of a write */
};

/* Which attributes to set: bits of set. Times are as in utimensat(2), UTIME_NOW included. */
#define FS_SET_MODE (1u << 0)
#define FS_SET_UID  (1u << 1)
#define FS_SET_GID  (1u << 2)
#define FS_SET_SIZE (1u << 3)
#define FS_SET_TIME (1u << 4) /* the one that is not wanted is UTIME_OMIT */

struct fs_setattr {
	unsigned int set;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size;
	bool kill_priv; /* a change of size clears set-id bits */
	struct timespec atime, mtime;
};

/* How a write is done, beside its offset. */
#define FS_WRITE_APPEND (1u << 0) /* at the end of the file, wherever that is now */
#define FS_WRITE_DSYNC  (1u << 1)
#define FS_WRITE_SYNC   (1u << 2)
#define FS_WRITE_KILL_PRIV (1u << 3) /* clearing set-id bits */

struct fs_dirent {
	const char *name;
	size_t name_len;
	uint64_t ino;
	uint64_t next; /* the offset of the entry after this one */
	unsigned char type; /* DT_* */
};

/*
 * Where a listing goes. An entry fits while cost(name_len) is at most left; add() takes the
 * entry and lowers left. The entry argument is NULL for a plain listing, and has node 0 where
 * no node is handed out ("." and ".." and names that could not be looked up).
 */
struct fs_listing {
	bool with_entries;
	size_t left; /* bytes */
	size_t (*cost)(const struct fs_listing *l, size_t name_len);
	void (*add)(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e);
};

struct fs_copy {
	struct fs_target from, to;
	uint64_t from_offset, to_offset, len;
	bool kill_priv; /* clearing set-id bits */
};

/* An attribute to set: name is NUL-terminated, value has size bytes, flags are setxattr(2)'s. */
struct fs_xattr {
	uint64_t node;
	const char *name;
	const void *value;
	size_t size;
	int flags;
	bool kill_sgid; /* an ACL, set by somebody who is not in the file's group */
};

/* Inode flags in one of the two forms that Linux has: FS_*_FL alone, or where extended FS_XFLAG_*
 * and what belongs to them (struct fsxattr). What is not of the form stays 0. */
struct fs_fileattr {
	bool extended;
	uint32_t flags;
	uint32_t extsize, nextents, projid, cowextsize;
};

/* What a guest makes the file system keep. */
struct fs_count {
	size_t nodes; /* that it knows */
	size_t cold;  /* of these, without a descriptor */
	size_t node_bytes;
	size_t handles;
	size_t kept; /* of files, for reading or for writing (keep) */
	size_t spares; /* of files that are not open, for the next open */
	size_t listing_bytes; /* kept of directories */
	size_t descriptors, descriptors_max; /* that nodes and handles have, and may have */
	size_t lock_owners, lock_ranges, lock_waits;
};

/* A lock: bytes of a file, or all of an open file (flock(2)). */
struct fs_lock {
	bool flock;
	int type;            /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t owner;      /* whose: a number of the guest's, not for flock */
	uint64_t start, end; /* the last byte included; INT64_MAX: however long the file grows */
	uint32_t pid;        /* of the guest; 0: not one of its processes, or not known */
};

/*
 * Somebody who waits for a lock. begin() is called by setlk() where the lock cannot be had at
 * once: false, and nobody waits. After it done() is called exactly once, on any thread and perhaps
 * before setlk() returns: 0 when the lock is there, or -errno, -EINTR for a wait that was ended.
 * It returns false where nobody hears of the result any more; a lock that is there is given back
 * then.
 */
struct fs_wait {
	bool (*begin)(struct fs_wait *wait);
	bool (*done)(struct fs_wait *wait, int result);
	uint64_t id;        /* for end_waits(): names this one */
	const void *origin; /* for end_waits(): what goes away as a whole */
};

#define FS_WAITS 1 /* what setlk() returns when done() is called, sooner or later */

/* A range of a file that is to be in the DAX window; bytes, whole pages. */
struct fs_mapping {
	uint64_t at; /* in the window */
	uint64_t offset, len;
	bool write;
};

struct fs_ops {
	/* Ends waits for locks. Drops every lock, every handle, and every node but the root. */
	void (*reset)(struct fs *fs);

	int (*lookup)(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry);
	void (*forget)(struct fs *fs, uint64_t node, uint64_t count);

	int (*getattr)(struct fs *fs, const struct fs_target *t, struct statx *attr);
	int (*setattr)(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
		struct statx *attr);
	int (*access)(struct fs *fs, const struct fs_caller *who, uint64_t node, int mask);
	int (*statfs)(struct fs *fs, uint64_t node, struct statvfs *st);
	/* all: everything that the guest knows, not only the file system that the node is on. */
	int (*syncfs)(struct fs *fs, uint64_t node, bool all);

	ssize_t (*readlink)(struct fs *fs, uint64_t node, char *buf, size_t size);
	int (*symlink)(struct fs *fs, const struct fs_caller *who, uint64_t parent,
		const char *name, const char *target, struct fs_entry *entry);
	int (*mknod)(struct fs *fs, const struct fs_caller *who, uint64_t parent,
		const char *name, mode_t mode, dev_t rdev, struct fs_entry *entry);
	int (*mkdir)(struct fs *fs, const struct fs_caller *who, uint64_t parent,
		const char *name, mode_t mode, struct fs_entry *entry);
	int (*unlink)(struct fs *fs, uint64_t parent, const char *name);
	int (*rmdir)(struct fs *fs, uint64_t parent, const char *name);
	int (*rename)(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
		const char *new_name, unsigned int flags);
	int (*link)(struct fs *fs, uint64_t node, uint64_t parent, const char *name,
		struct fs_entry *entry);

	/* flags are open(2)'s. kill_priv: O_TRUNC clears set-id bits. opened may be NULL. */
	int (*open)(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
		struct fs_opened *opened);
	/* Without a name (NULL) the file has none either, until it is linked. */
	int (*create)(struct fs *fs, const struct fs_caller *who, uint64_t parent,
		const char *name, mode_t mode, int flags, bool kill_priv,
		struct fs_entry *entry, uint64_t *handle);
	int (*release)(struct fs *fs, uint64_t handle);
	/* Keeps what a handle was opened as, with these flags, until its node is forgotten, if
	 * there is room for more and nothing against it: the FS_KEPT_* that the node has then. */
	unsigned int (*keep)(struct fs *fs, uint64_t node, uint64_t handle, int flags);
	/* at_once: all that is asked for, up to the end of the file, is there without a wait for a
	 * disk or a server; else -EAGAIN. */
	ssize_t (*read)(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
		uint64_t offset, bool at_once);
	ssize_t (*write)(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
		uint64_t offset, unsigned int how);
	/* A descriptor of an open file was closed: drops its owner's locks of the file. */
	int (*flush)(struct fs *fs, const struct fs_target *t, uint64_t lock_owner);
	int (*fsync)(struct fs *fs, const struct fs_target *t, bool data_only);
	/* Whether that waits for nothing, as there is no disk. May be NULL: nowhere. */
	bool (*syncs_at_once)(struct fs *fs, uint64_t node);
	int (*fallocate)(struct fs *fs, const struct fs_target *t, int mode, uint64_t offset,
		uint64_t len, bool kill_priv);
	int64_t (*lseek)(struct fs *fs, const struct fs_target *t, uint64_t offset, int whence);
	ssize_t (*copy_file_range)(struct fs *fs, const struct fs_copy *copy);

	int (*opendir)(struct fs *fs, uint64_t node, uint64_t *handle);
	/* Lists from offset on until the listing is full or the directory ends. An error after
	 * some entries is not told: the next call meets it again. */
	int (*readdir)(struct fs *fs, const struct fs_target *t, uint64_t offset,
		struct fs_listing *listing);

	/* -ENOTTY where the file system has no such thing. */
	int (*get_fileattr)(struct fs *fs, const struct fs_target *t, struct fs_fileattr *fa);
	int (*set_fileattr)(struct fs *fs, const struct fs_target *t,
		const struct fs_fileattr *fa);

	/* Both return a length; -ERANGE where it is longer than size. A size of 0 asks for a
	 * value's length alone. A list is names, each with its NUL; it always has room. */
	ssize_t (*getxattr)(struct fs *fs, uint64_t node, const char *name, char *buf,
		size_t size);
	ssize_t (*listxattr)(struct fs *fs, uint64_t node, char *buf, size_t size);
	int (*setxattr)(struct fs *fs, const struct fs_xattr *x);
	int (*removexattr)(struct fs *fs, uint64_t node, const char *name);

	/* Whether the lock could be had: changes its type to F_UNLCK, or it to the one in its way.
	 * For type F_UNLCK it is a lock of the owner itself that is looked for. */
	int (*getlk)(struct fs *fs, const struct fs_target *t, struct fs_lock *lock);
	/* Takes, changes or drops a lock. Where another is in its way: -EAGAIN, or with a wait
	 * FS_WAITS. -EDEADLK where the wait would never end, -ENOLCK where there are too many. A
	 * lock is dropped with the handle that it was taken through, at the latest. */
	int (*setlk)(struct fs *fs, const struct fs_target *t, const struct fs_lock *lock,
		struct fs_wait *wait);
	/* Ends waits with -EINTR, and returns when done() has returned: those of an origin, or,
	 * where that is NULL, the one of an id. */
	void (*end_waits)(struct fs *fs, const void *origin, uint64_t id);

	/*
	 * The DAX window (dax/dax.h); not called without one. Attributes of files that are better
	 * accessed through it have STATX_ATTR_DAX. What waits for the front-end must not run on a
	 * ring's thread: these two, settle(), unmap_all(), changes of size, fallocate,
	 * copy_file_range, and open where it may_wait.
	 */
	int (*setup_mapping)(struct fs *fs, uint64_t node, const struct fs_mapping *m);
	int (*remove_mapping)(struct fs *fs, uint64_t at, uint64_t len);
	/* Whether opening the file may have to wait. */
	bool (*opens_late)(struct fs *fs, uint64_t node);
	/* Whether what is mapped of a file is less than its size says: settle() mends that, before
	 * the guest hears of the size. */
	bool (*is_unsettled)(struct fs *fs, uint64_t node);
	void (*settle)(struct fs *fs, uint64_t node);
	/* Takes away what was mapped before a reset. */
	void (*unmap_all)(struct fs *fs);

	void (*count)(struct fs *fs, struct fs_count *count);
};

struct fs {
	const struct fs_ops *ops;
};

#endif
