// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/version.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/known.h"

/* What is in flight is good for nothing: a stamp of what nobody looked at. */
#define NO_STAMP ((struct vt_stamp){.word = VT_BEGIN})

struct pt_inode pt_inode_of(const struct pt_node *node)
{
	return (struct pt_inode){
		.dev = makedev((unsigned int)(node->key.dev >> 32), (unsigned int)node->key.dev),
		.ino = node->key.ino,
		.timed = pt_mount_is_timed(node->mount),
	};
}

static enum vtable_kind kind_of(unsigned int bit)
{
	if (bit & (VT_NODE_DATA | VT_CHILD_DATA | VT_TO_DATA))
		return VTABLE_DATA;
	if (bit & (VT_NODE_LIST | VT_CHILD_LIST | VT_TO_LIST | VT_TO_CHILD_LIST))
		return VTABLE_LIST;
	return VTABLE_ATTR;
}

/* Operands for the bits of an inode; how many. */
static unsigned int operands(const struct vtable_request *v, const struct pt_inode *inode,
	unsigned int bits, struct vtable_operand *o)
{
	uint64_t hash = vtable_hash_of_inode(v->t, inode->dev, inode->ino);
	unsigned int n = 0;

	for (; bits; bits &= bits - 1) {
		unsigned int bit = bits & -bits;

		o[n++] = (struct vtable_operand){
			.bit = bit,
			.slot = vtable_slot_of_kind(v->t, hash, kind_of(bit)),
			.flags = inode->timed ? VT_TIMED : 0,
		};
	}
	return n;
}

static void look_inode(struct vtable_request *v, const struct pt_inode *inode, unsigned int bits)
{
	struct vtable_operand o[VT_TOUCH_BITS];
	unsigned int n = operands(v, inode, bits, o);

	for (unsigned int i = 0; i < n; i++)
		vtable_request_look(v, o[i]);
}

void pt_look_node(struct vtable_request *v, const struct pt_node *node, unsigned int bits)
{
	struct pt_inode inode = pt_inode_of(node);

	look_inode(v, &inode, bits);
}

void pt_mark_inode(struct vtable_request *v, const struct pt_inode *inode, unsigned int bits)
{
	struct vtable_operand o[VT_TOUCH_BITS];

	vtable_request_mark(v, o, operands(v, inode, bits, o));
}

void pt_mark_node(struct vtable_request *v, const struct pt_node *node, unsigned int bits)
{
	struct pt_inode inode = pt_inode_of(node);

	pt_mark_inode(v, &inode, bits);
}

/*
 * Whether a directory has names that are not compared byte by byte, so that they share the slot of
 * its listing. Where its file system lets each directory choose, the flag is asked for once, and
 * again when the epoch has moved: who changes it moves that (fileattr.c). What cannot be asked may
 * be one. #syscalls: ioctl:1=FS_IOC_GETFLAGS close
 */
bool pt_folds(struct passthrough *pt, const struct vtable_request *v, struct pt_node *dir)
{
	uint64_t known = atomic_load_explicit(&dir->folds, memory_order_relaxed);
	CLEANUP_FD int fd = -1;
	int flags = 0;

	if (dir->mount->names != PT_NAMES_ASK)
		return dir->mount->names == PT_NAMES_FOLD;
	if (known && known >> 2 == v->epoch << 2 >> 2)
		return known & 1;
	cred_be_daemon();
	fd = pt_open_node(pt, dir, O_RDONLY | O_NOATIME);
	if (fd == -EPERM)
		fd = pt_open_node(pt, dir, O_RDONLY);
	if (fd < 0)
		return true;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		flags = 0;
	atomic_store_explicit(&dir->folds, v->epoch << 2 | 2 | !!(flags & FS_CASEFOLD_FL),
		memory_order_relaxed);
	return flags & FS_CASEFOLD_FL;
}

uint32_t pt_slot_of_name(const struct vtable_request *v, const struct pt_inode *dir, bool folds,
	const char *name, uint64_t hash)
{
	if (folds || pt_is_dots(name))
		return vtable_slot(v->t, VTABLE_LIST, dir->dev, dir->ino);
	return vtable_slot_of_hash(v->t, hash);
}

uint64_t pt_hash_of(const struct passthrough *pt, const struct pt_node *dir, const char *name,
	unsigned int bit)
{
	const struct vtable_request *v = vtable_request_now();
	uint64_t known = v ? vtable_request_name(v, bit) : 0;

	return known ? known : pt_known_hash(pt, dir, name);
}

/* The operand of a name, and the hash of its spelling. */
static struct vtable_operand name_operand(struct passthrough *pt, const struct vtable_request *v,
	struct pt_node *dir, const char *name, unsigned int bit, uint64_t *hash)
{
	struct pt_inode inode = pt_inode_of(dir);

