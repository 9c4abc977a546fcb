// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * Descriptors that a RELEASE leaves for the next OPEN: whose they are, how many there may be, and
 * when they go; and threads that open, read, release and forget the same few files at once, of
 * which more are in use than may have one.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/spare.h"
#include "metrics/tally.h"

#define FILES   6
#define SPARES  4 /* fewer than there are files */
#define THREADS 4
#define TURNS   4000
#define PASSES  100000
#define FEW     160 /* descriptors: 64 are for nodes, handles and spares, and 8 for these */
#define MANY    200 /* files: more than that */

static struct fs *fs;
static char directory[64];
static int fds_before;
static struct rlimit files_before;

struct party {
	uint32_t random;
	pthread_t thread;
};

static void make(int i, char content)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "export/%d", i);
	f = fopen(path, "w");
	assert_non_null(f);
	fputc(content, f);
	assert_int_equal(fclose(f), 0);
}

static void start(unsigned int spares)
{
	const struct passthrough_config config = {.spares = spares, .locks = true};

	assert_int_equal(passthrough_new("export", &config, &fs), 0);
}

static int setup(void **state)
{
	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	for (int i = 0; i < FILES; i++)
		make(i, (char)('0' + i));
	fds_before = unit_open_fds();
	start(SPARES);
	return 0;
}

static int teardown(void **state)
{
	passthrough_free(fs);
	assert_int_equal(unit_open_fds(), fds_before);
	unit_leave_directory(directory);
	return 0;
}

static int setup_few(void **state)
{
	struct rlimit few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files_before), 0);
	few = files_before;
	few.rlim_cur = FEW;
	setup(state);
	for (int i = FILES; i < MANY; i++)
		make(i, 'x');
	passthrough_free(fs);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	start(PT_SPARES);
	return 0;
}

static int teardown_few(void **state)
{
	teardown(state);
	return setrlimit(RLIMIT_NOFILE, &files_before);
}

static uint64_t look_up(int i)
{
	struct fs_entry e;
	char name[16];

	snprintf(name, sizeof(name), "%d", i);
	must(fs->ops->lookup(fs, FS_ROOT, name, &e) == 0);
	return e.node;
}

static uint64_t open_with(uint64_t node, int flags)
{
	uint64_t handle;

	must(fs->ops->open(fs, node, flags, false, &handle, NULL) == 0);
	return handle;
}

static void release(uint64_t handle)
{
	must(fs->ops->release(fs, handle) == 0);
}

static void use(uint64_t node, int flags)
{
	release(open_with(node, flags));
}

static ssize_t read_at(uint64_t node, uint64_t handle, uint64_t offset, char *got)
{
	const struct fs_target t = {.node = node, .handle = handle, .has_handle = true};
	struct iovec iov = {got, 1};

	return fs->ops->read(fs, &t, &iov, 1, offset, false);
}

static int fd_of(uint64_t handle)
{
	struct idslot *slot = idtab_get(pt_of(fs)->handles, handle);
	int fd;

	assert_non_null(slot);
	fd = container_of(slot, struct pt_handle, slot)->fd;
	idtab_put(pt_of(fs)->handles, slot);
	return fd;
}

static bool has_spare(uint64_t node)
{
	struct pt_node *n = pt_node_get(pt_of(fs), node);
	bool has;

	assert_non_null(n);
	has = atomic_load(&n->spare) != 0;
	pt_node_put(pt_of(fs), n);
	return has;
}

/* The next open has the descriptor of the last, wherever that one was in the file; it is open for
 * one at a time. */
static void test_next_open(void **state)
{
	uint64_t node = look_up(0), first = open_with(node, O_RDONLY), other;
	uint64_t spare = tally_read(TALLY_OPEN_SPARE);
	const struct fs_target t = {.node = node, .handle = first, .has_handle = true};
	int fd = fd_of(first);
	struct stat st[2];
	char got = '?';

	assert_int_equal(fs->ops->lseek(fs, &t, 0, SEEK_HOLE), 1);
	release(first);
	assert_true(has_spare(node));
	assert_int_equal(pt_spares_count(pt_of(fs)), 1);
	/* The handle is closed, for whoever has its number still. */
	assert_int_equal(read_at(node, first, 0, &got), -EBADF);
	assert_int_equal(fs->ops->release(fs, first), -EBADF);

	first = open_with(node, O_RDONLY);
	assert_int_equal(fd_of(first), fd);
	assert_false(has_spare(node));
	assert_int_equal(tally_read(TALLY_OPEN_SPARE), spare + 1);
	assert_int_equal(read_at(node, first, 0, &got), 1);
	assert_int_equal(got, '0');
	other = open_with(node, O_RDONLY);
	assert_int_not_equal(fd_of(other), fd);
	assert_int_equal(tally_read(TALLY_OPEN_SPARE), spare + 1);
	release(first);
	/* One is enough. */
	release(other);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fstat(fd, &st[0]) | stat("export/0", &st[1]), 0);
	assert_int_equal(st[0].st_ino, st[1].st_ino);
	assert_int_equal(pt_spares_count(pt_of(fs)), 1);

	fs->ops->forget(fs, node, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);
}

