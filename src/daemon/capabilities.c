// SPDX-License-Identifier: BSD-2-Clause
/*
 * The capabilities that serving needs, and no others.
 *
 * What is dropped leaves every set, the bounding set included where we may, so that nothing brings
 * it back. Acting for a guest's users (cred.h) switches some of those that remain on and off.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/stages.h"

#define BIT(cap) (UINT64_C(1) << (cap))

static const char *const names[] = {
	[CAP_CHOWN] = "chown",
	[CAP_DAC_OVERRIDE] = "dac_override",
	[CAP_DAC_READ_SEARCH] = "dac_read_search",
	[CAP_FOWNER] = "fowner",
	[CAP_FSETID] = "fsetid",
	[CAP_KILL] = "kill",
	[CAP_SETGID] = "setgid",
	[CAP_SETUID] = "setuid",
	[CAP_SETPCAP] = "setpcap",
	[CAP_LINUX_IMMUTABLE] = "linux_immutable",
	[CAP_NET_BIND_SERVICE] = "net_bind_service",
	[CAP_NET_BROADCAST] = "net_broadcast",
	[CAP_NET_ADMIN] = "net_admin",
	[CAP_NET_RAW] = "net_raw",
	[CAP_IPC_LOCK] = "ipc_lock",
	[CAP_IPC_OWNER] = "ipc_owner",
	[CAP_SYS_MODULE] = "sys_module",
	[CAP_SYS_RAWIO] = "sys_rawio",
	[CAP_SYS_CHROOT] = "sys_chroot",
	[CAP_SYS_PTRACE] = "sys_ptrace",
	[CAP_SYS_PACCT] = "sys_pacct",
	[CAP_SYS_ADMIN] = "sys_admin",
	[CAP_SYS_BOOT] = "sys_boot",
	[CAP_SYS_NICE] = "sys_nice",
	[CAP_SYS_RESOURCE] = "sys_resource",
	[CAP_SYS_TIME] = "sys_time",
	[CAP_SYS_TTY_CONFIG] = "sys_tty_config",
	[CAP_MKNOD] = "mknod",
	[CAP_LEASE] = "lease",
	[CAP_AUDIT_WRITE] = "audit_write",
	[CAP_AUDIT_CONTROL] = "audit_control",
	[CAP_SETFCAP] = "setfcap",
	[CAP_MAC_OVERRIDE] = "mac_override",
	[CAP_MAC_ADMIN] = "mac_admin",
	[CAP_SYSLOG] = "syslog",
	[CAP_WAKE_ALARM] = "wake_alarm",
	[CAP_BLOCK_SUSPEND] = "block_suspend",
	[CAP_AUDIT_READ] = "audit_read",
	[CAP_PERFMON] = "perfmon",
	[CAP_BPF] = "bpf",
	[CAP_CHECKPOINT_RESTORE] = "checkpoint_restore",
};

uint64_t capability_bit(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == len && strncasecmp(name, names[i], len) == 0)
			return BIT(i);
	}
	return 0;
}

/* Which a daemon that may become any of its guest's users works with. */
static uint64_t needed(const struct isolation *config)
{
	/* Ids are switched; permissions were checked by the guest. */
	uint64_t caps = BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER);

	if (!config->readonly)
		caps |= BIT(CAP_CHOWN) | BIT(CAP_FSETID) | BIT(CAP_MKNOD);
	if (!config->readonly && config->xattr)
		caps |= BIT(CAP_SETFCAP); /* security.capability */
	/* open_by_handle_at(2), of the initial user namespace */
	if (config->file_handles && !userns_is_entered())
		caps |= BIT(CAP_DAC_READ_SEARCH);
	if (config->leases)
		caps |= BIT(CAP_LEASE); /* on files of others */
	return caps;
}

static uint64_t get_permitted(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		die("cannot read capabilities: %s", strerror(errno));
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

bool capability_is_had(int cap)
{
	return get_permitted() & BIT(cap);
}

static void keep(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = caps >> 32, .permitted = caps >> 32},
	};

	/* Without CAP_SETPCAP the bounding set stays, for programs that this one never starts. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		if (!(caps & BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, data) < 0)
		die("cannot drop capabilities: %s", strerror(errno));
}

void capabilities_cut(const struct isolation *config)
{
	uint64_t had = get_permitted();
	uint64_t missing = config->caps_added & ~had;
	/* Where all files are its own, it has nobody to become or to give them to, and set-id bits
	 * must go when it writes. */
	uint64_t caps = geteuid() == 0 ? needed(config)
				      : BIT(CAP_DAC_OVERRIDE) |
			(config->leases ? BIT(CAP_LEASE) : 0);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (missing & BIT(i))
			die("--modcaps: '+%s' is not this process's to keep: start it with that "
			    "capability", names[i]);
	}
	keep(((caps | config->caps_added) & ~config->caps_dropped) & had);
}

/* For the socket, wherever it is, and for a child that is another user. */
void capabilities_cut_monitor(void)
{
	keep((BIT(CAP_DAC_OVERRIDE) | BIT(CAP_KILL)) & get_permitted());
}

/* Marks of file systems, and files by their handles. */
void capabilities_cut_watcher(void)
{
	keep((BIT(CAP_SYS_ADMIN) | BIT(CAP_DAC_READ_SEARCH)) & get_permitted());
}

void capabilities_forsake(void)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("cannot give up new privileges: %s", strerror(errno));
	setrlimit(RLIMIT_CORE, &none);
	/* Where cores go to a program, the limit says nothing. */
	prctl(PR_SET_DUMPABLE, 0);
}
