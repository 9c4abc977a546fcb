// SPDX-License-Identifier: BSD-2-Clause
/*
 * Labels of what is being created (struct fs_label): extended attributes that a security module
 * of the guest wants the new inode to have before anybody in the guest can meet it. The guest
 * learns of the inode by the reply, after they are set; where one cannot be set, the name is taken
 * away again.
 *
 * What the host itself enforces is another matter: with SELinux on the host and a label that is to
 * be kept under its own name, the kernel is told before (fscreate), so that there is no moment
 * either at which a program of the host meets the inode with a label that is not its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/xattr.h"

#define SELINUX_LABEL "security.selinux"

/* The attribute of the calling thread, whichever /proc proc_fd (/proc/self/fd) is of. */
#define FSCREATE "../../thread-self/attr/fscreate"

/* #syscalls: openat */
static int open_fscreate(const struct passthrough *pt)
{
	return openat(pt->proc_fd, FSCREATE, O_WRONLY | O_CLOEXEC);
}

bool pt_labels_by_kernel(const struct passthrough *pt)
{
	CLEANUP_FD int fscreate = open_fscreate(pt);
	CLEANUP_FD int selinux = open("/sys/fs/selinux/enforce", O_PATH | O_CLOEXEC);

	return fscreate >= 0 && selinux >= 0;
}

/* Says with which label this thread creates; an empty one: as the host's policy has it.
 * #syscalls: write close */
static int set_fscreate(const struct passthrough *pt, const void *value, size_t size)
{
	CLEANUP_FD int fd = open_fscreate(pt);
	ssize_t n = fd < 0 ? -1 : write(fd, value, size);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

/* The label that the kernel sets, or NULL. */
static const struct fs_label *kernels(const struct passthrough *pt, const struct fs_caller *who)
{
	struct xattrmap_name host;

	for (unsigned int i = 0; pt->labels_by_kernel && i < who->n_labels; i++) {
		const struct fs_label *l = &who->labels[i];

		if (pt_xattr_host_name(pt, l->name, &host) == 0 &&
			strcmp(host.s, SELINUX_LABEL) == 0)
			return l;
	}
	return NULL;
}

int pt_begin_making(const struct passthrough *pt, const struct fs_caller *who)
{
	const struct fs_label *l = kernels(pt, who);
	int r = 0;

	if (l) {
		cred_be_daemon();
		r = set_fscreate(pt, l->value, l->size);
	}
	return r < 0 ? r : cred_be_caller(who);
}

/* #syscalls(xattr): setxattr */
static int set_labels(struct passthrough *pt, const struct fs_caller *who, int fd)
{
	const struct fs_label *done = kernels(pt, who);
	struct xattrmap_name host;
	int r = cred_work_in(pt->proc_fd);

	for (unsigned int i = 0; r == 0 && i < who->n_labels; i++) {
		const struct fs_label *l = &who->labels[i];

		if (l == done)
			continue;
		r = pt_xattr_host_name(pt, l->name, &host);
		if (r == 0)
			r = neg_errno(setxattr(pt_fdname(fd).s, host.s, l->value, l->size, 0));
	}
	return r;
}

/* Takes a name away again, unless it has become another inode's. #syscalls: unlinkat */
static void undo(int dir_fd, const char *name, int fd)
{
	struct statx made, there;
	CLEANUP_FD int again = pt_open_child(dir_fd, name);

	if (again < 0 || pt_stat(fd, &made) < 0 || pt_stat(again, &there) < 0 ||
		!pt_same_inode(&made, &there))
		return;
	if (unlinkat(dir_fd, name, S_ISDIR(made.stx_mode) ? AT_REMOVEDIR : 0) < 0)
		log_debug("what has no label stays: %s", strerror(errno));
}

int pt_end_making(struct passthrough *pt, const struct fs_caller *who, int dir_fd,
	const char *name, int fd)
{
	int r;

	if (who->n_labels == 0)
		return fd < 0 ? fd : 0;
	cred_be_daemon();
	if (kernels(pt, who))
		set_fscreate(pt, "", 0);
	r = fd < 0 ? fd : set_labels(pt, who, fd);
	if (r < 0 && fd >= 0 && name)
		undo(dir_fd, name, fd);
	return r;
}