	*hash = vtable_hash_of_name(v->t, inode.dev, inode.ino, name);
	return (struct vtable_operand){
		.bit = bit,
		.slot = pt_slot_of_name(v, &inode, pt_folds(pt, v, dir), name, *hash),
		.flags = inode.timed ? VT_TIMED : 0,
	};
}

void pt_look_name(struct passthrough *pt, struct pt_node *dir, const char *name)
{
	struct vtable_request *v = vtable_request_now();
	struct pt_guess guess;

	if (!v || !v->words)
		return;
	vtable_request_look(v, name_operand(pt, v, dir, name, VT_NAME, &v->name));
	if (pt_guess_find(pt->guesses, v->name, &guess) && guess.slot != PT_NO_SLOT)
		vtable_request_expect(v, guess.slot);
}

/* What a name stood for last is likely to be marked next. */
static void expect_mark(struct passthrough *pt, const struct vtable_request *v, uint64_t hash)
{
	struct pt_guess guess;

	if (pt_guess_find(pt->guesses, hash, &guess) && guess.slot != PT_NO_SLOT)
		vtable_will_mark(v->t, guess.slot);
}

/* The spelling's own slot is marked too: another server, which may read the directory where we may
 * not, knows that its names are compared byte by byte. */
static void mark_spelling(struct vtable_request *v, uint64_t hash, uint32_t slot)
{
	uint32_t byte = vtable_slot_of_hash(v->t, hash);

	if (byte != slot)
		vtable_begin(v->t, &v->change, &byte, 1);
}

/* The operands of a directory and a name in it; how many. */
static unsigned int operands_of_name(struct passthrough *pt, struct vtable_request *v,
	struct pt_node *dir, const char *name, struct vtable_operand *o)
{
	struct pt_inode inode = pt_inode_of(dir);
	unsigned int n = operands(v, &inode, VT_NODE_ATTR | VT_NODE_LIST, o);

	o[n] = name_operand(pt, v, dir, name, VT_NAME, &v->name);
	return n + 1;
}

void pt_mark_name(struct passthrough *pt, struct pt_node *dir, const char *name)
{
	struct vtable_request *v = vtable_request_now();
	struct vtable_operand o[3];
	unsigned int n;

	if (!v)
		return;
	n = operands_of_name(pt, v, dir, name, o);
	vtable_request_mark(v, o, n);
	mark_spelling(v, v->name, o[n - 1].slot);
}

/* What is made gets a number that nobody knows before; but many file systems count. */
void pt_mark_new_name(struct passthrough *pt, struct pt_node *dir, const char *name)
{
	struct vtable_request *v = vtable_request_now();
	uint64_t last = atomic_load_explicit(&dir->mount->last_made, memory_order_relaxed);

	if (!v)
		return;
	pt_mark_name(pt, dir, name);
	if (v->words && last)
		vtable_request_expect(v,
			vtable_slot(v->t, VTABLE_ATTR, pt_inode_of(dir).dev, last + 1));
}

static void note_made(const struct pt_node *parent, const struct statx *attr)
{
	if (parent && pt_is_beside(attr, parent))
		atomic_store_explicit(&parent->mount->last_made, attr->stx_ino,
			memory_order_relaxed);
}

void pt_mark_names(struct passthrough *pt, struct pt_node *dir, const char *name,
	struct pt_node *to_dir, const char *to_name)
{
	struct vtable_request *v = vtable_request_now();
	struct vtable_operand o[6];
	struct pt_inode inode;
	unsigned int n;

	if (!v)
		return;
	n = operands_of_name(pt, v, dir, name, o);
	o[n] = name_operand(pt, v, to_dir, to_name, VT_TO_NAME, &v->to_name);
	expect_mark(pt, v, v->name);
	expect_mark(pt, v, v->to_name);
	if (to_dir != dir) {
		inode = pt_inode_of(to_dir);
		operands(v, &inode, VT_TO_ATTR | VT_TO_LIST, &o[n + 1]);
	} else {
		/* Most renames are within one: a hash costs more than all else of a mark. */
		o[n + 1] = o[0];
		o[n + 1].bit = VT_TO_ATTR;
		o[n + 2] = o[1];
		o[n + 2].bit = VT_TO_LIST;
	}
	vtable_request_mark(v, o, n + 3);
	mark_spelling(v, v->name, o[n - 1].slot);
	mark_spelling(v, v->to_name, o[n].slot);
}

void pt_forget_names(void)
{
	struct vtable_request *v = vtable_request_now();

	if (v)
		vtable_distrust(v->t);
}

