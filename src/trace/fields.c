// SPDX-License-Identifier: BSD-2-Clause
#include "trace/fields.h"

#include "base/util.h"
#include "trace/ops.h"

/* clang-format off */
#define AT(s, member, format) \
	{#member, offsetof(struct s, member), sizeof(((struct s *)0)->member), TRACE_##format}
#define BELOW(s, member, name, format) \
	{#name, offsetof(struct s, member.name), sizeof(((struct s *)0)->member.name), \
		TRACE_##format}

#define ATTR(s, member) \
	BELOW(s, member, ino, DECIMAL), BELOW(s, member, mode, OCTAL), \
	BELOW(s, member, nlink, DECIMAL), BELOW(s, member, uid, DECIMAL), \
	BELOW(s, member, gid, DECIMAL), BELOW(s, member, rdev, HEX), \
	BELOW(s, member, size, DECIMAL), BELOW(s, member, blocks, DECIMAL), \
	BELOW(s, member, atime, SECONDS), BELOW(s, member, mtime, SECONDS), \
	BELOW(s, member, ctime, SECONDS), BELOW(s, member, flags, HEX)
#define ENTRY(s, member) \
	BELOW(s, member, nodeid, HEX), BELOW(s, member, generation, DECIMAL), \
	BELOW(s, member, entry_valid, DECIMAL), BELOW(s, member, entry_valid_nsec, DECIMAL), \
	BELOW(s, member, attr_valid, DECIMAL), BELOW(s, member, attr_valid_nsec, DECIMAL), \
	ATTR(s, member.attr)
#define LOCK(s) \
	BELOW(s, lk, start, DECIMAL), BELOW(s, lk, end, DECIMAL), BELOW(s, lk, type, DECIMAL), \
	BELOW(s, lk, pid, DECIMAL)
#define NONE {NULL, 0, 0, 0}

struct entry_out { struct fuse_entry_out entry; };

static const struct trace_field
	forget_in[] = {AT(fuse_forget_in, nlookup, DECIMAL), NONE},
	batch_forget_in[] = {AT(fuse_batch_forget_in, count, DECIMAL), NONE},
	getattr_in[] = {
		AT(fuse_getattr_in, getattr_flags, HEX), AT(fuse_getattr_in, fh, HEX), NONE},
	setattr_in[] = {
		AT(fuse_setattr_in, valid, HEX), AT(fuse_setattr_in, fh, HEX),
		AT(fuse_setattr_in, size, DECIMAL), AT(fuse_setattr_in, lock_owner, HEX),
		AT(fuse_setattr_in, atime, SECONDS), AT(fuse_setattr_in, mtime, SECONDS),
		AT(fuse_setattr_in, mode, OCTAL), AT(fuse_setattr_in, uid, DECIMAL),
		AT(fuse_setattr_in, gid, DECIMAL), NONE},
	mknod_in[] = {
		AT(fuse_mknod_in, mode, OCTAL), AT(fuse_mknod_in, rdev, HEX),
		AT(fuse_mknod_in, umask, OCTAL), NONE},
	mkdir_in[] = {AT(fuse_mkdir_in, mode, OCTAL), AT(fuse_mkdir_in, umask, OCTAL), NONE},
	rename_in[] = {AT(fuse_rename_in, newdir, HEX), NONE},
	rename2_in[] = {AT(fuse_rename2_in, newdir, HEX), AT(fuse_rename2_in, flags, HEX), NONE},
	link_in[] = {AT(fuse_link_in, oldnodeid, HEX), NONE},
	open_in[] = {AT(fuse_open_in, flags, OCTAL), AT(fuse_open_in, open_flags, HEX), NONE},
	create_in[] = {
		AT(fuse_create_in, flags, OCTAL), AT(fuse_create_in, mode, OCTAL),
		AT(fuse_create_in, umask, OCTAL), AT(fuse_create_in, open_flags, HEX), NONE},
	read_in[] = {
		AT(fuse_read_in, fh, HEX), AT(fuse_read_in, offset, DECIMAL),
		AT(fuse_read_in, size, DECIMAL), AT(fuse_read_in, read_flags, HEX),
		AT(fuse_read_in, lock_owner, HEX), AT(fuse_read_in, flags, OCTAL), NONE},
	write_in[] = {
		AT(fuse_write_in, fh, HEX), AT(fuse_write_in, offset, DECIMAL),
		AT(fuse_write_in, size, DECIMAL), AT(fuse_write_in, write_flags, HEX),
		AT(fuse_write_in, lock_owner, HEX), AT(fuse_write_in, flags, OCTAL), NONE},
	release_in[] = {
		AT(fuse_release_in, fh, HEX), AT(fuse_release_in, flags, OCTAL),
		AT(fuse_release_in, release_flags, HEX), AT(fuse_release_in, lock_owner, HEX),
		NONE},
	flush_in[] = {AT(fuse_flush_in, fh, HEX), AT(fuse_flush_in, lock_owner, HEX), NONE},
	fsync_in[] = {AT(fuse_fsync_in, fh, HEX), AT(fuse_fsync_in, fsync_flags, HEX), NONE},
	setxattr_in[] = {
		AT(fuse_setxattr_in, size, DECIMAL), AT(fuse_setxattr_in, flags, HEX), NONE},
	getxattr_in[] = {AT(fuse_getxattr_in, size, DECIMAL), NONE},
	init_in[] = {
		AT(fuse_init_in, major, DECIMAL), AT(fuse_init_in, minor, DECIMAL),
		AT(fuse_init_in, max_readahead, DECIMAL), AT(fuse_init_in, flags, HEX),
		AT(fuse_init_in, flags2, HEX), NONE},
	lk_in[] = {
		AT(fuse_lk_in, fh, HEX), AT(fuse_lk_in, owner, HEX), LOCK(fuse_lk_in),
		AT(fuse_lk_in, lk_flags, HEX), NONE},
	access_in[] = {AT(fuse_access_in, mask, OCTAL), NONE},
	interrupt_in[] = {AT(fuse_interrupt_in, unique, DECIMAL), NONE},
	ioctl_in[] = {
		AT(fuse_ioctl_in, fh, HEX), AT(fuse_ioctl_in, flags, HEX),
		AT(fuse_ioctl_in, cmd, HEX), AT(fuse_ioctl_in, in_size, DECIMAL),
		AT(fuse_ioctl_in, out_size, DECIMAL), NONE},
	fallocate_in[] = {
		AT(fuse_fallocate_in, fh, HEX), AT(fuse_fallocate_in, offset, DECIMAL),
		AT(fuse_fallocate_in, length, DECIMAL), AT(fuse_fallocate_in, mode, HEX), NONE},
	lseek_in[] = {
		AT(fuse_lseek_in, fh, HEX), AT(fuse_lseek_in, offset, DECIMAL),
		AT(fuse_lseek_in, whence, DECIMAL), NONE},
	copy_in[] = {
		AT(fuse_copy_file_range_in, fh_in, HEX),
		AT(fuse_copy_file_range_in, off_in, DECIMAL),
		AT(fuse_copy_file_range_in, nodeid_out, HEX),
		AT(fuse_copy_file_range_in, fh_out, HEX),
		AT(fuse_copy_file_range_in, off_out, DECIMAL),
		AT(fuse_copy_file_range_in, len, DECIMAL),
		AT(fuse_copy_file_range_in, flags, HEX), NONE},
	setupmapping_in[] = {
		AT(fuse_setupmapping_in, fh, HEX), AT(fuse_setupmapping_in, foffset, HEX),
		AT(fuse_setupmapping_in, len, HEX), AT(fuse_setupmapping_in, flags, HEX),
		AT(fuse_setupmapping_in, moffset, HEX), NONE},
	removemapping_in[] = {AT(fuse_removemapping_in, count, DECIMAL), NONE},
	statx_in[] = {
		AT(fuse_statx_in, getattr_flags, HEX), AT(fuse_statx_in, fh, HEX),
		AT(fuse_statx_in, sx_flags, HEX), AT(fuse_statx_in, sx_mask, HEX), NONE},
	entry_out[] = {ENTRY(entry_out, entry), NONE},
	attr_out[] = {
		AT(fuse_attr_out, attr_valid, DECIMAL), AT(fuse_attr_out, attr_valid_nsec, DECIMAL),
		ATTR(fuse_attr_out, attr), NONE},
	open_out[] = {AT(fuse_open_out, fh, HEX), AT(fuse_open_out, open_flags, HEX), NONE},
	create_out[] = {
		ENTRY(fuse_create_out, entry), BELOW(fuse_create_out, open, fh, HEX),
		BELOW(fuse_create_out, open, open_flags, HEX), NONE},
	write_out[] = {AT(fuse_write_out, size, DECIMAL), NONE},
	statfs_out[] = {
		BELOW(fuse_statfs_out, st, blocks, DECIMAL),
		BELOW(fuse_statfs_out, st, bfree, DECIMAL),
		BELOW(fuse_statfs_out, st, bavail, DECIMAL),
		BELOW(fuse_statfs_out, st, files, DECIMAL),
		BELOW(fuse_statfs_out, st, ffree, DECIMAL),
		BELOW(fuse_statfs_out, st, bsize, DECIMAL),
		BELOW(fuse_statfs_out, st, namelen, DECIMAL), NONE},
	init_out[] = {
		AT(fuse_init_out, major, DECIMAL), AT(fuse_init_out, minor, DECIMAL),
		AT(fuse_init_out, max_readahead, DECIMAL), AT(fuse_init_out, flags, HEX),
		AT(fuse_init_out, flags2, HEX), AT(fuse_init_out, max_background, DECIMAL),
		AT(fuse_init_out, max_write, DECIMAL), AT(fuse_init_out, time_gran, DECIMAL),
		AT(fuse_init_out, max_pages, DECIMAL), NONE},
	lk_out[] = {LOCK(fuse_lk_out), NONE},
	ioctl_out[] = {AT(fuse_ioctl_out, result, DECIMAL), NONE},
	lseek_out[] = {AT(fuse_lseek_out, offset, DECIMAL), NONE},
	copy_out[] = {AT(fuse_copy_file_range_out, bytes_copied, DECIMAL), NONE},
	statx_out[] = {
		AT(fuse_statx_out, attr_valid, DECIMAL), BELOW(fuse_statx_out, stat, mask, HEX),
		BELOW(fuse_statx_out, stat, ino, DECIMAL), BELOW(fuse_statx_out, stat, mode, OCTAL),
		BELOW(fuse_statx_out, stat, nlink, DECIMAL),
		BELOW(fuse_statx_out, stat, uid, DECIMAL),
		BELOW(fuse_statx_out, stat, gid, DECIMAL),
		BELOW(fuse_statx_out, stat, size, DECIMAL),
		NONE};

static const struct {
	const struct trace_field *in, *out;
} fields[FUSE_OPCODE_MAX] = {
	[FUSE_LOOKUP] = {NULL, entry_out},
	[FUSE_FORGET] = {forget_in, NULL},
	[FUSE_GETATTR] = {getattr_in, attr_out},
	[FUSE_SETATTR] = {setattr_in, attr_out},
	[FUSE_SYMLINK] = {NULL, entry_out},
	[FUSE_MKNOD] = {mknod_in, entry_out},
	[FUSE_MKDIR] = {mkdir_in, entry_out},
	[FUSE_RENAME] = {rename_in, NULL},
	[FUSE_LINK] = {link_in, entry_out},
	[FUSE_OPEN] = {open_in, open_out},
	[FUSE_READ] = {read_in, NULL},
	[FUSE_WRITE] = {write_in, write_out},
	[FUSE_STATFS] = {NULL, statfs_out},
	[FUSE_RELEASE] = {release_in, NULL},
	[FUSE_FSYNC] = {fsync_in, NULL},
	[FUSE_SETXATTR] = {setxattr_in, NULL},
	[FUSE_GETXATTR] = {getxattr_in, NULL},
	[FUSE_LISTXATTR] = {getxattr_in, NULL},
	[FUSE_FLUSH] = {flush_in, NULL},
	[FUSE_INIT] = {init_in, init_out},
	[FUSE_OPENDIR] = {open_in, open_out},
	[FUSE_READDIR] = {read_in, NULL},
	[FUSE_RELEASEDIR] = {release_in, NULL},
	[FUSE_FSYNCDIR] = {fsync_in, NULL},
	[FUSE_GETLK] = {lk_in, lk_out},
	[FUSE_SETLK] = {lk_in, NULL},
	[FUSE_SETLKW] = {lk_in, NULL},
	[FUSE_ACCESS] = {access_in, NULL},
	[FUSE_CREATE] = {create_in, create_out},
	[FUSE_INTERRUPT] = {interrupt_in, NULL},
	[FUSE_IOCTL] = {ioctl_in, ioctl_out},
	[FUSE_BATCH_FORGET] = {batch_forget_in, NULL},
	[FUSE_FALLOCATE] = {fallocate_in, NULL},
	[FUSE_READDIRPLUS] = {read_in, NULL},
	[FUSE_RENAME2] = {rename2_in, NULL},
	[FUSE_LSEEK] = {lseek_in, lseek_out},
	[FUSE_COPY_FILE_RANGE] = {copy_in, write_out},
	[FUSE_TMPFILE] = {create_in, create_out},
	[FUSE_COPY_FILE_RANGE_64] = {copy_in, copy_out},
	[FUSE_SETUPMAPPING] = {setupmapping_in, NULL},
	[FUSE_REMOVEMAPPING] = {removemapping_in, NULL},
	[FUSE_STATX] = {statx_in, statx_out},
};
/* clang-format on */

static const struct trace_field
	hello_in[] = {AT(vt_hello_in, wire, DECIMAL), AT(vt_hello_in, flags, HEX), NONE},
	hello_out[] = {
		AT(vt_hello_out, wire, DECIMAL), AT(vt_hello_out, layout, DECIMAL),
		AT(vt_hello_out, slots, DECIMAL), NONE},
	cw_hello_in[] = {AT(cw_hello_in, wire, DECIMAL), AT(cw_hello_in, extensions, HEX), NONE},
	cw_hello_out[] = {
		AT(cw_hello_out, wire, DECIMAL), AT(cw_hello_out, extensions, HEX), NONE},
	cw_sleep_in[] = {AT(cw_sleep_in, asleep, DECIMAL), NONE};

const struct trace_field *trace_request_fields(uint32_t opcode)
{
	if (opcode == VT_HELLO)
		return hello_in;
	if (opcode == CW_HELLO)
		return cw_hello_in;
	if (opcode == CW_SLEEP)
		return cw_sleep_in;
	return opcode < FUSE_OPCODE_MAX ? fields[opcode].in : NULL;
}

const struct trace_field *trace_reply_fields(uint32_t opcode)
{
	if (opcode == VT_HELLO)
		return hello_out;
	if (opcode == CW_HELLO)
		return cw_hello_out;
	return opcode < FUSE_OPCODE_MAX ? fields[opcode].out : NULL;
}

static size_t end_of(const struct trace_field *f)
{
	size_t end = 0;

	for (; f && f->name; f++)
		end = max_t(size_t, end, (size_t)f->offset + f->width);
	return end;
}

size_t trace_request_size(uint32_t opcode)
{
	/* Padding counts too; INIT's structure is longer than the oldest one. */
	return max_t(size_t, end_of(trace_request_fields(opcode)), trace_shape(opcode).fixed);
}

size_t trace_reply_size(uint32_t opcode)
{
	return end_of(trace_reply_fields(opcode));
}
