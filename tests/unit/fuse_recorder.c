// SPDX-License-Identifier: BSD-2-Clause
/* A file system that only notes how it was called. */
#include "fuse_client.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "unit.h"

int fc_recorder_result;
bool fc_recorder_unchanged;
bool fc_recorder_local;
bool fc_recorder_submount;
struct fs_wait *fc_recorder_wait;

static char calls[65536];
static size_t used;

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	used += (size_t)vsnprintf(calls + used, sizeof(calls) - used, fmt, ap);
	va_end(ap);
	assert_true(used < sizeof(calls));
}

const char *fc_calls(void)
{
	static char last[sizeof(calls)];

	memcpy(last, calls, used);
	last[used] = '\0';
	used = 0;
	return last;
}

/* Text for a caller and a target; two of each may be in one call. */
static const char *by(const struct fs_caller *who)
{
	static char text[4096];
	size_t n = (size_t)snprintf(text, sizeof(text), "%u:%u umask %o", who->uid, who->gid,
		who->umask);

	for (unsigned int i = 0; i < who->n_groups; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " +%u", who->groups[i]);
	for (unsigned int i = 0; i < who->n_labels; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s=%.*s", who->labels[i].name,
			(int)who->labels[i].size, (const char *)who->labels[i].value);
	return text;
}

static const char *of(const struct fs_target *t)
{
	static char text[2][64];
	static int turn;
	char *s = text[turn++ % 2];

	if (t->has_handle)
		snprintf(s, sizeof(text[0]), "%" PRIu64 "/%" PRIu64, t->node, t->handle);
	else
		snprintf(s, sizeof(text[0]), "%" PRIu64, t->node);
	return s;
}

static int give_entry(struct fs_entry *entry)
{
	if (fc_recorder_result < 0)
		return fc_recorder_result;
	memset(entry, 0, sizeof(*entry));
	entry->node = 99;
	entry->local = fc_recorder_local;
	entry->submount = fc_recorder_submount;
	entry->attr.stx_ino = 1234;
	entry->attr.stx_mode = S_IFREG | 0640;
	return fc_recorder_result;
}

static int give_attr(struct statx *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->stx_ino = 1234;
	return fc_recorder_result;
}

static void rec_reset(struct fs *fs)
{
	note("reset;");
}

static void rec_count(struct fs *fs, struct fs_count *count)
{
	*count = (struct fs_count){.nodes = 1};
}

static int rec_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry)
{
	note("lookup %" PRIu64 " %s;", parent, name);
	return give_entry(entry);
}

static void rec_forget(struct fs *fs, uint64_t node, uint64_t n)
{
	note("forget %" PRIu64 " %" PRIu64 ";", node, n);
}

static int rec_getattr(struct fs *fs, const struct fs_target *t, struct statx *attr)
{
	note("getattr %s;", of(t));
	return give_attr(attr);
}

static void note_time(const char *name, const struct timespec *ts)
{
	if (ts->tv_nsec == UTIME_OMIT)
		return;
	if (ts->tv_nsec == UTIME_NOW)
		note(" %s now", name);
	else
		note(" %s %lld.%09ld", name, (long long)ts->tv_sec, ts->tv_nsec);
}

static int rec_setattr(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
	struct statx *attr)
{
	note("setattr %s", of(t));
	if (set->set & FS_SET_MODE)
		note(" mode %o", set->mode);
	if (set->set & FS_SET_UID)
		note(" uid %u", set->uid);
	if (set->set & FS_SET_GID)
		note(" gid %u", set->gid);
	if (set->set & FS_SET_SIZE)
		note(" size %" PRIu64 "%s", set->size, set->kill_priv ? " kill" : "");
	if (set->set & FS_SET_TIME) {
		note_time("atime", &set->atime);
		note_time("mtime", &set->mtime);
	}
	note(";");
	return give_attr(attr);
}

