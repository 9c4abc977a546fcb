// SPDX-License-Identifier: BSD-2-Clause
/*
 * Opening and creating files.
 */
#include <errno.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/spare.h"
#include "fs/passthrough/version.h"
#include "fs/passthrough/xattr.h"
#include "metrics/tally.h"

/* #syscalls: openat openat2 statx clock_gettime */

/* What of a guest's open flags reaches open(2); O_DIRECT comes afterwards (direct.c). */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_APPEND | O_SYNC | O_DSYNC | O_NOATIME)

int pt_open_node(struct passthrough *pt, const struct pt_node *node, int flags)
{
	struct pt_fdname name = pt_fdname(node->fd);
	int fd;

	/* Opening a FIFO or a device would act on the host. */
	if (node->type != S_IFREG && node->type != S_IFDIR)
		return node->type == S_IFLNK ? -ELOOP : -ENXIO;
	if (node->barred && node->type != S_IFDIR)
		return -EACCES;
	flags = (flags & OPEN_FLAGS) | O_CLOEXEC | O_NOCTTY;
	fd = openat(pt->proc_fd, name.s, flags);
	/* The file's owner may ask for O_NOATIME; a daemon that is neither owner nor root not. */
	if (fd < 0 && errno == EPERM && flags & O_NOATIME && !pt->config.preserve_noatime)
		fd = openat(pt->proc_fd, name.s, flags & ~O_NOATIME);
	return neg_errno(fd);
}

int pt_open_file(struct passthrough *pt, const struct pt_node *node, int flags,
	enum pt_handle_kind *kind)
{
	int fd = pt_open_node(pt, node, flags & ~O_APPEND);

	if (fd != -EPERM || !(flags & O_APPEND))
		return fd;
	*kind = PT_HANDLE_APPEND;
	return pt_open_node(pt, node, flags);
}

/* #syscalls: dup3 */

/*
 * Makes the descriptor of a pinned node one that is open for reading, in the same place: whoever
 * uses it meanwhile finds the same inode before and after. So there are as many descriptors as
 * before, and cooling closes this one too. Times of access are left alone where we may: nobody
 * says whether the guest's program wants them changed, and nothing else of the export changes.
 */
static int make_readable(struct passthrough *pt, struct pt_node *node)
{
	CLEANUP_FD int fd = -1;

	if (atomic_load_explicit(&node->readable, memory_order_acquire))
		return 0;
	fd = pt_open_node(pt, node, O_RDONLY | O_NOATIME);
	if (fd == -EPERM)
		fd = pt_open_node(pt, node, O_RDONLY);
	if (fd < 0)
		return fd;
	if (dup3(fd, node->fd, O_CLOEXEC) < 0)
		return -errno;
	atomic_store_explicit(&node->readable, true, memory_order_release);
	return 0;
}

struct pt_file_ref pt_file_ref(struct passthrough *pt, const struct fs_target *t)
{
	struct pt_file_ref file = {.open = {.pt = pt}, .ref = {.pt = pt}, .fd = -1};

	if (t->has_handle || t->kept) {
		file.open = pt_handle_ref(pt, t);
		file.error = file.open.error;
		if (file.open.handle) {
			file.node = file.open.handle->node;
			file.fd = file.open.handle->fd;
		}
		return file;
	}
	file.ref = pt_ref(pt, t->node);
	file.error = file.ref.error;
	if (!file.ref.node)
		return file;
	cred_be_daemon();
	file.dax = pt_dax_get(pt, file.ref.node);
	if (file.dax && atomic_load(&file.dax->file)) {
		file.node = file.ref.node;
		file.fd = file.dax->fd;
		return file;
	}
	file.error = make_readable(pt, file.ref.node);
	if (file.error == 0) {
		file.node = file.ref.node;
		file.fd = file.ref.node->fd;
	}
	return file;
}

void pt_cleanup_file(struct pt_file_ref *file)
{
	pt_dax_put(file->dax);
	pt_cleanup_handle(&file->open);
	pt_cleanup_node(&file->ref);
}

static int64_t ns_of(int64_t seconds, int64_t ns)
{
	return seconds * 1000000000 + ns;
}

/*
 * Whether a file that is being opened has the time of change that it had when this node was last
 * opened; notes the one that it has now. A change within the same step of the clock as an earlier
 * one leaves no trace, and a write(2) has the time at which it began: so a time that has not
 * settled proves nothing. Opens that meet may note each other's: then the next
 * one finds another time and calls the file changed.
 */
static bool unchanged_since_open(struct passthrough *pt, struct pt_node *node, int fd)
{
	struct timespec now;
	struct statx st;
	int64_t ctime;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_CTIME, &st) < 0 || !(st.stx_mask & STATX_CTIME))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	ctime = ns_of(st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec);
	if (ns_of(now.tv_sec, now.tv_nsec) - ctime <= pt->config.settle_ms * INT64_C(1000000))
		ctime = 0;
	return atomic_exchange(&node->opened_ctime, ctime) == ctime && ctime != 0;
}

