// SPDX-License-Identifier: BSD-2-Clause
/*
 * Inode flags and what else chattr(1) and xfs_io(8) change.
 *
 * The guest's kernel has checked that its caller owns the file, or may all the same, and that only
 * who has CAP_LINUX_IMMUTABLE there makes a file immutable or append-only. The host asks that of
 * the daemon too, which has that capability only where the administrator lets it keep it: a guest
 * could otherwise leave behind what the host's users cannot remove.
 *
 * Project ids are not a guest's to change, nor their inheritance: with them it would leave the
 * quota that its directory has. Linux treats user namespaces the same way.
 */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/keep.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"

/* #syscalls: ioctl:1=FS_IOC_GETFLAGS ioctl:1=FS_IOC_SETFLAGS
 * #syscalls: ioctl:1=FS_IOC_FSGETXATTR ioctl:1=FS_IOC_FSSETXATTR */

static int get(int fd, struct fs_fileattr *fa)
{
	struct fsxattr x = {0};
	int flags = 0, r;

	if (!fa->extended) {
		r = ioctl(fd, FS_IOC_GETFLAGS, &flags);
		fa->flags = (uint32_t)flags;
		return neg_errno(r);
	}
	r = ioctl(fd, FS_IOC_FSGETXATTR, &x);
	fa->flags = x.fsx_xflags;
	fa->extsize = x.fsx_extsize;
	fa->nextents = x.fsx_nextents;
	fa->projid = x.fsx_projid;
	fa->cowextsize = x.fsx_cowextsize;
	return neg_errno(r);
}

static int set(int fd, const struct fs_fileattr *fa)
{
	struct fsxattr x = {.fsx_xflags = fa->flags, .fsx_extsize = fa->extsize,
		.fsx_nextents = fa->nextents, .fsx_projid = fa->projid,
		.fsx_cowextsize = fa->cowextsize};
	int flags = (int)fa->flags;

	return neg_errno(fa->extended ? ioctl(fd, FS_IOC_FSSETXATTR, &x)
				      : ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

/* Whether what is to be set leaves the project as it is: 0 or -errno. */
static int check_project(const struct fs_fileattr *old, const struct fs_fileattr *fa)
{
	uint32_t inherits = fa->extended ? FS_XFLAG_PROJINHERIT : FS_PROJINHERIT_FL;

	return (old->flags ^ fa->flags) & inherits || old->projid != fa->projid ? -EINVAL : 0;
}

/* The flags that forbid some writing. */
static uint32_t bars(const struct fs_fileattr *fa)
{
	return fa->extended ? FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND : FS_IMMUTABLE_FL | FS_APPEND_FL;
}

int pt_get_fileattr(struct fs *fs, const struct fs_target *t, struct fs_fileattr *fa)
{
	PT_FILE struct pt_file_ref file = pt_file_ref(pt_of(fs), t);

	if (file.fd < 0)
		return file.error;
	if (file.node->barred)
		return -ENOTTY;
	cred_be_daemon();
	pt_look(file.node, VT_NODE_ATTR);
	return get(file.fd, fa);
}

int pt_set_fileattr(struct fs *fs, const struct fs_target *t, const struct fs_fileattr *fa)
{
	PT_FILE struct pt_file_ref file = pt_file_ref(pt_of(fs), t);
	struct fs_fileattr old = {.extended = fa->extended};
	int r;

	if (file.fd < 0)
		return file.error;
	if (file.node->barred)
		return -ENOTTY;
	cred_be_daemon();
	r = get(file.fd, &old);
	if (r == 0)
		r = check_project(&old, fa);
	if (r < 0)
		return r;
	pt_mark(file.node, VT_NODE_ATTR);
	r = set(file.fd, fa);
	if (r == 0 && !fa->extended && (old.flags ^ fa->flags) & FS_CASEFOLD_FL)
		pt_forget_names();
	if (r == 0 && fa->flags & bars(fa))
		pt_kept_rest(pt_of(fs), file.node);
	return r;
}