static int rec_access(struct fs *fs, const struct fs_caller *who, uint64_t node, int mask)
{
	note("access %" PRIu64 " %d by %s;", node, mask, by(who));
	return fc_recorder_result;
}

static int rec_statfs(struct fs *fs, uint64_t node, struct statvfs *st)
{
	note("statfs %" PRIu64 ";", node);
	memset(st, 0, sizeof(*st));
	return fc_recorder_result;
}

static int rec_syncfs(struct fs *fs, uint64_t node, bool all)
{
	note("syncfs %" PRIu64 "%s;", node, all ? " all" : "");
	return fc_recorder_result;
}

static ssize_t rec_readlink(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	note("readlink %" PRIu64 ";", node);
	return fc_recorder_result;
}

static int rec_symlink(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, const char *target, struct fs_entry *entry)
{
	note("symlink %" PRIu64 " %s -> %s by %s;", parent, name, target, by(who));
	return give_entry(entry);
}

static int rec_mknod(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, mode_t mode, dev_t rdev, struct fs_entry *entry)
{
	note("mknod %" PRIu64 " %s mode %o dev %u:%u by %s;", parent, name, mode, major(rdev),
		minor(rdev), by(who));
	return give_entry(entry);
}

static int rec_mkdir(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, mode_t mode, struct fs_entry *entry)
{
	note("mkdir %" PRIu64 " %s mode %o by %s;", parent, name, mode, by(who));
	return give_entry(entry);
}

static int rec_unlink(struct fs *fs, uint64_t parent, const char *name)
{
	note("unlink %" PRIu64 " %s;", parent, name);
	return fc_recorder_result;
}

static int rec_rmdir(struct fs *fs, uint64_t parent, const char *name)
{
	note("rmdir %" PRIu64 " %s;", parent, name);
	return fc_recorder_result;
}

static int rec_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
	const char *new_name, unsigned int flags)
{
	note("rename %" PRIu64 " %s to %" PRIu64 " %s flags %u;", parent, name, new_parent,
		new_name, flags);
	return fc_recorder_result;
}

static int rec_link(struct fs *fs, uint64_t node, uint64_t parent, const char *name,
	struct fs_entry *entry)
{
	note("link %" PRIu64 " to %" PRIu64 " %s;", node, parent, name);
	return give_entry(entry);
}

static int rec_open(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
	struct fs_opened *opened)
{
	if (opened) {
		opened->unchanged = fc_recorder_unchanged;
		opened->local = fc_recorder_local;
	}
	note("open %" PRIu64 " flags %#x%s;", node, (unsigned int)flags, kill_priv ? " kill" : "");
	*handle = 55;
	return fc_recorder_result;
}

static int rec_create(struct fs *fs, const struct fs_caller *who, uint64_t parent,
	const char *name, mode_t mode, int flags, bool kill_priv, struct fs_entry *entry,
	uint64_t *handle)
{
	note("create %" PRIu64 " %s mode %o flags %#x by %s%s;", parent, name ? name : "-", mode,
		(unsigned int)flags, by(who), kill_priv ? " kill" : "");
	*handle = 55;
	return give_entry(entry);
}

static int rec_release(struct fs *fs, uint64_t handle)
{
	note("release %" PRIu64 ";", handle);
	return fc_recorder_result;
}

static ssize_t total(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return (ssize_t)len;
}

static ssize_t rec_read(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, bool at_once)
{
	note("read %s %zd at %" PRIu64 ";", of(t), total(iov, n), offset);
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 'r', iov[i].iov_len);
	return fc_recorder_result < 0 ? fc_recorder_result : total(iov, n);
}

static ssize_t rec_write(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, unsigned int how)
{
	note("write %s %zd at %" PRIu64 " how %u \"", of(t), total(iov, n), offset, how);
	for (int i = 0; i < n; i++)
		note("%.*s", (int)iov[i].iov_len, (const char *)iov[i].iov_base);
	note("\";");
	return fc_recorder_result < 0 ? fc_recorder_result : total(iov, n);
}

