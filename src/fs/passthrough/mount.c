// SPDX-License-Identifier: BSD-2-Clause
/*
 * The mounts that nodes were found on: which are never entered, and whether file handles can be
 * opened there.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/version.h"
#include "watch/watch.h"

/* #syscalls: fstatfs statx fstat newfstatat openat
 * #syscalls(file-handles): name_to_handle_at open_by_handle_at */

/* File systems through which a guest could reach the daemon, other processes or the kernel. */
static const uint32_t barred_magics[] = {
	PROC_SUPER_MAGIC, SYSFS_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC,
	SELINUX_MAGIC, SMACK_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
	BPF_FS_MAGIC, PSTOREFS_MAGIC, EFIVARFS_MAGIC, BINFMTFS_MAGIC, NSFS_MAGIC, AAFS_MAGIC,
	0x62656570 /* configfs */, 0x65735543 /* fusectl */, 0x19800202 /* mqueue */,
};

/* File systems on this machine's disks and memory. Network ones, FUSE and what is stacked on others
 * may hold writes back until the file is closed, and say only then that they failed. */
static const uint32_t local_magics[] = {
	EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
	RAMFS_MAGIC, HUGETLBFS_MAGIC, MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC, SQUASHFS_MAGIC,
	EROFS_SUPER_MAGIC_V1, ISOFS_SUPER_MAGIC, UDF_SUPER_MAGIC, REISERFS_SUPER_MAGIC,
	0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */, 0x7366746e /* ntfs3 */,
	0x3153464a /* jfs */,
};

/* What is stacked on others on this machine: it numbers inodes as they do. */
static const uint32_t stacked_magics[] = {OVERLAYFS_SUPER_MAGIC, ECRYPTFS_SUPER_MAGIC};

struct pt_fdname pt_fdname(int fd)
{
	struct pt_fdname name;

	snprintf(name.s, sizeof(name.s), "%d", fd);
	return name;
}

static bool is_among(const uint32_t *magics, size_t n, const struct statfs *st)
{
	for (size_t i = 0; i < n; i++) {
		if ((uint32_t)st->f_type == magics[i])
			return true;
	}
	return false;
}

/* Whether the file system below a descriptor is among these, as far as the host says. */
static bool is_on(int fd, const uint32_t *magics, size_t n)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && is_among(magics, n, &st);
}

int pt_is_barred(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return -errno;
	return is_among(barred_magics, ARRAY_SIZE(barred_magics), &st);
}

bool pt_is_local(int fd)
{
	return is_on(fd, local_magics, ARRAY_SIZE(local_magics));
}

static const uint32_t memory_magics[] = {TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC};

static bool is_in_memory(int fd)
{
	return is_on(fd, memory_magics, ARRAY_SIZE(memory_magics));
}

/*
 * Of the local ones: those that give inodes other numbers each time they load them. What a guest
 * keeps of one that nobody holds would have another slot than the change that it is to be told of.
 */
static const uint32_t renumbering_magics[] = {MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC};

static bool renumbers(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) < 0 ||
		is_among(renumbering_magics, ARRAY_SIZE(renumbering_magics), &st);
}

bool pt_is_timed(int fd)
{
	return !pt_is_local(fd) || renumbers(fd);
}

/* File systems whose names are bytes, and those where a directory may say otherwise. XFS compares
 * them otherwise only where it was made so (-n version=ci), which new kernels do not mount. */
static const uint32_t bytewise_magics[] = {
	XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC, SQUASHFS_MAGIC,
	EROFS_SUPER_MAGIC_V1, UDF_SUPER_MAGIC, REISERFS_SUPER_MAGIC,
};
static const uint32_t choosing_magics[] = {
	EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC,
	0xca451a4e /* bcachefs */,
};

static enum pt_names names_of(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return PT_NAMES_FOLD;
	if (is_among(bytewise_magics, ARRAY_SIZE(bytewise_magics), &st))
		return PT_NAMES_BYTES;
	return is_among(choosing_magics, ARRAY_SIZE(choosing_magics), &st) ? PT_NAMES_ASK
									   : PT_NAMES_FOLD;
}

