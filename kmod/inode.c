// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Inodes: found by the nodeid that a reply brought, and forgotten.
 *
 * Of one nodeid there is one inode in a super block, hashed, until it is evicted or becomes bad:
 * the server gave the nodeid another type or generation, so nothing that is known of it is true. A
 * bad inode is unhashed, answers -EIO to everything, and gives back its lookups when it goes.
 *
 * cw_inode.lookups counts what the server counts; it moves under cw_inode.lock. An inode that is
 * the place of a submount is not hashed: its nodeid is that of the submount's root, too.
 */
#include <linux/slab.h>

#include "compat/inode.h"
#include "dax.h"
#include "inode.h"
#include "main.h"
#include "names.h"

static struct kmem_cache *inodes;

static void init_once(void *p)
{
	struct cw_inode *ci = p;

	inode_init_once(&ci->vfs);
}

int cw_inodes_create(void)
{
	inodes = kmem_cache_create("causeway_inode", sizeof(struct cw_inode), 0,
				   SLAB_HWCACHE_ALIGN | SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
				   init_once);
	return inodes ? 0 : -ENOMEM;
}

void cw_inodes_destroy(void)
{
	/* Inodes are freed by RCU. */
	rcu_barrier();
	kmem_cache_destroy(inodes);
}

struct inode *cw_alloc_inode(struct super_block *sb)
{
	struct cw_inode *ci = alloc_inode_sb(sb, inodes, GFP_KERNEL);

	if (!ci)
		return NULL;
	memset_after(ci, 0, vfs);
	spin_lock_init(&ci->lock);
	cw_kept_init(&ci->attr);
	cw_kept_init(&ci->perm);
	cw_kept_init(&ci->data);
	INIT_LIST_HEAD(&ci->writers);
	init_waitqueue_head(&ci->quiet);
	mutex_init(&ci->asks_lock);
	mutex_init(&ci->listing_lock);
	ci->forget = kzalloc(sizeof(*ci->forget), GFP_KERNEL_ACCOUNT);
	if (ci->forget)
		return &ci->vfs;
	kmem_cache_free(inodes, ci);
	return NULL;
}

void cw_free_inode(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	kfree(ci->forget);
	kmem_cache_free(inodes, ci);
}

/* Whether DESTROY will tell the server of all lookups: this is the last super block, and goes. */
static bool is_leaving(const struct super_block *sb)
{
	const struct list_head *all = &CW_SB(sb)->conn->supers;
	const struct list_head *first = READ_ONCE(all->next);

	if (sb->s_flags & SB_ACTIVE)
		return false;
	return first == all || (first == &CW_SB(sb)->entry && READ_ONCE(first->next) == all);
}

/* What was asked for before this is older than what is gone now (cw_iget()). */
static void note_evicted(struct cw_conn *c, s64 version)
{
	s64 known = atomic64_read(&c->evicted_version);

	while (known < version && !atomic64_try_cmpxchg(&c->evicted_version, &known, version))
		;
}

void cw_evict_inode(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);
	struct cw_conn *c = cw_conn_of(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (ci->dax)
		cw_dax_inode_end(inode);
	cw_listing_drop(inode);
	cw_target_drop(inode);
	note_evicted(c, ci->attr_version);
	spin_lock(&ci->lock);
	cw_acls_drop(inode);
	spin_unlock(&ci->lock);
	if (ci->lookups && !is_leaving(inode->i_sb)) {
		cw_forget(c, ci->forget, ci->nodeid, ci->lookups);
		ci->forget = NULL;
	}
}

/* ---- by nodeid ------------------------------------------------------------------------------- */

bool cw_entry_is_good(const struct fuse_entry_out *entry)
{
	return entry->nodeid && entry->nodeid != FUSE_ROOT_ID && cw_attr_is_good(&entry->attr);
}

bool cw_is_same(const struct inode *inode, const struct fuse_entry_out *entry)
{
	const struct cw_inode *ci = CW_I(inode);

	return ci->nodeid == entry->nodeid && ci->generation == entry->generation &&
	       !inode_wrong_type(inode, entry->attr.mode) && !cw_is_bad(inode);
}

void cw_make_bad(struct inode *inode)
{
	set_bit(CW_I_BAD, &CW_I(inode)->state);
	/* The root is found by its dentry only, and has to stay where sync and unmounting look. */
	if (!inode->i_sb->s_root || inode != d_inode(inode->i_sb->s_root))
		remove_inode_hash(inode);
}

