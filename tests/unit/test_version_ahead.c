// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/*
 * Words of listed entries, which are looked at several at a time and before anything is asked of
 * the host: none is newer than the attributes beside it, whatever happens meanwhile.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "version_world.h"

#define FILES (PT_AHEAD * 2 + 3)

static struct listed {
	struct fs_listing l;
	unsigned int n, kept, current; /* the last: their words are those of now */
	uint64_t node;                 /* of the last one */
} listed;

static uint64_t directory;

static int start(void **state)
{
	version_world_start(false);
	assert_int_equal(mkdir("export/d", 0755), 0);
	directory = look_up("d").node;
	return 0;
}

static int finish(void **state)
{
	version_world_finish();
	return 0;
}

static void add_entry(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	char path[300];

	l->left--;
	if (!e || d->name[0] != 'n')
		return;
	snprintf(path, sizeof(path), "export/d/%s", d->name);
	check_entry(e, &e->attr_look, path);
	listed.n++;
	listed.kept += !!(e->attr_look.flags & VT_KEEP);
	listed.current += e->attr_look.word == word_of(e->attr_look.slot);
	listed.node = e->node;
}

/* Lists the directory of so many files; how many descriptors that left. */
static int list_files(unsigned int files)
{
	int fds = unit_open_fds();

	listed = (struct listed){.l = {.add = add_entry}};
	list_directory(directory, true, &listed.l);
	assert_int_equal(listed.n, files);
	return unit_open_fds() - fds;
}

static void change_listed(unsigned int files, mode_t mode)
{
	char path[32];

	for (unsigned int i = 0; i < files; i++) {
		snprintf(path, sizeof(path), "export/d/n%u", i);
		change(path, mode);
	}
}

/* Into the directory: files that have been changed. */
static void write_listed(unsigned int files)
{
	char path[32];

	for (unsigned int i = 0; i < files; i++) {
		snprintf(path, sizeof(path), "export/d/n%u", i);
		write_file(path);
	}
	change_listed(files, 0600);
}

/* Each entry of a listing is looked at once: the listing says which inode it will be. */
static void test_once(void **state)
{
	need_births();
	write_listed(FILES);
	assert_int_equal(list_files(FILES), 0);
	assert_int_equal(listed.kept, FILES);
	assert_int_equal(listed.current, FILES);
	assert_int_equal(w.looks, FILES);
}

static void change_all(void)
{
	change_listed(FILES, NEWER);
}

/* All files change when the first has been read: the words of some were looked at before. */
static void test_change_behind(void **state)
{
	need_births();
	write_listed(FILES);
	w.happens = change_all;
	w.at = 1;
	list_files(FILES);
	assert_int_equal(w.looks, FILES);
	assert_int_equal(listed.kept, FILES);
	assert_in_range(listed.current, FILES - PT_AHEAD, FILES - 1);
}

static void end_alias(void)
{
	w.alias.from = 0;
}

/* The name leads to another inode first, and then to the one that the listing has said. */
static void test_other_first(void **state)
{
	need_births();
	write_listed(1);
	change("export/g", 0600);
	w.alias.from = number_of("export/d/n0");
	w.alias.to = number_of("export/g");
	w.happens = end_alias;
	w.at = 1;
	list_files(1);
	assert_int_equal(listed.kept, 1);
	assert_true(w.looks > 2);
}

/* A file that is open, and of whose name nothing is remembered: it was in flight. */
static void test_open_unknown(void **state)
{
	struct vtable_change c = {0};
	struct fs_entry e;
	struct stat st;
	uint64_t handle;
	uint32_t slot;

	need_births();
	write_listed(1);
	assert_int_equal(lstat("export/d", &st), 0);
	slot = vtable_slot_of_name(w.t, st.st_dev, st.st_ino, "n0");
	vtable_begin(w.t, &c, &slot, 1);
	vtable_request_begin(&w.v, w.t, true);
	assert_int_equal(w.fs->ops->lookup(w.fs, directory, "n0", &e), 0);
	vtable_request_end(&w.v);
	vtable_end(w.t, &c);
	assert_int_equal(w.fs->ops->open(w.fs, e.node, O_RDONLY, false, &handle, NULL), 0);
	assert_int_equal(list_files(1), 0);
	assert_int_equal(listed.kept, 1);
	assert_int_equal(listed.node, e.node);
	assert_int_equal(w.fs->ops->release(w.fs, handle), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_once),
		CASE(test_change_behind),
		CASE(test_other_first),
		CASE(test_open_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
