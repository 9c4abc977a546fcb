// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/*
 * Nodes without descriptors where there is a version table: a name is looked at, by what the table
 * demands once or twice, and nothing is opened; a reply never has attributes that are older than
 * its word, and never those of another inode, whatever happens between two system calls.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/passthrough/known.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "version_world.h"

static int fds_before;

static int start(void **state)
{
	version_world_start(false);
	assert_int_equal(mkdir("export/d", 0755), 0);
	fds_before = unit_open_fds();
	return 0;
}

static int finish(void **state)
{
	version_world_finish();
	return 0;
}

static void rename_told(const char *from, const char *to)
{
	char from_path[64], to_path[64];
	uint32_t slots[3];
	struct vtable_change c = {0};

	snprintf(from_path, sizeof(from_path), "export/%s", from);
	snprintf(to_path, sizeof(to_path), "export/%s", to);
	slots[0] = name_slot_of(from);
	slots[1] = name_slot_of(to);
	slots[2] = slot_of(from_path);
	vtable_begin(w.t, &c, slots, ARRAY_SIZE(slots));
	assert_int_equal(rename(from_path, to_path), 0);
	vtable_end(w.t, &c);
}

static void put_g_over_f(void) { rename_told("g", "f"); }

static int try_lookup(const char *name, bool words, struct fs_entry *e)
{
	int r;

	w.looks = 0;
	vtable_request_begin(&w.v, w.t, words);
	r = w.fs->ops->lookup(w.fs, FS_ROOT, name, e);
	vtable_request_end(&w.v);
	return r;
}

/* Descriptors that there are beside those of the start. */
static void check_fds(int more)
{
	assert_int_equal(unit_open_fds(), fds_before + more);
}

/* A name is looked at once where nobody has ever changed what it stands for, or it was looked up
 * before; else twice. */
static void test_lookups(void **state)
{
	need_births();
	look_up("f");
	assert_int_equal(w.looks, 1);
	assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
	change("export/g", 0600);
	look_up("g");
	assert_int_equal(w.looks, 2);
	assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
	change("export/g", 0644);
	look_up("g");
	assert_int_equal(w.looks, 1);
	check_fds(0);
}

/* For a guest that has not agreed to words it is as without a table. */
static void test_without_words(void **state)
{
	struct fs_entry e;

	need_births();
	change("export/f", 0600);
	assert_int_equal(try_lookup("f", false, &e), 0);
	assert_int_equal(w.looks, 1);
	check_fds(0);
}

/* Somebody changes the file between the two looks: the second one is the reply. */
static void test_change_between(void **state)
{
	need_births();
	change("export/f", 0600);
	w.happens = change_f;
	w.at = 1;
	assert_int_equal(look_up("f").attr.stx_mode & 07777, NEWER);
	assert_int_equal(w.looks, 2);
	check_fds(0);
}

/* He gives the name to another one: that is opened. */
static void test_other_between(void **state)
{
	need_births();
	change("export/f", 0600);
	change("export/g", NEWER);
	w.happens = put_g_over_f;
	w.at = 1;
	assert_int_equal(look_up("f").attr.stx_mode & 07777, NEWER);
	check_fds(1);
}

static void remove_f(void)
{
	assert_int_equal(unlink("export/f"), 0);
}

static void test_gone_between(void **state)
{
	struct fs_entry e;

	need_births();
	change("export/f", 0600);
	w.happens = remove_f;
	w.at = 1;
	assert_int_equal(try_lookup("f", true, &e), -ENOENT);
	check_fds(0);
}

static void put_d_over_f(void)
{
	w.alias.to = number_of("export/f");
	w.alias.from = number_of("export/d");
	remove_f();
	assert_int_equal(rename("export/d", "export/f"), 0);
}

/* The same, with its number, and it is a directory, which has a descriptor from the start. */
static void test_directory_between(void **state)
{
	struct fs_entry e;

	need_births();
	change("export/f", 0600);
	w.happens = put_d_over_f;
	w.at = 1;
	assert_int_equal(try_lookup("f", true, &e), 0);
	assert_true(S_ISDIR(e.attr.stx_mode));
	check_fds(1);
}

static int getattr(uint64_t node, struct statx *attr)
{
	struct fs_target t = {.node = node};
	int r;

	vtable_request_begin(&w.v, w.t, true);
	r = w.fs->ops->getattr(w.fs, &t, attr);
	vtable_request_end(&w.v);
	return r;
}

