// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain full-builds=asan timeout=300
/*
 * A server is killed at every step of every change: before and after each of its system calls. What
 * somebody had kept then is either as it was, or not believed; and it stays so when another server
 * takes off the marks that the dead one has left.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "coherence/request.h"
#include "coherence/view.h"
#include "fs/passthrough/passthrough.h"

#define STEPS_MAX 4000

/* What is kept: a kind of something that has a path, and, where an inode is meant, a descriptor
 * that was opened before. */
enum kind { ATTR, DATA, LIST, NAME };

struct kept {
	enum kind kind;
	const char *path; /* of a name: its directory's */
	const char *name;
};

static const struct kept objects[] = {
	{ATTR, "a", NULL}, {LIST, "a", NULL}, {ATTR, "b", NULL}, {LIST, "b", NULL},
	{ATTR, "a/f", NULL}, {DATA, "a/f", NULL}, {ATTR, "a/g", NULL}, {DATA, "a/g", NULL},
	{ATTR, "b/f", NULL}, {DATA, "b/f", NULL}, {ATTR, "a/sub", NULL}, {LIST, "a/sub", NULL},
	{NAME, "a", "f"}, {NAME, "a", "g"}, {NAME, "a", "sub"}, {NAME, "a", "new"},
	{NAME, "b", "f"}, {NAME, "b", "new"},
};
#define OBJECTS (sizeof(objects) / sizeof(objects[0]))

/* Between the two processes. */
struct board {
	uint32_t slot[OBJECTS];
	int result;
};

struct server {
	struct vtable *t;
	struct fs *fs;
	uint64_t a, b, f;
	struct fs_target open, from; /* of f and g */
};

static const struct fs_caller me = {.umask = 022};
static struct board *board;
static char table[64], table_path[80];

static uint64_t look_up(struct server *s, uint64_t parent, const char *name)
{
	struct fs_entry e;

	must(s->fs->ops->lookup(s->fs, parent, name, &e) == 0);
	return e.node;
}

static struct fs_target open_node(struct server *s, uint64_t node)
{
	struct fs_target t = {.node = node, .has_handle = true};

	must(s->fs->ops->open(s->fs, node, O_RDWR, false, &t.handle, NULL) == 0);
	return t;
}

/* Changes: each is one request. */

static int do_create(struct server *s)
{
	struct fs_entry e;
	uint64_t handle;

	return s->fs->ops->create(s->fs, &me, s->a, "new", 0644, O_RDWR, false, &e, &handle);
}

static int do_create_over(struct server *s)
{
	struct fs_entry e;
	uint64_t handle;

	return s->fs->ops->create(s->fs, &me, s->a, "f", 0644, O_RDWR | O_TRUNC, false, &e,
		&handle);
}

static int do_mkdir(struct server *s)
{
	struct fs_entry e;

	return s->fs->ops->mkdir(s->fs, &me, s->a, "new", 0755, &e);
}

static int do_symlink(struct server *s)
{
	struct fs_entry e;

	return s->fs->ops->symlink(s->fs, &me, s->a, "new", "target", &e);
}

static int do_link(struct server *s)
{
	struct fs_entry e;

	return s->fs->ops->link(s->fs, s->f, s->b, "new", &e);
}

static int do_unlink(struct server *s)
{
	return s->fs->ops->unlink(s->fs, s->a, "f");
}

static int do_rmdir(struct server *s)
{
	return s->fs->ops->rmdir(s->fs, s->a, "sub");
}

static int do_rename(struct server *s)
{
	return s->fs->ops->rename(s->fs, s->a, "f", s->b, "new", 0);
}

static int do_rename_over(struct server *s)
{
	return s->fs->ops->rename(s->fs, s->a, "f", s->a, "g", 0);
}

static int do_rename_directory(struct server *s)
{
	return s->fs->ops->rename(s->fs, s->a, "sub", s->b, "new", 0);
}

static int do_exchange(struct server *s)
{
	return s->fs->ops->rename(s->fs, s->a, "f", s->b, "f", RENAME_EXCHANGE);
}

static int set(struct server *s, const struct fs_setattr *set)
{
	struct fs_target t = {.node = s->f};
	struct statx attr;

	return s->fs->ops->setattr(s->fs, &t, set, &attr);
}

static int do_chmod(struct server *s)
{
	return set(s, &(struct fs_setattr){.set = FS_SET_MODE, .mode = 0600});
}

static int do_truncate(struct server *s)
{
	return set(s, &(struct fs_setattr){.set = FS_SET_SIZE, .size = 1});
}

/* Two system calls, of which the first may be the last. */
static int do_truncate_and_time(struct server *s)
{
	return set(s, &(struct fs_setattr){.set = FS_SET_SIZE | FS_SET_TIME | FS_SET_MODE,
		.size = 2, .mode = 0640, .atime = {.tv_nsec = UTIME_OMIT}, .mtime = {.tv_sec = 7}});
}

static int do_write(struct server *s)
{
	struct iovec iov = {(char[]){"written"}, 7};

	return (int)s->fs->ops->write(s->fs, &s->open, &iov, 1, 1, 0);
}

