// SPDX-License-Identifier: BSD-2-Clause
/*
 * The system calls of the source, and no others.
 *
 * The profile is made when the program is built, out of the declarations beside the functions
 * (tools/syscalls.py); a group of them counts only where an option uses it. What a C library does
 * on its own (memory, threads, the end) is declared here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/newer.h"
#include "base/util.h"
#include "daemon/stages.h"

/* Memory is never made executable. What glibc's malloc(3) and threads need:
 *
 * #syscalls: brk mmap:2&PROT_EXEC=0 mprotect:2&PROT_EXEC=0 munmap mremap madvise
 * #syscalls: futex set_robust_list rseq exit sched_getaffinity sched_yield getrandom
 * #syscalls: clone:0&NEW_OR_THREAD=CLONE_THREAD prctl:0=PR_SET_NAME
 * #syscalls: rt_sigprocmask rt_sigreturn restart_syscall
 *
 * its ends, in order or by abort(3):
 *
 * #syscalls: exit_group rt_sigaction getpid gettid tgkill:0=OWN_PID
 *
 * and, where the kernel has no vDSO:
 *
 * #syscalls: clock_gettime gettimeofday time */
#define NEW_OR_THREAD                                                                              \
	(CLONE_THREAD | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |              \
		CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
/* Stands for what getpid() says: the table of rules holds constants only. */
#define OWN_PID UINT32_MAX

/* A rule of the profile. */
struct rule {
	const char *group, *name;
	int nr;
	int arg; /* the argument that is compared, or -1 */
	uint32_t mask, value;
};

/* Whether the rules of a group are wanted. Those of a group that is not here always are. */
static bool is_wanted(const struct isolation *config, const char *group)
{
	const struct {
		const char *group;
		bool wanted;
	} conditions[] = {
		{"monitor", false},
		{"watcher", false},
		{"xattr", config->xattr},
		{"file-handles", config->file_handles},
		{"syslog", config->syslog},
		{"record", config->record},
		{"dax", config->dax},
		{"versions", config->versions},
		{"control", config->control},
	};

	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		if (strcmp(conditions[i].group, group) == 0)
			return conditions[i].wanted;
	}
	return true;
}

static int add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
	const struct scmp_arg_cmp cmp = {
		.arg = (unsigned int)rule->arg,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = rule->mask,
		.datum_b = rule->value == OWN_PID ? (uint32_t)getpid() : rule->value,
	};
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->nr, rule->arg >= 0, &cmp);

	/* Several groups may have it. */
	return r == -EEXIST ? 0 : r;
}

/* All rules of the daemon, or those of the one group. */
static int add_rules(scmp_filter_ctx filter, const struct isolation *config, const char *only)
{
#define PROFILE_ENTRY(in, call, argument, bits, is)                                                \
	{.group = (in), .name = #call, .nr = __NR_##call, .arg = (argument), .mask = (bits),       \
		.value = (uint32_t)(is)},
	/* Static: made on the stack, it takes a minute to compile with sanitizers. */
	static const struct rule rules[] = {
#include "daemon/profile.inc"
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];

		if (only ? strcmp(rule->group, only) == 0 : is_wanted(config, rule->group))
			r = add_rule(filter, rule);
	}
	return r;
}

static uint32_t action_of(enum seccomp_mode mode)
{
	return mode == SECCOMP_TRAP ? SCMP_ACT_TRAP
		: mode == SECCOMP_LOG ? SCMP_ACT_LOG
				      : SCMP_ACT_KILL_PROCESS;
}

static void enter(const struct isolation *config, const char *only)
{
	scmp_filter_ctx filter;
	int r;

	if (config->seccomp == SECCOMP_NONE)
		return;
	filter = seccomp_init(action_of(config->seccomp));
	if (!filter)
		die("--seccomp: %s", strerror(ENOMEM));
	/* A search tree instead of a list. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = add_rules(filter, config, only);
	/* Its flags are in memory, where no filter sees them: libraries then use clone(2). */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), __NR_clone3, 0);
	if (r == 0)
		r = seccomp_load(filter);
	if (r < 0)
		die("--seccomp: cannot load the profile: %s; a kernel without seccomp needs "
		    "--seccomp none", strerror(-r));
	seccomp_release(filter);
}

void seccomp_enter(const struct isolation *config)
{
	enter(config, NULL);
}

void seccomp_enter_monitor(const struct isolation *config)
{
	enter(config, "monitor");
}

void seccomp_enter_watcher(const struct isolation *config)
{
	enter(config, "watcher");
}