static bool is_stacked(int fd)
{
	return is_on(fd, stacked_magics, ARRAY_SIZE(stacked_magics));
}

int pt_stat(int fd, struct statx *attr)
{
	return neg_errno(statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, PT_STATX, attr));
}

static bool has_births(int fd)
{
	struct statx attr;

	return pt_stat(fd, &attr) == 0 && attr.stx_mask & STATX_BTIME;
}

struct file_handle *pt_file_handle(int fd)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	struct file_handle *copy;
	size_t size;
	int mount_id;

	if (name_to_handle_at(fd, "", &h.head, &mount_id, AT_EMPTY_PATH) < 0)
		return NULL;
	size = sizeof(h.head) + h.head.handle_bytes;
	copy = malloc(size);
	if (copy)
		memcpy(copy, &h, size);
	return copy;
}

/* What FUSE servers give as file handles are numbers of inodes that the kernel still remembers,
 * unless they say otherwise, which does not show: after a while they may be another's.
 * #syscalls: fstatfs */
static bool forgets_handles(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) < 0 || (uint32_t)st.f_type == FUSE_SUPER_MAGIC;
}

/* A descriptor on fd's mount that file handles can be opened by, or -1. */
static int try_file_handles(struct passthrough *pt, int fd)
{
	CLEANUP_FREE struct file_handle *handle = NULL;
	CLEANUP_FD int mount_fd = -1;
	struct stat st;
	int again;

	if (pt->config.file_handles == PT_FILE_HANDLES_NEVER || fstat(fd, &st) < 0 ||
		!S_ISDIR(st.st_mode) || forgets_handles(fd))
		return -1;
	handle = pt_file_handle(fd);
	mount_fd = openat(pt->proc_fd, pt_fdname(fd).s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!handle || mount_fd < 0)
		return -1;
	/* Needs CAP_DAC_READ_SEARCH, in the initial user namespace. */
	again = open_by_handle_at(mount_fd, handle, O_PATH | O_CLOEXEC);
	if (again < 0)
		return -1;
	close(again);
	return steal_fd(&mount_fd);
}

static struct pt_mount *find(struct passthrough *pt, uint64_t id)
{
	struct pt_mount *mount = pt->mounts;

	while (mount && mount->id != id)
		mount = mount->next;
	return mount;
}

/* A directory is opened for reading at once: when the host has unmounted what it is in, Landlock
 * lets nobody do it any more, and what was written still has to be synced. */
