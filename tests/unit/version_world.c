// SPDX-License-Identifier: BSD-2-Clause
#include "version_world.h"

#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/passthrough/pt.h"

#define SLOTS (1u << 16)
#define AGE_S 10

struct version_world w;

/* Instead of the C library's: what passes through here is what the file system looks at. */
int statx(int fd, const char *restrict path, int flags, unsigned int mask,
	struct statx *restrict attr)
{
	int r = (int)syscall(SYS_statx, fd, path, flags, mask, attr);

	if (r == 0 && w.aged) {
		attr->stx_btime.tv_sec -= AGE_S;
		attr->stx_ctime.tv_sec -= AGE_S;
	}
	if (r == 0 && w.alias.from && attr->stx_ino == w.alias.from) {
		attr->stx_ino = w.alias.to;
		attr->stx_btime.tv_sec++;
	}
	w.vain += r < 0;
	if (++w.looks == w.at)
		w.happens();
	return r;
}

void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

void version_world_start(bool hot)
{
	struct passthrough_config config = {
		.file_handles = PT_FILE_HANDLES_PREFER, .starts_hot = hot};

	log_open("test", LOG_OFF);
	w = (struct version_world){.aged = !hot};
	unit_enter_directory(w.directory);
	assert_int_equal(mkdir("export", 0755), 0);
	write_file("export/f");
	write_file("export/g");
	assert_int_equal(vtable_make(&w.t, SLOTS), 0);
	config.table = w.t;
	assert_int_equal(passthrough_new("export", &config, &w.fs), 0);
	w.looks = 0;
}

void version_world_finish(void)
{
	passthrough_free(w.fs);
	vtable_close(w.t);
	unit_leave_directory(w.directory);
}

void need_births(void)
{
	if (!pt_of(w.fs)->root->mount->born)
		skip();
}

ino_t number_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

uint32_t slot_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return vtable_slot(w.t, VTABLE_ATTR, st.st_dev, st.st_ino);
}

uint64_t word_of(uint32_t slot)
{
	struct vt_stamp stamp;

	vtable_look(w.t, slot, &stamp);
	return stamp.word;
}

uint64_t epoch_now(void)
{
	return ((struct vt_header *)w.t->map)->epoch;
}

uint32_t name_slot_of(const char *name)
{
	struct stat root;

	assert_int_equal(lstat("export", &root), 0);
	return vtable_slot_of_name(w.t, root.st_dev, root.st_ino, name);
}

void change(const char *path, mode_t mode)
{
	struct vtable_change c = {0};
	uint32_t slot = slot_of(path);

	vtable_begin(w.t, &c, &slot, 1);
	assert_int_equal(chmod(path, mode), 0);
	vtable_end(w.t, &c);
}

void change_f(void)
{
	change("export/f", NEWER);
}

const struct vt_look *look_of(unsigned int bit)
{
	return &w.v.look[__builtin_ctz(bit)];
}

void check_entry(const struct fs_entry *e, const struct vt_look *l, const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(e->attr.stx_ino, st.st_ino);
	assert_int_equal(l->slot, slot_of(path));
	if (l->flags & VT_KEEP && l->word == word_of(l->slot))
		assert_int_equal(e->attr.stx_mode, st.st_mode);
}

struct fs_entry look_up(const char *name)
{
	struct fs_entry e;
	char path[64];

	w.looks = 0;
	snprintf(path, sizeof(path), "export/%s", name);
	vtable_request_begin(&w.v, w.t, true);
	assert_int_equal(w.fs->ops->lookup(w.fs, FS_ROOT, name, &e), 0);
	vtable_request_end(&w.v);
	check_entry(&e, look_of(VT_CHILD_ATTR), path);
	return e;
}

static size_t cost_of(const struct fs_listing *l, size_t name_len)
{
	return 1;
}

void list_directory(uint64_t directory, bool words, struct fs_listing *l)
{
	struct fs_target t = {.node = directory, .has_handle = true};

	l->with_entries = true;
	l->left = 1000;
	l->cost = cost_of;
	assert_int_equal(w.fs->ops->opendir(w.fs, t.node, &t.handle), 0);
	w.looks = 0;
	vtable_request_begin(&w.v, w.t, words);
	assert_int_equal(w.fs->ops->readdir(w.fs, &t, 0, l), 0);
	vtable_request_end(&w.v);
	assert_int_equal(w.fs->ops->release(w.fs, t.handle), 0);
}
