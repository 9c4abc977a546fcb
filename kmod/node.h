/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inodes, entries and open files, as the rooms share them.
 *
 * Locks, outermost first: i_rwsem, invalidate_lock (mapping), dax range lock, page lock,
 * cw_inode.lock (spin). Nothing is sent under a spin lock; nothing allocates under a page lock but
 * with GFP_NOFS.
 */
#ifndef KMOD_NODE_H
#define KMOD_NODE_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/seqlock.h>

#include "coherence.h"
#include "conn.h"

struct cw_super {
	struct cw_conn *conn;
	struct super_block *sb;
	struct cw_dev *dev;
	bool is_submount;
	struct list_head entry; /* of conn->supers */
	struct rcu_head rcu;
	atomic_t files; /* struct cw_file, each with its inode: kill_sb waits (cw_files_wait) */
};

struct cw_inode_dax; /* dax.c */
struct cw_listing;   /* listing.c */
struct cw_target;    /* symlink.c */

struct cw_inode {
	struct inode vfs;
	u64 nodeid;
	u64 lookups;            /* the server's count; under lock */
	u64 generation;         /* of the nodeid, for handles */
	struct cw_forget *forget; /* memory for it */
	spinlock_t lock;

	/* Attributes. What a reply says is taken only if attr_version is not newer than the
	 * connection's count when it was asked for. */
	struct cw_kept attr;    /* validity; read in RCU walk */
	struct cw_kept perm;    /* the same of mode, owner and ACLs: names that are made and removed
				 * here by us leave it */
	struct posix_acl __rcu *acls[2]; /* acl.c */
	u64 acl_serial;
	u64 attr_version;
	u64 stored_version;     /* that count at the last store by the DAX window */
	u32 attr_flags;         /* FUSE_ATTR_* */
	struct timespec64 btime;
	bool btime_known;
	u8 blkbits;             /* for stat(2) only */
	loff_t server_size;     /* the server's size, last (i_size may be ahead: writeback) */

	/* Data (data.c): pages are good as of this. */
	struct cw_kept data;

	struct list_head writers; /* open files that may write: writeback takes one; under lock */
	int writing;            /* writes under way: i_size is ours (FUSE_NOWRITE when negative) */
	wait_queue_head_t quiet; /* writing became 0 */
	unsigned long state;    /* CW_I_* bits */
	unsigned int strays; /* replies that pages could not be kept of (data.c); any beginning */
	u32 pinned; /* FOPEN_* of the replies with CW_FOPEN_PINNED_*: no OPEN for these */

	struct cw_inode_dax *dax;

	/* Directories (readdir.c). */
	struct mutex asks_lock; /* cw_asks_lock() */
	struct mutex listing_lock;
	struct cw_listing *listing;
	atomic64_t names_version; /* counts our changes of its names */

	struct cw_target __rcu *target; /* symlink.c */
};

#define CW_I_BAD          0 /* the server changed its type: -EIO for ever */
#define CW_I_SIZE_UNSTABLE 1
#define CW_I_PLUS         2 /* directory: next listing with attributes */
#define CW_I_FILE_TIMES   3 /* times are ours (writeback) and not yet the server's */
#define CW_I_ATIME_OLD    4 /* a request has moved atime: for who sends READ */
#define CW_I_PAGES_OF     5 /* shared: pages are all of the word in data */
#define CW_I_PAGES_LOOSE  6 /* shared: pages are of words that may not be kept */
#define CW_I_POSIX_LOCKS  7 /* somebody here has asked the server for POSIX locks */
#define CW_I_LISTED       8 /* a listing brought its attributes, and nobody has used them yet */
#define CW_I_NO_DAX       9 /* an inode with S_DAX that does without the window (daxio.c) */
#define CW_I_ENDED        10 /* a READ has shown it shorter: pages behind are to go (data.c) */

static inline struct cw_inode *CW_I(const struct inode *inode)
{
	return container_of(inode, struct cw_inode, vfs);
}

