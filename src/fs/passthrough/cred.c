// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "metrics/tally.h"

/* #syscalls: capget capset umask unshare:0=CLONE_FS */

#define BIT(cap) (1ull << (cap))

/* What the kernel takes from the effective capabilities of a thread whose file system uid leaves 0,
 * and gives back when it returns; between others they stay. */
#define FILE_CAPS                                                                                  \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) |     \
		BIT(CAP_FSETID) | BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MKNOD) | BIT(CAP_MAC_OVERRIDE))

static bool can_group;
static bool keeps = true; /* what a thread has, for the next request */

/* Whose rights an operation needs. */
struct rights {
	uid_t uid;
	gid_t gid;
	unsigned int n_groups;
	const gid_t *groups;
	uint64_t without; /* capabilities of FILE_CAPS that must not count */
	uint64_t beside;  /* ... and that count beside a foreign id */
};

/* What this thread started with. */
static _Thread_local struct {
	bool known;
	bool can_switch;
	uid_t uid;
	gid_t gid;
	struct __user_cap_data_struct caps[2];
	uint64_t effective;
} own;

/* What this thread has now. */
static _Thread_local struct {
	bool own_fs;    /* working directory and umask are not the other threads' any more */
	int work_fd;    /* of the working directory, plus 1; or 0 */
	uid_t uid;
	gid_t gid;
	mode_t umask;
	unsigned int n_groups;
	gid_t groups[FS_GROUPS_MAX];
	uint64_t caps; /* effective */
} now;

/* The effective capabilities of this thread, and all kinds of them. #syscalls: capget */
static uint64_t get_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	memset(caps, 0, 2 * sizeof(*caps));
	if (syscall(SYS_capget, &head, caps) < 0)
		log_warn("cannot read capabilities: %s", strerror(errno));
	return caps[0].effective | (uint64_t)caps[1].effective << 32;
}

/* #syscalls: capset */
static int set_effective(uint64_t wanted)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {own.caps[0], own.caps[1]};

	caps[0].effective = (uint32_t)wanted;
	caps[1].effective = (uint32_t)(wanted >> 32);
	return neg_errno((int)syscall(SYS_capset, &head, caps));
}

/* Of this thread alone: the function of libc changes all threads. #syscalls: setgroups */
static int set_groups(unsigned int n, const gid_t *groups)
{
	return neg_errno((int)syscall(SYS_setgroups, n, groups));
}

uint64_t cred_capabilities(void)
{
	/* To be the guest's user; to do as the daemon what the guest has allowed: look, change and
	 * write everywhere, give files away, set times and modes, keep set-id bits and file
	 * capabilities, make device nodes, find inodes by handle. */
	return BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_CHOWN) |
		BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETFCAP) | BIT(CAP_MKNOD) |
		BIT(CAP_DAC_READ_SEARCH);
}

/* The thread starts with what the process has by then, which isolation may have cut.
 * #syscalls: geteuid getegid */
static void know_self(void)
{
	const uint64_t needed = BIT(CAP_SETUID) | BIT(CAP_SETGID);

	if (own.known)
		return;
	own.known = true;
	own.uid = now.uid = geteuid();
	own.gid = now.gid = getegid();
	own.effective = now.caps = get_caps(own.caps);
	own.can_switch = own.uid == 0 && (own.effective & needed) == needed;
}

bool cred_reads_all(void)
{
	know_self();
	return own.effective & BIT(CAP_DAC_READ_SEARCH);
}

void cred_init(void)
{
	int r;

	know_self();
	if (!own.can_switch) {
		log_info("not privileged: what guests create belongs to user %u", own.uid);
		return;
	}
	/* The groups that the daemon was started with are not the guests'. A user namespace may
	 * have been made without the right to set them. */
	r = set_groups(0, NULL);
	can_group = r == 0;
	if (r < 0)
		log_warn("cannot set supplementary groups: %s", strerror(-r));
}

/* Umask and working directory belong to the fs_struct that threads share until they unshare it.
 * #syscalls: unshare:0=CLONE_FS */
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

/* #syscalls: fchdir */
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

/* #syscalls: umask */
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