/* Only what was opened for reading and nothing else is left, and given to nobody else. */
static void test_kinds(void **state)
{
	static const int others[] = {O_WRONLY, O_RDWR, O_ACCMODE, O_RDONLY | O_NOATIME,
		O_RDONLY | O_SYNC, O_RDONLY | O_DSYNC, O_RDONLY | O_DIRECT, O_WRONLY | O_TRUNC};
	uint64_t node = look_up(1), handle;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		use(node, others[i]);
		assert_false(has_spare(node));
	}
	use(node, O_RDONLY);
	assert_true(has_spare(node));
	/* It goes with what was open otherwise, to which errors were told since. */
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		use(node, O_RDONLY);
		assert_true(has_spare(node));
		use(node, others[i]);
		assert_false(has_spare(node));
	}
	/* What does not reach open(2) does not matter. */
	handle = open_with(node, O_RDONLY | O_APPEND | O_NONBLOCK);
	assert_false(has_spare(node));
	release(handle);
	assert_true(has_spare(node));
	fs->ops->forget(fs, node, 1);

	assert_int_equal(fs->ops->opendir(fs, FS_ROOT, &handle), 0);
	release(handle);
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);
}

/* Opens the file as for a guest that keeps what it has read. */
static bool is_unchanged(uint64_t node)
{
	struct fs_opened opened = {.ask_unchanged = true};
	uint64_t handle;

	must(fs->ops->open(fs, node, O_RDONLY, false, &handle, &opened) == 0);
	must(opened.local);
	release(handle);
	return opened.unchanged;
}

/* Whether the file has changed is asked anew, of a descriptor that is not. */
static void test_unchanged(void **state)
{
	const struct timespec step = {.tv_nsec = 20000000};
	uint64_t node = look_up(0), spare;

	is_unchanged(node);
	spare = tally_read(TALLY_OPEN_SPARE);
	assert_true(is_unchanged(node));
	/* Longer than a step of the file system's clock. */
	nanosleep(&step, NULL);
	make(0, 'n');
	assert_false(is_unchanged(node));
	nanosleep(&step, NULL);
	is_unchanged(node);
	assert_true(is_unchanged(node));
	assert_int_equal(tally_read(TALLY_OPEN_SPARE), spare + 4);
	fs->ops->forget(fs, node, 1);
}

/* A lock belongs to the description: one that had any is closed. */
static void test_locked(void **state)
{
	struct fs_lock lock = {.type = F_RDLCK, .flock = true};
	uint64_t node = look_up(2), handle = open_with(node, O_RDONLY);
	const struct fs_target t = {.node = node, .handle = handle, .has_handle = true};

	assert_int_equal(fs->ops->setlk(fs, &t, &lock, NULL), 0);
	release(handle);
	assert_false(has_spare(node));
	fs->ops->forget(fs, node, 1);
}

/* A file that the guest still has open when it forgets it leaves nothing; nor does one that is
 * gone from the host longer than the guest knows it. */
static void test_ends(void **state)
{
	uint64_t node = look_up(3), handle = open_with(node, O_RDONLY);
	uint64_t other = open_with(node, O_RDONLY);
	char got = '?';
	int fd = fd_of(other);

	release(other);
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	fs->ops->forget(fs, node, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	release(handle);
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);

	node = look_up(3);
	use(node, O_RDONLY);
	assert_int_equal(fs->ops->unlink(fs, FS_ROOT, "3"), 0);
	make(3, 'n');
	/* Another file by now; who knew the first one reads that. */
	handle = open_with(node, O_RDONLY);
	assert_int_equal(read_at(node, handle, 0, &got), 1);
	assert_int_equal(got, '3');
	release(handle);
	assert_int_not_equal(look_up(3), node);
	assert_true(has_spare(node));
	assert_int_equal(pt_of(fs)->handles->used, 0);

	fs->ops->reset(fs);
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);
}

/* The one that was opened again stays, of those that were not the first goes. */
static void test_full(void **state)
{
	uint64_t node[FILES];

	for (int i = 0; i < FILES; i++)
		node[i] = look_up(i);
	for (int i = 0; i < SPARES; i++)
		use(node[i], O_RDONLY);
	assert_int_equal(pt_spares_count(pt_of(fs)), SPARES);
	use(node[0], O_RDONLY);
	use(node[SPARES], O_RDONLY);
	assert_int_equal(pt_spares_count(pt_of(fs)), SPARES);
	assert_true(has_spare(node[0]) && has_spare(node[SPARES]) && has_spare(node[2]));
	assert_false(has_spare(node[1]));
	/* The places of what was forgotten are free. */
	fs->ops->forget(fs, node[2], 1);
	use(node[1], O_RDONLY);
	assert_true(has_spare(node[0]) && has_spare(node[1]) && has_spare(node[SPARES]));
}

static void test_none(void **state)
{
	passthrough_free(fs);
	start(0);
	use(look_up(0), O_RDONLY);
	assert_int_equal(unit_open_fds() - fds_before, 4);
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);
}

