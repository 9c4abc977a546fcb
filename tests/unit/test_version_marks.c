// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan
/*
 * Each operation of passthrough/ with a version table: which slots move is what proto/version_ops.h
 * says, no more and no less; what its reply shows can be kept exactly where nobody else is at the
 * slots; and where it is not certain which inode has lost its link, nothing can be kept.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"

#define SLOTS (1u << 16)

struct row {
	const char *op;
	unsigned int looks, marks, more;
};

#define ROW(op, looks, marks, more, when) {#op, looks, marks, more},
static const struct row rows[] = {VT_OPS(ROW)};

static const struct row *row_of(const char *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].op, op) == 0)
			return &rows[i];
	}
	fail_msg("no operation %s", op);
	return NULL;
}

/* What the bits stand for in an operation: paths below the export. */
struct roles {
	const char *node, *name, *child;
	const char *to, *to_name, *to_child;
};

struct scene {
	struct vtable *t;
	struct fs *fs;
	struct vtable_request v;
	char directory[64];
	uint64_t a, b, file, link, sub;
	struct fs_target open, open_b, open_dir;
	uint64_t words[SLOTS], after[SLOTS];
};
static struct scene *s;

static const struct fs_caller me = {.umask = 022};

static void words_now(uint64_t *words)
{
	memcpy(words, s->t->map + VT_HEADER_SIZE, SLOTS * sizeof(*words));
}

static uint64_t epoch_now(void)
{
	return ((struct vt_header *)s->t->map)->epoch;
}

static uint64_t look_up(uint64_t parent, const char *name)
{
	struct fs_entry e;

	assert_int_equal(s->fs->ops->lookup(s->fs, parent, name, &e), 0);
	return e.node;
}

static struct fs_target open_file(uint64_t node, int flags)
{
	struct fs_target t = {.node = node, .has_handle = true};

	assert_int_equal(s->fs->ops->open(s->fs, node, flags, false, &t.handle, NULL), 0);
	return t;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A fresh tree, and what of it operations name by numbers. */
static void start(void)
{
	const struct passthrough_config config = {.file_handles = PT_FILE_HANDLES_PREFER};

	log_open("test", LOG_OFF);
	s = calloc(1, sizeof(*s));
	assert_non_null(s);
	unit_enter_directory(s->directory);
	assert_int_equal(system("mkdir -p export/a/sub export/b/sub export/b/empty && "
				"ln -s target export/a/link"), 0);
	write_file("export/a/f", "one");
	write_file("export/a/g", "two");
	write_file("export/b/f", "three");
	setxattr("export/a/f", "user.old", "x", 1, 0);
	assert_int_equal(vtable_make(&s->t, SLOTS), 0);
	assert_int_equal(passthrough_new("export", &config, &s->fs), 0);
	s->a = look_up(FS_ROOT, "a");
	s->b = look_up(FS_ROOT, "b");
	s->file = look_up(s->a, "f");
	s->link = look_up(s->a, "link");
	s->sub = look_up(s->a, "sub");
	s->open = open_file(s->file, O_RDWR);
	s->open_b = open_file(look_up(s->b, "f"), O_RDWR);
	s->open_dir = (struct fs_target){.node = s->a, .has_handle = true};
	assert_int_equal(s->fs->ops->opendir(s->fs, s->a, &s->open_dir.handle), 0);
}

static void finish(void)
{
	passthrough_free(s->fs);
	vtable_close(s->t);
	unit_leave_directory(s->directory);
	free(s);
	s = NULL;
}

static int teardown(void **state)
{
	if (s)
		finish();
	return 0;
}

static struct stat stat_of(const char *path)
{
	char full[128];
	struct stat st = {0};

