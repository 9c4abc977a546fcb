// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/*
 * What is done early by a guess of what a name stands for: that it saves the second look where it
 * is right, and that a reply has never attributes that are older than their word where it is not,
 * whatever happens between two system calls. Nodes have a descriptor here; test_version_cold.c has
 * the others.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "version_world.h"

static const struct fs_caller me = {.umask = 022};

static void (*before_unlink)(void);
static void (*before_rename)(void);
static unsigned int renames;
static bool refuses_flags;

/* Instead of the C library's. */
int unlinkat(int fd, const char *name, int flags)
{
	if (before_unlink)
		before_unlink();
	return (int)syscall(SYS_unlinkat, fd, name, flags);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	renames++;
	if (refuses_flags && flags) {
		errno = EINVAL;
		return -1;
	}
	if (before_rename)
		before_rename();
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static int start(void **state)
{
	version_world_start(true);
	before_unlink = before_rename = NULL;
	refuses_flags = false;
	return 0;
}

static int finish(void **state)
{
	version_world_finish();
	return 0;
}

static void change_new(void) { change("export/new", NEWER); }

static uint64_t timed_now(void)
{
	return ((struct vt_header *)w.t->map)->timed;
}

/* Of what nobody has changed yet there is but one word; the second look at what somebody has
 * changed is saved by the first lookup. */
static void test_lookups(void **state)
{
	look_up("f");
	assert_int_equal(w.looks, 1);
	change("export/f", 0600);
	change("export/g", 0600);
	look_up("f");
	assert_int_equal(w.looks, 1);
	look_up("g");
	assert_int_equal(w.looks, 2);
	look_up("g");
	assert_int_equal(w.looks, 1);
	assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
}

/* Somebody changes the file when it has been looked at. */
static void test_change_between(void **state)
{
	w.happens = change_f;
	/* Without a guess, first in a slot that was nobody's. */
	w.at = 1;
	look_up("f");
	change("export/f", 0600);
	/* With the right one: the word is the one before. */
	look_up("f");
	assert_int_not_equal(look_of(VT_CHILD_ATTR)->word, word_of(slot_of("export/f")));
	/* With none, where the word says that something has happened. */
	assert_int_equal(rename("export/f", "export/g"), 0);
	assert_int_equal(link("export/g", "export/f"), 0);
	passthrough_free(w.fs);
	assert_int_equal(passthrough_new("export",
		&(struct passthrough_config){.table = w.t, .starts_hot = true}, &w.fs), 0);
	look_up("f");
	assert_int_equal(w.looks, 2);
}

static void put_g_over_f(void)
{
	assert_int_equal(rename("export/g", "export/f"), 0);
}

static void change_back(void)
{
	change("export/f", NEWER);
	assert_int_equal(rename("export/kept", "export/g"), 0);
}

/* The name stands for another file than it did, which nobody has told us. */
static void test_wrong_guess(void **state)
{
	struct fs_entry e, f = look_up("f");
	uint32_t slot = slot_of("export/f");

	assert_int_equal(link("export/f", "export/kept"), 0);
	change("export/f", 0600);
	change("export/g", 0600);
	put_g_over_f();
	e = look_up("f");
	/* At the name as well, for the node is known. */
	assert_int_equal(w.looks, 3);
	assert_int_not_equal(e.node, f.node);
	assert_int_not_equal(look_of(VT_CHILD_ATTR)->slot, slot);
	/* Again, and the guess becomes right meanwhile, too late. */
	assert_int_equal(link("export/f", "export/g"), 0);
	assert_int_equal(rename("export/kept", "export/f"), 0);
	assert_int_equal(link("export/f", "export/kept"), 0);
	w.happens = change_back;
	w.at = 2;
	e = look_up("f");
	assert_int_equal(e.node, f.node);
	assert_int_equal(w.looks, 3);
	assert_int_equal(e.attr.stx_mode & 07777, NEWER);
}

static struct fs_entry created;

static int create(const char *name)
{
	uint64_t handle;
	int r;

	w.looks = 0;
	vtable_request_begin(&w.v, w.t, true);
	r = w.fs->ops->create(w.fs, &me, FS_ROOT, name, 0644, O_RDWR, false, &created, &handle);
	vtable_request_end(&w.v);
	return r < 0 ? r : w.fs->ops->release(w.fs, handle);
}

/* Somebody has had to do with the slot of the file that is made next, most likely. */
static uint64_t touch_next(const char *last)
{
	struct vtable_change c = {0};
	struct stat st;
	uint32_t slot;

	assert_int_equal(lstat(last, &st), 0);
	slot = vtable_slot(w.t, VTABLE_ATTR, st.st_dev, st.st_ino + 1);
	vtable_begin(w.t, &c, &slot, 1);
	vtable_end(w.t, &c);
	return st.st_ino + 1;
}

static char made[64];

static void change_made(void) { change(made, NEWER); }

/* Makes files until one has the number that was to be expected. */
static void make_expected(void (*happens)(void), unsigned int looks)
{
	static int n;
	uint64_t next;

	for (int tries = 0; tries < 1000; tries++) {
		next = touch_next(made);
		snprintf(made, sizeof(made), "export/made%d", n++);
		w.happens = happens;
		w.at = happens ? 1 : 0;
		assert_int_equal(create(made + strlen("export/")), 0);
		check_entry(&created, look_of(VT_CHILD_ATTR), made);
		if (created.attr.stx_ino != next)
			continue;
		assert_int_equal(w.looks, looks);
		assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
		return;
	}
	fail_msg("no file has the number after that of the one before");
}

/* Where files have one number after the other, none needs a second look, unless somebody has found
 * it before it was marked. */
static void test_create_next(void **state)
{
	snprintf(made, sizeof(made), "export/new");
	assert_int_equal(create("new"), 0);
	make_expected(NULL, 2);
	make_expected(change_made, 3);
	assert_int_equal(created.attr.stx_mode & 07777, NEWER);
}

static void test_create(void **state)
{
	assert_int_equal(create("new"), 0);
	check_entry(&created, look_of(VT_CHILD_ATTR), "export/new");
	assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
	/* The second one is of what the name leads to, which is what was made. */
	assert_int_equal(w.looks, 2);
	/* Somebody finds it before it has been marked. */
	assert_int_equal(unlink("export/new"), 0);
	w.happens = change_new;
	w.at = 1;
	assert_int_equal(create("new"), 0);
	assert_int_equal(w.looks, 3);
	check_entry(&created, look_of(VT_CHILD_ATTR), "export/new");
	assert_int_equal(created.attr.stx_mode & 07777, NEWER);
}

static int unlink_name(const char *name)
{
	int r;

	w.looks = 0;
	vtable_request_begin(&w.v, w.t, true);
	r = w.fs->ops->unlink(w.fs, FS_ROOT, name);
	vtable_request_end(&w.v);
	return r;
}

/* Whether the change marked a file, by its slot and what its word was. */
static bool is_marked(uint32_t slot, uint64_t word)
{
	return word_of(slot) != word;
}

/* What the name is known to stand for is marked, and not looked at; what is not known is found. */
static void test_unlink(void **state)
{
	const struct {
		const char *name;
		unsigned int looks;
	} files[] = {{"f", 0}, {"new", 0}, {"g", 3}};
	uint64_t epoch = epoch_now();

	look_up("f");
	assert_int_equal(create("new"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[64];
		uint32_t slot;
		uint64_t word;

		snprintf(path, sizeof(path), "export/%s", files[i].name);
		slot = slot_of(path);
		word = word_of(slot);
		assert_int_equal(unlink_name(files[i].name), 0);
		assert_int_equal(w.looks, files[i].looks);
		assert_true(is_marked(slot, word));
	}
	assert_int_equal(epoch_now(), epoch);
}

static uint32_t name_slot(void) { return name_slot_of("f"); }

static void change_slot(uint32_t slot)
{
	struct vtable_change c = {0};

	vtable_begin(w.t, &c, &slot, 1);
	vtable_end(w.t, &c);
}

static void change_name(void) { change_slot(name_slot()); }

static void change_listing(void)
{
	struct stat root;

	assert_int_equal(lstat("export", &root), 0);
	change_slot(vtable_slot(w.t, VTABLE_LIST, root.st_dev, root.st_ino));
}

/* As another server renames. */
static void rename_over(void)
{
	uint32_t slots[] = {name_slot(), slot_of("export/f"), slot_of("export/g")};
	struct vtable_change c = {0};

	vtable_begin(w.t, &c, slots, ARRAY_SIZE(slots));
	put_g_over_f();
	vtable_end(w.t, &c);
}

static void move_epoch(void) { vtable_bump_epoch(w.t); }

/* Somebody is at the name when it is removed, or nobody knows whether he was: the epoch moves. Who
 * comes there once comes again: the next time it need not, as what is there is looked for. */
static void test_others_at_name(void **state)
{
	static void (*const others[])(void) = {change_name, rename_over, move_epoch};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		bool is_epoch = others[i] == move_epoch;
		uint64_t epoch = epoch_now();

		look_up("f");
		before_unlink = others[i];
		assert_int_equal(unlink_name("f"), 0);
		before_unlink = NULL;
		assert_int_equal(w.looks, 0);
		assert_int_equal(epoch_now(), epoch + 1 + is_epoch);
		epoch = epoch_now();
		write_file("export/f");
		look_up("f");
		before_unlink = is_epoch ? NULL : change_name;
		assert_int_equal(unlink_name("f"), 0);
		assert_int_equal(w.looks, is_epoch ? 0 : 3);
		assert_int_equal(epoch_now(), epoch);
		assert_int_equal(timed_now(), 0);
		finish(state);
		start(state);
	}
}

static void watch_none(void) { pt_of(w.fs)->root->mount->unwatched = true; }
static void fold_names(void) { pt_of(w.fs)->root->mount->names = PT_NAMES_FOLD; }
static void be_timed(void) { ((struct vt_header *)w.t->map)->timed = 1; }

/* What the name stood for is not believed any more, but looked for. */
static void test_known_no_more(void **state)
{
	static void (*const why[])(void) = {
		change_name, move_epoch, be_timed, watch_none, fold_names};

	for (size_t i = 0; i < ARRAY_SIZE(why); i++) {
		uint64_t epoch, word;
		uint32_t slot;

		look_up("f");
		why[i]();
		put_g_over_f();
		slot = slot_of("export/f");
		word = word_of(slot);
		epoch = epoch_now();
		assert_int_equal(unlink_name("f"), 0);
		assert_int_equal(w.looks, 3);
		assert_true(is_marked(slot, word));
		assert_int_equal(epoch_now(), epoch);
		finish(state);
		start(state);
	}
}

/* What was remembered by the word of the listing, whose slot names share there, is not believed
 * either, nor by the same word of another slot when they do not any more. */
static void test_folded(void **state)
{
	change_listing();
	fold_names();
	look_up("f");
	change_name();
	put_g_over_f();
	pt_of(w.fs)->root->mount->names = PT_NAMES_BYTES;
	assert_int_equal(unlink_name("f"), 0);
	assert_int_equal(w.looks, 3);
}

static void look_up_nothing(const char *name)
{
	struct fs_entry e;

	vtable_request_begin(&w.v, w.t, true);
	assert_int_equal(w.fs->ops->lookup(w.fs, FS_ROOT, name, &e), -ENOENT);
	vtable_request_end(&w.v);
}

static void link_new(void)
{
	assert_int_equal(link("export/f", "export/new"), 0);
}

static int rename_name(const char *from, const char *to, unsigned int flags)
{
	int r;

	w.looks = renames = 0;
	vtable_request_begin(&w.v, w.t, true);
	r = w.fs->ops->rename(w.fs, FS_ROOT, from, FS_ROOT, to, flags);
	vtable_request_end(&w.v);
	return r;
}

/* With so many system calls that read attributes. */
static void check_rename(const char *from, const char *to, unsigned int expected)
{
	assert_int_equal(rename_name(from, to, 0), 0);
	assert_int_equal(w.looks, expected);
	assert_int_equal(renames, 1);
}

static void test_rename(void **state)
{
	uint64_t epoch = epoch_now();
	struct stat st;

	look_up("f");
	look_up("g");
	/* Nobody looks at what has moved. */
	check_rename("f", "new", 0);
	/* What has moved is known under its new name; the old one is known to be nobody's. */
	check_rename("new", "f", 0);
	/* Something has moved if the new name is its only one. */
	w.vain = 0;
	check_rename("f", "g", 1);
	assert_int_equal(w.vain, 0);
	assert_int_equal(rename_name("g", "f", RENAME_NOREPLACE), 0);
	assert_int_equal(w.looks, 0);
	assert_int_equal(lstat("export/g", &st), -1);
	/* So is what had to be found. */
	change_name();
	check_rename("f", "new", 2);
	check_rename("new", "f", 0);
	/* Two names of one inode: nothing is gone, whatever somebody thinks. */
	assert_int_equal(link("export/f", "export/g"), 0);
	look_up("g");
	assert_int_equal(rename_name("f", "g", 0), 0);
	assert_false(vtable_request_was_alone(&w.v, VT_NAME));
	assert_false(vtable_request_was_alone(&w.v, VT_TO_NAME));
	assert_int_equal(rename_name("f", "g", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(unlink_name("g"), 0);
	assert_int_equal(epoch_now(), epoch);
}

static void check_slots(unsigned int attr_bit, unsigned int list_bit, const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(w.v.touched & (attr_bit | list_bit), attr_bit | list_bit);
	assert_int_equal(w.v.slot[__builtin_ctz(attr_bit)],
		vtable_slot(w.t, VTABLE_ATTR, st.st_dev, st.st_ino));
	assert_int_equal(w.v.slot[__builtin_ctz(list_bit)],
		vtable_slot(w.t, VTABLE_LIST, st.st_dev, st.st_ino));
}

/* What is marked of the directories, be they one or two. */
static void test_rename_directories(void **state)
{
	struct fs_entry sub;

	check_rename("f", "new", 2);
	check_slots(VT_NODE_ATTR, VT_NODE_LIST, "export");
	check_slots(VT_TO_ATTR, VT_TO_LIST, "export");
	assert_int_equal(mkdir("export/sub", 0755), 0);
	sub = look_up("sub");
	vtable_request_begin(&w.v, w.t, true);
	assert_int_equal(w.fs->ops->rename(w.fs, FS_ROOT, "new", sub.node, "f", 0), 0);
	vtable_request_end(&w.v);
	check_slots(VT_NODE_ATTR, VT_NODE_LIST, "export");
	check_slots(VT_TO_ATTR, VT_TO_LIST, "export/sub");
}

/* Somebody is at the old name while it is moved, or the epoch moves: then what has moved is looked
 * at, and if it is another inode, or nobody knows, the epoch moves. */
static void test_others_at_old_name(void **state)
{
	static void (*const others[])(void) = {change_name, move_epoch, rename_over};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		bool moves = others[i] != change_name;
		uint64_t epoch = epoch_now();

		look_up("f");
		look_up_nothing("new");
		before_rename = others[i];
		check_rename("f", "new", 1);
		assert_int_equal(epoch_now(), epoch + moves);
		finish(state);
		start(state);
	}
}

/* A name that was nobody's is somebody's: that nobody is remembered, or what is there is found. */
static void test_rename_over(void **state)
{
	uint64_t epoch = epoch_now(), word;
	uint32_t slot;

	look_up("f");
	assert_int_equal(rename_name("f", "new", 0), 0);
	write_file("export/f");
	change_name();
	slot = slot_of("export/f");
	word = word_of(slot);
	assert_int_equal(rename_name("new", "f", 0), 0);
	assert_true(is_marked(slot, word));
	assert_int_equal(epoch_now(), epoch);
}

/* A process of the host has given the old name away, of which nobody has told yet: the watcher is
 * about to tell of the new one as well (test_watch_renames.c), and nobody has to look. */
static void test_rename_untold(void **state)
{
	uint64_t epoch = epoch_now();

	look_up("f");
	look_up_nothing("new");
	put_g_over_f();
	check_rename("f", "new", 0);
	assert_int_equal(epoch_now(), epoch);
}

static void write_new(void) { write_file("export/new"); }

static void link_g(void)
{
	assert_int_equal(unlink("export/g"), 0);
	assert_int_equal(link("export/f", "export/g"), 0);
}

/* It has taken the new name: what is there is found, and replaced unless it is what was to move. */
static void test_rename_taken(void **state)
{
	static void (*const others[])(void) = {write_new, link_new};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		uint64_t epoch = epoch_now(), word;
		uint32_t slot;

		look_up("f");
		look_up_nothing("new");
		others[i]();
		slot = slot_of("export/new");
		word = word_of(slot);
		assert_int_equal(rename_name("f", "new", 0), 0);
		assert_int_equal(renames, 2);
		assert_true(is_marked(slot, word));
		assert_int_equal(vtable_request_was_alone(&w.v, VT_NAME), others[i] == write_new);
		assert_int_equal(epoch_now(), epoch);
		finish(state);
		start(state);
	}
}

/* It has made both names those of one inode: nothing moves, which the old name shows. */
static void test_rename_of_nothing(void **state)
{
	uint64_t epoch = epoch_now();

	look_up("f");
	look_up("g");
	link_g();
	check_rename("f", "g", 2);
	assert_int_equal(epoch_now(), epoch + 1);
}

/* What moves has another name: it has moved if the old one is nobody's. */
static void test_rename_of_linked(void **state)
{
	uint64_t epoch = epoch_now();

	assert_int_equal(link("export/f", "export/other"), 0);
	look_up("f");
	look_up("g");
	w.vain = 0;
	check_rename("f", "g", 2);
	assert_int_equal(w.vain, 1);
	assert_int_equal(epoch_now(), epoch);
}

/* A process of the host has given the old name away: of what has moved the watcher will tell, as
 * nobody looks for the new name of what was remembered. */
static void test_replace_untold(void **state)
{
	uint64_t epoch = epoch_now();

	write_file("export/other");
	look_up("f");
	look_up("other");
	put_g_over_f();
	w.vain = 0;
	check_rename("f", "other", 2);
	assert_int_equal(w.vain, 1);
	assert_int_equal(epoch_now(), epoch);
}

/* It has made the old name, which is known to be nobody's: what moves nobody has marked. */
static void test_rename_of_nobody(void **state)
{
	uint64_t epoch = epoch_now();

	look_up_nothing("new");
	look_up_nothing("newer");
	write_new();
	check_rename("new", "newer", 0);
	assert_int_equal(epoch_now(), epoch + 1);
}

/* A file system that does not know the flag is asked once, and looked at after that. That a
 * directory cannot be moved below itself says nothing of the flag. */
static void test_rename_without_flags(void **state)
{
	uint64_t epoch = epoch_now();
	struct fs_entry sub;

	assert_int_equal(mkdir("export/sub", 0755), 0);
	sub = look_up("sub");
	vtable_request_begin(&w.v, w.t, true);
	assert_int_equal(w.fs->ops->rename(w.fs, FS_ROOT, "sub", sub.node, "below", 0), -EINVAL);
	vtable_request_end(&w.v);
	look_up("f");
	look_up_nothing("new");
	check_rename("f", "new", 0);
	refuses_flags = true;
	assert_int_equal(rename_name("new", "f", 0), 0);
	assert_int_equal(renames, 2);
	assert_int_equal(w.looks, 1);
	check_rename("f", "new", 1);
	assert_int_equal(rename_name("new", "f", RENAME_NOREPLACE), -EINVAL);
	assert_int_equal(epoch_now(), epoch);
}

/* Where names are compared otherwise, or nobody watches, what has moved is looked at. */
static void test_rename_unbelieved(void **state)
{
	static void (*const why[])(void) = {fold_names, watch_none, be_timed};

	for (size_t i = 0; i < ARRAY_SIZE(why); i++) {
		look_up("f");
		look_up_nothing("new");
		why[i]();
		check_rename("f", "new", 2);
		finish(state);
		start(state);
	}
}

/* A name that was nobody's in a directory that has been forgotten since. */
static void test_nobody_in_another_life(void **state)
{
	uint64_t epoch = epoch_now();

	for (int again = 0; again < 2; again++) {
		uint32_t slot;
		uint64_t word;
		struct fs_entry sub, e;

		if (mkdir("export/sub", 0755) == 0)
			assert_int_equal(rename("export/f", "export/sub/f"), 0);
		sub = look_up("sub");
		vtable_request_begin(&w.v, w.t, true);
		assert_int_equal(w.fs->ops->lookup(w.fs, sub.node, "f", &e), 0);
		vtable_request_end(&w.v);
		if (!again) {
			vtable_request_begin(&w.v, w.t, true);
			assert_int_equal(w.fs->ops->lookup(w.fs, sub.node, "new", &e), -ENOENT);
			vtable_request_end(&w.v);
			w.fs->ops->forget(w.fs, sub.node, 1);
			continue;
		}
		assert_int_equal(rename("export/g", "export/sub/new"), 0);
		slot = slot_of("export/sub/new");
		word = word_of(slot);
		vtable_request_begin(&w.v, w.t, true);
		assert_int_equal(w.fs->ops->rename(w.fs, sub.node, "f", sub.node, "new", 0), 0);
		vtable_request_end(&w.v);
		assert_true(is_marked(slot, word));
	}
	assert_int_equal(epoch_now(), epoch);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_lookups),
		CASE(test_change_between),
		CASE(test_wrong_guess),
		CASE(test_create),
		CASE(test_create_next),
		CASE(test_unlink),
		CASE(test_others_at_name),
		CASE(test_known_no_more),
		CASE(test_folded),
		CASE(test_rename),
		CASE(test_rename_over),
		CASE(test_rename_directories),
		CASE(test_others_at_old_name),
		CASE(test_rename_untold),
		CASE(test_rename_taken),
		CASE(test_rename_of_nothing),
		CASE(test_rename_of_linked),
		CASE(test_replace_untold),
		CASE(test_rename_of_nobody),
		CASE(test_rename_without_flags),
		CASE(test_rename_unbelieved),
		CASE(test_nobody_in_another_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
