// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain
/*
 * The profile itself: what it allows and what a call does that it does not, tried by a child that
 * has loaded it. Calls are made by number, so that nothing of libc's comes between.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "daemon/isolation.h"
#include "daemon/stages.h"

#define NO_FD  (-1l)
#define CALLED 77 /* status of a child that came to its end */

/* How a child ends that loads the profile and makes a call. */
static int try(const struct isolation *config, bool monitor, long nr, long a, long b, long c)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		/* cmocka catches it. */
		signal(SIGSYS, SIG_DFL);
		/* Without it the profile is root's to load only. */
		capabilities_forsake();
		if (monitor)
			seccomp_enter_monitor(config);
		else
			seccomp_enter(config);
		syscall(nr, a, b, c, 0, 0, 0);
		syscall(SYS_exit_group, CALLED);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void allowed(const struct isolation *config, long nr, long a, long b, long c)
{
	int status = try(config, false, nr, a, b, c);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != CALLED)
		fail_msg("system call %ld(%ld, %ld, %ld) was not let through", nr, a, b, c);
}

static void killed(const struct isolation *config, long nr, long a, long b, long c)
{
	int status = try(config, false, nr, a, b, c);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("system call %ld(%ld, %ld, %ld) was let through", nr, a, b, c);
}

/* What could start a program, reach another process, the network or the kernel. */
static void test_killed(void **state)
{
	const struct isolation config = {.seccomp = SECCOMP_KILL};
	static const long never[] = {
		SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_ptrace, SYS_process_vm_writev,
		SYS_socket, SYS_connect, SYS_bind, SYS_listen, SYS_kill, SYS_mount, SYS_umount2,
		SYS_pivot_root, SYS_chroot, SYS_setns, SYS_init_module, SYS_bpf,
		SYS_perf_event_open,
		SYS_keyctl, SYS_io_uring_setup, SYS_userfaultfd, SYS_setuid, SYS_setresuid,
		SYS_memfd_create, SYS_personality, SYS_swapon, SYS_reboot,
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		killed(&config, never[i], NO_FD, 0, 0);
}

static void test_allowed(void **state)
{
	const struct isolation config = {.seccomp = SECCOMP_KILL};
	static const long always[] = {
		SYS_openat2, SYS_openat, SYS_statx, SYS_fsync, SYS_preadv, SYS_pwritev2,
		SYS_getdents64, SYS_recvmsg, SYS_futex, SYS_close,
	};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		allowed(&config, always[i], NO_FD, 0, 0);
}

/* Arguments count where a call can do more than what it is needed for. */
static void test_arguments(void **state)
{
	const struct isolation config = {.seccomp = SECCOMP_KILL};

	allowed(&config, SYS_mprotect, 0, 0, PROT_READ | PROT_WRITE);
	killed(&config, SYS_mprotect, 0, 0, PROT_READ | PROT_EXEC);
	killed(&config, SYS_mmap, 0, 4096, PROT_EXEC);
	allowed(&config, SYS_ioctl, NO_FD, FS_IOC_GETFLAGS, 0);
	killed(&config, SYS_ioctl, NO_FD, 0x5412 /* TIOCSTI */, 0);
	killed(&config, SYS_ioctl, NO_FD, FICLONE, 0);
	allowed(&config, SYS_unshare, CLONE_FS, 0, 0);
	killed(&config, SYS_unshare, CLONE_NEWUSER, 0, 0);
	killed(&config, SYS_clone, SIGCHLD, 0, 0);
	killed(&config, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0);
	killed(&config, SYS_tgkill, 1, 1, SIGTERM);
	/* Its flags are in memory: libraries are told to take clone(2). */
	allowed(&config, SYS_clone3, 0, 0, 0);
}

/* Options that are not given do not open anything. */
static void test_groups(void **state)
{
	struct isolation config = {.seccomp = SECCOMP_KILL};

	killed(&config, SYS_setxattr, 0, 0, 0);
	killed(&config, SYS_open_by_handle_at, NO_FD, 0, 0);
	config.xattr = config.file_handles = true;
	allowed(&config, SYS_setxattr, 0, 0, 0);
	allowed(&config, SYS_open_by_handle_at, NO_FD, 0, 0);
}

static void test_modes(void **state)
{
	struct isolation config = {.seccomp = SECCOMP_TRAP};

	killed(&config, SYS_socket, NO_FD, 0, 0);
	config.seccomp = SECCOMP_LOG;
	allowed(&config, SYS_socket, NO_FD, 0, 0);
	config.seccomp = SECCOMP_NONE;
	allowed(&config, SYS_socket, NO_FD, 0, 0);
}

/* The process outside only passes signals on. */
static void test_monitor(void **state)
{
	const struct isolation config = {.seccomp = SECCOMP_KILL};
	int status = try(&config, true, SYS_openat, AT_FDCWD, 0, 0);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = try(&config, true, SYS_execve, 0, 0, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = try(&config, true, SYS_unlink, 0, 0, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CALLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_monitor),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