	snprintf(full, sizeof(full), "export/%s", path);
	if (lstat(full, &st) < 0)
		st.st_ino = 0;
	return st;
}

/* The slot of a bit; paths are looked at by the host. False where there is no such thing. */
static bool slot_of(unsigned int bit, const struct stat *inodes, const struct roles *r,
	uint32_t *slot)
{
	static const struct {
		unsigned int bits;
		int which;
	} of[] = {
		{VT_NODE_ATTR | VT_NODE_DATA | VT_NODE_LIST | VT_NAME, 0},
		{VT_CHILD_ATTR | VT_CHILD_DATA | VT_CHILD_LIST, 1},
		{VT_TO_ATTR | VT_TO_DATA | VT_TO_LIST | VT_TO_NAME, 2},
		{VT_TO_CHILD_ATTR | VT_TO_CHILD_LIST, 3},
	};
	static const unsigned int data = VT_NODE_DATA | VT_CHILD_DATA | VT_TO_DATA;
	static const unsigned int lists =
		VT_NODE_LIST | VT_CHILD_LIST | VT_TO_LIST | VT_TO_CHILD_LIST;

	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		const struct stat *st = &inodes[of[i].which];

		if (!(of[i].bits & bit))
			continue;
		if (st->st_ino == 0)
			return false;
		if (bit & (VT_NAME | VT_TO_NAME))
			*slot = vtable_slot_of_name(s->t, st->st_dev, st->st_ino,
				bit & VT_NAME ? r->name : r->to_name);
		else
			*slot = vtable_slot(s->t, bit & data ? VTABLE_DATA :
					bit & lists ? VTABLE_LIST : VTABLE_ATTR,
				st->st_dev, st->st_ino);
		return true;
	}
	fail();
	return false;
}

static void inodes_of(const struct roles *r, struct stat *inodes)
{
	const char *paths[] = {r->node, r->child, r->to, r->to_child};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		inodes[i] = (struct stat){0};
		if (paths[i])
			inodes[i] = stat_of(paths[i]);
	}
}

static void begin(bool words)
{
	vtable_request_begin(&s->v, s->t, words);
}

/* ---- operations ---- */

static struct fs_entry entry;
static struct statx attr;
static uint64_t handle;