/* What is on another mount than the directory that it was found in is asked. */
static struct pt_inode inode_found(struct passthrough *pt, const struct statx *attr,
	const struct pt_node *parent, int fd)
{
	bool beside = parent && pt_is_beside(attr, parent);

	return (struct pt_inode){
		.dev = makedev(attr->stx_dev_major, attr->stx_dev_minor),
		.ino = attr->stx_ino,
		.timed = beside ? pt_mount_is_timed(parent->mount)
				: pt_is_found_timed(pt, attr->stx_mnt_id, fd),
	};
}

bool pt_meet_for(struct passthrough *pt, struct vtable_request *v, const struct pt_node *parent,
	int fd, enum pt_as as, struct fs_entry *entry)
{
	struct vtable_operand o;
	struct pt_inode inode;
	bool good = true;

	if (as == PT_MARKED || (as != PT_MADE && !v->words))
		return false;
	if (pt_is_listed(as) && pt_is_as_listed(v, parent, entry))
		return false;
	inode = inode_found(pt, &entry->attr, parent, fd);
	o = (struct vtable_operand){
		.bit = VT_CHILD_ATTR,
		.slot = vtable_slot(v->t, VTABLE_ATTR, inode.dev, inode.ino),
		.flags = inode.timed ? VT_TIMED : 0,
	};
	if (as == PT_MADE) {
		note_made(parent, &entry->attr);
		vtable_request_mark(v, &o, 1);
		good = pt_is_good_made();
	} else if (as == PT_LOOKED_UP) {
		good = vtable_request_look_found(v, o);
	} else {
		good = vtable_request_found(v, o.slot, o.flags, &entry->attr_look);
	}
	/* Another mount may be watched only since it was read. */
	return !good || !parent || !pt_is_beside(&entry->attr, parent);
}

bool pt_mark_made(struct passthrough *pt, const struct pt_node *parent, int fd, unsigned int bits,
	struct statx *attr)
{
	struct vtable_request *v = vtable_request_now();
	struct pt_inode inode;

	if (!v || pt_stat(fd, attr) < 0)
		return false;
	note_made(parent, attr);
	inode = inode_found(pt, attr, parent, fd);
	pt_mark_inode(v, &inode, bits);
	return true;
}

bool pt_is_good_made(void)
{
	const struct vtable_request *v = vtable_request_now();

	return !v->words || vtable_request_was_expected(v, VT_CHILD_ATTR);
}

bool pt_settle_attr(const struct pt_node *node, unsigned int bit)
{
	struct vtable_request *v = vtable_request_now();

	if (!v)
		return true;
	vtable_request_settle(v);
	if (!v->words || vtable_request_was_alone(v, bit))
		return true;
	pt_look_node(v, node, bit);
	return false;
}

/* Whether what the request has marked as its child's attributes is what was found. */
static bool is_marked_child(const struct vtable_request *v, const struct statx *attr)
{
	uint32_t slot = vtable_slot(v->t, VTABLE_ATTR,
		makedev(attr->stx_dev_major, attr->stx_dev_minor), attr->stx_ino);

	return v->touched & VT_CHILD_ATTR && v->slot[__builtin_ctz(VT_CHILD_ATTR)] == slot;
}

void pt_settle_entry(struct passthrough *pt, struct fs_entry *entry)
{
	struct vtable_request *v = vtable_request_now();

	if (!v)
		return;
	vtable_request_settle(v);
	if (v->touched & VT_NAME && v->touched & VT_CHILD_ATTR)
		pt_note_changed(pt, VT_NAME, entry->node, false);
	if (!v->words || (is_marked_child(v, &entry->attr) &&
				vtable_request_was_alone(v, VT_CHILD_ATTR)))
		return;
	PT_NODE struct pt_node_ref ref = pt_ref(pt, entry->node);
	if (!ref.node)
		return;
	pt_look_node(v, ref.node, VT_CHILD_ATTR);
	/* What was read before is no lie, but nothing to keep. */
	if (pt_stat(ref.node->fd, &entry->attr) < 0)
		v->looked &= ~VT_CHILD_ATTR;
	pt_dax_mark(pt, ref.node, &entry->attr);
}

struct vt_stamp pt_stamp_listing(const struct pt_node *dir)
{
	struct vtable_request *v = vtable_request_now();
	struct pt_inode inode;
	struct vt_stamp stamp;

	if (!v || !v->words)
		return NO_STAMP;
	inode = pt_inode_of(dir);
	vtable_look(v->t, vtable_slot(v->t, VTABLE_LIST, inode.dev, inode.ino), &stamp);
	return stamp;
}

void pt_recall_listing(const struct pt_node *dir, const struct vt_stamp *stamp)
{
	struct vtable_request *v = vtable_request_now();
	struct vtable_operand o = {
		.bit = VT_NODE_LIST,
		.flags = pt_mount_is_timed(dir->mount) ? VT_TIMED : 0,
	};

	if (v && v->words)
		vtable_request_recall(v, o, stamp);
}