/* Whether a close(2) of this file has nothing to report: nobody wrote, or the file system does not
 * hold writes back. */
static bool closes_in_silence(const struct pt_node *node, int flags)
{
	return node->mount->local || (flags & O_ACCMODE) == O_RDONLY;
}

static int open_anew(struct passthrough *pt, const struct pt_node *node, int flags,
	bool kill_priv, enum pt_handle_kind *kind)
{
	int r = 0, fd;

	if (kill_priv && flags & O_TRUNC)
		r = cred_be_unprivileged_writer();
	else
		cred_be_daemon();
	fd = r < 0 ? r : pt_open_file(pt, node, flags, kind);
	if (fd >= 0 && flags & O_DIRECT)
		pt_go_direct(pt, fd);
	return fd;
}

/* Whether one who opens a file may have it as another one left it. */
static bool is_plain(int flags)
{
	return (flags & (OPEN_FLAGS | O_DIRECT)) == O_RDONLY;
}

static int open_file(struct passthrough *pt, struct pt_node *node, int flags, bool kill_priv,
	enum pt_handle_kind *kind)
{
	int fd = *kind == PT_HANDLE_PLAIN ? pt_spare_take(node) : -1;

	if (*kind != PT_HANDLE_DIR)
		tally_add(fd < 0 ? TALLY_OPEN_ANEW : TALLY_OPEN_SPARE, 1);
	return fd < 0 ? open_anew(pt, node, flags, kill_priv, kind) : fd;
}

static int open_handle(struct fs *fs, uint64_t node_id, mode_t type, int asked, bool kill_priv,
	uint64_t *handle, struct fs_opened *opened)
{
	struct passthrough *pt = pt_of(fs);
	int flags = asked & ~O_APPEND;
	PT_NODE struct pt_node_ref ref =
		type == S_IFDIR ? pt_dir_ref(pt, node_id) : pt_ref(pt, node_id);
	enum pt_handle_kind kind = type == S_IFDIR ? PT_HANDLE_DIR
		: is_plain(flags) ? PT_HANDLE_PLAIN : PT_HANDLE_FILE;
	struct pt_dax_file *dax = NULL;
	int fd = -EAGAIN;

	if (!ref.node)
		return ref.error;
	if (ref.node->type == S_IFDIR && type != S_IFDIR)
		return -EISDIR;
	if (ref.node->type != S_IFDIR && type == S_IFDIR)
		return -ENOTDIR;
	if (flags & O_TRUNC)
		pt_mark(ref.node, VT_FILE);
	if (opened && opened->may_wait)
		fd = pt_dax_open(pt, ref.node, flags, kill_priv, &dax);
	else if (pt_dax_opens_late(pt, ref.node))
		return -ESTALE; /* since a moment ago; guests open again then */
	if (fd == -EAGAIN)
		fd = open_file(pt, ref.node, asked, kill_priv, &kind);
	if (fd < 0)
		return fd;
	if (opened) {
		opened->unchanged =
			opened->ask_unchanged && unchanged_since_open(pt, ref.node, fd);
		opened->local = closes_in_silence(ref.node, flags);
	}
	return dax ? pt_handle_share(pt, ref.node, node_id, fd, dax, handle)
		   : pt_handle_new(pt, ref.node, node_id, fd, kind, handle);
}

int pt_open(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
	struct fs_opened *opened)
{
	return open_handle(fs, node, S_IFREG, flags, kill_priv, handle, opened);
}

int pt_opendir(struct fs *fs, uint64_t node, uint64_t *handle)
{
	return open_handle(fs, node, S_IFDIR, O_RDONLY, false, handle, NULL);
}

