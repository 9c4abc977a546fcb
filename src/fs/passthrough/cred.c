// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/cred.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

static bool can_switch;
static uid_t own_uid;
static gid_t own_gid;

/* What this thread has now. */
static _Thread_local struct {
	bool known;
	bool own_fs;    /* working directory and umask are not the other threads' any more */
	int work_fd;    /* of the working directory, plus 1; or 0 */
	bool overrides; /* CAP_DAC_OVERRIDE beside a foreign id */
	bool no_fsetid; /* CAP_FSETID was given up for a while */
	uid_t uid;
	gid_t gid;
	mode_t umask;
} now;

static int get_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capget, &head, caps);
}

static int set_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &head, caps);
}

void cred_init(void)
{
	const uint32_t needed = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_DAC_OVERRIDE;
	struct __user_cap_data_struct caps[2];

	own_uid = geteuid();
	own_gid = getegid();
	can_switch = own_uid == 0 && get_caps(caps) == 0 &&
		(caps[0].effective & needed) == needed;
	/* The groups that the daemon was started with are not the guests'. */
	if (can_switch && setgroups(0, NULL) < 0)
		log_warn("cannot leave supplementary groups: %s", strerror(errno));
	if (!can_switch)
		log_info("not privileged: what guests create belongs to user %u", own_uid);
}

/* The thread starts with what the process has. */
static void know_self(void)
{
	if (now.known)
		return;
	now.known = true;
	now.uid = own_uid;
	now.gid = own_gid;
	now.overrides = true;
}

/* Umask and working directory belong to the fs_struct that threads share until they unshare it. */
static int own_fs(void)
{
	if (now.own_fs)
		return 0;
	if (unshare(CLONE_FS) < 0)
		return -errno;
	now.own_fs = true;
	now.umask = (mode_t)-1;
	return 0;
}

int cred_work_in(int dir_fd)
{
	int r = now.work_fd == dir_fd + 1 ? 0 : own_fs();

	if (r < 0 || now.work_fd == dir_fd + 1)
		return r;
	if (fchdir(dir_fd) < 0)
		return -errno;
	now.work_fd = dir_fd + 1;
	return 0;
}

static int set_umask(mode_t mask)
{
	int r = own_fs();

	if (r < 0)
		return r;
	if (now.umask != mask)
		umask(mask);
	now.umask = mask;
	return 0;
}

/* Neither call says whether it worked; asked for an impossible id, both tell the current one. */
static bool became(uid_t uid, gid_t gid)
{
	return setfsuid((uid_t)-1) == (int)uid && setfsgid((gid_t)-1) == (int)gid;
}

static int become(uid_t uid, gid_t gid)
{
	if (gid != now.gid)
		setfsgid(gid);
	if (uid != now.uid)
		setfsuid(uid);
	/* Coming from 0, the kernel drops the capabilities over files; going to 0, it gives them
	 * back; between others, it leaves them. */
	if (uid == own_uid)
		now.overrides = true;
	else if (now.uid == own_uid)
		now.overrides = false;
	now.uid = uid;
	now.gid = gid;
	/* An id that our user namespace does not have must not become the daemon's own. */
	return became(uid, gid) ? 0 : -EPERM;
}

/* Adds a capability to the effective ones of this thread, or takes it away. */
static int set_cap(int cap, bool on)
{
	struct __user_cap_data_struct caps[2];

	if (get_caps(caps) < 0)
		return -errno;
	if (on)
		caps[0].effective |= 1u << cap;
	else
		caps[0].effective &= ~(1u << cap);
	return neg_errno(set_caps(caps));
}

static int set_override(bool on)
{
	int r;

	if (now.uid == own_uid || now.overrides == on)
		return 0;
	r = set_cap(CAP_DAC_OVERRIDE, on);
	if (r == 0)
		now.overrides = on;
	return r;
}

static void restore_fsetid(void)
{
	if (now.no_fsetid && set_cap(CAP_FSETID, true) == 0)
		now.no_fsetid = false;
}

void cred_be_daemon(void)
{
	if (!can_switch)
		return;
	know_self();
	restore_fsetid();
	if (now.uid != own_uid || now.gid != own_gid)
		become(own_uid, own_gid);
}

int cred_be_unprivileged_writer(void)
{
	int r;

	cred_be_daemon();
	if (!can_switch)
		return 0;
	r = set_cap(CAP_FSETID, false);
	if (r == 0)
		now.no_fsetid = true;
	return r;
}

static int be(const struct fs_caller *who, bool override)
{
	int r;

	know_self();
	r = set_umask(who->umask);
	if (r < 0 || !can_switch)
		return r;
	if (who->uid == (uid_t)-1 || who->gid == (gid_t)-1)
		return -EINVAL;
	restore_fsetid();
	if (now.uid != who->uid || now.gid != who->gid)
		r = become(who->uid, who->gid);
	/* Whatever it is now, the next caller must not take it for known. */
	if (r < 0)
		now.uid = now.gid = (uid_t)-1;
	return r < 0 ? r : set_override(override);
}

int cred_be_caller(const struct fs_caller *who)
{
	return be(who, true);
}

int cred_be_checked(const struct fs_caller *who)
{
	return be(who, false);
}