static inline struct cw_super *CW_SB(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct cw_conn *cw_conn_of(const struct inode *inode)
{
	return CW_SB(inode->i_sb)->conn;
}

static inline bool cw_is_bad(const struct inode *inode)
{
	return test_bit(CW_I_BAD, &CW_I(inode)->state);
}

/* Whether a file's data goes through the DAX window, now. */
static inline bool cw_is_dax(const struct inode *inode)
{
	return IS_DAX(inode) && !test_bit(CW_I_NO_DAX, &CW_I(inode)->state);
}

/* d_fsdata: until when it is believed that a name leads to an inode, or to none. A dentry that
 * moves, or gets or loses its inode, is believed only as what was said of it. Freed by RCU. */
struct cw_dentry {
	struct cw_kept valid; /* its turn is that of the rest as well */
	const struct dentry *dir;
	const struct inode *inode;
	u64 hash_len; /* of the name */
	struct rcu_head rcu;
};

/* An open file: file->private_data. */
struct cw_file {
	refcount_t refs;
	struct inode *inode; /* with a reference */
	u64 fh;          /* CW_FH_NODE: by nodeid, until somebody needs a handle (cw_file_handle) */
	u32 open_flags;  /* FOPEN_* of the reply */
	u32 flags;       /* O_*, for RELEASE */
	bool opened;     /* OPEN was sent, so RELEASE is due */
	bool flocked;
	u64 owner;       /* of its flocks, for RELEASE */
	struct cw_call call; /* RELEASE, for which nothing is to be allocated then */
	struct fuse_release_in release;
	struct work_struct work; /* the last reference's, where it cannot sleep */
	struct list_head writer; /* of cw_inode.writers */
	/* Directories (readdir.c): not opened as long as the listing that is kept will do. */
	struct mutex pos_lock;
	struct cw_listing *draft; /* what has been read since the beginning */
	loff_t hint_pos;          /* the last entry that was shown, and what is behind it there */
	u64 hint_serial;
	unsigned int hint;
};

static inline struct cw_file *CW_F(const struct file *file)
{
	return file->private_data;
}

/* ---- super.c, and what it takes from others -------------------------------------------------- */

extern const struct export_operations cw_export_ops; /* export.c */
extern const struct xattr_handler *const cw_xattr_handlers[]; /* xattr.c */
/* A directory with FUSE_ATTR_SUBMOUNT is crossed: d_automount. */
struct vfsmount *cw_automount(struct path *path);

/* ---- inode.c -------------------------------------------------------------------------------- */

struct inode *cw_alloc_inode(struct super_block *sb);
void cw_free_inode(struct inode *inode);
void cw_evict_inode(struct inode *inode);

/* Whether an entry of a reply makes sense: a nodeid, a known type, sizes in range. */
bool cw_entry_is_good(const struct fuse_entry_out *entry);
bool cw_attr_is_good(const struct fuse_attr *attr);

/* The inode of an entry that a reply brought, with the lookup that it counts; attributes are valid
 * as `valid` says. Else -ENOMEM, or -EIO where the entry makes no sense: the lookup was given back
 * then. */
struct inode *cw_iget(struct super_block *sb, const struct fuse_entry_out *entry,
		      const struct cw_valid *valid, u64 attr_version);

/* The count that a request has to take before it is sent, for cw_take_attr() with its reply. */
u64 cw_attr_version(struct cw_conn *c);

/* Attributes from a reply. -EIO: another type than before; the inode is bad from now on. 1: not
 * taken, for what is known is newer than the question. Drops pages where cache=auto sees that the
 * file is another's work (cw_data_attr_taken()), and cuts files in the DAX window (dax.c); so not
 * with a page locked, nor the inode's invalidate_lock. */
int cw_take_attr(struct inode *inode, const struct fuse_attr *attr, const struct cw_valid *valid,
		 u64 attr_version);

/* Attributes are not known any more, and what is under way does not bring them. */
void cw_drop_attr(struct inode *inode);
/* The same after a store by the DAX window, which moves times that only the server knows: what is
 * under way is taken, for who learns that the file was cut has to see to that, but not believed for
 * later. */
void cw_attr_stored(struct inode *inode);
/* We changed the inode (its size, too): the version moves, so that older replies are not taken.
 * Also when the last one that could write has closed it (writeback): size and times were ours. */
void cw_note_change(struct inode *inode);
/* Our own change: `what` is the VT_* bit of the inode's attributes in the words. They are dropped,
 * for nobody told what they are now; who may do what goes on if nobody else has changed it. */
void cw_attr_changed(struct inode *inode, const struct cw_words *words, unsigned int bit);
/* Size and times of a regular file are ours, not the server's (writeback). */
bool cw_size_is_ours(struct inode *inode);

/* Attributes are fetched if they are not valid (or `force`): 0 or -errno. */
int cw_refresh(struct inode *inode, struct file *file, bool force);

int cw_permission(cw_idmap *idmap, struct inode *inode, int mask);
int cw_getattr(cw_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
	       unsigned int flags);
int cw_setattr(cw_idmap *idmap, struct dentry *dentry, struct iattr *attr); /* setattr.c */
int cw_do_setattr(cw_idmap *idmap, struct dentry *dentry, struct iattr *attr, struct file *file);
/* Sends times that are ours (writeback). */
int cw_flush_times(struct inode *inode, struct file *file);
int cw_write_inode(struct inode *inode, struct writeback_control *wbc);

/* Sets i_op, i_fop, a_ops for the type. */
void cw_init_dir(struct inode *inode);     /* dir.c */
void cw_init_symlink(struct inode *inode); /* symlink.c */
void cw_init_file(struct inode *inode, u32 attr_flags); /* file.c */

/* ---- dir.c ----------------------------------------------------------------------------------- */

extern const struct dentry_operations cw_dentry_ops;
extern const struct file_operations cw_dir_file_ops; /* opendir.c: open to release, fsync */
/* Around each LOOKUP and listing of a directory: one at a time where the server does not offer
 * FUSE_PARALLEL_DIROPS. 0, or -EINTR: killed, and nothing is locked. */
int cw_asks_lock(struct inode *dir);
void cw_asks_unlock(struct inode *dir);
/* LOOKUP: 0 with *inode (NULL: there is none), *valid of the entry. */
int cw_lookup_name(struct super_block *sb, u64 dir, const struct qstr *name,
		   struct inode **inode, struct cw_valid *valid);
/* What a change of a directory's names means for what is kept of it; `to`: the words' TO_ bits. */
void cw_dir_changed(struct inode *dir, const struct cw_words *words, bool to);
int cw_iterate(struct file *file, struct dir_context *ctx); /* readdir.c */
void cw_listing_drop(struct inode *dir); /* listing.c */
/* An open directory's handle, which is asked for only when it is needed: 0 or -errno. */
int cw_dir_handle(struct file *file);

/* ---- file.c ---------------------------------------------------------------------------------- */

/* kill_sb: all files are closed, but the replies to their RELEASE may still come, and hold inodes.
 */
void cw_files_wait(struct super_block *sb);

struct cw_file *cw_file_alloc(struct inode *inode);
/* RELEASE (RELEASEDIR) with the last reference, if it was opened. sync: is waited for. May sleep.
 */
void cw_file_put(struct cw_file *f, bool sync);
void cw_file_put_later(struct cw_file *f); /* any context */
/* OPEN or OPENDIR with flags of open(2): f->fh and so on. -ENOSYS is said once, as a handle of 0.
 */
int cw_send_open(struct inode *inode, struct cw_file *f, u32 opcode, u32 flags);
/* What needs a real handle: opens a file by nodeid after all. 0 or -errno. */
int cw_file_handle(struct cw_file *f);
int cw_open(struct inode *inode, struct file *file); /* regular files */
int cw_release(struct inode *inode, struct file *file); /* directories, too */
/* In place of generic_file_open(): VFS learns what is possible. */
int cw_open_generic(struct inode *inode, struct file *file);
/* After CREATE or TMPFILE: the file that the reply opened. */
void cw_opened(struct inode *inode, struct file *file, struct cw_file *f);
int cw_fsync_common(struct file *file, loff_t start, loff_t end, int datasync, u32 opcode);
long cw_ioctl(struct file *file, unsigned int cmd, unsigned long arg); /* ioctl.c */
long cw_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int cw_fileattr_get(struct dentry *dentry, cw_fileattr *fa);
int cw_fileattr_set(cw_idmap *idmap, struct dentry *dentry, cw_fileattr *fa);

/* ---- data.c (page cache), writeback.c, direct.c ---------------------------------------------- */

extern const struct address_space_operations cw_aops;
ssize_t cw_cached_read(struct kiocb *kiocb, struct iov_iter *to);
ssize_t cw_cached_write(struct kiocb *kiocb, struct iov_iter *from);
ssize_t cw_direct_read(struct kiocb *kiocb, struct iov_iter *to);
ssize_t cw_direct_write(struct kiocb *kiocb, struct iov_iter *from);
int cw_mmap_cached(struct file *file, struct vm_area_struct *vma);
/* Waits for writes under way and keeps new ones away: around what changes the size. */
void cw_writes_stop(struct inode *inode);
void cw_writes_go(struct inode *inode);
/* Pages are valid at open, read and fault, or go (cache=shared). May wait for pages. */
int cw_data_revalidate(struct inode *inode);
/* Sends what is dirty and lets the pages go, those from `from` to `to` (inclusive). */
int cw_data_drop(struct inode *inode, loff_t from, loff_t to);
/* New attributes of a regular file whose size and times are not ours: i_size was old_size; `moved`:
 * mtime is another. What the pages are of goes, as the mode of caching has it. */
void cw_data_attr_taken(struct inode *inode, loff_t old_size, bool moved);
/* A file grows, from the size that it has: what mappings stored behind its end becomes zeros. Under
 * i_rwsem. */
void cw_data_grows(struct inode *inode);
/* A file for writeback, with a reference; NULL where none is open. */
struct cw_file *cw_writer_get(struct inode *inode);

/* ---- xattr.c, acl.c, lock.c ------------------------------------------------------------------ */

ssize_t cw_listxattr(struct dentry *dentry, char *list, size_t size);
ssize_t cw_getxattr(struct inode *inode, const char *name, void *value, size_t size);
int cw_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags,
		u32 extra);
int cw_removexattr(struct inode *inode, const char *name);
int cw_lock(struct file *file, int cmd, struct file_lock *fl);
int cw_flock(struct file *file, int cmd, struct file_lock *fl);
u64 cw_lock_owner(struct cw_conn *c, fl_owner_t id);

#endif
