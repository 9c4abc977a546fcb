// SPDX-License-Identifier: BSD-2-Clause
// check: needs=mount,mkfs.ext4,chattr
/*
 * The version table where file systems are not like most: names that are not compared byte by byte
 * share a slot, and what changes unheard is kept by time only.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/mount.h>

#include "base/log.h"
#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

static const struct fs_caller me = {.umask = 022};

static char directory[64];
static bool mounted;
static struct vtable *t;
static struct fs *fs;
static struct vtable_request v;
static struct fs_entry entry;

/* Makes what is mounted on "export", or is there. */
static void start(const char *commands)
{
	const struct passthrough_config config = {.file_handles = PT_FILE_HANDLES_PREFER};

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	mounted = false;
	if (commands) {
		mounted = system(commands) == 0;
		if (!mounted) {
			print_message("cannot be mounted here: %s\n", commands);
			skip();
		}
	}
	assert_int_equal(vtable_make(&t, 1u << 16), 0);
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
}

static int stop(void **state)
{
	if (fs)
		passthrough_free(fs);
	fs = NULL;
	if (t)
		vtable_close(t);
	t = NULL;
	if (mounted)
		assert_int_equal(umount2("export", 0), 0);
	/* Below an overlay. */
	umount2("upper", 0);
	unit_leave_directory(directory);
	return 0;
}

static const struct vt_look *look_of(unsigned int bit)
{
	assert_true(v.looked & bit);
	return &v.look[__builtin_ctz(bit)];
}

/* Looks a name up; the slot of the name. */
static uint32_t slot_of_name(uint64_t dir, const char *name, int expected)
{
	vtable_request_begin(&v, t, true);
	assert_int_equal(fs->ops->lookup(fs, dir, name, &entry), expected);
	vtable_request_end(&v);
	return look_of(VT_NAME)->slot;
}

static uint64_t word(uint32_t slot)
{
	struct vt_stamp stamp;

	vtable_look(t, slot, &stamp);
	return stamp.word;
}

static uint64_t make_dir(uint64_t parent, const char *name)
{
	vtable_request_begin(&v, t, true);
	assert_int_equal(fs->ops->mkdir(fs, &me, parent, name, 0755, &entry), 0);
	vtable_request_end(&v);
	return entry.node;
}

static uint32_t slot_of_listing(uint64_t dir)
{
	struct pt_node *node = pt_node_get(pt_of(fs), dir);
	struct stat st;
	uint32_t slot;

	assert_non_null(node);
	assert_int_equal(fstat(node->fd, &st), 0);
	slot = vtable_slot(t, VTABLE_LIST, st.st_dev, st.st_ino);
	pt_node_put(pt_of(fs), node);
	return slot;
}

/* A name is made under one spelling: whoever has another sees it. */
static void check_folded(uint64_t dir, int found)
{
	uint32_t slot = slot_of_name(dir, "NEW", -ENOENT);
	uint64_t before = word(slot);

	assert_int_equal(slot, slot_of_listing(dir));
	assert_int_equal(slot_of_name(dir, "new", -ENOENT), slot);
	make_dir(dir, "new");
	assert_int_not_equal(word(slot), before);
	assert_int_equal(slot_of_name(dir, "NEW", found), slot);
	/* So is one that goes, or moves away. */
	before = word(slot);
	vtable_request_begin(&v, t, true);
	assert_int_equal(fs->ops->rename(fs, dir, "new", FS_ROOT, "away", 0), 0);
	vtable_request_end(&v);
	assert_int_not_equal(word(slot), before);
}

static void check_bytes(uint64_t dir)
{
	uint32_t slot = slot_of_name(dir, "FILE", -ENOENT), other;
	uint64_t before = word(slot);

	other = slot_of_name(dir, "file", -ENOENT);
	assert_int_not_equal(slot, other);
	assert_int_not_equal(slot, slot_of_listing(dir));
	make_dir(dir, "file");
	assert_int_equal(word(slot), before);
}

/* A mount of which it is known. */
static void test_folding_mount(void **state)
{
	start(NULL);
	pt_of(fs)->root->mount->names = PT_NAMES_FOLD;
	check_folded(make_dir(FS_ROOT, "d"), -ENOENT);
}

/* One where it is known of no directory, or of one: who cannot ask marks what others look at that
 * can. */