static int do_lookup(void) { return s->fs->ops->lookup(s->fs, s->a, "f", &entry); }
static int do_miss(void)
{
	return s->fs->ops->lookup(s->fs, s->a, "none", &entry) == -ENOENT ? 0 : -EIO;
}
static int do_getattr(void)
{
	return s->fs->ops->getattr(s->fs, &(struct fs_target){.node = s->file}, &attr);
}
static int do_getattr_open(void) { return s->fs->ops->getattr(s->fs, &s->open, &attr); }
static int do_chmod(void)
{
	struct fs_setattr set = {.set = FS_SET_MODE, .mode = 0600};

	return s->fs->ops->setattr(s->fs, &(struct fs_target){.node = s->file}, &set, &attr);
}
static int do_truncate(void)
{
	struct fs_setattr set = {.set = FS_SET_SIZE, .size = 1};

	return s->fs->ops->setattr(s->fs, &s->open, &set, &attr);
}
static int do_readlink(void)
{
	char buf[64];

	return s->fs->ops->readlink(s->fs, s->link, buf, sizeof(buf)) == 6 ? 0 : -EIO;
}
static int do_symlink(void)
{
	return s->fs->ops->symlink(s->fs, &me, s->a, "new", "target", &entry);
}
static int do_mknod(void)
{
	return s->fs->ops->mknod(s->fs, &me, s->a, "new", S_IFIFO | 0644, 0, &entry);
}
static int do_mkdir(void) { return s->fs->ops->mkdir(s->fs, &me, s->a, "new", 0755, &entry); }
static int do_unlink(void) { return s->fs->ops->unlink(s->fs, s->a, "f"); }
static int do_rmdir(void) { return s->fs->ops->rmdir(s->fs, s->b, "empty"); }
static int do_rename(void) { return s->fs->ops->rename(s->fs, s->a, "f", s->b, "new", 0); }
static int do_rename_over(void) { return s->fs->ops->rename(s->fs, s->a, "f", s->b, "f", 0); }
static int do_rename_dir(void) { return s->fs->ops->rename(s->fs, s->a, "sub", s->b, "empty", 0); }
static int do_exchange(void)
{
	return s->fs->ops->rename(s->fs, s->a, "sub", s->b, "f", RENAME_EXCHANGE);
}
static int do_link(void) { return s->fs->ops->link(s->fs, s->open_b.node, s->a, "new", &entry); }
static int do_open(void)
{
	return s->fs->ops->open(s->fs, s->file, O_RDWR, false, &handle, NULL);
}
static int do_open_trunc(void)
{
	return s->fs->ops->open(s->fs, s->file, O_RDWR | O_TRUNC, false, &handle, NULL);
}
static int do_create(void)
{
	return s->fs->ops->create(s->fs, &me, s->a, "new", 0644, O_RDWR, false, &entry, &handle);
}
static int do_create_there(void)
{
	return s->fs->ops->create(s->fs, &me, s->a, "f", 0644, O_RDWR | O_TRUNC, false, &entry,
		&handle);
}
static int do_tmpfile(void)
{
	return s->fs->ops->create(s->fs, &me, s->a, NULL, 0644, O_RDWR, false, &entry, &handle);
}
static int do_read(void)
{
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};

	return s->fs->ops->read(s->fs, &s->open, &iov, 1, 0, false) < 0 ? -EIO : 0;
}
static int do_write(void)
{
	struct iovec iov = {(char *)"more", 4};

	return s->fs->ops->write(s->fs, &s->open, &iov, 1, 1, 0) == 4 ? 0 : -EIO;
}
static int do_fallocate(void)
{
	return s->fs->ops->fallocate(s->fs, &s->open, 0, 0, 99, false);
}
static int do_lseek(void)
{
	return s->fs->ops->lseek(s->fs, &s->open, 0, SEEK_HOLE) < 0 ? -EIO : 0;
}
static int do_copy(void)
{
	struct fs_copy copy = {.from = s->open, .to = s->open_b, .len = 3};

	return s->fs->ops->copy_file_range(s->fs, &copy) < 0 ? -EIO : 0;
}
static int do_setxattr(void)
{
	struct fs_xattr x = {.node = s->file, .name = "user.new", .value = "x", .size = 1};

	return s->fs->ops->setxattr(s->fs, &x);
}
static int do_getxattr(void)
{
	return s->fs->ops->getxattr(s->fs, s->file, "user.old", NULL, 0) < 0 ? -EIO : 0;
}
static int do_listxattr(void)
{
	char buf[256];

	return s->fs->ops->listxattr(s->fs, s->file, buf, sizeof(buf)) < 0 ? -EIO : 0;
}
static int do_removexattr(void) { return s->fs->ops->removexattr(s->fs, s->file, "user.old"); }
static int do_access(void) { return s->fs->ops->access(s->fs, &me, s->file, R_OK); }
static int do_get_flags(void)
{
	struct fs_fileattr fa = {0};

	return s->fs->ops->get_fileattr(s->fs, &s->open, &fa);
}
static int do_set_flags(void)
{
	struct fs_fileattr fa = {0};
	int r = s->fs->ops->get_fileattr(s->fs, &s->open, &fa);

	fa.flags |= FS_NODUMP_FL;
	return r < 0 ? r : s->fs->ops->set_fileattr(s->fs, &s->open, &fa);
}

struct names {
	struct fs_listing l;
	unsigned int n;
	uint64_t next; /* where it goes on */
	struct {
		char name[16];
		struct fs_entry e;
	} seen[16];
};

static size_t cost_of(const struct fs_listing *l, size_t name_len)
{
	return 24 + name_len;
}

static void add_name(struct fs_listing *l, const struct fs_dirent *d, const struct fs_entry *e)
{
	struct names *names = container_of(l, struct names, l);

	l->left -= cost_of(l, d->name_len);
	memcpy(names->seen[names->n].name, d->name, d->name_len + 1);
	names->next = d->next;
	if (e)
		names->seen[names->n].e = *e;
	names->n++;
}

static struct names names;

