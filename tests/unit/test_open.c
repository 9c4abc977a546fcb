// SPDX-License-Identifier: BSD-2-Clause
/* Opening files of a shared directory: those without a name, what is said of a close, and what is
 * read without being opened. */
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
	const struct passthrough_config config = {.settle_ms = 0, .starts_hot = true};

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

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static struct fs_target look_up(uint64_t parent, const char *name)
{
	struct fs_entry e;

	assert_int_equal(fs->ops->lookup(fs, parent, name, &e), 0);
	return (struct fs_target){.node = e.node};
}

static ssize_t read_at(const struct fs_target *t, char *buf, size_t size, uint64_t offset)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};

	memset(buf, 0, size);
	return fs->ops->read(fs, t, &iov, 1, offset, false);
}

/* What is not opened is read all the same, with the descriptor that its node has anyway. */
static void test_read_unopened(void **state)
{
	struct fs_target f, d, p;
	char buf[16];
	int fds;

	put("export/f", "contents");
	assert_int_equal(mkdir("export/d", 0755), 0);
	assert_int_equal(mkfifo("export/p", 0600), 0);
	f = look_up(FS_ROOT, "f");
	d = look_up(FS_ROOT, "d");
	p = look_up(FS_ROOT, "p");
	fds = unit_open_fds();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read_at(&f, buf, sizeof(buf), 3), 5);
		assert_string_equal(buf, "tents");
		assert_int_equal(fs->ops->fsync(fs, &f, i & 1), 0);
		assert_int_equal(fs->ops->fsync(fs, &d, i & 1), 0);
	}
	assert_int_equal(unit_open_fds(), fds);
	assert_int_equal(fs->ops->lseek(fs, &f, 2, SEEK_HOLE), 8);
	assert_int_equal(fs->ops->lseek(fs, &d, 0, SEEK_DATA), -EINVAL);
	assert_int_equal(read_at(&d, buf, sizeof(buf), 0), -EISDIR);
	assert_int_equal(read_at(&p, buf, sizeof(buf), 0), -ENXIO);
	/* Nothing but reading works that way. */
	assert_int_equal(fs->ops->write(fs, &f, NULL, 0, 0, 0), -EBADF);
	assert_int_equal(fs->ops->fallocate(fs, &f, 0, 0, 1, false), -EBADF);
	/* A file that is removed is there while it is known. */
	assert_int_equal(unlink("export/f"), 0);
	assert_int_equal(read_at(&f, buf, sizeof(buf), 0), 8);
	fs->ops->forget(fs, f.node, 1);
	assert_int_equal(read_at(&f, buf, sizeof(buf), 0), -ESTALE);
	/* The system calls that take a node's descriptor work with one that is open. */
	assert_int_equal(fs->ops->setattr(fs, &d, &(struct fs_setattr){.set = FS_SET_MODE,
				 .mode = 0700}, &(struct statx){0}), 0);
	put("export/d/x", "x");
	assert_int_equal(look_up(d.node, "x").has_handle, 0);
}

/* Many files are read with few descriptors. */
static void test_read_many(void **state)
{
	struct fs_target t[200];
	char name[32], buf[32];
	uint32_t most = pt_of(fs)->hot_max = 20;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "export/f%d", i);
		put(name, name + 7);
		t[i] = look_up(FS_ROOT, name + 7);
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "f%d", i);
			assert_int_equal(read_at(&t[i], buf, sizeof(buf), 0), strlen(name));
			assert_string_equal(buf, name);
			assert_true(unit_open_fds() < fds_before + (int)most + 10);
		}
	}
}

#define ENTRIES 100

/* Takes `room` entries into a list of flags; next is where the listing goes on. */
struct tally {
	struct fs_listing l;
	bool seen[ENTRIES];
	int twice;
	uint64_t next;
};

static size_t one(const struct fs_listing *l, size_t name_len)
{
	return 1;
}

static void tally(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	struct tally *t = container_of(l, struct tally, l);
	int i;

	l->left--;
	t->next = d->next;
	if (sscanf(d->name, "f%d", &i) == 1) {
		t->twice += t->seen[i];
		t->seen[i] = true;
	}
}

static bool go_on(const struct fs_target *d, struct tally *t, size_t room)
{
	t->l = (struct fs_listing){.left = room, .cost = one, .add = tally};
	assert_int_equal(fs->ops->readdir(fs, d, t->next, &t->l), 0);
	return t->l.left < room;
}

static size_t handles(void)
{
	struct fs_count n;

	fs->ops->count(fs, &n);
	return n.handles;
}

/* Readers of one directory that is not opened: each gets each entry once. */
static void test_list_unopened(void **state)
{
	struct tally a = {.next = 0}, b = {.next = 0};
	struct fs_target d;
	char name[32];
	bool more;

	assert_int_equal(mkdir("export/d", 0755), 0);
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "export/d/f%d", i);
		put(name, "");
	}
	d = look_up(FS_ROOT, "d");
	do {
		more = go_on(&d, &a, 7);
		more = go_on(&d, &b, 3) || more;
		assert_true(handles() <= 2);
	} while (more);
	/* Who has come to the end keeps nothing. */
	assert_int_equal(handles(), 0);
	for (int i = 0; i < ENTRIES; i++)
		assert_true(a.seen[i] && b.seen[i]);
	assert_int_equal(a.twice + b.twice, 0);
	/* A listing that is left is dropped with its directory, and by a reset. */
	a.next = 0;
	go_on(&d, &a, 7);
	assert_int_equal(handles(), 1);
	fs->ops->forget(fs, d.node, 1);
	assert_int_equal(handles(), 0);
	d = look_up(FS_ROOT, "d");
	a.next = 0;
	go_on(&d, &a, 7);
	fs->ops->reset(fs);
	assert_int_equal(handles(), 0);
	assert_int_equal(fs->ops->readdir(fs, &d, a.next, &a.l), -ESTALE);
}

/* Listings that are begun and left are bounded; who comes back to one goes on all the same. */
static void test_list_many(void **state)
{
	struct tally all[3 * PT_STREAMS] = {{.next = 0}};
	struct fs_target d;
	char name[32];

	assert_int_equal(mkdir("export/d", 0755), 0);
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "export/d/f%d", i);
		put(name, "");
	}
	d = look_up(FS_ROOT, "d");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_true(go_on(&d, &all[i], 1 + i % 90));
		assert_true(handles() <= PT_STREAMS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		while (go_on(&d, &all[i], 40))
			assert_true(handles() <= PT_STREAMS);
		for (int k = 0; k < ENTRIES; k++)
			assert_true(all[i].seen[k]);
		assert_int_equal(all[i].twice, 0);
	}
	assert_int_equal(handles(), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nameless),
		CASE(test_nameless_for_ever),
		CASE(test_nameless_refused),
		CASE(test_local),
		CASE(test_read_unopened),
		CASE(test_read_many),
		CASE(test_list_unopened),
		CASE(test_list_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