static int do_fallocate(struct server *s)
{
	return s->fs->ops->fallocate(s->fs, &s->open, 0, 0, 10000, false);
}

static int do_copy(struct server *s)
{
	const struct fs_copy copy = {
		.from = s->from,
		.to = s->open,
		.len = 2,
	};

	return (int)s->fs->ops->copy_file_range(s->fs, &copy);
}

static int do_open_truncating(struct server *s)
{
	uint64_t handle;

	return s->fs->ops->open(s->fs, s->f, O_RDWR | O_TRUNC, false, &handle, NULL);
}

static int do_setxattr(struct server *s)
{
	const struct fs_xattr x = {.node = s->f, .name = "user.new", .value = "v", .size = 1};

	return s->fs->ops->setxattr(s->fs, &x);
}

static int do_removexattr(struct server *s)
{
	return s->fs->ops->removexattr(s->fs, s->f, "user.old");
}

static const struct {
	const char *name;
	int (*make)(struct server *s);
} changes[] = {
	{"create", do_create}, {"create over", do_create_over}, {"mkdir", do_mkdir},
	{"symlink", do_symlink}, {"link", do_link}, {"unlink", do_unlink}, {"rmdir", do_rmdir},
	{"rename", do_rename}, {"rename over", do_rename_over},
	{"rename of a directory", do_rename_directory}, {"exchange", do_exchange},
	{"chmod", do_chmod}, {"truncate", do_truncate},
	{"truncate and more", do_truncate_and_time}, {"write", do_write},
	{"fallocate", do_fallocate}, {"copy", do_copy}, {"open", do_open_truncating},
	{"setxattr", do_setxattr}, {"removexattr", do_removexattr},
};

/* The child: a server that does one thing. */

static uint32_t slot_of(const struct vtable *t, const struct kept *k)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "export/%s", k->path);
	must(stat(path, &st) == 0);
	switch (k->kind) {
	case ATTR:
		return vtable_slot(t, VTABLE_ATTR, st.st_dev, st.st_ino);
	case DATA:
		return vtable_slot(t, VTABLE_DATA, st.st_dev, st.st_ino);
	case LIST:
		return vtable_slot(t, VTABLE_LIST, st.st_dev, st.st_ino);
	case NAME:
		break;
	}
	return vtable_slot_of_name(t, st.st_dev, st.st_ino, k->name);
}

static void serve(int (*make)(struct server *s))
{
	const struct passthrough_config config = {.file_handles = PT_FILE_HANDLES_PREFER};
	struct server s;
	struct vtable_request v;

	must(vtable_open(&s.t, table_path, 1 << 16, 0) == 0);
	must(passthrough_new("export", &config, &s.fs) == 0);
	s.a = look_up(&s, FS_ROOT, "a");
	s.b = look_up(&s, FS_ROOT, "b");
	s.f = look_up(&s, s.a, "f");
	s.open = open_node(&s, s.f);
	s.from = open_node(&s, look_up(&s, s.a, "g"));
	for (size_t i = 0; i < OBJECTS; i++)
		board->slot[i] = slot_of(s.t, &objects[i]);
	must(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
	vtable_request_begin(&v, s.t, true);
	board->result = make(&s);
	vtable_request_end(&v);
	_exit(0);
}

/* The parent. */

static struct {
	int fd[OBJECTS];
	char state[OBJECTS][1024];
	struct vt_stamp stamp[OBJECTS];
} mind;

static void describe_inode(int fd, char *out, size_t size)
{
	struct stat st;
	char list[256];
	ssize_t n;

	assert_int_equal(fstat(fd, &st), 0);
	n = flistxattr(fd, list, sizeof(list));
	snprintf(out, size, "%o %ju %u %ju %jd.%09ld %jd.%09ld %.*s", st.st_mode,
		(uintmax_t)st.st_nlink, st.st_uid, (uintmax_t)st.st_size,
		(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
		st.st_ctim.tv_nsec, n > 0 ? (int)n : 0, list);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names, and where ".." leads. */
static void describe_listing(int fd, char *out, size_t size)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY);
	char *names[32];
	struct dirent *d;
	size_t n = 0, used = 0;
	DIR *dir;

	*out = '\0';
	/* One that was removed has none. */
	if (own < 0)
		return;
	dir = fdopendir(own);
	while ((d = readdir(dir)) && n < ARRAY_SIZE(names))
		assert_true(asprintf(&names[n++], "%s=%ju ", d->d_name, (uintmax_t)d->d_ino) > 0);
	closedir(dir);
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		used += (size_t)snprintf(out + used, size - used, "%s", names[i]);
		free(names[i]);
	}
}