static int list(bool with_entries, uint64_t offset, size_t left)
{
	names = (struct names){.l = {.with_entries = with_entries, .left = left, .cost = cost_of,
		.add = add_name}};
	return s->fs->ops->readdir(s->fs, &s->open_dir, offset, &names.l);
}
static int do_readdir(void) { return list(false, 0, 4096); }
static int do_readdirplus(void) { return list(true, 0, 4096); }
static int do_flush(void) { return s->fs->ops->flush(s->fs, &s->open, 1); }
static int do_fsync(void) { return s->fs->ops->fsync(s->fs, &s->open, false); }
static int do_release(void) { return s->fs->ops->release(s->fs, s->open.handle); }

#define FILE_A  {.node = "a/f"}
#define MAKES   {.node = "a", .name = "new", .child = "a/new"}
#define BY_LOOK {.node = "a", .name = "f", .child = "a/f"}

static const struct experiment {
	const char *op;
	const char *what;
	int (*act)(void);
	struct roles roles;
	unsigned int when; /* whether `more` is marked as well */
	unsigned int absent; /* bits of the row for which there is nothing; of looks alone: << 16 */
} experiments[] = {
	{"LOOKUP", "", do_lookup, BY_LOOK, 0, 0},
	{"LOOKUP", "of no file", do_miss, {.node = "a", .name = "none"}, 0, VT_CHILD_ATTR},
	{"GETATTR", "", do_getattr, FILE_A, 0, 0},
	{"GETATTR", "of an open file", do_getattr_open, FILE_A, 0, 0},
	{"STATX", "", do_getattr, FILE_A, 0, 0},
	{"SETATTR", "mode", do_chmod, FILE_A, 0, 0},
	{"SETATTR", "size", do_truncate, FILE_A, 1, 0},
	{"READLINK", "", do_readlink, {.node = "a/link"}, 0, 0},
	{"SYMLINK", "", do_symlink, MAKES, 0, 0},
	{"MKNOD", "", do_mknod, MAKES, 0, 0},
	{"MKDIR", "", do_mkdir, MAKES, 0, 0},
	{"UNLINK", "", do_unlink, BY_LOOK, 0, 0},
	{"RMDIR", "", do_rmdir, {.node = "b", .name = "empty", .child = "b/empty"}, 0, 0},
	{"RENAME", "to a new name", do_rename,
		{"a", "f", "a/f", "b", "new", NULL}, 0, VT_TO_CHILD_ATTR},
	{"RENAME", "onto a file", do_rename_over, {"a", "f", "a/f", "b", "f", "b/f"}, 0, 0},
	{"RENAME", "onto a directory", do_rename_dir,
		{"a", "sub", "a/sub", "b", "empty", "b/empty"}, 1, 0},
	{"RENAME2", "exchange", do_exchange,
		{"a", "sub", "a/sub", "b", "f", "b/f"}, 1, VT_TO_CHILD_LIST},
	{"LINK", "", do_link, {.node = "a", .name = "new", .child = "b/f"}, 0, 0},
	{"OPEN", "", do_open, FILE_A, 0, 0},
	{"OPEN", "O_TRUNC", do_open_trunc, FILE_A, 1, 0},
	{"READ", "", do_read, FILE_A, 0, 0},
	{"WRITE", "", do_write, FILE_A, 0, 0},
	{"SETXATTR", "", do_setxattr, FILE_A, 0, 0},
	{"GETXATTR", "", do_getxattr, FILE_A, 0, 0},
	{"LISTXATTR", "", do_listxattr, FILE_A, 0, 0},
	{"REMOVEXATTR", "", do_removexattr, FILE_A, 0, 0},
	{"READDIR", "", do_readdir, {.node = "a"}, 0, 0},
	{"READDIRPLUS", "", do_readdirplus, {.node = "a"}, 0, VT_FOUND},
	{"ACCESS", "", do_access, FILE_A, 0, 0},
	{"CREATE", "", do_create, MAKES, 0, 0},
	{"CREATE", "of a file that is there", do_create_there, BY_LOOK, 1, 0},
	{"TMPFILE", "", do_tmpfile, {.node = "a"}, 0, 0},
	{"IOCTL", "that asks", do_get_flags, FILE_A, 0, 0},
	{"IOCTL", "that sets", do_set_flags, FILE_A, 1, VT_NODE_ATTR << 16},
	{"FALLOCATE", "", do_fallocate, FILE_A, 0, 0},
	{"LSEEK", "", do_lseek, FILE_A, 0, 0},
	{"COPY_FILE_RANGE", "", do_copy, {.node = "a/f", .to = "b/f"}, 0, 0},
	{"COPY_FILE_RANGE_64", "", do_copy, {.node = "a/f", .to = "b/f"}, 0, 0},
	{"FLUSH", "", do_flush, FILE_A, 0, 0},
	{"FSYNC", "", do_fsync, FILE_A, 0, 0},
	{"RELEASE", "", do_release, FILE_A, 0, 0},
};

