// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/*
 * What listings have told is told again (fs/passthrough/told.h): without a look at the host as long
 * as the words of the name and of the inode are the same and somebody watches, and else never.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "coherence/words.h"
#include "fs/passthrough/pt.h"
#include "version_world.h"

enum { F, G, FILES };

static struct listed {
	struct fs_listing l;
	struct fs_entry entry[FILES];
	unsigned int n;
} listed;

static void add_entry(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	l->left--;
	if (d->name_len != 1 || d->name[0] == '.')
		return;
	listed.entry[d->name[0] - 'f'] = *e;
	listed.n++;
}

static void move_watcher(void)
{
	atomic_fetch_add(words_head(w.t, watcher), 1);
}

static bool move_it;

/* Lists the share; how many looks at attributes that took. */
static unsigned int list(bool words)
{
	if (move_it)
		move_watcher();
	listed = (struct listed){.l = {.add = add_entry}};
	list_directory(FS_ROOT, words, &listed.l);
	assert_int_equal(listed.n, FILES);
	return w.looks;
}

static mode_t mode_of(int file)
{
	return listed.entry[file].attr.stx_mode & 07777;
}

/* That an entry is what its file is now, and kept if it may be. */
static void check_now(int file, bool keep)
{
	const struct fs_entry *e = &listed.entry[file];
	const char *path = file == F ? "export/f" : "export/g";
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_not_equal(e->node, 0);
	assert_int_equal(e->attr.stx_ino, st.st_ino);
	assert_int_equal(e->attr.stx_mode, st.st_mode);
	assert_int_equal(e->attr.stx_size, st.st_size);
	assert_int_equal(e->attr.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	assert_int_equal(e->attr_look.slot, slot_of(path));
	assert_int_equal(e->name_look.slot, name_slot_of(path + strlen("export/")));
	assert_int_equal(e->attr_look.flags, keep ? VT_KEEP : 0);
	if (keep)
		assert_int_equal(e->attr_look.word, word_of(e->attr_look.slot));
}

/* After this all is told again. */
static int start(void **state)
{
	version_world_start(true);
	move_it = true;
	assert_int_equal(list(true), FILES);
	assert_int_equal(list(true), FILES);
	return 0;
}

static int finish(void **state)
{
	version_world_finish();
	return 0;
}

static void test_again(void **state)
{
	const uint64_t node = listed.entry[F].node;
	struct fs_target t = {.node = node};
	struct statx attr;

	assert_int_equal(list(true), 0);
	check_now(F, true);
	check_now(G, true);
	assert_int_equal(listed.entry[F].node, node);
	/* Each time that it is told counts as a lookup. */
	w.fs->ops->forget(w.fs, node, 2);
	assert_int_equal(w.fs->ops->getattr(w.fs, &t, &attr), 0);
	w.fs->ops->forget(w.fs, node, 1);
	assert_int_equal(w.fs->ops->getattr(w.fs, &t, &attr), -ESTALE);
	/* What the guest has forgotten is found anew. */
	assert_int_equal(list(true), 1);
	assert_int_not_equal(listed.entry[F].node, node);
	check_now(F, true);
}

/* A guest without words is told what the host says now. */
static void test_without_words(void **state)
{
	assert_int_equal(list(false), FILES);
}

/* The other server's guest changes a file: that one is looked at. */
static void test_changed(void **state)
{
	change_f();
	assert_int_equal(list(true), 1);
	assert_int_equal(mode_of(F), NEWER);
	check_now(F, true);
	check_now(G, true);
	assert_int_equal(list(true), 0);
	check_now(F, true);
}

static void test_in_flight(void **state)
{
	struct vtable_change c = {0};
	uint32_t slot = slot_of("export/f");

	vtable_begin(w.t, &c, &slot, 1);
	assert_int_equal(chmod("export/f", NEWER), 0);
	assert_int_equal(list(true), 1);
	check_now(F, false);
	vtable_end(w.t, &c);
	assert_int_equal(list(true), 1);
	check_now(F, true);
}

static void exchange(void)
{
	assert_int_equal(renameat2(AT_FDCWD, "export/f", AT_FDCWD, "export/g", RENAME_EXCHANGE), 0);
}

/* By another server. */
static void exchange_told(const uint32_t *slots, unsigned int n)
{
	struct vtable_change c = {0};

	vtable_begin(w.t, &c, slots, n);
	exchange();
	vtable_end(w.t, &c);
}

/* The name is another file's. */
static void test_renamed(void **state)
{
	uint32_t slots[] = {name_slot_of("f"), name_slot_of("g"), slot_of("export/f"),
		slot_of("export/g")};

	assert_int_equal(list(true), 0);
	exchange_told(slots, ARRAY_SIZE(slots));
	list(true);
	check_now(F, true);
	check_now(G, true);
}

/* Two files change places, of whose attributes nobody has changed anything: their names tell. */
static void test_names_changed(void **state)
{
	uint32_t slots[] = {name_slot_of("f"), name_slot_of("g")};
	uint64_t node = listed.entry[F].node;

	exchange_told(slots, ARRAY_SIZE(slots));
	list(true);
	assert_int_equal(listed.entry[G].node, node);
	check_now(F, true);
	check_now(G, true);
}

/* A process of the host changes something: it is told as soon as the watcher has, and a name at
 * once where the directory has another number for it. */
static void test_host(void **state)
{
	assert_int_equal(chmod("export/f", NEWER), 0);
	assert_int_equal(list(true), 0);
	assert_int_equal(mode_of(F), 0644);
	vtable_pass_on(w.t, slot_of("export/f"));
	assert_int_equal(list(true), 1);
	check_now(F, true);
	exchange();
	assert_true(list(true) >= FILES);
	assert_int_equal(mode_of(G), NEWER);
	assert_int_equal(mode_of(F), 0644);
}

static void test_epoch(void **state)
{
	assert_int_equal(chmod("export/f", NEWER), 0);
	vtable_bump_epoch(w.t);
	assert_int_equal(list(true), FILES);
	check_now(F, true);
	assert_int_equal(chmod("export/f", 0600), 0);
	vtable_bump_epoch(w.t);
	/* What the name stands for is known again, the attributes are not. */
	look_up("f");
	assert_int_equal(list(true), FILES);
	check_now(F, true);
}

static void test_poisoned(void **state)
{
	vtable_poison(w.t);
	assert_int_equal(list(true), FILES);
}

static void test_timed(void **state)
{
	atomic_store(words_head(w.t, timed), 1);
	assert_int_equal(list(true), FILES);
	atomic_store(words_head(w.t, timed), 0);
	assert_int_equal(list(true), 0);
}

/* Nobody watches, or somebody did until lately. */
static void test_unwatched(void **state)
{
	uint64_t beat = atomic_load(words_head(w.t, watcher));

	move_it = false;
	atomic_store(words_head(w.t, watcher), 0);
	assert_int_equal(list(true), FILES);
	atomic_store(words_head(w.t, watcher), beat);
	assert_int_equal(list(true), 0);
	w.t->beat.ms -= VT_LEASE_MS;
	assert_int_equal(list(true), FILES);
	move_watcher();
	assert_int_equal(list(true), 0);
	passthrough_watch_lost(w.fs);
	assert_int_equal(list(true), FILES);
}

/* A server that nobody asks knows, too, when the watcher last moved. */
static void test_idle(void **state)
{
	move_it = false;
	move_watcher();
	vtable_tick(w.t);
	w.t->beat.ms -= VT_LEASE_MS;
	assert_int_equal(list(true), FILES);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_again),
		CASE(test_without_words),
		CASE(test_changed),
		CASE(test_in_flight),
		CASE(test_renamed),
		CASE(test_names_changed),
		CASE(test_host),
		CASE(test_epoch),
		CASE(test_poisoned),
		CASE(test_timed),
		CASE(test_unwatched),
		CASE(test_idle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