/* Without a name, a file in no directory; O_EXCL then forbids to give it one later. */
static int create_file(const struct pt_node *parent, const char *name, mode_t mode, int flags)
{
	int make = name ? O_CREAT | O_EXCL | O_NOFOLLOW : O_TMPFILE | (flags & O_EXCL);
	struct open_how how = {
		.flags = (uint64_t)((flags & OPEN_FLAGS) | make | O_CLOEXEC),
		.mode = mode & 07777,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	if (!name)
		name = ".";
	return (int)neg_errno(syscall(SYS_openat2, parent->fd, name, &how, sizeof(how)));
}

/* What is kept of a file that was just made, and is open: a descriptor that keeps nobody from
 * executing it. By its name that takes less than by way of /proc, where the name still leads there,
 * and the file that is open keeps its number from being another's. A descriptor or -errno. */
static int open_made(struct passthrough *pt, const struct pt_node *parent, const char *name, int fd,
	const struct statx *made)
{
	int path_fd = name && parent->mount->keeps_numbers ? pt_open_child(parent->fd, name) : -1;
	struct statx there;

	if (path_fd >= 0 && pt_stat(path_fd, &there) == 0 && pt_same_inode(made, &there))
		return path_fd;
	close_fd(&path_fd);
	return (int)neg_errno(openat(pt->proc_fd, pt_fdname(fd).s, O_PATH | O_CLOEXEC));
}

/* The node and handle of a file that this call made and holds open as taken_fd; with the rights
 * of who made it, as names.c has it. stated: the entry has its attributes already. */
static int enter_created(struct passthrough *pt, struct pt_node *parent, const char *name,
	int taken_fd, bool stated, struct fs_entry *entry, uint64_t *handle)
{
	CLEANUP_FD int fd = taken_fd;
	int r = stated ? 0 : pt_stat(fd, &entry->attr), path_fd;

	if (r < 0)
		return r;
	path_fd = open_made(pt, parent, name, fd, &entry->attr);
	if (path_fd < 0)
		return path_fd;
	r = pt_node_found(pt, path_fd, &entry->attr, parent, name, &entry->node);
	if (r < 0)
		return r;
	PT_NODE struct pt_node_ref ref = pt_ref(pt, entry->node);
	r = ref.node ? pt_handle_new(pt, ref.node, entry->node, steal_fd(&fd), PT_HANDLE_FILE,
			       handle) : ref.error;
	entry->local = ref.node && ref.node->mount->local;
	entry->submount = false;
	if (r < 0)
		pt_node_forget(pt, entry->node, 1);
	else
		pt_settle_entry(pt, entry);
	return r;
}

/* Somebody else made the file since the guest looked: opened if the caller may, which the guest
 * could not check. The caller's own rights clear set-id bits where they must be. */
static int open_existing(struct passthrough *pt, const struct fs_caller *who,
	struct pt_node *parent, const char *name, int flags, struct fs_entry *entry,
	uint64_t *handle)
{
	struct pt_dax_file *dax = NULL;
	int fd, r;

	cred_be_daemon();
	r = pt_enter(pt, parent, parent->fd, name, PT_MADE, entry);
	if (r < 0)
		return r;
	PT_NODE struct pt_node_ref ref = pt_ref(pt, entry->node);
	if (!ref.node)
		return ref.error;
	if (flags & O_TRUNC)
		pt_mark(ref.node, VT_CHILD_DATA);
	r = ref.node->type == S_IFDIR ? -EISDIR : 0;
	fd = r < 0 ? r : pt_dax_open_existing(pt, who, ref.node, flags, &dax);
	if (fd == -EAGAIN) {
		r = cred_be_checked(who);
		fd = r < 0 ? r : pt_open_node(pt, ref.node, flags);
		if (fd >= 0 && flags & O_DIRECT)
			pt_go_direct(pt, fd);
	}
	if (fd < 0)
		r = fd;
	else
		r = dax ? pt_handle_share(pt, ref.node, entry->node, fd, dax, handle)
			: pt_handle_new(pt, ref.node, entry->node, fd, PT_HANDLE_FILE, handle);
	cred_be_daemon();
	if (r == 0)
		r = pt_stat(ref.node->fd, &entry->attr);
	entry->local = closes_in_silence(ref.node, flags);
	if (r < 0)
		pt_node_forget(pt, entry->node, 1);
	else
		pt_settle_entry(pt, entry);
	return r;
}

int pt_create(struct fs *fs, const struct fs_caller *who, uint64_t parent_id, const char *name,
	mode_t mode, int asked, bool kill_priv, struct fs_entry *entry, uint64_t *handle)
{
	struct passthrough *pt = pt_of(fs);
	int flags = asked & ~O_APPEND;
	PT_NODE struct pt_node_ref parent = pt_dir_ref(pt, parent_id);
	int r = name ? pt_check_name(name) : 0;
	bool stated = false;
	int fd;

	if (!parent.node)
		return parent.error;
	if (r == 0 && parent.node->barred)
		r = -EROFS;
	if (r == 0 && name)
		pt_mark_new_name(pt, parent.node, name);
	if (r == 0)
		r = pt_begin_making(pt, who);
	if (r < 0)
		return r;
	fd = create_file(parent.node, name, mode, flags);
	/* What else is done to it changes labels only. */
	if (fd >= 0 && pt_mark_made(pt, parent.node, fd,
			VT_CHILD_ATTR | (flags & O_TRUNC ? VT_CHILD_DATA : 0), &entry->attr))
		stated = who->n_labels == 0 && pt_is_good_made();
	r = pt_end_making(pt, who, parent.node->fd, name, fd);
	if (fd == -EEXIST && name && !(flags & O_EXCL))
		return open_existing(pt, who, parent.node, name, flags, entry, handle);
	if (r < 0)
		close_fd(&fd);
	if (r == 0 && flags & O_DIRECT)
		pt_go_direct(pt, fd);
	return r < 0 ? r : enter_created(pt, parent.node, name, fd, stated, entry, handle);
}