/* What of a role was made by the operation, or has gone with it. */
static void look_again(const struct roles *r, struct stat *inodes)
{
	struct stat now[4];

	inodes_of(r, now);
	for (size_t i = 0; i < ARRAY_SIZE(now); i++) {
		if (inodes[i].st_ino == 0)
			inodes[i] = now[i];
	}
	/* It has no name. */
	if (!r->child && entry.node && inodes[1].st_ino == 0) {
		inodes[1].st_dev = makedev(entry.attr.stx_dev_major, entry.attr.stx_dev_minor);
		inodes[1].st_ino = entry.attr.stx_ino;
	}
}

/* Bits that the experiment is to have marked, and those whose looks the reply has. */
static unsigned int marks_of(const struct experiment *x)
{
	const struct row *row = row_of(x->op);

	return (row->marks | (x->when ? row->more : 0)) & ~x->absent;
}

static unsigned int looks_of(const struct experiment *x)
{
	return row_of(x->op)->looks & ~x->absent & ~(x->absent >> 16);
}

static void check_moved(const struct experiment *x, const struct stat *inodes, unsigned int bits)
{
	bool expected[SLOTS] = {false};

	for (; bits; bits &= bits - 1) {
		uint32_t slot;

		assert_true(slot_of(bits & -bits, inodes, &x->roles, &slot));
		expected[slot] = true;
	}
	for (uint32_t i = 0; i < SLOTS; i++) {
		if ((s->words[i] != s->after[i]) != expected[i])
			fail_msg("%s %s: slot %u %s", x->op, x->what, i,
				expected[i] ? "has not moved" : "has moved");
		assert_true(vt_is_quiet(s->after[i]));
	}
}

static void check_looks(const struct experiment *x, const struct stat *inodes, bool keep)
{
	for (unsigned int bits = looks_of(x); bits; bits &= bits - 1) {
		unsigned int bit = bits & -bits;
		const struct vt_look *look = &s->v.look[__builtin_ctz(bit)];
		uint32_t slot;

		assert_true(slot_of(bit, inodes, &x->roles, &slot));
		if (keep && (!(s->v.looked & bit) || !(look->flags & VT_KEEP) ||
			look->slot != slot || look->word != s->after[slot]))
			fail_msg("%s %s: the look of bit %x", x->op, x->what, bit);
		if (!keep && s->v.looked & bit && look->flags & VT_KEEP)
			fail_msg("%s %s: bit %x may not be kept", x->op, x->what, bit);
	}
}

struct job {
	int (*act)(void);
	bool words;
	int r;
};

static void *run(void *arg)
{
	struct job *job = arg;

	begin(job->words);
	job->r = job->act();
	vtable_request_end(&s->v);
	return NULL;
}

/* One operation in a request, on a thread of its own: some have a working directory. The words
 * before and after. */
static int perform(const struct experiment *x, bool words)
{
	struct job job = {.act = x->act, .words = words};
	pthread_t thread;

	entry = (struct fs_entry){0};
	words_now(s->words);
	assert_int_equal(pthread_create(&thread, NULL, run, &job), 0);
	pthread_join(thread, NULL);
	words_now(s->after);
	return job.r;
}

static bool can(const struct experiment *x, int r)
{
	if (r == -ENOTTY || r == -EOPNOTSUPP) {
		print_message("%s %s: %s here\n", x->op, x->what, strerror(-r));
		return false;
	}
	if (r < 0)
		fail_msg("%s %s: %s", x->op, x->what, strerror(-r));
	return true;
}

