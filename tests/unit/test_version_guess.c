// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/*
 * What is done early by a guess of what a name stands for: that it saves the second look where it
 * is right, and that a reply has never attributes that are older than their word where it is not,
 * whatever happens between two system calls.
 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"

#define SLOTS (1u << 16)
#define NEWER 0640

static const struct fs_caller me = {.umask = 022};

static struct {
	struct vtable *t;
	struct fs *fs;
	struct vtable_request v;
	char directory[64];
} s;

static unsigned int looks; /* system calls that read attributes */
static unsigned int at;    /* after which of them the following happens; 0: never */
static void (*happens)(void);

/* Instead of the C library's: what passes through here is what the file system looks at. */
int statx(int fd, const char *restrict path, int flags, unsigned int mask,
	struct statx *restrict attr)
{
	int r = (int)syscall(SYS_statx, fd, path, flags, mask, attr);

	if (++looks == at)
		happens();
	return r;
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int start(void **state)
{
	struct passthrough_config config = {.file_handles = PT_FILE_HANDLES_PREFER};

	log_open("test", LOG_OFF);
	unit_enter_directory(s.directory);
	assert_int_equal(mkdir("export", 0755), 0);
	write_file("export/f");
	write_file("export/g");
	assert_int_equal(vtable_make(&s.t, SLOTS), 0);
	config.table = s.t;
	assert_int_equal(passthrough_new("export", &config, &s.fs), 0);
	at = looks = 0;
	return 0;
}

static int finish(void **state)
{
	passthrough_free(s.fs);
	vtable_close(s.t);
	unit_leave_directory(s.directory);
	return 0;
}

static uint32_t slot_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return vtable_slot(s.t, VTABLE_ATTR, st.st_dev, st.st_ino);
}

/* Another server changes a file. */
static void change(const char *path, mode_t mode)
{
	struct vtable_change c = {0};
	uint32_t slot = slot_of(path);

	vtable_begin(s.t, &c, &slot, 1);
	assert_int_equal(chmod(path, mode), 0);
	vtable_end(s.t, &c);
}

static void change_f(void) { change("export/f", NEWER); }
static void change_new(void) { change("export/new", NEWER); }

static uint64_t word_of(uint32_t slot)
{
	struct vt_stamp stamp;

	vtable_look(s.t, slot, &stamp);
	return stamp.word;
}

static const struct vt_look *look_of(unsigned int bit)
{
	return &s.v.look[__builtin_ctz(bit)];
}

/* What a guest may keep has the mode of now, if its word is that of now. */
static void check_entry(const struct fs_entry *e, const struct vt_look *l, const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(e->attr.stx_ino, st.st_ino);
	assert_int_equal(l->slot, slot_of(path));
	if (l->flags & VT_KEEP && l->word == word_of(l->slot))
		assert_int_equal(e->attr.stx_mode, st.st_mode);
}

static struct fs_entry look_up(const char *name)
{
	struct fs_entry e;
	char path[64];

	looks = 0;
	snprintf(path, sizeof(path), "export/%s", name);
	vtable_request_begin(&s.v, s.t, true);
	assert_int_equal(s.fs->ops->lookup(s.fs, FS_ROOT, name, &e), 0);
	vtable_request_end(&s.v);
	check_entry(&e, look_of(VT_CHILD_ATTR), path);
	return e;
}

/* Of what nobody has changed yet there is but one word; the second look at what somebody has
 * changed is saved by the first lookup. */
static void test_lookups(void **state)
{
	look_up("f");
	assert_int_equal(looks, 1);
	change("export/f", 0600);
	change("export/g", 0600);
	look_up("f");
	assert_int_equal(looks, 1);
	look_up("g");
	assert_int_equal(looks, 2);
	look_up("g");
	assert_int_equal(looks, 1);
	assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
}

/* Somebody changes the file when it has been looked at. */
static void test_change_between(void **state)
{
	happens = change_f;
	/* Without a guess, first in a slot that was nobody's. */
	at = 1;
	look_up("f");
	change("export/f", 0600);
	/* With the right one: the word is the one before. */
	look_up("f");
	assert_int_not_equal(look_of(VT_CHILD_ATTR)->word, word_of(slot_of("export/f")));
	/* With none, where the word says that something has happened. */
	assert_int_equal(rename("export/f", "export/g"), 0);
	assert_int_equal(link("export/g", "export/f"), 0);
	passthrough_free(s.fs);
	assert_int_equal(passthrough_new("export",
		&(struct passthrough_config){.table = s.t}, &s.fs), 0);
	look_up("f");
	assert_int_equal(looks, 2);
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
	assert_int_equal(looks, 2);
	assert_int_not_equal(e.node, f.node);
	assert_int_not_equal(look_of(VT_CHILD_ATTR)->slot, slot);
	/* Again, and the guess becomes right meanwhile, too late. */
	assert_int_equal(link("export/f", "export/g"), 0);
	assert_int_equal(rename("export/kept", "export/f"), 0);
	assert_int_equal(link("export/f", "export/kept"), 0);
	happens = change_back;
	at = 1;
	e = look_up("f");
	assert_int_equal(e.node, f.node);
	assert_int_equal(looks, 2);
	assert_int_equal(e.attr.stx_mode & 07777, NEWER);
}

static struct fs_entry created;

static int create(const char *name)
{
	uint64_t handle;
	int r;

	looks = 0;
	vtable_request_begin(&s.v, s.t, true);
	r = s.fs->ops->create(s.fs, &me, FS_ROOT, name, 0644, O_RDWR, false, &created, &handle);
	vtable_request_end(&s.v);
	return r < 0 ? r : s.fs->ops->release(s.fs, handle);
}

static void test_create(void **state)
{
	assert_int_equal(create("new"), 0);
	check_entry(&created, look_of(VT_CHILD_ATTR), "export/new");
	assert_true(look_of(VT_CHILD_ATTR)->flags & VT_KEEP);
	assert_int_equal(looks, 1);
	/* Somebody finds it before it has been marked. */
	assert_int_equal(unlink("export/new"), 0);
	happens = change_new;
	at = 1;
	assert_int_equal(create("new"), 0);
	assert_int_equal(looks, 2);
	check_entry(&created, look_of(VT_CHILD_ATTR), "export/new");
	assert_int_equal(created.attr.stx_mode & 07777, NEWER);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_lookups),
		CASE(test_change_between),
		CASE(test_wrong_guess),
		CASE(test_create),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
