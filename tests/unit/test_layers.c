// SPDX-License-Identifier: BSD-2-Clause
// check: needs=mkfs.btrfs,btrfs,mount
/*
 * Inodes of file systems in layers: subvolumes of btrfs, whose roots have one number, and overlays,
 * whose files move from one layer to another while the guest knows them.
 */
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define LIMIT   300
#define FILLERS 600

static struct fs *fs;
static char directory[64];
static struct rlimit files_before;
static bool mounted;

/* Runs commands that make what is mounted on "export". */
static void start(const char *commands, enum pt_file_handles how)
{
	const struct passthrough_config config = {.file_handles = how, .starts_hot = true};
	struct rlimit few;

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files_before), 0);
	assert_int_equal(mkdir("export", 0755), 0);
	mounted = system(commands) == 0;
	if (!mounted) {
		print_message("cannot be mounted here\n");
		skip();
	}
	few = files_before;
	few.rlim_cur = LIMIT;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
}

static int stop(void **state)
{
	if (fs)
		passthrough_free(fs);
	fs = NULL;
	setrlimit(RLIMIT_NOFILE, &files_before);
	if (mounted)
		assert_int_equal(umount2("export", 0), 0);
	umount2("upper", 0);
	unit_leave_directory(directory);
	return 0;
}

static struct fs_entry look_up(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs->ops->lookup(fs, parent, name, &entry), 0);
	return entry;
}

/* The size of a node, or -errno. */
static int64_t size_of(uint64_t node)
{
	struct fs_target t = {.node = node};
	struct statx attr;
	int r = fs->ops->getattr(fs, &t, &attr);

	return r < 0 ? r : (int64_t)attr.stx_size;
}

static void cool_all(uint64_t parent)
{
	char name[32];

	for (int i = 0; i < 2 * FILLERS; i++) {
		snprintf(name, sizeof(name), "low%d", i % FILLERS + 1);
		look_up(parent, name);
	}
	assert_true(pt_of(fs)->cooled > FILLERS / 2);
}

static void check_subvolumes(enum pt_file_handles how)
{
	struct fs_entry a, b, in_a, in_b, fill;

	start("truncate -s 200M image && mkfs.btrfs -q image >log 2>&1 && "
	      "mount -o loop image export && btrfs -q subvolume create export/a >>log && "
	      "btrfs -q subvolume create export/b >>log && echo 1 >export/a/f && "
	      "echo 22 >export/b/f && mkdir export/fill && "
	      "for i in $(seq 600); do : >export/fill/low$i; done", how);
	a = look_up(FS_ROOT, "a");
	b = look_up(FS_ROOT, "b");
	fill = look_up(FS_ROOT, "fill");
	/* Number 256 twice, and the same number for the first file of each. */
	assert_int_equal(a.attr.stx_ino, b.attr.stx_ino);
	assert_int_not_equal(a.node, b.node);
	in_a = look_up(a.node, "f");
	in_b = look_up(b.node, "f");
	assert_int_equal(in_a.attr.stx_ino, in_b.attr.stx_ino);
	assert_int_not_equal(in_a.node, in_b.node);
	cool_all(fill.node);
	assert_int_equal(size_of(in_a.node), 2);
	assert_int_equal(size_of(in_b.node), 3);
	assert_int_equal(look_up(b.node, "f").node, in_b.node);
	cool_all(fill.node);
	assert_int_equal(look_up(a.node, "f").node, in_a.node);
	assert_int_equal(look_up(FS_ROOT, "b").node, b.node);
}

static void test_subvolumes(void **state)
{
	check_subvolumes(PT_FILE_HANDLES_PREFER);
}

static void test_subvolumes_by_name(void **state)
{
	check_subvolumes(PT_FILE_HANDLES_NEVER);
}

#define LOWER "mkdir lower upper && mkdir lower/fill && "                                          \
	"for i in $(seq 600); do : >lower/fill/low$i; done && echo low >lower/f && "
#define UPPER "mkdir upper/u upper/w && mount -t overlay -o lowerdir=lower,upperdir=upper/u,"      \
	"workdir=upper/w none export"

/* A node that was found in the lower layer is the file also when it has moved up: what is written
 * through it is in the file. */
static void check_copy_up(const char *commands)
{
	struct iovec iov = {(char[]){'n', 'e', 'w', '!', '!'}, 5};
	struct fs_target t = {.has_handle = true};
	struct fs_entry before, fill;
	struct stat st;

	start(commands, PT_FILE_HANDLES_PREFER);
	before = look_up(FS_ROOT, "f");
	t.node = before.node;
	assert_int_equal(fs->ops->open(fs, t.node, O_RDWR, false, &t.handle, NULL), 0);
	assert_int_equal(fs->ops->write(fs, &t, &iov, 1, 0, 0), 5);
	assert_int_equal(stat("export/f", &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(size_of(before.node), 5);
	assert_int_equal(fs->ops->release(fs, t.handle), 0);
	/* Whichever node its name has now, both are the file. */
	t.node = look_up(FS_ROOT, "f").node;
	assert_int_equal(truncate("export/f", 9), 0);
	assert_int_equal(size_of(t.node), 9);
	assert_int_equal(size_of(before.node), 9);
	fill = look_up(FS_ROOT, "fill");
	cool_all(fill.node);
	assert_int_equal(size_of(look_up(FS_ROOT, "f").node), 9);
	assert_int_equal(size_of(t.node), 9);
}

static void test_copy_up(void **state)
{
	check_copy_up(LOWER UPPER);
}

static void test_copy_up_elsewhere(void **state)
{
	check_copy_up(LOWER "mount -t tmpfs none upper && " UPPER);
}

#define CASE(test) cmocka_unit_test_teardown(test, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_subvolumes),
		CASE(test_subvolumes_by_name),
		CASE(test_copy_up),
		CASE(test_copy_up_elsewhere),
	};

	/* Mounts of these tests are theirs alone, and go with them. */
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