static void describe(size_t i, char *out, size_t size)
{
	const struct kept *k = &objects[i];
	struct stat st;
	ssize_t n;

	switch (k->kind) {
	case ATTR:
		describe_inode(mind.fd[i], out, size);
		return;
	case DATA:
		n = pread(mind.fd[i], out, size - 1, 0);
		assert_true(n >= 0);
		out[n] = '\0';
		/* Zeros behind it are of the length. */
		return;
	case LIST:
		describe_listing(mind.fd[i], out, size);
		return;
	case NAME:
		if (fstatat(mind.fd[i], k->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			st.st_ino = 0;
		snprintf(out, size, "%ju", (uintmax_t)st.st_ino);
		return;
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_tree(void)
{
	static const char *const dirs[] = {"export", "export/a", "export/b", "export/a/sub"};

	if (access("export", F_OK) == 0)
		assert_int_equal(nftw("export", unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	put("export/a/f", "one");
	put("export/a/g", "two");
	put("export/b/f", "three");
	assert_int_equal(setxattr("export/a/f", "user.old", "x", 1, 0), 0);
	for (size_t i = 0; i < OBJECTS; i++) {
		char path[64];

		snprintf(path, sizeof(path), "export/%s", objects[i].path);
		mind.fd[i] = open(path, O_RDONLY);
		assert_true(mind.fd[i] >= 0);
	}
}

static void forget_tree(void)
{
	for (size_t i = 0; i < OBJECTS; i++)
		close(mind.fd[i]);
}

static void map_table(struct vtable_view *view)
{
	struct vt_header head;
	int fd = open(table_path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &head, sizeof(head), 0), sizeof(head));
	assert_int_equal(vtable_view_map(view, fd, head.id, true), 0);
	close(fd);
}

/* Keeps everything, as it is while nobody changes it. */
static void keep(const struct vtable_view *view)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		mind.stamp[i] = (struct vt_stamp){
			.epoch = atomic_load(words_head(view, epoch)),
			.word = atomic_load(words_slot(view, board->slot[i])),
			.slot = board->slot[i],
		};
		assert_true(vtable_view_may_keep(view, &mind.stamp[i]));
		describe(i, mind.state[i], sizeof(mind.state[i]));
	}
}

/* How much is believed no more; what is, has to be as it was. */
static unsigned int compare(const struct vtable_view *view, const char *change, unsigned int step)
{
	unsigned int untrusted = 0;

	for (size_t i = 0; i < OBJECTS; i++) {
		const struct kept *k = &objects[i];
		char now[1024];

		if (!vtable_view_trusts(view, &mind.stamp[i])) {
			untrusted++;
			continue;
		}
		describe(i, now, sizeof(now));
		if (strcmp(now, mind.state[i]) != 0)
			fail_msg("%s, step %u: kind %d of %s %s is believed to be '%s' and is '%s'",
				change, step, (int)k->kind, k->path, k->name ? k->name : "",
				mind.state[i], now);
	}
	return untrusted;
}

/* Lets the child go on for so many steps; false: it was done before. */
static bool walk(pid_t child, unsigned int steps)
{
	for (unsigned int i = 0; i < steps; i++) {
		int status;

		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status));
		assert_int_equal(WSTOPSIG(status), SIGTRAP);
	}
	return true;
}

/* Another server comes, alone: it takes off the marks, and nothing that was under them is believed
 * again. Whether there were some. */
static bool attach_again(const struct vtable_view *view)
{
	uint64_t epoch = atomic_load(words_head(view, epoch));
	struct vtable *t;

	assert_int_equal(vtable_open(&t, table_path, 0, 0), 0);
	for (uint64_t i = 0; i < view->slots; i++)
		assert_true(vt_is_quiet(atomic_load(words_slot(view, i))));
	vtable_close(t);
	return atomic_load(words_head(view, epoch)) != epoch;
}

/* Kills the server at a step of a change; false: it was done before. */
static bool kill_at(size_t change, unsigned int step, unsigned int *marked)
{
	struct vtable_view view = {.map = NULL};
	unsigned int before, after;
	int status;
	bool killed;
	pid_t child;

	make_tree();
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		serve(changes[change].make);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	map_table(&view);
	keep(&view);
	killed = walk(child, step);
	if (killed) {
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	before = compare(&view, changes[change].name, step);
	*marked += before > 0 && killed;
	attach_again(&view);
	after = compare(&view, changes[change].name, step);
	assert_true(after >= before);
	if (!killed) {
		assert_true(board->result >= 0);
		assert_true(before > 0 && before < OBJECTS);
	}
	vtable_view_unmap(&view);
	forget_tree();
	return killed;
}

static void test_every_step(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		unsigned int step = 1, marked = 0;

		while (kill_at(i, step, &marked))
			assert_true(++step < STEPS_MAX);
		printf("%s: %u steps, marks at %u\n", changes[i].name, step - 1, marked);
		assert_true(marked > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_step),
	};
	char directory[64];
	int r;

	log_open("test", LOG_OFF);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	must(board != MAP_FAILED);
	snprintf(table, sizeof(table), "/dev/shm/causeway-killed-XXXXXX");
	must(mkdtemp(table));
	snprintf(table_path, sizeof(table_path), "%s/table", table);
	unit_enter_directory(directory);
	umask(0);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unit_leave_directory(directory);
	must(nftw(table, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
	return r;
}
