// SPDX-License-Identifier: BSD-2-Clause
/* Opening files of a shared directory: those without a name, and what is said of a close. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

static struct fs *fs;
static char directory[64];
static int fds_before;
static struct fs_caller who;

static int setup(void **state)
{
	const struct passthrough_config config = {.settle_ms = 0};

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	fds_before = unit_open_fds();
	who = (struct fs_caller){.uid = getuid(), .gid = getgid(), .umask = 022};
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	return 0;
}

static int teardown(void **state)
{
	passthrough_free(fs);
	assert_int_equal(unit_open_fds(), fds_before);
	unit_leave_directory(directory);
	return 0;
}

/* A file without a name that holds this text, and its handle; false: the file system has none. */
static bool make_nameless(int flags, const char *text, struct fs_entry *e, struct fs_target *t)
{
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	int r = fs->ops->create(fs, &who, FS_ROOT, NULL, 0666, O_RDWR | flags, false, e,
		&t->handle);

	if (r == -EOPNOTSUPP)
		return false;
	assert_int_equal(r, 0);
	t->node = e->node;
	t->has_handle = true;
	assert_int_equal(fs->ops->write(fs, t, &iov, 1, 0, 0), iov.iov_len);
	return true;
}

/* A file without a name takes no name in the directory, until it is linked. */
static void test_nameless(void **state)
{
	struct fs_entry e, linked;
	struct fs_target t;
	struct stat st;

	if (!make_nameless(0, "text", &e, &t))
		skip();
	assert_int_equal(e.attr.stx_nlink, 0);
	assert_int_equal(e.attr.stx_mode, S_IFREG | 0644);
	assert_int_equal(fs->ops->link(fs, e.node, FS_ROOT, "named", &linked), 0);
	assert_int_equal(linked.node, e.node);
	assert_int_equal(linked.attr.stx_nlink, 1);
	assert_int_equal(stat("export/named", &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_ino, e.attr.stx_ino);
	assert_int_equal(fs->ops->release(fs, t.handle), 0);
	fs->ops->forget(fs, e.node, 2);
}

/* With O_EXCL it never gets a name. What is forgotten is gone. */
static void test_nameless_for_ever(void **state)
{
	struct fs_entry e, linked;
	struct fs_target t;

	if (!make_nameless(O_EXCL, "text", &e, &t))
		skip();
	assert_int_equal(fs->ops->link(fs, e.node, FS_ROOT, "named", &linked), -ENOENT);
	fs->ops->forget(fs, e.node, 1);
	assert_int_equal(fs->ops->release(fs, t.handle), 0);
	assert_int_equal(fs->ops->link(fs, e.node, FS_ROOT, "named", &linked), -ESTALE);
	assert_int_equal(access("export/named", F_OK), -1);
	/* Nothing is left in the directory. */
	assert_int_equal(rmdir("export"), 0);
}

static void test_nameless_refused(void **state)
{
	struct fs_entry e;
	uint64_t handle;

	/* For reading only it would be of no use, as open(2) says. */
	assert_int_equal(fs->ops->create(fs, &who, FS_ROOT, NULL, 0600, O_RDONLY, false, &e,
				 &handle), -EINVAL);
	assert_int_equal(fs->ops->create(fs, &who, FS_ROOT, "f", 0600, O_RDWR, false, &e,
				 &handle), 0);
	assert_int_equal(fs->ops->release(fs, handle), 0);
	assert_int_equal(fs->ops->create(fs, &who, e.node, NULL, 0600, O_RDWR, false, &e,
				 &handle), -ENOTDIR);
}

/* A file that is only read is closed in silence anywhere, one that is written where nothing is
 * held back. */
static void test_local(void **state)
{
	struct pt_mount *mount = pt_of(fs)->root->mount;
	struct fs_opened opened = {0};
	struct fs_entry e;
	uint64_t handle;

	assert_int_equal(mount->local, pt_is_local(pt_of(fs)->root->fd));
	for (int local = 0; local < 2; local++) {
		mount->local = local;
		assert_int_equal(fs->ops->create(fs, &who, FS_ROOT, "f", 0600, O_WRONLY, false, &e,
					 &handle), 0);
		assert_int_equal(e.local, local);
		assert_int_equal(fs->ops->release(fs, handle), 0);
		for (int flags = O_RDONLY; flags <= O_RDWR; flags++) {
			assert_int_equal(fs->ops->open(fs, e.node, flags, false, &handle, &opened),
				0);
			assert_int_equal(opened.local, local || flags == O_RDONLY);
			assert_int_equal(fs->ops->release(fs, handle), 0);
		}
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nameless),
		CASE(test_nameless_for_ever),
		CASE(test_nameless_refused),
		CASE(test_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