static int rec_flush(struct fs *fs, const struct fs_target *t, uint64_t lock_owner)
{
	note("flush %s owner %" PRIu64 ";", of(t), lock_owner);
	return fc_recorder_result;
}

static int rec_fsync(struct fs *fs, const struct fs_target *t, bool data_only)
{
	note("fsync %s%s;", of(t), data_only ? " data" : "");
	return fc_recorder_result;
}

static int rec_fallocate(struct fs *fs, const struct fs_target *t, int mode, uint64_t offset,
	uint64_t len, bool kill_priv)
{
	note("fallocate %s mode %d %" PRIu64 " at %" PRIu64 "%s;", of(t), mode, len, offset,
		kill_priv ? " kill" : "");
	return fc_recorder_result;
}

static int64_t rec_lseek(struct fs *fs, const struct fs_target *t, uint64_t offset, int whence)
{
	note("lseek %s %" PRIu64 " whence %d;", of(t), offset, whence);
	return fc_recorder_result;
}

static ssize_t rec_copy_file_range(struct fs *fs, const struct fs_copy *copy)
{
	note("copy %" PRIu64 " from %s at %" PRIu64 " to %s at %" PRIu64 "%s;", copy->len,
		of(&copy->from), copy->from_offset, of(&copy->to), copy->to_offset,
		copy->kill_priv ? " kill" : "");
	return fc_recorder_result;
}

static ssize_t rec_getxattr(struct fs *fs, uint64_t node, const char *name, char *buf, size_t size)
{
	note("getxattr %" PRIu64 " %s %zu;", node, name, size);
	memset(buf, 'v', size);
	return fc_recorder_result < 0 || size == 0 ? fc_recorder_result : (ssize_t)size;
}

static ssize_t rec_listxattr(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	static const char list[] = "user.a\0system.posix_acl_access\0"
				   "user.b\0system.posix_acl_default";

	note("listxattr %" PRIu64 ";", node);
	assert_true(size >= 65536);
	memcpy(buf, list, sizeof(list));
	return fc_recorder_result < 0 ? fc_recorder_result : (ssize_t)sizeof(list);
}

static int rec_setxattr(struct fs *fs, const struct fs_xattr *x)
{
	note("setxattr %" PRIu64 " %s \"%.*s\" flags %d%s;", x->node, x->name, (int)x->size,
		(const char *)x->value, x->flags, x->kill_sgid ? " kill" : "");
	return fc_recorder_result;
}

static int rec_removexattr(struct fs *fs, uint64_t node, const char *name)
{
	note("removexattr %" PRIu64 " %s;", node, name);
	return fc_recorder_result;
}

static const char *text_of(const struct fs_fileattr *fa)
{
	static char text[64];

	if (fa->extended)
		snprintf(text, sizeof(text), "x %#x project %u", fa->flags, fa->projid);
	else
		snprintf(text, sizeof(text), "%#x", fa->flags);
	return text;
}

static int rec_get_fileattr(struct fs *fs, const struct fs_target *t, struct fs_fileattr *fa)
{
	note("get_fileattr %s %s;", of(t), text_of(fa));
	fa->flags = 0x11223344;
	fa->projid = 99;
	return fc_recorder_result;
}

static int rec_set_fileattr(struct fs *fs, const struct fs_target *t,
	const struct fs_fileattr *fa)
{
	note("set_fileattr %s %s;", of(t), text_of(fa));
	return fc_recorder_result;
}

static void note_lock(const char *name, const struct fs_target *t, const struct fs_lock *lock)
{
	note("%s %s type %d %" PRIu64 "-%" PRIu64 " owner %" PRIu64 " pid %u%s", name, of(t),
		lock->type, lock->start, lock->end, lock->owner, lock->pid,
		lock->flock ? " flock" : "");
}

