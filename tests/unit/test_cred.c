// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain
/*
 * Credentials cost system calls when they change, and none while the caller stays the same: a child
 * in which such a system call is the end works on for one caller, and ends with the next one.
 */
#include "unit.h"

#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/passthrough.h"

/* As the daemon has it with --sandbox namespace. */
static const struct passthrough_config defaults = {.rooted = true, .settle_ms = 100};
static struct fs *fs;
static char directory[64];
static uint64_t below; /* a directory where everybody may make names */

static int setup(void **state)
{
	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(mkdir("export", 0755), 0);
	assert_int_equal(mkdir("export/below", 0755), 0);
	assert_int_equal(chmod("export/below", 0777), 0);
	return 0;
}

static int teardown(void **state)
{
	unit_leave_directory(directory);
	return 0;
}

/* In a child, where cmocka's words would be lost. */
#define must_work(worked) ((worked) ? (void)0 : fail_in_child(__LINE__))
static void fail_in_child(int line)
{
	dprintf(STDERR_FILENO, "test_cred.c:%d: failed\n", line);
	_exit(1);
}

/* Only in the child: it opens files by its own /proc/self. */
static void serve(void)
{
	struct fs_entry entry;

	must_work(passthrough_new("export", &defaults, &fs) == 0);
	cred_init();
	must_work(fs->ops->lookup(fs, FS_ROOT, "below", &entry) == 0);
	below = entry.node;
}

/* From here on whoever changes credentials is killed. */
static void forbid_changes(void)
{
	static const char *const calls[] = {"setfsuid", "setfsgid", "setgroups", "capset", "capget",
		"umask", "setresuid", "setresgid"};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	must_work(filter);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		must_work(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS,
				  seccomp_syscall_resolve_name(calls[i]), 0) == 0);
	must_work(seccomp_load(filter) == 0);
}

/* One of each operation that makes a name, by a user. */
static void make(unsigned int n, uid_t uid)
{
	const gid_t groups[] = {uid + 1, uid + 2};
	const struct fs_caller who = {.uid = uid, .gid = uid, .umask = 022, .n_groups = 2,
		.groups = groups};
	struct fs_entry entry;
	uint64_t handle;
	struct stat st;
	char name[4][32], path[160];

	for (unsigned int i = 0; i < 4; i++)
		snprintf(name[i], sizeof(name[i]), "%d-%u-%u", getpid(), n, i);
	must_work(fs->ops->create(fs, &who, below, name[0], 0666, O_RDWR, false, &entry,
			  &handle) == 0);
	must_work(fs->ops->release(fs, handle) == 0);
	must_work(fs->ops->mkdir(fs, &who, below, name[1], 0777, &entry) == 0);
	must_work(fs->ops->symlink(fs, &who, below, name[2], "target", &entry) == 0);
	must_work(fs->ops->mknod(fs, &who, below, name[3], S_IFIFO | 0666, 0, &entry) == 0);
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "export/below/%s", name[i]);
		must_work(lstat(path, &st) == 0 && st.st_uid == uid && st.st_gid == uid);
		must_work(S_ISLNK(st.st_mode) || (st.st_mode & 022) == 0);
	}
}

/* What the daemon does itself. */
static void look(unsigned int n)
{
	struct fs_target t = {.node = below};
	struct fs_entry entry;
	struct statx attr;
	uint64_t handle;

	must_work(fs->ops->getattr(fs, &t, &attr) == 0);
	must_work(fs->ops->lookup(fs, FS_ROOT, "below", &entry) == 0);
	must_work(fs->ops->opendir(fs, below, &handle) == 0);
	must_work(fs->ops->release(fs, handle) == 0);
}

static void make_as_one(unsigned int n)
{
	make(n, 1000);
}

static void make_as_root(unsigned int n)
{
	make(n, 0);
}

static void make_as_each(unsigned int n)
{
	make(n, 1000 + n);
}

static void make_and_look(unsigned int n)
{
	make(n, 1000);
	look(n);
}

/* How a child ends that works, and works on when credentials may not change any more. */
static int status_of(void (*work)(unsigned int n))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGSYS, SIG_DFL);
		serve();
		work(0);
		forbid_changes();
		for (unsigned int n = 1; n < 10; n++)
			work(n);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void works_on(void (*work)(unsigned int n))
{
	int status = status_of(work);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("status %#x: credentials were changed, or an operation failed", status);
}

static void is_killed(void (*work)(unsigned int n))
{
	int status = status_of(work);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void test_same_caller(void **state)
{
	works_on(make_as_one);
	works_on(look);
}

static void test_root(void **state)
{
	works_on(make_as_root);
}

/* Otherwise nothing above shows anything. */
static void test_other_callers(void **state)
{
	is_killed(make_as_each);
	is_killed(make_and_look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_callers, setup, teardown),
	};

	if (getuid() != 0) {
		printf("needs root, to be other users\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
