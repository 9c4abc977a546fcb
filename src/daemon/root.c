// SPDX-License-Identifier: BSD-2-Clause
/*
 * The shared directory as the root of all names that this process has.
 *
 * In a mount namespace of its own, a clone of the shared directory's mount becomes the root, and
 * what was the root is unmounted from there: no name leads elsewhere any more, whatever a bug
 * makes of it, and ".." of a directory that the host moves out of the share leads nowhere. The
 * mounts stay slaves of the host's: what the host mounts or unmounts below the share later
 * appears and goes for guests too; nothing goes the other way.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/stages.h"

#define PROC_FD "/proc/self/fd"

/* The clone, with what the daemon never needs switched off. A device node in the share is then
 * nothing to this process, whoever made it. */
static int clone_tree(const struct isolation *config, const char *path)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NODEV | (config->readonly ? MOUNT_ATTR_RDONLY : 0),
	};
	int tree = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
				sizeof(attr)) < 0)
		die("--sandbox namespace: cannot bind '%s': %s", path, strerror(errno));
	return tree;
}

/* Mounted nowhere: the descriptor is the only way to it. Of this pid namespace, so it has no other
 * process in it, and of proc the processes only. The kernel grants it to a user namespace that sees
 * the host's proc: before the root changes. */
static int own_proc(void)
{
	CLEANUP_FD int fs = fsopen("proc", FSOPEN_CLOEXEC);
	CLEANUP_FD int mnt = -1;
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0 ||
		fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		die("--sandbox namespace: cannot have a proc of its own: %s%s", strerror(errno),
			errno == EPERM ? "; in a container that hides parts of /proc, use "
					 "--sandbox chroot or none" : "");
	mnt = fsmount(fs, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	fd = mnt < 0 ? -1 : openat(mnt, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die("--sandbox namespace: cannot open its own proc: %s", strerror(errno));
	return fd;
}

int root_pivot(const struct isolation *config, int share_fd, const char *path)
{
	int tree, proc_fd;

	/* The working directory follows into the new namespace: no name is resolved again. */
	if (fchdir(share_fd) < 0)
		die("--sandbox namespace: cannot enter '%s': %s", path, strerror(errno));
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		die("--sandbox namespace: cannot have mount, net and ipc namespaces: %s; --sandbox "
		    "chroot needs fewer privileges, --sandbox none no more", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		die("--sandbox namespace: cannot make mounts private: %s", strerror(errno));
	proc_fd = own_proc();
	tree = clone_tree(config, path);
	if (move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(tree) < 0)
		die("--sandbox namespace: cannot mount '%s': %s", path, strerror(errno));
	/* The old root comes to lie over the new one, and is what "." unmounts. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		die("--sandbox namespace: cannot make '%s' the root: %s; where the host's root is "
		    "no mount (initramfs, chroot), use --sandbox chroot", path, strerror(errno));
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		die("--sandbox namespace: cannot leave the old root: %s", strerror(errno));
	close(tree);
	return proc_fd;
}

int root_host_proc(void)
{
	int fd = open(PROC_FD, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die("cannot open %s: %s; is proc mounted?", PROC_FD, strerror(errno));
	return fd;
}

int root_chroot(int share_fd, const char *path)
{
	int proc_fd = root_host_proc();

	if (fchdir(share_fd) < 0 || chroot(".") < 0)
		die("--sandbox chroot: cannot make '%s' the root: %s%s", path, strerror(errno),
			errno == EPERM ? "; it needs CAP_SYS_CHROOT, --sandbox namespace does not"
				       : "");
	if (chdir("/") < 0)
		die("--sandbox chroot: %s", strerror(errno));
	return proc_fd;
}