static int rec_getlk(struct fs *fs, const struct fs_target *t, struct fs_lock *lock)
{
	note_lock("getlk", t, lock);
	note(";");
	*lock = (struct fs_lock){.type = F_WRLCK, .start = 4, .end = 5, .pid = 6};
	return fc_recorder_result;
}

/* With FS_WAITS as the result, whoever can wait does; the test calls done(). */
static int rec_setlk(struct fs *fs, const struct fs_target *t, const struct fs_lock *lock,
	struct fs_wait *wait)
{
	note_lock("setlk", t, lock);
	note("%s;", wait ? " waits" : "");
	if (fc_recorder_result != FS_WAITS)
		return fc_recorder_result;
	if (!wait)
		return -EAGAIN;
	if (!wait->begin(wait))
		return -ENOLCK;
	fc_recorder_wait = wait;
	return FS_WAITS;
}

static void rec_end_waits(struct fs *fs, const void *origin, uint64_t id)
{
	note("end_waits %s %" PRIu64 ";", origin ? "of a worker" : "of", id);
	if (fc_recorder_wait)
		fc_recorder_wait->done(fc_recorder_wait, -EINTR);
	fc_recorder_wait = NULL;
}

static int rec_opendir(struct fs *fs, uint64_t node, uint64_t *handle)
{
	note("opendir %" PRIu64 ";", node);
	*handle = 55;
	return fc_recorder_result;
}

/* Offers entries "0", "1", ... of which each has a node; the second has none. */
static int rec_readdir(struct fs *fs, const struct fs_target *t, uint64_t offset,
	struct fs_listing *l)
{
	note("readdir %s %zu at %" PRIu64 "%s;", of(t), l->left, offset,
		l->with_entries ? " plus" : "");
	if (fc_recorder_result < 0)
		return fc_recorder_result;
	for (uint64_t i = offset; i < 10; i++) {
		char name[16];
		struct fs_dirent d = {.name = name, .ino = 1000 + i, .next = i + 1, .type = 8};
		struct fs_entry entry;

		d.name_len = (size_t)snprintf(name, sizeof(name), "%0*d", (int)i + 1, (int)i);
		give_entry(&entry);
		if (i == 1)
			entry.node = 0;
		if (l->cost(l, d.name_len) > l->left)
			return i == offset ? -EINVAL : 0;
		l->add(l, &d, l->with_entries ? &entry : NULL);
	}
	return 0;
}

struct fs *fc_recorder(void)
{
	static const struct fs_ops ops = {
		.reset = rec_reset,
		.count = rec_count,
		.lookup = rec_lookup,
		.forget = rec_forget,
		.getattr = rec_getattr,
		.setattr = rec_setattr,
		.access = rec_access,
		.statfs = rec_statfs,
		.syncfs = rec_syncfs,
		.readlink = rec_readlink,
		.symlink = rec_symlink,
		.mknod = rec_mknod,
		.mkdir = rec_mkdir,
		.unlink = rec_unlink,
		.rmdir = rec_rmdir,
		.rename = rec_rename,
		.link = rec_link,
		.open = rec_open,
		.create = rec_create,
		.release = rec_release,
		.read = rec_read,
		.write = rec_write,
		.flush = rec_flush,
		.fsync = rec_fsync,
		.fallocate = rec_fallocate,
		.lseek = rec_lseek,
		.copy_file_range = rec_copy_file_range,
		.get_fileattr = rec_get_fileattr,
		.set_fileattr = rec_set_fileattr,
		.getxattr = rec_getxattr,
		.listxattr = rec_listxattr,
		.setxattr = rec_setxattr,
		.removexattr = rec_removexattr,
		.getlk = rec_getlk,
		.setlk = rec_setlk,
		.end_waits = rec_end_waits,
		.opendir = rec_opendir,
		.readdir = rec_readdir,
	};
	static struct fs fs = {.ops = &ops};

	fc_recorder_result = 0;
	fc_recorder_unchanged = fc_recorder_local = fc_recorder_submount = false;
	used = 0;
	return &fs;
}