static void test_marks(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(experiments); i++) {
		const struct experiment *x = &experiments[i];
		struct stat inodes[4];
		uint64_t epoch;

		for (int words = 0; words < 2; words++) {
			start();
			inodes_of(&x->roles, inodes);
			epoch = epoch_now();
			if (can(x, perform(x, words))) {
				look_again(&x->roles, inodes);
				check_moved(x, inodes, marks_of(x));
				assert_int_equal(epoch, epoch_now());
				if (words)
					check_looks(x, inodes, true);
			}
			finish();
		}
	}
}

/* Somebody is in the middle of a change of everything that the operation is about. */
static void test_beside_others(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(experiments); i++) {
		const struct experiment *x = &experiments[i];
		struct vtable_change other = {0};
		struct stat inodes[4];
		unsigned int bits = marks_of(x) | looks_of(x);

		start();
		inodes_of(&x->roles, inodes);
		for (; bits; bits &= bits - 1) {
			uint32_t slot;

			if (slot_of(bits & -bits, inodes, &x->roles, &slot))
				vtable_begin(s->t, &other, &slot, 1);
		}
		if (can(x, perform(x, true))) {
			/* What was made just now is nobody else's. */
			struct stat made = inodes[1];

			look_again(&x->roles, inodes);
			if (made.st_ino != 0 || !(looks_of(x) & VT_CHILD_ATTR))
				check_looks(x, inodes, false);
			for (unsigned int n = 0; n < s->v.change.n; n++) {
				if (vtable_touch_of(&other, s->v.change.touch[n].slot))
					assert_false(s->v.change.touch[n].alone);
			}
		}
		vtable_end(s->t, &other);
		finish();
	}
}

/* Entries of a listing have words of their own. */
static void test_entries(void **state)
{
	struct vtable_change other = {0};
	struct stat a, f;
	uint32_t slot, name_slot;

	start();
	a = stat_of("a");
	f = stat_of("a/f");
	slot = vtable_slot(s->t, VTABLE_ATTR, f.st_dev, f.st_ino);
	name_slot = vtable_slot_of_name(s->t, a.st_dev, a.st_ino, "g");
	vtable_begin(s->t, &other, &slot, 1);
	vtable_begin(s->t, &other, &name_slot, 1);
	begin(true);
	assert_int_equal(do_readdirplus(), 0);
	vtable_request_end(&s->v);
	assert_int_equal(names.n, 6);
	for (unsigned int i = 0; i < names.n; i++) {
		const struct fs_entry *l = &names.seen[i].e;
		const char *name = names.seen[i].name;

		assert_int_equal(!l->node, name[0] == '.');
		if (!l->node)
			continue;
		assert_int_equal(!(l->attr_look.flags & VT_KEEP), strcmp(name, "f") == 0);
		assert_int_equal(!(l->name_look.flags & VT_KEEP), strcmp(name, "g") == 0);
		assert_int_equal(l->name_look.slot,
			vtable_slot_of_name(s->t, a.st_dev, a.st_ino, name));
	}
	vtable_end(s->t, &other);
	finish();
}

/* The word of a listing is that of when its buffer was filled. */
static void test_listing_words(void **state)
{
	const unsigned int i = __builtin_ctz(VT_NODE_LIST);
	uint64_t first, next;
	uint32_t slot;
	struct stat a;

	start();
	a = stat_of("a");
	slot = vtable_slot(s->t, VTABLE_LIST, a.st_dev, a.st_ino);
	begin(true);
	assert_int_equal(list(false, 0, 60), 0);
	vtable_request_end(&s->v);
	assert_int_equal(names.n, 2);
	first = s->v.look[i].word;
	assert_int_equal(s->v.look[i].slot, slot);
	assert_true(s->v.look[i].flags & VT_KEEP);
	next = names.next;
	begin(true);
	assert_int_equal(do_mkdir(), 0);
	vtable_request_end(&s->v);
	/* From the same buffer, with the end behind it, which is looked for now. */
	begin(true);
	assert_int_equal(list(false, next, 60), 0);
	vtable_request_end(&s->v);
	assert_int_equal(s->v.look[i].word, first);
	begin(true);
	assert_int_equal(list(false, next, 4096), 0);
	vtable_request_end(&s->v);
	assert_false(s->v.looked & VT_NODE_LIST && s->v.look[i].flags & VT_KEEP);
	/* Nor is what was read before the epoch moved. */
	vtable_bump_epoch(s->t);
	begin(true);
	assert_int_equal(list(false, next, 60), 0);
	vtable_request_end(&s->v);
	assert_false(s->v.look[i].flags & VT_KEEP);
	/* Anew. */
	begin(true);
	assert_int_equal(list(false, 0, 4096), 0);
	vtable_request_end(&s->v);
	assert_int_not_equal(s->v.look[i].word, first);
	assert_true(s->v.look[i].flags & VT_KEEP);
	finish();
}