static void test_asked(void **state)
{
	struct pt_node *node;
	uint64_t dir, before, name;
	struct stat st;
	uint32_t byte;

	start(NULL);
	pt_of(fs)->root->mount->names = PT_NAMES_ASK;
	check_bytes(make_dir(FS_ROOT, "bytes"));
	dir = make_dir(FS_ROOT, "folds");
	node = pt_node_get(pt_of(fs), dir);
	assert_int_equal(fstat(node->fd, &st), 0);
	assert_int_equal(atomic_load(&node->folds), 0);
	vtable_request_begin(&v, t, true);
	atomic_store(&node->folds, v.epoch << 2 | 3);
	vtable_request_end(&v);
	check_folded(dir, -ENOENT);
	byte = vtable_slot_of_name(t, st.st_dev, st.st_ino, "spelled");
	before = word(byte);
	make_dir(dir, "spelled");
	assert_int_not_equal(word(byte), before);
	/* When the epoch has moved it is asked again: this one never said so. */
	vtable_request_begin(&v, t, true);
	vtable_bump_epoch(t);
	vtable_request_end(&v);
	name = slot_of_name(dir, "else", -ENOENT);
	assert_int_not_equal(name, slot_of_listing(dir));
	pt_node_put(pt_of(fs), node);
}

/* A directory becomes one: all who have kept its names forget them. */
static void test_casefold(void **state)
{
	struct fs_fileattr fa = {0};
	struct fs_target dir;
	uint64_t epoch;

	start("truncate -s 32M image && mkfs.ext4 -q -O casefold image >log 2>&1 && "
	      "mount -o loop image export 2>>log");
	dir = (struct fs_target){.node = make_dir(FS_ROOT, "d")};
	assert_int_not_equal(slot_of_name(dir.node, "a", -ENOENT), slot_of_listing(dir.node));
	epoch = v.epoch;
	vtable_request_begin(&v, t, true);
	assert_int_equal(fs->ops->get_fileattr(fs, &dir, &fa), 0);
	fa.flags |= FS_CASEFOLD_FL;
	assert_int_equal(fs->ops->set_fileattr(fs, &dir, &fa), 0);
	vtable_request_end(&v);
	slot_of_name(dir.node, "a", -ENOENT);
	assert_int_not_equal(v.epoch, epoch);
	check_folded(dir.node, 0);
	/* And hands it down. */
	check_folded(make_dir(dir.node, "below"), 0);
}

/* Nobody hears of what is done to the layers. */
static void test_overlay(void **state)
{
	struct fs_target root = {.node = FS_ROOT};
	struct fs_setattr set = {.set = FS_SET_MODE, .mode = 0711};
	struct statx attr;

	start("mkdir lower upper && mount -t tmpfs none upper && mkdir upper/u upper/w && "
	      "mount -t overlay -o lowerdir=lower,upperdir=upper/u,workdir=upper/w none export "
	      "2>log");
	make_dir(FS_ROOT, "d");
	assert_int_equal(look_of(VT_NAME)->flags, VT_KEEP | VT_TIMED);
	assert_int_equal(look_of(VT_CHILD_ATTR)->flags, VT_KEEP | VT_TIMED);
	slot_of_name(FS_ROOT, "d", 0);
	assert_int_equal(look_of(VT_NAME)->flags, VT_KEEP | VT_TIMED);
	assert_int_equal(look_of(VT_CHILD_ATTR)->flags, VT_KEEP | VT_TIMED);
	vtable_request_begin(&v, t, true);
	assert_int_equal(fs->ops->setattr(fs, &root, &set, &attr), 0);
	vtable_request_end(&v);
	assert_int_equal(look_of(VT_NODE_ATTR)->flags, VT_KEEP | VT_TIMED);
}

/* A mount below: what it is, not what it is on. */
static void test_submount(void **state)
{
	start("mount -t tmpfs none export && mkdir export/over");
	slot_of_name(FS_ROOT, "over", 0);
	assert_int_equal(look_of(VT_CHILD_ATTR)->flags, VT_KEEP);
	assert_int_equal(mkdir("lower", 0755), 0);
	assert_int_equal(mount("none", "export/over", "overlay", 0, "lowerdir=lower:export"), 0);
	slot_of_name(FS_ROOT, "over", 0);
	assert_int_equal(look_of(VT_NAME)->flags, VT_KEEP);
	assert_int_equal(look_of(VT_CHILD_ATTR)->flags, VT_KEEP | VT_TIMED);
	passthrough_free(fs);
	fs = NULL;
	assert_int_equal(umount2("export/over", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_folding_mount, stop),
		cmocka_unit_test_teardown(test_asked, stop),
		cmocka_unit_test_teardown(test_casefold, stop),
		cmocka_unit_test_teardown(test_overlay, stop),
		cmocka_unit_test_teardown(test_submount, stop),
	};

	unit_alone_with_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