void cw_looked_up(struct inode *inode)
{
	struct cw_inode *ci = CW_I(inode);

	spin_lock(&ci->lock);
	ci->lookups++;
	spin_unlock(&ci->lock);
}

static int is_of_node(struct inode *inode, void *nodeid)
{
	return CW_I(inode)->nodeid == *(u64 *)nodeid;
}

static int set_node(struct inode *inode, void *nodeid)
{
	CW_I(inode)->nodeid = *(u64 *)nodeid;
	return 0;
}

struct inode *cw_ilookup(struct super_block *sb, u64 nodeid)
{
	return ilookup5(sb, nodeid, is_of_node, &nodeid);
}

static bool is_submount(const struct super_block *sb, const struct fuse_attr *attr)
{
	return (attr->flags & FUSE_ATTR_SUBMOUNT) && S_ISDIR(attr->mode) && sb->s_root &&
	       (CW_SB(sb)->conn->flags & FUSE_SUBMOUNTS);
}

static void init_inode(struct inode *inode, const struct fuse_entry_out *entry,
		       const struct cw_valid *valid)
{
	const struct cw_conn *c = cw_conn_of(inode);
	const struct fuse_attr *attr = &entry->attr;
	struct cw_inode *ci = CW_I(inode);

	inode->i_mode = attr->mode & S_IFMT;
	/* Who writes back later sets times himself. */
	inode->i_flags |= S_NOATIME;
	if (!S_ISREG(attr->mode) || !(c->flags & FUSE_WRITEBACK_CACHE))
		inode->i_flags |= S_NOCMTIME;
	inode->i_generation = entry->generation;
	ci->generation = entry->generation;
	cw_acls_init(inode);
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		/* Without memory for that it does without the window. */
		if (cw_dax_wants(c, attr->mode, attr->flags))
			cw_dax_inode_init(inode);
		cw_init_file(inode, attr->flags);
		break;
	case S_IFDIR:
		cw_init_dir(inode);
		break;
	case S_IFLNK:
		cw_init_symlink(inode);
		break;
	default:
		cw_init_special(inode, attr->mode, new_decode_dev(attr->rdev));
	}
	spin_lock(&ci->lock);
	cw_attr_install(inode, attr, valid, true);
	spin_unlock(&ci->lock);
}

/* The place of a submount. */
static struct inode *new_place(struct super_block *sb, const struct fuse_entry_out *entry,
			       const struct cw_valid *valid)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	CW_I(inode)->nodeid = entry->nodeid;
	init_inode(inode, entry, valid);
	inode->i_flags |= S_AUTOMOUNT;
	return inode;
}

static struct inode *find_or_make(struct super_block *sb, const struct fuse_entry_out *entry,
				  const struct cw_valid *valid, u64 attr_version)
{
	const struct cw_valid none = { .until = 0 };
	u64 nodeid = entry->nodeid;
	struct inode *inode;

	if (is_submount(sb, &entry->attr))
		return new_place(sb, entry, valid) ?: ERR_PTR(-ENOMEM);
	while ((inode = iget5_locked(sb, nodeid, is_of_node, set_node, &nodeid))) {
		if (cw_is_new(inode)) {
			/* What is known here may be older than an inode that we changed, and that
			 * has gone since. */
			if (atomic64_read(&CW_SB(sb)->conn->evicted_version) > (s64)attr_version)
				valid = &none;
			init_inode(inode, entry, valid);
			unlock_new_inode(inode);
			return inode;
		}
		if (cw_is_same(inode, entry)) {
			cw_take_attr(inode, &entry->attr, valid, attr_version);
			return inode;
		}
		/* What else is said to be the root is not, and the root stays what it is. */
		if (sb->s_root && inode == d_inode(sb->s_root)) {
			iput(inode);
			return ERR_PTR(-EIO);
		}
		cw_make_bad(inode);
		iput(inode);
	}
	return ERR_PTR(-ENOMEM);
}

struct inode *cw_iget(struct super_block *sb, const struct fuse_entry_out *entry,
		      const struct cw_valid *valid, u64 attr_version)
{
	struct inode *inode = ERR_PTR(-EIO);

	if (!entry->nodeid)
		return inode;
	if (cw_attr_is_good(&entry->attr))
		inode = find_or_make(sb, entry, valid, attr_version);
	if (IS_ERR(inode))
		cw_forget(CW_SB(sb)->conn, NULL, entry->nodeid, 1);
	else
		cw_looked_up(inode);
	return inode;
}