static int open_found(struct passthrough *pt, int fd)
{
	struct stat st;
	int r = fstat(fd, &st);

	if (r == 0 && S_ISDIR(st.st_mode))
		r = openat(pt->proc_fd, pt_fdname(fd).s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else
		r = -1;
	return r >= 0 ? r : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Before anything of the mount is shown. Its address is what it is told by. */
static void watch_mount(struct passthrough *pt, struct pt_mount *mount, int fd)
{
	struct watch *watch = pt->config.watch;
	int r = watch ? watch_add(watch, fd, (uintptr_t)mount) : 0;

	if (r < 0 && !watch_is_lost(watch))
		log_info("what host processes change on the file system of mount %llu is seen "
			 "after a time only: it cannot be watched (%s)",
			(unsigned long long)mount->id, strerror(-r));
	mount->unwatched = r < 0;
}

bool pt_is_found_timed(struct passthrough *pt, uint64_t id, int fd)
{
	struct pt_mount *mount;
	bool timed;

	if (!pt->config.watch)
		return pt_is_timed(fd);
	pthread_mutex_lock(&pt->mount_lock);
	mount = find(pt, id);
	timed = !mount || pt_mount_is_timed(mount);
	pthread_mutex_unlock(&pt->mount_lock);
	return timed;
}

void pt_mounts_watch_lost(struct passthrough *pt)
{
	pthread_mutex_lock(&pt->mount_lock);
	for (struct pt_mount *mount = pt->mounts; mount; mount = mount->next)
		mount->unwatched = true;
	pthread_mutex_unlock(&pt->mount_lock);
}

struct pt_mount *pt_mount_find(struct passthrough *pt, uint64_t id, int fd)
{
	struct pt_mount *mount;

	pthread_mutex_lock(&pt->mount_lock);
	mount = find(pt, id);
	if (!mount) {
		cred_be_daemon();
		mount = calloc(1, sizeof(*mount));
		if (mount) {
			mount->id = id;
			mount->fd = try_file_handles(pt, fd);
			mount->path_fd = mount->fd < 0 ? open_found(pt, fd) : -1;
			mount->in_memory = is_in_memory(fd);
			mount->local = pt_is_local(fd);
			mount->keeps_numbers = mount->local || is_stacked(fd);
			mount->timed = pt_is_timed(fd);
			/* A number that nobody holds has to be the inode's still. */
			mount->born = mount->local && !renumbers(fd) && has_births(fd);
			mount->names = names_of(fd);
			watch_mount(pt, mount, fd);
			mount->next = pt->mounts;
			pt->mounts = mount;
		}
	}
	if (mount)
		atomic_fetch_add(&mount->users, 1);
	pthread_mutex_unlock(&pt->mount_lock);
	return mount;
}

static void free_mount(struct passthrough *pt, struct pt_mount *mount)
{
	if (pt->config.watch && !mount->unwatched)
		watch_drop(pt->config.watch, (uintptr_t)mount);
	close_fd(&mount->fd);
	close_fd(&mount->path_fd);
	free(mount);
}

void pt_mount_put(struct passthrough *pt, struct pt_mount *mount)
{
	struct pt_mount **p = &pt->mounts;
	uint32_t users = atomic_load(&mount->users);

	/* The last one leaves under the lock, where nobody finds the mount meanwhile. */
	while (users > 1) {
		if (atomic_compare_exchange_weak(&mount->users, &users, users - 1))
			return;
	}
	pthread_mutex_lock(&pt->mount_lock);
	if (atomic_fetch_sub(&mount->users, 1) > 1) {
		pthread_mutex_unlock(&pt->mount_lock);
		return;
	}
	while (*p != mount)
		p = &(*p)->next;
	*p = mount->next;
	pthread_mutex_unlock(&pt->mount_lock);
	free_mount(pt, mount);
}

/* #syscalls: syncfs openat fstat newfstatat fcntl:1=F_DUPFD_CLOEXEC */

/* syncfs(2) wants a descriptor that is open for something; a device or FIFO is not opened, and what
 * was found first is one only where somebody mounted it by itself. */
int pt_mount_sync(struct passthrough *pt, const struct pt_mount *mount)
{
	CLEANUP_FD int fd = -1;
	struct stat st;

	if (mount->fd >= 0)
		return neg_errno(syncfs(mount->fd));
	if (mount->path_fd >= 0 && syncfs(mount->path_fd) == 0)
		return 0;
	if (mount->path_fd < 0 || fstat(mount->path_fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return 0;
	fd = openat(pt->proc_fd, pt_fdname(mount->path_fd).s, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : neg_errno(syncfs(fd));
}

/* The mount after one, or the first, used once more. One that is used keeps its place. */
static struct pt_mount *next_mount(struct passthrough *pt, struct pt_mount *mount)
{
	struct pt_mount *next;

	pthread_mutex_lock(&pt->mount_lock);
	next = mount ? mount->next : pt->mounts;
	if (next)
		atomic_fetch_add(&next->users, 1);
	pthread_mutex_unlock(&pt->mount_lock);
	return next;
}

int pt_mounts_sync(struct passthrough *pt)
{
	struct pt_mount *mount = NULL, *next;
	int result = 0;

	/* A sync takes its time: not under the lock. */
	while ((next = next_mount(pt, mount))) {
		int r = pt_mount_sync(pt, next);

		if (mount)
			pt_mount_put(pt, mount);
		mount = next;
		result = result ? result : r;
	}
	if (mount)
		pt_mount_put(pt, mount);
	return result;
}

void pt_mounts_free(struct passthrough *pt)
{
	while (pt->mounts) {
		struct pt_mount *mount = pt->mounts;

		pt->mounts = mount->next;
		free_mount(pt, mount);
	}
}