/* Another server removes the file, and gives its name to one that has its number by then. */
static void test_number_reused(void **state)
{
	struct fs_entry before = look_up("f"), now;
	struct vt_look name = *look_of(VT_NAME), inode = *look_of(VT_CHILD_ATTR);
	struct vtable_change c = {0};
	uint32_t slots[] = {name.slot, inode.slot};
	struct statx attr;

	need_births();
	vtable_begin(w.t, &c, slots, ARRAY_SIZE(slots));
	w.alias.to = number_of("export/f");
	remove_f();
	write_file("export/new");
	w.alias.from = number_of("export/new");
	assert_int_equal(chmod("export/new", NEWER), 0);
	assert_int_equal(rename("export/new", "export/f"), 0);
	vtable_end(w.t, &c);
	/* What a guest holds of the one before is good no more. */
	assert_int_not_equal(word_of(name.slot), name.word);
	assert_int_not_equal(word_of(inode.slot), inode.word);
	assert_int_equal(try_lookup("f", true, &now), 0);
	assert_int_not_equal(now.node, before.node);
	assert_int_equal(now.attr.stx_mode & 07777, NEWER);
	assert_int_equal(getattr(before.node, &attr), -ESTALE);
	assert_int_equal(getattr(now.node, &attr), 0);
	assert_int_equal(attr.stx_mode & 07777, NEWER);
}

/* What it renames is found again when the new name is looked up. */
static void test_renamed_elsewhere(void **state)
{
	uint64_t node = look_up("f").node;
	struct statx attr;

	need_births();
	rename_told("f", "new");
	assert_int_equal(getattr(node, &attr), -ESTALE);
	assert_int_equal(look_up("new").node, node);
	assert_int_equal(getattr(node, &attr), 0);
}

static int unlink_name(const char *name)
{
	int r;

	vtable_request_begin(&w.v, w.t, true);
	r = w.fs->ops->unlink(w.fs, FS_ROOT, name);
	vtable_request_end(&w.v);
	return r;
}

static int rename_name(const char *from, const char *to)
{
	int r;

	vtable_request_begin(&w.v, w.t, true);
	r = w.fs->ops->rename(w.fs, FS_ROOT, from, FS_ROOT, to, 0);
	vtable_request_end(&w.v);
	return r;
}

/* What is known of a name is marked when that changes or goes, with a descriptor or without. */
static void test_marks(void **state)
{
	uint64_t epoch = epoch_now(), node, word;
	uint32_t slot = slot_of("export/f");
	struct statx attr;

	need_births();
	node = look_up("f").node;
	word = word_of(slot);
	assert_int_equal(rename_name("f", "new"), 0);
	assert_int_not_equal(word_of(slot), word);
	word = word_of(slot);
	assert_int_equal(getattr(node, &attr), 0);
	assert_int_equal(unlink_name("new"), 0);
	assert_int_not_equal(word_of(slot), word);
	/* The guest has it still. */
	assert_int_equal(getattr(node, &attr), 0);
	assert_int_equal(attr.stx_nlink, 0);
	assert_int_equal(epoch_now(), epoch);
}

/* The name was given to another file, of which nobody has told yet: that is found and marked. */
static void test_marks_untold(void **state)
{
	uint64_t epoch = epoch_now(), word;
	uint32_t slot = slot_of("export/g");

	need_births();
	look_up("f");
	assert_int_equal(rename("export/g", "export/f"), 0);
	word = word_of(slot);
	assert_int_equal(unlink_name("f"), 0);
	assert_int_not_equal(word_of(slot), word);
	assert_int_equal(epoch_now(), epoch);
}

enum way { BY_NOBODY, WITHOUT_WORDS, WITH_WORDS, LISTED, WAYS };

static uint64_t listed_f;

static void note_f(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	l->left--;
	if (e && strcmp(d->name, "f") == 0)
		listed_f = e->node;
}

/* The node of "f"; by nobody: of whose request the table is told nothing. */
static uint64_t find_f(enum way way)
{
	struct fs_listing l = {.add = note_f};
	struct fs_entry e;

	if (way == LISTED) {
		list_directory(FS_ROOT, true, &l);
		return listed_f;
	}
	if (way == BY_NOBODY)
		assert_int_equal(w.fs->ops->lookup(w.fs, FS_ROOT, "f", &e), 0);
	else
		assert_int_equal(try_lookup("f", way == WITH_WORDS, &e), 0);
	return e.node;
}

/* Who removes a name knows that it led to a node without descriptor, however that was found. */
static void test_ways_to_find(void **state)
{
	struct passthrough *pt = pt_of(w.fs);
	struct statx attr;

	need_births();
	for (enum way way = BY_NOBODY; way < WAYS; way++) {
		uint64_t node;

		w.fs->ops->reset(w.fs);
		assert_false(pt_seen_has(&pt->seen, pt_known_hash(pt, pt->root, "f")));
		node = find_f(way);
		assert_int_equal(pt->unopened, 1 + (way == LISTED));
		assert_true(pt_seen_has(&pt->seen, pt_known_hash(pt, pt->root, "f")));
		assert_int_equal(unlink_name("f"), 0);
		assert_int_equal(getattr(node, &attr), 0);
		assert_int_equal(attr.stx_nlink, 0);
		write_file("export/f");
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_lookups),
		CASE(test_without_words),
		CASE(test_change_between),
		CASE(test_other_between),
		CASE(test_gone_between),
		CASE(test_directory_between),
		CASE(test_number_reused),
		CASE(test_renamed_elsewhere),
		CASE(test_marks),
		CASE(test_marks_untold),
		CASE(test_ways_to_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