/* They are an eighth of the descriptors at most, and go before a node or a handle has to. */
static void test_room(void **state)
{
	uint32_t fds = pt_of(fs)->fds;
	uint64_t handle[MANY], first = 0;
	uint32_t open = 0;

	for (int i = 0; i < MANY; i++) {
		uint64_t node = look_up(i);

		first = first ? first : node;
		use(node, O_RDONLY);
		assert_true(pt_spares_places(pt_of(fs)) <= fds / 8);
	}
	assert_int_equal(pt_spares_count(pt_of(fs)), fds / 8);
	while (open < MANY &&
		fs->ops->open(fs, look_up((int)open), O_RDWR, false, &handle[open], NULL) == 0)
		open++;
	/* As many as there are without: half of all, whose nodes are the other half. */
	assert_int_equal(open, fds / 2);
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);
	while (open > 0)
		release(handle[--open]);
	use(first, O_RDONLY);
	assert_true(has_spare(first));
}

/* No node is cooled for a handle while there are spares. */
static void test_before_nodes(void **state)
{
	uint32_t fds = pt_of(fs)->fds, cold;
	uint64_t handle[FEW], node = look_up(0);

	for (uint32_t i = 1; i < fds / 2 - 1; i++)
		use(look_up((int)i), O_RDONLY);
	assert_int_equal(pt_spares_count(pt_of(fs)), fds / 8);
	cold = pt_of(fs)->cooled;
	for (uint32_t i = 0; i < fds / 2; i++)
		handle[i] = open_with(node, O_RDWR);
	assert_true(pt_spares_count(pt_of(fs)) < fds / 8);
	assert_int_equal(pt_of(fs)->cooled, cold);
	for (uint32_t i = 0; i < fds / 2; i++)
		release(handle[i]);
}

static struct pt_node *raced;
static _Atomic bool owned[1024]; /* descriptors that somebody has taken */

/* Takes one node's spare and leaves it again. Nobody has what another one has. */
static void *pass_on(void *arg)
{
	for (int n = 0; n < PASSES; n++) {
		int fd = pt_spare_take(raced);

		if (fd < 0)
			fd = open("export/0", O_RDONLY | O_CLOEXEC);
		must(fd >= 0 && (size_t)fd < ARRAY_SIZE(owned));
		must(!atomic_exchange(&owned[fd], true));
		must(fcntl(fd, F_GETFD) >= 0);
		atomic_store(&owned[fd], false);
		pt_spare_leave(pt_of(fs), raced, fd);
	}
	return NULL;
}

static void test_one_owner(void **state)
{
	pthread_t thread[THREADS];
	uint64_t node = look_up(0);

	raced = pt_node_get(pt_of(fs), node);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, pass_on, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(pt_spares_count(pt_of(fs)), 1);
	pt_node_put(pt_of(fs), raced);
	fs->ops->forget(fs, node, 1);
}

/* Whatever the order: what is read is the file's, and no more are left than may be. */
static void *take_part(void *arg)
{
	struct party *p = arg;

	for (int n = 0; n < TURNS; n++) {
		uint32_t random = unit_random(&p->random);
		int i = (int)(random % FILES);
		uint64_t node = look_up(i), handle[2];
		char got = '?';

		for (int again = 0; again < 3; again++) {
			handle[0] = open_with(node, O_RDONLY);
			handle[1] = open_with(node, random & 64 ? O_RDONLY : O_RDWR);
			must(read_at(node, handle[again & 1], 0, &got) == 1 && got == '0' + i);
			release(handle[1]);
			must(read_at(node, handle[0], 0, &got) == 1 && got == '0' + i);
			release(handle[0]);
		}
		must(pt_spares_count(pt_of(fs)) <= SPARES);
		fs->ops->forget(fs, node, 1);
	}
	return NULL;
}

static void test_all_at_once(void **state)
{
	uint64_t spare = tally_read(TALLY_OPEN_SPARE), anew = tally_read(TALLY_OPEN_ANEW);
	struct party parties[THREADS] = {0};

	for (unsigned int i = 0; i < THREADS; i++) {
		parties[i].random = i + 1;
		assert_int_equal(
			pthread_create(&parties[i].thread, NULL, take_part, &parties[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(parties[i].thread, NULL), 0);
	assert_true(tally_read(TALLY_OPEN_SPARE) > spare && tally_read(TALLY_OPEN_ANEW) > anew);
	assert_int_equal(pt_of(fs)->handles->used, 0);
	assert_int_equal(pt_of(fs)->nodes->used, 1);
	/* With the last node the last descriptor went: the root has one, as do /proc and the mount.
	 */
	assert_int_equal(pt_spares_count(pt_of(fs)), 0);
	assert_int_equal(unit_open_fds() - fds_before, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_next_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unchanged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup_few, teardown_few),
		cmocka_unit_test_setup_teardown(test_before_nodes, setup_few, teardown_few),
		cmocka_unit_test_setup_teardown(test_one_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
	};

	if (geteuid() != 0) {
		printf("needs root, whom the host refuses nothing\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