static struct pt_victim hold(struct pt_node *dir, const char *name)
{
	pt_mark_name(pt_of(s->fs), dir, name);
	return pt_hold_victim(pt_of(s->fs), dir, VT_NAME, name, PT_GOES);
}

/* What a victim is held for: the inode that is removed is not the one that was found. */
static void test_another_victim(void **state)
{
	struct pt_node_ref dir;
	struct pt_victim x;
	uint64_t epoch;

	start();
	epoch = epoch_now();
	begin(true);
	dir = pt_ref(pt_of(s->fs), s->a);
	x = hold(dir.node, "g");
	assert_int_equal(rename("export/a/g", "export/a/h"), 0);
	pt_settle_removal(pt_of(s->fs), &x, 0);
	assert_int_not_equal(epoch, epoch_now());
	pt_release_victim(&x);
	vtable_request_end(&s->v);
	pt_cleanup_node(&dir);
	finish();
}

/* The number of links is smaller, but another server was at the inode as well. */
static void test_victim_of_two(void **state)
{
	struct vtable_change other = {0};
	struct pt_node_ref dir;
	struct pt_victim x;
	struct stat f;
	uint64_t epoch;
	uint32_t slot;

	start();
	f = stat_of("a/f");
	slot = vtable_slot(s->t, VTABLE_ATTR, f.st_dev, f.st_ino);
	epoch = epoch_now();
	begin(true);
	dir = pt_ref(pt_of(s->fs), s->a);
	x = hold(dir.node, "f");
	vtable_begin(s->t, &other, &slot, 1);
	assert_int_equal(unlink("export/a/f"), 0);
	vtable_end(s->t, &other);
	pt_settle_removal(pt_of(s->fs), &x, 0);
	assert_int_not_equal(epoch, epoch_now());
	pt_release_victim(&x);
	vtable_request_end(&s->v);
	pt_cleanup_node(&dir);
	finish();
}

/* Nothing is lost, nothing moves, and nobody has to forget anything. */
static void test_rename_of_links(void **state)
{
	uint64_t epoch;

	start();
	assert_int_equal(link("export/a/f", "export/a/same"), 0);
	epoch = epoch_now();
	begin(true);
	assert_int_equal(s->fs->ops->rename(s->fs, s->a, "f", s->a, "same", 0), 0);
	vtable_request_end(&s->v);
	assert_int_equal(epoch, epoch_now());
	assert_true(stat_of("a/f").st_ino != 0);
	/* An operation that fails has removed nothing. */
	begin(true);
	assert_int_equal(s->fs->ops->unlink(s->fs, s->a, "none"), -ENOENT);
	vtable_request_end(&s->v);
	begin(true);
	assert_int_equal(s->fs->ops->rmdir(s->fs, FS_ROOT, "a"), -ENOTEMPTY);
	vtable_request_end(&s->v);
	assert_int_equal(epoch, epoch_now());
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_marks, teardown),
		cmocka_unit_test_teardown(test_beside_others, teardown),
		cmocka_unit_test_teardown(test_entries, teardown),
		cmocka_unit_test_teardown(test_listing_words, teardown),
		cmocka_unit_test_teardown(test_another_victim, teardown),
		cmocka_unit_test_teardown(test_victim_of_two, teardown),
		cmocka_unit_test_teardown(test_rename_of_links, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