static bool has_groups(const struct rights *want)
{
	size_t size = want->n_groups * sizeof(gid_t);

	return !can_group || (want->n_groups == now.n_groups &&
				     (size == 0 || memcmp(want->groups, now.groups, size) == 0));
}

static int take_groups(const struct rights *want)
{
	size_t size = want->n_groups * sizeof(gid_t);
	int r;

	if (has_groups(want))
		return 0;
	r = set_groups(want->n_groups, want->groups);
	/* A group that our user namespace does not have. */
	if (r < 0)
		return r == -EINVAL ? -EPERM : r;
	now.n_groups = want->n_groups;
	if (size > 0)
		memcpy(now.groups, want->groups, size);
	return 0;
}

/* Neither call says whether it worked; asked for an impossible id, both tell the current one.
 * #syscalls: setfsuid setfsgid */
static int take_ids(const struct rights *want)
{
	struct __user_cap_data_struct caps[2];

	if (want->gid == now.gid && want->uid == now.uid)
		return 0;
	if (want->gid != now.gid)
		setfsgid(want->gid);
	if (want->uid != now.uid)
		setfsuid(want->uid);
	if (now.uid == own.uid && want->uid != own.uid)
		now.caps &= ~FILE_CAPS;
	else if (now.uid != own.uid && want->uid == own.uid)
		now.caps |= own.effective & FILE_CAPS;
	now.uid = (uid_t)setfsuid((uid_t)-1);
	now.gid = (gid_t)setfsgid((gid_t)-1);
	if (now.uid == want->uid && now.gid == want->gid)
		return 0;
	/* An id that our user namespace does not have must not become the daemon's own. */
	now.caps = get_caps(caps);
	return -EPERM;
}

static uint64_t caps_of(const struct rights *want)
{
	return want->uid == own.uid ? own.effective & ~want->without
				    : own.effective & (~FILE_CAPS | want->beside);
}

/* What is as it should be costs no system call. */
static int switch_to(const struct rights *want)
{
	uint64_t caps = caps_of(want);
	int r = take_groups(want);

	if (r == 0)
		r = take_ids(want);
	if (r < 0 || caps == now.caps)
		return r;
	r = set_effective(caps);
	if (r == 0)
		now.caps = caps;
	return r;
}

static bool has(const struct rights *want)
{
	return has_groups(want) && want->uid == now.uid && want->gid == now.gid &&
		caps_of(want) == now.caps;
}

static struct rights of_daemon(void)
{
	return (struct rights){.uid = own.uid, .gid = own.gid};
}

/* The one way from some rights to others. */
static int take(const struct rights *want)
{
	if (keeps && has(want)) {
		tally_add(TALLY_RIGHTS_KEPT, 1);
		return 0;
	}
	tally_add(TALLY_RIGHTS_SWITCHED, 1);
	if (!keeps) {
		const struct rights daemon = of_daemon();

		switch_to(&daemon);
	}
	return switch_to(want);
}

void cred_keep_none(void)
{
	keeps = false;
}

void cred_be_daemon(void)
{
	struct rights daemon;

	know_self();
	if (!own.can_switch)
		return;
	daemon = of_daemon();
	take(&daemon);
}

int cred_be_unprivileged_writer(void)
{
	struct rights writer;

	know_self();
	if (!own.can_switch)
		return 0;
	writer = (struct rights){.uid = own.uid, .gid = own.gid, .without = BIT(CAP_FSETID)};
	return take(&writer);
}

static int be(const struct fs_caller *who, uint64_t beside)
{
	const struct rights caller = {
		.uid = who->uid,
		.gid = who->gid,
		.n_groups = who->n_groups,
		.groups = who->groups,
		.beside = beside,
	};
	int r;

	if (who->uid == (uid_t)-1 || who->gid == (gid_t)-1 || who->n_groups > FS_GROUPS_MAX)
		return -EINVAL;
	know_self();
	r = set_umask(who->umask);
	return r < 0 || !own.can_switch ? r : take(&caller);
}

int cred_be_caller(const struct fs_caller *who)
{
	return be(who, BIT(CAP_DAC_OVERRIDE));
}

int cred_be_checked(const struct fs_caller *who)
{
	return be(who, 0);
}
